"""Votes over a task's attempts: the edit that most of them agree on.

At T=2 each was written with a C_rep of its own, or with C_src where none was accepted; at T=1 all with C_src alone. No
test is asked, so a vote costs nothing beyond the samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from semrep_jax.core.programs import Program
from semrep_jax.inference.turns import Attempt
from semrep_jax.languages import canonical


def elected(attempts: Sequence[Attempt]) -> int | None:
    """The place of the first attempt with the program that most have in canonical form, the earlier of two with as
    many; None where none holds a program."""
    forms = {place: _form(attempt.program) for place, attempt in enumerate(attempts) if _holds(attempt)}
    if not forms:
        return None
    votes = Counter(forms.values())
    return max(forms, key=lambda place: (votes[forms[place]], -place))


def _holds(attempt: Attempt) -> bool:
    return isinstance(attempt.program, Program)


def _form(program: Program | str) -> str:
    assert isinstance(program, Program)
    return canonical(program) or program.source.strip()
