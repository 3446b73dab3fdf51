"""When two outcomes of a call are the same: value by type and exactly, exception, changed arguments, printed text."""

from __future__ import annotations

from semrep_jax.core.programs import Case, Outcome
from semrep_jax.sandbox.wire import decode, same

LONGEST_LINE = 500


def matches(expected: Outcome, seen: Outcome, tolerance: float = 0.0) -> bool:
    """Whether an observed outcome is the expected one. `tolerance`: relative and absolute, for floats only.

    expected, seen: value, exception's class, changed arguments and printed text, which must all agree.
    """
    return (
        seen.error == expected.error
        and same(expected.value, seen.value, tolerance)
        and same(expected.mutated, seen.mutated, tolerance)
        and seen.output == expected.output
    )


def explain(entry: str, case: Case, seen: Outcome, message: str | None) -> str:
    """One line about a failed case: the call, what was expected, what happened.

    entry: the function's name. case: its arguments and the expected outcome. seen: what happened instead.
    message: the exception's one line, if it raised one and that is known.
    """
    call = f"{entry}({', '.join(repr(a) for a in decode(case.args))})"
    expected = f"raises {case.expected.error}" if case.expected.error else f"is {decode(case.expected.value)!r}"
    if seen.error:
        got = message or seen.error
    elif not same(case.expected.value, seen.value):
        got = repr(decode(seen.value))
    else:
        got = "other changes to its arguments or other output"
    return f"{call} {expected}, got {got}"[:LONGEST_LINE]
