"""Sampling: its log-probs are the trainer's, its keys are pure, its ends are by position."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from conftest import python

from semrep_jax.core.programs import Finish
from semrep_jax.prompts import encode, rewrite
from semrep_jax.rollout.local import LocalPolicy, cache_sizes
from semrep_jax.rollout.policy import Usage
from semrep_jax.train import grpo
from semrep_jax.train.batch import RolloutBatch
from semrep_jax.train.settings import Layout, TrainConfig

PROMPTS = [rewrite(python("def f(x):\n    return x")), rewrite(python("def run(xs):\n    return sum(xs)"))]


@pytest.fixture
def policy(nano, rollout):
    return LocalPolicy(nano.model, nano.params, nano.tokenizer, rollout)


def batch_of(policy, prompts, groups, limit, pad=0):
    from semrep_jax.rollout.local import pad_prompts

    ids = np.full((len(groups), len(groups[0]), limit), pad, np.int32)
    mask = np.zeros(ids.shape, bool)
    sampled = np.zeros(ids.shape, np.float32)
    for b, group in enumerate(groups):
        for g, c in enumerate(group):
            size = len(c.token_ids)
            ids[b, g, :size], sampled[b, g, :size], mask[b, g, :size] = c.token_ids, c.logprobs, True
    prompt, length = pad_prompts([encode(p, policy.tokenizer) for p in prompts], 0, len(prompts), 96)
    advantage = np.ones(ids.shape[:2], np.float32)
    return RolloutBatch(prompt, length, ids, mask, sampled, advantage)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampled_logprobs_are_the_trainers_logprobs_of_the_tempered_distribution(policy, rollout, temperature):
    groups = policy.sample(PROMPTS, 3, temperature, jax.random.key(1))
    batch = batch_of(policy, PROMPTS, groups, rollout.max_new)
    logp, _ = jax.jit(lambda p: grpo.score(policy.model, p, batch, temperature, Layout.SHARED))(policy.params)
    np.testing.assert_allclose(np.asarray(logp)[batch.mask], batch.sampled[batch.mask], atol=2e-4)
    _, metrics = jax.jit(lambda p: grpo.loss(policy.model, p, batch, TrainConfig(), temperature))(policy.params)
    assert metrics["mismatch_max"] < 2e-4 and metrics["ratio_mean"] == pytest.approx(1.0, abs=1e-4)


def test_a_completion_does_not_depend_on_the_rest_of_its_group(policy):
    few = policy.sample(PROMPTS, 2, 1.0, jax.random.key(4))
    many = policy.sample(PROMPTS, 5, 1.0, jax.random.key(4))
    assert [[c.token_ids for c in g] for g in few] == [[c.token_ids for c in g[:2]] for g in many]


def test_a_completion_does_not_depend_on_later_prompts_of_its_batch(policy):
    alone = policy.sample(PROMPTS[:1], 2, 1.0, jax.random.key(4), rows=2)
    both = policy.sample(PROMPTS, 2, 1.0, jax.random.key(4), rows=2)
    assert [c.token_ids for c in alone[0]] == [c.token_ids for c in both[0]]


def test_prompts_that_are_encoded_already_give_the_same_completions(policy):
    ids = [encode(prompt, policy.tokenizer) for prompt in PROMPTS]
    given = policy.sample(PROMPTS, 2, 1.0, jax.random.key(4), prompt_ids=ids)
    assert given == policy.sample(PROMPTS, 2, 1.0, jax.random.key(4))
    assert policy.sample(PROMPTS, 2, 1.0, jax.random.key(4), prompt_ids=ids[::-1]) != given  # they are what is used


def test_equal_keys_repeat_and_other_keys_differ(policy):
    first, again, other = (policy.sample(PROMPTS, 3, 1.0, jax.random.key(k)) for k in (1, 1, 2))
    assert first == again != other


def test_a_completion_stops_at_its_first_end_token_and_says_so(policy, rollout):
    groups = policy.sample(PROMPTS * 3, 3, 1.0, jax.random.key(2))
    for completion in (c for g in groups for c in g):
        ends = [i for i, token in enumerate(completion.token_ids) if token == policy.tokenizer.end_id]
        if completion.finish is Finish.STOP:
            assert ends == [len(completion.token_ids) - 1]
        else:
            assert not ends and len(completion.token_ids) == rollout.max_new
        assert len(completion.logprobs) == len(completion.token_ids) and max(completion.logprobs) <= 0
    assert any(c.finish is Finish.STOP for g in groups for c in g)


def test_a_prompt_too_long_is_counted_and_gives_nothing(policy):
    groups = policy.sample([PROMPTS[0], rewrite(python("x + " * 200))], 2, 1.0, jax.random.key(0))
    assert [c.finish for c in groups[1]] == [Finish.PROMPT_TOO_LONG] * 2 and groups[1][0].text == ""
    assert groups[0][0].token_ids


def test_usage_counts_a_groups_prompt_once(policy):
    policy.usage = Usage()
    groups = policy.sample(PROMPTS, 3, 1.0, jax.random.key(0))
    assert policy.usage.rollouts == 6
    assert policy.usage.prompt_tokens == sum(len(encode(p, policy.tokenizer)) for p in PROMPTS)
    assert policy.usage.completion_tokens == sum(len(c.token_ids) for g in groups for c in g)
    assert policy.usage.tokens == sum(c.tokens for g in groups for c in g)


def test_a_low_temperature_is_nearly_greedy(policy):
    groups = policy.sample(PROMPTS, 4, 0.01, jax.random.key(0))
    assert all(len({c.token_ids for c in g}) == 1 for g in groups)


def test_a_completion_that_outgrows_its_cache_goes_on_as_the_trainer_has_it(tiny, rollout, monkeypatch):
    monkeypatch.setattr("semrep_jax.rollout.local.FIRST_CACHE", 8)
    assert cache_sizes(rollout.max_new) == [8, 16, 24]
    policy = LocalPolicy(tiny.model, tiny.params, tiny.tokenizer, rollout)
    prompts = [rewrite(python(f"x = {i}")) for i in range(5)]  # a batch that no other test has compiled
    groups = policy.sample(prompts, 3, 1.0, jax.random.key(1))
    assert max(len(c.token_ids) for g in groups for c in g) == 24
    batch = batch_of(policy, prompts, groups, rollout.max_new)
    logp, _ = jax.jit(lambda p: grpo.score(policy.model, p, batch, 1.0, Layout.SHARED))(policy.params)
    np.testing.assert_allclose(np.asarray(logp)[batch.mask], batch.sampled[batch.mask], atol=2e-4)
