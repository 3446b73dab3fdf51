"""Attention of one query a completion to cached keys: what `attention.attend_cached` computes, on a CPU.

It reads no more of a cache than may be seen (one that is not float32 is converted first, all of it, at every call),
and gives a completion the same bits whatever is beside it. Needs
`library.usable()`. Axis letters as in `attention`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def attend(
    q_BGNH: jax.Array,
    prompt: tuple[jax.Array, jax.Array],
    prompt_mask_BP: jax.Array,
    own: tuple[jax.Array, jax.Array],
    own_mask_BS: jax.Array,
    live_BG: jax.Array | None = None,
) -> jax.Array:
    """[B, G, N, H], of the dtype of the values.

    prompt: its keys [B, K, H, P] and values [B, K, P, H]. own: those of the completions, [B, G, K, H, S] and
    [B, G, K, S, H]. Masks: what a query may see, one place at least. live_BG: the completions that count, None where
    all do; the others come out 0 and cost nothing.
    """
    floats = [x.astype(jnp.float32) for x in (q_BGNH, *prompt, *own)]
    out = jax.ShapeDtypeStruct(q_BGNH.shape, jnp.float32)
    call = jax.ffi.ffi_call("semrep_to_cached", out)
    live_BG = jnp.zeros((0, 0), bool) if live_BG is None else live_BG
    return call(*floats[:3], prompt_mask_BP, *floats[3:], own_mask_BS, live_BG).astype(own[1].dtype)
