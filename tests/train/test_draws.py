"""Which tasks a batch is made of."""

from dataclasses import replace

import pytest

from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Program, Task, Tests
from semrep_jax.data.prompts import stream
from semrep_jax.train.draws import Draws, easiest

TASK = Task("t", Program("python", "def f(): return 1"), Tests("f"), Tests("f"))
GRADED = [replace(TASK, tags={"difficulty": level}) for level in ("3", "10", "1", "3", "1")]


def draws(most: int = 3) -> Draws:
    return Draws(stream(list(range(12)), 4, seed=0), 4, most)  # type: ignore[arg-type]


def test_what_nobody_put_back_comes_as_the_stream_gives_it():
    one, plain = draws(), stream(list(range(12)), 4, seed=0)  # type: ignore[arg-type]
    assert [one.take() for _ in range(5)] == [next(plain).tolist() for _ in range(5)]


def test_what_was_put_back_takes_at_most_half_of_a_batch_and_no_other_task_is_lost():
    one, plain = draws(), draws()
    first = one.take()
    one.put_back([*first, first[0]])
    assert one.waiting == first[1:]  # bounded, the newest kept
    second, third = one.take(), one.take()
    assert second[:2] == first[1:3] and third[0] == first[3]
    fresh = second[2:] + third[1:]
    plain.take()
    assert fresh == (plain.take() + plain.take())[:5]


def test_in_batches_of_one_every_other_one_is_what_was_put_back():
    def alone() -> Draws:
        return Draws(stream(list(range(12)), 1, seed=0), 1, 3)  # type: ignore[arg-type]

    one, plain = alone(), stream(list(range(12)), 1, seed=0)  # type: ignore[arg-type]
    fresh = [int(next(plain)[0]) for _ in range(3)]
    assert one.take() == fresh[:1]
    one.put_back([7, 8])
    other = alone()
    other.set_state(one.get_state())
    for each in (one, other):
        assert [each.take() for _ in range(4)] == [[7], fresh[1:2], [8], fresh[2:]]


def test_the_state_restores_to_the_same_batches():
    one, other = draws(), draws()
    one.put_back(one.take())
    one.take()
    other.set_state(one.get_state())
    assert [other.take() for _ in range(4)] == [one.take() for _ in range(4)]


def test_a_state_stays_what_it_was_while_batches_are_drawn_on():
    one, other = draws(), draws()
    one.take()
    state = one.get_state()
    following = [one.take() for _ in range(4)]
    other.set_state(state)
    assert [other.take() for _ in range(4)] == following


def test_the_easiest_come_first_once_and_then_the_shuffled_stream():
    order = easiest(GRADED)
    assert order == [2, 4, 0, 3, 1]  # 10 is more than 3, and equals keep their order
    one = Draws(stream(GRADED, 2, seed=0), 2, 3, order)
    plain = stream(GRADED, 2, seed=0)
    taken = [index for _ in range(5) for index in one.take()]
    assert taken == order + [int(i) for _ in range(3) for i in next(plain)][:5]


def test_a_first_pass_that_was_stopped_half_way_goes_on_where_it_was():
    one = Draws(stream(GRADED, 2, seed=0), 2, 3, easiest(GRADED))
    one.take()
    other = Draws(stream(GRADED, 2, seed=0), 2, 3, easiest(GRADED))
    other.set_state(one.get_state())
    assert [other.take() for _ in range(4)] == [one.take() for _ in range(4)]


def test_tasks_that_do_not_say_how_hard_they_are_have_no_easiest():
    with pytest.raises(TaskError, match=r"easy_first: t does not say .* set tasks.source to kernels"):
        easiest([*GRADED, TASK])
