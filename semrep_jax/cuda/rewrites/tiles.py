"""Rules about shared memory: an operand that every thread of a block reads is fetched once, in tiles, by all threads together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from semrep_jax.cuda.rewrites.loops import Loop, counted
from semrep_jax.cuda.rewrites.mapping import OneEach, arguments, as_launch, at_index, between, one_each
from semrep_jax.cuda.rewrites.qualifiers import apart
from semrep_jax.cuda.rewrites.rule import CudaRule, Listing, replace, said, walk
from semrep_jax.cuda.rewrites.trees import (
    assigned,
    bare,
    declared,
    initialised,
    names,
    operator,
    plain,
    prefix,
    pure,
    sides,
    statements,
    type_of,
    types,
    unconditional,
)

SIDE = 16


def stage_in_shared(listing: Listing) -> Iterator[Listing]:
    """A loop that reads x[k] for the same k in every thread -> loops over tiles of x, which the block's threads fetch together."""
    for kernel in listing.kernels:
        shape = one_each(listing, kernel)
        if shape is None or not apart(listing, kernel) or len({one.block for one in shape.launches}) != 1:
            continue
        for at, node in enumerate(shape.rest):
            loop = counted(node) if node.type == "for_statement" else None
            if loop is None or not _uniform(shape, loop) or not all(_quiet(n) for n in shape.rest[:at]):
                continue
            reads = _tiled(shape, loop)
            for name in reads:
                yield _staged(listing, shape, at, loop, {name: reads[name]})
            if len(reads) > 1:
                yield _staged(listing, shape, at, loop, reads)


def _uniform(shape: OneEach, loop: Loop) -> bool:
    """Whether all threads run through the same numbers: the bounds are of parameters that keep their values."""
    scalars = (
        {p.name for p in shape.kernel.parameters if not p.pointer}
        - assigned(shape.kernel.body)
        - declared(shape.kernel.body)
    )
    return loop.step == 1 and loop.sign == "<" and names(loop.first) | names(loop.last) <= scalars


def _quiet(node: Node) -> bool:
    """Whether threads without an element may run a statement as well: declarations that touch no memory."""
    touching = (
        "subscript_expression",
        "pointer_expression",
        "call_expression",
        "assignment_expression",
        "update_expression",
    )
    return node.type == "declaration" and not any(True for _ in walk(node, *touching))


def _tiled(shape: OneEach, loop: Loop) -> dict[str, list[Node]]:
    """Loads x[k] at the loop's counter, by name, of pointers to const that are read in the loop."""
    found: dict[str, list[Node]] = {}
    for use in walk(loop.body, "identifier"):
        pointer, load = shape.kernel.pointers.get(said(use)), at_index(use, {loop.name})
        if load is None or pointer is None or not pointer.const or pointer.type not in ("float", "int"):
            continue
        if unconditional(load, loop.body) and (load.parent is None or load.parent.type != "pointer_expression"):
            found.setdefault(said(use), []).append(load)
    return found


def _staged(listing: Listing, shape: OneEach, at: int, loop: Loop, reads: dict[str, list[Node]]) -> Listing:
    size, i, k = shape.launches[0].block, shape.index, loop.name
    first, many = listing.fresh("tile_begin"), listing.fresh("tile_size")
    tiles = {name: listing.fresh(f"{name}_tile") for name in reads}
    count, last = said(shape.count), said(loop.last)
    types = {name: shape.kernel.pointers[name].type for name in reads}
    lines = [f"int {i} = {shape.value};"]
    lines += [f"__shared__ {types[n]} {tile}[{size}];" for n, tile in tiles.items()]
    lines += [between([n], "    ") for n in shape.rest[:at]]
    fetch = "\n            ".join(f"{tile}[threadIdx.x] = {n}[{first} + threadIdx.x];" for n, tile in tiles.items())
    body = between(
        [loop.body],
        " " * 12,
        [replace(load, f"{tiles[n]}[{k} - {first}]") for n, found in reads.items() for load in found],
    )
    lines.append(
        f"for (int {first} = {said(loop.first)}; {first} < {last}; {first} += {size}) {{\n"
        f"        int {many} = min({size}, {last} - {first});\n        __syncthreads();\n"
        f"        if (threadIdx.x < {many}) {{\n            {fetch}\n        }}\n        __syncthreads();\n"
        f"        if ({i} < {count}) {{\n            for (int {k} = {first}; {k} < {first} + {many}; {k}++) {body}\n        }}\n    }}"
    )
    if shape.rest[at + 1 :]:
        lines.append(f"if ({i} < {count}) {{\n        {between(shape.rest[at + 1 :], ' ' * 8)}\n    }}")
    return listing.changed([(*shape.span, "\n    ".join(lines))])


@dataclass(frozen=True)
class Product:
    """y[row, column] begins as `start` and gains left * right for each k: `left` depends on row and k, `right` on column and k."""

    row: str
    column: str
    extents: tuple[Node, Node]
    total: str
    start: Node
    loop: Loop
    left: Node
    right: Node
    swapped: bool
    after: tuple[Node, ...]


