"""Rules about conditions and branches."""

from __future__ import annotations

from typing import Any

import libcst as cst
import libcst.matchers as m

from semrep_jax.python.rewrites.function import Function
from semrep_jax.python.rewrites.patterns import save
from semrep_jax.python.rewrites.rule import rewrites_expression, rewrites_statements
from semrep_jax.python.rewrites.trees import (
    Block,
    Expr,
    NewStatements,
    NewText,
    binds,
    code,
    header,
    is_name_or_constant,
    is_pure,
    operand,
    small,
    symbol,
)
from semrep_jax.python.rewrites.types import SCALARS, Type

_OPPOSITE = {"==": "!=", "!=": "==", "in": "not in", "not in": "in", "is": "is not", "is not": "is"}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_EXACT = {"in", "not in", "is", "is not"}  # for any object one is the opposite of the other
_JUMPS = (cst.Return, cst.Raise, cst.Continue, cst.Break)


def negated(function: Function, test: Expr) -> str:
    """The text of `not test`, for where its truth counts.

    Orders keep their operator, as NaN is neither less nor greater nor equal; so do `==` and `!=` of unknown types, for
    which an object may give anything.
    """
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        return code(test.expression)
    if isinstance(test, cst.Comparison) and len(test.comparisons) == 1:
        (pair,) = test.comparisons
        opposite = _OPPOSITE.get(symbol(pair.operator))
        if opposite is not None and _has_opposite(function, test):
            return f"{operand(test.left)} {opposite} {operand(pair.comparator)}"
    return f"not {operand(test)}"


def _has_opposite(function: Function, test: cst.Comparison) -> bool:
    """Whether `==` and `!=`, `in` and `not in`, `is` and `is not` are opposites here, and give True or False."""
    (pair,) = test.comparisons
    exact = symbol(pair.operator) in _EXACT
    return exact or None not in (function.type_of(test.left), function.type_of(pair.comparator))


def _if_else(test: str, then: Block, other: Block) -> Any:
    return header(f"if {test}:", then, cst.Else(body=header("if other:", other).body))


def _jumps(block: Block) -> bool:
    return isinstance(small(block[-1]), _JUMPS)


@rewrites_statements("if TEST: THEN\nelse: OTHER", inverse="invert_if")
def invert_if(function: Function, test: Expr, then: Block, other: Block) -> NewStatements:
    """if c: A else: B  ->  if not c: B else: A"""
    return [_if_else(negated(function, test), other, then)]


@rewrites_statements("if TEST: THEN", inverse="else_to_guard")
def guard_to_else(test: Expr, then: Block, rest: Block) -> NewStatements:
    """if c: return x; rest  ->  if c: return x else: rest

    If the branch ends in a jump and something follows.
    """
    return [_if_else(code(test), then, rest)] if rest and _jumps(then) else None


@rewrites_statements("if TEST: THEN\nelse: OTHER", inverse="guard_to_else")
def else_to_guard(test: Expr, then: Block, other: Block) -> NewStatements:
    """if c: return x else: rest  ->  if c: return x; rest

    If the branch ends in a jump.
    """
    return [header(f"if {code(test)}:", then), *other] if _jumps(then) else None


@rewrites_statements(
    "if TEST: return THEN\nelse: return OTHER",
    "if TEST: _name = THEN\nelse: _name = OTHER",
    inverse="ternary_to_if",
)
def if_to_ternary(test: Expr, then: Expr | None, other: Expr | None, name: str = "") -> NewStatements:
    """if c: return a else: return b  ->  return a if c else b; and of x = a, x = b

    If both branches return a value.
    """
    if then is None or other is None:
        return None
    return [f"{_target(name)} {operand(then)} if {code(test)} else {operand(other)}"]


@rewrites_statements("return THEN if TEST else OTHER", "_name = THEN if TEST else OTHER", inverse="if_to_ternary")
def ternary_to_if(test: Expr, then: Expr, other: Expr, name: str = "") -> NewStatements:
    """return a if c else b  ->  if c: return a else: return b; and of x = a if c else b"""
    return [_if_else(code(test), [f"{_target(name)} {code(then)}"], [f"{_target(name)} {code(other)}"])]


