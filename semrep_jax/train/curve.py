"""The held-out curve of a training: what an arm can do every so many steps of B, and the best model so far.

    curve = Curve(every=20, measure=measure, names=("correctness/T1",), identity={"suite": "ab12..."})
    Trainer(..., curve=curve).run()                    # arms/NAME/curve.jsonl, arms/NAME/best, arms/NAME/best.json

What is measured, and how, is the caller's: this room only decides when, and keeps it. Points are taken at step 0 (the
base), at every multiple of `every` (after the batch that comes to it or passes it) and at the end of B, between steps,
with keys of their own: a training with a curve takes the same steps as one without. A row stands in the file only after
the model that it may have made the best was written, so a run that is killed and resumed ends with the same rows and
the same best.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from semrep_jax.core.peers import ALONE, Peers
from semrep_jax.core.progress import console
from semrep_jax.core.workdir import read_kept, write_atomically
from semrep_jax.model import pretrained
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.train.metrics import JsonLines, Recorder

ROUNDED = ("value", "low", "high")  # to 6 digits, before anything is compared


@dataclass(frozen=True)
class Point:
    """One policy on one held-out suite. value: share correct, with its interval over n tasks."""

    suite: str
    turns: int
    value: float
    low: float
    high: float
    n: int

    @property
    def name(self) -> str:
        """As metrics are called: SUITE/T1."""
        return f"{self.suite}/T{self.turns}"


Measure = Callable[[Any], Sequence[Point]]  # all parameters of a policy -> one point for each name, in order


@dataclass(frozen=True)
class Curve:
    """What is measured while an arm trains.

    every: steps of B between points. measure: takes them. names: of its points; the first decides which model is best.
    identity: plain JSON; points of another identity are not gone on from.
    """

    every: int
    measure: Measure
    names: tuple[str, ...]
    identity: dict[str, Any] = field(default_factory=dict)

    def due(self, step: int, total: int, last: int | None) -> bool:
        """Whether there is a point after `step` of `total` steps: at a multiple of `every`, or the first that is past
        one, where a batch takes several steps. last: what was asked about before; None for nothing."""
        passed = last is not None and step // self.every > last // self.every
        return passed or step % self.every == 0 or step == total


@dataclass(frozen=True)
class Spent:
    """What a point has cost so far. step: steps of B. tokens: sampled, prompts included. seconds: of training."""

    step: int
    tokens: int
    seconds: float


class CurveFile:
    """The points of one arm in `directory`, gone on from after `step` steps; the best model beside them.

    base: model and tokenizer that the best is exported with. peers: the processes of the run: all measure, the leader
    reads and writes.
    """

    def __init__(self, curve: Curve, directory: Path, base: PretrainedModel, step: int, peers: Peers = ALONE):
        self.curve, self.directory, self.base, self.writes = curve, directory, base, peers.leader
        kept = peers.gather(self._kept(step) if peers.leader else [])
        self.measured = {row["step"] for row in kept}
        # when a board goes on, it drops what it has of the step that it goes on from
        self.hidden = [row for row in kept if row["step"] == step]
        self.last = max(self.measured, default=None)
        first = [row for row in kept if f"{row['suite']}/T{row['turns']}" == curve.names[0]]
        self.best = max((row["value"] for row in first), default=None)
        if self.writes:
            directory.mkdir(parents=True, exist_ok=True)
            write_atomically(directory / "curve.identity.json", json.dumps(curve.identity, indent=1) + "\n")
            write_atomically(directory / "curve.jsonl", "".join(json.dumps(row) + "\n" for row in kept))

    def _kept(self, step: int) -> list[dict[str, Any]]:
        """The rows of an earlier sitting up to `step`, of points that are whole and were measured in the same way."""
        path, identity = self.directory / "curve.jsonl", self.directory / "curve.identity.json"
        if not path.exists() or not identity.exists():
            return []
        if read_kept(identity) != self.curve.identity:
            console.print(f"{path} was measured under other settings: the curve begins again", highlight=False)
            return []
        rows = JsonLines.read(path, step + 1)
        points = Counter(row["step"] for row in rows)
        return [row for row in rows if points[row["step"]] == len(self.curve.names)]

    def take(self, spent: Spent, total: int, params: Any, recorder: Recorder) -> None:
        """Measure, where a point is due and not there yet.

        spent: so far. total: B. params: all of the policy's. recorder: shows the points as heldout/SUITE/T1.
        """
        last, self.last = self.last, spent.step
        if self.writes and self.hidden:
            values = {f"heldout/{row['suite']}/T{row['turns']}": row["value"] for row in self.hidden}
            recorder.board.write(self.hidden[0]["step"], values)
        self.hidden = []
        if spent.step in self.measured or not self.curve.due(spent.step, total, last):
            return
        points = [replace(p, **{k: round(getattr(p, k), 6) for k in ROUNDED}) for p in self.curve.measure(params)]
        if self.best is None or points[0].value > self.best:
            self._keep_best(spent.step, points[0], params)
        self.measured.add(spent.step)
        if not self.writes:
            return
        shared = {"step": spent.step, "tokens": spent.tokens, "seconds": round(spent.seconds, 3)}
        with (self.directory / "curve.jsonl").open("a") as file:
            file.write("".join(json.dumps(shared | asdict(point)) + "\n" for point in points))
        recorder.board.write(spent.step, {f"heldout/{point.name}": point.value for point in points})

    def _keep_best(self, step: int, point: Point, params: Any) -> None:
        """Export the model that is best so far under `best`; a kill leaves the old one or the new one, whole."""
        self.best = point.value
        new, best, old = (self.directory / name for name in ("best.new", "best", "best.old"))
        if self.writes:
            shutil.rmtree(new, ignore_errors=True)
        pretrained.export(new, self.base.model, params, self.base.tokenizer)
        if not self.writes:
            return
        shutil.rmtree(old, ignore_errors=True)
        if best.exists():
            os.replace(best, old)
        os.replace(new, best)
        shutil.rmtree(old, ignore_errors=True)
        found = {"step": step, "metric": point.name, "value": self.best}
        write_atomically(self.directory / "best.json", json.dumps(found, indent=1) + "\n")
