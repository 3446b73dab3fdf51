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
from semrep_jax.tasks.suite import SUITES


class Function(NamedTuple):
    """A program and the name of the function in it that counts."""

    source: str
    entry: str


class Overlap(NamedTuple):
    """The suite that a function is in, and whether it is there by its `exact` text or its `canonical` form."""

    suite: str
    how: str


def suite_functions(seed: int, tasks: int) -> Iterator[tuple[str, Function]]:
    """The programs of every suite that says which its tasks are made of, each with the suite's name.

    seed, tasks: the evaluation's. Generated suites give several times as many as an evaluation takes; their functions
    are texts of grammars, whose spec decides their split, so that none of them is mined but by chance.
    """
    for name in SUITES:
        programs = SUITES[name].programs
        if programs is not None:
            yield from ((name, Function(*program)) for program in programs(seed, tasks))


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

    def overlap_within(self, source: str) -> Overlap | None:
        """Where any function at the top of a program, a helper too, is in a suite; None where none is."""
        names = [node.name for node in syntax.module(source).body if isinstance(node, ast.FunctionDef)]
        return next((found for name in names if (found := self.overlap(source, name)) is not None), None)


def own_text(source: str, entry: str) -> str:
    """The function's own text without docstring and hints."""
    return ast.unparse(_alone(source, entry, entry))


def own_canonical(source: str, entry: str) -> str:
    """The function's canonical form under one name for all, without docstring and hints."""
    text = ast.unparse(_alone(source, entry, "_f"))
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
