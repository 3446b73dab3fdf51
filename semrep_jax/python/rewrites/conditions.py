"""Rules about conditions and branches."""

from __future__ import annotations

from typing import Any

import libcst as cst

from semrep_jax.python.rewrites.rule import (
    Block,
    Function,
    Rule,
    assigned,
    body,
    code,
    expression,
    header,
    inside,
    safe,
    small,
    statement,
)

_OPPOSITE: dict[type[cst.BaseCompOp], str] = {
    cst.Equal: "!=", cst.NotEqual: "==", cst.In: "not in", cst.NotIn: "in", cst.Is: "is not", cst.IsNot: "is",
}  # fmt: skip
_MIRROR: dict[type[cst.BaseCompOp], str] = {
    cst.LessThan: ">", cst.GreaterThan: "<", cst.LessThanEqual: ">=", cst.GreaterThanEqual: "<=", cst.Equal: "==", cst.NotEqual: "!=",
}  # fmt: skip


def negated(test: cst.BaseExpression) -> str:
    """The text of `not test`; orders keep their operator, for NaN is neither less nor not."""
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        return code(test.expression)
    if (
        isinstance(test, cst.Comparison)
        and len(test.comparisons) == 1
        and type(test.comparisons[0].operator) in _OPPOSITE
    ):
        one = test.comparisons[0]
        return f"{inside(test.left)} {_OPPOSITE[type(one.operator)]} {inside(one.comparator)}"
    return f"not {inside(test)}"


def _else_of(node: Any) -> Block | None:
    return (
        node.orelse.body.body
        if isinstance(node.orelse, cst.Else) and isinstance(node.orelse.body, cst.IndentedBlock)
        else None
    )


def _if(test: str, then: Block, other: Block | None) -> Any:
    made = header(f"if {test}:", then)
    return made if other is None else made.with_changes(orelse=cst.Else(body=cst.IndentedBlock(body=list(other))))


