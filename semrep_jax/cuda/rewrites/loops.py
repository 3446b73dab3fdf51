"""Rules about loops: `for` and `while`, and unrolling by hand, wholly or by two and four with the rest in a loop of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from semrep_jax.cuda.rewrites.mapping import between
from semrep_jax.cuda.rewrites.rule import (
    CudaRule,
    Function,
    Listing,
    Offers,
    indent,
    moved,
    replace,
    said,
    substituted,
    walk,
)
from semrep_jax.cuda.rewrites.trees import (
    assigned,
    bare,
    declared,
    initialised,
    jumps,
    names,
    operator,
    prefix,
    pure,
    roomy,
    sides,
    statements,
    tame,
    type_of,
    types,
)

MOST_COPIES, LONGEST = 16, 1500


@dataclass(frozen=True)
class Loop:
    """for (int NAME = FIRST; NAME < LAST; NAME += STEP) BODY; `sign` is the comparison, `<` or `<=`."""

    node: Node
    name: str
    first: Node
    sign: str
    last: Node
    step: int
    body: Node


def counted(node: Node) -> Loop | None:
    """A loop that counts an int up by a constant to a bound which does not change in it, and is left in no other way; else None."""
    start, test, update, body = (node.child_by_field_name(f) for f in ("initializer", "condition", "update", "body"))
    if (
        start is None
        or test is None
        or update is None
        or body is None
        or start.type != "declaration"
        or prefix(start) != "int"
    ):
        return None
    made = initialised(start)
    if made is None or len(made) != 1 or made[0][1] is None or test.type != "binary_expression":
        return None
    name, first = made[0]
    left, right = sides(test)
    if (
        said(left) != name
        or operator(test) not in ("<", "<=")
        or not pure(right)
        or any(True for _ in walk(right, "subscript_expression"))
    ):
        return None
    step = _step(update, name)
    changing = assigned(body) | declared(body)
    if (
        step is None
        or changing & (names(right) | {name})
        or jumps(body, "break_statement", "continue_statement", "return_statement")
    ):
        return None
    assert first is not None
    return Loop(node, name, first, operator(test), right, step, body) if tame(body) else None


def _step(update: Node, name: str) -> int | None:
    if update.type == "update_expression":
        return 1 if operator(update) == "++" and said(update.child_by_field_name("argument")) == name else None
    if update.type == "assignment_expression":
        left, right = sides(update)
        if said(left) == name and operator(update) == "+=" and said(right).isdigit() and int(said(right)):
            return int(said(right))
    return None


def _loops(listing: Listing, kind: str) -> Iterator[tuple[Function, Node]]:
    """Loops without a pragma before them."""
    for function in listing.functions:
        for node in walk(function.body, kind):
            before = node.prev_sibling
            if before is None or not before.type.startswith("preproc"):
                yield function, node


def for_to_while(listing: Listing) -> Iterator[Listing]:
    """for (A; B; C) D -> { A; while (B) { D C; } }."""
    for _, node in _loops(listing, "for_statement"):
        start, test, update, body = (
            node.child_by_field_name(f) for f in ("initializer", "condition", "update", "body")
        )
        if test is None or update is None or body is None or jumps(body, "continue_statement") or not tame(node):
            continue
        if (
            start is not None
            and start.type == "declaration"
            and body.type == "compound_statement"
            and declared(body) & names(update)
        ):
            continue
        by = indent(node)
        deeper = by if start is None else f"{by}    "
        lines = f"\n{deeper}    ".join(
            [between(statements(body), f"{deeper}    ")] * bool(statements(body)) + [f"{said(update)};"]
        )
        loop = f"while ({said(test)}) {{\n{deeper}    {lines}\n{deeper}}}"
        if start is not None:
            loop = f"{{\n{deeper}{said(start).rstrip(';')};\n{deeper}{loop}\n{by}}}"
        yield listing.changed([replace(node, loop)])


def while_to_for(listing: Listing) -> Iterator[Listing]:
    """{ A; while (B) { D C; } } -> for (A; B; C) D, and any other while (B) D -> for (; B;) D."""
    for _, node in _loops(listing, "while_statement"):
        test, body, block = node.child_by_field_name("condition"), node.child_by_field_name("body"), node.parent
        if test is None or body is None or block is None or not tame(node):
            continue
        condition, around = said(bare(test)), statements(block)
        starts = len(around) == 2 and around[1] == node and around[0].type in ("declaration", "expression_statement")
        if starts and _nested(block) and _counts(body):
            *inner, update = statements(body)
            by = indent(block)
            braced = len(inner) > 1 or not _unbraced(inner[0])
            shown = f"{{\n{by}    {between(inner, f'{by}    ')}\n{by}}}" if braced else between(inner, by)
            yield listing.changed(
                [replace(block, f"for ({said(around[0])} {condition}; {said(update).rstrip(';')}) {shown}")]
            )
        else:
            yield listing.changed([(node.start_byte, body.start_byte, f"for (; {condition};) ")])


def _nested(block: Node) -> bool:
    """Whether a block is a statement among others, or a loop's body."""
    return block.parent is not None and block.parent.type in ("compound_statement", "for_statement", "while_statement")


