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
from semrep_jax.train.optimiser import adamw, state_shardings
from semrep_jax.train.settings import Layout, NonFinite, TrainConfig

Update = Callable[[Any, Any, RolloutBatch], tuple[Any, dict[str, jax.Array]]]


def optimiser_of(setting: TrainConfig) -> Any:
    """AdamW as the settings ask for it, over the whole budget."""
    return adamw(setting.learning_rate, setting.budget, setting.warmup, setting.weight_decay, setting.max_norm)


@lru_cache(maxsize=4)
def compiled_update(model: Model, setting: TrainConfig, temperature: float) -> Update:
    """(state, frozen, batch) -> (state, metrics): one optimiser step on a batch of rollouts, compiled once for both
    arms.

    setting: the objective's and the optimiser's. temperature: the sampler's. The state is donated: its old buffers hold
    the new one. `norms` among the metrics are those of the gradient and of the update, by tensor.
    """
    optimiser = optimiser_of(setting)

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
