"""The rule that makes two kernels of one, by way of a scratch buffer that holds a float for each element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tree_sitter import Node

from semrep_jax.cuda.rewrites.edits import lay_out, replace
from semrep_jax.cuda.rewrites.effects import assigned, is_pure, stored
from semrep_jax.cuda.rewrites.elementwise import ElementwiseKernel, elementwise_kernels
from semrep_jax.cuda.rewrites.expression_types import variable_types
from semrep_jax.cuda.rewrites.launches import as_ceil_div, same_expression
from semrep_jax.cuda.rewrites.nodes import contains, declared, identifiers
from semrep_jax.cuda.rewrites.program import CudaProgram
from semrep_jax.cuda.rewrites.rule import CudaRule
from semrep_jax.cuda.syntax import node_text, walk

MOST_LAUNCHES = 64
MOST_SCRATCH_BUFFERS = 16
MOST_SPLITS = 2  # of a kernel, as its name tells
FIRST, SECOND = "_first", "_second"
_NOT_REPEATED = ("subscript_expression", "pointer_expression", "call_expression", "array_declarator")


@dataclass(frozen=True)
class Cut:
    """Where a kernel is cut.

    before, after: the statements of both halves. live: the float that the second needs of the first. repeated:
    declarations of the first half that the second makes again.
    """

    kernel: ElementwiseKernel
    before: tuple[Node, ...]
    after: tuple[Node, ...]
    live: str
    repeated: tuple[Node, ...]


@dataclass(frozen=True)
class Half:
    """A kernel to be written: its name, its parameters' declarations, what it is given for them, its statements."""

    name: str
    parameters: list[str]
    arguments: list[str]
    body: str


def split(program: CudaProgram) -> Iterator[CudaProgram]:
    """float v = f(x[i]); y[i] = g(v); -> float v = f(x[i]); stage[i] = v;    and: float v = stage[i]; y[i] = g(v);

    It is cut where one float is all that the second half needs, besides what it can reckon again from the index.
    """
    if len(program.launch_list["launch"]) >= MOST_LAUNCHES or len(program.scratch) >= MOST_SCRATCH_BUFFERS:
        return
    for shape in elementwise_kernels(program):
        if len(shape.launches) != 1 or shape.name.count(FIRST) + shape.name.count(SECOND) > MOST_SPLITS:
            continue
        for position in range(1, len(shape.statements)):
            cut = _cut(shape, position)
            if cut is not None:
                yield _render(program, cut)


def _cut(shape: ElementwiseKernel, position: int) -> Cut | None:
    """The cut before a statement; None where more than a float lives across it, or memory is written before."""
    before, after = shape.statements[:position], shape.statements[position:]
    declarations = [n for n in before if n.type == "declaration"]
    repeatable = repeatable_declarations(shape, declarations)
    needed, repeated = identifiers(*after), list[Node]()
    for node in reversed(repeatable):
        if declared(node) & needed:
            repeated.insert(0, node)
            needed |= identifiers(node)
    live = needed & (declared(*declarations) - declared(*repeatable))
    if len(live) != 1 or stored(*before):
        return None
    (name,) = live
    declarations_of_name = sum(name in declared(n) for n in walk(shape.function.body, "declaration"))
    if variable_types(shape.function).get(name) != "float" or declarations_of_name != 1:
        return None
    return Cut(shape, before, after, name, tuple(repeated))


def repeatable_declarations(shape: ElementwiseKernel, declarations: Iterable[Node]) -> list[Node]:
    """Those that give the same anywhere in the kernel: of the index and parameters, without loads, never changed."""
    changing = assigned(shape.function.body)
    steady = {shape.index, *(p.name for p in shape.function.parameters)} - changing
    found = []
    for node in declarations:
        values = [one.child_by_field_name("value") for one in node.children_by_field_name("declarator")]
        present = [v for v in values if v is not None]
        if len(present) < len(values) or not all(is_pure(v) for v in present) or contains(node, *_NOT_REPEATED):
            continue
        if declared(node) & changing or not identifiers(*present) - declared(node) <= steady:
            continue
        if node_text(node.child_by_field_name("type")) != "float":
            found.append(node)
            steady |= declared(node)
    return found


