"""Rules about shared memory: what every thread of a block reads is fetched once, in tiles, by all threads together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from semrep_jax.cuda.rewrites import nodes
from semrep_jax.cuda.rewrites.edits import lay_out, replace
from semrep_jax.cuda.rewrites.effects import assigned, is_pure
from semrep_jax.cuda.rewrites.elementwise import ElementwiseKernel, elementwise_kernels, loads_at
from semrep_jax.cuda.rewrites.expression_types import type_of, variable_types
from semrep_jax.cuda.rewrites.loops import CountedLoop, counted_loop
from semrep_jax.cuda.rewrites.program import CudaProgram
from semrep_jax.cuda.rewrites.qualifiers import has_no_aliases
from semrep_jax.cuda.rewrites.rule import CudaRule
from semrep_jax.cuda.syntax import node_text

TILE_SIDE = 16
_MEMORY = ("subscript_expression", "pointer_expression", "call_expression")
_EFFECTS = ("assignment_expression", "update_expression")


@dataclass(frozen=True)
class Staging:
    """A loop of a kernel, its position among the statements, and its loads that are to come from tiles, by array."""

    kernel: ElementwiseKernel
    position: int
    loop: CountedLoop
    loads: dict[str, list[Node]]


def stage_in_shared(program: CudaProgram) -> Iterator[CudaProgram]:
    """s += x[k]; -> x_tile[threadIdx.x] = x[tile_begin + threadIdx.x]; __syncthreads(); s += x_tile[k - tile_begin];

    In a loop that reads x[k] for the same k in every thread, which becomes loops over tiles of x.
    """
    for shape in elementwise_kernels(program):
        if not has_no_aliases(program, shape.function) or len({one.block for one in shape.launches}) != 1:
            continue
        for position, node in enumerate(shape.statements):
            loop = counted_loop(node)
            if loop is None or not _is_uniform(shape, loop):
                continue
            if not all(_may_run_in_all_threads(n) for n in shape.statements[:position]):
                continue
            loads = loads_at(shape.function, [loop.body], {loop.name}, ("float", "int"))
            choices = [{name: found} for name, found in loads.items()] + ([loads] if len(loads) > 1 else [])
            for chosen in choices:
                text = _staged(program, Staging(shape, position, loop, chosen))
                yield program.with_edits([shape.with_body(text)])


def _is_uniform(shape: ElementwiseKernel, loop: CountedLoop) -> bool:
    """Whether all threads run through the same numbers: the bounds are of parameters that keep their values."""
    body = shape.function.body
    scalars = {p.name for p in shape.function.parameters if not p.pointer} - assigned(body) - nodes.declared(body)
    return loop.is_unit and nodes.identifiers(loop.first) | nodes.identifiers(loop.last) <= scalars


def _may_run_in_all_threads(node: Node) -> bool:
    """Whether threads without an element may run a statement as well: declarations that touch no memory."""
    return node.type == "declaration" and not nodes.contains(node, *_MEMORY, *_EFFECTS)


def _staged(program: CudaProgram, staging: Staging) -> str:
    """The kernel's body with tiles."""
    shape, loop = staging.kernel, staging.loop
    begin, width = program.unused_name("tile_begin"), program.unused_name("tile_size")
    tiles = {name: program.unused_name(f"{name}_tile") for name in staging.loads}
    block, count, last = shape.launches[0].block, node_text(shape.count), node_text(loop.last)
    loads = [load for found in staging.loads.values() for load in found]
    from_tiles = [replace(n, f"{tiles[node_text(n.children[0])]}[{loop.name} - {begin}]") for n in loads]
    fetches = [f"{tile}[threadIdx.x] = {name}[{begin} + threadIdx.x];" for name, tile in tiles.items()]
    fetch, body = "\n            ".join(fetches), lay_out([loop.body], " " * 12, from_tiles)
    tiled_loop = f"""for (int {begin} = {node_text(loop.first)}; {begin} < {last}; {begin} += {block}) {{
        int {width} = min({block}, {last} - {begin});
        __syncthreads();
        if (threadIdx.x < {width}) {{
            {fetch}
        }}
        __syncthreads();
        if ({shape.index} < {count}) {{
            for (int {loop.name} = {begin}; {loop.name} < {begin} + {width}; {loop.name}++) {body}
        }}
    }}"""
    before, after = shape.statements[: staging.position], shape.statements[staging.position + 1 :]
    lines = [f"int {shape.index} = {shape.index_value};"]
    lines += [f"__shared__ {shape.function.pointers[name].type} {tile}[{block}];" for name, tile in tiles.items()]
    lines += [*(lay_out([n], "    ") for n in before), tiled_loop]
    if after:
        lines.append(f"if ({shape.index} < {count}) {{\n        {lay_out(after, ' ' * 8)}\n    }}")
    return "\n    ".join(lines)


