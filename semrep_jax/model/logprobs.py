"""Token log-probabilities, chunked: never a [B, T, V] array. Sampler and trainer share the definition.

The distribution is softmax(logits / temperature) over the whole vocabulary, the one sampled from.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from semrep_jax.model.cpu import panels
from semrep_jax.model.cpu.panels import Panels

BLOCK = 256  # tokens of the vocabulary that are summed first
LEAST = 1e-6  # share of a block's mass that a draw stays away from its end


def logits_of(hidden: jax.Array, head: Panels | jax.Array) -> jax.Array:
    """Logits [..., V] in float32 from final hidden states [..., D]. head: the output projection, [V, D] or panels."""
    if isinstance(head, Panels):
        return panels.product(hidden, head)
    return jnp.einsum("...d,vd->...v", hidden, head, preferred_element_type=jnp.float32)


def sample_token(
    hidden: jax.Array,
    head: Panels | jax.Array,
    temperature: float | jax.Array,
    uniform: jax.Array,
    live: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """A token and its log p for each hidden state, by inverting the distribution function.

    hidden: [..., D], final. head: the output projection, as `logits_of` takes it. temperature: what logits are divided
    by. uniform: [...] in [0, 1), float32. live: [...], the states that count; what is drawn of the others means
    nothing. Returns int32 ids and float32 log-probs, both [...].

    One pass of exp over the vocabulary and two short cumulative sums, over blocks and within one: a Gumbel draw would
    need a random number and two logarithms for every token of the vocabulary, 30 times as much on a CPU. float32 sums
    resolve probabilities down to about 1e-7.
    """
    if isinstance(head, Panels) and live is not None:
        head = head.of_rows(live)
    logits = logits_of(hidden, head) / temperature
    size = logits.shape[-1]
    top = jnp.max(logits, axis=-1, keepdims=True)
    mass = jnp.exp(logits - top)
    blocks = -(-size // BLOCK)
    mass = jnp.pad(mass, [(0, 0)] * (mass.ndim - 1) + [(0, blocks * BLOCK - size)])
    mass = mass.reshape(*mass.shape[:-1], blocks, BLOCK)
    below = jnp.cumsum(jnp.sum(mass, axis=-1), axis=-1)
    total = below[..., -1]
    wanted = uniform * total
    block = jnp.minimum(jnp.sum(below <= wanted[..., None], axis=-1), blocks - 1)
    before = jnp.where(block > 0, _pick(below, jnp.maximum(block - 1, 0)), 0.0)
    within = jnp.cumsum(jnp.take_along_axis(mass, block[..., None, None], axis=-2)[..., 0, :], axis=-1)
    inside = jnp.sum(within <= jnp.minimum(wanted - before, within[..., -1] * (1 - LEAST))[..., None], axis=-1)
    token = jnp.minimum(block * BLOCK + jnp.minimum(inside, BLOCK - 1), size - 1)
    return token, _pick(logits, token) - top[..., 0] - jnp.log(total)


def _pick(values: jax.Array, index: jax.Array) -> jax.Array:
    """The value at `index` [...] of each row of `values` [..., V]."""
    return jnp.take_along_axis(values, index[..., None], axis=-1)[..., 0]


def token_logprobs(
    hidden: jax.Array, head_VD: jax.Array, targets: jax.Array, temperature: float = 1.0, chunk: int = 1024
) -> tuple[jax.Array, jax.Array]:
    """log p(target) and entropy in nats, float32 and of the targets' shape.

    hidden: [..., D], final. head_VD: the output projection. targets: ids [...]. temperature: what logits are divided
    by. chunk: rows of logits at a time.
    """
    rows, width = targets.size, hidden.shape[-1]
    size = min(chunk, rows)
    padded = -(-rows // size) * size
    flat = jnp.pad(hidden.reshape(rows, width), ((0, padded - rows), (0, 0))).reshape(-1, size, width)
    ids = jnp.pad(targets.reshape(rows), (0, padded - rows)).reshape(-1, size)

    @jax.checkpoint
    def one(piece: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        states, wanted = piece
        logp = jax.nn.log_softmax(logits_of(states, head_VD) / temperature, axis=-1)
        entropy = -jnp.sum(jnp.exp(logp) * logp, axis=-1)
        return _pick(logp, wanted), entropy

    logp, entropy = jax.lax.map(one, (flat, ids))
    return logp.reshape(-1)[:rows].reshape(targets.shape), entropy.reshape(-1)[:rows].reshape(targets.shape)
