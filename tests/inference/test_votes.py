"""Votes over attempts: spacing and comments do not divide them, what holds no program has none, of two the earlier."""

from __future__ import annotations

import pytest
from conftest import python

from semrep_jax.core.programs import Completion, Finish, Task, Tests
from semrep_jax.inference.turns import Attempt
from semrep_jax.inference.votes import elected

TASK = Task("t", python("x = 1"), "do", Tests("f", (), ()), Tests("f", (), ()))
ADD = "def f(a):\n    return a + 1"
COMMENTED = "def f(a):\n    # one more\n    return a + 1"
OTHER = "def f(a):\n    return a - 1"


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ([ADD], 0),
        ([OTHER, ADD, ADD], 1),
        ([OTHER, ADD, ADD.replace("return", "return  ")], 1),
        ([OTHER, ADD], 0),
        ([None, None, OTHER], 2),
        ([None, None], None),
        ([OTHER, OTHER, COMMENTED, ADD, ADD], 2),
    ],
)
def test_the_program_that_most_have_written_is_elected(written, place):
    attempts = []
    for text in written:
        completion = Completion(text or "no", (1,), (-1.0,), Finish.STOP, 1)
        attempts.append(Attempt(TASK, None, completion, "no program" if text is None else python(text)))
    assert elected(attempts) == place
