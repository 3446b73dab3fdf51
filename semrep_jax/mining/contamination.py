"""Which mined functions are in an evaluation suite too: by exact text, or by canonical form whatever its name.

Of the generated suites it holds several times as many as an evaluation takes; their functions are `run`s of grammars, whose spec
decides their split, so that none of them is mined but by chance.
"""

from __future__ import annotations

import ast

from semrep_jax.core import syntax
from semrep_jax.evaluate.settings import EvaluateConfig
from semrep_jax.python.canonical import canonical
from semrep_jax.tasks import humaneval
from semrep_jax.tasks.generated.families import HELD_OUT_FAMILIES, TRAIN_FAMILIES
from semrep_jax.tasks.generated.generator import HELD_OUT_KINDS, TRAIN_KINDS, Generator


class Suites:
    """The programs of every evaluation suite of Python: HumanEval's solutions, and the first of each generated suite."""

    def __init__(self, setting: EvaluateConfig):
        self.exact: dict[str, str] = {}
        self.canonical: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        for problem in humaneval.problems().values():
            self._add("humaneval", problem["prompt"] + problem["canonical_solution"], problem["entry_point"])
        for families, kinds in (
            (TRAIN_FAMILIES, TRAIN_KINDS),
            (HELD_OUT_FAMILIES, TRAIN_KINDS),
            (TRAIN_FAMILIES, HELD_OUT_KINDS),
        ):
            stream = Generator("test", families, kinds, setting.seed)
            for i in range(2 * setting.tasks):
                example = stream.example(i)
                for source in (example.source, example.target):
                    self._add("generated", source, syntax.module(source).body[-1].name)  # type: ignore[attr-defined]

    def _add(self, suite: str, source: str, entry: str) -> None:
        self.sizes[suite] = self.sizes.get(suite, 0) + 1
        self.exact.setdefault(self.text(source, entry), suite)
        self.canonical.setdefault(self.form(source, entry), suite)

    def overlap(self, source: str, entry: str) -> tuple[str, str] | None:
        """(suite, exact or canonical) of a program that is in one, else None."""
        if self.text(source, entry) in self.exact:
            return self.exact[self.text(source, entry)], "exact"
        form = self.form(source, entry)
        return (self.canonical[form], "canonical") if form in self.canonical else None

    @staticmethod
    def text(source: str, entry: str) -> str:
        """The function's own text without its docstring."""
        return ast.unparse(_alone(source, entry, entry))

    @staticmethod
    def form(source: str, entry: str) -> str:
        """The function's canonical form under one name for all, without its docstring and hints."""
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
