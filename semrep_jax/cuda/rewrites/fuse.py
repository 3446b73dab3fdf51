"""The rule that makes one kernel of two that are launched one after the other, over the same elements.

What is to be done is planned first (`plan_fusion`), and then written (`render`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from tree_sitter import Node

from semrep_jax.cuda.rewrites import nodes
from semrep_jax.cuda.rewrites.edits import Edit, delete, edited, lay_out, rename, replace
from semrep_jax.cuda.rewrites.effects import assigned
from semrep_jax.cuda.rewrites.elementwise import ElementwiseKernel, elementwise, lone_subscripts
from semrep_jax.cuda.rewrites.expression_types import variable_types
from semrep_jax.cuda.rewrites.launches import Launch, same_expression
from semrep_jax.cuda.rewrites.program import CudaProgram
from semrep_jax.cuda.rewrites.qualifiers import has_no_aliases
from semrep_jax.cuda.rewrites.rule import CudaRule
from semrep_jax.cuda.rewrites.split import FIRST, SECOND, render_kernel, repeatable_declarations
from semrep_jax.cuda.syntax import node_text


@dataclass(frozen=True)
class Pair:
    """Two kernels that are each launched once, one after the other."""

    first: ElementwiseKernel
    second: ElementwiseKernel

    @property
    def launches(self) -> tuple[Launch, Launch]:
        """Their launches."""
        return self.first.launches[0], self.second.launches[0]


def _buffers(kernel: ElementwiseKernel, writable: bool = False) -> dict[str, str]:
    """Buffers by the parameter that leads to them; only those that may be written where `writable`."""
    arguments, pointers = kernel.launches[0].arguments, kernel.function.pointers
    return {name: arguments[name] for name, p in pointers.items() if not writable or not p.const}


def _names(kernel: ElementwiseKernel) -> set[str]:
    """Every identifier in a kernel."""
    return nodes.identifiers(kernel.function.node)


@dataclass(frozen=True)
class Interface:
    """The fused kernel's parameters in order with what each is given, and names of the second kernel that change."""

    arguments: dict[str, str]
    renames: dict[str, str]


