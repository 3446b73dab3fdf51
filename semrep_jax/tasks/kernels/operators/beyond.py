"""Classes of KernelBench's level 1 that the held-out suite has no operator of: triangles, norms of channels, transposed
convolutions. They are tasks like the others, and not in that suite, which is to stay what it was."""

from __future__ import annotations

from typing import Any

from semrep_jax.cuda.spec import Array
from semrep_jax.tasks.kernels.naive import ArrayLayout, naive
from semrep_jax.tasks.kernels.operators.fragments import lines

SQUARE = ArrayLayout(
    ("N",),
    (Array("a", ("N", "N")), Array("b", ("N", "N"))),
    (Array("y", ("N", "N")),),
    small=((24,), (33,), (72,)),
    edge=((1,), (7,), (65,)),
    bench=(4096,),
)
CHANNELS = ArrayLayout(
    ("C", "H", "W"),
    (Array("x", ("C", "H", "W")),),
    (Array("y", ("C", "H", "W")),),
    small=((2, 24, 30), (3, 17, 21), (1, 32, 32)),
    edge=((1, 1, 2), (2, 3, 5), (1, 2, 129)),
    bench=(64, 128, 128),
)
TRANSPOSED = ArrayLayout(
    ("C", "L", "O"),
    (Array("x", ("C", "L")), Array("w", ("C", "O", "3"))),
    (Array("y", ("O", "2 * L + 1")),),
    small=((3, 100, 4), (4, 65, 3), (1, 258, 2)),
    edge=((1, 1, 1), (5, 4, 2), (2, 35, 9)),
    bench=(128, 16384, 128),
)


def triangles(xp: Any, a: Any, b: Any) -> Any:
    """The product of two lower triangles. xp: NumPy or jax.numpy. a, b: floats, (N, N) each."""
    return xp.tril(a) @ xp.tril(b)


def instance_norm(xp: Any, x: Any) -> Any:
    """Of each channel of (C, H, W)."""
    return (x - x.mean((1, 2), keepdims=True)) / xp.sqrt(x.var((1, 2), keepdims=True) + 1e-5)


def transposed(xp: Any, x: Any, w: Any) -> Any:
    """(O, 2 L + 1) of (C, L) and (C, O, 3): each place of the input adds three, two apart from its neighbour's.

    xp: NumPy or jax.numpy. x: floats, C channels of L places. w: floats, three weights for each channel and output.
    """
    left, middle, right = (w[:, :, k].T @ x for k in range(3))
    even = xp.pad(left, ((0, 0), (0, 1))) + xp.pad(right, ((0, 0), (1, 0)))
    both = xp.stack([even, xp.pad(middle, ((0, 0), (0, 1)))], -1)
    return both.reshape(w.shape[1], -1)[:, :-1]


TRIANGLES = lines(
    "int m = i / N, n = i % N;",
    "float s = 0.0f;",
    "for (int k = n; k <= m; k++) s += a[(long long)m * N + k] * b[(long long)k * N + n];",
    "y[i] = s;",
)
INSTANCE_NORM = lines(
    "int many = H * W;",
    "const float* r = x + (long long)(i / many) * many;",
    "float m = 0.0f, v = 0.0f;",
    "for (int j = 0; j < many; j++) m += r[j];",
    "m /= many;",
    "for (int j = 0; j < many; j++) v += (r[j] - m) * (r[j] - m);",
    "v /= many;",
    "y[i] = (x[i] - m) * rsqrtf(v + 1e-5f);",
)
TRANSPOSED_BODY = lines(
    "int l = i % (2 * L + 1), o = i / (2 * L + 1);",
    "float s = 0.0f;",
    "for (int c = 0; c < C; c++)",
    "    for (int k = 0; k < 3; k++)",
    "        if ((l - k) % 2 == 0 && l >= k && (l - k) / 2 < L)",
    "            s += x[(long long)c * L + (l - k) / 2] * w[((long long)c * O + o) * 3 + k];",
    "y[i] = s;",
)
BEYOND = [
    naive("triangular_matmul", "the product of the lower triangles of two square matrices", TRIANGLES,
          triangles, SQUARE, flops="N * N * N // 3", family="product", length="N", terms=True),
    naive("instance_norm", "each channel, minus its mean, over its standard deviation", INSTANCE_NORM,
          instance_norm, CHANNELS, flops="6 * C * H * W", family="norm", length="H * W"),
    naive("transposed_conv_1d", "a transposed convolution of width 3 and stride 2 along the last axis", TRANSPOSED_BODY,
          transposed, TRANSPOSED, flops="6 * O * C * L", family="convolution", length="2 * C", terms=True),
]  # fmt: skip
