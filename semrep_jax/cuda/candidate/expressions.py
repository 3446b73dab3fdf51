"""Arithmetic over a task's axes, as launch lists write it, parsed as Python and evaluated by a walk of ours.

    evaluate("ceil_div(N, 256) * M", {"N": 1000, "M": 3})         # 12

Integers, + - * / // % ** and shifts, comparisons, `a if c else b`, and the functions below. Nothing else has a meaning:
no attributes, no indexing, no names but the axes. Sizes are bounded, so that no expression can take long.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.core.errors import SemRepError

Number = int | float
LARGEST = 1 << 62


class ExpressionError(SemRepError):
    """An expression is malformed, names something unknown, or has no value."""


def ceil_div(a: int, b: int) -> int:
    """a / b rounded up."""
    return -(-a // b)


def next_pow2(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << max(0, int(n) - 1).bit_length()


FUNCTIONS: dict[str, Callable[..., Number]] = {
    "ceil_div": ceil_div,
    "next_pow2": next_pow2,
    "min": min,
    "max": max,
    "abs": abs,
    "sqrt": math.sqrt,
    "int": int,
    "float": float,
}
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def evaluate(text: str | int | float, axes: Mapping[str, Number]) -> Number:
    """The value of an expression over `axes`. Raises ExpressionError with the expression and what to write instead."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        if not abs(text) <= LARGEST:
            raise ExpressionError("a number of the launch list is too large")
        return text
    if not isinstance(text, str) or len(text) > 300:
        raise ExpressionError(
            f"{str(text)[:60]!r} is no expression; write a number or arithmetic over {', '.join(axes)}"
        )
    try:
        return _value(syntax.expression(text.strip()).body, axes)
    except SyntaxError as error:
        raise ExpressionError(
            f"{text!r} is not arithmetic; write e.g. ceil_div({next(iter(axes), 'N')}, 256)"
        ) from error
    except ExpressionError as error:
        raise ExpressionError(f"{text!r}: {error}") from error
    except (ArithmeticError, ValueError, TypeError, RecursionError) as error:
        raise ExpressionError(f"{text!r} has no value: {error}") from error


def integer(text: str | int, axes: Mapping[str, Number], what: str, low: int, high: int) -> int:
    """An integer expression between `low` and `high`. Raises ExpressionError.

    text: the expression, or the number itself. axes: values by the names that it may use. what: how messages call it.
    low, high: both allowed.
    """
    value = evaluate(text, axes)
    if isinstance(value, float) and not value.is_integer():
        raise ExpressionError(f"{what} {text!r} is {value}, not an integer; use // or ceil_div")
    if not low <= value <= high:
        raise ExpressionError(f"{what} {text!r} is {value} and must be between {low} and {high}")
    return int(value)


def _value(node: ast.expr, axes: Mapping[str, Number]) -> Number:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            found: Number = value
        case ast.Name(id=name):
            if name not in axes:
                raise ExpressionError(
                    f"{name!r} is not known here; known are {', '.join(axes)} and {', '.join(FUNCTIONS)}"
                )
            found = axes[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            a, b = _value(left, axes), _value(right, axes)
            if isinstance(op, (ast.Pow, ast.LShift)) and (abs(b) > 62 or abs(a) > LARGEST):
                raise ExpressionError("is too large")
            found = _BINARY[type(op)](a, b)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            found = -_value(operand, axes)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            found = _value(operand, axes)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            found = int(_COMPARE[type(op)](_value(left, axes), _value(right, axes)))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            found = _value(body if _value(test, axes) else orelse, axes)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            found = FUNCTIONS[name](*(_value(a, axes) for a in args))
        case _:
            raise ExpressionError(
                f"{ast.unparse(node)!r} is not allowed; write numbers, axes, + - * / // % and {', '.join(FUNCTIONS)}"
            )
    if isinstance(found, complex) or abs(found) > LARGEST:
        raise ExpressionError("is too large")
    return found
