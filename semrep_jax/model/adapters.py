"""LoRA and QLoRA: low-rank adapters beside frozen projections, whose weights may be kept in 4 or 8 bits (qwix).

    y = x W + (alpha / rank) (x A) B

A is drawn and B is zero at the start (arXiv 2106.09685). A quantised W (QLoRA, 2305.14314) is kept as codes with one
scale for each tile of at most 64 inputs of each output. Our layers are stacked and scanned, where qwix's own
rewriting of modules can't see them, so the low-rank path is written here and qwix gives the number formats. Axis
letters as in `decoder`; R rank.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import qwix

from semrep_jax.model.cpu import panels
from semrep_jax.model.cpu.panels import Panels
from semrep_jax.model.settings import DecodeWeights, Quantise
from semrep_jax.model.shape import PARAMETERS, Parameter

TILE = 64
# The adapted projections, each with how many of its axes (after L) are inputs.
PROJECTIONS = {name: declared.inputs for name, declared in PARAMETERS.items() if declared.inputs}
# Projections that read the same input.
QKV = ("q_LDNH", "k_LDKH", "v_LDKH")
OUT = ("o_LNHD",)
GATE_UP = ("gate_LDF", "up_LDF")
DOWN = ("down_LFD",)
SAME_INPUT = (QKV, OUT, GATE_UP, DOWN)
# What is appended to a projection's name for what belongs to it.
LORA_A = "_lora_a"
LORA_B = "_lora_b"
CODES = "_codes"
SCALE = "_scale"


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


def is_quantised(adapter: Adapter | None) -> bool:
    """Whether projections are kept as codes and scales."""
    return adapter is not None and adapter.quantise is not Quantise.NONE


def layout(table: Mapping[str, Parameter], adapter: Adapter | None) -> dict[str, Parameter]:
    """The A [L, in..., R] and B [L, R, out...] of each projection in a decoder's `table`."""
    if adapter is None:
        return {}
    found = {}
    for name, inputs in PROJECTIONS.items():
        size, axes = table[name].size, table[name].axes
        split = 1 + inputs
        std = math.prod(size[1:split]) ** -0.5
        found[name + LORA_A] = Parameter((*size[:split], adapter.rank), (*axes[:split], None), std)
        found[name + LORA_B] = Parameter((size[0], adapter.rank, *size[split:]), (axes[0], None, *axes[split:]), 0.0)
    return found


