"""Group-relative policy optimisation: the clipped loss on a group's tokens.

References: GRPO (arXiv 2402.03300), Dr.GRPO (2503.20783), DAPO's clip-higher and token mean (2503.14476), RLOO
(2402.14740), truncated importance sampling (fengyao.notion.site, 2025). Where we depart: groups without a raw-correct
member are dropped (`advantages`), losses are (sum, denominator) and divided once, masks are by position, and reductions
use `where`, so that nothing in the padding can leak, not even NaN. Axis letters: B prompts, G completions of each, T
completion tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from semrep_jax.model.decoder import Decoder, Model
from semrep_jax.model.logprobs import token_logprobs
from semrep_jax.train.batch import RolloutBatch
from semrep_jax.train.settings import KL, Correction, Layout, Reduction, TrainConfig

Reduced = tuple[jax.Array, jax.Array]  # a sum and what it is to be divided by


def token_mean(value_BGT: jax.Array, mask_BGT: jax.Array) -> Reduced:
    """All tokens alike."""
    return jnp.sum(value_BGT, where=mask_BGT), jnp.sum(mask_BGT)


def seq_mean(value_BGT: jax.Array, mask_BGT: jax.Array) -> Reduced:
    """The mean of each completion, then over the completions that count."""
    alive_BG = jnp.any(mask_BGT, axis=-1)
    length_BG = jnp.maximum(jnp.sum(mask_BGT, axis=-1), 1)
    return jnp.sum(jnp.sum(value_BGT, axis=-1, where=mask_BGT) / length_BG, where=alive_BG), jnp.sum(alive_BG)


def const_length(value_BGT: jax.Array, mask_BGT: jax.Array) -> Reduced:
    """Dr.GRPO: the sum over B' T, B' the completions that count, T the padded limit; a completion's length does not
    scale its gradient."""
    alive_BG = jnp.any(mask_BGT, axis=-1)
    return jnp.sum(value_BGT, where=mask_BGT), jnp.sum(alive_BG) * mask_BGT.shape[-1]


REDUCTIONS: dict[Reduction, Callable[[jax.Array, jax.Array], Reduced]] = {
    Reduction.TOKEN_MEAN: token_mean,
    Reduction.SEQ_MEAN: seq_mean,
    Reduction.CONST_LENGTH: const_length,
}


def score(
    model: Model, params: Any, batch: RolloutBatch, temperature: float, layout: Layout
) -> tuple[jax.Array, jax.Array]:
    """The trainer's log p and entropy (nats), float32 [B, G, T] both, of every completion token.

    temperature: the sampler's; layout: whether a group's prompt is computed once or repeated.
    """
    bound = model.bind(params)
    hidden_of = bound.shared if layout is Layout.SHARED else partial(_repeated, bound)
    hidden = hidden_of(batch.prompt, batch.length, batch.completion)
    return token_logprobs(hidden, bound.head(), batch.completion, temperature, bound.chunk)


def _repeated(bound: Decoder, prompt_BP: jax.Array, length_B: jax.Array, completion_BGT: jax.Array) -> jax.Array:
    """What `Decoder.shared` gives, with the prompt repeated before every completion (the plain layout)."""
    (batch, group, size), width = completion_BGT.shape, prompt_BP.shape[1]
    rows = batch * group
    tokens = jnp.concatenate([jnp.repeat(prompt_BP, group, axis=0), completion_BGT.reshape(rows, size)], axis=1)
    length = jnp.repeat(length_B, group)[:, None]
    inside = jnp.arange(width)[None] < length
    positions = jnp.concatenate([jnp.where(inside, jnp.arange(width), 0), length + jnp.arange(size)], axis=1)
    segments = jnp.concatenate([inside, jnp.ones((rows, size), bool)], axis=1).astype(jnp.int32)
    hidden = bound.hidden(tokens, positions, segments)
    before = jnp.take_along_axis(hidden, length[:, :, None] - 1, axis=1)
    return jnp.concatenate([before, hidden[:, width:-1]], axis=1).reshape(batch, group, size, -1)


def loss(
    model: Model, params: Any, batch: RolloutBatch, config: TrainConfig, temperature: float
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The clipped objective, to be minimised, and its metrics (scalars).

    params: all of the policy's. config: clipping, reduction, penalty, correction. temperature: the sampler's.
    """
    logp, entropy = score(model, params, batch, temperature, config.layout)
    return objective(logp, batch, config, denominator(batch, config)), summary(logp, entropy, batch, config)


