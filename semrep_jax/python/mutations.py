"""Seeded bugs: small changes of a Python function that usually change its meaning.

`mutants` lists every single-site mutation, `mutate` makes one; whether the tests can tell is decided by whoever runs
them. The hint says what a bug report would: where to look, not the mended line.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from semrep_jax.core import syntax

Site = tuple[str, Callable[[], None]]

_COMPARE = {ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
_STRICT = {ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt}
_ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mod, ast.Mod: ast.FloorDiv}
_SYMBOL = {
    ast.Gt: ">", ast.Lt: "<", ast.GtE: ">=", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!=", ast.Add: "+",
    ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%", ast.And: "and", ast.Or: "or",
}  # fmt: skip


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


def _wrong_operator(fn: ast.FunctionDef) -> Iterator[Site]:
    node: Any
    for node in ast.walk(fn):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARE:
            right: Any = type(node.ops[0])
            wrong: Any = [_COMPARE[right](), *node.ops[1:]]
            yield f"it should use {_SYMBOL[right]}", _setter(node, "ops", wrong)
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _ARITHMETIC:
            right = type(node.op)
            yield f"it should use {_SYMBOL[right]}", _setter(node, "op", _ARITHMETIC[right]())
        elif isinstance(node, ast.BoolOp):
            right = type(node.op)
            yield f"it should use {_SYMBOL[right]}", _setter(node, "op", ast.Or() if right is ast.And else ast.And())


def _off_by_one(fn: ast.FunctionDef) -> Iterator[Site]:
    node: Any
    for node in ast.walk(fn):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and node.args:
            which = 0 if len(node.args) == 1 else 1
            wrong: Any = list(node.args)
            wrong[which] = ast.BinOp(wrong[which], ast.Sub(), ast.Constant(1))
            yield "the range ends too early", _setter(node, "args", wrong)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _STRICT:
            right = type(node.ops[0])
            edge = "the bound is missed" if right in (ast.GtE, ast.LtE) else "the bound is included"
            yield edge, _setter(node, "ops", [_STRICT[right]()])


def _wrong_initial(fn: ast.FunctionDef) -> Iterator[Site]:
    for node in fn.body:
        if isinstance(node, ast.Assign) and _is_int(node.value) and isinstance(node.targets[0], ast.Name):
            value: Any = node.value
            hint = f"{node.targets[0].id} should start at {value.value}"
            yield hint, _setter(node, "value", ast.Constant(value.value + 1))


def _wrong_constant(fn: ast.FunctionDef) -> Iterator[Site]:
    node: Any
    for node in ast.walk(fn):
        if _is_int(node) and node.value >= 0:
            yield f"it should be {node.value}", _setter(node, "value", node.value + 1)


def _missing_return(fn: ast.FunctionDef) -> Iterator[Site]:
    def drop(parent: ast.AST, field: str, child: ast.Return) -> Callable[[], None]:
        def apply() -> None:
            body = [n for n in getattr(parent, field) if n is not child]
            setattr(parent, field, body or [ast.Pass()])

        return apply

    node: Any
    for node in ast.walk(fn):
        for field in ("body", "orelse"):
            children = getattr(node, field, None)
            for child in children if isinstance(children, list) else ():
                if isinstance(child, ast.Return) and child.value is not None:
                    yield f"return {ast.unparse(child.value)}", drop(node, field, child)


def _wrong_variable(fn: ast.FunctionDef) -> Iterator[Site]:
    stored = [n.arg for n in fn.args.args]
    stored += [n.id for n in ast.walk(fn) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    names = list(dict.fromkeys(stored))
    node: Any
    for node in ast.walk(fn):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
            for other in names:
                if other != node.id:
                    yield f"it should use {node.id}", _setter(node, "id", other)


MUTATIONS: dict[str, tuple[str, Callable[[ast.FunctionDef], Iterator[Site]]]] = {
    "wrong_operator": ("fix the wrong operator", _wrong_operator),
    "off_by_one": ("fix the off-by-one error", _off_by_one),
    "wrong_initial": ("fix the wrong initial value", _wrong_initial),
    "wrong_constant": ("fix the wrong constant", _wrong_constant),
    "missing_return": ("add the missing return", _missing_return),
    "wrong_variable": ("fix the wrong variable", _wrong_variable),
}


def site_count(source: str, entry: str, kind: str) -> int:
    """How many single-site mutations of `kind` function `entry` admits."""
    return len(list(MUTATIONS[kind][1](_entry(syntax.module(source), entry))))


def mutate(source: str, entry: str, kind: str, site: int) -> Mutant:
    """Mutation number `site` of `kind` (see `site_count`). May print like the original where the change is no change."""
    tree = syntax.module(source)
    phrase, sites = MUTATIONS[kind]
    hint, apply = list(sites(_entry(tree, entry)))[site]
    apply()
    return Mutant(kind, f"{phrase}: {hint}", ast.unparse(ast.fix_missing_locations(tree)))


def mutants(source: str, entry: str, most: int | None = None, rng: Random | None = None) -> list[Mutant]:
    """Single-site mutants of function `entry`, without repeats and without the original: all in a fixed order, or `most` drawn by `rng`."""
    sites = [(kind, site) for kind in MUTATIONS for site in range(site_count(source, entry, kind))]
    if rng is not None:
        rng.shuffle(sites)
    found = {ast.unparse(syntax.module(source)): Mutant("", "", "")}
    for kind, site in sites:
        if most is not None and len(found) > most:
            break
        mutant = mutate(source, entry, kind, site)
        found.setdefault(mutant.source, mutant)
    return list(found.values())[1:]


def _entry(tree: ast.Module, entry: str) -> ast.FunctionDef:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry:
            return node
    raise ValueError(f"no function {entry!r} in the source")
