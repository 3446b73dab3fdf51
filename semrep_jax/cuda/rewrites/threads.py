"""Rules that map elements to threads anew: grid-stride loops, several elements a thread, blocks of another size."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from semrep_jax.cuda.rewrites.loops import counted
from semrep_jax.cuda.rewrites.mapping import (
    INDEX,
    Launched,
    arguments,
    as_launch,
    between,
    bound,
    capped,
    ceil_parts,
    divided,
    indexed,
    launched,
    meets,
    one_each,
    relaunched,
    same,
    steady,
)
from semrep_jax.cuda.rewrites.rule import CudaRule, Function, Listing, Offers, said
from semrep_jax.cuda.rewrites.trees import bare, initialised, jumps, names, operator, plain, sides, statements

CAPS = (8, 132, 1056)  # blocks: a few, one and eight for each multiprocessor of a large GPU
SIZES = (64, 128, 256, 512)
_STRIDE = ("blockDim.x*gridDim.x", "gridDim.x*blockDim.x")


def grid_stride_in(listing: Listing) -> Iterator[Listing]:
    """One element a thread -> for (int i = ...; i < n; i += blockDim.x * gridDim.x), with a bounded grid."""
    for kernel in listing.kernels:
        shape = one_each(listing, kernel)
        if shape is None:
            continue
        head = f"for (int {shape.index} = {shape.value}; {shape.index} < {said(shape.count)}; {shape.index} += blockDim.x * gridDim.x)"
        text = f"{head} {{\n        {shape.text('        ')}\n    }}"
        for cap in CAPS:
            plan = relaunched(listing, [(one, f"min({one.grid}, {cap})", one.block) for one in shape.launches])
            yield listing.changed([(*shape.span, text)], plan)


def grid_stride_out(listing: Listing) -> Iterator[Listing]:
    """A grid-stride loop over all of a kernel -> one element a thread, with a grid of as many."""
    for kernel in listing.kernels:
        found = _strided(listing, kernel)
        if found is None:
            continue
        (index, value), count, body, launches = found
        grids = [(one, _enough(listing, kernel, one, count), one.block) for one in launches]
        plan = relaunched(listing, [(one, grid, block) for one, grid, block in grids if grid is not None])
        if all(grid is not None for _, grid, _ in grids):
            text = f"int {index} = {value};\n    if ({index} >= {said(count)}) return;\n    {between(body, '    ')}"
            (loop,) = statements(kernel.body)
            yield listing.changed([(loop.start_byte, loop.end_byte, text)], plan)


def _strided(
    listing: Listing, kernel: Function
) -> tuple[tuple[str, str], Node, list[Node], tuple[Launched, ...]] | None:
    within, launches = statements(kernel.body), launched(listing, kernel)
    if len(within) != 1 or within[0].type != "for_statement" or not launches or meets(listing, kernel):
        return None
    start, test, update, body = (
        within[0].child_by_field_name(f) for f in ("initializer", "condition", "update", "body")
    )
    if start is None or test is None or update is None or body is None or update.type != "assignment_expression":
        return None
    index = indexed(start)
    count = bound(test, index[0], "<") if index is not None else None
    if index is None or count is None or operator(update) != "+=" or said(sides(update)[0]) != index[0]:
        return None
    inner = statements(body)
    if plain(said(bare(sides(update)[1]))) not in _STRIDE or not inner or not steady(kernel, index[0], count, inner):
        return None
    if any(jumps(n, "return_statement", "break_statement", "continue_statement") for n in inner):
        return None
    return index, count, inner, launches


def _enough(listing: Listing, kernel: Function, launch: Launched, count: Node) -> str | None:
    """The grid that gives each element a thread."""
    wanted = as_launch(count, arguments(listing, kernel, launch.place))
    if wanted is None:
        return None
    for grid in (launch.grid, capped(launch.grid)):
        parts = ceil_parts(grid) if grid is not None else None
        if grid is not None and parts is not None and parts[1] == launch.block and same(parts[0], wanted):
            return grid
    return f"ceil_div({wanted}, {launch.block})"


def coarsen(factor: int, neighbours: bool) -> Offers:
    """One element a thread -> `factor` of them, a block apart or side by side, with a grid of as much less."""

    def offers(listing: Listing) -> Iterator[Listing]:
        for kernel in listing.kernels:
            shape = one_each(listing, kernel)
            if shape is None:
                continue
            first, turn = listing.fresh("first"), listing.fresh("turn")
            begin = f"({INDEX}) * {factor}" if neighbours else f"blockIdx.x * blockDim.x * {factor} + threadIdx.x"
            here = f"{first} + {turn}" if neighbours else f"{first} + {turn} * blockDim.x"
            text = (
                f"int {first} = {begin};\n    for (int {turn} = 0; {turn} < {factor}; {turn}++) {{\n        int {shape.index} = {here};\n"
                f"        if ({shape.index} < {said(shape.count)}) {{\n            {shape.text(' ' * 12)}\n        }}\n    }}"
            )
            plan = relaunched(listing, [(one, divided(one.grid, factor), one.block) for one in shape.launches])
            yield listing.changed([(*shape.span, text)], plan)

    return offers


def refine(listing: Listing) -> Iterator[Listing]:
    """Several elements a thread, as `coarsen` writes them -> one element a thread."""
    for kernel in listing.kernels:
        found = _coarse(listing, kernel)
        if found is None:
            continue
        index, count, inner, factor, launches = found
        grids = [(one, _finer(one, factor), one.block) for one in launches]
        within = statements(kernel.body)
        text = f"int {index} = {INDEX};\n    if ({index} >= {said(count)}) return;\n    {between(inner, '    ')}"
        yield listing.changed([(within[0].start_byte, within[-1].end_byte, text)], relaunched(listing, grids))


def _coarse(listing: Listing, kernel: Function) -> tuple[str, Node, list[Node], int, tuple[Launched, ...]] | None:
    within, launches = statements(kernel.body), launched(listing, kernel)
    if not launches or len(within) != 2 or within[1].type != "for_statement" or meets(listing, kernel):
        return None
    begin, loop = _int(within[0]), counted(within[1])
    if (
        begin is None
        or loop is None
        or said(loop.first) != "0"
        or not said(loop.last).isdigit()
        or (loop.step, loop.sign) != (1, "<")
    ):
        return None
    factor, inner = int(said(loop.last)), statements(loop.body)
    here = _int(inner[0]) if len(inner) == 2 else None
    if here is None or inner[1].type != "if_statement" or inner[1].child_by_field_name("alternative") is not None:
        return None
    wanted = {
        (f"blockIdx.x*blockDim.x*{factor}+threadIdx.x", f"{begin[0]}+{loop.name}*blockDim.x"),
        (f"({plain(INDEX)})*{factor}", f"{begin[0]}+{loop.name}"),
    }
    condition, does = inner[1].child_by_field_name("condition"), inner[1].child_by_field_name("consequence")
    count = bound(condition, here[0], "<") if condition is not None else None
    rest = statements(does) if does is not None else []
    if (begin[1], here[1]) not in wanted or count is None or not rest or not steady(kernel, here[0], count, rest):
        return None
    if {begin[0], loop.name} & set().union(*(names(n) for n in rest)):
        return None
    return here[0], count, rest, factor, launches


def _int(node: Node) -> tuple[str, str] | None:
    """(name, value without white space) of a declaration of one int, else None."""
    made = initialised(node) if node.type == "declaration" else None
    return (
        (made[0][0], plain(said(made[0][1])))
        if made is not None and len(made) == 1 and made[0][1] is not None
        else None
    )


def _finer(launch: Launched, factor: int) -> str:
    parts = ceil_parts(launch.grid)
    if parts is not None and parts[1] == launch.block * factor:
        return f"ceil_div({parts[0]}, {launch.block})"
    return f"({launch.grid}) * {factor}"


def block_size(listing: Listing) -> Iterator[Listing]:
    """Blocks of another size; the grid follows where each thread has one element."""
    for kernel in listing.kernels:
        if any(c.type == "launch_bounds" for c in kernel.node.children):
            continue
        shape, strided = one_each(listing, kernel), _strided(listing, kernel)
        if shape is None and strided is None:
            continue
        launches = shape.launches if shape is not None else strided[3] if strided is not None else ()
        for size in SIZES:
            changed = [(one, _resized(one, size) if shape is not None else one.grid, size) for one in launches]
            if all(one.block != size for one in launches) and all(grid is not None for _, grid, _ in changed):
                yield listing.changed(
                    [], relaunched(listing, [(one, grid, s) for one, grid, s in changed if grid is not None])
                )


def _resized(launch: Launched, size: int) -> str | None:
    parts = ceil_parts(launch.grid)
    return f"ceil_div({parts[0]}, {size})" if parts is not None and parts[1] == launch.block else None


RULES = (
    CudaRule("grid_stride_in", grid_stride_in, "grid_stride_out"),
    CudaRule("grid_stride_out", grid_stride_out, "grid_stride_in"),
    CudaRule("coarsen_by_2", coarsen(2, False), "refine"),
    CudaRule("coarsen_by_4", coarsen(4, False), "refine"),
    CudaRule("coarsen_by_2_neighbours", coarsen(2, True), "refine"),
    CudaRule("coarsen_by_4_neighbours", coarsen(4, True), "refine"),
    CudaRule("refine", refine, "coarsen_by_4"),
    CudaRule("block_size", block_size, "block_size"),
)
