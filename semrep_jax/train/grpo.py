"""Group-relative policy optimisation: advantages from a group's rewards, and the clipped loss on its tokens.

References: GRPO (arXiv 2402.03300), Dr.GRPO (2503.20783), DAPO's clip-higher and token mean (2503.14476), RLOO (2402.14740),
truncated importance sampling (fengyao.notion.site, 2025). Losses are (sum, denominator), divided once. Masks are by
position; reductions use `where`, so nothing in the padding can leak, not even NaN.
Axis letters: B prompts, G completions of each, T completion tokens.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semrep_jax.model.decoder import Decoder, Model
from semrep_jax.model.logprobs import token_logprobs
from semrep_jax.train.settings import KL, Advantage, Correction, Layout, Reduction, TrainConfig


def advantages(rewards_BG: np.ndarray, correct_BG: np.ndarray, kind: Advantage) -> tuple[np.ndarray, np.ndarray]:
    """Advantages [B, G] and which groups [B] count.

    A group without one raw-correct member is dropped: its rewards differ only by the shaping (it compiles, it is novel), and
    dividing by their tiny spread would turn noise into a full-size gradient. A group of equal rewards is dropped too.
    """
    keep_B = correct_BG.any(axis=1) & (np.ptp(rewards_BG, axis=1) > 1e-9)
    mean = rewards_BG.mean(axis=1, keepdims=True)
    centred = rewards_BG - mean
    if kind is Advantage.GROUP_STD:
        centred = centred / (rewards_BG.std(axis=1, keepdims=True) + 1e-6)
    elif kind is Advantage.RLOO:
        group = rewards_BG.shape[1]
        centred = centred * group / (group - 1)
    return np.where(keep_B[:, None], centred, 0.0).astype(np.float32), keep_B


def reduce(value_BGT: jax.Array, mask_BGT: jax.Array, kind: Reduction) -> tuple[jax.Array, jax.Array]:
    """(sum, denominator) of per-token values under the mask.

    token_mean: all tokens alike. seq_mean: the mean of each completion, then over completions. const_length (Dr.GRPO): the
    sum over B' T, B' the completions that count, T the padded limit, so a completion's length does not scale its gradient.
    """
    if kind is Reduction.TOKEN_MEAN:
        return jnp.sum(value_BGT, where=mask_BGT), jnp.sum(mask_BGT)
    alive_BG = jnp.any(mask_BGT, axis=-1)
    if kind is Reduction.CONST_LENGTH:
        return jnp.sum(value_BGT, where=mask_BGT), jnp.sum(alive_BG) * mask_BGT.shape[-1]
    lengths = jnp.maximum(jnp.sum(mask_BGT, axis=-1), 1)
    return jnp.sum(jnp.sum(value_BGT, axis=-1, where=mask_BGT) / lengths, where=alive_BG), jnp.sum(alive_BG)


def score(
    model: Model, params: Any, batch: dict[str, jax.Array], temperature: float, layout: Layout
) -> tuple[jax.Array, jax.Array]:
    """The trainer's log p and entropy [B, G, T] of every completion token."""
    bound = model.bind(params)
    hidden = (bound.shared if layout is Layout.SHARED else partial(_repeated, bound))(
        batch["prompt"], batch["length"], batch["completion"]
    )
    return token_logprobs(hidden, bound.head(), batch["completion"], temperature, bound.chunk)


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
    model: Model, params: Any, batch: dict[str, jax.Array], config: TrainConfig, temperature: float
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The clipped objective, to be minimised, and its metrics.

    `batch` holds prompt [B, P], length [B], completion [B, G, T], mask [B, G, T], advantage [B, G], sampled [B, G, T] (the
    sampler's log-probs), and where asked for `old` (the trainer's before the update) and `reference` (the base's).
    """
    logp, entropy = score(model, params, batch, temperature, config.layout)
    mask, advantage = batch["mask"], batch["advantage"][..., None]
    old = batch["old"] if config.correction is Correction.TIS else batch["sampled"]
    ratio = jnp.exp(jnp.where(mask, logp - old, 0.0))
    clipped = jnp.clip(ratio, 1.0 - config.clip_low, 1.0 + config.clip_high)
    objective = jnp.minimum(ratio * advantage, clipped * advantage)
    if config.correction is Correction.TIS:
        objective *= jnp.minimum(jnp.exp(jnp.where(mask, old - batch["sampled"], 0.0)), config.tis_cap)
    total, count = reduce(-objective, mask, config.reduction)
    value = total / jnp.maximum(count, 1)
    metrics = {
        "entropy": _mean(entropy, mask),
        "ratio_mean": _mean(ratio, mask),
        "ratio_max": jnp.max(ratio, where=mask, initial=0.0),
        "clipped_low": _mean((ratio < 1.0 - config.clip_low) & (advantage < 0), mask),
        "clipped_high": _mean((ratio > 1.0 + config.clip_high) & (advantage > 0), mask),
        "loss": value,
    }
    if config.kl is KL.K3:
        gap = jnp.where(mask, batch["reference"] - logp, 0.0)
        kl, _ = reduce(jnp.expm1(gap) - gap, mask, config.reduction)
        value += config.kl_weight * kl / jnp.maximum(count, 1)
        metrics["kl"] = kl / jnp.maximum(count, 1)
    gap = jnp.abs(jnp.where(mask, logp - batch["sampled"], 0.0))
    metrics["mismatch_mean"], metrics["mismatch_max"] = _mean(gap, mask), jnp.max(gap)
    metrics["mismatch_p95"] = jnp.nanpercentile(jnp.where(mask, gap, jnp.nan), 95)
    return value, {k: jnp.nan_to_num(v) for k, v in metrics.items()}


def _mean(value: jax.Array, mask: jax.Array) -> jax.Array:
    return jnp.sum(value, where=mask) / jnp.maximum(jnp.sum(mask), 1)
