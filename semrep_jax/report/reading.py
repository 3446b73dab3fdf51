"""What lies in a work directory, read without changing anything: of a run that has ended, runs now, or was stopped.

    run = read(Path("runs/quickstart"))
    run.state, run.step, run.total           # State.FINISHED, 24, 24
    run.metrics["semrep"][0]["reward"]       # a row of arms/semrep/metrics.jsonl

A run in progress has no `results.json` yet, and a last line of a JSON-lines file may be cut short; everything else that
does not read as it should is a ReportError of one line that names the file and the way out.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from semrep_jax.core.errors import SemRepError, first_line
from semrep_jax.report.labels import in_order

Row = dict[str, Any]  # a line of metrics.jsonl, curve.jsonl or samples.jsonl
NEEDED = ("job", "seed", "config_sha256", "arms", "rows", "differences", "costs", "tables", "notes", "verdict")
IN_A_LINE = {  # of a JSON-lines file, by its name, beside "step"
    "metrics.jsonl": (),
    "curve.jsonl": ("tokens", "suite", "turns", "value", "low", "high"),
    "samples.jsonl": ("group", "task", "source", "c_rep", "completion", "status", "duplicate", "feedback"),
}
CELL = "cell.json"  # what a cell of a sweep ends with, in the place of results.json
ALONE = "base"  # the arm of a job that trains one model at the top of its work directory


class ReportError(SemRepError):
    """There is nothing to make a report of."""


class State(StrEnum):
    """How far a run is."""

    FINISHED = "finished"
    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Measurement:
    """A file of evaluation/: one arm on one suite at T turns, as it was written."""

    arm: str
    suite: str
    turns: int
    content: Row


@dataclass(frozen=True)
class Run:
    """A work directory.

    path: where. state: how far it is. results: of results.json; None before the run has ended, and in a cell of a
    sweep. config: the resolved
    settings. metrics, curves: rows by arm, of arms/*/metrics.jsonl and arms/*/curve.jsonl. measurements: of
    evaluation/, arms in order.
    """

    path: Path
    state: State
    results: Row | None
    config: Row
    metrics: dict[str, list[Row]]
    curves: dict[str, list[Row]]
    measurements: tuple[Measurement, ...]

    @property
    def job(self) -> str:
        """The name of its job."""
        return str(self.results["job"] if self.results else self.config.get("job", "run"))

    @property
    def seed(self) -> int:
        """Its seed."""
        return int(self.results["seed"] if self.results else self.config.get("seed", 0))

    @property
    def arms(self) -> list[str]:
        """Every arm that anything is known of, in order."""
        measured = {one.arm for one in self.measurements}
        return in_order({*(self.results or {}).get("arms", {}), *self.metrics, *measured})

    @property
    def step(self) -> int:
        """Optimiser steps that the newest arm has taken."""
        return max((rows[-1]["step"] + 1 for rows in self.metrics.values()), default=0)

    @property
    def total(self) -> int:
        """B, or the steps of a warm start; 0 for a job that trains nothing."""
        section, key = ("supervised", "steps") if self.job == "pretrain" else ("train", "budget")
        return int(self.config.get(section, {}).get(key, 0)) if self.metrics else 0

    @cached_property
    def duplicate_rule(self) -> str:
        """`reward.duplicate`: which repetitions of C_src count as copies."""
        return str(self.config.get("reward", {}).get("duplicate", "canonical"))

    def samples(self, arm: str) -> Iterator[Row]:
        """The rows of an arm's samples.jsonl, one at a time; none where it has none."""
        path = _directories(self.path).get(arm, self.path) / "samples.jsonl"
        return _lines(path) if path.exists() else iter(())


def read(path: Path) -> Run:
    """A work directory, whatever there is of it. Raises ReportError."""
    if not path.is_dir():
        raise ReportError(f"{path} is no directory; name the work_dir of a run")
    results = _results(path / "results.json")
    metrics = _rows_by_arm(path, "metrics.jsonl")
    config = _config(path / "config.yaml")
    if results is None and not config:
        raise ReportError(f"{path} holds no run (neither results.json nor config.yaml); name the work_dir of one")
    ended = results is not None or (path / CELL).exists()
    state = State.FINISHED if ended else State.RUNNING if _held(path) else State.STOPPED
    curves = _rows_by_arm(path, "curve.jsonl")
    measurements = [_measurement(file) for file in sorted(path.glob("evaluation/*.json"))]
    order = in_order({one.arm for one in measurements})
    measurements.sort(key=lambda one: (one.turns, order.index(one.arm)))
    return Run(path, state, results, config, metrics, curves, tuple(measurements))


def _results(path: Path) -> Row | None:
    found = _json(path, "finish that run again: its command goes on from there") if path.exists() else None
    if found is None:
        return None
    missing = [key for key in NEEDED if not isinstance(found, dict) or key not in found]
    if missing:
        raise ReportError(
            f"{path} is of another version (no {', '.join(missing)}); run the job again in a new work_dir"
        )
    return dict(found)


def _config(path: Path) -> Row:
    if not path.exists():
        return {}
    try:
        found = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ReportError(f"{path} is not YAML ({first_line(error)}); run the job again in a new work_dir") from error
    return found if isinstance(found, dict) else {}


def _measurement(path: Path) -> Measurement:
    content = _json(path, "delete it, and give the run's command again")
    try:
        suite, turns = content["suite"], int(content["turns"])
        assert isinstance(content["correct"], list) and isinstance(content["examples"], list)
    except (TypeError, KeyError, ValueError, AssertionError) as error:
        raise ReportError(f"{path} is of another version; delete it, and give the run's command again") from error
    return Measurement(path.stem.removesuffix(f"-{suite}-T{turns}"), suite, turns, content)


def _json(path: Path, mend: str) -> Any:
    try:
        return json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise ReportError(f"{path} is not whole JSON ({first_line(error)}); {mend}") from error


def _directories(path: Path) -> dict[str, Path]:
    """Where each arm that was trained left its files."""
    arms = {folder.name: folder for folder in path.glob("arms/*") if folder.is_dir()}
    return {arm: arms[arm] for arm in in_order(arms)} or {ALONE: path}


def _rows_by_arm(path: Path, name: str) -> dict[str, list[Row]]:
    files = {arm: folder / name for arm, folder in _directories(path).items()}
    found = {arm: list(_lines(file)) for arm, file in files.items() if file.exists()}
    return {arm: rows for arm, rows in found.items() if rows}


def _lines(path: Path) -> Iterator[Row]:
    """The objects of a JSON-lines file; a last line that a kill cut short, or that is being written, is left out."""
    broken: ReportError | None = None
    with path.open(errors="replace") as file:
        for number, line in enumerate(file, 1):
            if broken is not None:
                raise broken
            try:
                row = json.loads(line)
                row["step"] = int(row["step"])
            except (ValueError, TypeError, KeyError):
                mend = "give the run's command again: it goes on from its newest checkpoint and writes what is lost"
                broken = ReportError(f"{path}: line {number} is no object with a step; {mend}")
                continue
            missing = [key for key in IN_A_LINE[path.name] if key not in row]
            if missing:
                raise ReportError(
                    f"{path} is of another version (no {', '.join(missing)} in line {number}); run the job again in a "
                    "new work_dir"
                )
            yield row


def _held(path: Path) -> bool:
    """Whether a process holds the work directory (`core.workdir`)."""
    try:
        with (path / ".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
