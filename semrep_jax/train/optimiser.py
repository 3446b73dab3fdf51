"""AdamW with linear warm-up and cosine decay over the budget, gradients clipped by their global norm."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from semrep_jax.model.decoder import Model, decay_mask


def adamw(
    learning_rate: float, steps: int, warmup: int, weight_decay: float, max_norm: float, floor: float = 0.1
) -> Any:
    """The optax transformation. Norms and biases are not decayed.

    learning_rate: peak step size. steps: of the whole budget. warmup: steps of linear warm-up. weight_decay: decoupled.
    max_norm: gradients are clipped to this global norm. floor: share of the peak at which the rate ends.
    """
    warmup = min(warmup, max(steps - 1, 0))
    rate = optax.warmup_cosine_decay_schedule(
        learning_rate / max(warmup, 1), learning_rate, warmup, max(steps, warmup + 1), learning_rate * floor
    )
    return optax.chain(
        optax.clip_by_global_norm(max_norm),
        optax.adamw(rate, b1=0.9, b2=0.95, weight_decay=weight_decay, mask=decay_mask),
    )


def state_shardings(model: Model, optimiser: Any) -> dict[str, Any]:
    """Shardings of {"params", "optimiser"}: moments lie like their parameters, counters everywhere.

    Naming them on the way in and out of the update keeps one compiled program for the whole run.
    """
    of_params, _ = model.split(model.shardings())
    like, _ = model.split(model.abstract())
    of_moments = optax.tree_utils.tree_map_params(
        optimiser,
        lambda _, sharding: sharding,
        jax.eval_shape(optimiser.init, like),
        of_params,
        transform_non_params=lambda _: model.sharding.named(),
    )
    return {"params": of_params, "optimiser": of_moments}


def initial_state(model: Model, optimiser: Any, params: Any) -> dict[str, Any]:
    """The training state {"params", "optimiser"} at step 0, born sharded.

    params: all of the model's; the state owns a copy of the trained ones, which updates donate.
    """
    shardings = state_shardings(model, optimiser)
    trained, _ = model.split(params)
    params = jax.jit(partial(jax.tree.map, jnp.copy), out_shardings=shardings["params"])(trained)
    return {"params": params, "optimiser": jax.jit(optimiser.init, out_shardings=shardings["optimiser"])(params)}
