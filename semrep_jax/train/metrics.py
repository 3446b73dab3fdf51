"""What a run leaves behind while it runs: metrics.jsonl, samples.jsonl, TensorBoard events, a W&B run where one is
asked for. README.md lists every metric.

The JSON-lines files are cut back to the restored step on resume, so that a killed and resumed run leaves the same lines
as an uninterrupted one.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar

from semrep_jax.core.progress import console
from semrep_jax.train.monitoring import Monitoring
from semrep_jax.train.wandb_run import WandbRun


class JsonLines:
    """An append-only file of JSON objects with a "step" each, cut to `before` at opening; lost: steps before that which
    it no longer has."""

    def __init__(self, path: Path, before: int):
        self.path = path
        rows = self.read(path, before)
        kept = [json.dumps(row, allow_nan=False) for row in rows]
        self.lost = _lost([row["step"] for row in rows], before)
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(line + "\n" for line in kept))
        temporary.replace(path)
        self.file = path.open("a")

    @staticmethod
    def read(path: Path, before: int) -> list[dict[str, Any]]:
        """The objects of steps below `before`; a line that a kill cut short, or another hand spoilt, ends them."""
        rows = []
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                break  # everything from here on is written again
            if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                break
            if row["step"] < before:
                rows.append(row)
        return rows

    def write(self, step: int, row: dict[str, Any]) -> None:
        """Append one object."""
        self.file.write(json.dumps({"step": step} | row, allow_nan=False) + "\n")
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _lost(steps: list[int], before: int) -> range:
    """The steps below `before` that a file which was written up to there lacks at its end; a row may be of several."""
    usual = max((b - a for a, b in pairwise(steps)), default=before)
    last = steps[-1] if steps else -1
    return range(last + 1, before) if before - last > max(usual, 1) else range(0)


class _Board:
    """TensorBoard events, written by this thread, so that a full disk is this thread's error and nobody's traceback.

    directory: of the event files. before: the first step that will be written; later ones are purged.
    """

    def __init__(self, directory: Path, before: int):
        directory.mkdir(parents=True, exist_ok=True)
        self.events = EventsWriter(str(directory / "events"))
        if before:
            self.events.write_event(Event(wall_time=time.time(), step=before, session_log={"status": "START"}))

    def write(self, step: int, metrics: dict[str, Any]) -> None:
        """The finite numbers among a step's metrics."""
        for name, value in metrics.items():
            if isinstance(value, (int, float)) and math.isfinite(value):
                self.events.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))
        self.events.flush()

    def close(self) -> None:
        """Flush and close."""
        self.events.close()


def _plain(value: Any) -> Any:
    """A metric as JSON has it: rounded, and null for what is no number there."""
    if not isinstance(value, float):
        return value
    return round(value, 6) if math.isfinite(value) else None


class Recorder:
    """Metrics of one run to a file, to TensorBoard and to W&B, and its samples.

    directory: of all of them. before: the first step that will be written. writes: of the processes of a run one does;
    the others' recorders do nothing. monitoring: whether W&B is asked for. config: flat settings, which it shows.
    """

    def __init__(
        self,
        directory: Path,
        before: int = 0,
        writes: bool = True,
        monitoring: Monitoring | None = None,
        config: dict[str, Any] | None = None,
    ):
        self.writes = writes
        if not writes:
            return
        directory.mkdir(parents=True, exist_ok=True)
        self.lines = JsonLines(directory / "metrics.jsonl", before)
        if lost := self.lines.lost:
            console.print(
                f"{self.lines.path} was damaged: its rows of steps {lost.start} to {lost[-1]} are lost; the training "
                "is not, and goes on",
                highlight=False,
                soft_wrap=True,
            )
        self.samples = JsonLines(directory / "samples.jsonl", before)
        self.board = _Board(directory / "tensorboard", before)
        self.wandb: WandbRun | None = None
        self.start_wandb: Callable[[], WandbRun] | None = None  # with the first step: a finished run has none to log
        if monitoring is not None and monitoring.logging.wandb:
            self.start_wandb = partial(WandbRun, monitoring.logging.wandb, directory, monitoring.run, config or {})

    def write(self, step: int, metrics: dict[str, Any], samples: Iterable[dict[str, Any]] = ()) -> None:
        """Write one step.

        step: its number. metrics: into metrics.jsonl; numbers go to TensorBoard and W&B too. samples: rows for
        samples.jsonl.
        """
        if not self.writes:
            return
        self.lines.write(step, {name: _plain(value) for name, value in metrics.items()})
        for row in samples:
            self.samples.write(step, row)
        self.board.write(step, metrics)
        if self.wandb is None and self.start_wandb is not None:
            self.wandb = self.start_wandb()
        if self.wandb is not None:
            self.wandb.write(step, metrics)

    def close(self) -> None:
        """Flush and close."""
        if self.writes:
            self.lines.close()
            self.samples.close()
            self.board.close()
            if self.wandb is not None:
                self.wandb.close()
