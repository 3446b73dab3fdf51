"""The page of a run: what it shows, that it needs nothing beside itself, and what it refuses."""

from __future__ import annotations

import fcntl
import json
import re
from html.parser import HTMLParser

import made_run as made
import numpy as np
import pytest

from semrep_jax import main
from semrep_jax.core.results import Results, Table, exact
from semrep_jax.core.workdir import WorkDir
from semrep_jax.report import bands, code, curves, forest, html, kernels, reasons, terminal
from semrep_jax.report.code import ADDED, CHANGED, EMPTY, GONE, SAME
from semrep_jax.report.panels import Panel, Series
from semrep_jax.report.reading import State, read

TIMING = {"reference_ms": 2.0, "candidate_ms": 1.0, "speedup": 2.0, "low": 1.9, "high": 2.1, "kept": 30, "dropped": 0}
TIMING |= {"roofline": 0.4, "device": "NVIDIA H100 80GB HBM3"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = made.run(tmp_path_factory.mktemp("runs") / "run")
    made.curve(path)
    return path


@pytest.fixture(scope="module")
def page(run) -> str:
    return html.write(run).read_text()


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [of for _, of in self.found if name in (of.get("class") or "").split()]


def test_the_page_is_one_file_that_asks_for_nothing_from_outside(page):
    reaching = [of[name] for _, of in Elements(page).found for name in ("src", "href") if of.get(name)]
    assert reaching and all(link.startswith("#") for link in reaching)
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]+)\)", page)) and "@import" not in page


def test_programs_and_instructions_are_shown_as_text(page):
    assert "do &lt;b&gt;it&lt;/b&gt;" in page and "<b>it</b>" not in page and "f([1]) &amp; so on" in page


def test_plots_take_every_colour_from_the_pages_two_themes(page):
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.S)
    assert len(drawings) >= 8 and all("var(--" in svg and "#fe" not in svg for svg in drawings)
    assert not re.findall(r"(?:fill|stroke): #", "".join(drawings))
    ids = re.findall(r'\bid="([^"]+)"', "".join(drawings))
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"var\(--([\w-]+)\)", page)) - {"c", "from", "width", "at"}
    assert used <= set(re.findall(r"--([\w-]+): light-dark\(", page))


def test_a_plot_has_no_fixed_size_and_keeps_its_text_as_text(page):
    drawings = re.findall(r"<svg[^>]*>", page)
    assert all("viewBox" in svg and "width=" not in svg for svg in drawings)
    assert "optimiser steps of B</text>" in page


def test_an_axis_says_its_numbers_in_full():
    xs = np.array([1.0, 2.0, 3.0])
    drawn = Panel("small", "steps", (Series("one", "base", xs, np.array([0.2451, 0.2452, 0.2453])),)).svg()
    written = re.findall(r">(0\.2\d+)</text>", drawn)
    assert len(set(written)) == len(written) >= 3


def test_a_task_is_one_card_with_its_source_once_a_view_and_the_arms_beside_each_other(page):
    elements = Elements(page)
    cards, views = elements.of_class("card"), elements.of_class("view")
    assert [card["data-suite"] for card in cards] == ["correctness"] * 2 + ["new_kinds"] * 2
    assert len(views) == 3 * len(cards)
    assert page.count("<th>source</th>") == len(views)
    heads = [of for tag, of in elements.found if tag == "th" and "data-arm" in of]
    assert [of["data-arm"] for of in heads[:3]] == ["base", "semrep", "finetune"]


def test_arms_that_wrote_the_same_share_one_column_on_a_phone(page):
    sections = [of["data-arm"] for tag, of in Elements(page).found if tag == "section"]
    assert sections[:2] == ["base finetune", "semrep"]


def test_filters_offer_what_there_is(page):
    choices = re.findall(r'<option value="([^"]+)"', page)
    assert choices == ["base", "semrep", "finetune", "correctness", "new_kinds", "ok", "wrong"]


def test_a_difference_is_marked_only_where_its_interval_leaves_out_zero(page):
    assert len(Elements(page).of_class("win")) == 4 + 2 and not Elements(page).of_class("loss")
    assert "SemRep − fine-tuning: a rewrite first (T=2)" in page and "+0.100 <span class=ci>[+0.050, +0.150]" in page


