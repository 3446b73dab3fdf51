"""Rules about loops that count.

Running decides everywhere: bounds that are no integers, and an `xs` without an index.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

import libcst as cst

from semrep_jax.core import syntax
from semrep_jax.python.rewrites.patterns import save, statements_like
from semrep_jax.python.rewrites.rule import Function, rewrites_statements
from semrep_jax.python.rewrites.trees import (
    Block,
    Expr,
    NewStatements,
    bound_in,
    code,
    header,
    is_name_or_constant,
    is_pure,
    names_in,
    nodes_in,
    tree,
)


def _with_any_else(text: str) -> list[Any]:
    """The pattern of a loop that may have an `else`."""
    return [replace(loop, orelse=save("orelse")) for loop in statements_like(text)]


@rewrites_statements("for _i in range(STOP): INNER", "for _i in range(START, STOP): INNER", inverse="while_to_for")
def for_to_while(
    function: Function, nodes: Block, i: str, stop: Expr, inner: Block, start: Expr | None = None
) -> NewStatements:
    """for i in range(a, n): B  ->  i = a; while i < n: B; i += 1

    If B neither binds `i` nor continues, and `i` is nowhere else; an `n` that is no name or constant, or is bound in
    B, gets a name first.
    """
    if i in bound_in(*inner) or nodes_in(inner, ast.Continue) or function.mentions(i, tree(*nodes)):
        return None
    limit, before = code(stop), [f"{i} = {code(start) if start else 0}"]
    if not is_name_or_constant(stop) or names_in(stop) & bound_in(*nodes):
        limit = function.fresh("stop", "end", "last")
        before = [f"{limit} = {code(stop)}", *before]
    return [*before, header(f"while {i} < {limit}:", [*inner, f"{i} += 1"])]


@rewrites_statements("_i = START\nwhile _i < STOP: INNER; _i += 1", inverse="for_to_while")
def while_to_for(function: Function, nodes: Block, i: str, start: Expr, stop: Expr, inner: Block) -> NewStatements:
    """i = a; while i < n: B; i += 1  ->  for i in range(a, n): B

    If B neither binds `i` nor continues, and `i` is nowhere else; if `n` is a name, a constant or a pure call, and B
    binds none of its names (of a call: takes no attribute or item of one either).
    """
    if i in bound_in(*inner) or nodes_in(inner, ast.Continue) or names_in(stop) & (bound_in(*inner) | {i}):
        return None
    steady_call = isinstance(stop, cst.Call) and is_pure(stop) and not _reaches_into(inner, names_in(stop))
    if not is_name_or_constant(stop) and not steady_call:
        return None
    if function.mentions(i, *(syntax.module(code(node)) for node in nodes)):
        return None
    bounds = code(stop) if code(start) == "0" else f"{code(start)}, {code(stop)}"
    return [header(f"for {i} in range({bounds}):", inner)]


def _reaches_into(inner: Block, names: set[str]) -> bool:
    """Whether an attribute or an item of one of these names occurs: it may have another length then."""
    parts = nodes_in(inner, ast.Attribute, ast.Subscript)
    return any(isinstance(n.value, ast.Name) and n.value.id in names for n in parts)


@rewrites_statements(_with_any_else("for _i, _x in enumerate(_xs): INNER"), inverse="range_to_enumerate")
def enumerate_to_range(function: Function, i: str, x: str, xs: str, inner: Block, orelse: Any) -> NewStatements:
    """for i, x in enumerate(xs): B  ->  for i in range(len(xs)): x = xs[i]; B

    If B does not bind `xs`, and `len` and `range` are not bound. Running decides: an `xs` that changes its length.
    """
    if xs in bound_in(*inner) | {i, x} or {"len", "range"} & function.bound:
        return None
    return [header(f"for {i} in range(len({xs})):", [f"{x} = {xs}[{i}]", *inner], orelse)]


@rewrites_statements("for _i in range(len(_xs)): _x = _xs[_i]; INNER", inverse="enumerate_to_range")
def range_to_enumerate(function: Function, i: str, xs: str, x: str, inner: Block) -> NewStatements:
    """for i in range(len(xs)): x = xs[i]; B  ->  for i, x in enumerate(xs): B

    If B binds neither `xs` nor `i`, and `enumerate` is not bound. Running decides: an `xs` that changes its length.
    """
    if {xs, i} & (bound_in(*inner) | {x}) or "enumerate" in function.bound:
        return None
    return [header(f"for {i}, {x} in enumerate({xs}):", inner)]


@rewrites_statements(_with_any_else("for _x in _xs: INNER"))
def direct_to_index(function: Function, x: str, xs: str, inner: Block, orelse: Any) -> NewStatements:
    """for x in xs: B  ->  for index in range(len(xs)): x = xs[index]; B

    If B does not bind `xs`, no attribute or `del` in it spells `xs`, and `len` and `range` are not bound. Running
    decides: an `xs` that changes its length.
    """
    if xs in bound_in(*inner) | {x} or {"len", "range"} & function.bound:
        return None
    if any(xs in ast.dump(n) for n in nodes_in(inner, ast.Attribute, ast.Delete)):
        return None
    index = function.fresh("index", "k", "at")
    return [header(f"for {index} in range(len({xs})):", [f"{x} = {xs}[{index}]", *inner], orelse)]
