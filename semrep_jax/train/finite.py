"""Whether numbers are numbers: which tensor holds a NaN or an infinity, before a training, and after each of its steps.

require_finite(model, params, "the base's weights")          # NonFiniteError with the tensors' names
check = Watch(model, setting.non_finite)
check(step, metrics, params)                                 # raises, or says whether the step was left out
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from semrep_jax.core.errors import NonFiniteError
from semrep_jax.model import families
from semrep_jax.model.decoder import Model, name_at
from semrep_jax.model.shape import layout
from semrep_jax.train.settings import NonFinite

MOST_SKIPPED = 10  # steps in a row that are left out before the run ends all the same
SHOWN = 3


def all_finite(tree: Any) -> jax.Array:
    """Whether everything in a tree of arrays is finite (bool scalar)."""
    return reduce(jnp.logical_and, [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)], jnp.bool_(True))


def require_finite_state(state: Any, what: str) -> None:
    """Raise NonFiniteError where an array of a training state (weights, moments) holds a NaN or an infinity: infinite
    moments are updates of zero for ever, which no step shows.

    state: a tree of device arrays. what: how the error calls it, with what to do.
    """
    floats = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    }
    found = jax.device_get(_finite_each(floats))
    if broken := [name for name, finite in found.items() if not finite]:
        raise NonFiniteError(f"{what}: {_listed(broken)} holds NaN or infinity")


@jax.jit
def _finite_each(arrays: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return {name: jnp.isfinite(array).all() for name, array in arrays.items()}


def norms(tree: Any) -> dict[str, jax.Array]:
    """The norm of each tensor by its parameter's name; it is finite where the tensor is, unless it is out of range."""
    return {name_at(path): optax.global_norm(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


@jax.jit
def _finite_rows(tree: Any) -> Any:
    """For each array whether it is finite, row by row of its first axis."""
    return jax.tree.map(lambda x: jnp.isfinite(x).all(axis=tuple(range(1, x.ndim))), tree)


def broken_tensors(model: Model, params: Any) -> list[str]:
    """The names of the tensors, as a checkpoint of the model's family has them, that hold a NaN or an infinity."""
    table, family = layout(model.shape), families.of_shape(model.shape)
    floats = [
        (name_at(path), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    rows = model.sharding.fetch(_finite_rows([leaf for _, leaf in floats]))
    found = []
    for (name, _), finite in zip(floats, rows, strict=True):
        broken = np.flatnonzero(~np.atleast_1d(finite))
        if not broken.size:
            continue
        stored = family.stored(name, table[name]) if name in table else []
        if name in table and table[name].stacked:
            found += [stored[layer].name for layer in broken]
        else:
            found.append(stored[0].name if stored else name)
    return found


def require_finite(model: Model, params: Any, what: str) -> None:
    """Raise NonFiniteError where weights hold a NaN or an infinity.

    model, params: the weights' shapes and values. what: how the error calls them, with where they are from.
    """
    broken = broken_tensors(model, params)
    if broken:
        raise NonFiniteError(f"{what}: {_listed(broken)} holds NaN or infinity; download or export the model again")


class Watch:
    """Looks at every step's numbers; counts what was left out.

    model: whose weights. setting: what a step that is not finite does. fix: what errors tell to do, where the settings
    of training have no say.
    """

    def __init__(self, model: Model, setting: NonFinite, fix: str | None = None):
        self.model, self.setting = model, setting
        self.fix = fix or "lower train.learning_rate, or set train.non_finite: skip"
        self.skipped = self.in_a_row = 0

    def __call__(self, step: int, metrics: Mapping[str, Any], params: Any) -> None:
        """Count a step that the update itself left out. Raises NonFiniteError where that ends the run.

        step: its number. metrics: numbers on the host, and `norms`. params: after the step.
        """
        why = self._why(metrics, params)
        if why is None:
            self.in_a_row = 0
            return
        self.skipped, self.in_a_row = self.skipped + 1, self.in_a_row + 1
        if self.setting is NonFinite.STOP:
            raise NonFiniteError(f"step {step}: {why}; {self.fix}")
        if self.in_a_row == MOST_SKIPPED:
            raise NonFiniteError(f"step {step}: {why}, the {MOST_SKIPPED}th in a row; lower train.learning_rate")

    def _why(self, metrics: Mapping[str, Any], params: Any) -> str | None:
        for part in ("gradient", "update"):
            broken = [name for name, value in metrics["norms"][part].items() if not math.isfinite(value)]
            if broken or not math.isfinite(metrics["loss"]):
                loss = f"the loss is {metrics['loss']:g}, "
                return f"{loss}the {part} of {_listed(broken)} is NaN or infinite" if broken else loss.rstrip(", ")
        if not all(math.isfinite(metrics.get(name, 0.0)) for name in ("grad_norm", "update_norm")):
            return "the norm of all gradients or of the whole update is infinite"
        if metrics.get("left_out"):
            return "the weights would become NaN or infinite"
        broken = broken_tensors(self.model, params)
        return f"the weights {_listed(broken)} became NaN or infinite" if broken else None


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
