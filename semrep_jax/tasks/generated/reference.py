"""Running *our own* reference programs in this process, bounded by a count of executed lines.

Only for programs that the grammar wrote; a stranger's program goes to the sandbox. The bound is a count, not a time, so
the tests derived from it are the same on every machine.
"""

from __future__ import annotations

import sys
from typing import Any

from semrep_jax.core.programs import Outcome
from semrep_jax.sandbox.wire import Unencodable, decode, encode

MAX_LINES = 4000


class _TooLong(BaseException):
    """The reference ran over its line budget."""


def outcomes(source: str, entry: str, calls: list[Any]) -> list[Outcome | None]:
    """The outcome of each call (arguments in wire form); None where the call did not end within the line budget."""
    scope: dict[str, Any] = {}
    exec(compile(source, "<reference>", "exec"), scope)
    return [_call(scope[entry], args) for args in calls]


def _call(function: Any, wire_args: Any) -> Outcome | None:
    lines_left = MAX_LINES

    def tracer(frame: Any, event: str, arg: Any) -> Any:
        nonlocal lines_left
        lines_left -= 1
        if lines_left < 0:
            raise _TooLong
        return tracer

    args = decode(wire_args)
    previous = sys.gettrace()
    sys.settrace(tracer)
    try:
        value = function(*args)
    except _TooLong:
        return None
    except Exception as error:
        outcome = Outcome(error=type(error).__name__)
    else:
        sys.settrace(previous)
        try:
            outcome = Outcome(value=encode(value))
        except Unencodable:
            return None
    finally:
        sys.settrace(previous)
    after = encode(args)
    return outcome if after == wire_args else Outcome(outcome.value, outcome.error, after)