def invert_if(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """if c: A else: B  ->  if not c: B else: A"""
    node = block[i]
    if not isinstance(node, cst.If) or body(node) is None or _else_of(node) is None:
        return None
    return 1, [_if(negated(node.test), _else_of(node) or [], body(node))]


def _ends(statements: Block) -> bool:
    return isinstance(small(statements[-1]), (cst.Return, cst.Raise, cst.Continue, cst.Break))


def guard_to_else(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """if c: return x; rest  ->  if c: return x else: rest"""
    node = block[i]
    if not isinstance(node, cst.If) or node.orelse is not None or i + 1 >= len(block):
        return None
    then = body(node)
    return (len(block) - i, [_if(code(node.test), then, block[i + 1 :])]) if then and _ends(then) else None


def else_to_guard(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """if c: return x else: rest  ->  if c: return x; rest"""
    node = block[i]
    if not isinstance(node, cst.If):
        return None
    then, other = body(node), _else_of(node)
    return (1, [_if(code(node.test), then, None), *other]) if then and other and _ends(then) else None


def if_to_ternary(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """if c: return a else: return b  ->  return a if c else b; and of x = a, x = b"""
    node = block[i]
    if not isinstance(node, cst.If):
        return None
    then, other = body(node), _else_of(node)
    if then is None or other is None or len(then) != 1 or len(other) != 1:
        return None
    a, b = small(then[0]), small(other[0])
    if isinstance(a, cst.Return) and isinstance(b, cst.Return) and a.value is not None and b.value is not None:
        return 1, [statement(f"return {inside(a.value)} if {code(node.test)} else {inside(b.value)}")]
    left, right = assigned(then[0]), assigned(other[0])
    if left is not None and right is not None and left[0] == right[0]:
        return 1, [statement(f"{left[0]} = {inside(left[1])} if {code(node.test)} else {inside(right[1])}")]
    return None


def ternary_to_if(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """return a if c else b  ->  if c: return a else: return b; and of x = a if c else b"""
    one, pair = small(block[i]), assigned(block[i])
    value, before = (
        (one.value, "return") if isinstance(one, cst.Return) else (pair[1], f"{pair[0]} =") if pair else (None, "")
    )
    if not isinstance(value, cst.IfExp):
        return None
    then, other = (statement(f"{before} {code(v)}") for v in (value.body, value.orelse))
    return 1, [_if(code(value.test), [then], [other])]


def de_morgan_in(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """not (a and b)  ->  (not a or not b)"""
    if not (isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Not)):
        return None
    inner = node.expression
    if not isinstance(inner, cst.BooleanOperation):
        return None
    word = "or" if isinstance(inner.operator, cst.And) else "and"
    return expression(f"(not {inside(inner.left)} {word} not {inside(inner.right)})")


def de_morgan_out(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """not a or not b  ->  not (a and b)"""
    if not isinstance(node, cst.BooleanOperation):
        return None
    sides = (node.left, node.right)
    if not all(isinstance(s, cst.UnaryOperation) and isinstance(s.operator, cst.Not) for s in sides):
        return None
    a, b = (inside(s.expression) for s in sides if isinstance(s, cst.UnaryOperation))
    return expression(f"(not ({a} {'and' if isinstance(node.operator, cst.Or) else 'or'} {b}))")


def split_comparison(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """a < b < c  ->  (a < b and b < c), b a name or a constant"""
    if not isinstance(node, cst.Comparison) or len(node.comparisons) != 2 or not safe(node.comparisons[0].comparator):
        return None
    one, two = node.comparisons
    middle, first, second = code(one.comparator), code(one.operator).strip(), code(two.operator).strip()
    return expression(f"({inside(node.left)} {first} {middle} and {middle} {second} {inside(two.comparator)})")


def chain_comparison(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """a < b and b < c  ->  a < b < c, b a name or a constant"""
    if not isinstance(node, cst.BooleanOperation) or not isinstance(node.operator, cst.And):
        return None
    left, right = node.left, node.right
    if not (isinstance(left, cst.Comparison) and isinstance(right, cst.Comparison)):
        return None
    if len(left.comparisons) != 1 or len(right.comparisons) != 1 or not safe(right.left):
        return None
    one, two = left.comparisons[0], right.comparisons[0]
    if code(one.comparator) != code(right.left):
        return None
    operators = code(one.operator).strip(), code(two.operator).strip()
    return expression(
        f"({inside(left.left)} {operators[0]} {code(right.left)} {operators[1]} {inside(two.comparator)})"
    )


def mirror_comparison(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """a < b  ->  b > a, both names, constants or calm"""
    if not isinstance(node, cst.Comparison) or len(node.comparisons) != 1:
        return None
    one = node.comparisons[0]
    if type(one.operator) not in _MIRROR or not (safe(node.left) or safe(one.comparator)):
        return None
    return expression(f"({inside(one.comparator)} {_MIRROR[type(one.operator)]} {inside(node.left)})")


def negate_comparison(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """a == b  ->  (not a != b), and so for in and is"""
    if (
        not isinstance(node, cst.Comparison)
        or len(node.comparisons) != 1
        or type(node.comparisons[0].operator) not in _OPPOSITE
    ):
        return None
    return expression(f"(not {negated(node)})")


RULES = (
    Rule("invert_if", "invert_if", block=invert_if),
    Rule("guard_to_else", "else_to_guard", block=guard_to_else),
    Rule("else_to_guard", "guard_to_else", block=else_to_guard),
    Rule("if_to_ternary", "ternary_to_if", block=if_to_ternary),
    Rule("ternary_to_if", "if_to_ternary", block=ternary_to_if),
    Rule("de_morgan_in", "de_morgan_out", expression=de_morgan_in),
    Rule("de_morgan_out", "de_morgan_in", expression=de_morgan_out),
    Rule("split_comparison", "chain_comparison", expression=split_comparison),
    Rule("chain_comparison", "split_comparison", expression=chain_comparison),
    Rule("mirror_comparison", "mirror_comparison", expression=mirror_comparison),
    Rule("negate_comparison", expression=negate_comparison),
)
