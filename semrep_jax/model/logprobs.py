"""Token log-probabilities, chunked: never a [B, T, V] array. Sampler and trainer share the definition.

The distribution is softmax(logits / temperature) over the whole vocabulary, the one sampled from.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def log_softmax(hidden: jax.Array, head_DV: jax.Array, temperature: float | jax.Array) -> jax.Array:
    """log p [..., V] in float32 of the tempered distribution, from final hidden states [..., D]."""
    logits = jnp.einsum("...d,dv->...v", hidden, head_DV, preferred_element_type=jnp.float32)
    return jax.nn.log_softmax(logits / temperature, axis=-1)


def token_logprobs(
    hidden: jax.Array, head_DV: jax.Array, targets: jax.Array, temperature: float = 1.0, chunk: int = 1024
) -> tuple[jax.Array, jax.Array]:
    """log p(target) and entropy (nats), both of targets' shape, from hidden [..., D], `chunk` rows at a time."""
    rows, width = targets.size, hidden.shape[-1]
    size = min(chunk, rows)
    padded = -(-rows // size) * size
    flat = jnp.pad(hidden.reshape(rows, width), ((0, padded - rows), (0, 0))).reshape(-1, size, width)
    ids = jnp.pad(targets.reshape(rows), (0, padded - rows)).reshape(-1, size)

    @jax.checkpoint
    def one(piece: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        states, wanted = piece
        logp = log_softmax(states, head_DV, temperature)
        entropy = -jnp.sum(jnp.exp(logp) * logp, axis=-1)
        return jnp.take_along_axis(logp, wanted[:, None], axis=-1)[:, 0], entropy

    logp, entropy = jax.lax.map(one, (flat, ids))
    return logp.reshape(-1)[:rows].reshape(targets.shape), entropy.reshape(-1)[:rows].reshape(targets.shape)
