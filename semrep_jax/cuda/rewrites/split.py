"""The rule that makes two kernels of one, by way of a scratch buffer that holds a float for each element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tree_sitter import Node

from semrep_jax.cuda.candidate.launch_list import MAX_LAUNCHES, MAX_SCRATCH
from semrep_jax.cuda.rewrites.edits import lay_out, replace
from semrep_jax.cuda.rewrites.effects import assigned, is_pure, stored
from semrep_jax.cuda.rewrites.elementwise import ElementwiseKernel, elementwise_kernels
from semrep_jax.cuda.rewrites.expression_types import variable_types
from semrep_jax.cuda.rewrites.launches import as_ceil_div, same_expression
from semrep_jax.cuda.rewrites.nodes import contains, declared, identifiers
from semrep_jax.cuda.rewrites.program import CudaProgram
from semrep_jax.cuda.rewrites.rule import CudaRule
from semrep_jax.cuda.syntax import node_text, walk

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


class Passed(NamedTuple):
    """A parameter's declaration, and what the launch gives for it."""

    declaration: str
    argument: str


@dataclass(frozen=True)
class Half:
    """A kernel to be written: its name, its parameters with what they are given, its statements."""

    name: str
    passed: list[Passed]
    body: str


def split(program: CudaProgram) -> Iterator[CudaProgram]:
    """float v = f(x[i]); y[i] = g(v); -> float v = f(x[i]); stage[i] = v;    and: float v = stage[i]; y[i] = g(v);

    It is cut where one float is all that the second half needs, besides what it can compute again from the index.
    """
    if len(program.launch_list["launch"]) >= MAX_LAUNCHES or len(program.scratch) >= MAX_SCRATCH:
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
    kernels = [render_kernel(shape, half.name, [p.declaration for p in half.passed], half.body) for half in halves]
    launches = list(program.launch_list["launch"])
    parts = [{"kernel": half.name, "args": [p.argument for p in half.passed]} for half in halves]
    launches[launch.position : launch.position + 1] = [launches[launch.position] | part for part in parts]
    scratch = program.scratch | {stage: f"f32[{_stage_length(shape)}]"}
    launch_list = program.launch_list | {"launch": launches, "scratch": scratch}
    return program.with_edits([replace(shape.function.node, "\n\n".join(kernels))], launch_list)


def _first_half(program: CudaProgram, cut: Cut, stage: str) -> Half:
    """The kernel that stores a float for each element; the buffer comes behind its other pointers."""
    used = identifiers(cut.kernel.count, *cut.before)
    passed, pointers = _passed(cut.kernel, used), len(used & set(cut.kernel.function.pointers))
    passed.insert(pointers, Passed(f"float* __restrict__ {stage}", stage))
    body = f"{lay_out(cut.before, '    ')}\n    {stage}[{cut.kernel.index}] = {cut.live};"
    return Half(program.unused_name(cut.kernel.name + FIRST), passed, body)


def _second_half(program: CudaProgram, cut: Cut, stage: str) -> Half:
    """The kernel that goes on from the float that was stored; the buffer is its first parameter."""
    passed = _passed(cut.kernel, identifiers(cut.kernel.count, *cut.repeated, *cut.after))
    load = f"float {cut.live} = {stage}[{cut.kernel.index}];"
    lines = [*(lay_out([n], "    ") for n in cut.repeated), load, lay_out(cut.after, "    ")]
    passed.insert(0, Passed(f"const float* __restrict__ {stage}", stage))
    return Half(program.unused_name(cut.kernel.name + SECOND), passed, "\n    ".join(lines))


def _passed(shape: ElementwiseKernel, used: set[str]) -> list[Passed]:
    """Those of a kernel's parameters that are used, with what its launch gives for them."""
    arguments = shape.launches[0].arguments
    return [Passed(node_text(p.node), arguments[p.name]) for p in shape.function.parameters if p.name in used]


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