def quantised_layout(table: Mapping[str, Parameter], adapter: Adapter | None) -> dict[str, Parameter]:
    """The codes and scales that stand for each projection in a decoder's `table`."""
    if not is_quantised(adapter):
        return {}
    found = {}
    for name in PROJECTIONS:
        size, axes = table[name].size, table[name].axes
        tiled, tile = _tile(name, size)
        scales = tuple(n // tile if i == tiled else n for i, n in enumerate(size))
        scale_axes = tuple(None if i == tiled else axis for i, axis in enumerate(axes))
        found[name + CODES] = Parameter(size, axes, 0.0)
        found[name + SCALE] = Parameter(scales, scale_axes, 0.0)
    return found


def _tile(name: str, size: tuple[int, ...]) -> tuple[int, int]:
    """The last input axis, and the largest divisor of its length that is at most TILE."""
    axis = PROJECTIONS[name]
    return axis, next(t for t in range(min(TILE, size[axis]), 0, -1) if size[axis] % t == 0)


def quantise(name: str, value: jax.Array, adapter: Adapter) -> dict[str, jax.Array]:
    """A stacked projection [L, ...] as two parts by name: codes [L, ...] in few bits, a float32 scale for each tile.

    name: a key of PROJECTIONS. value: the weights of all layers. adapter: `quantise` is the codes' number format. A
    tile is at most TILE long, along the last input axis.
    """
    axis, tile = _tile(name, value.shape)
    channels = tuple(i for i in range(value.ndim) if i != axis)
    array = qwix.quantize(
        value, adapter.quantise.value, channelwise_axes=channels, tiled_axes={axis: tile}, scale_dtype=jnp.float32
    )
    return {name + CODES: array.qvalue, name + SCALE: array.scale}


def dequantise(kept: Mapping[str, jax.Array], adapter: Adapter | None) -> dict[str, jax.Array]:
    """`kept`, of one layer or of all, with each projection in the place of its codes and scales."""
    ready = dict(kept)
    if adapter is None or not is_quantised(adapter):
        return ready
    for name in PROJECTIONS:
        codes, scale = ready.pop(name + CODES), ready.pop(name + SCALE)
        ready[name] = qwix.dequantize(qwix.QArray(qvalue=codes, scale=scale, qtype=adapter.quantise.value))
    return ready


@partial(jax.tree_util.register_dataclass, data_fields=["matrix"], meta_fields=["outs"])
@dataclass(frozen=True)
class FusedProjection:
    """Projections that read the same input as one matrix, and the shape of each one's output.

    matrix: its panels, or the matrix itself as [outs, in].
    """

    matrix: Panels | jax.Array
    outs: tuple[tuple[int, ...], ...]


def fuse_projections(weights: Mapping[str, jax.Array], kept: DecodeWeights | None) -> dict[str, Any]:
    """One layer's weights with its projections fused for a CPU, each group of SAME_INPUT under the first of its names.

    kept: as what, in panels; None without these: then, at the few rows of a decode step, XLA's product with the rows
    last takes about half the time.
    """
    fused: dict[str, Any] = dict(weights)
    for names in SAME_INPUT:
        inputs = PROJECTIONS[names[0]]
        parts = [weights[name].reshape(math.prod(weights[name].shape[:inputs]), -1) for name in names]
        whole = jnp.concatenate(parts, axis=1)
        matrix = whole.T if kept is None else panels.pack(whole, kept)
        fused[names[0]] = FusedProjection(matrix, tuple(weights[name].shape[inputs:] for name in names))
    return fused


def of_rows(weights: Mapping[str, Any], live: jax.Array) -> dict[str, Any]:
    """One layer's weights for products in which only some rows count; those in panels save the others' work."""
    return {
        name: replace(w, matrix=w.matrix.of_rows(live))
        if isinstance(w, FusedProjection) and isinstance(w.matrix, Panels)
        else w
        for name, w in weights.items()
    }


def project(
    x: jax.Array, weights: Mapping[str, Any], names: tuple[str, ...], adapter: Adapter | None
) -> list[jax.Array]:
    """x [..., in...] through projections of one layer, and through the adapters beside them.

    weights: the layer's, perhaps fused or with adapters merged. names: one group of SAME_INPUT. adapter: its scale,
    where the layer has adapters. Returns [..., out...] for each.
    """
    first, inputs = weights[names[0]], PROJECTIONS[names[0]]
    if not isinstance(first, FusedProjection):
        return [_project(x, weights, name, adapter) for name in names]
    rows = x.shape[: x.ndim - inputs]
    flat = x.reshape(math.prod(rows), -1)
    if isinstance(first.matrix, Panels):
        y = panels.product(flat, first.matrix).astype(x.dtype)
    else:
        y = (first.matrix @ flat.T).T
    ends = list(itertools.accumulate(math.prod(out) for out in first.outs))
    pieces = jnp.split(y, ends[:-1], axis=1)
    return [piece.reshape(*rows, *out) for piece, out in zip(pieces, first.outs, strict=True)]


def _project(x: jax.Array, weights: Mapping[str, jax.Array], name: str, adapter: Adapter | None) -> jax.Array:
    inputs = PROJECTIONS[name]
    y = contract(x, weights[name], inputs)
    if adapter is not None and name + LORA_A in weights:
        y += adapter.scale * contract(contract(x, weights[name + LORA_A], inputs), weights[name + LORA_B], 1)
    return y


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def contract(x: jax.Array, w: jax.Array, inputs: int) -> jax.Array:
    """x [..., in...] w [in..., out...] over the last `inputs` axes of x.

    `jnp.tensordot` but for its gradient: JAX's own makes the weight's as [out..., in...] and transposes it, for which
    XLA on a CPU writes every activation out a second time with its axes swapped (a tenth of an update).
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


def merge(weights: Mapping[str, jax.Array], adapter: Adapter | None) -> dict[str, jax.Array]:
    """One layer's weights with the adapters added into their projections, and gone."""
    merged = dict(weights)
    if adapter is None:
        return merged
    for name in PROJECTIONS:
        low_rank = _low_rank(merged.pop(name + LORA_A), merged.pop(name + LORA_B))
        merged[name] = merged[name] + adapter.scale * low_rank.astype(merged[name].dtype)
    return merged


def _low_rank(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.tensordot(a, b, axes=1)


def merged_params(params: dict[str, Any], adapter: Adapter | None) -> dict[str, Any]:
    """A decoder's whole parameter dict in float32 without codes and adapters, as an export needs it."""
    if adapter is None:
        return params
    plain = dequantise(params, adapter)
    for name in PROJECTIONS:
        low_rank = jax.vmap(_low_rank)(plain.pop(name + LORA_A), plain.pop(name + LORA_B))
        plain[name] = plain[name].astype(jnp.float32) + adapter.scale * low_rank
    return plain
