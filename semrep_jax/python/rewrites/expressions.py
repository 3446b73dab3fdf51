"""Rules about single expressions and plain assignments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import libcst as cst
import libcst.matchers as m

from semrep_jax.core import syntax
from semrep_jax.python.rewrites.function import Function
from semrep_jax.python.rewrites.patterns import save
from semrep_jax.python.rewrites.rule import rewrites_expression, rewrites_statements
from semrep_jax.python.rewrites.trees import (
    Expr,
    NewStatements,
    NewText,
    cannot_fail,
    code,
    is_pure,
    is_repeatable,
    operand,
    symbol,
)
from semrep_jax.python.rewrites.types import IMMUTABLE, INTEGERS, NUMBERS, SCALARS, SEQUENCES

_ARITHMETIC = ("+", "-", "*", "/", "//", "%", "**")


@rewrites_expression("LEFT + RIGHT", "LEFT * RIGHT", inverse="commute")
def commute(function: Function, node: Any, left: Expr, right: Expr) -> NewText:
    """a + 1  ->  (1 + a); and of products

    If both sides are pure, one can't raise an error, one is an integer, and the other a number; or anything where the
    file has no class with operators of its own: a number then, or a sequence times it.
    """
    if not (is_pure(left) and is_pure(right)) or not (cannot_fail(left) or cannot_fail(right)):
        return None
    kinds = {function.type_of(left), function.type_of(right)}
    if not kinds & INTEGERS or not (kinds <= NUMBERS or function.is_plain):
        return None
    return f"({operand(right)} {symbol(node.operator)} {operand(left)})"


@rewrites_expression("LEFT - RIGHT", inverse="add_as_subtract")
def subtract_as_add(function: Function, left: Expr, right: Expr) -> NewText:
    """a - 1  ->  (a + -1)

    If the right side is an integer but 0 (-0.0 - 0 and -0.0 + -0 differ), and the left a real number.
    """
    return f"({operand(left)} + -{code(right)})" if _shifts(function, left, right) else None


@rewrites_expression("LEFT + -RIGHT", inverse="subtract_as_add")
def add_as_subtract(function: Function, left: Expr, right: Expr) -> NewText:
    """a + -1  ->  (a - 1)

    If the right side is an integer with a minus, but 0, and the left a real number.
    """
    return f"({operand(left)} - {code(right)})" if _shifts(function, left, right) else None


def _shifts(function: Function, left: Expr, right: Expr) -> bool:
    """Whether a real number is moved by an integer that is not 0."""
    return isinstance(right, cst.Integer) and syntax.value(right.value) != 0 and function.type_of(left) in NUMBERS


@rewrites_expression(m.FormattedString(), inverse="format_to_fstring")
def fstring_to_format(node: cst.FormattedString) -> NewText:
    """f"{a}-{b}"  ->  "{}-{}".format(a, b)

    If nothing in braces has a conversion or a format, and all of it is pure: the parts are evaluated before the first
    is formatted.
    """
    parts = _parts(node)
    if parts is None or not all(isinstance(p, str) or is_pure(p) for p in parts):
        return None
    text = "".join(p.replace("{", "{{").replace("}", "}}") if isinstance(p, str) else "{}" for p in parts)
    return f"{text!r}.format({', '.join(code(p) for p in parts if not isinstance(p, str))})"


@rewrites_expression(m.FormattedString())
def fstring_to_concatenation(function: Function, node: cst.FormattedString) -> NewText:
    """f"{a}-{b}"  ->  (str(a) + "-" + str(b))

    If nothing in braces has a conversion or a format, `str` is the builtin, and each part is a string or a number; or
    anything where the file has no class with formats of its own.
    """
    parts = _parts(node)
    if parts is None or len(parts) < 2 or not function.is_builtin("str"):
        return None
    values = [p for p in parts if not isinstance(p, str)]
    if not all(function.is_plain or function.type_of(value) in SCALARS for value in values):
        return None
    return f"({' + '.join(repr(p) if isinstance(p, str) else f'str({code(p)})' for p in parts)})"


_BRACES = m.FormattedStringExpression(expression=save("expression"), conversion=None, format_spec=None, equal=None)


def _parts(template: cst.FormattedString) -> list[str | Expr] | None:
    """Texts and expressions of an f-string without conversions and formats, else None."""
    if "r" in template.start.lower():
        return None
    parts: list[Any] = []
    for part in template.parts:
        braces = m.extract(part, _BRACES)
        text = braces["expression"] if braces else _unescaped(part)
        if text is None:
            return None
        parts.append(text)
    return parts or None


def _unescaped(part: cst.BaseFormattedStringContent) -> str | None:
    """The string that an f-string's text stands for."""
    if not isinstance(part, cst.FormattedStringText) or part.value.endswith('"'):
        return None
    literal = cst.parse_expression(f'"""{part.value}"""')
    value = syntax.value(literal.value) if isinstance(literal, cst.SimpleString) else None
    return value.replace("{{", "{").replace("}}", "}") if isinstance(value, str) else None


