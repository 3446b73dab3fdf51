"""Rules about loops: `for` and `while`, and unrolling by hand, wholly or by two and four with a loop for the rest."""

from __future__ import annotations

from dataclasses import dataclass

from tree_sitter import Node

from semrep_jax.cuda.rewrites import nodes
from semrep_jax.cuda.rewrites.edits import Edit, indentation, lay_out, reindented, rename, replace
from semrep_jax.cuda.rewrites.effects import JUMPS, assigned, is_pure, jumps
from semrep_jax.cuda.rewrites.expression_types import Types, takes_any_expression, type_of
from semrep_jax.cuda.rewrites.rule import Change, CudaRule, at_each_match
from semrep_jax.cuda.syntax import node_text

MOST_COPIES = 16
LONGEST_UNROLLED = 1500  # characters of all copies of a body
FOR = "(for_statement body: (_) @site) @loop"
FOR_PARTS = "(for_statement condition: (_) @test update: (_) @update body: (_) @body) @site"
WHILE_PARTS = "(while_statement condition: (_) @test body: (_) @body) @site"


@dataclass(frozen=True)
class CountedLoop:
    """for (int NAME = FIRST; NAME < LAST; NAME += STEP) BODY; `sign` is the comparison, `<` or `<=`."""

    name: str
    first: Node
    sign: str
    last: Node
    step: int
    body: Node

    @property
    def is_unit(self) -> bool:
        """Whether it counts by one up to `last`, and leaves that out."""
        return self.step == 1 and self.sign == "<"

    @property
    def numbers(self) -> range | None:
        """What it counts, where its bounds are numbers; else None."""
        first, last = node_text(self.first), node_text(nodes.strip_parens(self.last))
        if not first.isdigit() or not last.isdigit():
            return None
        return range(int(first), int(last) + (self.sign == "<="), self.step)


def counted_loop(node: Node) -> CountedLoop | None:
    """A loop that counts an int up by a constant to a steady bound, and is left in no other way; else None."""
    parts = nodes.fields(node, "initializer", "condition", "update", "body") if node.type == "for_statement" else None
    if parts is None:
        return None
    start, test, update, body = parts
    counter = nodes.sole_variable(start, "int")
    if counter is None or not nodes.is_binary(test, "<", "<="):
        return None
    left, last = nodes.operands(test)
    if node_text(left) != counter.name or not is_pure(last) or nodes.contains(last, "subscript_expression"):
        return None
    step, changing = _step(update, counter.name), assigned(body) | nodes.declared(body)
    if step is None or changing & (nodes.identifiers(last) | {counter.name}):
        return None
    if jumps(body, *JUMPS) or not nodes.can_reformat(body):
        return None
    return CountedLoop(counter.name, counter.value, nodes.operator(test), last, step, body)


def _step(update: Node, name: str) -> int | None:
    """By how much an update adds to this variable; None where it does not."""
    if update.type == "update_expression" and nodes.operator(update) == "++":
        return 1 if node_text(update.child_by_field_name("argument")) == name else None
    if update.type == "assignment_expression" and nodes.operator(update) == "+=":
        left, right = map(node_text, nodes.operands(update))
        if left == name and right.isdigit() and int(right):
            return int(right)
    return None


def _has_pragma(loop: Node) -> bool:
    return loop.prev_sibling is not None and loop.prev_sibling.type.startswith("preproc")


def for_to_while(site: Node, test: Node, update: Node, body: Node, types: Types) -> list[Edit] | None:
    """for (A; B; C) D -> { A; while (B) { D C; } }

    site: the loop. test, update, body: B, C and D. types: of the function's variables, by name; not needed here.
    """
    start = site.child_by_field_name("initializer")
    declares = start is not None and start.type == "declaration" and body.type == "compound_statement"
    if _has_pragma(site) or jumps(body, "continue_statement"):
        return None
    if declares and nodes.declared(body) & nodes.identifiers(update):
        return None
    outer = indentation(site)
    by = outer if start is None else f"{outer}    "
    inner = f"{by}    "
    within = [lay_out(nodes.statements(body), inner)] if nodes.statements(body) else []
    lines = f"\n{inner}".join([*within, f"{node_text(update)};"])
    loop = f"while ({node_text(test)}) {{\n{inner}{lines}\n{by}}}"
    if start is not None:
        loop = f"{{\n{by}{node_text(start).rstrip(';')};\n{by}{loop}\n{outer}}}"
    return [replace(site, loop)]


def while_to_for(site: Node, test: Node, body: Node, types: Types) -> list[Edit] | None:
    """{ A; while (B) { D C; } } -> for (A; B; C) D    any other while (B) D -> for (; B;) D

    site: the loop. test: B with its parentheses. body: all that is repeated. types: of the function's variables, by
    name; not needed here.
    """
    block = site.parent
    if block is None or _has_pragma(site):
        return None
    condition, around = node_text(nodes.strip_parens(test)), nodes.statements(block)
    has_start = len(around) == 2 and around[1] == site and around[0].type in ("declaration", "expression_statement")
    if not has_start or not _is_own_scope(block) or not _ends_with_update(body):
        return [Edit(site.start_byte, body.start_byte, f"for (; {condition};) ")]
    *inner, update = nodes.statements(body)
    head = f"for ({node_text(around[0])} {condition}; {node_text(update).rstrip(';')})"
    by = indentation(block)
    if len(inner) == 1 and _needs_no_braces(inner[0]):
        return [replace(block, f"{head} {lay_out(inner, by)}")]
    return [replace(block, f"{head} {{\n{by}    {lay_out(inner, f'{by}    ')}\n{by}}}")]


