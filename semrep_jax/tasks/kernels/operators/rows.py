"""Operators that see a whole row for each element: softmax, norms, scans; and those that only move elements."""

from __future__ import annotations

from functools import partial
from typing import Any

from semrep_jax.cuda.spec import Array, Values
from semrep_jax.tasks.kernels.naive import MATRIX, XM, YM, ArrayLayout, naive
from semrep_jax.tasks.kernels.operators.fragments import (
    ROW_OF_ELEMENT,
    exponentials,
    lines,
    sigmoid,
    softmax,
    swish_of,
    total,
)

soft = partial(naive, family="softmax", length="N")
norm = partial(naive, family="norm")
scan = partial(naive, family="scan")
move = partial(naive, family="move", flops="0")
W, B = Array("w", ("N",)), Array("b", ("N",))
Z, GATE = Array("z", ("M", "N")), Array("gate", ("M", "N"))


def log_softmax(xp: Any, x: Any) -> Any:
    """Of each row."""
    top = x.max(-1, keepdims=True)
    return x - top - xp.log(xp.exp(x - top).sum(-1, keepdims=True))


def layer_norm(xp: Any, x: Any, w: Any, b: Any) -> Any:
    """Of each row with weight and bias.

    xp: NumPy or jax.numpy. x: floats, (M, N). w, b: weight and bias, floats, (N,) each.
    """
    return (x - x.mean(-1, keepdims=True)) / xp.sqrt(x.var(-1, keepdims=True) + 1e-5) * w + b


def rms_norm(xp: Any, x: Any, w: Any) -> Any:
    """Of each row with weight.

    xp: NumPy or jax.numpy. x: floats, (M, N). w: the weight, floats, (N,).
    """
    return x / xp.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * w


def l1_normalise(xp: Any, x: Any) -> Any:
    """Each row over the sum of its absolute values."""
    return x / (xp.abs(x).sum(-1, keepdims=True) + 1e-6)


def l2_normalise(xp: Any, x: Any) -> Any:
    """Each row over its Euclidean norm."""
    return x / (xp.sqrt((x * x).sum(-1, keepdims=True)) + 1e-6)


LAYER_NORM = lines(
    ROW_OF_ELEMENT,
    "float m = 0.0f, v = 0.0f;",
    "for (int j = 0; j < N; j++) m += r[j];",
    "m /= N;",
    "for (int j = 0; j < N; j++) v += (r[j] - m) * (r[j] - m);",
    "v /= N;",
    "y[i] = (x[i] - m) * rsqrtf(v + 1e-5f) * w[i % N] + b[i % N];",
)
RESIDUAL_LAYER_NORM = lines(
    ROW_OF_ELEMENT,
    "const float* q = z + (long long)row * N;",
    "float m = 0.0f, v = 0.0f;",
    "for (int j = 0; j < N; j++) m += r[j] + q[j];",
    "m /= N;",
    "for (int j = 0; j < N; j++) { float d = r[j] + q[j] - m; v += d * d; }",
    "v /= N;",
    "y[i] = (x[i] + z[i] - m) * rsqrtf(v + 1e-5f) * w[i % N] + b[i % N];",
)
GATED_RMS_NORM = lines(
    ROW_OF_ELEMENT,
    "float s = 0.0f, g = gate[i];",
    "for (int j = 0; j < N; j++) s += r[j] * r[j];",
    f"y[i] = x[i] * rsqrtf(s / N + 1e-6f) * w[i % N] * {swish_of('g')};",
)
SQUARES = lines(ROW_OF_ELEMENT, total("r[j] * r[j]"))
ROWWISE = [
    soft("softmax", "the softmax of each row",
         lines(ROW_OF_ELEMENT, exponentials("1.0f"), "y[i] = expf(x[i] - m) / s;"),
         softmax, MATRIX, flops="5 * M * N"),
    soft("softmax_temperature", "the softmax of each row divided by 0.5",
         lines(ROW_OF_ELEMENT, exponentials("2.0f"), "y[i] = expf(2.0f * (x[i] - m)) / s;"),
         lambda xp, x: softmax(xp, 2 * x), MATRIX, flops="6 * M * N"),
    soft("log_softmax", "the logarithm of the softmax of each row",
         lines(ROW_OF_ELEMENT, exponentials("1.0f"), "y[i] = x[i] - m - logf(s);"),
         log_softmax, MATRIX, flops="5 * M * N"),
    norm("layer_norm", "layer norm of each row with weight and bias", LAYER_NORM,
         layer_norm, MATRIX.taking(XM, W, B), flops="8 * M * N", length="N", level=2),
    norm("rms_norm", "RMS norm of each row with weight",
         lines(SQUARES, "y[i] = x[i] * rsqrtf(s / N + 1e-6f) * w[i % N];"),
         rms_norm, MATRIX.taking(XM, W), flops="4 * M * N", length="N"),
    norm("l1_normalise", "each row divided by the sum of its absolute values",
         lines(ROW_OF_ELEMENT, total("fabsf(r[j])"), "y[i] = x[i] / (s + 1e-6f);"),
         l1_normalise, MATRIX, flops="3 * M * N", length="N"),
    norm("l2_normalise", "each row divided by its Euclidean norm", lines(SQUARES, "y[i] = x[i] / (sqrtf(s) + 1e-6f);"),
         l2_normalise, MATRIX, flops="3 * M * N", length="N"),
    norm("residual_layer_norm", "layer norm of the rows of x + z with weight and bias", RESIDUAL_LAYER_NORM,
         lambda xp, x, z, w, b: layer_norm(xp, x + z, w, b), MATRIX.taking(XM, Z, W, B), flops="9 * M * N",
         length="4 * N", level=2),
    norm("rms_norm_gate", "RMS norm of each row with weight, times silu of a gate", GATED_RMS_NORM,
         lambda xp, x, w, gate: rms_norm(xp, x, w) * gate * sigmoid(xp, gate), MATRIX.taking(XM, W, GATE),
         flops="10 * M * N", length="N", level=2),
]  # fmt: skip


