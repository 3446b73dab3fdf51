"""How the programs of a case study are moved: instructions that a small policy knows, and changes that need no policy.

    move("def make(xs): return [x + 2 for x in xs if x > 3]", rng)     # "use 7 instead of 2"

The wording is that of the generated tasks, which the nano base was trained on.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from random import Random

from semrep_jax.core import syntax
from semrep_jax.tasks.generated.families import NUMBER_CONDITIONS, NUMBER_EXPRESSIONS
from semrep_jax.tasks.generated.grammar import CONDITIONS, EXPRESSIONS

LARGEST = 9  # of the constants that the policy knows
CHANGED = 3  # most marks that a hop changes


def move(text: str, rng: Random) -> str:
    """An instruction to change a program: another constant for one of its own, another condition, another
    expression."""
    constants = constants_of(text)
    kind = rng.choice(("constant", "condition", "operation") if constants else ("condition", "operation"))
    if kind == "constant":
        old = rng.choice(constants)
        return f"use {rng.choice([n for n in range(2, LARGEST + 1) if n != old])} instead of {old}"
    if kind == "condition":
        condition = CONDITIONS[rng.choice(NUMBER_CONDITIONS)]
        return f"change the condition to: {condition.wording.format(k=rng.randint(3, LARGEST))}"
    return f"use {EXPRESSIONS[rng.choice(NUMBER_EXPRESSIONS)].wording.format(n=rng.randint(2, LARGEST))}"


def constants_of(text: str) -> list[int]:
    """The integers from 2 up to LARGEST that a program holds; none where it does not parse."""
    try:
        tree = syntax.module(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) is int}
    return sorted(value for value in found if 2 <= value <= LARGEST)


def listing(marks: list[int]) -> str:
    """A program that returns these numbers, whatever it is given."""
    return f"def make(xs):\n    return {marks}"


def draw(count: int, largest: int) -> Callable[[Random], str]:
    """Programs that return `count` numbers from 0 to `largest`, drawn alike."""
    return lambda rng: listing([rng.randint(0, largest) for _ in range(count)])


def perturb(count: int, largest: int) -> Callable[[str, Random], str]:
    """Programs of `draw` with a few numbers drawn anew; any other program becomes one of `draw`."""

    def near(text: str, rng: Random) -> str:
        marks = marks_of(text)
        if marks is None or len(marks) != count:
            return draw(count, largest)(rng)
        for place in rng.sample(range(count), rng.randint(1, CHANGED)):
            marks[place] = rng.randint(0, largest)
        return listing(marks)

    return near


def marks_of(text: str) -> list[int] | None:
    """The numbers of a `listing`; None of any other program."""
    head, _, tail = text.partition("return ")
    if head != "def make(xs):\n    ":
        return None
    try:
        marks = syntax.value(tail)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None
    return marks if isinstance(marks, list) and all(type(mark) is int for mark in marks) else None
