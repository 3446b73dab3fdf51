"""The engine: a completion is decided by its ask alone, rows are freed, nothing compiles after the start."""

from __future__ import annotations

import hashlib
import random
from threading import Event

import jax
import numpy as np
import pytest

from semrep_jax import prompts
from semrep_jax.core.programs import Program
from semrep_jax.rollout.decoding import PROGRAMS, Ask, Decoding
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.rollout.slots import End, Piece, Slots
from semrep_jax.serve.batcher import Batcher, idle
from semrep_jax.serve.engine import EngineClosed
from semrep_jax.train.step_record import compiled_programs

MAX_PROMPT, MAX_NEW = 96, 24


class Heard:
    """Listens to one completion and puts its pieces together."""

    def __init__(self, batcher, ask):
        self.pieces, self.ended = [], Event()
        self.handle = batcher.submit(ask, self)

    def __call__(self, piece):
        self.pieces.append(piece)
        if piece.end is not None:
            self.ended.set()

    def whole(self):
        assert self.ended.wait(60)
        joined = Piece()
        for piece in self.pieces:
            joined = Piece(
                joined.token_ids + piece.token_ids,
                joined.logprobs + piece.logprobs,
                joined.ranked + piece.ranked,
                piece.end,
            )
        return joined


@pytest.fixture(scope="module")
def batcher(nano):
    decoding = Decoding(
        nano.model,
        nano.params,
        nano.tokenizer.pad_id,
        rows=5,
        max_prompt=MAX_PROMPT,
        bucket=48,
        max_new=MAX_NEW,
        chunk=4,
    )
    list(decoding.warming_up())
    batcher = Batcher(decoding, nano.tokenizer.end_ids)
    yield batcher
    batcher.close(5)


@pytest.fixture(scope="module")
def small(tiny):
    """A decoding that compiles fast."""
    return Decoding(tiny.model, tiny.params, 0, rows=5, max_prompt=MAX_PROMPT, bucket=48, max_new=MAX_NEW, chunk=4)


def mixed_asks(tokenizer, count):
    """Prompts of every length, all temperatures, nuclei, limits; what a busy server sees."""
    rng, asks = random.Random(0), []
    for number in range(count):
        ids = tuple(rng.randrange(7, tokenizer.vocab_size) for _ in range(rng.randint(1, MAX_PROMPT)))
        key = np.frombuffer(hashlib.sha256(str(number).encode()).digest()[:8], np.uint32)
        asks.append(
            Ask(
                ids,
                (int(key[0]), int(key[1])),
                max_new=rng.randint(1, MAX_NEW),
                temperature=rng.choice([0.0, 0.3, 1.0, 1.7]),
                top_p=rng.choice([1.0, 1.0, 0.6]),
                ranked=rng.random() < 0.3,
            )
        )
    return asks


def test_every_completion_of_a_mixed_batch_equals_the_one_drawn_alone_to_the_bit(batcher, nano):
    asks = mixed_asks(nano.tokenizer, 24)
    alone = [Heard(batcher, ask).whole() for ask in asks]
    order = list(range(len(asks)))
    random.Random(1).shuffle(order)
    together = {number: Heard(batcher, asks[number]) for number in order}
    for number, expected in enumerate(alone):
        assert together[number].whole() == expected
    assert {piece.end for piece in alone} <= {End.STOP, End.LENGTH}
    assert len({piece.token_ids for piece in alone}) > 20


def test_nothing_compiles_after_the_start(batcher, nano):
    before = compiled_programs(*PROGRAMS)
    for ask in mixed_asks(nano.tokenizer, 6):
        Heard(batcher, ask).whole()
    assert compiled_programs(*PROGRAMS) == before > 0


def test_the_same_key_draws_what_the_local_policy_draws(small, tiny):
    batcher = Batcher(small, tiny.tokenizer.end_ids)
    policy = LocalPolicy(
        tiny.model,
        tiny.params,
        tiny.tokenizer,
        RolloutConfig(max_prompt=MAX_PROMPT, max_new=MAX_NEW, bucket=48),
    )
    prompt = prompts.rewrite(Program("python", "def f(n):\n    return n + 2 * n"))
    ids = prompts.encode(prompt, tiny.tokenizer)
    base = jax.random.key(3)
    theirs = policy.sample([prompt], 3, 1.0, base)[0]
    of_prompt = jax.random.fold_in(jax.random.fold_in(base, 0), 0)
    for sample, expected in enumerate(theirs):
        first, second = jax.random.key_data(jax.random.fold_in(of_prompt, sample)).tolist()
        ours = Heard(batcher, Ask(tuple(ids), (first, second), MAX_NEW)).whole()
        assert ours.token_ids == expected.token_ids
        assert ours.logprobs == pytest.approx(expected.logprobs, abs=1e-4)
    batcher.close(5)


