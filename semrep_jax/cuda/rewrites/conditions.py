"""Rules about conditions: ternary and `if`, and a guard that returns early or one that wraps the rest."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from semrep_jax.cuda.rewrites.mapping import between
from semrep_jax.cuda.rewrites.rule import CudaRule, Edit, Function, Listing, indent, replace, said, walk
from semrep_jax.cuda.rewrites.trees import (
    bare,
    collective,
    declared,
    initialised,
    negated,
    operator,
    prefix,
    pure,
    sides,
    statements,
    tame,
    type_of,
    types,
)


def ternary_to_if(listing: Listing) -> Iterator[Listing]:
    """x = c ? a : b; -> if (c) x = a; else x = b;, and so for `+=` and for a declaration."""
    for function in listing.functions:
        for node in walk(function.body, "expression_statement", "declaration"):
            text = (
                (_assignment_to_if(node) if node.type == "expression_statement" else _declaration_to_if(node))
                if tame(node)
                else None
            )
            if text is not None:
                alone = node.parent is not None and node.parent.type != "compound_statement"
                yield listing.changed([replace(node, f"{{ {text} }}" if alone else text)])


def _assignment_to_if(node: Node) -> str | None:
    inner = node.named_children[0] if node.named_child_count == 1 else None
    if inner is None or inner.type != "assignment_expression":
        return None
    left, right = sides(inner)
    test, chosen = _chosen(right)
    if test is None or not pure(left):
        return None
    one, other = (f"{said(left)} {operator(inner)} {value};" for value in chosen)
    return f"if ({test}) {one} else {other}"


def _declaration_to_if(node: Node) -> str | None:
    made = initialised(node)
    if (
        made is None
        or len(made) != 1
        or made[0][1] is None
        or any(w in ("const", "constexpr", "auto", "static") for w in prefix(node).split())
    ):
        return None
    name, value = made[0]
    if node.parent is None or node.parent.type != "compound_statement":
        return None
    test, chosen = _chosen(value)
    return (
        None
        if test is None
        else f"{prefix(node)} {name};\n{indent(node)}if ({test}) {name} = {chosen[0]}; else {name} = {chosen[1]};"
    )


def _chosen(value: Node | None) -> tuple[str | None, tuple[str, str]]:
    inner = bare(value) if value is not None else None
    if inner is None or inner.type != "conditional_expression" or not pure(inner):
        return None, ("", "")
    condition, first, second = (inner.child_by_field_name(f) for f in ("condition", "consequence", "alternative"))
    assert condition is not None and first is not None and second is not None
    return said(bare(condition)), (said(bare(first)), said(bare(second)))


def if_to_ternary(listing: Listing) -> Iterator[Listing]:
    """if (c) x = a; else x = b; -> x = c ? a : b;, and if (c) x = a; -> x = c ? a : x; for a variable, where types agree."""
    for function in listing.functions:
        known = types(function)
        for node in walk(function.body, "if_statement"):
            text = _if_to_ternary(node, known) if tame(node) else None
            if text is None:
                continue
            edits = [replace(node, text[1])]
            before = node.prev_named_sibling
            if (
                before is not None
                and before.type == "declaration"
                and text[0]
                and initialised(before) == [(text[0], None)]
            ):
                edits = [(before.start_byte, node.end_byte, f"{prefix(before)} {text[1]}")]
            yield listing.changed(edits)


def _if_to_ternary(node: Node, known: dict[str, str | None]) -> tuple[str, str] | None:
    condition, first, second = _parts(node)
    one = _assignment(first)
    if condition is None or one is None or not pure(condition):
        return None
    left, sign, value = one
    if second is None:
        if left.type != "identifier" or sign != "=":
            return None
        otherwise, kind = said(left), type_of(left, known)
    else:
        other = _assignment(second)
        if other is None or said(other[0]) != said(left) or other[1] != sign:
            return None
        otherwise, kind = said(other[2]), type_of(other[2], known)
    if kind is None or kind != type_of(value, known) or not pure(left):
        return None
    if value.type in ("assignment_expression", "comma_expression"):
        return None
    return (
        said(left) if sign == "=" else ""
    ), f"{said(left)} {sign} {said(bare(condition))} ? {said(value)} : {otherwise};"


def _assignment(node: Node | None) -> tuple[Node, str, Node] | None:
    """(target, operator, value) of a statement that is one assignment, perhaps in braces."""
    if node is not None and node.type == "compound_statement" and len(statements(node)) == 1:
        node = statements(node)[0]
    if node is None or node.type != "expression_statement" or node.named_child_count != 1:
        return None
    inner = node.named_children[0]
    if inner.type != "assignment_expression" or not pure(sides(inner)[1]):
        return None
    return sides(inner)[0], operator(inner), sides(inner)[1]


def guard_to_block(listing: Listing) -> Iterator[Listing]:
    """if (i >= n) return; REST -> if (i < n) { REST }."""
    for function in listing.functions:
        known = types(function)
        for node in statements(function.body) if _void(function) else []:
            condition, does, otherwise = _parts(node)
            if condition is None or otherwise is not None or not _returns(does):
                continue
            rest = [n for n in statements(function.body) if n.start_byte > node.start_byte]
            if not rest or not pure(condition) or any(collective(n) for n in rest):
                continue
            by = indent(node)
            new = f"if ({negated(condition, known)}) {{\n{by}    {between(rest, f'{by}    ')}\n{by}}}"
            yield listing.changed([(node.start_byte, rest[-1].end_byte, new)])


def block_to_guard(listing: Listing) -> Iterator[Listing]:
    """if (i < n) { REST } at a kernel's end -> if (i >= n) return; REST."""
    for function in listing.functions:
        within = statements(function.body)
        condition, does, otherwise = _parts(within[-1]) if within and _void(function) else (None, None, None)
        if condition is None or does is None or otherwise is not None or does.type != "compound_statement":
            continue
        node = within[-1]
        if not statements(does) or not tame(node):
            continue
        outer = set().union(*(declared(n) for n in within[:-1])) | {p.name for p in function.parameters}
        own = {n for s in statements(does) if s.type == "declaration" for n in declared(s)}
        if own & outer or collective(does) or not pure(condition):
            continue
        by = indent(node)
        new = f"if ({negated(condition, types(function))}) return;\n{by}{between(statements(does), by)}"
        yield listing.changed([replace(node, new)])


