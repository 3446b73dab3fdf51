"""Rules about single expressions: order of operands, comparisons, index arithmetic, maxima, `+=` and its like.

Each is a tree-sitter query and a function that is called with its captures and the function's types.
"""

from __future__ import annotations

from dataclasses import dataclass

from tree_sitter import Node

from semrep_jax.cuda.rewrites.edits import Edit, replace
from semrep_jax.cuda.rewrites.effects import is_pure
from semrep_jax.cuda.rewrites.expression_types import (
    PRECEDENCE,
    Types,
    in_place_of,
    is_integer,
    is_primary,
    negated,
    operand,
    takes_any_expression,
    type_of,
)
from semrep_jax.cuda.rewrites.nodes import compact, is_binary, operands, operator, strip_parens
from semrep_jax.cuda.rewrites.rule import CudaRule, at_each_match
from semrep_jax.cuda.syntax import node_text

LONGEST_REPEATED = 40  # characters of an operand that is written twice
LONGEST_COMPARED = 60
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_COMPARISON_OF = {"fmaxf": ">", "fminf": "<"}
_FUNCTION_OF = {sign: name for name, sign in _COMPARISON_OF.items()}

SUM_OR_PRODUCT = '(binary_expression left: (_) @left operator: ["+" "*"] @sign right: (_) @right) @site'
COMPARISON = '(binary_expression left: (_) @left operator: ["<" ">" "<=" ">="] @sign right: (_) @right) @site'
MODULO = '(binary_expression left: (_) @left operator: "%" right: (_) @right) @site'
REMAINDER = """(binary_expression left: (_) @left operator: "-" right: (binary_expression
    left: (binary_expression left: (_) @total operator: "/" right: (_) @by) operator: "*" right: (_) @divisor)) @site"""
SUM_TIMES = '(binary_expression left: (parenthesized_expression) @sum operator: "*" right: (_) @right) @site'
SUM = '(binary_expression operator: "+") @site'
UPDATE = "(update_expression argument: (_) @target) @site"
PLUS_ONE = """(assignment_expression left: (_) @target operator: ["+=" "-="] @sign right: (number_literal) @_one
    (#eq? @_one "1")) @site"""
ASSIGNMENT = "(assignment_expression left: (_) @target operator: _ @sign right: (_) @value) @site"
PLAIN_UPDATE = """(assignment_expression left: (_) @target operator: "=" right: (binary_expression
    left: (_) @first operator: ["+" "-" "*" "/" "%"] @sign right: (_) @second) @value) @site"""
MAXIMUM = """(call_expression function: (identifier) @name arguments: (argument_list . (_) @value . (_) @bound .)
    (#any-of? @name "fmaxf" "fminf")) @site"""
TERNARY = "(conditional_expression condition: (_) @condition consequence: (_) @first alternative: (_) @second) @site"


def commute(site: Node, left: Node, sign: Node, right: Node, types: Types) -> list[Edit] | None:
    """a + b -> b + a    a * b -> b * a    exact for floating-point numbers as well: no sum is put together otherwise

    site: the sum or product. left, right: a and b. sign: `+` or `*`. types: of the function's variables, by name; not
    needed here.
    """
    if not is_pure(site) or compact(left) == compact(right):
        return None
    symbol = node_text(sign)
    return [replace(site, f"{operand(right, symbol)} {symbol} {operand(left, symbol, right=True)}")]


def mirror(site: Node, left: Node, sign: Node, right: Node, types: Types) -> list[Edit] | None:
    """a < b -> b > a

    site: the comparison. left, right: a and b. sign: `<`, `>`, `<=` or `>=`. types: of the function's variables, by
    name; not needed here.
    """
    inner = [PRECEDENCE.get(operator(side), 10) for side in (left, right) if side.type == "binary_expression"]
    if not is_pure(site) or any(precedence <= PRECEDENCE["<"] for precedence in inner):
        return None
    return [replace(site, f"{node_text(right)} {_MIRRORED[node_text(sign)]} {node_text(left)}")]


def modulo_to_subtraction(site: Node, left: Node, right: Node, types: Types) -> list[Edit] | None:
    """a % b -> a - a / b * b

    site: the remainder. left, right: a and b. types: of the function's variables, by name; not needed here.
    """
    if not is_pure(site) or not is_primary(right) or len(node_text(left)) > LONGEST_REPEATED:
        return None
    divisor = node_text(right)
    return [replace(site, in_place_of(site, f"{operand(left, '-')} - {operand(left, '/')} / {divisor} * {divisor}"))]