def test_the_held_out_curve_is_drawn_against_steps_and_against_tokens(run):
    source = curves.Source("SemRep", "semrep", [read(run).curves["semrep"]])
    by_steps, by_tokens = (curves.held_out([source], {}, against)[0] for against in (curves.STEPS, curves.TOKENS))
    direct, after = by_steps.series
    assert direct.xs.tolist() == [0, 3, 6] and by_tokens.series[0].xs.tolist() == [0, 300, 600]
    assert direct.low.tolist() == pytest.approx([0.2, 0.35, 0.5]) and after.dashed and not direct.dashed


def test_a_stage_is_a_line_of_its_own_and_its_end_is_marked(run):
    source = curves.Source("SemRep", "semrep", [read(run).metrics["semrep"]])
    panel = curves.panels([source], curves.TRAINING)[0]
    assert [(line.name, line.dashed, line.xs.tolist()) for line in panel.series] == [
        ("SemRep, stage 1", True, [1, 2]),
        ("SemRep", False, [3, 4, 5, 6]),
    ]
    assert panel.marks == ((2.5, "semrep"),)


def test_the_band_of_one_run_is_students_interval_of_the_steps_around(run):
    found = bands.around(np.array([1.0, 2.0, 3.0]), 3)
    assert found.middle.tolist() == [1.5, 2.0, 2.5]
    assert found.high[1] - 2.0 == pytest.approx(4.302653 / np.sqrt(3), rel=1e-5)  # t of 2 degrees, deviation 1


def test_a_rollout_has_one_reason_and_a_copy_is_a_copy_first():
    rows = [{"step": 0} | made.sample(*rollout) for rollout in made.ROLLOUTS]
    assert reasons.for_steps(rows, "canonical") == {0: {"accepted": 1, "duplicate": 1, "failing": 1, "hack": 1}}
    assert reasons.for_steps(rows, "exact") == {0: {"accepted": 2, "failing": 1, "hack": 1}}
    assert reasons.reason(made.sample("a word of another language", "none"), "exact") == "unknown"


def test_reasons_without_samples_come_from_the_logged_statuses_and_add_up():
    found = reasons.from_metrics([{"step": 0, "status/ok": 0.75, "status/wrong": 0.25, "duplicates": 0.25}])
    assert found == {0: {"accepted": 0.5, "duplicate": 0.25, "failing": 0.25}}


def test_rejections_are_areas_that_fill_the_plot(run):
    counts = reasons.for_steps(read(run).samples("semrep"), "canonical")
    panel = curves.rejections("SemRep", counts)
    assert np.allclose(sum(line.ys for line in panel.series), 1.0)
    assert panel.names == ["accepted", "failing a test", "a copy of C_src", "a hack, or banned"]


def test_lines_of_a_version_stand_beside_the_lines_they_were():
    rows = list(code.aligned("a\nb\nc", ["a\nB\nnew\nc", "a\nc"], "text"))
    assert [[cell.change for cell in row] for row in rows] == [
        [SAME, SAME, SAME],
        [SAME, CHANGED, GONE],
        [EMPTY, ADDED, EMPTY],
        [SAME, SAME, SAME],
    ]
    assert [str(row[1].code) for row in rows] == ["a", "B", "new", "c"]


def test_no_line_of_a_version_is_lost_where_the_source_ends_in_a_newline():
    for source, version in (
        ("a\n", "a\nb\nc"),
        ("def f():\n    return 1\n", "def f():\n    x = 1\n    return x\n"),
        ("a\n", "a\n"),
        ("a\n\n", "b\n"),
    ):
        cells = [row[1] for row in code.aligned(source, [version], "text")]
        told = [str(cell.code) for cell in cells if cell.change not in (EMPTY, GONE)]
        assert told == version.rstrip("\n").split("\n"), (source, version)


