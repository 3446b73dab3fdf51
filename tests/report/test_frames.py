"""`semrep_jax.load_run`: a run as tables of pandas."""

from __future__ import annotations

import subprocess
import sys

import made_run as made
import pytest

import semrep_jax
from semrep_jax.report.frames import MissingExtra
from semrep_jax.report.reading import ReportError

pandas = pytest.importorskip("pandas", reason='needs the extra notebook: pip install -e ".[notebook]"')


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = made.run(tmp_path_factory.mktemp("runs") / "run")
    made.curve(path)
    return semrep_jax.load_run(path)


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, semrep_jax; print([m for m in ('jax', 'numpy', 'pandas', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_name_that_the_package_has_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        semrep_jax.no_such_name  # noqa: B018


def test_every_table_holds_what_the_files_hold(run):
    assert (run.job, run.seed, run.state, run.step, run.total) == ("compare", 0, "finished", 6, 6)
    assert run.metrics.groupby("arm").size().to_dict() == {"finetune": made.STEPS, "semrep": made.STEPS}
    assert run.curve.query("arm == 'semrep' and turns == 2")["value"].tolist() == pytest.approx([0.3, 0.45, 0.6])
    assert run.results.query("arm == 'semrep' and metric == 'correctness' and turns == 1")["value"].item() == 0.7
    assert run.results.query("metric == 'train_steps'")["turns"].tolist() == [0, 0, 0]
    assert run.differences["compared"].unique().tolist() == ["T1", "T2", "T2 against T1"]
    assert run.tasks.groupby("arm")["correct"].mean().to_dict() == {"base": 0.0, "finetune": 0.0, "semrep": 1.0}
    assert len(run.examples) == 3 * 2 * 2 * 2 and run.examples["source"].eq(made.SOURCE).all()


def test_samples_say_why_each_was_rejected(run):
    assert run.samples.query("arm == 'semrep'")["reason"].value_counts().to_dict() == dict.fromkeys(
        ("accepted", "duplicate", "failing", "hack"), made.STEPS
    )


def test_a_run_in_progress_has_the_tables_that_it_has_and_empty_ones_with_their_columns(tmp_path):
    run = semrep_jax.load_run(made.run(tmp_path / "run", finished=False))
    assert run.state == "stopped" and len(run.metrics) == 6 and run.verdict == ""
    for table in (run.results, run.differences, run.curve, run.tasks, run.examples):
        assert table.empty and len(table.columns) >= 6


def test_a_directory_that_is_no_run_is_one_line(tmp_path):
    with pytest.raises(ReportError, match="holds no run"):
        semrep_jax.load_run(tmp_path)


def test_without_pandas_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r'pip install -e "\.\[notebook\]"'):
        semrep_jax.load_run(tmp_path)
