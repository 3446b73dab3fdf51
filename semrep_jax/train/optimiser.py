"""AdamW with linear warm-up and cosine decay over the budget, gradients clipped by their global norm."""

from __future__ import annotations

from typing import Any

import jax
import optax


def adamw(learning_rate: float, steps: int, warmup: int, weight_decay: float, max_norm: float, floor: float = 0.1) -> Any:
    """The transformation; the rate ends at `floor` of its peak. Norms and biases are not decayed."""
    warmup = min(warmup, max(steps - 1, 0))
    rate = optax.warmup_cosine_decay_schedule(
        learning_rate / max(warmup, 1), learning_rate, warmup, max(steps, warmup + 1), learning_rate * floor
    )

    def decayed(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(lambda path, _: "norm" not in str(path) and "bias" not in str(path), params)

    return optax.chain(
        optax.clip_by_global_norm(max_norm),
        optax.adamw(rate, b1=0.9, b2=0.95, weight_decay=weight_decay, mask=decayed),
    )
