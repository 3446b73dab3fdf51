"""The compiled update of GRPO: gradients of the loss, one AdamW step, and the log-probs that it compares with."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from semrep_jax.model.decoder import Model
from semrep_jax.train import finite, grpo
from semrep_jax.train.accumulate import gradient
from semrep_jax.train.batch import RolloutBatch
from semrep_jax.train.optimiser import adamw, rate, state_shardings
from semrep_jax.train.settings import Layout, NonFinite, TrainConfig

Update = Callable[[Any, Any, RolloutBatch], tuple[Any, dict[str, jax.Array]]]


def optimiser_of(setting: TrainConfig, boundary: int = 0) -> Any:
    """AdamW as the settings ask for it, over the whole budget. boundary: the first step of the arm's stage 2."""
    schedule = rate(setting.schedule, setting.learning_rate, setting.budget, setting.warmup, boundary)
    return adamw(schedule, setting.weight_decay, setting.max_norm)


@lru_cache(maxsize=4)
def compiled_update(model: Model, setting: TrainConfig, temperature: float, boundary: int = 0) -> Update:
    """(state, frozen, batch) -> (state, metrics): one optimiser step on a batch of rollouts, compiled once for both
    arms.

    setting: the objective's and the optimiser's. temperature: the sampler's. boundary: as in `optimiser_of`; 0 where
    the schedule does not ask for it, so that arms share the program. The state is donated: its old buffers hold
    the new one. `norms` among the metrics are those of the gradient and of the update, by tensor.
    """
    optimiser = optimiser_of(setting, boundary)

    def update(state: Any, frozen: Any, batch: RolloutBatch) -> tuple[Any, Any]:
        grads, metrics = gradient(model, state["params"], frozen, batch, setting, temperature)
        updates, moments = optimiser.update(grads, state["optimiser"], state["params"])
        new = {"params": optax.apply_updates(state["params"], updates), "optimiser": moments}
        metrics |= {"grad_norm": optax.global_norm(grads), "update_norm": optax.global_norm(updates)}
        if setting.non_finite is NonFinite.SKIP:
            good = finite.all_finite([metrics["loss"], metrics["grad_norm"], metrics["update_norm"], new["params"]])
            new = jax.tree.map(partial(jnp.where, good), new, state)
            metrics |= {"left_out": ~good}
        norms = {"gradient": finite.norms(grads), "update": finite.norms(updates)}
        return new, metrics | {"norms": norms}

    return jax.jit(update, donate_argnums=0, out_shardings=(state_shardings(model, optimiser), None))


@partial(jax.jit, static_argnums=(2, 3, 4))
def score(params: Any, batch: RolloutBatch, model: Model, temperature: float, layout: Layout) -> jax.Array:
    """log p (nats), float32 [B, G, T], of a batch's completions.

    params: of the policy that is asked. temperature, layout: as in `grpo.score`.
    """
    return grpo.score(model, params, batch, temperature, layout)[0]


@jax.jit
def mean_k3(logp: jax.Array, reference: jax.Array, mask: jax.Array) -> jax.Array:
    """`grpo.k3` over the tokens that count (a scalar); arguments as there.

    logp, reference: float32 [B, G, T], of policy and base (nats). mask: bool [B, G, T], the tokens that count.
    """
    return jnp.sum(grpo.k3(logp, reference, mask)) / jnp.maximum(jnp.sum(mask), 1)
