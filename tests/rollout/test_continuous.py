"""Continuous batching as a policy: the draws of the other engine, whoever else is decoded, told as they end."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import chain

import jax
import pytest
from conftest import python

from semrep_jax.core.programs import Finish
from semrep_jax.prompts import encode, rewrite
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.settings import Engine, RolloutConfig

SOURCES = ["def f(x):\n    return x", "def run(xs):\n    return sum(xs)", "x = 1", "def g(a, b):\n    return a * b + 1"]
PROMPTS = [rewrite(python(source)) for source in SOURCES]


@pytest.fixture(scope="module")
def policies(nano):
    """The nano base by each engine, and by continuous batching of one row more."""

    def by(engine: Engine, rows: int = 3) -> LocalPolicy:
        setting = RolloutConfig(max_prompt=96, bucket=48, max_new=20, engine=engine, rows=rows)
        return LocalPolicy(nano.model, nano.params, nano.tokenizer, setting)

    return by(Engine.BATCH), by(Engine.CONTINUOUS)


def test_both_engines_make_the_same_draws_and_count_the_same_cost(policies):
    batch, continuous = policies
    asked = (PROMPTS, 3, 1.0, jax.random.key(5), 2)
    theirs, ours = batch.sample(*asked), continuous.sample(*asked)
    assert [[(c.token_ids, c.text, c.finish, c.tokens) for c in group] for group in ours] == [
        [(c.token_ids, c.text, c.finish, c.tokens) for c in group] for group in theirs
    ]
    for one, other in zip(chain(*ours), chain(*theirs), strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    assert continuous.usage == batch.usage and continuous.usage.rollouts == 12
    assert {c.finish for c in chain(*ours)} == {Finish.STOP, Finish.LENGTH}


def test_a_completion_has_the_same_bits_whoever_is_decoded_beside_it(policies):
    _, policy = policies
    key = jax.random.key(7)
    together = policy.sample(PROMPTS, 4, 1.0, key, rows=1)
    alone = [policy.sample([prompt], 1, 1.0, key, rows=1)[0][0] for prompt in PROMPTS[:1]]
    assert [group[0] for group in together[:1]] == alone  # the log-probs too, to the bit
    assert policy.sample(PROMPTS[:2], 2, 1.0, key, rows=1) == [group[:2] for group in together[:2]]


def test_a_temperature_near_0_takes_the_likeliest_tokens(policies):
    """Logits that are divided by 1e-9 are mere rounding: other tokens came, with log-probs above 0."""
    _, policy = policies
    key = jax.random.key(2)
    greedy = policy.sample(PROMPTS[:2], 2, 0.0, key)
    for temperature in (1e-4, 1e-9, 1e-37):
        assert policy.sample(PROMPTS[:2], 2, temperature, key) == greedy


def test_nothing_of_a_call_that_was_broken_off_comes_up_in_the_next(policies):
    _, policy = policies
    key = jax.random.key(9)
    whole = policy.sample(PROMPTS, 3, 1.0, key)

    def interrupt(place, group):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        policy.sample(PROMPTS, 3, 1.0, jax.random.key(1), finished=interrupt)
    told = []
    assert policy.sample(PROMPTS, 3, 1.0, key, finished=lambda place, group: told.append(place)) == whole
    assert sorted(told) == list(range(len(PROMPTS)))


def test_other_parameters_draw_other_completions_and_the_old_ones_the_old(policies):
    _, policy = policies
    kept, key = policy.params, jax.random.key(1)
    first = policy.sample(PROMPTS[:1], 2, 1.0, key)
    policy.params = jax.tree.map(lambda x: x * 0.5, kept)
    other = policy.sample(PROMPTS[:1], 2, 1.0, key)
    policy.params = kept
    assert policy.sample(PROMPTS[:1], 2, 1.0, key) == first != other


def test_each_prompt_is_told_of_once_with_what_is_returned(policies):
    for policy in policies:
        long = rewrite(python("x + " * 200))
        assert len(encode(long, policy.tokenizer)) > 96
        told = {}

        def finished(place, completions, told=told):
            assert place not in told
            told[place] = list(completions)

        groups = policy.sample([*PROMPTS, long], 2, 1.0, jax.random.key(2), finished=finished)
        assert [told[place] for place in range(5)] == groups
        assert [c.finish for c in groups[4]] == [Finish.PROMPT_TOO_LONG] * 2
        assert all(c.token_ids for group in groups[:4] for c in group)


ON_FOUR_DEVICES = """
import sys
import jax
from semrep_jax.core.programs import Program
from semrep_jax.model import pretrained, sharding
from semrep_jax.prompts import rewrite
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.settings import RolloutConfig

setting = RolloutConfig(max_prompt=96, bucket=96, max_new=8, engine="continuous", rows=4)
drawn = []
for mesh in (sharding.build(), sharding.build(data=2, tensor=2)):
    loaded = pretrained.load(sys.argv[1], mesh)
    policy = LocalPolicy(loaded.model, loaded.params, loaded.tokenizer, setting)
    groups = policy.sample([rewrite(Program("python", f"x = {i}")) for i in range(3)], 2, 1.0, jax.random.key(0))
    drawn.append([[completion.token_ids for completion in group] for group in groups])
    print(len(policy._continuous.slots.decoding.rows.t_R.sharding.device_set))
print(drawn[0] == drawn[1])
"""


def test_rows_spread_over_devices_draw_the_same(tiny_directory):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    command = [sys.executable, "-c", ON_FOUR_DEVICES, str(tiny_directory)]
    done = subprocess.run(command, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "4", "True"], done.stderr
