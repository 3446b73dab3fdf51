"""A run's work directory, written by the writers that a run has, in milliseconds and with numbers chosen by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from semrep_jax.core.results import Estimate, Results, Row, exact
from semrep_jax.core.workdir import WorkDir
from semrep_jax.evaluate.measure import Measured
from semrep_jax.train.metrics import Recorder

STEPS, BOUNDARY = 6, 2
SOURCE = "def f(xs):\n    out = []\n    for x in xs:\n        out.append(x < 1)\n    return out\n"
REWRITE = "def f(xs):\n    return [x < 1 for x in xs]\n"
EDIT = "def f(xs):\n    out = []\n    for x in xs:\n        out.append(x < 2)\n    out.reverse()\n    return out\n"
COSTS = (("train_steps", "steps"), ("train_tokens", "tokens"))
SUITES = {"correctness": {"tasks": 2, "sha256": "c" * 64}, "new_kinds": {"tasks": 2, "sha256": "d" * 64}}


def run(path: Path, seed: int = 0, finished: bool = True, **settings: Any) -> Path:
    """A comparison of two arms; `settings` go into the section `train` of its config."""
    config = {
        "job": "compare",
        "seed": seed,
        "work_dir": str(path),
        "reward": {"duplicate": "canonical"},
        "train": {"budget": STEPS, "alpha": 0.5} | settings,
    }
    work = WorkDir(path, {"job": "compare"})
    work.write("config.yaml", yaml.safe_dump(config))
    for arm in ("semrep", "finetune"):
        train(path / "arms" / arm, arm, STEPS if finished else 3, seed)
    if finished:
        for arm in ("base", "semrep", "finetune"):
            for suite in SUITES:
                for turns in (1, 2):
                    one = measured(arm, suite, turns)
                    work.write(f"evaluation/{arm}-{suite}-T{turns}.json", one.to_json())
        work.write("results.json", results(seed).to_json("compare", f"{seed}" * 64, seed))
    work.close()
    return path


def train(directory: Path, arm: str, steps: int, seed: int) -> None:
    """What an arm's training leaves."""
    recorder = Recorder(directory)
    for step in range(steps):
        stage = "rewrite" if arm == "semrep" and step < BOUNDARY else "transform"
        metrics = {
            "stage": stage,
            "reward": 0.1 * step + 0.01 * seed,
            "correct": 0.25,
            "total_tokens": 100 * (step + 1),
        }
        metrics |= {"loss": 0.5 / (step + 1), "status/ok": 0.75, "status/wrong": 0.25, "duplicates": 0.25}
        recorder.write(step, metrics, [sample(status, duplicate) for status, duplicate in ROLLOUTS])
    recorder.close()


ROLLOUTS = (("ok", "none"), ("ok", "canonical"), ("wrong", "none"), ("hack_suspect", "none"))


def sample(status: str, duplicate: str) -> dict[str, Any]:
    """A row of samples.jsonl."""
    about = {"task": "edit/train/1", "instruction": "reverse it", "source": SOURCE, "c_rep": REWRITE}
    judged = {"status": status, "duplicate": duplicate, "feedback": "", "reward": 0.5}
    return {"group": 0, **about, "completion": f"```python\n{EDIT}```", "finish": "stop", **judged}


def curve(directory: Path, seed: int = 0) -> None:
    """A held-out curve of each arm: correctness at T=1 and T=2."""
    for arm in ("semrep", "finetune"):
        recorder = Recorder(directory / "arms" / arm / "held")
        for step in (0, 3, 6):
            for turns in (1, 2):
                value = 0.3 + 0.05 * step + 0.1 * seed
                where = {"tokens": 100 * step, "seconds": 2.0 * step, "suite": "correctness", "turns": turns}
                recorder.lines.write(step, where | {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 2})
        recorder.close()
        (directory / "arms" / arm / "held" / "metrics.jsonl").rename(directory / "arms" / arm / "curve.jsonl")


def measured(arm: str, suite: str, turns: int, **more: Any) -> Measured:
    """A measurement of two tasks with a worked example each; SemRep is right, the others are not."""
    right = arm == "semrep"
    shared = {"family": "maps", "kind": "order", "instruction": "do <b>it</b>", "source": SOURCE, "language": "python"}
    said = {"status": "ok", "feedback": ""} if right else {"status": "wrong", "feedback": "f([1]) & so on"}
    written = {"rewrite": REWRITE if turns > 1 and right else None, "edit": EDIT if right else SOURCE}
    examples = [{"task": f"{suite}/{i}"} | shared | written | said for i in range(2)]
    tasks, correct = [f"{suite}/{i}" for i in range(2)], [[right, right]] * 2
    return Measured(suite, turns, SUITES[suite]["sha256"], tasks, correct, 4, 100, 1.0, 0.5, 0, examples, **more)


def results(seed: int = 0) -> Results:
    """What the comparison found; SemRep is ahead on correctness."""
    value = {"base": 0.5, "semrep": 0.7 + 0.02 * seed, "finetune": 0.6}
    arms = {
        arm: {f"{suite}/T{turns}": Estimate(mean, mean - 0.1, mean + 0.1, 2) for suite in SUITES for turns in (1, 2)}
        | {f"correctness_tokens/T{turns}": exact(1000 * turns) for turns in (1, 2)}
        | {"train_steps": exact(STEPS), "train_tokens": exact(600)}
        for arm, mean in value.items()
    }
    gap = float(np.round(value["semrep"] - value["finetune"], 6))
    return Results(
        arms,
        12.5,
        "SemRep is ahead.",
        rows=tuple(
            Row(f"{suite}/T{turns}", f"{suite} of tasks, {how} (T={turns})", f"{suite}/T{turns}")
            for suite in SUITES
            for turns, how in ((1, "direct"), (2, "rewrite first"))
        ),
        differences={
            f"{suite}/{compared}": Estimate(gap, gap - 0.05, gap + 0.05, 2)
            for suite in SUITES
            for compared in ("T1", "T2", "T2 against T1")
        },
        costs=COSTS,
        about={"suites": SUITES},
    )
