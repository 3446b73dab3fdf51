"""The loop of everything that trains: step, record, checkpoint, stop; resumed from the newest checkpoint, to the bit.

A checkpoint is written between steps, never with one in flight. After a SIGTERM the loop saves, and raises `Stopped`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from semrep_jax.core.bucket import Bucket
from semrep_jax.core.errors import NonFiniteError
from semrep_jax.core.progress import bar, console
from semrep_jax.core.stop import Stop, Stopped
from semrep_jax.train.checkpoint import Checkpoints, MayChange, Restored
from semrep_jax.train.finite import require_finite_state
from semrep_jax.train.metrics import Recorder
from semrep_jax.train.monitoring import Monitoring, Trace
from semrep_jax.train.performance import peak_memory


@dataclass(frozen=True)
class StepResult:
    """What a step leaves: its metrics, rows for samples.jsonl, a few words for beside the progress bar."""

    metrics: dict[str, Any]
    samples: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""


class Training(Protocol):
    """Something that is trained step by step. `arrays` is a tree of device arrays, `record` JSON; together they are all
    its state."""

    arrays: Any

    @property
    def done(self) -> int:
        """Steps taken."""

    @property
    def total(self) -> int:
        """Steps there are."""

    def step(self) -> StepResult:
        """Take a step (or a few, of several updates on one batch); `done` counts on."""

    def record(self) -> dict[str, Any]:
        """The state beside the arrays."""

    def resume(self, restored: Restored) -> None:
        """Go on from a checkpoint."""


@dataclass(frozen=True)
class LoopSettings:
    """Where and how a loop saves.

    directory: of checkpoints, metrics and samples. identity: what a checkpoint must share to be gone on from. every:
    steps between checkpoints. keep: how many stay. may_change: keys of the identity that may differ all the same; what
    differs is said. monitoring: who looks on. bucket: that `directory` is a copy of.
    """

    directory: Path
    identity: dict[str, Any]
    every: int
    keep: int
    may_change: MayChange = field(default_factory=dict)
    monitoring: Monitoring = field(default_factory=Monitoring)
    bucket: Bucket | None = None


def run(
    training: Training,
    name: str,
    settings: LoopSettings,
    stop: Stop,
    between: Callable[[Recorder], None] = lambda recorder: None,
) -> None:
    """Take all steps that are left.

    training: what is trained; resumed from its newest checkpoint where there is one. name: at the progress bar.
    settings: where its files go, how often it is saved. stop: asked after each step. between: called before each step
    and after the last; it may look at the training and change nothing in it. Raises Stopped after a SIGTERM, with
    everything saved, CheckpointError for a checkpoint of another run or where none is intact, NonFiniteError, with the
    last good checkpoint, for a step that is NaN, and ProfileError for steps to be traced that there are not.
    """
    directory = settings.directory / "checkpoints"
    saved = Checkpoints(directory, settings.identity, settings.keep, settings.may_change, settings.bucket)
    restored = saved.restore(training.arrays)
    if restored is not None:
        here = saved.directory / str(restored.step)
        require_finite_state(restored.state, f"{name}: delete {here} to go on from the checkpoint before it")
        training.resume(restored)
        for note in restored.notes:
            console.print(f"{name}: {note}", highlight=False, soft_wrap=True)
    monitoring, saving = settings.monitoring, 0.0
    trace = Trace(monitoring, name, training.done, training.total, stop.peers)
    recorder = Recorder(settings.directory, training.done, stop.peers.leader, monitoring, settings.identity)
    with closing(recorder), closing(trace), bar(name, training.total, training.done) as progress:
        while training.done < training.total:
            between(recorder)
            before = training.done
            try:
                with trace.step(before):
                    result = training.step()
            except NonFiniteError as error:
                saved.close()
                raise NonFiniteError(f"{name}, {error}; {saved.newest}") from error
            recorder.write(before, result.metrics | {"times/checkpoint": saving} | peak_memory(), result.samples)
            progress.advance(result.note, training.done - before)
            ending, finished = stop.wanted, training.done == training.total
            began = time.perf_counter()
            if ending or finished or training.done // settings.every != before // settings.every:
                saved.save(training.done, training.arrays, training.record())
            saving = time.perf_counter() - began  # in the next row: this one is written before, and survives a kill
            if ending and not finished:
                saved.close()
                done = f"stopped after step {training.done} of {training.total}"
                raise Stopped(f"{done}; the same command goes on from there")
        between(recorder)
    saved.close()
