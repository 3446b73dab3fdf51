"""Which thread computes what: kernels with one element a thread are recognised here, and expressions of launch lists are reckoned with.

    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= COUNT) return;                          or: if (i < COUNT) { REST }
    REST

Rules that map elements to threads anew ask for this shape, and change the grid of every launch along with it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tree_sitter import Node

from semrep_jax.core import syntax
from semrep_jax.cuda.rewrites.rule import Edit, Function, Listing, moved, said, walk
from semrep_jax.cuda.rewrites.trees import (
    BUILT_IN,
    assigned,
    bare,
    collective,
    declared,
    initialised,
    jumps,
    names,
    operator,
    placed,
    plain,
    prefix,
    pure,
    sides,
    statements,
    tame,
)

INDEX = "blockIdx.x * blockDim.x + threadIdx.x"
_INDEX = {
    "blockIdx.x*blockDim.x+threadIdx.x", "blockDim.x*blockIdx.x+threadIdx.x", "threadIdx.x+blockIdx.x*blockDim.x",
    "threadIdx.x+blockDim.x*blockIdx.x",
}  # fmt: skip


@dataclass(frozen=True)
class Launched:
    """A launch of one dimension: its place in the list, the grid as written, and the block, a number."""

    place: int
    grid: str
    block: int


@dataclass(frozen=True)
class OneEach:
    """A kernel with one element a thread: the index's name and value, the number of elements, and what is done for each."""

    kernel: Function
    index: str
    value: str
    count: Node
    rest: tuple[Node, ...]
    launches: tuple[Launched, ...]

    @property
    def same(self) -> set[str]:
        """The index's names: its own, and those of variables that are declared as it and keep its value."""
        made = [pair for n in self.rest if n.type == "declaration" for pair in initialised(n) or []]
        counts = [n for d in walk(self.kernel.body, "declaration") for n in declared(d)]
        others = {
            name for name, value in made if value is not None and said(value) == self.index and counts.count(name) == 1
        }
        return {self.index} | (others - assigned(self.kernel.body))

    @property
    def span(self) -> tuple[int, int]:
        """The bytes of the body within its braces, from the first statement to the last."""
        within = statements(self.kernel.body)
        return within[0].start_byte, within[-1].end_byte

    def text(self, by: str, edits: Iterable[Edit] = ()) -> str:
        """What is done for each element, its lines after the first moved to begin at `by`."""
        return between(self.rest, by, edits)


def between(nodes: Iterable[Node], by: str, edits: Iterable[Edit] = ()) -> str:
    """The text of statements of a block, lines after the first moved to begin at `by`."""
    nodes, edits = list(nodes), list(edits)
    shown = [moved(n, by, [e for e in edits if n.start_byte <= e[0] < n.end_byte]) for n in nodes]
    return "".join(
        _gap(before, node, by) + text for before, node, text in zip([None, *nodes], nodes, shown, strict=False)
    )


def _gap(before: Node | None, node: Node, by: str) -> str:
    return "" if before is None else " " if before.end_point.row == node.start_point.row else f"\n{by}"


def one_each(listing: Listing, kernel: Function) -> OneEach | None:
    """The kernel as one with one element a thread, where it is that and nothing in it depends on blocks in another way; else None."""
    launches, within = launched(listing, kernel), statements(kernel.body)
    if not launches or len(within) < 2 or meets(listing, kernel):
        return None
    index, guard = indexed(within[0]), within[1]
    if index is None or guard.type != "if_statement" or guard.child_by_field_name("alternative") is not None:
        return None
    condition, does = guard.child_by_field_name("condition"), guard.child_by_field_name("consequence")
    if condition is None or does is None:
        return None
    inner = statements(does)
    if len(inner) == 1 and inner[0].type == "return_statement":
        count, rest = bound(condition, index[0], ">="), within[2:]
    else:
        count, rest = (
            bound(condition, index[0], "<"),
            inner if len(within) == 2 and does.type == "compound_statement" else [],
        )
    if (
        count is None
        or not rest
        or any(jumps(n, "return_statement", "break_statement", "continue_statement") for n in rest)
    ):
        return None
    return OneEach(kernel, *index, count, tuple(rest), launches) if steady(kernel, index[0], count, rest) else None


def meets(listing: Listing, kernel: Function) -> bool:
    """Whether threads meet in a kernel or what it calls, or that asks for the thread's place; or its text can't be laid out anew."""
    words = {said(n) for n in walk(kernel.body, "identifier", "field_identifier")}
    return not tame(kernel.body) or collective(kernel.body) or bool(words & placed(listing.root))


def steady(kernel: Function, index: str, count: Node, rest: Iterable[Node]) -> bool:
    """Whether index and count stay what they are, count is of parameters alone, and nothing else asks for the thread's place."""
    rest = list(rest)
    changing = set().union(*(assigned(n) | declared(n) for n in rest))
    scalars = {p.name for p in kernel.parameters if not p.pointer}
    asked = set().union(names(count), *(names(n) for n in rest))
    return names(count) <= scalars and not changing & (names(count) | {index}) and not asked & BUILT_IN and pure(count)


