"""A plugin: sums as a language of their own, with a source of tasks, a suite, a reward and an advantage. Used by
test_plugins.py.

plugins: [tests/calculator.py]
tasks: {source: sums, sums: {largest: 9}}
evaluate: {suites: [big_sums]}
"""

from __future__ import annotations

import ast
import random

from semrep_jax.core.programs import Duplicate, Program, Score, Status, Task, Tests, Verdict
from semrep_jax.core.settings import Section
from semrep_jax.languages import LANGUAGES, PlainLanguage, Resources, Wording
from semrep_jax.rewards import REWARDS
from semrep_jax.tasks.source import SOURCES, SourceRequest, TaskSource
from semrep_jax.tasks.suite import SUITES, Suite
from semrep_jax.train.settings import ADVANTAGES

NAME = "calculator"


def value(text: str) -> int | None:
    """What a sum of whole numbers comes to; None for anything else."""
    try:
        terms = [ast.literal_eval(term) for term in text.split("+")]
        return sum(terms) if all(type(term) is int for term in terms) else None
    except (ValueError, SyntaxError):
        return None


class Adder:
    """The judge: U_sem of a sum to be rewritten is its number, U_edit of one to be changed the number that the task's
    tag names."""

    def judge(self, task: Task, program: Program, duplicate: Duplicate) -> Verdict:
        right = value(program.source) == int(task.tags["wanted"])
        status, score = (Status.OK if right else Status.WRONG), Score(int(right), 1)
        preserve, edit = (Score(), score) if task.instruction else (score, Score())
        return Verdict(status, compiled=True, duplicate=duplicate, preserve=preserve, edit=edit)

    def close(self) -> None:
        pass


class Calculator(PlainLanguage):
    """Sums of whole numbers."""

    name, suffixes = NAME, (".sum",)
    wording = Wording("You answer with one sum and nothing else.", "comes to the same number.")

    def extract(self, text: str) -> tuple[Program | None, str]:
        return (Program(NAME, text.strip()), "") if value(text) is not None else (None, "the completion is no sum")

    def canonical(self, source: str) -> str | None:
        return None if value(source) is None else " + ".join(sorted(source.replace(" ", "").split("+")))

    def judge(self, resources: Resources) -> Adder:
        return Adder()


class SumsConfig(Section):
    """The source `sums`."""

    largest: int = 9


def sums(seed: int, largest: int, change: int):
    """Sums of two numbers, to be rewritten (change 0) or made larger by `change`."""
    rng = random.Random(f"{seed} {largest} {change}")
    while True:
        a, b = rng.randint(0, largest), rng.randint(0, largest)
        instruction = f"add {change}" if change else ""
        tags = {"wanted": str(a + b + change)}
        yield Task(f"sum/{a}+{b}", Program(NAME, f"{a} + {b}"), Tests(NAME), Tests(NAME), instruction, tags=tags)


def _largest(request: SourceRequest) -> int:
    return request.settings.largest if isinstance(request.settings, SumsConfig) else SumsConfig().largest


LANGUAGES.add(NAME, Calculator())
SOURCES.add(
    "sums",
    TaskSource(
        transform=lambda request: sums(request.seed, _largest(request), 1),
        rewrite=lambda request: sums(request.seed, _largest(request), 0),
        settings=SumsConfig,
    ),
)
SUITES.add("big_sums", Suite("sums of big numbers", lambda request: sums(request.seed, 99, 1)))
REWARDS.add("all_alike", lambda group, weights: [float(v.status == Status.OK) for v in group.verdicts])
ADVANTAGES.add("doubled", lambda rewards_BG: 2.0 * (rewards_BG - rewards_BG.mean(axis=1, keepdims=True)))