def swap_branches(listing: Listing) -> Iterator[Listing]:
    """if (c) A else B -> if (!c) B else A."""
    for function in listing.functions:
        known = types(function)
        for node in walk(function.body, "if_statement"):
            condition, first, other = _parts(node)
            if (
                condition is None
                or first is None
                or other is None
                or not tame(node)
                or "if_statement" in (first.type, other.type)
            ):
                continue
            shown = [
                said(n) if n.type == "compound_statement" else f"{{ {said(n)} }}" if _open(n) else said(n)
                for n in (other, first)
            ]
            edits: list[Edit] = [
                replace(condition, f"({negated(condition, known)})"),
                replace(first, shown[0]),
                replace(other, shown[1]),
            ]
            yield listing.changed(edits)


def _parts(node: Node) -> tuple[Node | None, Node | None, Node | None]:
    """Condition, what is done, and what is done otherwise, of an `if`; None for what is not there."""
    if node.type != "if_statement":
        return None, None, None
    condition, does, otherwise = (node.child_by_field_name(f) for f in ("condition", "consequence", "alternative"))
    return (
        condition,
        does,
        otherwise.named_children[0] if otherwise is not None and otherwise.type == "else_clause" else otherwise,
    )


def _open(node: Node) -> bool:
    """Whether an `else` behind it could be taken for its own."""
    return any(True for _ in walk(node, "if_statement")) and node.type != "compound_statement"


def _void(function: Function) -> bool:
    return said(function.node.child_by_field_name("type")) == "void"


def _returns(node: Node | None) -> bool:
    if node is not None and node.type == "compound_statement" and len(statements(node)) == 1:
        node = statements(node)[0]
    return node is not None and node.type == "return_statement" and node.named_child_count == 0


RULES = (
    CudaRule("ternary_to_if", ternary_to_if, "if_to_ternary"),
    CudaRule("if_to_ternary", if_to_ternary, "ternary_to_if"),
    CudaRule("guard_to_block", guard_to_block, "block_to_guard"),
    CudaRule("block_to_guard", block_to_guard, "guard_to_block"),
    CudaRule("swap_branches", swap_branches, "swap_branches"),
)