def running(start: str, loop: str, assign: str) -> str:
    """C of a scan: s begins as `start` and takes r[j] by `assign` over the head of a `loop`.

    start: an expression. loop: what stands in the parentheses of a `for` over j; it may use c, the element's column.
    assign: `+=` or its like.
    """
    return lines(
        "int row = i / N, c = i % N;",
        "const float* r = x + (long long)row * N;",
        f"float s = {start};",
        f"for ({loop}) s {assign} r[j];",
        "y[i] = s;",
    )


SCANS = [
    scan("cumulative_sum", "the running sum along each row", running("0.0f", "int j = 0; j <= c; j++", "+="),
         lambda xp, x: xp.cumsum(x, -1), MATRIX, flops="M * N", length="N", terms=True),
    scan("exclusive_cumulative_sum", "the sum of what lies before each element of its row",
         running("0.0f", "int j = 0; j < c; j++", "+="),
         lambda xp, x: xp.cumsum(x, -1) - x, MATRIX, flops="M * N", length="N"),
    scan("reverse_cumulative_sum", "the running sum from the end of each row",
         running("0.0f", "int j = N - 1; j >= c; j--", "+="),
         lambda xp, x: xp.flip(xp.cumsum(xp.flip(x, -1), -1), -1), MATRIX, flops="M * N", length="N", terms=True),
    scan("cumulative_product", "the running product along each row", running("1.0f", "int j = 0; j <= c; j++", "*="),
         lambda xp, x: xp.cumprod(x, -1), MATRIX.taking(Array("x", ("M", "N"), values=Values.NEAR_ONE)),
         flops="M * N", length="N * N"),
]  # fmt: skip

CUBE = ArrayLayout(
    ("B", "M", "N"),
    (Array("x", ("B", "M", "N")),),
    (Array("y", ("B", "N", "M")),),
    small=((2, 24, 50), (3, 17, 33), (1, 64, 32)),
    edge=((1, 1, 1), (2, 1, 7), (3, 31, 2)),
    bench=(16, 2048, 2048),
)
TALL_AND_WIDE = ArrayLayout(("M", "N"), (XM,), (YM,), MATRIX.small, ((7, 3), (31, 33), (40, 9)), MATRIX.bench)
BELOW_DIAGONAL = "min(M, N) * (min(M, N) + 1) // 2 + (M - min(M, N)) * N"  # elements
TABLE, INDEX = Array("table", ("64", "N")), Array("index", ("M",), "i32", Values.INDEX, "64")
MASK = Array("mask", ("M", "N"), "u8", Values.BITS)
BATCHED_TRANSPOSE = lines(
    "int b = i / (M * N), k = i % (M * N);", "y[i] = x[(long long)b * M * N + (k % M) * N + k / M];"
)
PERMUTE = lines("int n = i / (B * M), k = i % (B * M);", "y[i] = x[(long long)k * N + n];")
MOVES = [
    move("transpose", "the transpose of a matrix", "y[i] = x[(long long)(i % M) * N + i / M];",
         lambda xp, x: x.T, MATRIX.giving(Array("y", ("N", "M")))),
    move("batched_transpose", "the transpose of each matrix of a batch", BATCHED_TRANSPOSE,
         lambda xp, x: xp.swapaxes(x, 1, 2), CUBE),
    move("permute_021_to_201", "axes (0, 1, 2) reordered to (2, 0, 1)", PERMUTE,
         lambda xp, x: xp.transpose(x, (2, 0, 1)), CUBE.giving(Array("y", ("N", "B", "M")))),
    move("reverse_rows", "each row from its end", "y[i] = x[i - i % N + N - 1 - i % N];",
         lambda xp, x: xp.flip(x, -1), MATRIX),
    move("gather_rows", "the rows of a table that an index names",
         "y[i] = table[(long long)index[i / N] * N + i % N];",
         lambda xp, table, index: table[index], MATRIX.taking(TABLE, INDEX)),
    move("masked_fill", "x where the mask is 0, else -1", "y[i] = mask[i] ? -1.0f : x[i];",
         lambda xp, x, mask: xp.where(mask != 0, -1.0, x), MATRIX.taking(XM, MASK)),
    move("lower_triangle", "x on and below the diagonal, else 0", "y[i] = i % N <= i / N ? x[i] : 0.0f;",
         lambda xp, x: xp.tril(x), TALL_AND_WIDE, least_bytes=f"4 * ({BELOW_DIAGONAL} + M * N)"),
]  # fmt: skip
