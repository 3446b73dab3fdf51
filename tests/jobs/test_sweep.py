"""A whole sweep: its cells, kill and resume, several processes, its design, its tables."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from semrep_jax import main
from semrep_jax.core.programs import Program, Task, Tests
from semrep_jax.core.results import Estimate, exact
from semrep_jax.core.settings import ConfigError
from semrep_jax.core.workdir import WorkDir
from semrep_jax.jobs import config, contrasts, design, finished, places, studies, tables
from semrep_jax.python import PYTHON
from semrep_jax.report.html import page
from semrep_jax.report.reading import State, read
from semrep_jax.tasks.suite import DrawnSuite, axes

TEXT = """
job: sweep
model: {source: nano}
tasks: {train_size: 4}
rollout: {prompts: 2, group: 2, max_prompt: 192, bucket: 192, max_new: 32}
train: {budget: 2, alpha: 0.5, checkpoint_every: 1, learning_rate: 0.001, empty_batch: step}
sandbox: {wall_seconds: 60}
evaluate: {suites: [correctness, robustness], tasks: 2, samples: 2, batch: 2, resamples: 100}
sweep: {arms: [semrep, finetune], seeds: [0]}
"""
CELLS = ("base-default", "semrep-default-s0", "finetune-default-s0")


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("config") / "sweep.yaml"
    path.write_text(TEXT)
    return path


def arguments(file: Path, work: Path, *more: str) -> list[str]:
    return ["--config", str(file), *(x for s in (f"work_dir={work}", *more) for x in ("--set", s))]


@pytest.fixture(scope="module")
def whole(file, tmp_path_factory) -> Path:
    work: Path = tmp_path_factory.mktemp("whole") / "run"
    assert main.main(arguments(file, work)) == 0
    return work


def found(work: Path, cell: str) -> dict:
    """What a cell found, without times."""
    summary = json.loads((work / "cells" / cell / "cell.json").read_text())
    summary["costs"].pop("train_seconds")
    for one in summary["measured"].values():
        one.pop("seconds", None)
    return summary


def test_a_killed_sweep_goes_on_to_the_same_bits_and_touches_no_finished_cell(file, whole, tmp_path):
    work = tmp_path / "run"
    command = [sys.executable, "-m", "semrep_jax.main", *arguments(file, work)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    first, second = (work / "cells" / name for name in CELLS[1:])
    deadline = time.monotonic() + 900  # a safeguard: it takes seconds
    while not (second / "arms/finetune/metrics.jsonl").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (second / "cell.json").exists() and not (work / "results.json").exists()
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    assert main.main(arguments(file, work)) == 0
    assert before == {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    for name in CELLS:
        assert found(work, name) == found(whole, name)
    for name in ("semrep", "finetune"):
        model = f"cells/{name}-default-s0/arms/{name}/model/model.safetensors"
        want, got = (load_file(w / model) for w in (whole, work))
        assert all(np.array_equal(want[k], got[k]) for k in want)


def test_the_results_stand_alone_and_a_page_can_be_made_of_them(whole, capsys):
    results = json.loads((whole / "results.json").read_text())
    assert results["seeds"] == [0] and results["versions"]["jax"] and results["machine"]["cores"]
    assert results["command"].startswith("python -m semrep_jax.main") and results["unfinished"] == []
    assert set(results["arms"]) == {"base", "semrep", "finetune"}
    assert set(results["arms"]["semrep"]["robust_pass/T2"]) == {"value", "low", "high", "n"}
    primary = [one for one in results["contrasts"] if one["primary"]]
    assert [(one["ours"], one["turns"], one["axis"]) for one in primary] == [("semrep", [2, 1], "robust_pass")]
    assert results["per_seed"]["semrep"]["correctness/T1"]["0"] == pytest.approx(
        results["arms"]["semrep"]["correctness/T1"]["value"], abs=1e-6
    )
    assert main.main(["report", str(whole)]) == 0
    assert "Primary contrast, robust_pass" in capsys.readouterr().out
    assert results["compared"] == ["semrep", "finetune"]


def test_a_cell_that_has_ended_is_a_finished_run(whole):
    cell = read(whole / "cells" / CELLS[1])
    assert cell.state is State.FINISHED and cell.results is None and cell.metrics and cell.measurements
    assert "given again" not in page(cell)


def test_cells_that_another_process_holds_are_left_to_it_and_said_to_be_missing(file, whole, capsys):
    cell = whole / "cells" / CELLS[2]
    kept = (cell / "cell.json").read_text()
    (cell / "cell.json").unlink()
    identity = json.loads((cell / "identity.json").read_text())
    held = WorkDir(cell, identity)
    assert main.main(arguments(file, whole)) == 0
    said = capsys.readouterr()
    assert "in the hands of another process" in said.err
    assert f"1 of 3 cells are not finished: {CELLS[2]}" in said.out and "Nothing is known of the primary" in said.out
    held.close()
    (cell / "cell.json").write_text(kept)
    assert main.main(arguments(file, whole, "sweep.only=[none]")) == 0
    assert "not finished" not in capsys.readouterr().out


def test_two_processes_may_share_a_sweep_and_no_other_job_its_directory(file, whole, capsys):
    held = WorkDir(whole, json.loads((whole / "identity.json").read_text()), shared=True)
    assert main.main(arguments(file, whole, "sweep.only=[none]")) == 0
    assert main.main(arguments(file, whole, "job=compare")) == 2
    assert "in use by another process" in capsys.readouterr().err
    held.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("sweep.seeds=[0,1]", "seeds was"),
        ("sweep.primary.their_turns=2", "their_turns was 1 and is 2"),
        ("train.budget=3", "budget was 2 and is 3"),
        ("evaluate.samples=3", "samples was 2 and is 3"),
        ("sweep.only=[gardening]", "is the pattern of no cell; there are base-default"),
        ("sweep.primary.metric=beauty", "is not measured; evaluate.suites gives correctness, robust_pass"),
        ("sweep.arms=[semrep]", "the arm 'finetune' is not among"),
        ("sweep.arms=[semrep,finetune,gardening]", "there is no arm 'gardening'"),
        ("sweep.seeds=[0,0]", "names one twice"),
        ("sweep.headroom=[gardening]", "is not among evaluate.suites"),
        (
            "sweep.settings=[{name: a}, {name: b, values: {evaluate.suites: [correctness]}}]",
            "settings can't change them",
        ),
        ("sweep.settings=[{name: a}, {name: b, values: {sandbox.wall_seconds: 9}}]", "setting b changes sandbox, and"),
        (
            "sweep={arms: [variants_pooled, finetune], primary: {ours: variants_pooled}, "
            "settings: [{name: a, values: {tasks.variants: 2}}, {name: b, values: {tasks.variants: 3}}]}",
            "tasks.variants = 3 forms each (setting b)",
        ),
    ],
)
def test_another_design_and_what_can_not_be_are_refused_in_one_line(file, whole, change, says, capsys):
    assert main.main(arguments(file, whole, change)) == 2
    assert says in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_world_in_which_a_rewrite_does_not_help_the_base_is_not_run(file, tmp_path, capsys):
    assert main.main(arguments(file, tmp_path / "run", "sweep.headroom=[correctness]")) == 2
    assert "nothing for stage 1 to win" in capsys.readouterr().err
    assert not (tmp_path / "run" / "cells").exists()


def test_the_design_counts_the_tasks_that_the_primary_contrast_is_over():
    def of(task_id: str) -> Task:
        return Task(task_id, Program(PYTHON, "def f(x):\n    return x"), Tests("f"), Tests("f"))

    whole = DrawnSuite("plain", tuple(of(f"t/{i}") for i in range(5)))
    twins = DrawnSuite("perturbed", (of("t/1/perturbed"), of("t/4/perturbed")))
    assert design.tasks_behind("plain", [whole, twins]) == 5 and design.tasks_behind("robust", [whole, twins]) == 2
    one = config.build({"job": "sweep"})
    assert design.design(one, 2)["detectable"] > design.design(one, 5)["detectable"]
    assert "x 2 tasks x" in design.design(one, 2)["statement"]


def test_the_design_is_written_before_anything_is_run(whole):
    settled = json.loads((whole / "design.json").read_text())
    assert settled["primary"] | {"setting": "default"} == settled["primary"]
    assert settled["detectable"] > 0 and "detect a difference of" in settled["statement"]
    assert (whole / "design.json").stat().st_mtime_ns < min(
        path.stat().st_mtime_ns for path in whole.rglob("cells/*/cell.json") if "finetune" not in str(path)
    )


def planned(settings: str) -> dict[places.Place, places.Cell]:
    tree = {"job": "sweep", "sweep": {"arms": ["semrep", "finetune"], "seeds": [0, 1]}}
    import yaml

    tree["sweep"]["settings"] = yaml.safe_load(settings)
    return places.planned(config.build(tree))


def test_a_directory_of_before_tasks_were_counted_goes_on(file, whole, tmp_path, capsys):
    work = tmp_path / "older"
    shutil.copytree(whole, work)
    settled = json.loads((work / "design.json").read_text())
    (work / "design.json").write_text(json.dumps({k: v for k, v in settled.items() if k != "compared"}))
    assert main.main(arguments(file, work, "sweep.only=[none]")) == 0
    assert "Primary contrast" in capsys.readouterr().out


def test_only_an_arm_with_a_stage_1_is_shown_with_and_without_it(file, whole):
    def titles(ours):
        arms, primary = f"sweep.arms=[{ours}, finetune]", f"sweep.primary.ours={ours}"
        one = config.load(str(file), [arms, primary, f"work_dir={whole}"])
        plan = places.planned(one)
        kept = {"base": CELLS[0], ours: CELLS[1], "finetune": CELLS[2]}
        found = {place: json.loads((whole / "cells" / kept[place.arm] / "cell.json").read_text()) for place in plan}
        return [table.title for table in studies.results(one, plan, found, design.design(one, 2)).tables]

    assert any(title.startswith("stage 1 (fine-tuning only: off, SemRep: on)") for title in titles("semrep"))
    assert not any(title.startswith("stage 1 (") for title in titles("variants"))


def test_the_primary_contrast_is_computed_at_whatever_turns_it_names(file, whole):
    at = [f"work_dir={whole}", "sweep.primary.our_turns=1", "sweep.primary.their_turns=2"]
    one = config.load(str(file), at)
    plan = places.planned(one)
    kept = {"base": CELLS[0], "semrep": CELLS[1], "finetune": CELLS[2]}
    found = {place: json.loads((whole / "cells" / kept[place.arm] / "cell.json").read_text()) for place in plan}
    results = studies.results(one, plan, found, design.design(one, 2))
    assert "SemRep T=1 − fine-tuning only T=2" in results.verdict
    assert [c["turns"] for c in results.about["contrasts"] if c["primary"]] == [[1, 2]]
    of_base = {key: found[places.Place("base", "default", None)]["measured"][key] for key in ("correctness/T1",)}
    share = np.mean(of_base["correctness/T1"]["correct"]) / of_base["correctness/T1"]["samples"]
    marked = any("†" in row.title and row.metric == "correctness/T1" for row in results.rows)
    assert marked == (not 0.05 <= share <= 0.85) == any(note.startswith("†") for note in results.notes)


def test_each_setting_is_compared_with_the_main_one_where_the_tasks_are_the_same(file, whole):
    settings = "[{name: half}, {name: quick, values: {train.learning_rate: 0.01}}, {name: tenth, values: {seed: 0}}]"
    one = config.load(str(file), [f"work_dir={whole}", f"sweep.settings={settings}"])
    plan = places.planned(one)
    kept = {"base": CELLS[0], "semrep": CELLS[1], "finetune": CELLS[2]}
    found = {place: json.loads((whole / "cells" / kept[place.arm] / "cell.json").read_text()) for place in plan}
    quick = found[places.Place("semrep", "quick", 0)]["measured"]["correctness/T2"]
    quick["correct"] = [quick["samples"]] * 2
    results = studies.results(one, plan, found, design.design(one, 2))
    gained = {(c["arm"], c["setting"], c["axis"], c["turns"]): c["value"] for c in results.about["changes"]}
    before = found[places.Place("semrep", "half", 0)]["measured"]["correctness/T2"]
    share = sum(before["correct"]) / (2 * before["samples"])
    assert gained["semrep", "quick", "correctness", 2] == pytest.approx(1 - share)
    assert gained["finetune", "quick", "correctness", 2] == 0 == gained["semrep", "quick", "correctness", 1]
    assert {setting for _, setting, *_ in gained} == {"quick"}  # the third is the first again
    assert any(table.title == "SemRep: each setting − half, 1 seed" for table in results.tables)
    for arm in kept:
        found[places.Place(arm, "quick", None if arm == "base" else 0)]["suites"] = {"correctness": "others"}
    assert not list(contrasts.changes(finished.Study(one, plan, found)))


def test_a_gain_is_on_the_base_of_the_same_setting():
    def column(value: float, tokens: float) -> dict[str, Estimate]:
        costs = {"train_tokens": tokens, "train_rollouts": 0.0, "train_seconds": 0.0}
        return {key: exact(v) for key, v in ({"plain/T1": value} | costs).items()}

    columns = {"base/a": column(0.25, 0), "base/b": column(0.675, 0)}
    columns |= {"semrep/a": column(0.35, 1e6), "semrep/b": column(0.8, 1e6), "semrep/c": column(0.45, 1e6)}
    gains = {row[0]: row[4] for row in tables.of_tokens("plain", columns).rows}
    assert [gains[name] for name in list(gains)[2:]] == ["+0.100", "+0.125", "+0.200"]  # c shares the first base


def test_a_setting_that_an_arm_does_not_heed_is_trained_once():
    plan = planned(
        "[{name: half}, {name: tenth, values: {train.alpha: 0.1}}, {name: long, values: {train.budget: 48}}]"
    )
    names = [plan[places.Place("finetune", setting, 1)].name for setting in ("half", "tenth", "long")]
    assert names == ["finetune-half-s1", "finetune-half-s1", "finetune-long-s1"]
    assert plan[places.Place("semrep", "tenth", 0)].config.train.alpha == 0.1
    assert {cell.name for place, cell in plan.items() if place.arm == "base"} == {"base-half"}
    accepts = planned("[{name: a}, {name: b, values: {reward.accept: behaviour}}]")
    assert len({cell.name for cell in accepts.values()}) == 10  # what is accepted is measured too


def test_a_setting_that_can_not_be_is_refused_by_its_name():
    with pytest.raises(ConfigError, match=r"sweep\.settings odd: train.alpha = 2"):
        planned("[{name: odd, values: {train.alpha: 2}}]")


def test_the_axes_are_what_suites_are_compared_by():
    assert axes(["correctness", "robustness", "new_kinds"]) == ["correctness", "robust_pass", "new_kinds"]
    assert axes(["robustness"]) == ["robustness"]


def test_arms_are_compared_at_the_largest_token_count_that_all_reached():
    def curve(*points: tuple[int, int, float]) -> dict:
        return {"curve": [{"step": s, "tokens": t, "suite": "plain", "turns": 1, "value": v} for s, t, v in points]}

    ours = [curve((0, 0, 0.1), (10, 500, 0.2), (20, 900, 0.4)), curve((0, 0, 0.1), (10, 700, 0.4), (20, 1000, 0.6))]
    theirs = [curve((0, 0, 0.1), (10, 300, 0.2), (20, 650, 0.3))]
    found = studies._at_equal_tokens({"semrep": ours, "finetune": theirs})
    assert found["tokens"] == 650
    assert found["points"]["semrep"]["plain/T1"]["per_seed"] == [0.2, 0.1]
    assert found["points"]["semrep"]["plain/T1"]["value"] == pytest.approx(0.15)
    assert found["points"]["finetune"]["plain/T1"] == {"value": 0.3, "tokens": 650, "step": 20, "per_seed": [0.3]}
    assert "650 tokens" in tables.of_equal_tokens(found)[0].title
    assert studies._at_equal_tokens({"semrep": ours, "finetune": [{"curve": []}]}) == {} == studies._at_equal_tokens({})
