"""Attention, with grouped key/value heads, in its two shapes.

`attend` is plain masked attention. `attend_shared` is the attention of G completions that share one prompt: the
prompt's keys and values exist once a group and are never repeated, in the rollout and in the update alike.
Axis letters: B batch, G group, T queries, S own keys, P prompt keys, N heads, K kv heads, R = N/K, M = R T, H head size.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

_NEVER = -1e30


def _heads_first(q: jax.Array, kv_heads: int) -> jax.Array:
    """[..., T, N, H] to [..., K, R T, H]: queries that share a key head become rows of one matrix product."""
    *lead, length, heads, size = q.shape
    q = jnp.moveaxis(q.reshape(*lead, length, kv_heads, heads // kv_heads, size), -4, -2)
    return q.reshape(*lead, kv_heads, heads // kv_heads * length, size)


def _heads_last(out: jax.Array, length: int) -> jax.Array:
    """The inverse of `_heads_first`: [..., K, R T, H] to [..., T, N, H]."""
    *lead, kv_heads, rows, size = out.shape
    out = jnp.moveaxis(out.reshape(*lead, kv_heads, rows // length, length, size), -2, -4)
    return out.reshape(*lead, length, kv_heads * (rows // length), size)


def _scores(q: jax.Array, k: jax.Array) -> jax.Array:
    """Scaled products [..., K, M, S] in float32 of rows [..., K, M, H] with keys [..., S, K, H]."""
    keys = jnp.moveaxis(k, -3, -1)
    return jnp.matmul(q, keys, preferred_element_type=jnp.float32) * q.shape[-1] ** -0.5


def _mix(weights: jax.Array, v: jax.Array) -> jax.Array:
    """Weighted values [..., K, M, H] from weights [..., K, M, S] and values [..., S, K, H]."""
    return jnp.matmul(weights.astype(v.dtype), jnp.moveaxis(v, -2, -3))


def attend(q_BTNH: jax.Array, k_BSKH: jax.Array, v_BSKH: jax.Array, mask_BTS: jax.Array) -> jax.Array:
    """Softmax attention in float32; `mask_BTS` is True where a query may look. Returns [B, T, N, H]."""
    length, heads = q_BTNH.shape[1:3]
    kv_heads = k_BSKH.shape[2]
    scores = _scores(_heads_first(q_BTNH, kv_heads), k_BSKH)
    mask = jnp.tile(mask_BTS[:, None], (1, 1, heads // kv_heads, 1))
    weights = jax.nn.softmax(jnp.where(mask, scores, _NEVER), axis=-1)
    return _heads_last(_mix(weights, v_BSKH), length)


def attend_shared(
    q_BGTNH: jax.Array,
    prompt_k_BPKH: jax.Array,
    prompt_v_BPKH: jax.Array,
    prompt_mask_BP: jax.Array,
    k_BGSKH: jax.Array,
    v_BGSKH: jax.Array,
    mask_TS: jax.Array,
) -> jax.Array:
    """Softmax over the shared prompt and the completion's own keys together. Returns [B, G, T, N, H]."""
    batch, group, length, heads, size = q_BGTNH.shape
    kv_heads, prompt_length = prompt_k_BPKH.shape[2], prompt_k_BPKH.shape[1]
    q_BGKMH = _heads_first(q_BGTNH, kv_heads)
    rows = q_BGKMH.shape[3]
    by_prompt = jnp.moveaxis(q_BGKMH, 1, 2).reshape(batch, kv_heads, group * rows, size)
    past = jnp.moveaxis(_scores(by_prompt, prompt_k_BPKH).reshape(batch, kv_heads, group, rows, prompt_length), 1, 2)
    past = jnp.where(prompt_mask_BP[:, None, None, None], past, _NEVER)
    own = jnp.where(jnp.tile(mask_TS, (heads // kv_heads, 1)), _scores(q_BGKMH, k_BGSKH), _NEVER)
    weights = jax.nn.softmax(jnp.concatenate([past, own], axis=-1), axis=-1)
    past = jnp.moveaxis(weights[..., :prompt_length], 1, 2).reshape(batch, kv_heads, group * rows, prompt_length)
    out = jnp.moveaxis(_mix(past, prompt_v_BPKH).reshape(batch, kv_heads, group, rows, size), 1, 2)
    return _heads_last(out + _mix(weights[..., prompt_length:], v_BGSKH), length)
