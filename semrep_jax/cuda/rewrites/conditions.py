"""Rules about conditions: ternary and `if`, and a guard that returns early or one that wraps the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from semrep_jax.cuda.rewrites import nodes
from semrep_jax.cuda.rewrites.edits import Edit, indentation, lay_out, replace, replace_all
from semrep_jax.cuda.rewrites.effects import is_collective, is_pure
from semrep_jax.cuda.rewrites.expression_types import LOOSEST, Types, negated, type_of, variable_types
from semrep_jax.cuda.rewrites.program import CudaProgram
from semrep_jax.cuda.rewrites.rule import CudaRule, at_each_match
from semrep_jax.cuda.syntax import Function, function_declarator, node_text, walk

ASSIGNING = "[(expression_statement) (declaration)] @site"
IF = "(if_statement) @site"
IF_ELSE = """(if_statement condition: (_) @condition consequence: (_) @first
    alternative: (else_clause . (_) @second)) @site"""


@dataclass(frozen=True)
class Ternary:
    """The texts of `condition ? consequence : alternative`, without parentheses around each."""

    condition: str
    consequence: str
    alternative: str

    def as_if(self, target: str, sign: str) -> str:
        """The `if` that assigns to a variable what the ternary gives."""
        return f"if ({self.condition}) {target} {sign} {self.consequence}; else {target} {sign} {self.alternative};"


def ternary_to_if(site: Node, types: Types) -> list[Edit] | None:
    """x = c ? a : b; -> if (c) x = a; else x = b;    and so for `+=`, and for a declaration; where types agree"""
    text = _assignment_to_if(site, types) or _declaration_to_if(site, types)
    if text is None:
        return None
    in_block = site.parent is None or site.parent.type == "compound_statement"
    return [replace(site, text if in_block else f"{{ {text} }}")]


def _assignment_to_if(node: Node, types: Types) -> str | None:
    assignment = nodes.assignment_of(node)
    target, value = nodes.operands(assignment) if assignment is not None else (node, node)
    ternary = _ternary(value, types) if assignment is not None and is_pure(target) else None
    if assignment is None or ternary is None:
        return None
    return ternary.as_if(node_text(target), nodes.operator(assignment))


def _declaration_to_if(node: Node, types: Types) -> str | None:
    variable = nodes.sole_variable(node)
    if variable is None or {"const", "constexpr", "auto", "static"} & set(nodes.declared_type(node).split()):
        return None
    ternary = _ternary(variable.value, types)
    if ternary is None or node.parent is None or node.parent.type != "compound_statement":
        return None
    return f"{nodes.declared_type(node)} {variable.name};\n{indentation(node)}{ternary.as_if(variable.name, '=')}"


def _ternary(value: Node, types: Types) -> Ternary | None:
    inner = nodes.strip_parens(value)
    parts = nodes.fields(inner, "condition", "consequence", "alternative")
    if inner.type != "conditional_expression" or parts is None or not is_pure(inner):
        return None
    first, second = (type_of(part, types) for part in parts[1:])
    if first is None or first != second:
        return None  # the ternary's own type would be a third
    return Ternary(*(node_text(nodes.strip_parens(part)) for part in parts))


@dataclass(frozen=True)
class Assignment:
    """A statement that assigns a value without side effects."""

    target: Node
    sign: str
    value: Node


def if_to_ternary(site: Node, types: Types) -> list[Edit] | None:
    """if (c) x = a; else x = b; -> x = c ? a : b;    if (c) x = a; -> x = c ? a : x;    where types agree"""
    branches = nodes.as_if(site)
    first = _assignment(branches.consequence) if branches is not None else None
    if branches is None or first is None or not is_pure(branches.condition) or not is_pure(first.target):
        return None
    otherwise = _otherwise(branches, first)
    if branches.alternative is None and not _is_own(first.target):
        return None  # all threads would write what one does
    type_ = type_of(otherwise, types) if otherwise is not None else None
    if type_ is None or type_ != type_of(first.value, types) or first.value.type == "comma_expression":
        return None
    asked = nodes.strip_parens(branches.condition)
    condition = f"({node_text(asked)})" if asked.type in LOOSEST else node_text(asked)
    target = node_text(first.target)
    text = f"{target} {first.sign} {condition} ? {node_text(first.value)} : {node_text(otherwise)};"
    before = site.prev_named_sibling
    declares = before is not None and before.type == "declaration" and nodes.variables(before) == {target: None}
    if before is None or not declares or first.sign != "=" or not _is_plain(before):
        return [replace(site, text)]
    return [replace_all(before, site, f"{nodes.declared_type(before)} {text}")]


def _is_own(name: Node) -> bool:
    """Whether a name is of a variable that each thread has for itself: a plain local one, or a parameter by value."""
    function = name.parent
    while function is not None and function.type != "function_definition":
        function = function.parent
    if function is None:
        return False
    declared = [n for n in walk(function, "declaration") if node_text(name) in nodes.declared(n)]
    head = function_declarator(function)
    parameters = [] if head is None else list(walk(head, "parameter_declaration"))
    given = [p for p in parameters if node_text(name) in nodes.identifiers(p)]
    return bool(declared or given) and all(map(_is_plain, declared + given))


def _is_plain(declaration: Node) -> bool:
    """Whether it declares nothing that others share, and no other name of something."""
    shared = {"__shared__", "static", "extern"} & {node_text(c) for c in declaration.children}
    return not shared and not nodes.contains(declaration, "reference_declarator")


def _otherwise(branches: nodes.If, first: Assignment) -> Node | None:
    """What the first assignment's target has where the condition is false; None where that is no one value."""
    if branches.alternative is None:
        return first.target if first.target.type == "identifier" and first.sign == "=" else None
    second = _assignment(branches.alternative)
    is_alike = second is not None and (node_text(second.target), second.sign) == (node_text(first.target), first.sign)
    return second.value if second is not None and is_alike else None


