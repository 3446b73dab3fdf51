"""Several runs on one page: which are taken together, what is refused."""

from __future__ import annotations

import json
import re

import made_run as made
import numpy as np
import pytest

from semrep_jax import main
from semrep_jax.report import comparison, curves
from semrep_jax.report.html import GENERATOR
from semrep_jax.report.reading import read


@pytest.fixture
def seeds(tmp_path):
    paths = [made.run(tmp_path / f"seed{seed}", seed) for seed in range(3)]
    for seed, path in enumerate(paths):
        made.curve(path, seed)
    return paths


def test_runs_that_differ_in_the_seed_alone_are_one_group_with_intervals_over_seeds(seeds):
    (group,) = comparison.grouped([read(path) for path in seeds])
    found = group.estimate("semrep", "correctness/T1")
    assert found["value"] == pytest.approx(0.72) and found["n"] == 3 and 0.699 < found["low"] < found["high"] < 0.741
    gap = group.difference("correctness/T1")
    assert gap["value"] == pytest.approx(0.12) and gap["low"] > 0.09


def test_curves_of_seeds_have_bands_over_seeds(seeds):
    runs = [read(path) for path in seeds]
    source = curves.Source("SemRep", "semrep", [run.curves["semrep"] for run in runs])
    line = curves.held_out([source], {})[0].series[0]
    assert line.ys.tolist() == pytest.approx([0.4, 0.55, 0.7])  # the mean of 0, 0.1 and 0.2 above seed 0
    assert np.all(line.low < line.ys) and np.all(line.high > line.ys) and np.all(line.high - line.low <= 0.2 + 1e-9)
    trained = curves.panels(
        [curves.Source("SemRep", "semrep", [run.metrics["semrep"] for run in runs])], curves.TRAINING
    )
    assert trained[0].series[1].low is not None and trained[0].series[1].dots is None


def test_seeds_that_are_not_equally_far_are_compared_where_all_have_been(tmp_path):
    far, near = read(made.run(tmp_path / "a")), read(made.run(tmp_path / "b", 1, finished=False))
    source = curves.Source("SemRep", "semrep", [far.metrics["semrep"], near.metrics["semrep"]])
    assert [line.xs.tolist() for line in curves.panels([source], curves.TRAINING)[0].series] == [[1, 2], [3]]


def test_the_page_overlays_the_arms_and_shows_every_run(seeds, tmp_path, capsys):
    assert main.main(["report", *map(str, seeds)]) == 0
    assert "comparison.html" in capsys.readouterr().out
    text = (tmp_path / "comparison.html").read_text()
    assert "3 runs of compare" in text and all(f"seed{seed}" in text for seed in range(3))
    assert "0.720" in text and "+0.120" in text and text.count("<svg") >= 6


def test_configs_are_named_by_what_differs(seeds, tmp_path):
    other = made.run(tmp_path / "other", alpha=0.3, learning_rate=0.1)
    groups = comparison.grouped([read(path) for path in (*seeds, other)])
    assert [group.name for group in groups] == ["alpha=0.5", "alpha=0.3"]
    assert [len(group.runs) for group in groups] == [3, 1]
    text = comparison.page([read(path) for path in (*seeds, other)])
    assert re.search(r"<h3>SemRep</h3>", text) and "alpha=0.3" in text


def test_configs_that_differ_in_what_is_not_named_first_have_names_and_differences_of_their_own(seeds, tmp_path):
    changes = [{"alpha": 0.3, "learning_rate": 0.1, "warmup": 1, "clip_high": clip} for clip in (0.2, 0.3)]
    others = [made.run(tmp_path / f"o{i}", **one) for i, one in enumerate(changes)]
    runs = [read(path) for path in (*seeds, *others)]
    names = [group.name for group in comparison.grouped(runs)]
    assert len(set(names)) == 3 and "clip_high=0.2" in names[1] and "clip_high=0.3" in names[2]


def test_a_run_that_is_not_done_takes_part_with_its_curves(seeds, tmp_path):
    going = made.run(tmp_path / "going", 7, finished=False)
    text = comparison.page([read(seeds[0]), read(going)])
    assert "going stopped, SemRep at step 3" in text and "not finished" in text


def change_suite(path):
    found = json.loads((path / "results.json").read_text())
    found["suites"]["correctness"]["sha256"] = "e" * 64
    (path / "results.json").write_text(json.dumps(found))


def change_job(path):
    found = json.loads((path / "results.json").read_text())
    (path / "results.json").write_text(json.dumps(found | {"job": "evaluate"}))


REFUSED = {
    "other tasks": (change_suite, "suite correctness is other tasks"),
    "another job": (change_job, "is of job compare and"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_can_not_be_compared_is_refused_in_one_line(what, seeds, tmp_path, capsys):
    mistake, why = REFUSED[what]
    mistake(seeds[1])
    assert main.main(["report", *map(str, seeds[:2])]) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said and why in said and not (tmp_path / "comparison.html").exists()
    if what == "other tasks":
        assert "cccccccccccc" in said and "eeeeeeeeeeee" in said and "evaluate.seed" in said


def test_a_suite_that_one_run_did_not_measure_is_said(seeds):
    found = json.loads((seeds[0] / "results.json").read_text())
    del found["suites"]["new_kinds"]
    (seeds[0] / "results.json").write_text(json.dumps(found))
    assert "Not every run measured new_kinds" in comparison.page([read(path) for path in seeds])


def test_the_same_run_twice_and_two_of_one_seed_are_refused(seeds, tmp_path, capsys):
    assert main.main(["report", str(seeds[0]), str(seeds[0])]) == 2
    assert "is named twice" in capsys.readouterr().err
    again = made.run(tmp_path / "again", 0)
    assert main.main(["report", str(seeds[0]), str(again)]) == 2
    assert "one config and one seed" in capsys.readouterr().err


def test_a_file_that_is_no_page_of_ours_is_not_overwritten(seeds, tmp_path, capsys):
    (tmp_path / "notes.html").write_text("my notes")
    assert main.main(["report", *map(str, seeds), "--output", str(tmp_path / "notes.html")]) == 2
    assert "--output" in capsys.readouterr().err and (tmp_path / "notes.html").read_text() == "my notes"
    (tmp_path / "page.html").write_text(f'<meta name=generator content="{GENERATOR}">')  # its own page it writes again
    assert main.main(["report", *map(str, seeds[:2]), "--output", str(tmp_path / "page.html")]) == 0
