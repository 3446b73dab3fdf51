"""LoRA and QLoRA: low-rank adapters beside frozen projections, whose weights may be kept in 4 or 8 bits (qwix).

y = x W + (alpha / rank) (x A) B, with A drawn and B zero at the start (arXiv 2106.09685); quantised W as in QLoRA (2305.14314): codes
with one scale for each tile of at most 64 inputs of each output. Our layers are stacked and scanned, where qwix's own module
rewriting can't see them, so the low-rank path is written here and qwix gives the number formats.
Axis letters as in `decoder`; R rank.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import qwix

from semrep_jax.model.settings import Quantise

TILE = 64
# The adapted projections, each with how many of its axes (after L) are inputs.
PROJECTIONS = {"q_LDNH": 1, "k_LDKH": 1, "v_LDKH": 1, "o_LNHD": 2, "gate_LDF": 1, "up_LDF": 1, "down_LFD": 1}
QKV, OUT, GATE_UP, DOWN = TOGETHER = ("q_LDNH", "k_LDKH", "v_LDKH"), ("o_LNHD",), ("gate_LDF", "up_LDF"), ("down_LFD",)
A, B, CODES, SCALE = "_lora_a", "_lora_b", "_codes", "_scale"


@dataclass(frozen=True)
class Adapter:
    """Rank and scale of the adapters, and the number format of what they adapt."""

    rank: int = 16
    alpha: float = 32.0
    quantise: Quantise = Quantise.NONE

    @property
    def scale(self) -> float:
        """The factor on A B."""
        return self.alpha / self.rank


class Parameter(NamedTuple):
    """A parameter's shape, logical axes and initial standard deviation (0 for biases, -1 for norms, which start at one)."""

    size: tuple[int, ...]
    axes: tuple[str | None, ...]
    std: float


def quantised(adapter: Adapter | None) -> bool:
    """Whether projections are kept as codes and scales."""
    return adapter is not None and adapter.quantise is not Quantise.NONE


def layout(table: Mapping[str, Parameter], adapter: Adapter | None) -> dict[str, Parameter]:
    """The A [L, in..., R] and B [L, R, out...] of each projection in a decoder's `table`."""
    if adapter is None:
        return {}
    found = {}
    for name, inputs in PROJECTIONS.items():
        size, axes, _ = table[name]
        cut = 1 + inputs
        found[name + A] = Parameter((*size[:cut], adapter.rank), (*axes[:cut], None), math.prod(size[1:cut]) ** -0.5)
        found[name + B] = Parameter((size[0], adapter.rank, *size[cut:]), (axes[0], None, *axes[cut:]), 0.0)
    return found


