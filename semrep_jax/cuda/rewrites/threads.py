"""Rules that map elements to threads anew: grid-stride loops, several elements a thread, blocks of another size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum

from tree_sitter import Node

from semrep_jax.cuda.rewrites import nodes
from semrep_jax.cuda.rewrites.elementwise import (
    INDEX,
    ElementwiseKernel,
    elementwise,
    elementwise_kernels,
    grid_index,
    recognised,
    upper_bound,
)
from semrep_jax.cuda.rewrites.launches import Launch, as_ceil_div, relaunched, same_expression, uncapped
from semrep_jax.cuda.rewrites.loops import counted_loop
from semrep_jax.cuda.rewrites.program import CudaProgram
from semrep_jax.cuda.rewrites.rule import CudaRule, Offers
from semrep_jax.cuda.syntax import Function, node_text

MOST_BLOCKS = (8, 132, 1056)  # a few, one and eight for each multiprocessor of a large GPU
BLOCK_SIZES = (64, 128, 256, 512)
_STRIDES = ("blockDim.x*gridDim.x", "gridDim.x*blockDim.x")


def grid_stride_in(program: CudaProgram) -> Iterator[CudaProgram]:
    """if (i >= n) return; REST -> for (int i = ...; i < n; i += blockDim.x * gridDim.x) { REST }    bounds the grid"""
    for shape in elementwise_kernels(program):
        start, test = f"int {shape.index} = {shape.index_value}", f"{shape.index} < {node_text(shape.count)}"
        head = f"for ({start}; {test}; {shape.index} += blockDim.x * gridDim.x)"
        body = shape.with_body(f"{head} {{\n        {shape.text('        ')}\n    }}")
        for most in MOST_BLOCKS:
            launches = [one.with_grid(f"min({one.grid}, {most})") for one in shape.launches]
            yield program.with_edits([body], relaunched(program, launches))


def grid_stride_out(program: CudaProgram) -> Iterator[CudaProgram]:
    """for (int i = ...; i < n; i += blockDim.x * gridDim.x) { REST } -> if (i >= n) return; REST    a thread each"""
    for kernel in program.kernels:
        shape = _grid_stride(program, kernel)
        full = [_with_full_grid(one, shape.count) for one in shape.launches] if shape is not None else []
        launches = [one for one in full if one is not None]
        if shape is not None and len(launches) == len(full):
            body = shape.with_body(shape.one_each(shape.text("    ")))
            yield program.with_edits([body], relaunched(program, launches))


def _grid_stride(program: CudaProgram, kernel: Function) -> ElementwiseKernel | None:
    """The kernel as one grid-stride loop; None where it is none."""
    within = nodes.statements(kernel.body)
    is_loop = len(within) == 1 and within[0].type == "for_statement"
    parts = nodes.fields(within[0], "initializer", "condition", "update", "body") if is_loop else None
    index = grid_index(parts[0]) if parts is not None else None
    if parts is None or index is None or not _adds_stride(parts[2], index.name):
        return None
    return recognised(program, kernel, index, upper_bound(parts[1], index.name, "<"), nodes.statements(parts[3]))


def _adds_stride(update: Node, index: str) -> bool:
    """Whether it is index += blockDim.x * gridDim.x."""
    if update.type != "assignment_expression" or nodes.operator(update) != "+=":
        return False
    left, right = nodes.operands(update)
    return node_text(left) == index and nodes.compact(nodes.strip_parens(right)) in _STRIDES


def _with_full_grid(launch: Launch, count: Node) -> Launch | None:
    """The launch that gives each of `count` elements a thread; None where the launch list can't say it."""
    wanted = launch.expression(count)
    if wanted is None:
        return None
    for grid in (launch.grid, uncapped(launch.grid)):
        quotient = as_ceil_div(grid) if grid is not None else None
        if quotient is not None and quotient.by == launch.block and same_expression(quotient.total, wanted):
            return launch.with_grid(str(grid))
    return launch.with_grid(f"ceil_div({wanted}, {launch.block})")


class Spacing(Enum):
    """How far apart the elements of one thread are: which is its first, and which it comes to at a turn."""

    BLOCK = ("blockIdx.x * blockDim.x * {factor} + threadIdx.x", "{first} + {turn} * blockDim.x")
    NEIGHBOURS = (f"({INDEX}) * {{factor}}", "{first} + {turn}")

    def elements(self, factor: int, first: str, turn: str) -> tuple[str, str]:
        """The values of the variables `first` and of the element, where a thread has `factor` of them.

        first: the variable that holds a thread's first element. turn: the loop's counter. Both values are expressions
        of C.
        """
        return self.value[0].format(factor=factor), self.value[1].format(first=first, turn=turn)


