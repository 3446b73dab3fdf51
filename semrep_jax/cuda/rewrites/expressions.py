"""Rules about single expressions: order of operands, comparisons, index arithmetic, maxima, assignments with an operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tree_sitter import Node

from semrep_jax.cuda.rewrites.rule import CudaRule, Edit, Listing, Offers, replace, said, walk
from semrep_jax.cuda.rewrites.trees import (
    PRECEDENCE,
    bare,
    integral,
    negated,
    operand,
    operator,
    plain,
    primary,
    pure,
    roomy,
    sides,
    tame,
    type_of,
    types,
)

Known = dict[str, str | None]
Change = Callable[[Node, Known], Edit | None]


def each(kind: str, change: Change) -> Offers:
    """The offers of a change of one kind of node, in the bodies of all functions."""

    def offers(listing: Listing) -> Iterator[Listing]:
        for function in listing.functions:
            known = types(function)
            for node in walk(function.body, kind):
                edit = change(node, known) if tame(node) else None
                if edit is not None:
                    yield listing.changed([edit])

    return offers


def commute(node: Node, known: Known) -> Edit | None:
    """a + b -> b + a, and a * b -> b * a: exact for floating-point numbers as well, for no sum is put together otherwise."""
    sign = operator(node)
    left, right = sides(node)
    if sign not in ("+", "*") or not pure(node) or plain(said(left)) == plain(said(right)):
        return None
    return replace(node, f"{operand(right, sign)} {sign} {operand(left, sign, right=True)}")


def mirror(node: Node, known: Known) -> Edit | None:
    """a < b -> b > a."""
    turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(operator(node))
    left, right = sides(node)
    if (
        turned is None
        or not pure(node)
        or any(PRECEDENCE.get(operator(s), 10) <= 7 for s in (left, right) if s.type == "binary_expression")
    ):
        return None
    return replace(node, f"{said(right)} {turned} {said(left)}")


def modulo_to_subtraction(node: Node, known: Known) -> Edit | None:
    """a % b -> a - a / b * b."""
    left, right = sides(node)
    if operator(node) != "%" or not pure(node) or not primary(right) or len(said(left)) > 40:
        return None
    text = f"{operand(left, '-')} - {operand(left, '/')} / {said(right)} * {said(right)}"
    return replace(node, text if roomy(node) else f"({text})")


def subtraction_to_modulo(node: Node, known: Known) -> Edit | None:
    """a - a / b * b -> a % b, of integers."""
    left, right = sides(node)
    if operator(node) != "-" or right.type != "binary_expression" or operator(right) != "*" or not pure(node):
        return None
    quotient, divisor = sides(right)
    if quotient.type != "binary_expression" or operator(quotient) != "/" or not primary(divisor):
        return None
    over, under = sides(quotient)
    if plain(said(bare(over))) != plain(said(bare(left))) or plain(said(under)) != plain(said(divisor)):
        return None
    if not integral(left, known) or not integral(divisor, known):
        return None
    text = f"{operand(left, '%')} % {said(divisor)}"
    outer = node.parent
    if outer is not None and outer.type == "parenthesized_expression" and outer.parent is not None and _loose(outer):
        return replace(outer, text)
    return replace(node, text)


def _loose(node: Node) -> bool:
    """Whether a product may stand in the place of this expression in parentheses."""
    parent = node.parent
    if parent is None or parent.type != "binary_expression":
        return roomy(node)
    return PRECEDENCE.get(operator(parent), 0) < PRECEDENCE["%"] or sides(parent)[0] == node


def distribute(node: Node, known: Known) -> Edit | None:
    """(a + b) * c -> a * c + b * c, of integers; each term stays as wide as the sum was."""
    left, right = sides(node)
    if operator(node) != "*" or left.type != "parenthesized_expression" or not primary(right) or not pure(node):
        return None
    wide = type_of(left, known)
    terms = _terms(bare(left))
    if len(terms) < 2 or wide not in ("int", "long long") or type_of(right, known) != "int":
        return None
    text = ""
    for sign, term in terms:
        kind = type_of(term, known)
        if kind != wide and kind != "int":
            return None
        shown = operand(term, "*")
        if kind != wide:
            shown = f"({wide}){said(term)}" if primary(term) else f"({wide})({said(bare(term))})"
        text += f" {sign} {shown} * {said(right)}" if text else f"{shown} * {said(right)}"
    outer = node.parent
    free = outer is not None and outer.type == "binary_expression" and operator(outer) == "+"
    return replace(node, text if free or roomy(node) else f"({text})")


def _terms(node: Node) -> list[tuple[str, Node]]:
    """The terms of a sum with their signs; the node alone where it is none."""
    if node.type != "binary_expression" or operator(node) not in ("+", "-"):
        return [("+", node)]
    left, right = sides(node)
    return [*_terms(left), (operator(node), right)]


def factor(node: Node, known: Known) -> Edit | None:
    """a * c + b * c -> (a + b) * c, of integers; where the first term is wide, the others need not be cast."""
    if operator(node) != "+" or not integral(node, known) or not pure(node):
        return None
    terms = _terms(node)
    if any(t.type != "binary_expression" or operator(t) != "*" for _, t in terms):
        return None
    pairs = [sides(t) for _, t in terms]
    if len({plain(said(c)) for _, c in pairs}) != 1:
        return None
    text = operand(pairs[0][0], "+")
    for (sign, _), (other, _) in zip(terms[1:], pairs[1:], strict=True):
        inner = other.child_by_field_name("value") if other.type == "cast_expression" else None
        wide = (
            inner is not None
            and type_of(pairs[0][0], known) == type_of(other, known)
            and type_of(inner, known) == "int"
        )
        text += f" {sign} {operand(inner if wide and inner is not None else other, sign, right=True)}"
    return replace(node, f"({text}) * {said(pairs[0][1])}")


def increment(node: Node, known: Known) -> Edit | None:
    """j++ -> j += 1, where its value is not used."""
    if node.parent is None or node.parent.type not in ("expression_statement", "for_statement"):
        return None
    argument = node.child_by_field_name("argument")
    return replace(node, f"{said(argument)} {operator(node)[0]}= 1")


def decrement(node: Node, known: Known) -> Edit | None:
    """j += 1 -> j++, where its value is not used."""
    if (
        node.parent is None
        or node.parent.type not in ("expression_statement", "for_statement")
        or operator(node) not in ("+=", "-=")
    ):
        return None
    left, right = sides(node)
    return replace(node, f"{said(left)}{operator(node)[0] * 2}") if said(right) == "1" else None


def to_plain(node: Node, known: Known) -> Edit | None:
    """s += e -> s = s + e."""
    sign = operator(node)[:-1]
    left, right = sides(node)
    if sign not in PRECEDENCE or not pure(left) or not pure(right):
        return None
    return replace(node, f"{said(left)} = {said(left)} {sign} {operand(right, sign, right=True)}")


def to_augmented(node: Node, known: Known) -> Edit | None:
    """s = s + e -> s += e."""
    left, right = sides(node)
    if operator(node) != "=" or right.type != "binary_expression" or not pure(left) or not pure(right):
        return None
    first, second = sides(right)
    sign = operator(right)
    if sign not in ("+", "-", "*", "/", "%") or plain(said(first)) != plain(said(left)):
        return None
    return replace(node, f"{said(left)} {sign}= {said(bare(second))}")


_SIGN = {"fmaxf": ">", "fminf": "<"}


def maximum_to_ternary(node: Node, known: Known) -> Edit | None:
    """fmaxf(a, 0.0f) -> a > 0.0f ? a : 0.0f; of a constant, so that what is not a number gives the same."""
    name, given = said(node.child_by_field_name("function")), node.child_by_field_name("arguments")
    if name not in _SIGN or given is None or given.named_child_count != 2 or not pure(node):
        return None
    value, bound = given.named_children
    if not _constant(bound) or len(said(value)) > 60 or type_of(value, known) != "float":
        return None
    text = f"{operand(value, _SIGN[name])} {_SIGN[name]} {said(bound)} ? {said(bare(value))} : {said(bound)}"
    return replace(node, text if roomy(node) else f"({text})")


def ternary_to_maximum(node: Node, known: Known) -> Edit | None:
    """a > 0.0f ? a : 0.0f -> fmaxf(a, 0.0f)."""
    condition, first, second = (node.child_by_field_name(f) for f in ("condition", "consequence", "alternative"))
    assert condition is not None and first is not None and second is not None
    test = bare(condition)
    if test.type != "binary_expression" or not pure(node) or not _constant(second) or type_of(first, known) != "float":
        return None
    left, right = sides(test)
    name = {sign: name for name, sign in _SIGN.items()}.get(operator(test))
    if name is None or plain(said(bare(left))) != plain(said(bare(first))) or said(right) != said(second):
        return None
    text = f"{name}({said(bare(first))}, {said(second)})"
    outer = node.parent
    return replace(outer if outer is not None and outer.type == "parenthesized_expression" else node, text)


def _constant(node: Node) -> bool:
    """Whether it is a float's literal, perhaps negative."""
    text = said(node).removeprefix("-").lower()
    return text.endswith("f") and not text.startswith("0x") and text[:1].isdigit()


