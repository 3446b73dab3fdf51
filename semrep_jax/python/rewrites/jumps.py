"""Rules about `while True` and tail calls."""

from __future__ import annotations

import ast
from typing import Any

import libcst as cst
import libcst.matchers as m

from semrep_jax.python.rewrites.conditions import negated
from semrep_jax.python.rewrites.function import Function
from semrep_jax.python.rewrites.rule import rewrites_function, rewrites_statements
from semrep_jax.python.rewrites.trees import (
    Block,
    Expr,
    NewStatements,
    body,
    code,
    header,
    is_docstring,
    names_in,
    small,
    statement,
)


@rewrites_statements("while TEST: INNER", inverse="while_test")
def while_true(function: Function, test: Expr, inner: Block) -> NewStatements:
    """while c: B  ->  while True: if not c: break; B

    If `c` is not True already.
    """
    if code(test) in ("True", "1"):
        return None
    return [header("while True:", [header(f"if {negated(function, test)}:", ["break"]), *inner])]


@rewrites_statements("while True:\n    if TEST: break\n    INNER", inverse="while_true")
def while_test(function: Function, test: Expr, inner: Block) -> NewStatements:
    """while True: if c: break; B  ->  while not c: B"""
    return [header(f"while {negated(function, test)}:", inner)]


@rewrites_function()
def tail_call_to_loop(function: Function) -> cst.FunctionDef | None:
    """def f(a): ...; return f(e)  ->  def f(a): while True: ...; a = e; continue

    If `f` is nowhere but in returned calls, with every argument by position; no parameter has a star or a default;
    there is no `for`, `while`, `try` or `with`; each path ends in a return or a raise; nothing else in the file binds
    `f`; no local is read before it is set anew in a line of the function's own block; and the scope is plain. Run it
    for: recursion without end.
    """
    name, whole, arguments = function.node.name.value, function.tree, function.tree.args
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
        return None
    if any(isinstance(n, (ast.For, ast.While, ast.Try, ast.With)) for n in ast.walk(whole)):
        return None
    if not function.has_plain_scope or not function.body or not _always_leaves(function.body):
        return None
    by_position = [m.Arg(keyword=None, star="")] * len(function.parameters)
    tail_call = m.Return(value=m.Call(func=m.Name(name), args=by_position))
    tails = len(m.findall(function.node, tail_call))
    if not tails or function.mentions(name) != tails or not function.file.binds_once(name):
        return None
    if not _locals_are_set_anew(function):
        return None

    def jump(node: Any, saved: Any) -> Any:
        values = ", ".join(code(a.value) for a in small(node).value.args)
        return cst.FlattenSentinel([statement(f"{', '.join(function.parameters)} = {values}"), statement("continue")])

    changed: Any = m.replace(function.node, m.SimpleStatementLine(body=[tail_call]), jump)
    start = 1 if is_docstring(function.body[0]) else 0
    new_body = [*changed.body.body[:start], header("while True:", changed.body.body[start:])]
    return changed.with_changes(body=changed.body.with_changes(body=new_body))


def _locals_are_set_anew(function: Function) -> bool:
    """Whether each turn of a loop around the body would set every local before it reads it, as a new call does."""
    unset = function.bound - set(function.parameters)
    for line in function.body:
        assignment = small(line)
        if isinstance(assignment, cst.Assign) and not unset & names_in(assignment.value):
            unset -= {t.target.value for t in assignment.targets if isinstance(t.target, cst.Name)}
        elif unset & names_in(line):
            return False
    return True


def _always_leaves(block: Block) -> bool:
    """Whether control never falls off the end of a block."""
    last = block[-1]
    if isinstance(small(last), (cst.Return, cst.Raise)):
        return True
    if not isinstance(last, cst.If) or last.orelse is None:
        return False
    then = body(last)
    other = [last.orelse] if isinstance(last.orelse, cst.If) else body(last.orelse)
    return bool(then and other and _always_leaves(then) and _always_leaves(other))