def _is_own_scope(block: Node) -> bool:
    """Whether a block is a statement among others, or a loop's body."""
    return block.parent is not None and block.parent.type in ("compound_statement", "for_statement", "while_statement")


def _ends_with_update(body: Node) -> bool:
    """Whether a loop's body ends with a statement that may as well be a `for` loop's third part."""
    within = nodes.statements(body)
    if body.type != "compound_statement" or len(within) < 2 or within[-1].type != "expression_statement":
        return False
    return not jumps(body, "continue_statement") and not nodes.declared(body) & nodes.identifiers(within[-1])


def _needs_no_braces(node: Node) -> bool:
    """Whether a statement needs no braces to be a loop's body."""
    body = node.child_by_field_name("body") if node.type == "for_statement" else None
    if body is None:
        return node.type == "expression_statement"
    return body.type == "compound_statement" or _needs_no_braces(body)


def unroll_wholly(site: Node, loop: Node, types: Types) -> list[Edit] | None:
    """for (int k = 0; k < 3; k++) D(k); -> D(0); D(1); D(2);

    site: the loop's body. loop: all of it. types: of the function's variables, by name; not needed here.
    """
    counted = counted_loop(loop)
    numbers = counted.numbers if counted is not None and not _has_pragma(loop) else None
    if counted is None or numbers is None or not 0 < len(numbers) <= MOST_COPIES:
        return None
    if len(numbers) * len(node_text(site)) > LONGEST_UNROLLED:
        return None
    by = indentation(loop)
    if loop.parent is not None and loop.parent.type == "compound_statement":
        return [replace(loop, f"\n{by}".join(_copy(counted, str(i), by) for i in numbers))]
    lines = "".join(f"\n{by}    {_copy(counted, str(i), f'{by}    ')}" for i in numbers)
    return [replace(loop, f"{{{lines}\n{by}}}")]


def _copy(loop: CountedLoop, value: str, indent: str) -> str:
    """The body of a loop with its counter replaced; without braces where it is one statement that declares nothing.

    value: what replaces the counter. indent: what the lines after the first begin with.
    """
    edits = rename(loop.body, {loop.name: value})
    if not value.isdigit() and value != loop.name:
        edits = [Edit(e.start, e.end, e.text if _stands_alone(loop.body, e) else f"({e.text})") for e in edits]
    inner = nodes.statements(loop.body)
    if loop.body.type == "compound_statement" and len(inner) == 1 and inner[0].type != "declaration":
        return lay_out(inner, indent, edits)
    return reindented(loop.body, indent, edits)


def _stands_alone(root: Node, edit: Edit) -> bool:
    """Whether any expression may stand where this edit is."""
    found = root.descendant_for_byte_range(edit.start, edit.start + 1)
    return found is not None and takes_any_expression(found)


def unroll_by(factor: int) -> Change:
    """for (int j = 0; j < n; j++) D(j); -> for (; j + 1 < n; j += 2) { D(j); D(j + 1); } for (; j < n; j++) D(j);"""

    def change(site: Node, loop: Node, types: Types) -> list[Edit] | None:
        counted = counted_loop(loop)
        if counted is None or counted.step != 1 or len(node_text(site)) * factor > LONGEST_UNROLLED:
            return None
        if _has_pragma(loop) or type_of(counted.last, types) != "int":
            return None
        is_number = node_text(nodes.strip_parens(counted.last)).isdigit()
        return None if is_number else [replace(loop, _unrolled(counted, factor, indentation(loop)))]

    return change


def _unrolled(loop: CountedLoop, factor: int, outer: str) -> str:
    """A loop with `factor` copies of the body, in the same order, then one for what is left."""
    by, name, last = f"{outer}    ", loop.name, node_text(loop.last)
    copies = [_copy(loop, f"{name} + {i}" if i else name, f"{by}    ") for i in range(factor)]
    lines = "".join(f"\n{by}    {copy}" for copy in copies)
    return f"""{{
{by}int {name} = {node_text(loop.first)};
{by}for (; {name} + {factor - 1} {loop.sign} {last}; {name} += {factor}) {{{lines}
{by}}}
{by}for (; {name} {loop.sign} {last}; {name}++) {_copy(loop, name, by)}
{outer}}}"""


RULES = (
    CudaRule("for_to_while", at_each_match(FOR_PARTS, for_to_while), "while_to_for"),
    CudaRule("while_to_for", at_each_match(WHILE_PARTS, while_to_for), "for_to_while"),
    CudaRule("unroll_wholly", at_each_match(FOR, unroll_wholly)),
    CudaRule("unroll_by_2", at_each_match(FOR, unroll_by(2))),
    CudaRule("unroll_by_4", at_each_match(FOR, unroll_by(4))),
)