def _assignment(node: Node | None) -> Assignment | None:
    """The statement as one assignment, perhaps in braces; None where it is no such statement."""
    assignment = nodes.assignment_of(nodes.sole_statement(node))
    if assignment is None or not is_pure(nodes.operands(assignment)[1]):
        return None
    target, value = nodes.operands(assignment)
    return Assignment(target, nodes.operator(assignment), value)


def guard_to_block(program: CudaProgram) -> Iterator[CudaProgram]:
    """if (i >= n) return; REST -> if (i < n) { REST }"""
    for function in program.functions:
        for node in nodes.statements(function.body) if _is_void(function) else []:
            guard = nodes.as_if(node)
            if guard is None or guard.alternative is not None or not _returns_nothing(guard.consequence):
                continue
            rest = [n for n in nodes.statements(function.body) if n.start_byte > node.start_byte]
            if not rest or not is_pure(guard.condition) or any(is_collective(n) for n in rest):
                continue
            by, condition = indentation(node), negated(guard.condition, variable_types(function))
            block = f"if ({condition}) {{\n{by}    {lay_out(rest, f'{by}    ')}\n{by}}}"
            yield program.with_edits([replace_all(node, rest[-1], block)])


def block_to_guard(program: CudaProgram) -> Iterator[CudaProgram]:
    """if (i < n) { REST } -> if (i >= n) return; REST    at a kernel's end"""
    for function in program.functions:
        within = nodes.statements(function.body)
        guard = nodes.as_if(within[-1]) if within and _is_void(function) else None
        if guard is None or guard.alternative is not None or not is_pure(guard.condition):
            continue
        rest = nodes.statements(guard.consequence) if guard.consequence.type == "compound_statement" else []
        if not rest or not nodes.can_reformat(within[-1]) or is_collective(guard.consequence):
            continue
        taken = nodes.declared(*within[:-1]) | {p.name for p in function.parameters}
        if nodes.declared(*(n for n in rest if n.type == "declaration")) & taken:
            continue
        by, condition = indentation(within[-1]), negated(guard.condition, variable_types(function))
        yield program.with_edits([replace(within[-1], f"if ({condition}) return;\n{by}{lay_out(rest, by)}")])


def swap_branches(site: Node, condition: Node, first: Node, second: Node, types: Types) -> list[Edit] | None:
    """if (c) A else B -> if (!c) B else A

    site: the `if`. condition: c with its parentheses. first, second: the statements A and B. types: of the function's
    variables, by name.
    """
    if "if_statement" in (first.type, second.type):
        return None
    swapped = [replace(first, _without_open_if(second)), replace(second, _without_open_if(first))]
    return [replace(condition, f"({negated(condition, types)})"), *swapped]


def _without_open_if(node: Node) -> str:
    """A statement's text, in braces where an `else` behind it could be taken for its own."""
    is_open = node.type != "compound_statement" and nodes.contains(node, "if_statement")
    return f"{{ {node_text(node)} }}" if is_open else node_text(node)


def _is_void(function: Function) -> bool:
    return node_text(function.node.child_by_field_name("type")) == "void"


def _returns_nothing(node: Node) -> bool:
    statement = nodes.sole_statement(node)
    return statement is not None and statement.type == "return_statement" and statement.named_child_count == 0


RULES = (
    CudaRule("ternary_to_if", at_each_match(ASSIGNING, ternary_to_if), "if_to_ternary"),
    CudaRule("if_to_ternary", at_each_match(IF, if_to_ternary), "ternary_to_if"),
    CudaRule("guard_to_block", guard_to_block, "block_to_guard"),
    CudaRule("block_to_guard", block_to_guard, "guard_to_block"),
    CudaRule("swap_branches", at_each_match(IF_ELSE, swap_branches), "swap_branches"),
)
