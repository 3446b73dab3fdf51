"""A step of the trainer where nothing counts, where prompts do not fit, where nothing could be judged."""

from __future__ import annotations

from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from semrep_jax.core.errors import NonFiniteError
from semrep_jax.core.programs import Program
from semrep_jax.core.stop import Stop
from semrep_jax.prompts import rewrite
from semrep_jax.python import PYTHON
from semrep_jax.rewards import RewardConfig
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.settings import Engine, RolloutConfig
from semrep_jax.sandbox.pool import Observation, SandboxError
from semrep_jax.tasks.generated.generator import Generator
from semrep_jax.train import judging
from semrep_jax.train.budget import TRANSFORM, Budget
from semrep_jax.train.checkpoint import Restored
from semrep_jax.train.fits import NothingFits
from semrep_jax.train.settings import EmptyBatch, TrainConfig
from semrep_jax.train.stages import transform_stage
from semrep_jax.train.step_record import Clock
from semrep_jax.train.trainer import NothingJudged, Recipe, Trainer
from semrep_jax.verify import Verifier


@pytest.fixture
def made(tiny, verifier, tmp_path):
    """A trainer of a random model, which never writes a program."""

    def make(rollout: RolloutConfig | None = None, judge: Verifier = verifier, **train: object) -> Trainer:
        tasks = list(islice(Generator(seed=2).tasks(), 8))
        stages = {TRANSFORM: transform_stage(tasks, RewardConfig(), uses_rewrite=False)}
        rollout = rollout or RolloutConfig(prompts=2, group=2, max_prompt=192, bucket=192, max_new=8)
        setting = TrainConfig(budget=4, alpha=0, weight_decay=0.5, learning_rate=0.1, warmup=0, **train)
        recipe = Recipe(0, rollout, RewardConfig(), setting, {"seed": 0})
        return Trainer(recipe, stages, Budget(4, 0.0), tiny, judge, tmp_path, Stop())

    return make


@pytest.mark.parametrize(
    ("rule", "batches", "moves"),
    [
        (EmptyBatch.STEP, 1, True),
        (EmptyBatch.SKIP, 1, False),
        (EmptyBatch.RESAMPLE, 3, False),
        (EmptyBatch.RETRY, 1, False),
    ],
)
def test_an_empty_batch_is_what_its_rule_makes_of_it(made, rule, batches, moves):
    one = made(empty_batch=rule)
    before = jax.device_get(one.arrays["params"])
    metrics = one.step().metrics
    moved = any(
        not np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (before, one.arrays["params"])), strict=True)
    )
    assert (metrics["empty_batches"], metrics["rollouts"], moved) == (batches, 4 * batches, moves)
    assert one.budget.used == 1 and metrics["kept_groups"] == 0
    assert len(one.draws[TRANSFORM].waiting) == (2 if rule is EmptyBatch.RETRY else 0)


def test_a_step_of_the_budget_that_takes_no_update_moves_the_learning_rate_all_the_same(made):
    one = made(empty_batch=EmptyBatch.SKIP)
    one.step()
    counts = []
    update = one.updates[TRANSFORM]

    def noted(state, *rest):
        nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, optax.ScaleByScheduleState))
        counts.extend(int(node.count) for node in nodes if isinstance(node, optax.ScaleByScheduleState))
        return update(state, *rest)

    one.updates[TRANSFORM] = noted
    one._update(one._on_devices(one._draw(one.stages[TRANSFORM], jax.random.key(0), Clock()).host))
    assert counts == [1] and one.budget.used == 2


def test_a_step_by_continuous_batching_is_the_same_twice_and_judges_in_pieces(made, monkeypatch):
    rollout = RolloutConfig(prompts=4, group=2, max_prompt=192, bucket=192, max_new=8, engine=Engine.CONTINUOUS, rows=3)
    calls = []
    real = Verifier.verify_all

    def counted(self, pairs, *how):
        calls.append(len(pairs))
        return real(self, pairs, *how)

    monkeypatch.setattr(Verifier, "verify_all", counted)
    found = []
    for _ in range(2):
        one = made(rollout, empty_batch=EmptyBatch.STEP)
        metrics = one.step().metrics
        found.append({k: v for k, v in metrics.items() if not k.startswith(("times/", "perf/", "process/"))})
    assert found[0] == found[1] and found[0]["rollouts"] == 8
    assert calls == [2] * 8  # a group is a piece


