"""Matrix products, attention, and products fused with what follows them."""

from __future__ import annotations

from functools import partial
from typing import Any

from semrep_jax.cuda.spec import Array
from semrep_jax.tasks.kernels.naive import ArrayLayout, naive
from semrep_jax.tasks.kernels.operators.fragments import gelu, gelu_of, lines, sigmoid, softmax, swish_of

A, B, Y = Array("a", ("M", "K")), Array("b", ("K", "N")), Array("y", ("M", "N"))
Z, BIAS = Array("z", ("M", "N")), Array("bias", ("N",))
MATMUL = ArrayLayout(
    ("M", "N", "K"),
    (A, B),
    (Y,),
    small=((24, 20, 16), (17, 33, 9), (8, 8, 64)),
    edge=((1, 1, 1), (3, 1, 7), (2, 65, 31)),
    bench=(4096, 4096, 4096),
)
BATCHED = ArrayLayout(
    ("B", "M", "N", "K"),
    (Array("a", ("B", "M", "K")), Array("b", ("B", "K", "N"))),
    (Array("y", ("B", "M", "N")),),
    small=((2, 12, 10, 8), (3, 9, 17, 5), (1, 16, 16, 16)),
    edge=((1, 1, 1, 1), (2, 1, 3, 7), (3, 2, 33, 1)),
    bench=(64, 1024, 1024, 256),
)
MATRIX_VECTOR = ArrayLayout(
    ("M", "K"),
    (A, Array("x", ("K",))),
    (Array("y", ("M",)),),
    small=((100, 64), (33, 257), (16, 512)),
    edge=((1, 1), (7, 1), (2, 1031)),
    bench=(16384, 16384),
)
HEADS = ArrayLayout(
    ("T", "S", "D"),
    (Array("q", ("T", "D")), Array("k", ("S", "D")), Array("v", ("S", "D"))),
    (Array("y", ("T", "D")),),
    small=((20, 24, 16), (9, 33, 8), (16, 16, 32)),
    edge=((1, 1, 1), (3, 1, 5), (2, 65, 4)),
    bench=(4096, 4096, 64),
)
CAUSAL = ArrayLayout(
    ("T", "D"),
    tuple(Array(n, ("T", "D")) for n in "qkv"),
    (Array("y", ("T", "D")),),
    small=((24, 16), (17, 8), (12, 32)),
    edge=((1, 1), (3, 5), (33, 4)),
    bench=(4096, 64),
)
product = partial(naive, flops="2 * M * N * K", family="product", length="K", terms=True)
fused = partial(naive, flops="2 * M * N * K", family="product", length="16 * K", level=2)
attention = partial(naive, family="attention", level=2)
A_B = "a[(long long)m * K + k] * b[(long long)k * N + n]"


def inner(term: str = A_B, start: str = "0.0f", end: str = "s") -> str:
    """C of y[m, n]: the sum s of `term` over k begins as `start`, and `end` is the answer.

    term: an expression of m, n and k. start: one that may use m and n. end: one that may use s, m, n and i.
    """
    return lines(
        "int m = i / N, n = i % N;",
        f"float s = {start};",
        f"for (int k = 0; k < K; k++) s += {term};",
        f"y[i] = {end};",
    )


def attend(count: str) -> str:
    """C of online softmax over the first `count` keys."""
    return f"""int t = i / D, d = i % D;
float m = -INFINITY, s = 0.0f, o = 0.0f;
for (int j = 0; j < {count}; j++) {{
    float p = 0.0f;
    for (int e = 0; e < D; e++) p += q[(long long)t * D + e] * k[(long long)j * D + e];
    p *= rsqrtf((float)D);
    float n = fmaxf(m, p), f = expf(m - n), g = expf(p - n);
    s = s * f + g; o = o * f + g * v[(long long)j * D + d]; m = n;
}}
y[i] = o / s;"""


def causal(xp: Any, q: Any, k: Any, v: Any) -> Any:
    """Attention of (T, D) where each row sees itself and what lies before.

    xp: NumPy or jax.numpy. q, k, v: queries, keys and values, floats, each of the same (T, D).
    """
    scores = q @ k.T / q.shape[1] ** 0.5
    return softmax(xp, xp.where(xp.tril(xp.ones(scores.shape)) > 0, scores, -xp.inf)) @ v


BATCHED_BODY = lines(
    "int n = i % N, m = i / N % M, z = i / N / M;",
    "float s = 0.0f;",
    "for (int k = 0; k < K; k++) s += a[((long long)z * M + m) * K + k] * b[((long long)z * K + k) * N + n];",
    "y[i] = s;",
)
MATRIX_VECTOR_BODY = lines(
    "float s = 0.0f;", "for (int k = 0; k < K; k++) s += a[(long long)i * K + k] * x[k];", "y[i] = s;"
)
PRODUCTS = [
    product("matmul", "the matrix product a b", inner(), lambda xp, a, b: a @ b, MATMUL),
    product("matmul_transposed_b", "the matrix product of a with b transposed",
            inner("a[(long long)m * K + k] * b[(long long)n * K + k]"),
            lambda xp, a, b: a @ b.T, MATMUL.taking(A, Array("b", ("N", "K")))),
    product("matmul_transposed_a", "the matrix product of a transposed with b",
            inner("a[(long long)k * M + m] * b[(long long)k * N + n]"),
            lambda xp, a, b: a.T @ b, MATMUL.taking(Array("a", ("K", "M")), B)),
    product("batched_matmul", "the matrix product of each pair of a batch", BATCHED_BODY,
            lambda xp, a, b: a @ b, BATCHED, flops="2 * B * M * N * K"),
    product("matrix_vector", "a matrix times a vector", MATRIX_VECTOR_BODY,
            lambda xp, a, x: a @ x, MATRIX_VECTOR, flops="2 * M * K"),
    fused("matmul_bias_relu", "max(a b + bias, 0)", inner(start="bias[n]", end="fmaxf(s, 0.0f)"),
          lambda xp, a, b, bias: xp.maximum(a @ b + bias, 0), MATMUL.taking(A, B, BIAS)),
    fused("matmul_bias_gelu", "gelu(a b + bias)", inner(start="bias[n]", end=gelu_of("s")),
          lambda xp, a, b, bias: gelu(xp, a @ b + bias), MATMUL.taking(A, B, BIAS)),
    product("matmul_scale_residual", "0.5 a b + z", inner(end="0.5f * s + z[i]"),
            lambda xp, a, b, z: 0.5 * (a @ b) + z, MATMUL.taking(A, B, Z), level=2),
    fused("matmul_swish", "silu(a b)", inner(end=swish_of("s")),
          lambda xp, a, b: (a @ b) * sigmoid(xp, a @ b), MATMUL),
]  # fmt: skip
ATTENTION = [
    attention("attention", "softmax(q k' / sqrt(D)) v", attend("S"),
              lambda xp, q, k, v: softmax(xp, q @ k.T / q.shape[1] ** 0.5) @ v, HEADS, flops="4 * T * S * D",
              length="64 * (S + D)"),
    attention("causal_attention", "attention where each row sees itself and what lies before", attend("t + 1"),
              causal, CAUSAL, flops="2 * T * T * D", length="64 * (T + D)"),
]  # fmt: skip
