"""Kernels that do the same for each of many elements, recognised, and their parts:

    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= COUNT) return;                          or: if (i < COUNT) { STATEMENTS }
    STATEMENTS

Rules that map elements to threads anew ask for this shape, and change the grid of every launch along with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tree_sitter import Node

from semrep_jax.cuda.rewrites import effects, nodes
from semrep_jax.cuda.rewrites.edits import Edit, lay_out, replace_all
from semrep_jax.cuda.rewrites.launches import Launch, as_ceil_div, one_dimensional, same_expression
from semrep_jax.cuda.rewrites.program import CudaProgram
from semrep_jax.cuda.syntax import Function, node_text, walk

INDEX = "blockIdx.x * blockDim.x + threadIdx.x"
_BLOCK_STARTS = ("blockIdx.x*blockDim.x", "blockDim.x*blockIdx.x")
_INDEX_FORMS = {form for b in _BLOCK_STARTS for form in (f"{b}+threadIdx.x", f"threadIdx.x+{b}")}
_TURNED = {"<": ">", ">=": "<="}


@dataclass(frozen=True)
class ElementwiseKernel:
    """A kernel that does the same for each of `count` elements, however they are mapped to threads.

    index, index_value: the name of the element, and its value where a thread has one. statements: done for each.
    launches: all of its launches.
    """

    function: Function
    index: str
    index_value: str
    count: Node
    statements: tuple[Node, ...]
    launches: tuple[Launch, ...]

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self.function.name

    @property
    def declarations(self) -> list[Node]:
        """The declarations among the statements."""
        return [n for n in self.statements if n.type == "declaration"]

    @property
    def index_names(self) -> set[str]:
        """The index's names: its own, and those of variables that are declared as it and keep its value."""
        values = [v for n in self.declarations for v in (nodes.variables(n) or {}).items()]
        counts = [name for d in walk(self.function.body, "declaration") for name in nodes.declared(d)]
        aliases = {name for name, value in values if node_text(value) == self.index and counts.count(name) == 1}
        return {self.index} | (aliases - effects.assigned(self.function.body))

    def text(self, indent: str, edits: Sequence[Edit] = ()) -> str:
        """What is done for each element, its lines after the first moved to begin at `indent`, with edits."""
        return lay_out(self.statements, indent, edits)

    def uses_of(self, name: str) -> list[Node]:
        """Where a name is used in what is done for each element."""
        return [use for n in self.statements for use in nodes.uses_of(name, n)]

    def with_body(self, text: str) -> Edit:
        """The edit that gives the kernel another body."""
        within = nodes.statements(self.function.body)
        return replace_all(within[0], within[-1], text)

    def one_each(self, body: str) -> str:
        """The statements of a kernel that gives each thread one element, and does `body` for it."""
        guard = f"if ({self.index} >= {node_text(self.count)}) return;"
        return f"int {self.index} = {self.index_value};\n    {guard}\n    {body}"


def recognised(
    program: CudaProgram, kernel: Function, index: nodes.Binding, count: Node | None, body: Sequence[Node]
) -> ElementwiseKernel | None:
    """The kernel as one that does the same for each element; None where its elements can't be given to other threads.

    index: the variable that is the element's number. count: how many there are, if known. body: what is done for each.
    """
    launches = one_dimensional(program, kernel)
    if count is None or not launches or not body or depends_on_threads(program, kernel):
        return None
    if any(effects.jumps(n, *effects.JUMPS) for n in body) or not _is_steady(kernel, index.name, count, body):
        return None
    value = node_text(nodes.strip_parens(index.value))
    return ElementwiseKernel(kernel, index.name, value, count, tuple(body), launches)


def elementwise_kernels(program: CudaProgram) -> Iterator[ElementwiseKernel]:
    """The kernels that give each thread one element, in the order of the text."""
    found = (elementwise(program, kernel) for kernel in program.kernels)
    return (shape for shape in found if shape is not None)