def coarsen(factor: int, spacing: Spacing) -> Offers:
    """if (i >= n) return; REST -> for (int turn = 0; turn < 2; turn++) { int i = ... + turn; if (i < n) { REST } }"""

    def offers(program: CudaProgram) -> Iterator[CudaProgram]:
        for shape in elementwise_kernels(program):
            first, turn = program.unused_name("first"), program.unused_name("turn")
            start, element = spacing.elements(factor, first, turn)
            text = f"""int {first} = {start};
    for (int {turn} = 0; {turn} < {factor}; {turn}++) {{
        int {shape.index} = {element};
        if ({shape.index} < {node_text(shape.count)}) {{
            {shape.text(" " * 12)}
        }}
    }}"""
            launches = [one.coarser(factor) for one in shape.launches]
            yield program.with_edits([shape.with_body(text)], relaunched(program, launches))

    return offers


def refine(program: CudaProgram) -> Iterator[CudaProgram]:
    """for (int turn = 0; turn < 2; turn++) { int i = ... + turn; if (i < n) { REST } } -> if (i >= n) return; REST"""
    for kernel in program.kernels:
        shape = _coarse(program, kernel)
        if shape is not None:
            body = shape.with_body(shape.one_each(shape.text("    ")))
            yield program.with_edits([body], relaunched(program, shape.launches))


def _coarse(program: CudaProgram, kernel: Function) -> ElementwiseKernel | None:
    """The kernel that `coarsen` has written, with the launches that it had before; None where it is none."""
    within = nodes.statements(kernel.body)
    first, loop = (nodes.sole_variable(within[0]), counted_loop(within[1])) if len(within) == 2 else (None, None)
    if first is None or loop is None or not loop.is_unit or node_text(loop.first) != "0":
        return None
    inner = nodes.statements(loop.body)
    index = nodes.sole_variable(inner[0]) if len(inner) == 2 else None
    guard = nodes.as_if(inner[1]) if index is not None else None
    if index is None or guard is None or guard.alternative is not None or not node_text(loop.last).isdigit():
        return None
    factor, body = int(node_text(loop.last)), nodes.statements(guard.consequence)
    known = [spacing.elements(factor, first.name, loop.name) for spacing in Spacing]
    if [*map(nodes.compact, (first.value, index.value))] not in [[*map(nodes.compact, values)] for values in known]:
        return None
    shape = recognised(program, kernel, index, upper_bound(guard.condition, index.name, "<"), body)
    if shape is None or {first.name, loop.name} & nodes.identifiers(*body):
        return None
    return replace(shape, index_value=INDEX, launches=tuple(one.finer(factor) for one in shape.launches))


def change_block_size(program: CudaProgram) -> Iterator[CudaProgram]:
    """ "block": [256] -> "block": [128]    the grid follows where each thread has one element"""
    for kernel in program.kernels:
        if any(c.type == "launch_bounds" for c in kernel.node.children):
            continue
        one_each = elementwise(program, kernel)
        shape = one_each or _grid_stride(program, kernel)
        for size in BLOCK_SIZES if shape is not None else ():
            old = shape.launches if shape is not None else ()
            resized = [_resized(one, size) if one_each is not None else replace(one, block=size) for one in old]
            new = [one for one in resized if one is not None]
            if len(new) == len(old) and all(one.block != size for one in old):
                yield program.with_edits([], relaunched(program, new))


def _resized(launch: Launch, size: int) -> Launch | None:
    """As many threads in blocks of another size; None where the grid is not written as one thread an element."""
    quotient = as_ceil_div(launch.grid)
    if quotient is None or quotient.by != launch.block:
        return None
    return replace(launch, grid=f"ceil_div({quotient.total}, {size})", block=size)


RULES = (
    CudaRule("grid_stride_in", grid_stride_in, "grid_stride_out"),
    CudaRule("grid_stride_out", grid_stride_out, "grid_stride_in"),
    CudaRule("coarsen_by_2", coarsen(2, Spacing.BLOCK), "refine"),
    CudaRule("coarsen_by_4", coarsen(4, Spacing.BLOCK), "refine"),
    CudaRule("coarsen_by_2_neighbours", coarsen(2, Spacing.NEIGHBOURS), "refine"),
    CudaRule("coarsen_by_4_neighbours", coarsen(4, Spacing.NEIGHBOURS), "refine"),
    CudaRule("refine", refine, "coarsen_by_4"),
    CudaRule("block_size", change_block_size, "block_size"),
)
