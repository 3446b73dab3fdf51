"""The types of expressions, where they are sure, and expressions as operands of others."""

from __future__ import annotations

from tree_sitter import Node

from semrep_jax.cuda.rewrites import nodes
from semrep_jax.cuda.rewrites.effects import FLOAT_FUNCTIONS, root_variable
from semrep_jax.cuda.syntax import Function, node_text, walk

Types = dict[str, str | None]  # of variables by name: `float`, `float*`, ...; None where a name has two

INTEGERS = ("int", "unsigned", "long long")
_RANKED = ("bool", "unsigned char", "int", "unsigned", "long long", "float", "double")
_SIGNED_TYPES = (*INTEGERS, "float", "double")
_COMPARISONS = ("<", ">", "<=", ">=", "==", "!=")
_OPPOSITE = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}
_TIGHTEST_FIRST = ("* / %", "+ -", "<< >>", "< > <= >=", "== !=", "&", "^", "|", "&&", "||")
PRECEDENCE = {sign: 10 - level for level, signs in enumerate(_TIGHTEST_FIRST) for sign in signs.split()}
LOOSEST = ("conditional_expression", "assignment_expression", "comma_expression")
_ATOMS = ("identifier", "number_literal", "parenthesized_expression")
_PRIMARY = (*_ATOMS, "field_expression", "subscript_expression", "call_expression")
_LISTS = ("argument_list", "subscript_argument_list")
_DELIMITED = (*_LISTS, "init_declarator", "parenthesized_expression", "return_statement")


def variable_types(function: Function) -> Types:
    """The type of each name, `T*` for pointers and arrays; None for a name with two."""
    found: Types = {}

    def add(name: str, type_: str) -> None:
        found[name] = type_ if found.get(name, type_) == type_ else None

    for p in function.parameters:
        add(p.name, p.type + "*" * p.pointer)
    for declaration in walk(function.body, "declaration"):
        for declarator in declaration.children_by_field_name("declarator"):
            stars = "*" * sum(1 for _ in walk(declarator, "pointer_declarator", "array_declarator"))
            add(node_text(nodes.declared_name(declarator)), _written_type(declaration) + stars)
    return found


def _written_type(node: Node) -> str:
    return " ".join(node_text(node.child_by_field_name("type")).split())


def type_of(node: Node, types: Types) -> str | None:
    """The type of an expression where that is sure: bool, int, unsigned, long long, float, double, `T*`; else None.

    node: the expression. types: those of the function's variables (`variable_types`).
    """
    node = nodes.strip_parens(node)
    match node.type:
        case "number_literal":
            return _literal_type(node_text(node).lower())
        case "identifier":
            return "float" if node_text(node) == "INFINITY" else types.get(node_text(node))
        case "field_expression":
            return "unsigned" if root_variable(node) in ("threadIdx", "blockIdx", "blockDim", "gridDim") else None
        case "cast_expression":
            return _written_type(node) if _written_type(node) in _RANKED else None
        case "subscript_expression":
            array = _argument_type(node, types)
            return array[:-1] if array is not None and array.endswith("*") else None
        case "unary_expression":
            if nodes.operator(node) == "!":
                return "bool"
            of = _argument_type(node, types)
            return of if of in _SIGNED_TYPES else None
        case "call_expression":
            return "float" if nodes.called_name(node) in FLOAT_FUNCTIONS else None
        case "conditional_expression":
            values = nodes.fields(node, "consequence", "alternative") or ()
            found = {type_of(value, types) for value in values}
            return found.pop() if len(found) == 1 else None
        case "binary_expression":
            return _arithmetic(nodes.operator(node), *(type_of(side, types) for side in nodes.operands(node)))
    return None


def _argument_type(node: Node, types: Types) -> str | None:
    argument = node.child_by_field_name("argument")
    return type_of(argument, types) if argument is not None else None


def _literal_type(text: str) -> str | None:
    if text.startswith("0x"):
        return None
    if any(c in text for c in ".e"):
        return "float" if text.endswith("f") else "double"
    if text.isdigit():
        return "int"
    return "unsigned" if text.endswith("u") and text[:-1].isdigit() else None


def _arithmetic(sign: str, left: str | None, right: str | None) -> str | None:
    if sign in (*_COMPARISONS, "&&", "||"):
        return "bool"
    if left is None or right is None:
        return None
    if left.endswith("*") or right.endswith("*"):
        pointer, other = (left, right) if left.endswith("*") else (right, left)
        return pointer if sign in "+-" and other in INTEGERS else None
    if left not in _RANKED or right not in _RANKED:
        return None
    return max(left, right, "int", key=_RANKED.index)


def is_integer(node: Node, types: Types) -> bool:
    """Whether it surely is an integer."""
    return type_of(node, types) in INTEGERS


def operand(node: Node, sign: str, right: bool = False) -> str:
    """An expression's text as an operand, in parentheses where it binds less tightly, and nowhere else.

    node: the expression. sign: the operator that it becomes an operand of. right: whether it stands on its right.
    """
    inner = nodes.strip_parens(node)
    needs_parens = inner.type in LOOSEST
    if inner.type == "binary_expression":
        own, outer = PRECEDENCE.get(nodes.operator(inner), 0), PRECEDENCE[sign]
        needs_parens = own < outer or (right and own == outer)
    return f"({node_text(inner)})" if needs_parens else node_text(inner)


def is_primary(node: Node) -> bool:
    """Whether it may be written behind any operator without parentheses."""
    return node.type in _PRIMARY


def takes_any_expression(node: Node) -> bool:
    """Whether an expression of the lowest precedence may stand in this node's place without parentheses."""
    parent = node.parent
    if parent is None or parent.type in _DELIMITED:
        return parent is not None
    return parent.type == "assignment_expression" and nodes.operands(parent)[1] == node


def in_place_of(node: Node, text: str) -> str:
    """An expression's text for a node's place, in parentheses unless any expression may stand there."""
    return text if takes_any_expression(node) else f"({text})"


def negated(condition: Node, types: Types) -> str:
    """The opposite of a condition; of a comparison of integers the opposite comparison."""
    inner = nodes.strip_parens(condition)
    if inner.type == "unary_expression" and nodes.operator(inner) == "!":
        argument = inner.child_by_field_name("argument")
        assert argument is not None
        return node_text(nodes.strip_parens(argument))
    if nodes.is_binary(inner, *_OPPOSITE) and all(is_integer(side, types) for side in nodes.operands(inner)):
        left, right = nodes.operands(inner)
        return f"{node_text(left)} {_OPPOSITE[nodes.operator(inner)]} {node_text(right)}"
    return f"!({node_text(inner)})"