def denominator(batch: RolloutBatch, config: TrainConfig) -> jax.Array:
    """What a batch's sums are divided by, float32 and at least 1; it depends on the masks alone."""
    _, count = REDUCTIONS[config.reduction](jnp.zeros(batch.mask.shape), batch.mask)
    return jnp.maximum(count, 1).astype(jnp.float32)


def objective(logp: jax.Array, batch: RolloutBatch, config: TrainConfig, count: jax.Array) -> jax.Array:
    """The loss of a batch, or of a piece of one, penalty included: the pieces' add up to the whole batch's.

    logp: [B, G, T] float32, the trainer's. config: clipping, reduction, penalty, correction. count: `denominator` of
    the whole batch.
    """
    reduce = REDUCTIONS[config.reduction]
    value = reduce(-_clipped(logp, batch, config), batch.mask)[0] / count
    if config.kl is KL.K3:
        value += config.kl_weight * reduce(k3(logp, batch.reference, batch.mask), batch.mask)[0] / count
    return value


def k3(logp: jax.Array, reference: jax.Array, mask: jax.Array) -> jax.Array:
    """Schulman's estimate of KL(policy || reference) at each sampled token [B, G, T] (nats): never below zero, 0 where
    `mask` is false."""
    gap = jnp.where(mask, reference - logp, 0.0)
    return jnp.expm1(gap) - gap


def _old(batch: RolloutBatch, config: TrainConfig) -> jax.Array:
    """The log-probs that the policy's are compared with [B, G, T]."""
    return batch.old if config.correction is Correction.TIS else batch.sampled


def _clipped(logp: jax.Array, batch: RolloutBatch, config: TrainConfig) -> jax.Array:
    """The clipped objective of each token [B, G, T], to be maximised."""
    mask, advantage, old = batch.mask, batch.advantage[..., None], _old(batch, config)
    ratio = jnp.exp(jnp.where(mask, logp - old, 0.0))
    clipped = jnp.clip(ratio, 1.0 - config.clip_low, 1.0 + config.clip_high)
    value = jnp.minimum(ratio * advantage, clipped * advantage)
    if config.correction is Correction.TIS:
        value *= jnp.minimum(jnp.exp(jnp.where(mask, old - batch.sampled, 0.0)), config.tis_cap)
    return value


def summary(logp: jax.Array, entropy: jax.Array, batch: RolloutBatch, config: TrainConfig) -> dict[str, jax.Array]:
    """The metrics of a batch (scalars). logp, entropy: [B, G, T] float32, the trainer's.

    batch: with mask, advantages and the sampler's log-probs. config: the objective's settings.
    """
    reduce, mask, advantage = REDUCTIONS[config.reduction], batch.mask, batch.advantage[..., None]
    ratio = jnp.exp(jnp.where(mask, logp - _old(batch, config), 0.0))
    count = denominator(batch, config)
    metrics = {
        "entropy": _mean(entropy, mask),
        "ratio_mean": _mean(ratio, mask),
        "ratio_max": jnp.max(ratio, where=mask, initial=0.0),
        "clipped_low": _mean((ratio < 1.0 - config.clip_low) & (advantage < 0), mask),
        "clipped_high": _mean((ratio > 1.0 + config.clip_high) & (advantage > 0), mask),
        "loss": reduce(-_clipped(logp, batch, config), mask)[0] / count,
    }
    if config.kl is KL.K3:
        metrics["kl"] = reduce(k3(logp, batch.reference, mask), mask)[0] / count
    return metrics | _mismatch(logp, batch)


def _mismatch(logp: jax.Array, batch: RolloutBatch) -> dict[str, jax.Array]:
    """How far the trainer's log-probs are from the sampler's (nats): mean, maximum, 95th percentile."""
    gap = jnp.abs(jnp.where(batch.mask, logp - batch.sampled, 0.0))
    return {
        "mismatch_mean": _mean(gap, batch.mask),
        "mismatch_max": jnp.max(gap),
        "mismatch_p95": jnp.where(jnp.any(batch.mask), jnp.nanpercentile(jnp.where(batch.mask, gap, jnp.nan), 95), 0.0),
    }


def _mean(value: jax.Array, mask: jax.Array) -> jax.Array:
    return jnp.sum(value, where=mask) / jnp.maximum(jnp.sum(mask), 1)
