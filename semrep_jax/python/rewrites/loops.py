"""Rules about loops that count.

A loop is *closed* where its scope is plain, and no generator in it keeps its variable for later. Its body is *calm*
where it changes nothing but names and objects that the function made itself: see `Function.changes_only_own`.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

import libcst as cst

from semrep_jax.core import syntax
from semrep_jax.python.rewrites.function import Function
from semrep_jax.python.rewrites.patterns import save, statements_like
from semrep_jax.python.rewrites.rule import rewrites_statements
from semrep_jax.python.rewrites.trees import (
    Block,
    Expr,
    NewStatements,
    bound_in,
    cannot_fail,
    code,
    header,
    is_name_or_constant,
    is_repeatable,
    names_in,
    nodes_in,
    occurrences,
    operand,
    tree,
)
from semrep_jax.python.rewrites.types import INTEGERS, SEQUENCES


def _with_any_else(text: str) -> list[Any]:
    """The pattern of a loop that may have an `else`."""
    return [replace(loop, orelse=save("orelse")) for loop in statements_like(text)]


@rewrites_statements("for _i in range(STOP): INNER", "for _i in range(START, STOP): INNER", inverse="while_to_for")
def for_to_while(
    function: Function, nodes: Block, i: str, stop: Expr, inner: Block, start: Expr | None = None
) -> NewStatements:
    """for i in range(a, n): B  ->  i = a; while i < n: B; i += 1

    If `a` and `n` are integers, one of them can't raise an error, B neither binds `i` nor continues, `i` is nowhere
    else, `range` is the builtin, and the loop is closed; an `n` that is no local name or constant, or is bound in B,
    gets a name first.
    """
    if i in bound_in(*inner) or nodes_in(inner, ast.Continue) or function.mentions(i, tree(*nodes)):
        return None
    bounds = [stop] if start is None else [stop, start]
    if any(function.type_of(bound) not in INTEGERS for bound in bounds) or not function.is_builtin("range"):
        return None
    if not any(map(cannot_fail, bounds)) and start is not None:
        return None
    if not _is_closed(function, i, inner):
        return None
    limit, before = code(stop), [f"{i} = {code(start) if start else 0}"]
    if not is_name_or_constant(stop) or names_in(stop) & bound_in(*nodes):
        limit = function.fresh("stop", "end", "last")
        before = [f"{limit} = {code(stop)}", *before]
    return [*before, header(f"while {i} < {limit}:", [*inner, f"{i} += 1"])]


@rewrites_statements("_i = START\nwhile _i < STOP: INNER; _i += 1", inverse="for_to_while")
def while_to_for(function: Function, nodes: Block, i: str, start: Expr, stop: Expr, inner: Block) -> NewStatements:
    """i = a; while i < n: B; i += 1  ->  for i in range(a, n): B

    If `a` and `n` are integers, B neither binds `i` nor continues, `i` is nowhere else, `range` is the builtin, and the
    loop is closed; if `n` is a constant, a local name that B does not bind, or a call that can be repeated, whose
    names do not occur in B, which is calm.
    """
    if i in bound_in(*inner) or nodes_in(inner, ast.Continue) or names_in(stop) & (bound_in(*inner) | {i}):
        return None
    if function.type_of(start) not in INTEGERS or function.type_of(stop) not in INTEGERS:
        return None
    if not function.is_builtin("range") or not _is_closed(function, i, inner):
        return None
    if not is_name_or_constant(stop) and not _is_steady_call(function, stop, inner):
        return None
    if function.mentions(i, *(syntax.module(code(node)) for node in nodes)):
        return None
    bounds = code(stop) if code(start) == "0" else f"{code(start)}, {code(stop)}"
    return [header(f"for {i} in range({bounds}):", inner)]


def _is_closed(function: Function, i: str, inner: Block) -> bool:
    """Whether nothing reads a loop's variable but its body, while it runs."""
    return function.has_plain_scope and not function.captures(i, inner)


def _is_steady_call(function: Function, stop: Expr, inner: Block) -> bool:
    """Whether a call gives the same before each turn of a loop."""
    met = {name for one in inner for name in names_in(one)} & (names_in(stop) & function.bound)
    return isinstance(stop, cst.Call) and is_repeatable(stop) and not met and function.changes_only_own(inner)


