"""AdamW under a schedule of the learning rate, gradients clipped by their global norm; its state born sharded.

optimiser = adamw(rate(Schedule.COSINE, 1e-4, steps=100, warmup=4), weight_decay=0.0, max_norm=1.0)
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from semrep_jax.model.decoder import Model, decay_mask
from semrep_jax.train.settings import Schedule

FLOOR = 0.1  # share of the peak at which a rate that falls ends


def rate(kind: Schedule, peak: float, steps: int, warmup: int, boundary: int = 0) -> optax.Schedule:
    """The learning rate of each step, from 0.

    kind: how it goes on from its peak. peak: after the warm-up. steps: of the whole budget. warmup: steps of linear
    warm-up. boundary: the first step of stage 2, for a schedule that begins anew there; 0 where there is one stage.
    """
    if kind is Schedule.STAGE and 0 < boundary < steps:
        stages = [rate(Schedule.COSINE, peak, length, warmup) for length in (boundary, steps - boundary)]
        return optax.join_schedules(stages, [boundary])
    warmup = min(warmup, max(steps - 1, 0))
    first = peak / max(warmup, 1)
    if kind in (Schedule.COSINE, Schedule.STAGE):
        return optax.warmup_cosine_decay_schedule(first, peak, warmup, max(steps, warmup + 1), peak * FLOOR)
    last = peak * FLOOR if kind is Schedule.LINEAR else peak
    after = optax.linear_schedule(peak, last, max(steps - warmup, 1))
    return optax.join_schedules([optax.linear_schedule(first, peak, max(warmup, 1)), after], [warmup])


def adamw(schedule: optax.Schedule, weight_decay: float, max_norm: float) -> Any:
    """The optax transformation. Norms and biases are not decayed.

    schedule: of the learning rate. weight_decay: decoupled. max_norm: gradients are clipped to this global norm.
    """
    return optax.chain(
        optax.clip_by_global_norm(max_norm),
        optax.adamw(schedule, b1=0.9, b2=0.95, weight_decay=weight_decay, mask=decay_mask),
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


def at_step(state: Any, step: int) -> Any:
    """The optimiser's state with the learning rate at `step` of its schedule, whatever updates there have been: a step
    of the budget may take none."""

    def placed(node: Any) -> Any:
        if not isinstance(node, optax.ScaleByScheduleState):
            return node
        return node._replace(count=jax.device_put(jnp.asarray(step, node.count.dtype), node.count.sharding))

    return jax.tree.map(placed, state, is_leaf=lambda node: isinstance(node, optax.ScaleByScheduleState))


def without_moments(model: Model, optimiser: Any, state: dict[str, Any]) -> dict[str, Any]:
    """A training state {"params", "optimiser"} whose moments, and their bias correction, are those of step 0; the
    schedule's own counter goes on."""
    counters = optax.ScaleByScheduleState
    fresh = jax.jit(optimiser.init, out_shardings=state_shardings(model, optimiser)["optimiser"])(state["params"])
    moments = jax.tree.map(
        lambda old, new: old if isinstance(old, counters) else new,
        state["optimiser"],
        fresh,
        is_leaf=lambda node: isinstance(node, counters),
    )
    return {"params": state["params"], "optimiser": moments}
