"""When two outcomes of a call are one: the value by type and exactly, the exception's class, changed arguments, printed text."""

from __future__ import annotations

from semrep_jax.core.programs import Case, Outcome
from semrep_jax.sandbox.wire import decode, same


def matches(expected: Outcome, seen: Outcome, tolerance: float = 0.0) -> bool:
    """Whether an observed outcome is the expected one: value or exception class, mutated arguments, printed text."""
    return (
        seen.error == expected.error
        and same(expected.value, seen.value, tolerance)
        and same(expected.mutated, seen.mutated, tolerance)
        and seen.output == expected.output
    )


def explain(entry: str, case: Case, seen: Outcome, message: str | None) -> str:
    """One line about a failed case: the call, what was expected, what happened."""
    call = f"{entry}({', '.join(repr(a) for a in decode(case.args))})"
    expected = f"raises {case.expected.error}" if case.expected.error else f"is {decode(case.expected.value)!r}"
    if seen.error:
        got = message or seen.error
    elif not same(case.expected.value, seen.value):
        got = repr(decode(seen.value))
    else:
        got = "other changes to its arguments or other output"
    return f"{call} {expected}, got {got}"[:500]
