"""Running *our own* reference programs in this process, bounded by counts: of executed lines, and of what values hold.

Only for programs that the grammar wrote; a stranger's program goes to the sandbox. A seeded bug may leave a loop
without an end that squares a number or doubles a list at every turn; such a call has no outcome. The bounds are counts,
not times, so the tests derived from them are the same on every machine.
"""

from __future__ import annotations

import sys
from typing import Any

from semrep_jax.core.programs import Outcome
from semrep_jax.sandbox.wire import Unencodable, decode, encode

MAX_LINES = 4000
MAX_BITS = 256  # of an integer
MAX_ITEMS = 2000  # of a container with those in it, and characters of a text
LINES_A_CHECK = 8  # a line at most doubles what a value holds, so nothing gets far between two looks


class _TooMuch(BaseException):
    """The reference ran over its line budget, or made a value over the bounds."""


def outcomes(source: str, entry: str, calls: list[Any]) -> list[Outcome | None]:
    """The outcome of each call; None where the call did not end within the bounds.

    source: a generated program, which is executed here. entry: the function's name. calls: arguments in wire form.
    """
    scope: dict[str, Any] = {}
    exec(compile(source, "<reference>", "exec"), scope)
    return [_call(scope[entry], args) for args in calls]


def _call(function: Any, wire_args: Any) -> Outcome | None:
    lines_left = MAX_LINES

    def tracer(frame: Any, event: str, arg: Any) -> Any:
        nonlocal lines_left
        lines_left -= 1
        if lines_left < 0:
            raise _TooMuch
        if lines_left % LINES_A_CHECK == 0:
            _require_bounded(frame.f_locals.values())
        return tracer

    args = decode(wire_args)
    previous = sys.gettrace()
    sys.settrace(tracer)
    try:
        value, error = function(*args), None
    except _TooMuch:
        return None
    except Exception as raised:
        value, error = None, type(raised).__name__
    finally:
        sys.settrace(previous)
    try:
        _require_bounded((value, args))
        after = encode(args)
        return Outcome(encode(value), error, None if after == wire_args else after)
    except (Unencodable, _TooMuch):
        return None


def _require_bounded(values: Any) -> None:
    """Raise _TooMuch where integers have too many bits, or texts and containers hold too much altogether."""
    items_left, waiting = MAX_ITEMS, [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, int):
            if value.bit_length() > MAX_BITS:
                raise _TooMuch
            continue
        if not hasattr(value, "__len__"):
            continue
        items_left -= len(value)
        if items_left < 0:
            raise _TooMuch
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif not isinstance(value, str):
            waiting += value