def quantised_layout(table: Mapping[str, Parameter], adapter: Adapter | None) -> dict[str, Parameter]:
    """The codes and scales that stand for each projection."""
    if not quantised(adapter):
        return {}
    found = {}
    for name in PROJECTIONS:
        size, axes, _ = table[name]
        tiled, tile = _tile(name, size)
        found[name + CODES] = Parameter(size, axes, 0.0)
        scales = tuple(n // tile if i == tiled else n for i, n in enumerate(size))
        found[name + SCALE] = Parameter(scales, tuple(None if i == tiled else a for i, a in enumerate(axes)), 0.0)
    return found


def _tile(name: str, size: tuple[int, ...]) -> tuple[int, int]:
    """The last input axis, and the largest divisor of its length that is at most TILE."""
    axis = PROJECTIONS[name]
    return axis, next(t for t in range(min(TILE, size[axis]), 0, -1) if size[axis] % t == 0)


def quantise(name: str, value: jax.Array, adapter: Adapter) -> dict[str, jax.Array]:
    """A stacked projection [L, ...] as {"_codes": [L, ...], "_scale": one for each tile}."""
    axis, tile = _tile(name, value.shape)
    channels = tuple(i for i in range(value.ndim) if i != axis)
    array = qwix.quantize(
        value, adapter.quantise.value, channelwise_axes=channels, tiled_axes={axis: tile}, scale_dtype=jnp.float32
    )
    return {CODES: array.qvalue, SCALE: array.scale}


def dequantise(kept: Mapping[str, jax.Array], adapter: Adapter | None) -> dict[str, jax.Array]:
    """One layer's weights with every code and scale turned back into the projection."""
    if not quantised(adapter):
        return dict(kept)
    assert adapter is not None
    ready = {name: w for name, w in kept.items() if not name.endswith((CODES, SCALE))}
    for name in PROJECTIONS:
        array = qwix.QArray(qvalue=kept[name + CODES], scale=kept[name + SCALE], qtype=adapter.quantise.value)
        ready[name] = qwix.dequantize(array)
    return ready


class Turned(NamedTuple):
    """Projections that read the same input as one matrix [outs, in], and the shape of each one's output."""

    matrix: jax.Array
    outs: tuple[tuple[int, ...], ...]


def turn(w: Mapping[str, jax.Array]) -> dict[str, Any]:
    """One layer's projections as `Turned`, each under the first of its names. On a CPU, at the few rows of a decode step, the product
    with the rows last takes about half the time; elsewhere the compiler sees to layouts."""
    turned: dict[str, Any] = dict(w)
    for names in TOGETHER:
        parts = [w[name] for name in names]
        inputs = PROJECTIONS[names[0]]
        matrix = jnp.concatenate([p.reshape(math.prod(p.shape[:inputs]), -1).T for p in parts])
        turned[names[0]] = Turned(matrix, tuple(p.shape[inputs:] for p in parts))
    return turned


def project(x: jax.Array, w: Mapping[str, Any], names: tuple[str, ...], adapter: Adapter | None) -> list[jax.Array]:
    """x [..., in...] through the projections of one of TOGETHER in one layer, and through their adapters beside them."""
    first, inputs = w[names[0]], PROJECTIONS[names[0]]
    if not isinstance(first, Turned):
        return [_project(x, w, name, adapter) for name in names]
    y = first.matrix @ x.reshape(-1, first.matrix.shape[1]).T
    ends = list(itertools.accumulate(math.prod(out) for out in first.outs))
    pieces = jnp.split(y, ends[:-1])
    return [piece.T.reshape(*x.shape[: x.ndim - inputs], *out) for piece, out in zip(pieces, first.outs, strict=True)]


def _project(x: jax.Array, w: Mapping[str, jax.Array], name: str, adapter: Adapter | None) -> jax.Array:
    inputs = PROJECTIONS[name]
    y = contract(x, w[name], inputs)
    if adapter is not None and name + A in w:
        y += adapter.scale * contract(contract(x, w[name + A], inputs), w[name + B], 1)
    return y


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def contract(x: jax.Array, w: jax.Array, inputs: int) -> jax.Array:
    """x [..., in...] w [in..., out...] over the last `inputs` axes of x.

    `jnp.tensordot` but for its gradient: JAX's own makes the weight's as [out..., in...] and turns it, for which XLA on a CPU
    writes every activation out a second time with its axes swapped (a tenth of an update).
    """
    return jnp.tensordot(x, w, axes=inputs)


def _contract_forward(x: jax.Array, w: jax.Array, inputs: int) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return jnp.tensordot(x, w, axes=inputs), (x, w)


def _contract_backward(inputs: int, kept: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, w = kept
    rows, outs = tuple(range(x.ndim - inputs)), w.ndim - inputs
    of_x = ((tuple(range(dy.ndim - outs, dy.ndim)), tuple(range(inputs, w.ndim))), ((), ()))
    return jax.lax.dot_general(dy, w, of_x), jax.lax.dot_general(x, dy, ((rows, rows), ((), ())))


contract.defvjp(_contract_forward, _contract_backward)


def merge(w: Mapping[str, jax.Array], adapter: Adapter | None) -> dict[str, jax.Array]:
    """The same projections with their adapters added in and gone, of one layer."""
    if adapter is None:
        return dict(w)
    merged = {name: value for name, value in w.items() if not name.endswith((A, B))}
    for name in PROJECTIONS:
        if name + A not in w:
            continue
        merged[name] = w[name] + adapter.scale * _low_rank(w[name + A], w[name + B]).astype(w[name].dtype)
    return merged


def _low_rank(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.tensordot(a, b, axes=1)


def merged_params(params: dict[str, Any], adapter: Adapter | None) -> dict[str, Any]:
    """A decoder's whole parameter dict in float32 without codes and adapters, as an export needs it."""
    if adapter is None:
        return params
    plain = dequantise(params, adapter)
    for name in PROJECTIONS:
        low = jax.vmap(_low_rank)(plain.pop(name + A), plain.pop(name + B))
        plain[name] = plain[name].astype(jnp.float32) + adapter.scale * low
    return plain