def test_one_column_leaves_out_what_is_far_from_a_change():
    numbered = [f"line {i}" for i in range(20)]
    changed = [*numbered[:10], "another", *numbered[11:]]
    cells = code.unified("\n".join(numbered), "\n".join(changed), "text")
    assert [cell.change for cell in cells] == [EMPTY, SAME, SAME, SAME, GONE, ADDED, SAME, SAME, SAME]


@pytest.mark.parametrize("text", ["", "\n", "\n\nx\n", "a\r\nb", "x = '''\ny'''", "\x00\t\u2028x"])
def test_any_text_can_be_set_beside_a_program(text):
    for row in code.aligned(made.SOURCE, [text, made.EDIT], "python"):
        assert len(row) == 3
    assert code.unified(made.SOURCE, text, "no such language")


def test_half_a_character_in_a_program_does_not_cost_the_page(tmp_path):
    path = made.run(tmp_path / "run")
    one = made.measured("semrep", "correctness", 2).to_json()
    one["examples"][0]["edit"] = "x = '\ud800'"
    (path / "evaluation" / "semrep-correctness-T2.json").write_text(json.dumps(one))
    assert "<html" in html.write(path).read_text()


def test_kernel_times_are_shown_where_something_was_timed_and_nowhere_else(tmp_path, page):
    assert "Kernel times" not in page
    path = made.run(tmp_path / "run")
    one = made.measured(
        "semrep", "correctness", 1, speedups=[[1.5, 2.0], [None, None]], timings=[[None, TIMING]] + [[None] * 2]
    )
    (path / "evaluation" / "semrep-correctness-T1.json").write_text(json.dumps(one.to_json()))
    found = kernels.times(read(path))
    assert [(time.task, time.speedup, time.device_ms) for time in found] == [("correctness/0", 2.0, 0.4)]
    share = kernels.fast_p(read(path))[0].series[0]
    assert share.ys[np.isclose(share.xs, 1.0)].tolist() == [0.5] and share.ys[-1] == 0
    text = html.page(read(path))
    assert "NVIDIA H100 80GB HBM3" in text and "40 %" in text and "Kernel times" in text


def of_job(path, job: str, found: Results):
    work = WorkDir(path, {"job": job})
    work.write("config.yaml", f"job: {job}\nsupervised: {{steps: 9}}\n")
    work.write("results.json", found.to_json(job, "0" * 64, 0))
    work.close()
    return path