def elementwise(program: CudaProgram, kernel: Function) -> ElementwiseKernel | None:
    """The kernel as one that gives each thread one element; None where it is none."""
    within = nodes.statements(kernel.body)
    index = grid_index(within[0]) if len(within) > 1 else None
    guard = nodes.as_if(within[1]) if index is not None else None
    if index is None or guard is None or guard.alternative is not None:
        return None
    inner = nodes.statements(guard.consequence)
    if len(inner) == 1 and inner[0].type == "return_statement":
        count, inner = upper_bound(guard.condition, index.name, ">="), within[2:]
    else:
        wraps_all = len(within) == 2 and guard.consequence.type == "compound_statement"
        count = upper_bound(guard.condition, index.name, "<") if wraps_all else None
    found = recognised(program, kernel, index, count, inner)
    has_all = found is not None and all(_has_a_thread_each(launch, found.count) for launch in found.launches)
    return found if has_all else None


def _has_a_thread_each(launch: Launch, count: Node) -> bool:
    """Whether a launch has as many threads as there are elements, but for its last block: of fewer, some are left."""
    quotient, total = as_ceil_div(launch.grid), launch.expression(count)
    return (
        quotient is not None
        and total is not None
        and quotient.by == launch.block
        and same_expression(quotient.total, total)
    )


def depends_on_threads(program: CudaProgram, kernel: Function) -> bool:
    """Whether threads meet in a kernel or what it calls, or it asks which thread it is; or can't be laid out anew."""
    used = {node_text(n) for n in walk(kernel.body, "identifier", "field_identifier")}
    if not nodes.can_reformat(kernel.body) or effects.is_collective(kernel.body):
        return True
    return bool(used & effects.thread_dependent_names(program.root))


def _is_steady(kernel: Function, index: str, count: Node, body: Sequence[Node]) -> bool:
    """Whether index, count and all parameters stay as they are, count is of parameters, and nothing else asks which
    thread it is: the body may be done several times by one thread, or half of it by another kernel."""
    in_count, used = nodes.identifiers(count), nodes.identifiers(count, *body)
    if not in_count <= {p.name for p in kernel.parameters if not p.pointer} or not effects.is_pure(count):
        return False
    changing = effects.assigned(*body) | nodes.declared(*body)
    kept = in_count | {index} | {p.name for p in kernel.parameters}
    return not changing & kept and not used & effects.BUILT_IN


def grid_index(node: Node) -> nodes.Binding | None:
    """The variable of a declaration of the thread's index over the whole grid, else None."""
    found = nodes.sole_variable(node, "int", "const int")
    return found if found is not None and nodes.compact(nodes.strip_parens(found.value)) in _INDEX_FORMS else None


def upper_bound(condition: Node, index: str, sign: str) -> Node | None:
    """The COUNT of `index < COUNT`, or of `index >= COUNT`, written either way around; else None.

    index: the variable's name. sign: `<` or `>=`.
    """
    test = nodes.strip_parens(condition)
    if test.type != "binary_expression":
        return None
    left, right = nodes.operands(test)
    if node_text(left) == index and nodes.is_binary(test, sign):
        return right
    return left if node_text(right) == index and nodes.is_binary(test, _TURNED[sign]) else None


def lone_subscripts(kernel: ElementwiseKernel, name: str) -> list[Node] | None:
    """Every use of an array where all of them are name[index], by any of the index's names; else None."""
    found = [subscript_at(use, kernel.index_names) for use in kernel.uses_of(name)]
    present = [load for load in found if load is not None]
    return present if len(present) == len(found) else None


def subscript_at(use: Node, indices: set[str]) -> Node | None:
    """The expression use[index] around an array's name, by any of the index's names; else None."""
    load = use.parent
    if load is None or load.type != "subscript_expression" or load.children[0] != use:
        return None
    subscript = load.child_by_field_name("indices")
    return load if subscript is not None and nodes.compact(subscript)[1:-1] in indices else None


def loads_at(
    function: Function, statements: Iterable[Node], indices: set[str], types: tuple[str, ...]
) -> dict[str, list[Node]]:
    """Loads x[index] that are made whenever one of these statements is done, by x's name, of pointers to const.

    function: whose pointers. statements: where to look. indices: the names that the index has. types: of the elements.
    """
    found: dict[str, list[Node]] = {}
    for statement in statements:
        for use in walk(statement, "identifier"):
            pointer, load = function.pointers.get(node_text(use)), subscript_at(use, indices)
            if load is None or pointer is None or not pointer.const or pointer.type not in types:
                continue
            is_addressed = load.parent is not None and load.parent.type == "pointer_expression"
            if effects.is_unconditional(load, statement) and not is_addressed:
                found.setdefault(pointer.name, []).append(load)
    return found
