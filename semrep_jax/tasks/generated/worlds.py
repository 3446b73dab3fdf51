"""Worlds of generated programs: each task plain, and paired with it the same task of a perturbed C_src.

    plain, twin = Forms(Generator("test"), PerturbationConfig()).pair(7)
    plain.tests == twin.tests; plain.solution == twin.solution; twin.tags["rewrite"] == plain.source.source

The twin has the instruction, the tests and the solution of the plain task, and behaves like it on every call that the
tests are made of. Both are a pure function of generator, dial and index. A twin is of the split of its plain program
(`generator.text_split`), so no training text, plain or perturbed, is a test C_src of either form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import Random

from semrep_jax.core.programs import Program, Task
from semrep_jax.tasks.generated import perturbations, reference
from semrep_jax.tasks.generated.generator import Example, Generator, stable_hash, text_split
from semrep_jax.tasks.settings import PerturbationConfig, Seen, World
from semrep_jax.tasks.suite import changed

ATTEMPTS = 24  # to draw a perturbed text of the right split


@dataclass(frozen=True)
class Forms:
    """Plain examples of a generator, and their perturbed twins. dial: how far these are from each other."""

    generator: Generator
    dial: PerturbationConfig

    @property
    def identity(self) -> str:
        """What the twins depend on."""
        dial = self.dial
        rules = ",".join(dial.rules)
        return f"{self.generator.identity}:{rules}:{dial.changes}:{dial.offset}:{dial.share:g}"

    def perturbed(self, index: int, example: Example) -> str | None:
        """The perturbed text of example `index`, found to behave like it; None where the dial's rules change nothing,
        or nothing of the right split was drawn."""
        rng = Random(stable_hash(f"{self.identity}:{index}:perturbed"))
        calls = self.generator.calls(index, example, True)
        before = None
        for _ in range(ATTEMPTS):
            text = perturbations.perturbed(example.source, rng, self.dial)
            if text is None or text_split(text) != self.generator.split:
                continue
            before = before or reference.outcomes(example.source, example.entry, calls)
            if reference.outcomes(text, example.entry, calls) == before:
                return text
        return None

    def twin(self, index: int, task: Task) -> Task | None:
        """The task of example `index` with a perturbed C_src; None where there is none."""
        text = self.perturbed(index, self.generator.example(index))
        if text is None:
            return None
        solution = task.solution if task.instruction else task.source
        source = Program(task.source.language, text)
        twin = changed(task, tags={"rewrite": task.source.source}, source=source, solution=solution)
        twin.tags.pop("perturbed", None)
        return twin

    def pair(self, index: int, rewriting: bool = False) -> tuple[Task, Task] | None:
        """Example `index` as a plain task and its twin; None where there are no such two."""
        task = self.generator.task(index, rewriting)
        twin = None if task is None else self.twin(index, task)
        return None if task is None or twin is None else (task, twin)

    def tasks(
        self, world: World, seen: Seen = Seen.ALL, rewriting: bool = False, bug_preserving: bool = True
    ) -> Iterator[Task]:
        """Tasks in order of index, without end: of each index one form, in the world `both` by a fair coin.

        world, seen: which forms. rewriting, bug_preserving: as in `Generator.tasks`.
        """
        only = seen if seen is not Seen.ALL else Seen.ALL if world is World.BOTH else Seen(world.value)
        for index in count():
            if rewriting and not bug_preserving and self.generator.example(index).buggy:
                continue
            task = self.generator.task(index, rewriting)
            if task is not None and self._is_perturbed(index, only):
                task = self.twin(index, task)
            if task is not None:
                yield task

    def _is_perturbed(self, index: int, only: Seen) -> bool:
        if only is Seen.ALL:
            return stable_hash(f"{self.generator.identity}:{index}:form") % 2 == 0
        return only is Seen.PERTURBED