def tile_product(listing: Listing) -> Iterator[Listing]:
    """A product of matrices with one element a thread -> blocks of 16 x 16 threads that fetch tiles of both factors."""
    for kernel in listing.kernels:
        shape = one_each(listing, kernel)
        product = _product(shape) if shape is not None and apart(listing, kernel) else None
        if shape is None or product is None:
            continue
        plan = listing.copied_plan()
        for one in shape.launches:
            given = arguments(listing, kernel, one.place)
            rows, columns = (as_launch(h, given) for h in product.extents)
            if rows is None or columns is None:
                break
            plan["launch"][one.place] |= {
                "grid": [f"ceil_div({columns}, {SIDE})", f"ceil_div({rows}, {SIDE})"],
                "block": [SIDE, SIDE],
            }
        else:
            yield listing.changed([(*shape.span, _tiled_product(listing, shape, product))], plan)


def _product(shape: OneEach) -> Product | None:
    """The kernel as a product: its row and column, a float's declaration, a loop that adds products to it, and what comes after."""
    extents = bare(shape.count)
    rest = list(shape.rest)
    places: dict[str, str] = {}
    while rest and rest[0].type == "declaration" and prefix(rest[0]) in ("int", "const int"):
        places |= {plain(said(value)): name for name, value in initialised(rest.pop(0)) or []}
    if (
        extents.type != "binary_expression"
        or operator(extents) != "*"
        or len(rest) < 3
        or rest[1].type != "for_statement"
    ):
        return None
    rows, columns = map(bare, sides(extents))
    row, column = (places.pop(f"{shape.index}{sign}{said(columns)}", "") for sign in "/%")
    made = initialised(rest[0]) if rest[0].type == "declaration" and prefix(rest[0]) == "float" else None
    loop = counted(rest[1])
    if (
        places
        or not row
        or not column
        or columns.type != "identifier"
        or made is None
        or len(made) != 1
        or loop is None
    ):
        return None
    total, start = made[0]
    factors = _gained(loop, total)
    if start is None or factors is None or (said(loop.first), loop.sign, loop.step) != ("0", "<", 1):
        return None
    changing = assigned(shape.kernel.body) | declared(shape.kernel.body)
    steady = {p.name for p in shape.kernel.parameters} - changing
    known = types(shape.kernel)
    if (
        not names(loop.last) <= steady - set(shape.kernel.pointers)
        or not names(start) <= steady | {row, column}
        or not pure(start)
    ):
        return None
    if {row, column} & assigned(shape.kernel.body) or not all(
        pure(f) and type_of(f, known) == "float" for f in factors
    ):
        return None
    for swapped, (left, right) in enumerate((factors, factors[::-1])):
        if names(left) <= steady | {row, loop.name} and names(right) <= steady | {column, loop.name}:
            return Product(
                row, column, (rows, columns), total, start, loop, left, right, bool(swapped), tuple(rest[2:])
            )
    return None


def _gained(loop: Loop, total: str) -> tuple[Node, Node] | None:
    """The two loads that are multiplied where the loop's body is `total += a * b;` or `total = total + a * b;`."""
    inner = statements(loop.body)
    assignment = inner[0].named_children[0] if len(inner) == 1 and inner[0].type == "expression_statement" else None
    if assignment is None or assignment.type != "assignment_expression" or said(sides(assignment)[0]) != total:
        return None
    value = bare(sides(assignment)[1])
    if operator(assignment) == "=":
        if value.type != "binary_expression" or operator(value) != "+" or said(sides(value)[0]) != total:
            return None
        value = bare(sides(value)[1])
    elif operator(assignment) != "+=":
        return None
    if value.type != "binary_expression" or operator(value) != "*":
        return None
    left, right = map(bare, sides(value))
    return (left, right) if left.type == right.type == "subscript_expression" else None


def _tiled_product(listing: Listing, shape: OneEach, p: Product) -> str:
    rows, columns, k, last = *map(said, p.extents), p.loop.name, said(p.loop.last)
    left, right, first, many = (listing.fresh(n) for n in ("row_tile", "column_tile", "tile_begin", "tile_size"))
    x, y = "threadIdx.x", "threadIdx.y"
    inside = f"{p.row} < {rows} && {p.column} < {columns}"
    loads = any(True for _ in walk(p.start, "subscript_expression", "call_expression"))
    start = f"{inside} ? {said(p.start)} : 0.0f" if loads else said(p.start)
    factors = [f"{left}[{y}][{k}]", f"{right}[{k}][{x}]"]
    return "\n    ".join([
        f"__shared__ float {left}[{SIDE}][{SIDE}];",
        f"__shared__ float {right}[{SIDE}][{SIDE}];",
        f"int {p.row} = blockIdx.y * {SIDE} + {y}, {p.column} = blockIdx.x * {SIDE} + {x};",
        f"float {p.total} = {start};",
        f"for (int {first} = 0; {first} < {last}; {first} += {SIDE}) {{",
        f"    {{\n            int {k} = {first} + {x};",
        f"        {left}[{y}][{x}] = {p.row} < {rows} && {k} < {last} ? {said(p.left)} : 0.0f;\n        }}",
        f"    {{\n            int {k} = {first} + {y};",
        f"        {right}[{y}][{x}] = {p.column} < {columns} && {k} < {last} ? {said(p.right)} : 0.0f;\n        }}",
        f"    __syncthreads();\n        int {many} = min({SIDE}, {last} - {first});",
        f"    for (int {k} = 0; {k} < {many}; {k}++) {p.total} += {' * '.join(factors[::-1] if p.swapped else factors)};",
        "    __syncthreads();\n    }",
        f"if ({inside}) {{\n        int {shape.index} = {p.row} * {columns} + {p.column};\n        {between(p.after, ' ' * 8)}\n    }}",
    ])  # fmt: skip


RULES = (CudaRule("stage_in_shared", stage_in_shared), CudaRule("tile_product", tile_product))
