"""The gradient of a batch, whole or piece by piece: memory for one piece, time for the pieces in which anything counts.

    grads, metrics = gradient(model, trained, frozen, batch, setting, temperature)

About half of a step's groups count for nothing: all right, or all wrong. `train.micro_batch: 2` computes two groups at
a time and leaves out the pieces without a token that counts; `make_batch` puts the groups that count into the first
pieces. One compiled program serves every number of them, so nothing is compiled again when that number changes. A sum
over pieces is the sum over the batch, and both are divided once by what the whole batch's masks say, so the gradient is
that of the whole batch up to rounding, whatever the reduction.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from semrep_jax.model.decoder import Model
from semrep_jax.train import grpo
from semrep_jax.train.batch import RolloutBatch
from semrep_jax.train.settings import TrainConfig

Metrics = dict[str, jax.Array]


def gradient(
    model: Model, trained: Any, frozen: Any, batch: RolloutBatch, config: TrainConfig, temperature: float
) -> tuple[Any, Metrics]:
    """The gradient of `grpo.loss` with respect to what is trained, and the loss's metrics (scalars).

    trained, frozen: the parameters as `Model.split` gives them. batch: of a multiple of `train.micro_batch` groups.
    config: the objective's settings. temperature: the sampler's.
    """
    rows = batch.mask.shape[0]
    size = config.micro_batch or rows
    if size >= rows:

        def whole(trained: Any) -> tuple[jax.Array, Metrics]:
            return grpo.loss(model, model.join(trained, frozen), batch, config, temperature)

        return jax.grad(whole, has_aux=True)(trained)
    pieces = rows // size
    # group b is row b // pieces of piece b % pieces: each piece is spread over the devices as the whole batch is
    split: RolloutBatch = jax.tree.map(lambda x: x.reshape(size, pieces, *x.shape[1:]), batch)
    count = grpo.denominator(batch, config)
    alive = split.mask.any(axis=(0, 2, 3))
    needed = jnp.max(jnp.where(alive, jnp.arange(pieces) + 1, 0))

    def of_piece(trained: Any, piece: RolloutBatch) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        params = model.join(trained, frozen)
        logp, entropy = grpo.score(model, params, piece, temperature, config.layout)
        return grpo.objective(logp, piece, config, count), (logp, entropy)

    def body(state: Any) -> Any:
        index, total, seen = state
        piece = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, index, 1, keepdims=False), split)
        grads, found = jax.grad(of_piece, has_aux=True)(trained, piece)
        seen = [jax.lax.dynamic_update_index_in_dim(kept, new, index, 1) for kept, new in zip(seen, found, strict=True)]
        return index + 1, jax.tree.map(jnp.add, total, grads), seen

    nothing = (jnp.int32(0), jax.tree.map(jnp.zeros_like, trained), [split.sampled, jnp.zeros_like(split.sampled)])
    _, grads, seen = jax.lax.while_loop(lambda state: state[0] < needed, body, nothing)
    logp, entropy = (x.reshape(batch.mask.shape) for x in seen)
    return grads, grpo.summary(logp, entropy, batch, config)
