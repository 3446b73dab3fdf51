"""A run as tables of pandas, for notebooks: what `semrep_jax.load_run` gives.

    run = semrep_jax.load_run("runs/quickstart")
    run.metrics.groupby("arm")["reward"].mean()
    run.results.query("metric == 'correctness'")[["arm", "turns", "value", "low", "high"]]

Works on a run that has ended, runs now, or was stopped; a table of what is not there (yet) has its columns and no rows.
Needs the extra `notebook`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semrep_jax.core.errors import SemRepError
from semrep_jax.report import reasons
from semrep_jax.report.labels import LABELS
from semrep_jax.report.reading import Row, Run, read

if TYPE_CHECKING:
    from pandas import DataFrame

ESTIMATE = ("value", "low", "high", "n")


class MissingExtra(SemRepError):
    """A package of the extra `notebook` is not installed."""


def load_run(path: str | Path) -> LoadedRun:
    """A work directory as tables.

    path: the `work_dir` of a run. Raises MissingExtra without pandas, and ReportError, in one line with the way out,
    where the directory is none, broken or of another version.
    """
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise MissingExtra('load_run needs pandas; pip install -e ".[notebook]"') from error
    return LoadedRun(read(Path(path)))


class LoadedRun:
    """A run's facts, and its tables, each read when it is first asked for.

    path, job, seed, state ("finished", "running" or "stopped"), step and total (optimiser steps taken, and B), config
    (the resolved settings), verdict (the job's sentence, "" before its end), labels (of arms, for a legend).
    """

    def __init__(self, run: Run):
        self.run = run
        self.path, self.job, self.seed, self.state = run.path, run.job, run.seed, str(run.state)
        self.step, self.total, self.config = run.step, run.total, run.config
        self.verdict = str((run.results or {}).get("verdict", ""))
        self.labels = {arm: LABELS.get(arm, arm) for arm in run.arms}

    def __repr__(self) -> str:
        return f"<{self.job} {self.path}, seed {self.seed}, {self.state}, arms {', '.join(self.run.arms)}>"

    @cached_property
    def metrics(self) -> DataFrame:
        """A row a step: `arm`, `step` (from 0) and all that metrics.jsonl holds."""
        return _frame(_with_arm(self.run.metrics), ("arm", "step"))

    @cached_property
    def curve(self) -> DataFrame:
        """The held-out curve: `arm`, `step` (of B; 0 is the base), `tokens`, `seconds`, `suite`, `turns`, `value`,
        `low`, `high`, `n`."""
        columns = ("arm", "step", "tokens", "seconds", "suite", "turns", *ESTIMATE)
        return _frame(_with_arm(self.run.curves), columns)

    @cached_property
    def samples(self) -> DataFrame:
        """A row a rollout of the training: `arm`, `step`, `task`, `source`, `c_rep`, `completion`, `status`, `reward`,
        ..., and `reason`: why it was rejected, or "accepted"."""
        rule = self.run.duplicate_rule
        rows = (
            {"arm": arm} | sample | {"reason": reasons.reason(sample, rule)}
            for arm in self.run.metrics
            for sample in self.run.samples(arm)
        )
        return _frame(rows, ("arm", "step", "task", "source", "c_rep", "completion", "status", "reward", "reason"))

    @cached_property
    def results(self) -> DataFrame:
        """A row a figure: `arm`, `metric` (without its /T), `turns` (0 for a figure that has none), `title` ("" for one
        that the report's table leaves out), `value`, `low`, `high`, `n`."""
        found = self.run.results or {}
        titles = {row["metric"]: row["title"] for row in found.get("rows", ())}
        rows = [
            {"arm": arm} | _named(key) | {"title": titles.get(key, "")} | value
            for arm, values in found.get("arms", {}).items()
            for key, value in values.items()
        ]
        return _frame(rows, ("arm", "metric", "turns", "title", *ESTIMATE))

    @cached_property
    def differences(self) -> DataFrame:
        """SemRep minus fine-tuning (of a sweep: its primary pair), paired by task: `metric`, `compared` ("T1", "T2", or
        "T2 against T1" for the first one's T=2 against the other's T=1), `value`, `low`, `high`, `n`."""
        found = (self.run.results or {}).get("differences", {})
        rows = [dict(zip(("metric", "compared"), key.rsplit("/", 1), strict=True)) | gap for key, gap in found.items()]
        return _frame(rows, ("metric", "compared", *ESTIMATE))

    @cached_property
    def tasks(self) -> DataFrame:
        """A row a sample of the evaluation: `arm`, `suite`, `turns`, `task`, `sample`, `correct`, `speedup` (NaN where
        it was not timed)."""
        return _frame(self._judged(), ("arm", "suite", "turns", "task", "sample", "correct", "speedup"))

    def _judged(self) -> Iterator[Row]:
        for one in self.run.measurements:
            shared = {"arm": one.arm, "suite": one.suite, "turns": one.turns}
            speedups = one.content.get("speedups")
            for index, (task, row) in enumerate(zip(one.content["task_ids"], one.content["correct"], strict=True)):
                for sample, correct in enumerate(row):
                    speedup = speedups[index][sample] if speedups else None
                    yield shared | {"task": task, "sample": sample, "correct": correct, "speedup": speedup}

    @cached_property
    def examples(self) -> DataFrame:
        """A row a worked example: `arm`, `suite`, `turns`, `task`, `family`, `kind`, `instruction`, `source`, `rewrite`
        (None where none was accepted), `edit`, `status`, `feedback`."""
        rows = (
            {"arm": one.arm, "suite": one.suite, "turns": one.turns} | example
            for one in self.run.measurements
            for example in one.content["examples"]
        )
        columns = ("task", "family", "kind", "instruction", "source", "rewrite", "edit", "status", "feedback")
        return _frame(rows, ("arm", "suite", "turns", *columns))


def _with_arm(by_arm: dict[str, list[Row]]) -> Iterator[Row]:
    for arm, rows in by_arm.items():
        yield from ({"arm": arm} | row for row in rows)


def _named(key: str) -> dict[str, Any]:
    metric, _, turns = key.rpartition("/T")
    return {"metric": metric, "turns": int(turns)} if metric and turns.isdigit() else {"metric": key, "turns": 0}


def _frame(rows: Iterable[Row], columns: Sequence[str]) -> DataFrame:
    """The rows as a table; these columns are there, and first, even where no row is."""
    import pandas

    held = list(rows)
    found = dict.fromkeys([*columns, *(key for row in held for key in row)])
    return pandas.DataFrame(held, columns=list(found))
