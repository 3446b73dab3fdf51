"""Seeded bugs: small changes of a Python function that usually change its meaning.

    mutants("def f(n):\n    return n < 1\n", "f")[0]
    ->  Mutant("wrong_operator", "fix the wrong operator: it should use <", "def f(n):\n    return n > 1")

`mutants` lists every single-site mutation, `mutate` makes one; whether the tests can tell is decided by whoever runs
them. The hint says what a bug report would: where to look, not the mended line. To add a kind of bug, write what finds
its sites and add it to MUTATIONS.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from semrep_jax.core import syntax

_OPPOSITE = {ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
_OTHER_STRICTNESS = {ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt}
_WRONG_ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mod,
    ast.Mod: ast.FloorDiv,
}
_SYMBOL = {
    ast.Gt: ">", ast.Lt: "<", ast.GtE: ">=", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!=", ast.Add: "+",
    ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%", ast.And: "and", ast.Or: "or",
}  # fmt: skip


class Site(NamedTuple):
    """A place that can be mutated: what a report says of the bug, and what changes the tree in place."""

    hint: str
    apply: Callable[[], None]


@dataclass(frozen=True)
class Mutant:
    """A mutated program: `kind` of bug, the `hint` its report carries, and the text (as `ast.unparse` prints it)."""

    kind: str
    hint: str
    source: str


def _is_int(node: Any) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def _setter(target: object, name: str, value: object) -> Callable[[], None]:
    return lambda: setattr(target, name, value)


def _dropper(parent: ast.AST, field: str, child: ast.stmt) -> Callable[[], None]:
    def apply() -> None:
        body = [n for n in getattr(parent, field) if n is not child]
        setattr(parent, field, body or [ast.Pass()])

    return apply


def _wrong_operator(fn: ast.FunctionDef) -> Iterator[Site]:
    node: Any
    for node in ast.walk(fn):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in _OPPOSITE:
            right: Any = type(node.ops[0])
            wrong: Any = [_OPPOSITE[right](), *node.ops[1:]]
            yield Site(f"it should use {_SYMBOL[right]}", _setter(node, "ops", wrong))
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _WRONG_ARITHMETIC:
            right = type(node.op)
            yield Site(f"it should use {_SYMBOL[right]}", _setter(node, "op", _WRONG_ARITHMETIC[right]()))
        elif isinstance(node, ast.BoolOp):
            right = type(node.op)
            swapped = ast.Or() if right is ast.And else ast.And()
            yield Site(f"it should use {_SYMBOL[right]}", _setter(node, "op", swapped))


def _off_by_one(fn: ast.FunctionDef) -> Iterator[Site]:
    node: Any
    for node in ast.walk(fn):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and node.args:
            which = 0 if len(node.args) == 1 else 1
            wrong: Any = list(node.args)
            wrong[which] = ast.BinOp(wrong[which], ast.Sub(), ast.Constant(1))
            yield Site("the range ends too early", _setter(node, "args", wrong))
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OTHER_STRICTNESS:
            right = type(node.ops[0])
            edge = "the bound is missed" if right in (ast.GtE, ast.LtE) else "the bound is included"
            yield Site(edge, _setter(node, "ops", [_OTHER_STRICTNESS[right]()]))


def _wrong_initial(fn: ast.FunctionDef) -> Iterator[Site]:
    for node in fn.body:
        if isinstance(node, ast.Assign) and _is_int(node.value) and isinstance(node.targets[0], ast.Name):
            value: Any = node.value
            hint = f"{node.targets[0].id} should start at {value.value}"
            yield Site(hint, _setter(node, "value", ast.Constant(value.value + 1)))


def _wrong_constant(fn: ast.FunctionDef) -> Iterator[Site]:
    node: Any
    for node in ast.walk(fn):
        if _is_int(node) and node.value >= 0:
            yield Site(f"it should be {node.value}", _setter(node, "value", node.value + 1))


def _missing_return(fn: ast.FunctionDef) -> Iterator[Site]:
    node: Any
    for node in ast.walk(fn):
        for field in ("body", "orelse"):
            children = getattr(node, field, None)
            for child in children if isinstance(children, list) else ():
                if isinstance(child, ast.Return) and child.value is not None:
                    yield Site(f"return {ast.unparse(child.value)}", _dropper(node, field, child))


def _wrong_variable(fn: ast.FunctionDef) -> Iterator[Site]:
    stored = [n.arg for n in fn.args.args]
    stored += [n.id for n in ast.walk(fn) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    names = list(dict.fromkeys(stored))
    node: Any
    for node in ast.walk(fn):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
            for other in names:
                if other != node.id:
                    yield Site(f"it should use {node.id}", _setter(node, "id", other))


class Mutation(NamedTuple):
    """A kind of bug: how its report begins, and what finds the places in a function where it can be made."""

    request: str
    sites: Callable[[ast.FunctionDef], Iterator[Site]]


MUTATIONS = {
    "wrong_operator": Mutation("fix the wrong operator", _wrong_operator),
    "off_by_one": Mutation("fix the off-by-one error", _off_by_one),
    "wrong_initial": Mutation("fix the wrong initial value", _wrong_initial),
    "wrong_constant": Mutation("fix the wrong constant", _wrong_constant),
    "missing_return": Mutation("add the missing return", _missing_return),
    "wrong_variable": Mutation("fix the wrong variable", _wrong_variable),
}


def site_count(source: str, entry: str, kind: str) -> int:
    """How many single-site mutations of a kind (a key of MUTATIONS) the function `entry` admits.

    source: the program's text. Raises ValueError where it has no such function at its top.
    """
    return len(list(MUTATIONS[kind].sites(_function(syntax.module(source), entry))))


def mutate(source: str, entry: str, kind: str, site: int) -> Mutant:
    """One mutation of a function. It may print like the original where the change is no change.

    source: the program. entry: the function's name. kind: a key of MUTATIONS. site: which of the `site_count`, from 0.
    """
    tree = syntax.module(source)
    hint, apply = list(MUTATIONS[kind].sites(_function(tree, entry)))[site]
    apply()
    return Mutant(kind, f"{MUTATIONS[kind].request}: {hint}", ast.unparse(ast.fix_missing_locations(tree)))


def mutants(source: str, entry: str, most: int | None = None, rng: Random | None = None) -> list[Mutant]:
    """Single-site mutants of a function, without repeats and without the original.

    source: the program. entry: the function's name. most: at most so many; None for all. rng: decides their order; a
    fixed one, kind by kind, where None.
    """
    sites = [(kind, site) for kind in MUTATIONS for site in range(site_count(source, entry, kind))]
    if rng is not None:
        rng.shuffle(sites)
    original = ast.unparse(syntax.module(source))
    found: dict[str, Mutant] = {}
    for kind, site in sites:
        if most is not None and len(found) >= most:
            break
        mutant = mutate(source, entry, kind, site)
        if mutant.source != original:
            found.setdefault(mutant.source, mutant)
    return list(found.values())


def _function(tree: ast.Module, entry: str) -> ast.FunctionDef:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry:
            return node
    raise ValueError(f"no function {entry!r} in the source")
