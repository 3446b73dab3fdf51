"""Grain: packing, exact state, epochs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from semrep_jax import prompts
from semrep_jax.data import prompts as prompt_data
from semrep_jax.data import supervised
from semrep_jax.programs import TaskError
from semrep_jax.tasks.generated import Generator


@pytest.fixture
def source(nano):
    return supervised.PairSource(Generator(), nano.tokenizer, 3000, 256, prompt_weight=0.0)


def same(a, b):
    return all(np.array_equal(a[k], b[k]) for k in a)


def test_a_packed_row_holds_whole_pairs_with_weight_on_their_completions_only(source, nano):
    batch = next(supervised.stream(source, 2, 256))
    tokens, segments, weight = batch["tokens"][0], batch["segments"][0], batch["weight"][0]
    assert segments.max() >= 1
    for segment in range(1, segments.max() + 1):
        text = nano.tokenizer.decode(tokens[segments == segment])
        told = nano.tokenizer.decode(tokens[(segments == segment) & (weight == 1)])
        assert text.endswith(prompts.PROGRAM + told) and told.endswith(prompts.END)
        assert batch["positions"][0][segments == segment].tolist() == list(range((segments == segment).sum()))
    assert not weight[segments == 0].any()


def test_the_three_formats_are_interleaved_and_hold_the_same_example(source):
    example = source.generator.example(4)
    texts = [supervised.text_of(example, form) for form in supervised.FORMATS]
    assert texts[0][0].startswith(prompts.REWRITE) and prompts.EQUIVALENT not in texts[1][0] and prompts.EQUIVALENT in texts[2][0]
    lengths = [len(source[12 + i]["tokens"]) for i in range(3)]
    assert lengths == [len(source.tokenizer.encode(p)) + len(source.tokenizer.encode(c)) for p, c in texts]


def test_packing_wastes_little(source):
    stream = supervised.stream(source, 4, 256)
    batches = [next(stream) for _ in range(12)]
    assert np.mean([b["segments"] == 0 for b in batches]) < 0.15


def test_the_supervised_stream_resumes_exactly_from_json(source):
    stream = supervised.stream(source, 2, 256)
    for _ in range(3):
        next(stream)
    state = json.loads(json.dumps(stream.get_state()))
    want = [next(stream) for _ in range(3)]
    other = supervised.stream(source, 2, 256)
    other.set_state(state)
    assert all(same(a, next(other)) for a in want)


def test_a_pair_longer_than_a_row_is_refused_with_the_key_to_raise(nano):
    with pytest.raises(TaskError, match=r"supervised\.row_length"):
        supervised.PairSource(Generator(), nano.tokenizer, 30, 40)[0]


def test_the_prompt_stream_covers_every_task_each_epoch_in_another_order():
    stream = prompt_data.stream(list(range(12)), 4, seed=1)
    first, second = (np.concatenate([next(stream) for _ in range(3)]) for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(12)) and first.tolist() != second.tolist()


def test_the_prompt_stream_resumes_exactly_in_the_middle_of_an_epoch():
    stream = prompt_data.stream(list(range(10)), 4, seed=1)
    next(stream)
    state = json.loads(json.dumps(stream.get_state()))
    want = [next(stream).tolist() for _ in range(6)]
    other = prompt_data.stream(list(range(10)), 4, seed=1)
    other.set_state(state)
    assert [next(other).tolist() for _ in range(6)] == want


def test_an_empty_task_set_is_refused_with_the_keys_to_widen():
    with pytest.raises(TaskError, match=r"tasks\.train_size"):
        prompt_data.stream([], 4, seed=1)
