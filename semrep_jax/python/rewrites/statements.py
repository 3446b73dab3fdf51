"""Rules about statements next to each other, and about comments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import libcst as cst
import libcst.matchers as m

from semrep_jax.python.rewrites.patterns import save
from semrep_jax.python.rewrites.rule import Function, rewrites_function, rewrites_statements
from semrep_jax.python.rewrites.trees import Block, Expr, NewStatements, code, is_pure, names_in, small

_COMMENTS: dict[type, str] = {
    cst.For: "go through all of them",
    cst.While: "as long as it holds",
    cst.If: "is it so?",
    cst.Return: "done",
}
_NAMES = m.Tuple(elements=[save("targets", m.ZeroOrMore(m.Element(value=m.Name())))])
_UNPACKING = m.Assign(targets=[m.AssignTarget(target=_NAMES)], value=save("value"))


@rewrites_statements("_x = A\n_y = B", inverse="swap")
def swap(nodes: Block, x: str, y: str, a: Expr, b: Expr) -> NewStatements:
    """x = a; y = b  ->  y = b; x = a

    If `a` and `b` are pure and neither reads the other's name. Running decides: which of two errors comes first.
    """
    if x == y or not (is_pure(a) and is_pure(b)) or x in names_in(b) or y in names_in(a):
        return None
    return nodes[::-1]


@rewrites_statements([m.SimpleStatementLine(body=[_UNPACKING])])
def unpack_to_index(targets: Sequence[Any], value: Expr) -> NewStatements:
    """a, b = t  ->  a = t[0]; b = t[1]

    If `t` is a name that is not on the left. Running decides: whether `t` has an index, and no more items than names.
    """
    names = [e.value.value for e in targets]
    if not isinstance(value, cst.Name) or value.value in names:
        return None
    return [f"{name} = {value.value}[{k}]" for k, name in enumerate(names)]


@rewrites_statements([m.SimpleStatementLine(body=[_UNPACKING])], inverse="lines_to_tuple")
def tuple_to_lines(targets: Sequence[Any], value: Expr) -> NewStatements:
    """a, b = 0, n  ->  a = 0; b = n

    If no value reads a name that is bound before it, and no name stands twice. Running decides: a call that sees the
    names.
    """
    names = [e.value.value for e in targets]
    if not isinstance(value, cst.Tuple) or not len(value.elements) == len(names) == len(set(names)):
        return None
    values = [e.value for e in value.elements]
    if any(set(names[:k]) & names_in(v) for k, v in enumerate(values)):
        return None
    return [f"{name} = {code(v)}" for name, v in zip(names, values, strict=True)]


@rewrites_statements("_x = A\n_y = B", inverse="tuple_to_lines")
def lines_to_tuple(x: str, y: str, a: Expr, b: Expr) -> NewStatements:
    """x = a; y = b  ->  x, y = a, b

    If `b` does not read `x`, and neither is a tuple. Running decides: an error or a call that sees the names.
    """
    if x == y or x in names_in(b) or isinstance(a, cst.Tuple) or isinstance(b, cst.Tuple):
        return None
    return [f"{x}, {y} = {code(a)}, {code(b)}"]


class _WithoutComments(cst.CSTTransformer):
    """Drops empty lines, whole-line comments, and comments at the end of a line."""

    def leave_EmptyLine(self, original_node: cst.EmptyLine, updated_node: cst.EmptyLine) -> Any:
        return cst.RemoveFromParent()

    def leave_TrailingWhitespace(
        self, original_node: cst.TrailingWhitespace, updated_node: cst.TrailingWhitespace
    ) -> cst.TrailingWhitespace:
        if original_node.comment is None:
            return updated_node
        return updated_node.with_changes(comment=None, whitespace=cst.SimpleWhitespace(""))


@rewrites_function()
def strip_comments(function: Function) -> cst.FunctionDef | None:
    """return x  # why  ->  return x, and so for all comments and empty lines"""
    text = code(function.node)
    if "#" not in text and "\n\n" not in text:
        return None
    changed: Any = function.node.visit(_WithoutComments())
    return changed


@rewrites_statements(
    [m.For() | m.While() | m.If() | m.SimpleStatementLine(body=[m.Return()])], inverse="strip_comments"
)
def add_comment(nodes: Block) -> NewStatements:
    """return x  ->  # done; return x

    If it is a loop, an `if` or a `return` without a comment above it.
    """
    (node,) = nodes
    if any(empty_line.comment for empty_line in node.leading_lines):
        return None
    comment = cst.EmptyLine(comment=cst.Comment(f"# {_COMMENTS[type(small(node) or node)]}"))
    return [node.with_changes(leading_lines=[*node.leading_lines, comment])]
