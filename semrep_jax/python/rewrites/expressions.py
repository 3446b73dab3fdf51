"""Rules about single expressions and plain assignments.

Running decides everywhere: an object's own operators and formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import libcst as cst
import libcst.matchers as m

from semrep_jax.python.rewrites.patterns import save
from semrep_jax.python.rewrites.rule import Function, rewrites_expression, rewrites_statements
from semrep_jax.python.rewrites.trees import Expr, NewStatements, NewText, code, is_pure, operand, symbol

_ARITHMETIC = ("+", "-", "*", "/", "//", "%", "**")
_INTEGER_FUNCTIONS = {"len", "ord", "int"}


def _is_integer(node: Expr) -> bool:
    """Whether it surely is an integer: a literal, a length, or sums and products of such."""
    if isinstance(node, cst.Call):
        return isinstance(node.func, cst.Name) and node.func.value in _INTEGER_FUNCTIONS
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, (cst.Add, cst.Multiply)):
        return _is_integer(node.left) and _is_integer(node.right)
    return isinstance(node, cst.Integer)


@rewrites_expression("LEFT + RIGHT", "LEFT * RIGHT", inverse="commute")
def commute(node: Any, left: Expr, right: Expr) -> NewText:
    """a + 1  ->  (1 + a); and of products

    If both sides are pure and one is an integer: the other is a number then, or a sequence times it.
    """
    if not (_is_integer(left) or _is_integer(right)) or not (is_pure(left) and is_pure(right)):
        return None
    return f"({operand(right)} {symbol(node.operator)} {operand(left)})"


@rewrites_expression("LEFT - RIGHT", inverse="add_as_subtract")
def subtract_as_add(left: Expr, right: Expr) -> NewText:
    """a - 1  ->  (a + -1)

    If the right side is an integer. Running decides: an `a` that is no number; -0.0 - 0.
    """
    return f"({operand(left)} + -{code(right)})" if isinstance(right, cst.Integer) else None


@rewrites_expression("LEFT + -RIGHT", inverse="subtract_as_add")
def add_as_subtract(left: Expr, right: Expr) -> NewText:
    """a + -1  ->  (a - 1)

    If the right side is an integer with a minus. Running decides: an `a` that is no number; -0.0 + -0.
    """
    return f"({operand(left)} - {code(right)})" if isinstance(right, cst.Integer) else None


@rewrites_expression(m.FormattedString(), inverse="format_to_fstring")
def fstring_to_format(node: cst.FormattedString) -> NewText:
    """f"{a}-{b}"  ->  "{}-{}".format(a, b)

    If nothing in braces has a conversion or a format.
    """
    parts = _parts(node)
    if parts is None:
        return None
    text = "".join(p.replace("{", "{{").replace("}", "}}") if isinstance(p, str) else "{}" for p in parts)
    return f"{text!r}.format({', '.join(code(p) for p in parts if not isinstance(p, str))})"


@rewrites_expression(m.FormattedString())
def fstring_to_concatenation(function: Function, node: cst.FormattedString) -> NewText:
    """f"{a}-{b}"  ->  (str(a) + "-" + str(b))

    If nothing in braces has a conversion or a format, and `str` is not bound.
    """
    parts = _parts(node)
    if parts is None or len(parts) < 2 or "str" in function.bound:
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
    value = literal.evaluated_value if isinstance(literal, cst.SimpleString) else None
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
    text = template.evaluated_value
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

    If both are pure and `max` is not bound.
    """
    name = node.func.value
    if name in function.bound or not (is_pure(a) and is_pure(b)):
        return None
    sign = ">" if name == "max" else "<"
    return f"({operand(b)} if {operand(b)} {sign} {operand(a)} else {operand(a)})"


@rewrites_expression("B if B > A else A", "B if B < A else A", inverse="max_to_ternary")
def ternary_to_max(function: Function, node: Any, a: Expr, b: Expr) -> NewText:
    """b if b > a else a  ->  max(a, b); and of <, with min

    If the function knows no `max`. Running decides: sides that change something, as each is evaluated once then.
    """
    name = "max" if symbol(node.test.comparisons[0].operator) == ">" else "min"
    return f"{name}({code(a)}, {code(b)})" if name not in function.names else None


@rewrites_expression("list(reversed(INNER))")
def reverse_by_slice(function: Function, inner: Expr) -> NewText:
    """list(reversed(x))  ->  list(x)[::-1]

    If `list` is not bound. Running decides: an `x` that can't be reversed, or does it in a way of its own.
    """
    return f"list({code(inner)})[::-1]" if "list" not in function.bound else None


@rewrites_expression("[]", "{}", inverse="call_to_literal")
def literal_to_call(function: Function, node: Expr) -> NewText:
    """[]  ->  list(); and {}  ->  dict()

    If `list` is not bound.
    """
    name = "list" if isinstance(node, cst.List) else "dict"
    return f"{name}()" if name not in function.bound else None


@rewrites_expression("list()", "dict()", inverse="literal_to_call")
def call_to_literal(function: Function, node: Any) -> NewText:
    """list()  ->  []; and dict()  ->  {}

    If `list` is not bound.
    """
    name = node.func.value
    return None if name in function.bound else {"list": "[]", "dict": "{}"}[name]


@rewrites_expression(m.SimpleString(), inverse="quotes")
def quotes(node: cst.SimpleString) -> NewText:
    """'a'  ->  "a"; or the other way

    If the text has one quote on each side, no prefix, no escape, and no quote of the other kind.
    """
    other = '"' if node.quote == "'" else "'"
    if node.prefix or len(node.quote) != 1 or "\\" in node.value or other in node.raw_value:
        return None
    return code(node.with_changes(value=f"{other}{node.raw_value}{other}"))


@rewrites_statements(*(f"_x {operator}= VALUE" for operator in _ARITHMETIC), inverse="to_augmented")
def to_plain(nodes: Any, x: str, value: Expr) -> NewStatements:
    """x += e  ->  x = x + e; and of the other arithmetic operators

    Running decides: an `x` that changes in place, such as a list.
    """
    operator = symbol(nodes[0].body[0].operator)
    return [f"{x} = {x} {operator.removesuffix('=')} {operand(value)}"]


@rewrites_statements(*(f"_x = _x {operator} VALUE" for operator in _ARITHMETIC), inverse="to_plain")
def to_augmented(nodes: Any, x: str, value: Expr) -> NewStatements:
    """x = x + e  ->  x += e; and of the other arithmetic operators

    Running decides: an `x` that changes in place, such as a list.
    """
    return [f"{x} {symbol(nodes[0].body[0].value.operator)}= {code(value)}"]
