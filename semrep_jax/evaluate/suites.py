"""The held-out suites: correctness, generalisation (new families, new kinds of edit), robustness, HumanEval.

None of their tasks shares a canonical C_src with a training task. Robustness takes the tasks of `correctness` with C_src
replaced by an equivalent form or by itself under other names, each replacement verified before it counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from semrep_jax.core.programs import Program, Task
from semrep_jax.core.progress import console
from semrep_jax.evaluate.settings import EvaluateConfig
from semrep_jax.python import PYTHON
from semrep_jax.tasks import humaneval, mined
from semrep_jax.tasks.generated.families import HELD_OUT_FAMILIES, TRAIN_FAMILIES
from semrep_jax.tasks.generated.generator import HELD_OUT_KINDS, TRAIN_KINDS, Generator
from semrep_jax.tasks.kernels import catalogue, kernelbench
from semrep_jax.tasks.suite import Suite
from semrep_jax.verify import Verifier

GENERATED = {
    "correctness": (TRAIN_FAMILIES, TRAIN_KINDS),
    "new_families": (HELD_OUT_FAMILIES, TRAIN_KINDS),
    "new_kinds": (TRAIN_FAMILIES, HELD_OUT_KINDS),
}


def build(name: str, setting: EvaluateConfig, verifier: Verifier) -> Suite:
    """The suite called `name` with at most `setting.tasks` tasks."""
    if name == "humaneval":
        return Suite(name, tuple(islice(humaneval.tasks(verifier.sandbox, seed=setting.seed), setting.tasks)))
    if name == "mined":
        return Suite(name, tuple(mined.fixing(setting.mined or "", "test", setting.tasks)))
    if name == "kernels":
        return Suite(name, tuple(catalogue.held_out()[: setting.tasks]))
    if name == "kernelbench":
        return Suite(name, tuple(islice(_kernelbench(setting), setting.tasks)))
    if name == "robustness":
        return Suite(name, tuple(perturbed(_generated("correctness", setting), verifier)))
    return Suite(name, tuple(_generated(name, setting)))


def _kernelbench(setting: EvaluateConfig) -> Iterator[Task]:
    """KernelBench's problems that can be judged here; those that can't are named."""
    for problem in kernelbench.read(Path(setting.kernelbench or "").expanduser(), setting.levels):
        if problem.task is not None and problem.sound:
            yield catalogue.task(problem.task, "test")
        else:
            console.print(
                f"kernelbench: {problem.path.name} is left out: {problem.reason or 'it accepts ' + ', '.join(problem.weak)}"
            )


def _generated(name: str, setting: EvaluateConfig) -> list[Task]:
    families, kinds = GENERATED[name]
    stream = Generator("test", families, kinds, setting.seed).tasks()
    if name != "correctness":
        return list(islice(stream, setting.tasks))
    able = (t for t in stream if t.tags["perturbed"] != t.source.source)
    return list(islice(able, setting.tasks))


def perturbed(tasks: list[Task], verifier: Verifier) -> Iterator[Task]:
    """Each task with C_src replaced by its perturbation, where the verifier finds that it behaves like C_src."""
    variants = [Program(PYTHON, t.tags["perturbed"]) for t in tasks]
    verdicts = verifier.verify_all(list(zip(tasks, variants, strict=True)))
    for task, variant, verdict in zip(tasks, variants, verdicts, strict=True):
        if verdict.equivalent and verdict.edit.passed == 0:
            yield replace(task, id=f"{task.id}/perturbed", source=variant, tags=task.tags | {"base": task.id})