def test_a_long_prompt_is_read_in_pieces_between_the_chunks_of_those_under_way(small, monkeypatch):
    done = []
    for name in ("read_on", "advance"):
        real = getattr(small, name)
        monkeypatch.setattr(small, name, lambda *a, name=name, real=real: done.append(name) or real(*a))
    slots = Slots(small, (), pieces=1)
    slots.submit(Ask((9,), (5, 6), MAX_NEW), print)
    slots.round()
    slots.submit(Ask((9,) * (MAX_PROMPT - 1), (5, 6), 1), print)
    while slots.busy:
        slots.round()
    assert done[:2] == ["read_on", "advance"] and done[2:6] == ["read_on", "advance", "read_on", "advance"]
    done.clear()
    slots.submit(Ask((9, 8) * (MAX_PROMPT // 2), (5, 6), 1), print)
    slots.round()  # nobody waits: all of it
    assert done == ["read_on", "read_on", "advance"]


def test_temperature_0_and_the_smallest_nucleus_take_the_likeliest_token(batcher, nano):
    for ask in mixed_asks(nano.tokenizer, 4):
        greedy = Ask(ask.prompt_ids, ask.key, 8, temperature=0.0, ranked=True)
        said = Heard(batcher, greedy).whole()
        assert said.token_ids == tuple(alternatives[0][0] for alternatives in said.ranked)
        assert said.logprobs == pytest.approx([alternatives[0][1] for alternatives in said.ranked], abs=1e-4)
        narrow = Ask(ask.prompt_ids, (1, 2), 8, temperature=1.0, top_p=1e-6)
        assert Heard(batcher, narrow).whole().token_ids == said.token_ids


def test_a_nucleus_gives_its_tokens_by_their_mass_and_no_other(batcher):
    ids, draws = (40, 50, 60), 150
    full = Heard(batcher, Ask(ids, (0, 0), 1, ranked=True)).whole().ranked[0]
    allowed, held = [], 0.0
    for token, logprob in full:
        allowed.append((token, float(np.exp(logprob))))
        held += allowed[-1][1]
        if held >= 0.3:
            break
    assert held >= 0.3, "the prompt is no good for this test: five tokens hold less than the nucleus"
    heard = [Heard(batcher, Ask(ids, (1, number), 1, top_p=0.3)) for number in range(draws)]
    seen = [one.whole().token_ids[0] for one in heard]
    assert set(seen) <= {token for token, _ in allowed}
    for token, mass in allowed:
        assert abs(seen.count(token) / draws - mass / held) < 0.15


def test_a_cancelled_completion_leaves_its_row_to_the_next_and_a_waiting_one_is_never_begun(batcher, nano):
    long = [Ask((9, 10, number), (5, number), MAX_NEW, temperature=1.7) for number in range(20)]
    expected = Heard(batcher, long[19]).whole()
    heard = [Heard(batcher, ask) for ask in long]
    for one in heard[:19]:
        one.handle.cancel()
    assert heard[19].whole() == expected
    assert idle(batcher, 10)
    ends = [one.whole().end for one in heard[:19]]
    assert ends.count(End.CANCELLED) >= 14
    assert sum(len(one.whole().token_ids) for one in heard[5:19]) == 0


def test_a_fault_costs_what_is_under_way_and_nothing_after_it(batcher, monkeypatch, caplog):
    ask = Ask((11, 12), (3, 4), 6)
    expected = Heard(batcher, ask).whole()
    with monkeypatch.context() as patched:
        patched.setattr(batcher.decoding, "advance", lambda *_: 1 / 0)
        assert Heard(batcher, ask).whole().end is End.FAILED
    assert Heard(batcher, ask).whole() == expected
    assert "ZeroDivisionError" in caplog.text


def test_a_fault_that_leaves_nothing_to_go_on_with_ends_the_engine_and_is_heard(small, monkeypatch):
    batcher = Batcher(small, ())
    with monkeypatch.context() as patched:
        patched.setattr(small, "advance", lambda *_: 1 / 0)
        patched.setattr(small, "reset", lambda: 1 / 0)
        assert Heard(batcher, Ask((9,), (5, 6), MAX_NEW)).whole().end is End.FAILED
        batcher.close(5)
    assert not batcher.alive
    with pytest.raises(EngineClosed):
        batcher.submit(Ask((9,), (5, 6), 1), print)
    small.reset()


def test_closing_ends_what_is_under_way_and_refuses_the_rest(small):
    batcher = Batcher(small, ())
    heard = [Heard(batcher, Ask((9, number), (5, 6), MAX_NEW)) for number in range(8)]
    batcher.close(60)
    assert [len(one.whole().token_ids) for one in heard] == [MAX_NEW] * 8
    with pytest.raises(EngineClosed):
        batcher.submit(Ask((9,), (5, 6), 1), print)


def test_closing_in_a_hurry_cancels_what_is_under_way(small):
    batcher = Batcher(small, ())
    heard = [Heard(batcher, Ask((9, number), (5, 6), MAX_NEW)) for number in range(50)]
    batcher.close(0)
    assert End.CANCELLED in {one.whole().end for one in heard}
