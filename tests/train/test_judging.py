"""Judging while others are written: in order, in the same calls, and what goes wrong is heard."""

from __future__ import annotations

from itertools import chain
from threading import Event

import pytest
from conftest import python

from semrep_jax.core.programs import Completion, Finish, Task, Tests
from semrep_jax.train.batch import Group
from semrep_jax.train.judging import Judging

SAID = [Completion("```python\nx = 1\n```", (1,), (-1.0,), Finish.STOP, 1)] * 2


def groups_of(count):
    nothing = Tests("f", (), ())
    return [Group(Task(f"t{i}", python(f"x = {i}"), "do", nothing, nothing)) for i in range(count)]


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (1, 0, 4, 2, 3)])
@pytest.mark.parametrize(("pieces", "calls"), [(1, [10]), (3, [4, 4, 2]), (9, [2] * 5)])
def test_groups_are_judged_in_their_order_and_in_the_same_calls_whenever_they_end(order, pieces, calls):
    asked = []

    def verify_all(pairs, skip):
        asked.append([task.id for task, _ in pairs])
        return [f"{task.id} {skip}" for task, _ in pairs]

    groups = groups_of(5)
    with Judging(verify_all, groups, "rule", pieces) as judging:
        for place in order:
            judging.finished(place, SAID)
        judging.wait()
    assert [len(call) for call in asked] == calls and [*chain(*asked)] == [f"t{i // 2}" for i in range(10)]
    assert [group.verdicts for group in groups] == [[f"t{i} rule"] * 2 for i in range(5)]
    assert all(program.source.strip() == "x = 1" for group in groups for program in group.programs)


def test_what_is_written_is_judged_while_the_rest_is_not_yet():
    judged = Event()

    def verify_all(pairs, skip):
        judged.set()
        return [None] * len(pairs)

    with Judging(verify_all, groups_of(4), None, 2) as judging:
        judging.finished(1, SAID)
        assert not judged.wait(0.05)
        judging.finished(0, SAID)
        assert judged.wait(20)
        judging.finished(2, SAID)
        judging.finished(3, SAID)
        judging.wait()


def test_what_the_judge_raises_is_raised_to_who_waits():
    with Judging(lambda pairs, skip: 1 / 0, groups_of(2), None, 2) as judging:
        judging.finished(0, SAID)
        judging.finished(1, SAID)
        with pytest.raises(ZeroDivisionError):
            judging.wait()
