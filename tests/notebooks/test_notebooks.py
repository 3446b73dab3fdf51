"""The notebooks: executed from beginning to end on the run that is kept beside them, and kept as they came out."""

from __future__ import annotations

import re
from pathlib import Path

import made_run
import pytest

from semrep_jax.cuda.gpu.nvrtc import Compiler, CompilerError
from semrep_jax.report.reading import read

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = ("analyse_run", "replicate_tables", "rewrite_gallery", "kernel_timing")
EXTRA = 'needs the extra notebook: pip install -e ".[notebook]"'
LARGEST = 300_000  # bytes of a notebook
LARGEST_RUN = 500_000

nbformat = pytest.importorskip("nbformat", reason=EXTRA)
nbclient = pytest.importorskip("nbclient", reason=EXTRA)
pytest.importorskip("pandas", reason=EXTRA)
pytest.importorskip("ipykernel", reason=EXTRA)


def kept(name: str):
    return nbformat.read(FOLDER / f"{name}.ipynb", 4)


def executed(name: str, monkeypatch, **variables: str):
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    book = kept(name)
    nbclient.NotebookClient(book, timeout=180, resources={"metadata": {"path": str(FOLDER)}}).execute()
    return book


def said(book) -> str:
    """What a notebook prints and the tables it shows, as text."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def test_the_four_notebooks_are_there_and_each_has_a_line_in_the_readme():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)
    readme = (FOLDER / "README.md").read_text()
    assert all(f"({name}.ipynb)" in readme for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_small_and_holds_clean_outputs_of_every_cell_in_order(name):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < LARGEST
    cells = [cell for cell in kept(name).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs and not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert not re.search(r"/(home|root|tmp|work|Users)/", said(kept(name)))


def test_the_kept_run_is_small():
    files = [path for path in (FOLDER / "results" / "quickstart").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST_RUN


@pytest.mark.parametrize("name", ["analyse_run", "replicate_tables", "rewrite_gallery"])
def test_a_notebook_says_again_what_it_said_when_it_was_kept(name, monkeypatch):
    words = [re.sub(r"<Figure size .*>", "", said(book)) for book in (kept(name), executed(name, monkeypatch))]
    assert words[0] == words[1]


def test_the_tables_are_those_of_the_kept_run():
    found = read(FOLDER / "results" / "quickstart").results
    value = found["arms"]["semrep"]["correctness/T2"]
    assert f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" in said(kept("analyse_run"))


def test_without_a_run_the_claims_are_neither_confirmed_nor_refuted(monkeypatch, tmp_path):
    text = said(executed("replicate_tables", monkeypatch, SEMREP_RUNS=str(tmp_path)))
    assert "No run, no claim" in text and "no comparison to replicate with" in text


def test_kernels_are_judged_without_a_gpu_and_no_time_is_claimed(monkeypatch):
    try:
        Compiler(1).close()
    except CompilerError as error:
        pytest.skip(f"needs NVRTC: {error}")
    text = said(executed("kernel_timing", monkeypatch))
    assert text.count(" ok ") >= 10 and "registers" in text and "occupancy" in text
    assert "no kernel was timed in this run" in text and "wrong" not in text


def test_a_held_out_curve_and_a_run_in_progress_can_be_analysed(monkeypatch, tmp_path):
    path = made_run.run(tmp_path / "run", finished=False)
    made_run.curve(path)
    book = executed("analyse_run", monkeypatch, SEMREP_RUN=str(path))
    assert "stopped, 3 of 6 steps" in said(book) and "compares no two arms" in said(book)
    drawn = [cell for cell in book.cells if cell.cell_type == "code" and "image/png" in str(cell.outputs)]
    assert any("run.curve" in cell.source for cell in drawn)
