"""Rules about statements next to each other, and about comments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import libcst as cst
import libcst.matchers as m

from semrep_jax.python.rewrites.function import Function
from semrep_jax.python.rewrites.patterns import save
from semrep_jax.python.rewrites.rule import rewrites_function, rewrites_statements
from semrep_jax.python.rewrites.trees import Block, Expr, NewStatements, cannot_fail, code, is_pure, names_in, small

_COMMENTS: dict[type, str] = {
    cst.For: "go through all of them",
    cst.While: "as long as it holds",
    cst.If: "is it so?",
    cst.Return: "done",
}
_NAMES = m.Tuple(elements=[save("targets", m.ZeroOrMore(m.Element(value=m.Name())))])
_UNPACKING = m.Assign(targets=[m.AssignTarget(target=_NAMES)], value=save("value"))


@rewrites_statements("_x = A\n_y = B", inverse="swap")
def swap(function: Function, nodes: Block, x: str, y: str, a: Expr, b: Expr) -> NewStatements:
    """x = a; y = b  ->  y = b; x = a

    If `a` and `b` are pure, neither reads the other's name, one of them can't raise an error (it is a name or a
    constant, or a list or a tuple of such), and the scope is plain; where the two stand guarded, if neither can.
    """
    if x == y or not (is_pure(a) and is_pure(b)) or x in names_in(b) or y in names_in(a):
        return None
    safe = [cannot_fail(a), cannot_fail(b)]
    if not function.has_plain_scope or not (all(safe) or (any(safe) and not function.stands_guarded(nodes[0]))):
        return None
    return nodes[::-1]


@rewrites_statements([m.SimpleStatementLine(body=[_UNPACKING])])
def unpack_to_index(function: Function, targets: Sequence[Any], value: Expr) -> NewStatements:
    """a, b = t  ->  a = t[0]; b = t[1]

    If `t` is a name that is not on the left, of a tuple that has as many members by its hint or its literal.
    """
    names = [e.value.value for e in targets]
    if not isinstance(value, cst.Name) or value.value in names:
        return None
    if function.types.length(value.value) != len(names):
        return None
    return [f"{name} = {value.value}[{k}]" for k, name in enumerate(names)]


@rewrites_statements([m.SimpleStatementLine(body=[_UNPACKING])], inverse="lines_to_tuple")
def tuple_to_lines(function: Function, nodes: Block, targets: Sequence[Any], value: Expr) -> NewStatements:
    """a, b = 0, n  ->  a = 0; b = n

    If no value reads a name that is bound before it, no name stands twice, no value has a star, and the scope is
    plain; where it stands guarded, if no value can raise an error.
    """
    names = [e.value.value for e in targets]
    if not isinstance(value, cst.Tuple) or not len(value.elements) == len(names) == len(set(names)):
        return None
    if any(isinstance(e, cst.StarredElement) for e in value.elements):
        return None
    values = [e.value for e in value.elements]
    if not _stays_unseen(function, nodes, *values):
        return None
    if any(set(names[:k]) & names_in(v) for k, v in enumerate(values)):
        return None
    return [f"{name} = {code(v)}" for name, v in zip(names, values, strict=True)]


@rewrites_statements("_x = A\n_y = B", inverse="tuple_to_lines")
def lines_to_tuple(function: Function, nodes: Block, x: str, y: str, a: Expr, b: Expr) -> NewStatements:
    """x = a; y = b  ->  x, y = a, b

    If `b` does not read `x`, neither is a tuple, and the scope is plain; where it stands guarded, if neither value can
    raise an error.
    """
    if not _stays_unseen(function, nodes, a, b):
        return None
    if x == y or x in names_in(b) or isinstance(a, cst.Tuple) or isinstance(b, cst.Tuple):
        return None
    return [f"{x}, {y} = {code(a)}, {code(b)}"]


def _stays_unseen(function: Function, nodes: Block, *values: Expr) -> bool:
    """Whether nothing can see which of some names are set while these values for them are evaluated."""
    seen_after_error = function.stands_guarded(nodes[0]) and not all(map(cannot_fail, values))
    return function.has_plain_scope and not seen_after_error


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


@rewrites_function(layout=True)
def strip_comments(function: Function) -> cst.FunctionDef | None:
    """return x  # why  ->  return x, and so for all comments and empty lines"""
    text = code(function.node)
    if "#" not in text and "\n\n" not in text:
        return None
    changed: Any = function.node.visit(_WithoutComments())
    return changed


@rewrites_statements(
    [m.For() | m.While() | m.If() | m.SimpleStatementLine(body=[m.Return()])], inverse="strip_comments", layout=True
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