@dataclass(frozen=True)
class Factors:
    """Factors in a sum of products: `left` of the row, `right` of the column; `swapped` where right comes first."""

    left: Node
    right: Node
    swapped: bool


@dataclass(frozen=True)
class Product:
    """y[row, column] begins as `total` does and gains left * right in each turn of the loop, then `after` is done.

    rows, columns: how many there are. row, column: the names of the thread's own.
    """

    kernel: ElementwiseKernel
    rows: Node
    columns: Node
    row: str
    column: str
    total: nodes.Binding
    loop: CountedLoop
    factors: Factors
    after: tuple[Node, ...]


def tile_product(program: CudaProgram) -> Iterator[CudaProgram]:
    """s += a[m * K + k] * b[k * N + n]; -> s += row_tile[threadIdx.y][k] * column_tile[k][threadIdx.x];

    In a product of matrices with one element a thread, which becomes one of blocks of 16 x 16 threads.
    """
    for shape in elementwise_kernels(program):
        product = _product(shape) if has_no_aliases(program, shape.function) else None
        launch_list = _tiled_launches(program, product) if product is not None else None
        if product is not None and launch_list is not None:
            body = product.kernel.with_body(_tiled_product(program, product))
            yield program.with_edits([body], launch_list)


def _tiled_launches(program: CudaProgram, product: Product) -> dict | None:
    """The launch list over tiles of rows and columns; None where it can't say how many there are."""
    changes = {}
    for launch in product.kernel.launches:
        sizes = [launch.expression(size) for size in (product.columns, product.rows)]
        if None in sizes:
            return None
        grid = [f"ceil_div({size}, {TILE_SIDE})" for size in sizes]
        changes[launch.position] = {"grid": grid, "block": [TILE_SIDE, TILE_SIDE]}
    return program.with_launches(changes)


def _product(shape: ElementwiseKernel) -> Product | None:
    """The kernel as a product of matrices; None where it is none."""
    coordinates: dict[str, str] = {}
    rest = list(shape.statements)
    while rest and rest[0].type == "declaration" and nodes.declared_type(rest[0]) in ("int", "const int"):
        declared = nodes.variables(rest.pop(0)) or {}
        found = {nodes.compact(value): name for name, value in declared.items()}
        if len(found) < len(declared) or found.keys() & coordinates.keys():
            return None  # two names for one
        coordinates |= found
    sizes = nodes.strip_parens(shape.count)
    if not nodes.is_binary(sizes, "*") or len(rest) < 3:
        return None
    rows, columns = map(nodes.strip_parens, nodes.operands(sizes))
    divided, remainder = (f"{shape.index}{sign}{node_text(columns)}" for sign in "/%")
    if columns.type != "identifier" or set(coordinates) != {divided, remainder}:
        return None
    row, column = coordinates[divided], coordinates[remainder]
    total, loop = nodes.sole_variable(rest[0], "float"), counted_loop(rest[1])
    if total is None or loop is None or not loop.is_unit or node_text(loop.first) != "0":
        return None
    factors = _factors(shape, loop, total.name, row, column)
    steady = _steady_parameters(shape)
    if factors is None or not nodes.identifiers(loop.last) <= steady - set(shape.function.pointers):
        return None
    if not nodes.identifiers(total.value) <= steady | {row, column} or not is_pure(total.value):
        return None
    if {row, column} & assigned(shape.function.body):
        return None
    return Product(shape, rows, columns, row, column, total, loop, factors, tuple(rest[2:]))


