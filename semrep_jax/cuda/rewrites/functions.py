"""Rules about device functions: an expression moved into one of its own, and put back where that is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from semrep_jax.cuda.rewrites import nodes
from semrep_jax.cuda.rewrites.edits import Edit, delete, edited, insert, rename, replace
from semrep_jax.cuda.rewrites.effects import calls, is_pure
from semrep_jax.cuda.rewrites.expression_types import Types, in_place_of, type_of, variable_types
from semrep_jax.cuda.rewrites.program import CudaProgram
from semrep_jax.cuda.rewrites.rule import CudaRule
from semrep_jax.cuda.syntax import Function, node_text, walk

MOST_PARAMETERS = 6
_PARAMETER_TYPES = ("float", "int", "long long")
_EXTRACTED = ("binary_expression", "call_expression", "conditional_expression", "unary_expression")
_MEMORY = ("subscript_expression", "pointer_expression", "field_expression")


@dataclass(frozen=True)
class Extracted:
    """A function that computes an expression: its definition, and the call that takes the expression's place."""

    definition: str
    call: str


def extract_function(program: CudaProgram) -> Iterator[CudaProgram]:
    """y[i] = f(v) * w; -> y[i] = apply(v, w);    calls a new __device__ function; of floats that no load gives"""
    for function in program.functions:
        if function.template is not None:
            continue
        types = variable_types(function)
        for node in walk(function.body, "init_declarator", "assignment_expression"):
            value = node.child_by_field_name("value" if node.type == "init_declarator" else "right")
            extracted = _extracted(program, value, types) if value is not None and nodes.can_reformat(value) else None
            if extracted is not None and value is not None:
                edits = [insert(function.node, extracted.definition), replace(value, extracted.call)]
                yield program.with_edits(edits)


def _extracted(program: CudaProgram, value: Node, types: Types) -> Extracted | None:
    """The function that computes this value; None where it can't be one."""
    inner = nodes.strip_parens(value)
    if inner.type not in _EXTRACTED or not is_pure(inner) or nodes.contains(inner, *_MEMORY):
        return None
    used = dict.fromkeys(node_text(n) for n in walk(inner, "identifier"))
    passed = [n for n in used if n not in calls(inner) and n != "INFINITY"]
    if type_of(inner, types) != "float" or not 0 < len(passed) <= MOST_PARAMETERS:
        return None
    if any(types.get(n) not in _PARAMETER_TYPES for n in passed):
        return None
    name, parameters = program.unused_name("apply"), ", ".join(f"{types[n]} {n}" for n in passed)
    definition = f"__device__ float {name}({parameters}) {{\n    return {node_text(inner)};\n}}\n\n"
    return Extracted(definition, f"{name}({', '.join(passed)})")


def inline_function(program: CudaProgram) -> Iterator[CudaProgram]:
    """y[i] = apply(v, w); -> y[i] = f(v) * w;    at every call, where all pass variables of its parameters' types"""
    for function in program.functions:
        value = _returned(function)
        edits = _inlined_calls(program, function, value) if value is not None else None
        named_by_macro = any(function.name in nodes.names_in_text(n) for n in walk(program.root, "preproc_arg"))
        if edits and not named_by_macro:
            yield program.with_edits([delete(function.node), *edits])


def _returned(function: Function) -> Node | None:
    """The pure expression of parameters alone that a device function returns, where it does nothing else; else None."""
    within = nodes.statements(function.body)
    if len(within) != 1 or within[0].type != "return_statement" or within[0].named_child_count != 1:
        return None
    if function.is_kernel or function.template is not None or not nodes.can_reformat(function.node):
        return None
    if any(p.pointer or p.type not in _PARAMETER_TYPES for p in function.parameters):
        return None
    (value,) = within[0].named_children
    known = {*(p.name for p in function.parameters), "INFINITY"}
    if not nodes.identifiers(value) - calls(value) <= known or not is_pure(value):
        return None
    returned = node_text(function.node.child_by_field_name("type"))
    return value if type_of(value, variable_types(function)) == returned else None


def _inlined_calls(program: CudaProgram, function: Function, value: Node) -> list[Edit] | None:
    """The edits at all calls; None where one is given more than variables, or the name is used otherwise."""
    edits: list[Edit] = []
    for use in nodes.uses_of(function.name, program.root):
        if nodes.encloses(function.node, use):
            continue
        call = use.parent
        caller = next((f for f in program.functions if nodes.encloses(f.node, use)), None)
        parts = nodes.fields(call, "arguments") if call is not None and call.type == "call_expression" else None
        if call is None or parts is None or caller is None:
            return None
        arguments, types = parts[0].named_children, variable_types(caller)
        if len(arguments) != len(function.parameters):
            return None
        pairs = list(zip(function.parameters, arguments, strict=True))
        if any(a.type != "identifier" or types.get(node_text(a)) != p.type for p, a in pairs):
            return None
        text = edited(value, rename(value, {p.name: node_text(a) for p, a in pairs}))
        edits.append(replace(call, in_place_of(call, text)))
    return edits


RULES = (
    CudaRule("extract_function", extract_function, "inline_function"),
    CudaRule("inline_function", inline_function, "extract_function"),
)
