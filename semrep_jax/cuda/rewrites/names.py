"""Rules about names: renaming, declarations apart and together, an expression under a name of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tree_sitter import Node

from semrep_jax.cuda.rewrites import nodes
from semrep_jax.cuda.rewrites.edits import Edit, indentation, insert, rename, replace, replace_all
from semrep_jax.cuda.rewrites.effects import assigned, is_pure, is_unconditional, stored
from semrep_jax.cuda.rewrites.expression_types import (
    Types,
    is_primary,
    operand,
    takes_any_expression,
    type_of,
    variable_types,
)
from semrep_jax.cuda.rewrites.program import CudaProgram
from semrep_jax.cuda.rewrites.rule import CudaRule, at_each_match
from semrep_jax.cuda.syntax import Function, node_text, walk

NEW_NAMES = {"int": ("index", "position"), "float": ("value", "result"), "float*": ("data", "values")}
SHORTEST_NAMED = 4  # characters of an expression that is worth a name
LONGEST_REPEATED = 40  # characters of an expression that replaces a name more than once
IN_BLOCK = "(compound_statement (declaration) @site)"
_NAMED_TYPES = ("int", "long long", "float")
READS_MEMORY = ("subscript_expression", "pointer_expression", "field_expression", "call_expression")


def rename_variable(program: CudaProgram) -> Iterator[CudaProgram]:
    """float v = x[i]; y[i] = v; -> float value = x[i]; y[i] = value;    of a parameter or local variable"""
    declarations = [node for node in program.root.named_children if node.type == "declaration"]
    global_names = set().union(*map(nodes.identifiers, declarations))
    macros = " ".join(node_text(n) for n in walk(program.root, "preproc_arg"))
    for function in program.functions:
        types = variable_types(function)
        for name in dict.fromkeys([*(p.name for p in function.parameters), *sorted(nodes.declared(function.body))]):
            is_templates = function.template is not None and name not in types
            if not name or name in global_names or name in macros or is_templates:
                continue
            new = program.unused_name(*NEW_NAMES.get(types.get(name) or "", ("other",)))
            yield program.with_edits(rename(function.node, {name: new}))


def rename_kernel(program: CudaProgram) -> Iterator[CudaProgram]:
    """relu(...) { } -> relu_kernel(...) { }    in the launch list as well; relu_kernel becomes relu_forward"""
    for kernel in program.kernels:
        stem = kernel.name.removesuffix("_kernel")
        new = program.unused_name(f"{stem}_kernel" if stem == kernel.name else f"{stem}_forward")
        launch_list = program.with_launches({position: {"kernel": new} for position in program.launches_of(kernel)})
        yield program.with_edits(rename(program.root, {kernel.name: new}), launch_list)


def split_declaration(site: Node, types: Types) -> list[Edit] | None:
    """int a = 1, b = 2; -> int a = 1; int b = 2;"""
    declarators = site.children_by_field_name("declarator")
    if len(declarators) < 2 or not _declares_values(site):
        return None
    lines = [f"{nodes.declared_type(site)} {node_text(declarator)};" for declarator in declarators]
    return [replace(site, f"\n{indentation(site)}".join(lines))]


def merge_declarations(site: Node, types: Types) -> list[Edit] | None:
    """int a = 1; int b = 2; -> int a = 1, b = 2;"""
    after, type_ = site.next_named_sibling, nodes.declared_type(site)
    if after is None or not _declares_values(site) or not _declares_values(after) or not nodes.can_reformat(after):
        return None
    if nodes.declared_type(after) != type_ or "auto" in type_:
        return None
    declarators = [*site.children_by_field_name("declarator"), *after.children_by_field_name("declarator")]
    return [replace_all(site, after, f"{type_} {', '.join(map(node_text, declarators))};")]


def _declares_values(node: Node) -> bool:
    """Whether it declares variables that are no pointers or arrays."""
    return node.type == "declaration" and nodes.variables(node) is not None


def name_expression(program: CudaProgram) -> Iterator[CudaProgram]:
    """y[i] = f(a * b); -> float value = a * b; y[i] = f(value);    wherever the statement has the expression"""
    for function in program.functions:
        types = variable_types(function)
        for block in walk(function.body, "compound_statement"):
            for statement in nodes.statements(block):
                if statement.type in ("expression_statement", "declaration") and nodes.can_reformat(statement):
                    yield from _with_names(program, statement, types)


def _with_names(program: CudaProgram, statement: Node, types: Types) -> Iterator[CudaProgram]:
    """The program with each expression of a statement named before it."""
    named: set[str] = set()
    if any(node_text(child) == "constexpr" for child in statement.children):
        return
    changing = assigned(statement) | stored(statement)
    if statement.type == "declaration":
        changing |= nodes.declared(statement)
    for node in walk(statement, "binary_expression", "subscript_expression", "call_expression"):
        text, type_ = node_text(node), type_of(node, types)
        if text in named or type_ not in _NAMED_TYPES or len(nodes.compact(node)) < SHORTEST_NAMED:
            continue
        if not is_pure(node) or changing & nodes.identifiers(node) or nodes.is_constant(node, statement):
            continue
        alike = [n for n in walk(statement, node.type) if node_text(n) == text and n.parent is not None]
        if not all(is_unconditional(n, statement) and _may_be_named(n) for n in alike):
            continue
        named.add(text)
        name = program.unused_name(*NEW_NAMES.get(type_, ("offset",)))
        declaration = insert(statement, f"{type_} {name} = {text};\n{indentation(statement)}")
        yield program.with_edits([declaration, *(replace(n, name) for n in alike)])


def _may_be_named(node: Node) -> bool:
    """Whether an expression has no name of its own yet, is not written to, and its address is not taken."""
    parent = node.parent
    if parent is None or parent.type in ("init_declarator", "update_expression", "pointer_expression"):
        return False
    return parent.type != "assignment_expression" or nodes.operands(parent)[0] != node


def inline_name(program: CudaProgram) -> Iterator[CudaProgram]:
    """float value = a * b; y[i] = f(value); -> y[i] = f(a * b);    where the next statement alone reads it"""
    for function in program.functions:
        types = variable_types(function)
        for block in walk(function.body, "compound_statement"):
            for node, after in pairwise(nodes.statements(block)):
                uses = _inlined_uses(function, node, after, types)
                if uses is not None:
                    yield program.with_edits([Edit(node.start_byte, after.start_byte, ""), *uses])


def _inlined_uses(function: Function, node: Node, after: Node, types: Types) -> list[Edit] | None:
    """The edits that put a variable's value in its place; None where that can't be done.

    node: its declaration. after: the statement behind it. types: those of the function's variables.
    """
    variable = nodes.sole_variable(node)
    if variable is None or after.type not in ("expression_statement", "declaration"):
        return None
    if not nodes.can_reformat(node) or not nodes.can_reformat(after) or not is_pure(variable.value):
        return None
    uses = [n for n in nodes.uses_of(variable.name, function.body) if not nodes.encloses(node, n)]
    if not uses or not all(nodes.encloses(after, n) for n in uses):
        return None
    if len(uses) > 1 and len(node_text(variable.value)) > LONGEST_REPEATED:
        return None
    type_, changing = types.get(variable.name), assigned(after) | stored(after)
    if type_ is None or type_of(variable.value, types) != type_ or variable.name in changing:
        return None
    if (changing | nodes.declared(after)) & nodes.identifiers(variable.value):
        return None
    if nodes.contains(variable.value, *READS_MEMORY) and not all(map(is_pure, walk(after, "call_expression"))):
        return None  # what is called may write there first
    return [replace(n, _inlined_value(n, variable.value)) for n in uses]


def _inlined_value(use: Node, value: Node) -> str:
    parent = use.parent
    if is_primary(value) or takes_any_expression(use):
        return node_text(value)
    if parent is not None and parent.type == "binary_expression":
        return operand(value, nodes.operator(parent), right=nodes.operands(parent)[1] == use)
    return f"({node_text(value)})"


RULES = (
    CudaRule("rename", rename_variable, "rename"),
    CudaRule("rename_kernel", rename_kernel, "rename_kernel"),
    CudaRule("split_declaration", at_each_match(IN_BLOCK, split_declaration), "merge_declarations"),
    CudaRule("merge_declarations", at_each_match(IN_BLOCK, merge_declarations), "split_declaration"),
    CudaRule("name_expression", name_expression, "inline_name"),
    CudaRule("inline_name", inline_name, "name_expression"),
)
