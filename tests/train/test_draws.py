"""Which tasks a batch is made of."""

from semrep_jax.data.prompts import stream
from semrep_jax.train.draws import Draws


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


def test_the_state_restores_to_the_same_batches():
    one, other = draws(), draws()
    one.put_back(one.take())
    one.take()
    other.set_state(one.get_state())
    assert [other.take() for _ in range(4)] == [one.take() for _ in range(4)]
