"""Votes over a task's attempts: the edit that most of them agree on.

At T=2 each was written with a C_rep of its own, or with C_src where none was accepted; at T=1 all with C_src alone. No
test is asked, so a vote costs nothing beyond the samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from semrep_jax.core.programs import Program
from semrep_jax.inference.turns import Attempt
from semrep_jax.languages import form_of


def elected(attempts: Sequence[Attempt]) -> int | None:
    """The place of the first attempt with the program that most have in canonical form, the earlier of two with as
    many; None where none holds a program."""
    programs = enumerate(attempt.program for attempt in attempts)
    forms = {place: form_of(program) for place, program in programs if isinstance(program, Program)}
    if not forms:
        return None
    votes = Counter(forms.values())
    return max(forms, key=lambda place: (votes[forms[place]], -place))