def _target(name: str) -> str:
    return f"{name} =" if name else "return"


@rewrites_expression("not (LEFT and RIGHT)", "not (LEFT or RIGHT)", inverse="de_morgan_out")
def de_morgan_in(node: Any, left: Expr, right: Expr) -> NewText:
    """not (a and b)  ->  (not a or not b); and of or"""
    return f"(not {operand(left)} {_other(node.expression.operator)} not {operand(right)})"


@rewrites_expression("not LEFT or not RIGHT", "not LEFT and not RIGHT", inverse="de_morgan_in")
def de_morgan_out(node: Any, left: Expr, right: Expr) -> NewText:
    """not a or not b  ->  (not (a and b)); and of and"""
    return f"(not ({operand(left)} {_other(node.operator)} {operand(right)}))"


def _other(operator: cst.BaseBooleanOp) -> str:
    return "or" if isinstance(operator, cst.And) else "and"


def _comparison(left: str, *pairs: tuple[str, str]) -> Any:
    targets = [m.ComparisonTarget(operator=save(operator), comparator=save(right)) for operator, right in pairs]
    return m.Comparison(left=save(left), comparisons=targets)


@rewrites_expression(_comparison("left", ("first", "middle"), ("second", "right")), inverse="chain_comparison")
def split_comparison(left: Expr, first: cst.CSTNode, middle: Expr, second: cst.CSTNode, right: Expr) -> NewText:
    """a < b < c  ->  (a < b and b < c)

    If `b` is a name or a constant.
    """
    if not is_name_or_constant(middle):
        return None
    both = code(middle)
    return f"({operand(left)} {symbol(first)} {both} and {both} {symbol(second)} {operand(right)})"


@rewrites_expression(
    m.BooleanOperation(
        left=_comparison("left", ("first", "middle")),
        operator=m.And(),
        right=_comparison("middle#2", ("second", "right")),
    ),
    inverse="split_comparison",
)
def chain_comparison(left: Expr, first: cst.CSTNode, middle: Expr, second: cst.CSTNode, right: Expr) -> NewText:
    """a < b and b < c  ->  (a < b < c)

    If `b` is a name or a constant.
    """
    if not is_name_or_constant(middle):
        return None
    return f"({operand(left)} {symbol(first)} {code(middle)} {symbol(second)} {operand(right)})"


@rewrites_expression(*(f"LEFT {operator} RIGHT" for operator in _MIRRORED), inverse="mirror_comparison")
def mirror_comparison(function: Function, node: Any, left: Expr, right: Expr) -> NewText:
    """a < b  ->  (b > a); and of the other orders, == and !=

    If one side is a constant, or a name that evaluating the other can't change, and the type of either is known: what
    a builtin leaves to the other's operator is that operator's both ways.
    """
    if not (_stays(function, left, right) or _stays(function, right, left)):
        return None
    if not any(_is_compared_plainly(function.type_of(side)) for side in (left, right)):
        return None
    return f"({operand(right)} {_MIRRORED[symbol(node.comparisons[0].operator)]} {operand(left)})"


def _stays(function: Function, side: Expr, other: Expr) -> bool:
    """Whether a side is the same before and after the other is evaluated."""
    if not is_name_or_constant(side) or binds(other):
        return False
    is_local = isinstance(side, cst.Name) and side.value in function.bound and function.has_plain_scope
    return is_local or not isinstance(side, cst.Name) or is_pure(other)


def _is_compared_plainly(kind: Type) -> bool:
    return kind in SCALARS or kind == "bytes"


@rewrites_expression(*(f"LEFT {operator} RIGHT" for operator in _OPPOSITE))
def negate_comparison(function: Function, node: Any) -> NewText:
    """a == b  ->  (not a != b); and of !=, in, is and their opposites

    If the types of both sides are known, but for `in` and `is`.
    """
    return f"(not {negated(function, node)})" if _has_opposite(function, node) else None