def negate_ternary(node: Node, known: Known) -> Edit | None:
    """c ? a : b -> !c ? b : a."""
    condition, first, second = (node.child_by_field_name(f) for f in ("condition", "consequence", "alternative"))
    if condition is None or first is None or second is None or second.type == "conditional_expression":
        return None
    return replace(node, f"{negated(condition, known)} ? {said(second)} : {said(first)}")


RULES = (
    CudaRule("commute", each("binary_expression", commute), "commute"),
    CudaRule("mirror_comparison", each("binary_expression", mirror), "mirror_comparison"),
    CudaRule("modulo_to_subtraction", each("binary_expression", modulo_to_subtraction), "subtraction_to_modulo"),
    CudaRule("subtraction_to_modulo", each("binary_expression", subtraction_to_modulo), "modulo_to_subtraction"),
    CudaRule("distribute_index", each("binary_expression", distribute), "factor_index"),
    CudaRule("factor_index", each("binary_expression", factor), "distribute_index"),
    CudaRule("increment_to_augmented", each("update_expression", increment), "augmented_to_increment"),
    CudaRule("augmented_to_increment", each("assignment_expression", decrement), "increment_to_augmented"),
    CudaRule("augmented_to_plain", each("assignment_expression", to_plain), "plain_to_augmented"),
    CudaRule("plain_to_augmented", each("assignment_expression", to_augmented), "augmented_to_plain"),
    CudaRule("maximum_to_ternary", each("call_expression", maximum_to_ternary), "ternary_to_maximum"),
    CudaRule("ternary_to_maximum", each("conditional_expression", ternary_to_maximum), "maximum_to_ternary"),
    CudaRule("negate_ternary", each("conditional_expression", negate_ternary), "negate_ternary"),
)
