"""A seeded bug against tests: the cases that it still passes are U_sem, those that it fails U_edit.

    flags = passed(bug.source, "f", cases, sandbox)
    preserve, edit = divided(cases, flags)

It is a task only where both have cases (`shows`).
"""

from __future__ import annotations

from collections.abc import Sequence

from semrep_jax.core.programs import Case
from semrep_jax.sandbox.outcomes import matches
from semrep_jax.sandbox.pool import Limits, Sandbox


def passed(
    source: str,
    entry: str,
    cases: Sequence[Case],
    sandbox: Sandbox,
    limits: Limits | None = None,
    tolerance: float = 0.0,
) -> list[bool] | None:
    """Which cases a program passes; None where it does not load or does not end.

    source, entry: the program and its function. limits: of the whole run, the sandbox's own by default. tolerance: of
    floats, relative and absolute. Raises Unseen where a fault of ours kept it from being seen.
    """
    seen = sandbox.observe(source, entry, [case.args for case in cases], limits)
    if len(seen.outcomes) != len(cases):
        return None
    return [matches(case.expected, one, tolerance) for case, one in zip(cases, seen.outcomes, strict=True)]


def shows(flags: Sequence[bool]) -> bool:
    """Whether some of the cases are passed and some are not."""
    return any(flags) and not all(flags)


def divided(cases: Sequence[Case], flags: Sequence[bool]) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """The cases that are passed, and those that are not."""
    pairs = list(zip(cases, flags, strict=True))
    return tuple(case for case, ok in pairs if ok), tuple(case for case, ok in pairs if not ok)
