"""Held-out suites of generated functions: correctness, generalisation (new families, new kinds of edit; near ones
are made of what training has apart), robustness.

Robustness takes the tasks of `correctness` with C_src replaced by an equivalent form or by itself under other names,
each replacement verified before it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from semrep_jax.core.programs import Program, Task
from semrep_jax.python import PYTHON
from semrep_jax.tasks.generated import generator, near_families
from semrep_jax.tasks.generated.families import HELD_OUT_FAMILIES, TRAIN_FAMILIES
from semrep_jax.tasks.generated.generator import HELD_OUT_KINDS, TRAIN_KINDS, Generator
from semrep_jax.tasks.suite import Pairing, Suite, SuiteRequest, changed
from semrep_jax.verify import Verifier

Names = tuple[str, ...]


def _perturbable(request: SuiteRequest) -> Iterator[Task]:
    """Tasks of known families and kinds whose C_src has an equivalent form of another text."""
    stream = Generator("test", TRAIN_FAMILIES, TRAIN_KINDS, request.seed).tasks()
    return (task for task in stream if task.tags["perturbed"] != task.source.source)


def _drawn_from(families: Names, kinds: Names) -> Callable[[SuiteRequest], Iterator[Task]]:
    return lambda request: Generator("test", families, kinds, request.seed).tasks()


def _programs(families: Names, kinds: Names) -> Callable[[int, int], Iterable[tuple[str, str]]]:
    """Sources and targets of twice as many examples as an evaluation takes."""

    def programs(seed: int, count: int) -> Iterator[tuple[str, str]]:
        drawn = Generator("test", families, kinds, seed)
        for index in range(2 * count):
            example = drawn.example(index)
            yield example.source, example.entry
            yield example.target, example.entry

    return programs


def perturbed(tasks: list[Task], verifier: Verifier) -> Iterator[Task]:
    """Each task with C_src replaced by its perturbation, where the verifier finds that it behaves like C_src."""
    variants = [Program(PYTHON, task.tags["perturbed"]) for task in tasks]
    verdicts = verifier.verify_all(list(zip(tasks, variants, strict=True)))
    for task, variant, verdict in zip(tasks, variants, verdicts, strict=True):
        if verdict.equivalent and verdict.edit.passed == 0:
            yield changed(task, source=variant)


def _robust(request: SuiteRequest) -> Iterator[Task]:
    return perturbed(list(islice(_perturbable(request), request.count)), request.verifier)


CORRECTNESS = Suite("correctness", _perturbable, programs=_programs(TRAIN_FAMILIES, TRAIN_KINDS))
NEW_FAMILIES = Suite(
    "generalisation: new families",
    _drawn_from(HELD_OUT_FAMILIES, TRAIN_KINDS),
    programs=_programs(HELD_OUT_FAMILIES, TRAIN_KINDS),
)
NEW_KINDS = Suite(
    "generalisation: new kinds of edit",
    _drawn_from(TRAIN_FAMILIES, HELD_OUT_KINDS),
    programs=_programs(TRAIN_FAMILIES, HELD_OUT_KINDS),
)
NEAR_FAMILIES = Suite(
    "generalisation: near families",
    _drawn_from(near_families.NEAR_FAMILIES, TRAIN_KINDS),
    programs=_programs(near_families.NEAR_FAMILIES, TRAIN_KINDS),
)
NEAR_KINDS = Suite(
    "generalisation: two edits at once",
    _drawn_from(TRAIN_FAMILIES, generator.NEAR_KINDS),
    programs=_programs(TRAIN_FAMILIES, generator.NEAR_KINDS),
)
ROBUSTNESS = Suite(
    "perturbed C_src",
    _robust,
    paired_with=Pairing(
        suite="correctness",
        both="robust_pass",
        both_title="robustness: right on both",
        agree="consistency",
        agree_title="robustness: same verdict",
    ),
)
