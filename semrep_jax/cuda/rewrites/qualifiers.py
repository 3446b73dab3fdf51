"""Rules about `__restrict__`, `const` and cached loads: what a kernel tells the compiler of its memory."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from semrep_jax.cuda.rewrites import nodes
from semrep_jax.cuda.rewrites.edits import delete, insert, replace
from semrep_jax.cuda.rewrites.effects import PURE_FUNCTIONS, assigned, calls, root_variable, stored
from semrep_jax.cuda.rewrites.program import CudaProgram
from semrep_jax.cuda.rewrites.rule import CudaRule
from semrep_jax.cuda.syntax import Function, Parameter, node_text, walk

_CACHED_TYPES = ("float", "int", "unsigned", "unsigned int", "unsigned char", "double", "float4")
_KEEPS_CONST = {"const", "constexpr", "static", "__shared__", "extern"}
CONSTANT_CONTEXTS = ("array_declarator", "template_argument_list", "case_statement")
CACHED_LOAD = """(call_expression function: (identifier) @_name arguments: (argument_list .
    (pointer_expression operator: "&" argument: (subscript_expression) @load) .) (#eq? @_name "__ldg")) @site"""


def has_no_aliases(program: CudaProgram, kernel: Function) -> bool:
    """Whether a kernel is launched, and no launch passes a buffer that it may write for a second parameter as well."""
    positions = program.launches_of(kernel)
    for position in positions:
        arguments = program.launch_list["launch"][position]["args"]
        written = [a for a, p in zip(arguments, kernel.parameters, strict=True) if p.pointer and not p.const]
        if any(arguments.count(a) > 1 for a in written):
            return False
    return bool(positions)


def add_restrict(program: CudaProgram) -> Iterator[CudaProgram]:
    """float* y -> float* __restrict__ y    where launches give no written buffer twice"""
    for kernel in program.kernels:
        for p in kernel.parameters if has_no_aliases(program, kernel) else ():
            if p.pointer and not p.restrict:
                yield program.with_edits([insert(nodes.uses_of(p.name, p.node)[0], "__restrict__ ")])


def remove_restrict(program: CudaProgram) -> Iterator[CudaProgram]:
    """float* __restrict__ y -> float* y"""
    for function in program.functions:
        for p in function.parameters:
            for qualifier in walk(p.node, "type_qualifier") if p.restrict else ():
                if node_text(qualifier) == "__restrict__":
                    yield program.with_edits([delete(qualifier)])


def add_const(program: CudaProgram) -> Iterator[CudaProgram]:
    """int i = 0; -> const int i = 0;    where it keeps its value; const float* x where x is only read through"""
    for function in program.functions:
        changing, written = assigned(function.body), stored(function.body)
        bound = [n for n in walk(function.body, "declaration") if nodes.contains(n, "reference_declarator")]
        written = written | nodes.identifiers(*bound)  # by another name, perhaps
        for p in function.parameters:
            if p.name in changing or p.const or not p.name:
                continue
            if not p.pointer or (function.is_kernel and p.name not in written and _is_only_indexed(function, p)):
                yield program.with_edits([insert(p.node, "const ")])
        for node in walk(function.body, "declaration"):
            values = nodes.variables(node)
            if values is None or any(v is None or name in changing | written for name, v in values.items()):
                continue
            if not _KEEPS_CONST & set(nodes.declared_type(node).split()):
                yield program.with_edits([insert(node, "const ")])


def _is_only_indexed(function: Function, p: Parameter) -> bool:
    """Whether a pointer is used for `p[index]` alone, so that nothing else can write through it."""
    parents = [(n, n.parent) for n in nodes.uses_of(p.name, function.body)]
    return all(at is not None and at.type == "subscript_expression" and at.children[0] == n for n, at in parents)


def remove_const(program: CudaProgram) -> Iterator[CudaProgram]:
    """const int i = 0; -> int i = 0;    of variables and scalar parameters; what pointers lead to stays const"""
    for function in program.functions:
        constants = [
            n for n in walk(function.node, "declaration") if any(node_text(c) == "constexpr" for c in n.children)
        ]
        sizes = nodes.identifiers(*walk(function.node, *CONSTANT_CONTEXTS), *constants)
        for n in reversed(list(walk(function.body, "declaration"))):  # what those are made of
            sizes |= nodes.identifiers(n) if nodes.declared(n) & sizes else set()
        parameters = [p.node for p in function.parameters if p.const and not p.pointer]
        declarations = [n for n in walk(function.body, "declaration") if _is_const(n) and not nodes.declared(n) & sizes]
        for node in parameters + declarations:
            yield program.with_edits([delete(next(c for c in node.children if node_text(c) == "const"))])


def _is_const(declaration: Node) -> bool:
    """Whether it declares constants that are no pointers or arrays, and not in shared memory."""
    qualifiers = [node_text(c) for c in declaration.children if c.type == "type_qualifier"]
    return nodes.variables(declaration) is not None and "const" in qualifiers and "__shared__" not in qualifiers


def to_cached_load(program: CudaProgram) -> Iterator[CudaProgram]:
    """x[i] -> __ldg(&x[i])    one load or all of an array, where that is const, restricted, and written by no one"""
    device_functions = {f.name for f in program.functions} - PURE_FUNCTIONS
    for kernel in program.kernels:
        if not has_no_aliases(program, kernel) or calls(kernel.body) & device_functions:
            continue
        for loads in _cacheable_loads(kernel).values():
            cached = [replace(n, f"__ldg(&{node_text(n)})") for n in _outermost(loads)]
            yield program.with_edits(cached)
            if len(cached) > 1:
                yield from (program.with_edits([edit]) for edit in cached)


def _cacheable_loads(kernel: Function) -> dict[str, list[Node]]:
    """Loads through pointers to const restricted memory, by the pointer's name."""
    allowed = {p.name for p in kernel.pointers.values() if p.const and p.restrict and p.type in _CACHED_TYPES}
    allowed |= _derived_pointers(kernel, allowed)
    found: dict[str, list[Node]] = {}
    for node in walk(kernel.body, "subscript_expression"):
        argument = node.child_by_field_name("argument")
        if argument is None or argument.type != "identifier" or node_text(argument) not in allowed:
            continue
        if not _is_addressed(node) and nodes.can_reformat(node):
            found.setdefault(node_text(argument), []).append(node)
    return found


def _outermost(loads: list[Node]) -> list[Node]:
    """Those that are not within another one."""
    return [
        n
        for n in loads
        if not any(n != other and nodes.encloses(other, n) and n.end_byte <= other.end_byte for other in loads)
    ]


def _derived_pointers(kernel: Function, allowed: set[str]) -> set[str]:
    """Local pointers to const that begin as an allowed pointer plus an offset and keep that value."""
    found = set()
    for node in walk(kernel.body, "declaration"):
        declarators = node.children_by_field_name("declarator")
        parts = nodes.fields(declarators[0], "declarator", "value") if len(declarators) == 1 else None
        if parts is None or parts[0].type != "pointer_declarator" or "const" not in nodes.declared_type(node).split():
            continue
        name, start = node_text(next(walk(parts[0], "identifier"))), parts[1]
        while nodes.is_binary(start, "+"):
            start = nodes.operands(start)[0]
        if node_text(start) in allowed and name not in assigned(kernel.body):
            found.add(name)
    return found


def _is_addressed(node: Node) -> bool:
    """Whether a load's address is taken, or it is written to."""
    parent = node.parent
    return parent is not None and (parent.type == "pointer_expression" or root_variable(node) in stored(parent))


def from_cached_load(program: CudaProgram) -> Iterator[CudaProgram]:
    """__ldg(&x[i]) -> x[i]"""
    for function in program.functions:
        for captures in nodes.matches(function.body, CACHED_LOAD):
            yield program.with_edits([replace(captures["site"], node_text(captures["load"]))])


RULES = (
    CudaRule("add_restrict", add_restrict, "remove_restrict"),
    CudaRule("remove_restrict", remove_restrict, "add_restrict"),
    CudaRule("add_const", add_const, "remove_const"),
    CudaRule("remove_const", remove_const, "add_const"),
    CudaRule("to_cached_load", to_cached_load, "from_cached_load"),
    CudaRule("from_cached_load", from_cached_load, "to_cached_load"),
)
