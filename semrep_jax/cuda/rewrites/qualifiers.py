"""Rules about `__restrict__`, `const` and loads through the read-only cache: what a kernel tells the compiler of its memory."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from semrep_jax.cuda.rewrites.rule import CudaRule, Function, Listing, Parameter, replace, said, walk
from semrep_jax.cuda.rewrites.trees import MATH as KNOWN
from semrep_jax.cuda.rewrites.trees import assigned, base, calls, declared, initialised, names, prefix, stored, tame

_CACHED = ("float", "int", "unsigned", "unsigned int", "unsigned char", "double", "float4")


def apart(listing: Listing, kernel: Function) -> bool:
    """Whether in every launch a buffer that the kernel may write is given to one parameter only."""
    for i in listing.launches(kernel):
        arguments = listing.plan["launch"][i]["args"]
        written = [a for a, p in zip(arguments, kernel.parameters, strict=True) if p.pointer and not p.const]
        if any(arguments.count(a) > 1 for a in written):
            return False
    return bool(listing.launches(kernel))


def add_restrict(listing: Listing) -> Iterator[Listing]:
    """float* y -> float* __restrict__ y, where launches give no written buffer twice."""
    for kernel in listing.kernels:
        for p in kernel.parameters if apart(listing, kernel) else ():
            if p.pointer and not p.restrict:
                name = next(n for n in walk(p.node, "identifier") if said(n) == p.name)
                yield listing.changed([(name.start_byte, name.start_byte, "__restrict__ ")])


def remove_restrict(listing: Listing) -> Iterator[Listing]:
    """float* __restrict__ y -> float* y."""
    for function in listing.functions:
        for p in function.parameters:
            for qualifier in walk(p.node, "type_qualifier") if p.restrict else ():
                if said(qualifier) == "__restrict__":
                    after = qualifier.next_sibling
                    yield listing.changed(
                        [(qualifier.start_byte, after.start_byte if after is not None else qualifier.end_byte, "")]
                    )


def add_const(listing: Listing) -> Iterator[Listing]:
    """int i = ... -> const int i = ...: of a variable or scalar parameter that keeps its value, of a pointer that is only read through."""
    for function in listing.functions:
        changes, writes = assigned(function.body), stored(function.body)
        for p in function.parameters:
            if p.name in changes or p.const or not p.name:
                continue
            if not p.pointer or (function.kernel and p.name not in writes and _read_only(function, p)):
                yield listing.changed([(p.node.start_byte, p.node.start_byte, "const ")])
        for node in walk(function.body, "declaration"):
            made = initialised(node)
            if made is None or any(value is None or name in changes | writes for name, value in made):
                continue
            if not {"const", "constexpr", "static", "__shared__", "extern"} & set(prefix(node).split()):
                yield listing.changed([(node.start_byte, node.start_byte, "const ")])


def _read_only(function: Function, p: Parameter) -> bool:
    """Whether a pointer is used for `p[index]` alone, so that nothing else can write through it."""
    uses = [n for n in walk(function.body, "identifier") if said(n) == p.name]
    return all(
        n.parent is not None and n.parent.type == "subscript_expression" and n.parent.children[0] == n for n in uses
    )


def remove_const(listing: Listing) -> Iterator[Listing]:
    """const int i = ... -> int i = ...: of variables and scalar parameters; what pointers lead to stays const."""
    for function in listing.functions:
        found = [p.node for p in function.parameters if p.const and not p.pointer]
        sizes = set().union(
            *(names(n) for n in walk(function.node, "array_declarator", "template_argument_list", "case_statement"))
        )
        found += [
            n
            for n in walk(function.body, "declaration")
            if initialised(n) is not None and _const(n) and not declared(n) & sizes
        ]
        for node in found:
            qualifier = next(c for c in node.children if said(c) == "const")
            after = qualifier.next_sibling
            if after is not None:
                yield listing.changed([(qualifier.start_byte, after.start_byte, "")])


def _const(declaration: Node) -> bool:
    words = [said(c) for c in declaration.children if c.type == "type_qualifier"]
    return "const" in words and "__shared__" not in words


def to_cached_load(listing: Listing) -> Iterator[Listing]:
    """x[i] -> __ldg(&x[i]): one load, or all through one pointer, where x is const and restricted and no one writes its buffer."""
    for kernel in listing.kernels:
        if not apart(listing, kernel) or calls(kernel.body) & {f.name for f in listing.functions} - set(KNOWN):
            continue
        allowed = {p.name for p in kernel.parameters if p.pointer and p.const and p.restrict and p.type in _CACHED}
        allowed |= _derived(kernel, allowed)
        loads: dict[str, list[Node]] = {}
        for node in walk(kernel.body, "subscript_expression"):
            argument = node.child_by_field_name("argument")
            if (
                argument is not None
                and argument.type == "identifier"
                and said(argument) in allowed
                and not _addressed(node)
                and tame(node)
            ):
                loads.setdefault(said(argument), []).append(node)
        for found in loads.values():
            outer = [
                n
                for n in found
                if not any(o != n and o.start_byte <= n.start_byte and n.end_byte <= o.end_byte for o in found)
            ]
            yield listing.changed([replace(n, f"__ldg(&{said(n)})") for n in outer])
            if len(outer) > 1:
                yield from (listing.changed([replace(n, f"__ldg(&{said(n)})")]) for n in outer)


def _derived(kernel: Function, allowed: set[str]) -> set[str]:
    """Local pointers to const that begin as an allowed pointer plus an offset and keep that value."""
    found = set()
    for node in walk(kernel.body, "declaration"):
        ones = node.children_by_field_name("declarator")
        value = ones[0].child_by_field_name("value") if len(ones) == 1 else None
        name = ones[0].child_by_field_name("declarator") if len(ones) == 1 else None
        if value is None or name is None or name.type != "pointer_declarator" or "const" not in prefix(node).split():
            continue
        own = said(next(walk(name, "identifier")))
        first = value
        while first.type == "binary_expression" and said(first.child_by_field_name("operator")) == "+":
            first = first.named_children[0]
        if said(first) in allowed and own not in assigned(kernel.body):
            found.add(own)
    return found


def _addressed(node: Node) -> bool:
    parent = node.parent
    return parent is not None and (parent.type == "pointer_expression" or base(node) in stored(parent))


def from_cached_load(listing: Listing) -> Iterator[Listing]:
    """__ldg(&x[i]) -> x[i]."""
    for function in listing.functions:
        for node in walk(function.body, "call_expression"):
            given = node.child_by_field_name("arguments")
            if said(node.child_by_field_name("function")) != "__ldg" or given is None or given.named_child_count != 1:
                continue
            inner = given.named_children[0]
            load = inner.child_by_field_name("argument") if inner.type == "pointer_expression" else None
            if load is not None and load.type == "subscript_expression" and said(inner.children[0]) == "&":
                yield listing.changed([replace(node, said(load))])


RULES = (
    CudaRule("add_restrict", add_restrict, "remove_restrict"),
    CudaRule("remove_restrict", remove_restrict, "add_restrict"),
    CudaRule("add_const", add_const, "remove_const"),
    CudaRule("remove_const", remove_const, "add_const"),
    CudaRule("to_cached_load", to_cached_load, "from_cached_load"),
    CudaRule("from_cached_load", from_cached_load, "to_cached_load"),
)
