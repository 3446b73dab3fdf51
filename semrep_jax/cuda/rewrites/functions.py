"""Rules about device functions: an expression moved into a function of its own, and such a function put back where it is called."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from semrep_jax.cuda.rewrites.rule import CudaRule, Edit, Function, Listing, replace, said, spliced, substituted, walk
from semrep_jax.cuda.rewrites.trees import bare, calls, names, pure, roomy, statements, tame, type_of, types

_VALUES = ("float", "int", "long long")
_MOST = 6


def extract_function(listing: Listing) -> Iterator[Listing]:
    """y[i] = f(v) * w; -> y[i] = apply(v, w);, with a __device__ function before; of floats that are computed without a look at memory."""
    for function in listing.functions:
        if function.template:
            continue
        known = types(function)
        for node in walk(function.body, "init_declarator", "assignment_expression"):
            value = node.child_by_field_name("value" if node.type == "init_declarator" else "right")
            text = _function(listing, value, known) if value is not None and tame(value) else None
            if text is not None and value is not None:
                name, given, definition = text
                start = function.node.start_byte
                yield listing.changed([(start, start, definition), replace(value, f"{name}({', '.join(given)})")])


def _function(listing: Listing, value: Node, known: dict[str, str | None]) -> tuple[str, list[str], str] | None:
    """(name, what it is given, definition) of a function that computes this value; None where it can't be one."""
    inner = bare(value)
    if inner.type not in (
        "binary_expression",
        "call_expression",
        "conditional_expression",
        "unary_expression",
    ) or not pure(inner):
        return None
    if type_of(inner, known) != "float" or any(
        True for _ in walk(inner, "subscript_expression", "pointer_expression", "field_expression")
    ):
        return None
    used = list(dict.fromkeys(said(n) for n in walk(inner, "identifier")))
    given = [n for n in used if n not in calls(inner) and n != "INFINITY"]
    if not 0 < len(given) <= _MOST or any(known.get(n) not in _VALUES for n in given):
        return None
    name = listing.fresh("apply")
    parameters = ", ".join(f"{known[n]} {n}" for n in given)
    return name, given, f"__device__ float {name}({parameters}) {{\n    return {said(inner)};\n}}\n\n"


def inline_function(listing: Listing) -> Iterator[Listing]:
    """y[i] = apply(v, w); -> y[i] = f(v) * w;, at every call, where the function only returns an expression and is given variables."""
    for function in listing.functions:
        value = _returned(function)
        if value is None or function.kernel or function.template:
            continue
        edits = _inlined(listing, function, value)
        if edits is not None:
            after = function.node.next_sibling
            end = after.start_byte if after is not None else function.node.end_byte
            yield listing.changed([(function.node.start_byte, end, ""), *edits])


def _returned(function: Function) -> Node | None:
    """The pure expression of parameters alone that a function returns, where it does nothing else; else None."""
    within = statements(function.body)
    if (
        len(within) != 1
        or within[0].type != "return_statement"
        or within[0].named_child_count != 1
        or not tame(function.node)
    ):
        return None
    value = within[0].named_children[0]
    simple = all(not p.pointer and p.type in _VALUES for p in function.parameters)
    kind = said(function.node.child_by_field_name("type"))
    inside = names(value) - calls(value) <= {*(p.name for p in function.parameters), "INFINITY"}
    return value if simple and inside and pure(value) and type_of(value, types(function)) == kind else None


def _inlined(listing: Listing, function: Function, value: Node) -> list[Edit] | None:
    """The edits at all calls; None where the name is used otherwise, or a call is given more than variables of the parameters' types."""
    edits: list[Edit] = []
    for use in walk(listing.root, "identifier"):
        if said(use) != function.name or function.node.start_byte <= use.start_byte < function.node.end_byte:
            continue
        call = use.parent
        given = call.child_by_field_name("arguments") if call is not None and call.type == "call_expression" else None
        where = next((f for f in listing.functions if f.node.start_byte <= use.start_byte < f.node.end_byte), None)
        if call is None or given is None or where is None or len(given.named_children) != len(function.parameters):
            return None
        known = types(where)
        pairs = list(zip(function.parameters, given.named_children, strict=True))
        if any(a.type != "identifier" or known.get(said(a)) != p.type for p, a in pairs):
            return None
        text = spliced(value, substituted(value, {p.name: said(a) for p, a in pairs}))
        edits.append(replace(call, text if roomy(call) else f"({text})"))
    return edits or None


RULES = (
    CudaRule("extract_function", extract_function, "inline_function"),
    CudaRule("inline_function", inline_function, "extract_function"),
)