def subtraction_to_modulo(
    site: Node, left: Node, total: Node, by: Node, divisor: Node, types: Types
) -> list[Edit] | None:
    """a - a / b * b -> a % b    of integers

    site: the subtraction. left: the first a. total, by: a and b of the quotient. divisor: the last b. types: of the
    function's variables, by name.
    """
    if not is_pure(site) or not is_primary(divisor) or compact(by) != compact(divisor):
        return None
    if compact(strip_parens(total)) != compact(strip_parens(left)):
        return None
    if not is_integer(left, types) or not is_integer(divisor, types):
        return None
    text = f"{operand(left, '%')} % {node_text(divisor)}"
    outer = site.parent
    if outer is not None and outer.type == "parenthesized_expression" and _takes_product(outer):
        return [replace(outer, text)]
    return [replace(site, text)]


def _takes_product(node: Node) -> bool:
    """Whether a product may stand in the place of this expression in parentheses."""
    parent = node.parent
    if parent is None or parent.type != "binary_expression":
        return takes_any_expression(node)
    return PRECEDENCE.get(operator(parent), 0) < PRECEDENCE["%"] or operands(parent)[0] == node


@dataclass(frozen=True)
class Term:
    """One term of a sum, and whether it is added (`+`) or taken away (`-`)."""

    sign: str
    node: Node


def _terms(node: Node) -> list[Term]:
    """The terms of a sum; the node alone where it is none."""
    if not is_binary(node, "+", "-"):
        return [Term("+", node)]
    left, right = operands(node)
    return [*_terms(left), Term(operator(node), right)]


def _sum_of(terms: list[Term], texts: list[str]) -> str:
    """The terms' texts with their signs between them."""
    return texts[0] + "".join(f" {term.sign} {text}" for term, text in zip(terms[1:], texts[1:], strict=True))


def distribute(site: Node, sum: Node, right: Node, types: Types) -> list[Edit] | None:
    """(a + b) * c -> a * c + b * c    of integers; each term stays as wide as the sum was

    site: the product. sum: its left side, in parentheses. right: c. types: of the function's variables, by name.
    """
    width, terms = type_of(sum, types), _terms(strip_parens(sum))
    if len(terms) < 2 or not is_primary(right) or not is_pure(site):
        return None
    if width not in ("int", "long long") or type_of(right, types) != "int":
        return None
    if any(type_of(term.node, types) not in (width, "int") for term in terms):
        return None
    products = [f"{_widened(term.node, width, types)} * {node_text(right)}" for term in terms]
    text = _sum_of(terms, products)
    is_added = site.parent is not None and is_binary(site.parent, "+")
    return [replace(site, text if is_added else in_place_of(site, text))]


def _widened(term: Node, width: str, types: Types) -> str:
    """A factor's text, cast where it is not of that type."""
    if type_of(term, types) == width:
        return operand(term, "*")
    return f"({width}){node_text(term)}" if is_primary(term) else f"({width})({node_text(strip_parens(term))})"


def factor(site: Node, types: Types) -> list[Edit] | None:
    """a * c + b * c -> (a + b) * c    of integers; where the first term is wide, the others need not be cast"""
    terms = _terms(site)
    if not is_integer(site, types) or not is_pure(site) or not all(is_binary(term.node, "*") for term in terms):
        return None
    products = [operands(term.node) for term in terms]
    if len({compact(common) for _, common in products}) != 1:
        return None
    first, common = products[0]
    texts = [operand(first, "+")]
    for term, (other, _) in zip(terms[1:], products[1:], strict=True):
        texts.append(operand(_uncast(other, type_of(first, types), types), term.sign, right=True))
    return [replace(site, f"({_sum_of(terms, texts)}) * {node_text(common)}")]


def _uncast(node: Node, width: str | None, types: Types) -> Node:
    """The int that is cast to this type, where it is one; else the expression as it is."""
    inner = node.child_by_field_name("value") if node.type == "cast_expression" else None
    is_needless = inner is not None and type_of(node, types) == width and type_of(inner, types) == "int"
    return inner if inner is not None and is_needless else node


def _value_is_unused(node: Node) -> bool:
    """Whether nobody reads it: a statement of its own, or what a `for` does before and between its rounds."""
    parent = node.parent
    if parent is not None and parent.type == "for_statement":
        return node in (parent.child_by_field_name("initializer"), parent.child_by_field_name("update"))
    return parent is not None and parent.type == "expression_statement"


def increment(site: Node, target: Node, types: Types) -> list[Edit] | None:
    """j++ -> j += 1    where its value is not used

    site: the update, by `++` or `--`, in front or behind. target: j. types: of the function's variables, by name; not
    needed here.
    """
    return [replace(site, f"{node_text(target)} {operator(site)[0]}= 1")] if _value_is_unused(site) else None


def decrement(site: Node, target: Node, sign: Node, types: Types) -> list[Edit] | None:
    """j += 1 -> j++    where its value is not used

    site: the assignment of 1. target: j. sign: `+=` or `-=`. types: of the function's variables, by name; not needed
    here.
    """
    return [replace(site, f"{node_text(target)}{node_text(sign)[0] * 2}")] if _value_is_unused(site) else None