def indexed(node: Node) -> tuple[str, str] | None:
    """(name, value) of a declaration of the thread's index over the whole grid, else None."""
    made = initialised(node) if node.type == "declaration" else None
    if made is None or len(made) != 1 or made[0][1] is None or prefix(node) not in ("int", "const int"):
        return None
    value = said(bare(made[0][1]))
    return (made[0][0], value) if plain(value) in _INDEX else None


def bound(condition: Node, index: str, sign: str) -> Node | None:
    """COUNT of `index < COUNT` (or `>=`, whichever `sign` is), written either way around; else None."""
    test = bare(condition)
    if test.type != "binary_expression":
        return None
    left, right = sides(test)
    if said(left) == index and operator(test) == sign:
        return right
    turned = {"<": ">", ">=": "<="}[sign]
    return left if said(right) == index and operator(test) == turned else None


def launched(listing: Listing, kernel: Function) -> tuple[Launched, ...]:
    """The kernel's launches, where all are of one dimension and their blocks numbers; else none."""
    found = []
    for place in listing.launches(kernel):
        launch = listing.plan["launch"][place]
        grid, block = (_first(launch.get(k)) for k in ("grid", "block"))
        if grid is None or block is None or not block.isdigit() or launch.get("shared") or launch.get("smem"):
            return ()
        found.append(Launched(place, grid, int(block)))
    return tuple(found)


def _first(said: Any) -> str | None:
    dims = said if isinstance(said, list) else [said]
    return str(dims[0]) if dims and all(str(d) == "1" for d in dims[1:]) else None


def relaunched(listing: Listing, launches: Iterable[tuple[Launched, str, int]]) -> dict[str, Any]:
    """The launch list with another grid and block for each of these launches."""
    plan = listing.copied_plan()
    for launch, grid, block in launches:
        one = plan["launch"][launch.place]
        one["grid"], one["block"] = [int(grid) if grid.isdigit() else grid], [block]
    return plan


def ceil_parts(grid: str) -> tuple[str, int] | None:
    """(E, B) of ceil_div(E, B) with a number B, else None."""
    try:
        node = syntax.expression(grid.strip()).body
    except SyntaxError:
        return None
    match node:
        case ast.Call(func=ast.Name(id="ceil_div"), args=[over, ast.Constant(value=int() as by)]):
            inner = grid.strip()[len("ceil_div(") :].rpartition(",")[0].strip()
            return (inner, by) if _same_text(inner, over) else (ast.unparse(over), by)
    return None


def _same_text(text: str, node: ast.expr) -> bool:
    try:
        return ast.dump(syntax.expression(text).body) == ast.dump(node)
    except SyntaxError:
        return False


def capped(grid: str) -> str | None:
    """G of min(G, number), else None."""
    try:
        node = syntax.expression(grid.strip()).body
    except SyntaxError:
        return None
    match node:
        case ast.Call(func=ast.Name(id="min"), args=[inner, ast.Constant()]):
            text = grid.strip()[len("min(") :].rpartition(",")[0].strip()
            return text if _same_text(text, inner) else ast.unparse(inner)
    return None


def divided(grid: str, by: int) -> str:
    """The grid that `by` times the work for each block needs."""
    parts = ceil_parts(grid)
    return f"ceil_div({parts[0]}, {parts[1] * by})" if parts is not None else f"ceil_div({grid}, {by})"


def same(a: str, b: str) -> bool:
    """Whether two expressions of a launch list are the same but for layout and parentheses."""
    try:
        return ast.dump(syntax.expression(a.strip())) == ast.dump(syntax.expression(b.strip()))
    except SyntaxError:
        return False


def as_launch(node: Node, arguments: dict[str, str]) -> str | None:
    """An expression of C over a kernel's parameters as the launch list writes it; None where it is more than integer arithmetic."""
    if node.type == "parenthesized_expression":
        inner = as_launch(node.named_children[0], arguments)
        return None if inner is None else f"({inner})"
    if node.type == "number_literal":
        return said(node) if said(node).isdigit() else None
    if node.type == "identifier":
        kind, _, expression = arguments.get(said(node), "").partition(":")
        return (
            None
            if kind not in ("i32", "i64") or not expression
            else expression
            if expression.isidentifier()
            else f"({expression})"
        )
    if node.type == "binary_expression" and operator(node) in ("+", "-", "*", "/", "%"):
        left, right = (as_launch(side, arguments) for side in sides(node))
        sign = operator(node).replace("/", "//")
        return None if left is None or right is None else f"{left} {sign} {right}"
    return None


def arguments(listing: Listing, kernel: Function, place: int) -> dict[str, str]:
    """What a launch gives to each parameter."""
    return {p.name: a for p, a in zip(kernel.parameters, listing.plan["launch"][place]["args"], strict=True)}


def lone_subscripts(nodes: Iterable[Node], name: str, index: set[str]) -> list[Node] | None:
    """Every use of an array in these statements where all of them are name[index], by any of the index's names; else None."""
    found = []
    for node in nodes:
        for use in walk(node, "identifier"):
            if said(use) == name:
                load = at_index(use, index)
                if load is None:
                    return None
                found.append(load)
    return found


def at_index(use: Node, index: set[str]) -> Node | None:
    """The expression use[index] around an array's name, by any of the index's names; else None."""
    load = use.parent
    if load is None or load.type != "subscript_expression" or load.children[0] != use:
        return None
    indices = load.child_by_field_name("indices")
    return load if indices is not None and plain(said(indices))[1:-1] in index else None
