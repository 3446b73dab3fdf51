"""Changes of a text as edits of its bytes, so that what a rule does not touch stays as it is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tree_sitter import Node

from semrep_jax.cuda.syntax import node_text, walk

_IN_WORD = re.compile(rb"\w")


class Edit(NamedTuple):
    """The bytes from `start` to `end` of the device code become `text`."""

    start: int
    end: int
    text: str


def replace(node: Node, text: str) -> Edit:
    """Put `text` in a node's place."""
    return Edit(node.start_byte, node.end_byte, text)


def replace_all(first: Node, last: Node, text: str) -> Edit:
    """Put `text` in the place of two nodes and of all between them.

    first, last: the two in the order of the text, children of one parent; they may be one and the same.
    """
    return Edit(first.start_byte, last.end_byte, text)


def insert(node: Node, text: str) -> Edit:
    """Put `text` before a node."""
    return Edit(node.start_byte, node.start_byte, text)


def delete(node: Node) -> Edit:
    """Take a node away, with the white space behind it."""
    after = node.next_sibling
    return Edit(node.start_byte, after.start_byte if after is not None else node.end_byte, "")


def rename(node: Node, names: Mapping[str, str]) -> list[Edit]:
    """Put other text in the place of these identifiers of a node."""
    return [replace(n, names[node_text(n)]) for n in walk(node, "identifier") if node_text(n) in names]


def apply_edits(raw: bytes, offset: int, edits: Iterable[Edit]) -> str:
    """A text with edits that do not overlap.

    raw: the text in UTF-8. offset: which byte of the device code it begins at. edits: in any order, all within it.
    """
    after, ordered = len(raw), sorted(edits, reverse=True)
    for place, (start, end, text) in enumerate(ordered):
        assert 0 <= start - offset <= end - offset <= after, "edits overlap or lie outside"
        before, new, behind = raw[: start - offset], text.encode(), raw[end - offset :]
        # no word that stays grows by what is put beside it, as in `return(x)` without its parentheses
        others = [*ordered[:place], *ordered[place + 1 :]]
        if new and _join(before[-1:], new[:1]) and all(other.end != start for other in others):
            new = b" " + new
        if new and _join(new[-1:], behind[:1]) and all(other.start != end for other in others):
            new += b" "
        raw = before + new + behind
        after = start - offset
    return raw.decode()


def edited(node: Node, edits: Iterable[Edit]) -> str:
    """A node's text with edits that lie in it."""
    return apply_edits(node.text or b"", node.start_byte, edits)


def indentation(node: Node) -> str:
    """The white space that a node's line begins with, as far as columns tell."""
    while node.parent is not None and node.parent.type != "translation_unit":
        before = node.prev_sibling
        if before is not None and before.end_point.row < node.start_point.row:
            break
        node = before if before is not None else node.parent
    return " " * node.start_point.column


def reindented(node: Node, indent: str, edits: Iterable[Edit] = ()) -> str:
    """A node's text with edits, its lines after the first moved to begin at `indent`.

    indent: white space. edits: in any order, all within the node.
    """
    return edited(node, edits).replace(f"\n{indentation(node)}", f"\n{indent}")


def lay_out(nodes: Iterable[Node], indent: str, edits: Sequence[Edit] = ()) -> str:
    """The text of statements of a block, one after the other as they stood.

    indent: what lines after the first begin with then. edits: changes within the statements; others are left out.
    """
    text, before = "", None
    for node in nodes:
        if before is not None:
            text += " " if before.end_point.row == node.start_point.row else f"\n{indent}"
        text += reindented(node, indent, [e for e in edits if node.start_byte <= e.start < node.end_byte])
        before = node
    return text


def _join(a: bytes, b: bytes) -> bool:
    """Whether two bytes beside each other are in one word."""
    return bool(_IN_WORD.fullmatch(a) and _IN_WORD.fullmatch(b))