def to_plain(site: Node, target: Node, sign: Node, value: Node, types: Types) -> list[Edit] | None:
    """s += e -> s = s + e

    site: the assignment. target: s. sign: its operator; nothing is changed where that is `=`. value: e. types: of the
    function's variables, by name; not needed here.
    """
    symbol = node_text(sign)[:-1]
    if symbol not in PRECEDENCE or not is_pure(target) or not is_pure(value):
        return None
    text = node_text(target)
    return [replace(site, f"{text} = {text} {symbol} {operand(value, symbol, right=True)}")]


def to_augmented(
    site: Node, target: Node, value: Node, first: Node, sign: Node, second: Node, types: Types
) -> list[Edit] | None:
    """s = s + e -> s += e

    site: the assignment. target: the first s. value: all that is assigned. first, second: its operands, of which the
    first has to be s. sign: its operator. types: of the function's variables, by name; not needed here.
    """
    if not is_pure(target) or not is_pure(value) or compact(first) != compact(target):
        return None
    return [replace(site, f"{node_text(target)} {node_text(sign)}= {node_text(strip_parens(second))}")]


def maximum_to_ternary(site: Node, name: Node, value: Node, bound: Node, types: Types) -> list[Edit] | None:
    """fmaxf(a, 0.0f) -> a > 0.0f ? a : 0.0f    of a constant, so that what is not a number gives the same

    site: the call. name: `fmaxf` or `fminf`. value: a. bound: the constant. types: of the function's variables, by
    name.
    """
    if not is_pure(site) or not _is_float_literal(bound) or type_of(value, types) != "float":
        return None
    if len(node_text(value)) > LONGEST_COMPARED:
        return None
    sign, limit = _COMPARISON_OF[node_text(name)], node_text(bound)
    text = f"{operand(value, sign)} {sign} {limit} ? {node_text(strip_parens(value))} : {limit}"
    return [replace(site, in_place_of(site, text))]


def ternary_to_maximum(site: Node, condition: Node, first: Node, second: Node, types: Types) -> list[Edit] | None:
    """a > 0.0f ? a : 0.0f -> fmaxf(a, 0.0f)

    site: the ternary. condition: its comparison. first, second: what it gives where that is true, and where not. types:
    of the function's variables, by name.
    """
    test = strip_parens(condition)
    if not is_binary(test, *_FUNCTION_OF) or not is_pure(site):
        return None
    left, right = operands(test)
    if not _is_float_literal(second) or type_of(first, types) != "float" or node_text(right) != node_text(second):
        return None
    if compact(strip_parens(left)) != compact(strip_parens(first)):
        return None
    text = f"{_FUNCTION_OF[operator(test)]}({node_text(strip_parens(first))}, {node_text(second)})"
    outer = site.parent
    return [replace(outer if outer is not None and outer.type == "parenthesized_expression" else site, text)]


def _is_float_literal(node: Node) -> bool:
    """Whether it is a float's literal, perhaps negative."""
    text = node_text(node).removeprefix("-").lower()
    return text.endswith("f") and not text.startswith("0x") and text[:1].isdigit()


def negate_ternary(site: Node, condition: Node, first: Node, second: Node, types: Types) -> list[Edit] | None:
    """c ? a : b -> !c ? b : a

    site: the ternary. condition, first, second: c, a and b. types: of the function's variables, by name.
    """
    if second.type == "conditional_expression":
        return None
    return [replace(site, f"{negated(condition, types)} ? {node_text(second)} : {node_text(first)}")]


RULES = (
    CudaRule("commute", at_each_match(SUM_OR_PRODUCT, commute), "commute"),
    CudaRule("mirror_comparison", at_each_match(COMPARISON, mirror), "mirror_comparison"),
    CudaRule("modulo_to_subtraction", at_each_match(MODULO, modulo_to_subtraction), "subtraction_to_modulo"),
    CudaRule("subtraction_to_modulo", at_each_match(REMAINDER, subtraction_to_modulo), "modulo_to_subtraction"),
    CudaRule("distribute_index", at_each_match(SUM_TIMES, distribute), "factor_index"),
    CudaRule("factor_index", at_each_match(SUM, factor), "distribute_index"),
    CudaRule("increment_to_augmented", at_each_match(UPDATE, increment), "augmented_to_increment"),
    CudaRule("augmented_to_increment", at_each_match(PLUS_ONE, decrement), "increment_to_augmented"),
    CudaRule("augmented_to_plain", at_each_match(ASSIGNMENT, to_plain), "plain_to_augmented"),
    CudaRule("plain_to_augmented", at_each_match(PLAIN_UPDATE, to_augmented), "augmented_to_plain"),
    CudaRule("maximum_to_ternary", at_each_match(MAXIMUM, maximum_to_ternary), "ternary_to_maximum"),
    CudaRule("ternary_to_maximum", at_each_match(TERNARY, ternary_to_maximum), "maximum_to_ternary"),
    CudaRule("negate_ternary", at_each_match(TERNARY, negate_ternary), "negate_ternary"),
)
