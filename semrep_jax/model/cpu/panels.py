"""Matrix products of few rows, as a decode step makes them.

    kept = panels.pack(w_KN, DecodeWeights.SAME)     # once
    y_MN = panels.product(x_MK, kept)                # every step

XLA packs the weights anew for each product, which for 32 rows takes about as long as the product. Here they are laid
out once, in panels of some columns, in float32, bfloat16 or int8 (with a scale for each column). Needs
`library.usable()`. Axis letters: M rows, K inputs, N outputs; C columns of a panel, P panels.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp

from semrep_jax.model.cpu import library
from semrep_jax.model.settings import DecodeWeights

LARGEST_CODE = 127


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["parts", "scale_PC", "live_M"], meta_fields=["outputs"]
)
@dataclass(frozen=True)
class Panels:
    """A matrix [K, N] as the kernel reads it.

    parts: [P, K, C] of float32, bfloat16 or int8, columns beyond N filled with 0. scale_PC: float32, what the codes of
    each column are multiplied by; empty where there are no codes. outputs: N. live_M: the rows of x that count, None
    where all do; the others come out 0 and cost nothing.
    """

    parts: jax.Array
    scale_PC: jax.Array
    outputs: int
    live_M: jax.Array | None = None

    def of_rows(self, live: jax.Array) -> Panels:
        """The same for products in which only some rows count. live: bool, of as many elements as x has rows."""
        return replace(self, live_M=live.reshape(-1))


def pack(matrix: jax.Array, kept: DecodeWeights, turned: bool = False) -> Panels:
    """The panels of a matrix [K, N], or [N, K] where it is `turned`. kept: as what; SAME is float32."""
    inputs, outputs = matrix.shape[::-1] if turned else matrix.shape
    width = library.columns()
    out = jax.ShapeDtypeStruct((-(-outputs // width), inputs, width), jnp.float32)
    parts = jax.ffi.ffi_call("semrep_into_panels", out)(matrix.astype(jnp.float32), turned=turned)
    if kept is DecodeWeights.INT8:
        scale_PC = jnp.max(jnp.abs(parts), axis=1) / LARGEST_CODE
        codes = jnp.round(parts / jnp.where(scale_PC > 0, scale_PC, 1.0)[:, None])
        return Panels(codes.astype(jnp.int8), scale_PC, outputs)
    dtype = jnp.bfloat16 if kept is DecodeWeights.BFLOAT16 else jnp.float32
    return Panels(parts.astype(dtype), jnp.zeros((0, 0)), outputs)


def product(x: jax.Array, panels: Panels) -> jax.Array:
    """x [..., K] times the matrix: [..., N] in float32, each row's bits its own whatever the other rows are."""
    *lead, inputs = x.shape
    rows = x.astype(jnp.float32).reshape(-1, inputs)
    out = jax.ShapeDtypeStruct((rows.shape[0], panels.outputs), jnp.float32)
    live_M = jnp.zeros(0, bool) if panels.live_M is None else panels.live_M
    y = jax.ffi.ffi_call("semrep_by_panels", out)(rows, panels.parts, panels.scale_PC.reshape(-1), live_M)
    return y.reshape(*lead, panels.outputs)