def test_every_shape_of_results_has_a_page(tmp_path):
    listed = Table("what <was> mined", ("package", "functions"), (("numpy", "3"),))
    pages = {
        "mine": Results({"mined": {"functions": exact(3)}}, 1.0, "3 functions", tables=(listed,)),
        "plan": Results({"update": {"fits": exact(1)}}, 1.0, "v5e:8x8: everything fits"),
        "pretrain": Results({"base": {"loss": exact(0.5)}}, 1.0, "loss 0.5"),
    }
    for job, found in pages.items():
        path = of_job(tmp_path / job, job, found)
        if job == "pretrain":
            lines = [{"step": step, "loss": 1.0 / (step + 1), "tokens_per_s": 9.0} for step in range(9)]
            (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        text = html.write(path).read_text()
        assert found.verdict in text and ("<svg" in text) is (job == "pretrain")
    assert "what &lt;was&gt; mined" in (tmp_path / "mine" / "report.html").read_text()


def test_a_run_in_progress_has_a_page_that_says_how_far_it_is(tmp_path, capsys):
    path = made.run(tmp_path / "run", finished=False)
    with (path / "arms" / "semrep" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "rew')  # a line that is being written
    with (path / ".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main.main(["report", str(path)]) == 0
    text = (path / "report.html").read_text()
    said = "still running, SemRep at step 3, fine-tuning only at step 3 of 6"
    assert said in text and said in capsys.readouterr().out
    assert "what was sampled" in text and "training, step 3" in text and "reverse it" in text


def test_a_run_that_was_stopped_says_how_it_goes_on(tmp_path):
    found = read(made.run(tmp_path / "run", finished=False))
    assert found.state is State.STOPPED
    text = html.page(found)
    assert "stopped, SemRep at step 3, " in text and "goes on from there" in text


def test_a_study_says_which_arms_it_compares_and_that_seeds_are_in_its_intervals(tmp_path):
    path = made.run(tmp_path / "run")
    results = json.loads((path / "results.json").read_text())
    results |= {"compared": ["stage1", "guided"], "seeds": [0, 1]}
    (path / "results.json").write_text(json.dumps(results))
    text = html.page(read(path))
    assert "<th>stage 1 only − guided</th>" in text and "SemRep − fine-tuning" not in text
    assert "interval over seeds and tasks." in text
    figures = terminal.tables(results)[0]
    assert figures.columns[-1].header == "stage 1 only − guided" and "over seeds and tasks" in figures.title


def test_a_study_draws_every_difference_that_it_found_and_a_figure_of_the_same(tmp_path):
    def found(value: float, **of: object) -> dict[str, object]:
        return {"axis": "robust", "setting": "half", "value": value, "low": value - 0.01, "high": value + 0.01, **of}

    path = made.run(tmp_path / "run")
    results = json.loads((path / "results.json").read_text()) | {"compared": ["semrep", "finetune"], "seeds": [0, 1]}
    results["contrasts"] = [
        found(0.1, ours="semrep", theirs="finetune", turns=[1, 1]),
        found(0.2, ours="semrep", theirs="finetune", turns=[2, 1]),
        found(0.3, ours="semrep", theirs="finetune", turns=[2, 2]),
        found(0.4, ours="semrep", theirs="base", turns=[1, 1]),
        found(-0.1, ours="stage1", theirs="finetune", turns=[2, 1]),
    ]
    results["changes"] = [found(0.5, setting="tenth", main="half", arm="semrep", turns=2)]
    (arms,), (settings,) = forest.of_arms(results), forest.of_settings(results)
    values = {name: {turns: one["value"] for turns, one in row.items()} for name, row in arms.rows.items()}
    assert values == {"SemRep": {1: 0.1, 2: 0.2}, "stage 1 only": {2: -0.1}}  # minus fine-tuning that edits directly
    assert settings.title == "SemRep: robust" and settings.rows["tenth"][2]["value"] == 0.5
    assert settings.legend == [("a rewrite first (T=2)", "semrep", "line")]
    (path / "results.json").write_text(json.dumps(results))
    text = html.page(read(path))
    assert "<h2 id=differences>" in text and "<h2 id=changes>" in text and "stage 1 only</text>" in text
    assert forest.png([arms, settings, arms]).startswith(b"\x89PNG")


def test_the_terminal_shows_the_same_tables(run):
    assert len(terminal.tables(json.loads((run / "results.json").read_text()))) == 2


def test_curves_are_written_as_a_picture_too(run, tmp_path):
    assert main.main(["report", str(run), "--curves", str(tmp_path / "c.png")]) == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


BROKEN = {
    "results.json": ('{"job": "comp', "is not whole JSON"),
    "results.json ": ('{"job": "compare", "arms": {}}', "is of another version"),
    "arms/semrep/metrics.jsonl": ('{"step": 0}\nbroken\n{"step": 2}\n', "line 2 is no object with a step"),
    "arms/semrep/samples.jsonl": ('{"step": 0}\n', "is of another version (no group"),
    "arms/semrep/curve.jsonl": ('{"step": 0, "suite": "correctness"}\n', "is of another version (no tokens"),
    "evaluation/base-correctness-T1.json": ("{", "is not whole JSON"),
    "evaluation/base-correctness-T2.json": ('{"suite": "correctness"}', "is of another version"),
    "config.yaml": ("a: [", "is not YAML"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_in_one_line_and_nothing_is_overwritten(name, tmp_path, capsys):
    path = made.run(tmp_path / "run")
    (path / "report.html").write_text("the old page")
    content, why = BROKEN[name]
    (path / name.strip()).write_text(content)
    assert main.main(["report", str(path)]) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said and why in said and name.strip() in said and ";" in said
    assert (path / "report.html").read_text() == "the old page"


def test_what_is_no_run_is_refused(tmp_path, capsys):
    for path, why in ((tmp_path, "holds no run"), (tmp_path / "gone", "is no directory")):
        assert main.main(["report", str(path)]) == 2
        assert why in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
