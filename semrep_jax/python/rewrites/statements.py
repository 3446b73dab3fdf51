"""Rules about statements next to each other, and about layout."""

from __future__ import annotations

from typing import Any

import libcst as cst

from semrep_jax.python.rewrites.rule import Block, Function, Rule, assigned, calm, code, loaded, small, statement


def swap(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """x = a; y = b  ->  y = b; x = a, where neither reads the other and both are calm"""
    one = assigned(block[i])
    two = assigned(block[i + 1]) if i + 1 < len(block) else None
    if one is None or two is None or one[0] == two[0] or not (calm(one[1]) and calm(two[1])):
        return None
    if one[0] in loaded(two[1]) or two[0] in loaded(one[1]):
        return None
    return 2, [block[i + 1], block[i]]


def unpack_to_index(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """a, b = t  ->  a = t[0]; b = t[1], t a name (of a sequence, or running tells)"""
    names, value = _unpacked(block[i])
    if names is None or not isinstance(value, cst.Name) or value.value in names:
        return None
    return 1, [statement(f"{name} = {value.value}[{k}]") for k, name in enumerate(names)]


def tuple_to_lines(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """a, b = 0, n  ->  a = 0; b = n, where no value reads a name bound before it"""
    names, value = _unpacked(block[i])
    if names is None or not isinstance(value, cst.Tuple) or len(value.elements) != len(names):
        return None
    values = [e.value for e in value.elements]
    if any(set(names[:k]) & loaded(v) for k, v in enumerate(values)) or len(set(names)) != len(names):
        return None
    return 1, [statement(f"{n} = {code(v)}") for n, v in zip(names, values, strict=True)]


def lines_to_tuple(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """a = 0; b = n  ->  a, b = 0, n, where the second reads nothing of the first"""
    one = assigned(block[i])
    two = assigned(block[i + 1]) if i + 1 < len(block) else None
    if one is None or two is None or one[0] == two[0] or one[0] in loaded(two[1]):
        return None
    if isinstance(one[1], cst.Tuple) or isinstance(two[1], cst.Tuple):
        return None
    return 2, [statement(f"{one[0]}, {two[0]} = {code(one[1])}, {code(two[1])}")]


def _unpacked(node: Any) -> tuple[list[str] | None, Any]:
    """(names, value) of `a, b = value`, else (None, None)."""
    one = small(node)
    if not isinstance(one, cst.Assign) or len(one.targets) != 1 or not isinstance(one.targets[0].target, cst.Tuple):
        return None, None
    elements = [e.value if isinstance(e, cst.Element) else None for e in one.targets[0].target.elements]
    names = [e.value for e in elements if isinstance(e, cst.Name)]
    return (names, one.value) if len(names) == len(elements) else (None, None)


class _Bare(cst.CSTTransformer):
    def leave_EmptyLine(self, original_node: cst.EmptyLine, updated_node: cst.EmptyLine) -> Any:
        return cst.RemoveFromParent()

    def leave_TrailingWhitespace(
        self, original_node: cst.TrailingWhitespace, updated_node: cst.TrailingWhitespace
    ) -> Any:
        return (
            updated_node.with_changes(comment=None, whitespace=cst.SimpleWhitespace(""))
            if original_node.comment
            else updated_node
        )


def strip_comments(function: Function) -> cst.FunctionDef | None:
    """Comments and empty lines go."""
    if "#" not in code(function.node) and "\n\n" not in code(function.node):
        return None
    found: Any = function.node.visit(_Bare())
    return found


def add_comment(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """A comment above a loop, an if or a return."""
    node = block[i]
    one = small(node)
    words = {"For": "go through all of them", "While": "as long as it holds", "If": "is it so?"}
    word = words.get(type(node).__name__, "done" if isinstance(one, cst.Return) else None)
    if word is None or any(line.comment for line in node.leading_lines):
        return None
    line = cst.EmptyLine(comment=cst.Comment(f"# {word}"))
    return 1, [node.with_changes(leading_lines=[*node.leading_lines, line])]


RULES = (
    Rule("swap", "swap", block=swap),
    Rule("unpack_to_index", block=unpack_to_index),
    Rule("tuple_to_lines", "lines_to_tuple", block=tuple_to_lines),
    Rule("lines_to_tuple", "tuple_to_lines", block=lines_to_tuple),
    Rule("strip_comments", function=strip_comments),
    Rule("add_comment", "strip_comments", block=add_comment),
)