@rewrites_expression(
    m.Call(
        func=m.Attribute(value=save("template", m.SimpleString()), attr=m.Name("format")),
        args=[save("arguments", m.ZeroOrMore(m.Arg(value=m.Name(), keyword=None, star="")))],
    ),
    inverse="fstring_to_format",
)
def format_to_fstring(template: cst.SimpleString, arguments: Sequence[cst.Arg]) -> NewText:
    """ "{}-{}".format(a, b)  ->  f"{a}-{b}"

    If the arguments are names, as many as the pairs of braces, and the text needs no escape.
    """
    text = syntax.value(template.value)
    if template.prefix or not isinstance(text, str):
        return None
    pieces = text.split("{}")
    if len(pieces) != len(arguments) + 1 or any("{" in p or "}" in p or "\\" in repr(p) for p in pieces):
        return None
    names = [f"{{{code(a.value)}}}" for a in arguments]
    inner = pieces[0] + "".join(name + piece for name, piece in zip(names, pieces[1:], strict=True))
    quote = "'" if '"' in inner else '"'
    return f"f{quote}{inner}{quote}" if quote not in inner else None


@rewrites_expression("max(A, B)", "min(A, B)", inverse="ternary_to_max")
def max_to_ternary(function: Function, node: Any, a: Expr, b: Expr) -> NewText:
    """max(a, b)  ->  (b if b > a else a); and of min. On a tie both give the first.

    If both are pure, neither can use up an iterator, one can't raise an error, and `max` is the builtin.
    """
    name = node.func.value
    if not function.is_builtin(name) or not _may_be_repeated(a, b):
        return None
    sign = ">" if name == "max" else "<"
    return f"({operand(b)} if {operand(b)} {sign} {operand(a)} else {operand(a)})"


@rewrites_expression("B if B > A else A", "B if B < A else A", inverse="max_to_ternary")
def ternary_to_max(function: Function, node: Any, a: Expr, b: Expr) -> NewText:
    """b if b > a else a  ->  max(a, b); and of <, with min

    If both are pure, neither can use up an iterator, one can't raise an error, and `max` is the builtin.
    """
    name = "max" if symbol(node.test.comparisons[0].operator) == ">" else "min"
    if not function.is_builtin(name) or not _may_be_repeated(a, b):
        return None
    return f"{name}({code(a)}, {code(b)})"


def _may_be_repeated(a: Expr, b: Expr) -> bool:
    """Whether two sides may be evaluated in either order, and twice."""
    return is_repeatable(a) and is_repeatable(b) and (cannot_fail(a) or cannot_fail(b))


@rewrites_expression("list(reversed(INNER))")
def reverse_by_slice(function: Function, inner: Expr) -> NewText:
    """list(reversed(x))  ->  list(x)[::-1]

    If `x` is a list, a tuple, a string, a range or a dict, and `list` and `reversed` are the builtins.
    """
    if function.type_of(inner) not in SEQUENCES | {"range", "dict"}:
        return None
    builtin = function.is_builtin("list") and function.is_builtin("reversed")
    return f"list({code(inner)})[::-1]" if builtin else None


@rewrites_expression("[]", "{}", inverse="call_to_literal")
def literal_to_call(function: Function, node: Expr) -> NewText:
    """[]  ->  list(); and {}  ->  dict()

    If `list` is the builtin.
    """
    name = "list" if isinstance(node, cst.List) else "dict"
    return f"{name}()" if function.is_builtin(name) else None


@rewrites_expression("list()", "dict()", inverse="literal_to_call")
def call_to_literal(function: Function, node: Any) -> NewText:
    """list()  ->  []; and dict()  ->  {}

    If `list` is the builtin.
    """
    name = node.func.value
    return {"list": "[]", "dict": "{}"}[name] if function.is_builtin(name) else None


@rewrites_expression(m.SimpleString(), inverse="quotes", layout=True)
def quotes(node: cst.SimpleString) -> NewText:
    """'a'  ->  "a"; or the other way

    If the text has one quote on each side, no prefix, no escape, and no quote of the other kind.
    """
    other = '"' if node.quote == "'" else "'"
    if node.prefix or len(node.quote) != 1 or "\\" in node.value or other in node.raw_value:
        return None
    return code(node.with_changes(value=f"{other}{node.raw_value}{other}"))


@rewrites_statements(*(f"_x {operator}= VALUE" for operator in _ARITHMETIC), inverse="to_augmented")
def to_plain(function: Function, nodes: Any, x: str, value: Expr) -> NewStatements:
    """x += e  ->  x = x + e; and of the other arithmetic operators

    If `x` is a number, a string or a tuple: others, such as lists, may change in place.
    """
    if function.known_type(x) not in IMMUTABLE:
        return None
    operator = symbol(nodes[0].body[0].operator)
    return [f"{x} = {x} {operator.removesuffix('=')} {operand(value)}"]


@rewrites_statements(*(f"_x = _x {operator} VALUE" for operator in _ARITHMETIC), inverse="to_plain")
def to_augmented(function: Function, nodes: Any, x: str, value: Expr) -> NewStatements:
    """x = x + e  ->  x += e; and of the other arithmetic operators

    If `x` is a number, a string or a tuple: others, such as lists, may change in place.
    """
    if function.known_type(x) not in IMMUTABLE:
        return None
    return [f"{x} {symbol(nodes[0].body[0].value.operator)}= {code(value)}"]
