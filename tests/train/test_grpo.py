"""Advantages and the loss: what counts, what is dropped, what padding may not change."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semrep_jax.rewards import Term, terms_of
from semrep_jax.train import grpo
from semrep_jax.train.advantages import Scored, advantages
from semrep_jax.train.batch import RolloutBatch
from semrep_jax.train.settings import KL, Correction, Layout, Reduction, TrainConfig


def scored(rewards, correct, judged=None):
    """Groups whose rewards are bare numbers."""
    judged = np.ones_like(correct) if judged is None else judged
    return [
        [Scored(terms_of(float(r)), bool(c), bool(j)) for r, c, j in zip(*rows, strict=True)]
        for rows in zip(rewards, correct, judged, strict=True)
    ]


def test_an_all_wrong_group_is_dropped_however_its_rewards_are_shaped():
    rewards = np.array([[0.1, 0.0, 0.1, 0.0], [1.0, 0.1, 0.1, 0.0]])
    correct = np.array([[False] * 4, [True, False, False, False]])
    found = advantages(scored(rewards, correct), "group_std")
    assert found.keep.tolist() == [False, True] and not found.values[0].any() and found.values[1, 0] > 0


def test_a_group_of_equal_rewards_is_dropped():
    found = advantages(scored(np.ones((1, 4)), np.ones((1, 4), bool)), "group_std")
    assert not found.keep[0] and not found.values.any()


@pytest.mark.parametrize(
    ("kind", "want"),
    [("group_mean", [0.75, -0.25, -0.25, -0.25]), ("rloo", [1.0, -1 / 3, -1 / 3, -1 / 3])],
)
def test_advantages_match_their_definitions(kind, want):
    groups = scored(np.array([[1.0, 0, 0, 0]]), np.array([[True, False, False, False]]))
    np.testing.assert_allclose(advantages(groups, kind).values[0], want, atol=1e-6)
    assert advantages(groups, "group_std").values.std() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("kind", ["group_std", "group_mean", "rloo", "gdpo"])
@pytest.mark.parametrize("bare", [True, False])
def test_what_tells_right_programs_apart_moves_them_by_no_more_than_it_differs(kind, bare):
    extra = [0.0, 0.001, 0.004, 0.002]
    right = (Term("compiled", 0.1, 1.0), Term("preserve", 0.9, 1.0))
    groups = [[Scored(terms_of(1 + e) if bare else (*right, Term("speed", 1.0, e, shaping=True)), True) for e in extra]]
    found = advantages(groups, kind)
    assert found.keep[0]
    np.testing.assert_allclose(found.values[0], np.array(extra) - np.mean(extra), atol=1e-7)


def test_shaping_comes_after_the_scale_of_correctness_and_is_bounded():
    speeds, right = [1.0, 0.0, 1.0, 0.0], [True, True, False, False]
    groups = [
        [
            Scored((Term("edit", 1.0, float(ok)), Term("speed", weight, s * ok, shaping=True)), ok)
            for s, ok in zip(speeds, right, strict=True)
        ]
        for weight in (0.1, 40.0)
    ]
    small, large = advantages(groups, "group_std").values
    np.testing.assert_allclose(small, np.array([1, 1, -1, -1]) + 0.1 * np.array([0.75, -0.25, -0.25, -0.25]), atol=1e-4)
    np.testing.assert_allclose(large, np.array([1, 1, -1, -1]) + [0.5, -0.5, -0.5, -0.5], atol=1e-4)


def test_gdpo_normalises_each_term_on_its_own_where_the_sum_lets_the_large_one_hide_the_small():
    rows = [(1, 1), (1, 0), (0, 1), (0, 0)]
    groups = [[Scored((Term("edit", 0.9, e), Term("compiled", 0.1, c)), bool(e)) for e, c in rows]]
    edit, compiled = (np.array(v) * 2.0 - 1 for v in zip(*rows, strict=True))
    want = 0.9 * edit + 0.1 * compiled
    np.testing.assert_allclose(advantages(groups, "gdpo").values[0], want / want.std(), atol=1e-4)


@pytest.mark.parametrize("kind", ["group_std", "group_mean", "rloo", "gdpo"])
def test_a_member_that_nobody_could_judge_leaves_its_group_s_statistics(kind):
    rewards, correct = np.array([[1.0, 0.1, 0.1, 0.0]]), np.array([[True, False, False, False]])
    with_it = advantages(scored(rewards, correct, np.array([[True, True, True, False]])), kind)
    without = advantages(scored(rewards[:, :3], correct[:, :3]), kind)
    np.testing.assert_allclose(with_it.values[0], [*without.values[0], 0.0], atol=1e-6)
    assert with_it.counts.tolist() == [[True, True, True, False]]
    nobody = advantages(scored(rewards, correct, np.zeros((1, 4), bool)), kind)
    assert not nobody.keep[0] and not nobody.values.any()


def test_reductions_divide_by_tokens_by_completions_and_by_the_limit():
    value = jnp.array([[[1.0, 1.0, 9.0], [3.0, 9.0, 9.0]]])
    mask = jnp.array([[[True, True, False], [True, False, False]]])
    ratio = {k: (lambda s, d: float(s / d))(*grpo.REDUCTIONS[k](value, mask)) for k in Reduction}
    assert ratio[Reduction.TOKEN_MEAN] == pytest.approx(5 / 3)
    assert ratio[Reduction.SEQ_MEAN] == pytest.approx((1 + 3) / 2)
    assert ratio[Reduction.CONST_LENGTH] == pytest.approx(5 / (2 * 3))


@pytest.fixture
def batch(tiny):
    rng = np.random.default_rng(0)
    mask = np.zeros((2, 3, 6), bool)
    for b, g in np.ndindex(2, 3):
        mask[b, g, : rng.integers(1, 6)] = True
    return RolloutBatch(
        prompt=rng.integers(7, 60, (2, 8)),
        length=np.array([8, 5]),
        completion=rng.integers(7, 60, (2, 3, 6)),
        sampled=rng.normal(-3, 0.3, (2, 3, 6)).astype(np.float32),
        mask=mask,
        advantage=rng.normal(size=(2, 3)).astype(np.float32),
    )


@partial(jax.jit, static_argnums=(2, 3))
def _gradient(params, batch, model, setting):
    return jax.value_and_grad(lambda p: grpo.loss(model, p, batch, setting, 1.0), has_aux=True)(params)


def score(tiny, batch):
    return jax.jit(lambda p: grpo.score(tiny.model, p, batch, 1.0, Layout.SHARED))(tiny.params)


def gradient(tiny, batch, **changes):
    (value, metrics), grads = _gradient(tiny.params, batch, tiny.model, TrainConfig(**changes))
    return float(value), metrics, jnp.concatenate([g.ravel() for g in jax.tree.leaves(grads)])


@pytest.mark.parametrize("reduction", list(Reduction)[:2])
def test_padding_changes_neither_loss_nor_gradient_whatever_it_holds(tiny, batch, reduction):
    value, _, grads = gradient(tiny, batch, reduction=reduction)
    wide = {k: np.pad(getattr(batch, k), ((0, 0), (0, 0), (0, 4))) for k in ("completion", "mask", "sampled")}
    wide["sampled"][..., 6:] = np.nan
    wide["completion"][..., 6:] = 1
    wide["prompt"] = np.pad(batch.prompt, ((0, 0), (0, 5)), constant_values=3)
    other, _, others = gradient(tiny, replace(batch, **wide), reduction=reduction)
    assert other == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(grads, others, atol=1e-6)


def test_an_end_token_inside_the_mask_is_trained_even_where_it_equals_pad(tiny, batch):
    pad = tiny.tokenizer.pad_id
    batch.completion[0, 0], batch.mask[0, 0] = pad, [True, True, False, False, False, False]
    _, _, with_end = gradient(tiny, batch)
    batch.mask[0, 0, 1] = False
    _, _, without = gradient(tiny, batch)
    assert not np.allclose(with_end, without)


def test_a_dropped_group_leaves_no_trace_in_the_gradient(tiny, batch):
    batch.mask[1] = False
    _, _, dropped = gradient(tiny, batch)
    batch.completion[1] = 9
    batch.advantage[1] = 50.0
    np.testing.assert_array_equal(dropped, gradient(tiny, batch)[2])


def test_a_batch_with_nothing_kept_has_loss_and_gradient_zero_not_nan(tiny, batch):
    batch.mask[:] = False
    value, metrics, grads = gradient(tiny, batch)
    assert value == 0.0 and not np.asarray(grads).any() and all(np.isfinite(v) for v in metrics.values())


def test_on_policy_the_loss_is_the_plain_policy_gradient(tiny, batch):
    logp, _ = score(tiny, batch)
    batch.sampled = np.asarray(logp)
    _, metrics, grads = gradient(tiny, batch)

    def plain(params):
        logp, _ = grpo.score(tiny.model, params, batch, 1.0, Layout.SHARED)
        return -jnp.sum(logp * batch.advantage[..., None], where=batch.mask) / batch.mask.sum()

    want = jnp.concatenate([g.ravel() for g in jax.tree.leaves(jax.jit(jax.grad(plain))(tiny.params))])
    np.testing.assert_allclose(grads, want, atol=1e-6)
    assert metrics["mismatch_max"] < 1e-5 and metrics["clipped_low"] == metrics["clipped_high"] == 0


def test_beyond_the_clip_a_good_token_gets_no_more_gradient(tiny, batch):
    logp, _ = score(tiny, batch)
    batch.sampled, batch.advantage = np.asarray(logp) - 1.0, np.ones((2, 3), np.float32)
    _, metrics, grads = gradient(tiny, batch)
    assert metrics["clipped_high"] == pytest.approx(1.0) and not np.asarray(grads).any()


def test_k3_penalises_leaving_the_reference_and_tis_caps_the_weight(tiny, batch):
    logp, _ = score(tiny, batch)
    same = replace(batch, reference=np.asarray(logp), old=np.asarray(logp))
    _, metrics, _ = gradient(tiny, same, kl=KL.K3)
    assert float(metrics["kl"]) == pytest.approx(0.0, abs=1e-6)
    _, metrics, _ = gradient(tiny, replace(same, reference=np.asarray(logp) + 0.5), kl=KL.K3)
    assert float(metrics["kl"]) == pytest.approx(np.expm1(0.5) - 0.5, rel=1e-4)
    far = replace(same, sampled=np.asarray(logp) - 5.0, advantage=np.ones((2, 3), np.float32))
    value, _, _ = gradient(tiny, far, correction=Correction.TIS, tis_cap=2.0)
    assert value == pytest.approx(-2.0, rel=1e-4)