def _render(program: CudaProgram, cut: Cut) -> CudaProgram:
    """The program with the kernel and its launch cut in two."""
    shape, (launch,) = cut.kernel, cut.kernel.launches
    stage = program.unused_name("stage")
    halves = [_first_half(program, cut, stage), _second_half(program, cut, stage)]
    kernels = [render_kernel(shape, half.name, half.parameters, half.body) for half in halves]
    launch_list = program.copied_launch_list()
    whole = launch_list["launch"][launch.position]
    parts = [whole | {"kernel": half.name, "args": half.arguments} for half in halves]
    launch_list["launch"][launch.position : launch.position + 1] = parts
    launch_list["scratch"] = program.scratch | {stage: f"f32[{_stage_length(shape)}]"}
    return program.with_edits([replace(shape.function.node, "\n\n".join(kernels))], launch_list)


def _first_half(program: CudaProgram, cut: Cut, stage: str) -> Half:
    """The kernel that stores a float for each element; the buffer comes behind its other pointers."""
    shape = cut.kernel
    used = identifiers(shape.count, *cut.before)
    body = f"{lay_out(cut.before, '    ')}\n    {stage}[{shape.index}] = {cut.live};"
    half = _half(program, shape, FIRST, used, body)
    pointers = sum(p.pointer and p.name in used for p in shape.function.parameters)
    half.parameters.insert(pointers, f"float* __restrict__ {stage}")
    half.arguments.insert(pointers, stage)
    return half


def _second_half(program: CudaProgram, cut: Cut, stage: str) -> Half:
    """The kernel that goes on from the float that was stored; the buffer is its first parameter."""
    shape = cut.kernel
    used = identifiers(shape.count, *cut.repeated, *cut.after)
    repeated = "".join(f"{lay_out([n], '    ')}\n    " for n in cut.repeated)
    body = f"{repeated}float {cut.live} = {stage}[{shape.index}];\n    {lay_out(cut.after, '    ')}"
    half = _half(program, shape, SECOND, used, body)
    half.parameters.insert(0, f"const float* __restrict__ {stage}")
    half.arguments.insert(0, stage)
    return half


def _half(program: CudaProgram, shape: ElementwiseKernel, suffix: str, used: set[str], body: str) -> Half:
    """A half with those of the kernel's parameters that are used, without the buffer between the halves."""
    arguments = shape.launches[0].arguments
    parameters = [p for p in shape.function.parameters if p.name in used]
    declarations = [node_text(p.node) for p in parameters]
    return Half(program.unused_name(shape.name + suffix), declarations, [arguments[p.name] for p in parameters], body)


def _stage_length(shape: ElementwiseKernel) -> str:
    """As many elements as there are, or at the least as many as threads."""
    (launch,) = shape.launches
    wanted, quotient = launch.expression(shape.count), as_ceil_div(launch.grid)
    if quotient is not None and wanted is not None and same_expression(quotient.total, wanted):
        return quotient.total
    return f"({launch.grid}) * {launch.block}"


def render_kernel(shape: ElementwiseKernel, name: str, parameters: Iterable[str], body: str) -> str:
    """The text of a kernel with one element a thread like another one.

    shape: the other one, whose qualifiers, index and guard it has. name, parameters: its own. body: done for each.
    """
    head = (shape.function.node.text or b"")[: shape.function.body.start_byte - shape.function.node.start_byte].decode()
    end = len(head) if "launch_bounds" in head else head.index("(")
    qualifiers = head[: head.rindex(shape.name, 0, end)]
    return f"{qualifiers}{name}({', '.join(parameters)}) {{\n    {shape.one_each(body)}\n}}"


RULES = (CudaRule("split_kernel", split, "fuse_kernels"),)