@dataclass(frozen=True)
class Handover:
    """How a value goes from the first half to the second without a scratch buffer (`buffer`; None where none goes).

    edits: changes of the kernels' texts. dropped: statements needless then. renames: of the second kernel's names.
    """

    buffer: str | None = None
    edits: tuple[Edit, ...] = ()
    dropped: tuple[Node, ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fusion:
    """The fused kernel, planned.

    arguments: its parameters in order and what each is given. first, second: statements of both halves. edits: changes
    in them. renames: of the second kernel's names. buffer: the scratch buffer that goes, if one does.
    """

    name: str
    arguments: dict[str, str]
    first: list[Node]
    second: list[Node]
    edits: list[Edit]
    renames: dict[str, str]
    buffer: str | None


def fuse(program: CudaProgram) -> Iterator[CudaProgram]:
    """first<<<...>>>(x, t); second<<<...>>>(t, y); -> first_second<<<...>>>(x, y);    over the same elements

    What one writes and the other uses may be touched at the thread's own element only. A buffer between them goes.
    """
    shapes = {kernel.name: elementwise(program, kernel) for kernel in program.kernels}
    for launches in pairwise(program.launch_list["launch"]):
        first, second = (shapes.get(launch["kernel"].strip()) for launch in launches)
        if first is None or second is None or len(first.launches) != 1 or len(second.launches) != 1:
            continue
        pair = Pair(first, second)
        if not _runs_alike(pair) or not _is_independent(pair) or _share_variables(program, pair):
            continue
        if has_no_aliases(program, first.function) and has_no_aliases(program, second.function):
            yield render(program, pair, plan_fusion(program, pair))


def _runs_alike(pair: Pair) -> bool:
    """Whether both have as many threads, for as many elements, and the first leaves its parameters as they are."""
    first, second = pair.launches
    counts = [first.expression(pair.first.count), second.expression(pair.second.count)]
    if None in counts or assigned(pair.first.function.body) & {p.name for p in pair.first.function.parameters}:
        return False
    is_same_grid = first.block == second.block and same_expression(first.grid, second.grid)
    return is_same_grid and same_expression(*map(str, counts))


def _share_variables(program: CudaProgram, pair: Pair) -> bool:
    """Whether both name a variable of the file that may change, by which the first can hand on to other threads."""
    declarations = [n for n in program.root.named_children if n.type == "declaration"]
    changing = [n for n in declarations if not {"__constant__", "const", "constexpr"} & set(node_text(n).split())]
    first, second = (nodes.identifiers(kernel.function.body) for kernel in (pair.first, pair.second))
    return bool(first & second & nodes.declared(*changing))


def _is_independent(pair: Pair) -> bool:
    """Whether each buffer that both use, and one writes, is touched at the thread's own element only."""
    kernels = (pair.first, pair.second)
    used_by_both = set(_buffers(pair.first).values()) & set(_buffers(pair.second).values())
    critical = used_by_both & {buffer for kernel in kernels for buffer in _buffers(kernel, writable=True).values()}
    return all(
        lone_subscripts(kernel, parameter) is not None
        for kernel in kernels
        for parameter, buffer in _buffers(kernel).items()
        if buffer in critical
    )


def plan_fusion(program: CudaProgram, pair: Pair) -> Fusion:
    """The kernel that does what both do, one after the other, for each element."""
    interface = _interface(pair)
    first, second = list(pair.first.statements), list(pair.second.statements)
    repeated = [n for n in second if n.type == "declaration" and _is_repeated(n, pair, interface.renames)]
    renames = interface.renames | _disjoint_names(pair, interface.renames, nodes.declared(*repeated))
    handover = _handover(program, pair)
    renames |= handover.renames
    second = [n for n in second if n not in repeated and n not in handover.dropped]
    replaced = [range(e.start, e.end) for e in handover.edits]
    renamed = [e for n in second for e in rename(n, renames) if not any(e.start in span for span in replaced)]
    return Fusion(
        name=_fused_name(program, pair.first.name, pair.second.name),
        arguments={p: a for p, a in interface.arguments.items() if a != handover.buffer},
        first=[n for n in first if n not in handover.dropped],
        second=second,
        edits=[*handover.edits, *renamed],
        renames=renames,
        buffer=handover.buffer,
    )


def _interface(pair: Pair) -> Interface:
    """One parameter for each argument: the first kernel's, then what only the second is given; pointers come first."""
    first, second = pair.first, pair.second
    passed, passed_second = (launch.arguments for launch in pair.launches)
    arguments, taken = dict(passed), _names(pair.first) | _names(pair.second)
    parameter_of = {argument: parameter for parameter, argument in passed.items()}
    renames = {second.index: first.index}
    for parameter, argument in passed_second.items():
        if argument in parameter_of:
            renames[parameter] = parameter_of[argument]
            continue
        new = parameter if parameter not in _names(first) else _unused_name(parameter, taken)
        renames[parameter], taken = new, taken | {new}
        arguments[new] = argument
    pointers = {*first.function.pointers, *(renames[p] for p in second.function.pointers)}
    ordered = sorted(arguments, key=lambda p: p not in pointers)
    return Interface({p: arguments[p] for p in ordered}, {a: b for a, b in renames.items() if a != b})


def _unused_name(name: str, taken: set[str]) -> str:
    return next(f"{name}{i}" for i in range(1, 10_000) if f"{name}{i}" not in taken)


def _is_repeated(node: Node, pair: Pair, renames: Mapping[str, str]) -> bool:
    """Whether a declaration of the second kernel is made just the same in the first, and neither changes it."""
    first, second = pair.first, pair.second
    text = nodes.compact(edited(node, rename(node, renames)))
    in_first = [nodes.compact(n) for n in repeatable_declarations(first, first.declarations)]
    return text in in_first and node in repeatable_declarations(second, second.declarations)


def _disjoint_names(pair: Pair, renames: Mapping[str, str], kept: set[str]) -> dict[str, str]:
    """New names for variables of the second kernel that the first has as well.

    renames: what is renamed already. kept: names that mean the same in both.
    """
    used = _names(pair.first) | set(renames.values())
    clashing = (nodes.declared(pair.second.function.body) - {pair.second.index} - kept) & used
    found: dict[str, str] = {}
    for name in sorted(clashing):
        found[name] = _unused_name(name, used | _names(pair.second) | set(found.values()))
    return found


def _handover(program: CudaProgram, pair: Pair) -> Handover:
    """How the fused kernel does without a buffer that the first kernel stores once and the second only loads."""
    passed = [argument for launch in program.launch_list["launch"] for argument in launch["args"]]
    for parameter, buffer in _buffers(pair.first, writable=True).items():
        readers = [p for p, other in _buffers(pair.second).items() if other == buffer]
        if buffer not in program.scratch or passed.count(buffer) != 2 or len(readers) != 1:
            continue
        store, loads = _store(pair.first, parameter), lone_subscripts(pair.second, readers[0])
        if store is not None and loads is not None and pair.second.function.pointers[readers[0]].const:
            return _without_buffer(program, pair, buffer, store, loads)
    return Handover()


def _store(kernel: ElementwiseKernel, parameter: str) -> Node | None:
    """The statement `parameter[i] = value;`, the only use of an array of floats, reached by every thread; else None."""
    targets = lone_subscripts(kernel, parameter) or []
    if len(targets) != 1 or kernel.function.pointers[parameter].type != "float":
        return None
    for statement in kernel.statements:
        assignment = nodes.assignment_of(statement)
        if assignment is not None and nodes.operands(assignment)[0] == targets[0]:
            return statement if nodes.operator(assignment) == "=" else None
    return None


def _stored_value(store: Node) -> Node:
    return nodes.operands(store.named_children[0])[1]


def _without_buffer(program: CudaProgram, pair: Pair, buffer: str, store: Node, loads: list[Node]) -> Handover:
    """The stored value handed over by the variable that held it, or by one of the fused kernel's own."""
    variable, received = _stored_variable(pair.first, store), _receiving_declaration(pair, loads)
    if variable is None:
        name = program.unused_name("passed")
        declaration = Edit(store.start_byte, _stored_value(store).start_byte, f"float {name} = ")
        return Handover(buffer, (declaration, *(replace(n, name) for n in loads)))
    if received is None:
        return Handover(buffer, tuple(replace(n, variable) for n in loads), (store,))
    (name,) = nodes.declared(received)
    return Handover(buffer, (), (store, received), {name: variable})


def _stored_variable(kernel: ElementwiseKernel, store: Node) -> str | None:
    """The float that a statement stores, where it is a variable that keeps its value from there; else None."""
    value = _stored_value(store)
    later = assigned(*(n for n in kernel.statements if n.start_byte > store.start_byte))
    name = node_text(value)
    is_local = value.type == "identifier" and name in nodes.declared(*kernel.declarations) - later
    return name if is_local and variable_types(kernel.function).get(name) == "float" else None


def _receiving_declaration(pair: Pair, loads: list[Node]) -> Node | None:
    """`float name = buffer[i];`, the only load, where `name` may be the first kernel's variable; else None."""
    if any("const" in nodes.declared_type(d).split() for d in pair.first.declarations):
        return None
    for node in pair.second.declarations:
        variable = nodes.sole_variable(node, "float")
        if variable is not None and loads == [variable.value]:
            return node
    return None


def render(program: CudaProgram, pair: Pair, fusion: Fusion) -> CudaProgram:
    """The program with the fused kernel in the place of the later one of the two, and one launch.

    program: holds both kernels. pair: the two, in the order of their launches. fusion: as `plan_fusion` gives it for
    them.
    """
    halves = [lay_out(part, "    ", fusion.edits) for part in (fusion.first, fusion.second) if part]
    shape, parameters = pair.first, _parameter_texts(pair, fusion)
    code = render_kernel(shape, fusion.name, parameters, "\n    ".join(halves))
    launches, position = list(program.launch_list["launch"]), shape.launches[0].position
    fused = {"kernel": fusion.name, "args": list(fusion.arguments.values())}
    launches[position : position + 2] = [launches[position] | fused]
    scratch = {name: array for name, array in program.scratch.items() if name != fusion.buffer}
    launch_list = program.launch_list | {"launch": launches}
    if scratch:
        launch_list["scratch"] = scratch
    elif fusion.buffer is not None:
        launch_list.pop("scratch")
    early, late = sorted((pair.first.function.node, pair.second.function.node), key=lambda n: n.start_byte)
    return program.with_edits([delete(early), replace(late, code)], launch_list)


def _parameter_texts(pair: Pair, fusion: Fusion) -> list[str]:
    """The texts of the parameters; one that both kernels have is not const where one of them writes."""
    texts: dict[str, str] = {}
    for kernel, renames in ((pair.second, fusion.renames), (pair.first, {})):
        for p in kernel.function.parameters:
            name = renames.get(p.name, p.name)
            if name not in texts or not (p.pointer and p.const):
                texts[name] = edited(p.node, rename(p.node, {p.name: name}))
    return [texts[name] for name in fusion.arguments]


def _fused_name(program: CudaProgram, first: str, second: str) -> str:
    """The name that both halves had before they were split, or both names."""
    stem = first.removesuffix(FIRST)
    is_split = first.endswith(FIRST) and second == stem + SECOND
    return program.unused_name(stem if is_split else f"{first}_{second}")


RULES = (CudaRule("fuse_kernels", fuse, "split_kernel"),)