def _steady_parameters(shape: ElementwiseKernel) -> set[str]:
    """The parameters that nothing in the kernel changes or hides."""
    body = shape.function.body
    return {p.name for p in shape.function.parameters} - assigned(body) - nodes.declared(body)


def _factors(shape: ElementwiseKernel, loop: CountedLoop, total: str, row: str, column: str) -> Factors | None:
    """The two loads that a loop multiplies and adds up; None where it does something else.

    total: the variable that gains the products. row, column: what the one and the other load may depend on.
    """
    factors = _gained(loop, total)
    types, steady = variable_types(shape.function), _steady_parameters(shape)
    if factors is None or not all(is_pure(f) and type_of(f, types) == "float" for f in factors):
        return None
    for left, right, swapped in ((*factors, False), (*factors[::-1], True)):
        of_row = nodes.identifiers(left) <= steady | {row, loop.name}
        if of_row and nodes.identifiers(right) <= steady | {column, loop.name}:
            return Factors(left, right, swapped)
    return None


def _gained(loop: CountedLoop, total: str) -> tuple[Node, Node] | None:
    """The two loads that are multiplied where the loop's body is `total += a * b;` or `total = total + a * b;`."""
    assignment = nodes.assignment_of(nodes.sole_statement(loop.body))
    if assignment is None or node_text(nodes.operands(assignment)[0]) != total:
        return None
    value = nodes.strip_parens(nodes.operands(assignment)[1])
    if nodes.operator(assignment) == "=":
        if not nodes.is_binary(value, "+") or node_text(nodes.operands(value)[0]) != total:
            return None
        value = nodes.strip_parens(nodes.operands(value)[1])
    elif nodes.operator(assignment) != "+=":
        return None
    if not nodes.is_binary(value, "*"):
        return None
    left, right = map(nodes.strip_parens, nodes.operands(value))
    return (left, right) if left.type == right.type == "subscript_expression" else None


def _tiled_product(program: CudaProgram, product: Product) -> str:
    """The kernel's body with a tile of each factor."""
    row, column, total, k = product.row, product.column, product.total, product.loop.name
    rows, columns, last = map(node_text, (product.rows, product.columns, product.loop.last))
    left, right = program.unused_name("row_tile"), program.unused_name("column_tile")
    begin, width = program.unused_name("tile_begin"), program.unused_name("tile_size")
    side, x, y = TILE_SIDE, "threadIdx.x", "threadIdx.y"
    is_inside, start = f"{row} < {rows} && {column} < {columns}", node_text(total.value)
    if nodes.contains(total.value, "subscript_expression", "call_expression"):
        start = f"{is_inside} ? {start} : 0.0f"
    factors = [f"{left}[{y}][{k}]", f"{right}[{k}][{x}]"]
    gained = " * ".join(reversed(factors) if product.factors.swapped else factors)
    return f"""__shared__ float {left}[{side}][{side}];
    __shared__ float {right}[{side}][{side}];
    int {row} = blockIdx.y * {side} + {y}, {column} = blockIdx.x * {side} + {x};
    float {total.name} = {start};
    for (int {begin} = 0; {begin} < {last}; {begin} += {side}) {{
        {{
            int {k} = {begin} + {x};
            {left}[{y}][{x}] = {row} < {rows} && {k} < {last} ? {node_text(product.factors.left)} : 0.0f;
        }}
        {{
            int {k} = {begin} + {y};
            {right}[{y}][{x}] = {column} < {columns} && {k} < {last} ? {node_text(product.factors.right)} : 0.0f;
        }}
        __syncthreads();
        int {width} = min({side}, {last} - {begin});
        for (int {k} = 0; {k} < {width}; {k}++) {total.name} += {gained};
        __syncthreads();
    }}
    if ({is_inside}) {{
        int {product.kernel.index} = {row} * {columns} + {column};
        {lay_out(product.after, " " * 8)}
    }}"""


RULES = (CudaRule("stage_in_shared", stage_in_shared), CudaRule("tile_product", tile_product))
