"""Which mined functions are in an evaluation suite too.

    suites = Suites(suite_functions(seed=0, tasks=96))
    suites.overlap("def f(a): ...", "f")        # ("humaneval", "canonical"), or None

Found by exact text, or by canonical form whatever the function's name.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from semrep_jax.core import syntax
from semrep_jax.python.canonical import canonical
from semrep_jax.tasks import humaneval
from semrep_jax.tasks.generated.families import HELD_OUT_FAMILIES, TRAIN_FAMILIES
from semrep_jax.tasks.generated.generator import HELD_OUT_KINDS, TRAIN_KINDS, Generator


class Function(NamedTuple):
    """A program and the name of the function in it that counts."""

    source: str
    entry: str


class Overlap(NamedTuple):
    """The suite that a function is in, and whether it is there by its `exact` text or its `canonical` form."""

    suite: str
    how: str


def suite_functions(seed: int, tasks: int) -> Iterator[tuple[str, Function]]:
    """The programs of every evaluation suite of Python, each with the suite's name: HumanEval's solutions, the
    generated suites.

    seed, tasks: the evaluation's. Of the generated suites it gives several times as many as an evaluation takes; their
    functions are texts of grammars, whose spec decides their split, so that none of them is mined but by chance.
    """
    for problem in humaneval.problems().values():
        yield "humaneval", Function(problem["prompt"] + problem["canonical_solution"], problem["entry_point"])
    for families, kinds in (
        (TRAIN_FAMILIES, TRAIN_KINDS),
        (HELD_OUT_FAMILIES, TRAIN_KINDS),
        (TRAIN_FAMILIES, HELD_OUT_KINDS),
    ):
        generator = Generator("test", families, kinds, seed)
        for example in map(generator.example, range(2 * tasks)):
            yield "generated", Function(example.source, example.entry)
            yield "generated", Function(example.target, example.entry)


class Suites:
    """The functions of evaluation suites, found by text and by canonical form. `sizes`: how many each suite has."""

    def __init__(self, functions: Iterable[tuple[str, Function]]):
        self.sizes = Counter[str]()
        self._exact: dict[str, str] = {}
        self._canonical: dict[str, str] = {}
        for suite, function in functions:
            self.sizes[suite] += 1
            self._exact.setdefault(own_text(*function), suite)
            self._canonical.setdefault(own_canonical(*function), suite)

    def overlap(self, source: str, entry: str) -> Overlap | None:
        """Where the function `entry` of a program is in a suite; None where it is in none."""
        exact, form = own_text(source, entry), own_canonical(source, entry)
        if exact in self._exact:
            return Overlap(self._exact[exact], "exact")
        return Overlap(self._canonical[form], "canonical") if form in self._canonical else None


def own_text(source: str, entry: str) -> str:
    """The function's own text without docstring and hints."""
    return ast.unparse(_alone(source, entry, entry))


def own_canonical(source: str, entry: str) -> str:
    """The function's canonical form under one name for all, without docstring and hints."""
    text = ast.unparse(_alone(source, entry, "f"))
    return canonical(text) or text


def _alone(source: str, entry: str, name: str) -> ast.FunctionDef:
    """The function `entry` called `name`, without docstring and hints."""
    tree = syntax.module(source)
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == entry)
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == entry:
            node.id = name
        elif isinstance(node, ast.arg):
            node.annotation = None
    function.name, function.returns = name, None
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(function.body) > 1:
        function.body = function.body[1:]
    return function