def test_a_retried_prompt_comes_back_and_its_wait_is_in_the_checkpoint(made):
    one = made(empty_batch=EmptyBatch.RETRY)
    first = one.draws[TRANSFORM].take()
    one.draws[TRANSFORM].put_back(first)
    other = made(empty_batch=EmptyBatch.RETRY)
    other.draws[TRANSFORM].set_state(one.record()["draws"][TRANSFORM])
    assert other.draws[TRANSFORM].take()[0] == first[0]


def test_a_stage_of_prompts_that_are_all_too_long_is_refused_before_its_first_step(made):
    one = made(RolloutConfig(prompts=2, group=2, max_prompt=16, bucket=16, max_new=8))
    with pytest.raises(
        NothingFits, match=r"rollout\.max_prompt: all 8 prompts of stage transform .* 16 tokens \(\d+ to"
    ):
        one.run()
    assert not one.policy.usage.rollouts


class Broken:
    """A sandbox that can't run anything any more."""

    def map(self, function, items):
        return map(function, items)

    def run(self, *request):
        raise SandboxError("the sandbox does not start")


class Blind(Broken):
    """One whose processes all die."""

    patience = 1

    def run(self, *request):
        return Observation(died="timeout", fault="its process has died")


@pytest.mark.parametrize("broken", [Broken(), Blind()], ids=["does not start", "dies"])
def test_a_batch_of_which_nothing_could_be_judged_ends_the_run_as_a_fault_of_ours(made, monkeypatch, broken):
    monkeypatch.setattr(judging, "program_of", lambda completion, language: Program(PYTHON, "def f(x): return x"))
    with pytest.raises(NothingJudged, match="none of 4 programs could be judged") as error:
        made(judge=Verifier(broken)).step()
    assert error.value.exit_code == 1


def test_the_last_weights_of_a_run_are_looked_at_though_nobody_samples_with_them(made):
    one = made(empty_batch=EmptyBatch.STEP)
    one.budget.used = 3
    update = one.updates[TRANSFORM]

    def overflowing(*arguments):
        arrays, out = update(*arguments)
        return {**arrays, "params": jax.tree.map(lambda x: x + 1e18, arrays["params"])}, out

    one.updates[TRANSFORM], overflowing._cache_size = overflowing, update._cache_size
    with pytest.raises(NonFiniteError, match=r"step 3: the log-probs under the new weights .*train\.learning_rate"):
        one.step()


def test_a_policy_whose_log_probs_are_nan_is_said_to_be_wherever_it_samples(tiny):
    params = jax.tree.map(lambda x: x * 1e18, tiny.params)
    policy = LocalPolicy(tiny.model, params, tiny.tokenizer, RolloutConfig(max_prompt=96, bucket=96, max_new=8))
    with pytest.raises(NonFiniteError, match="log-probs are NaN or infinite"):
        policy.sample([rewrite(Program(PYTHON, "x = 1"))], 2, 1.0, jax.random.key(0))


def test_the_drift_is_measured_where_a_batch_of_several_steps_passes_a_multiple(made):
    one = made(empty_batch=EmptyBatch.STEP, epochs=2, drift_every=3)
    assert ["kl_to_base" in one.step().metrics for _ in range(2)] == [True, True]  # steps 0 and 1, 2 and 3


def test_steps_left_out_in_a_row_are_counted_across_a_resume(made):
    one, other = made(), made()
    one.watch.in_a_row = 7
    other.resume(Restored(0, one.arrays, one.record()))
    assert other.watch.in_a_row == 7


def test_ratio_and_clipping_are_of_all_updates_on_a_batch_and_the_rest_of_the_first(made):
    one = made(epochs=3, empty_batch=EmptyBatch.STEP)
    clipped, largest, loss = iter([0.0, 0.1, 0.5]), iter([1.0, 3.0, 2.0]), iter([7.0, 8.0, 9.0])
    update = one.updates[TRANSFORM]

    def counted(*arguments):
        arrays, out = update(*arguments)
        seen = {"clipped_high": next(clipped), "ratio_max": next(largest), "loss": next(loss)}
        return arrays, out | {name: jnp.float32(value) for name, value in seen.items()}

    counted._cache_size = update._cache_size
    one.updates[TRANSFORM] = counted
    metrics = one.step().metrics
    assert (metrics["clipped_high"], metrics["ratio_max"], metrics["loss"]) == pytest.approx((0.2, 3.0, 7.0))
    assert one.budget.used == 3