@rewrites_statements(_with_any_else("for _i, _x in enumerate(_xs): INNER"), inverse="range_to_enumerate")
def enumerate_to_range(function: Function, i: str, x: str, xs: str, inner: Block, orelse: Any) -> NewStatements:
    """for i, x in enumerate(xs): B  ->  for i in range(len(xs)): x = xs[i]; B

    If `xs` is a list, a tuple or a string that does not occur in B, which is calm; and `enumerate`, `len` and `range`
    are the builtins.
    """
    if i == x or not _is_untouched(function, xs, {i, x}, inner):
        return None
    if not all(map(function.is_builtin, ("enumerate", "len", "range"))):
        return None
    return [header(f"for {i} in range(len({xs})):", [f"{x} = {xs}[{i}]", *inner], orelse)]


@rewrites_statements("for _i in range(len(_xs)): _x = _xs[_i]; INNER", inverse="enumerate_to_range")
def range_to_enumerate(function: Function, i: str, xs: str, x: str, inner: Block) -> NewStatements:
    """for i in range(len(xs)): x = xs[i]; B  ->  for i, x in enumerate(xs): B

    If `xs` is a list, a tuple or a string that does not occur in B but as `xs[i]`, and B is calm and does not bind
    `i`; and `enumerate`, `len` and `range` are the builtins.
    """
    if i in bound_in(*inner) | {x} or not all(map(function.is_builtin, ("enumerate", "len", "range"))):
        return None
    if not _is_untouched(function, xs, {i, x}, inner, f"{xs}[{i}]"):
        return None
    return [header(f"for {i}, {x} in enumerate({xs}):", inner)]


@rewrites_statements(_with_any_else("for _x in _xs: INNER"))
def direct_to_index(function: Function, x: str, xs: str, inner: Block, orelse: Any) -> NewStatements:
    """for x in xs: B  ->  for index in range(len(xs)): x = xs[index]; B

    If `xs` is a list, a tuple or a string that does not occur in B, which is calm; and `len` and `range` are the
    builtins.
    """
    if not _is_untouched(function, xs, {x}, inner) or not all(map(function.is_builtin, ("len", "range"))):
        return None
    index = function.fresh("index", "k", "at")
    return [header(f"for {index} in range(len({xs})):", [f"{x} = {xs}[{index}]", *inner], orelse)]


@rewrites_statements(_with_any_else("for TARGET in ITERABLE: INNER"), inverse="enumerate_to_direct")
def direct_to_enumerate(function: Function, target: Expr, iterable: Expr, inner: Block, orelse: Any) -> NewStatements:
    """for x in xs: B  ->  for index, x in enumerate(xs): B

    If `xs` is no call of `enumerate`, which is the builtin, and the function calls nothing that looks at its names.
    """
    if code(iterable).startswith("enumerate(") or not function.is_builtin("enumerate") or function.sees_names:
        return None
    item = operand(target)
    index = function.fresh("index", "k", "at")
    return [header(f"for {index}, {item} in enumerate({code(iterable)}):", inner, orelse)]


@rewrites_statements(_with_any_else("for _i, TARGET in enumerate(XS): INNER"), inverse="direct_to_enumerate")
def enumerate_to_direct(function: Function, i: str, target: Expr, xs: Expr, inner: Block, orelse: Any) -> NewStatements:
    """for i, x in enumerate(xs): B  ->  for x in xs: B

    If `i` is nowhere else, nothing spells it where no variable is meant, `enumerate` is the builtin, and the scope is
    plain.
    """
    if function.names_twice(i) or not function.is_builtin("enumerate"):
        return None
    return [header(f"for {code(target)} in {code(xs)}:", inner, orelse)]


def _is_untouched(function: Function, xs: str, variables: set[str], inner: Block, read: str = "") -> bool:
    """Whether `xs` is a sequence that has the same items throughout a loop.

    variables: the loop's own. read: how `xs` may stand in the loop, nowhere else.
    """
    if function.known_type(xs) not in SEQUENCES or xs in variables | bound_in(*inner):
        return False
    trees = [tree(one) for one in inner]
    reads = [n for one in trees for n in ast.walk(one) if isinstance(n, ast.Subscript) and ast.unparse(n) == read]
    if any(not isinstance(n.ctx, ast.Load) for n in reads):
        return False
    if sum(occurrences(one, xs) for one in trees) != len(reads):
        return False
    return function.changes_only_own(inner)