def _counts(body: Node) -> bool:
    """Whether a loop's body ends with a statement that may as well be a `for` loop's third part."""
    within = statements(body)
    if body.type != "compound_statement" or len(within) < 2 or within[-1].type != "expression_statement":
        return False
    return not jumps(body, "continue_statement") and not declared(body) & names(within[-1])


def _unbraced(node: Node) -> bool:
    """Whether a statement needs no braces to be a loop's body."""
    body = node.child_by_field_name("body") if node.type == "for_statement" else None
    return node.type == "expression_statement" or (
        body is not None and (body.type == "compound_statement" or _unbraced(body))
    )


def unroll_wholly(listing: Listing) -> Iterator[Listing]:
    """for (int k = 0; k < 3; k++) D -> D for 0, D for 1, D for 2."""
    for _, node in _loops(listing, "for_statement"):
        loop = counted(node)
        if loop is None or not said(loop.first).isdigit() or not said(bare(loop.last)).isdigit():
            continue
        numbers = range(int(said(loop.first)), int(said(bare(loop.last))) + (loop.sign == "<="), loop.step)
        if not 0 < len(numbers) <= MOST_COPIES or len(numbers) * len(said(loop.body)) > LONGEST:
            continue
        by = indent(node)
        if node.parent is not None and node.parent.type == "compound_statement":
            yield listing.changed([replace(node, f"\n{by}".join(_copy(loop, str(i), by) for i in numbers))])
        else:
            lines = "".join(f"\n{by}    {_copy(loop, str(i), f'{by}    ')}" for i in numbers)
            yield listing.changed([replace(node, f"{{{lines}\n{by}}}")])


def _copy(loop: Loop, value: str, by: str) -> str:
    """The body with the counter replaced, for a place at `by`; braces go where nothing is declared in it."""
    edits = substituted(loop.body, {loop.name: value})
    if not value.isdigit() and value != loop.name:
        edits = [(a, b, t if _alone(loop.body, a) else f"({t})") for a, b, t in edits]
    inner = statements(loop.body)
    if loop.body.type == "compound_statement" and len(inner) == 1 and inner[0].type != "declaration":
        return moved(inner[0], by, [e for e in edits if inner[0].start_byte <= e[0] < inner[0].end_byte])
    return moved(loop.body, by, edits)


def _alone(root: Node, at: int) -> bool:
    found = root.descendant_for_byte_range(at, at + 1)
    return found is not None and roomy(found)


def unroll_by(factor: int) -> Offers:
    """for (int j = 0; j < n; j++) D -> a loop with `factor` times D, in the same order, then one for what is left."""

    def offers(listing: Listing) -> Iterator[Listing]:
        for function, node in _loops(listing, "for_statement"):
            loop = counted(node)
            if (
                loop is None
                or loop.step != 1
                or len(said(loop.body)) * factor > LONGEST
                or said(bare(loop.last)).isdigit()
            ):
                continue
            if type_of(loop.last, types(function)) != "int":
                continue
            by = indent(node)
            copies = [_copy(loop, f"{loop.name} + {t}" if t else loop.name, f"{by}        ") for t in range(factor)]
            lines = "".join(f"\n{by}        {c}" for c in copies)
            head = f"{{\n{by}    int {loop.name} = {said(loop.first)};"
            many = f"for (; {loop.name} + {factor - 1} {loop.sign} {said(loop.last)}; {loop.name} += {factor}) {{{lines}\n{by}    }}"
            rest = f"for (; {loop.name} {loop.sign} {said(loop.last)}; {loop.name}++) {_copy(loop, loop.name, f'{by}    ')}"
            yield listing.changed([replace(node, f"{head}\n{by}    {many}\n{by}    {rest}\n{by}}}")])

    return offers


RULES = (
    CudaRule("for_to_while", for_to_while, "while_to_for"),
    CudaRule("while_to_for", while_to_for, "for_to_while"),
    CudaRule("unroll_wholly", unroll_wholly),
    CudaRule("unroll_by_2", unroll_by(2)),
    CudaRule("unroll_by_4", unroll_by(4)),
)
