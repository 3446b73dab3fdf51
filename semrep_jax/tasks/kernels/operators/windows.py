"""Pooling and convolutions, without padding."""

from __future__ import annotations

from functools import partial
from typing import Any

from semrep_jax.cuda.spec import Array
from semrep_jax.tasks.kernels.naive import ArrayLayout, naive
from semrep_jax.tasks.kernels.operators.fragments import lines, total

pooling = partial(naive, family="pooling")
convolution = partial(naive, family="convolution")
LINE = ArrayLayout(
    ("C", "L"),
    (Array("x", ("C", "L")),),
    (Array("y", ("C", "L // 2")),),
    small=((3, 200), (8, 65), (1, 512)),
    edge=((1, 2), (5, 3), (2, 257)),
    bench=(512, 1 << 16),
)
PLANE = ArrayLayout(
    ("C", "H", "W"),
    (Array("x", ("C", "H", "W")),),
    (Array("y", ("C", "H // 2", "W // 2")),),
    small=((2, 24, 30), (3, 17, 21), (1, 64, 32)),
    edge=((1, 2, 2), (2, 3, 5), (1, 2, 129)),
    bench=(256, 512, 512),
)


def pairs(xp: Any, x: Any) -> Any:
    """(C, L // 2, 2) of (C, L)."""
    return x[:, : x.shape[1] // 2 * 2].reshape(x.shape[0], -1, 2)


def quads(xp: Any, x: Any) -> Any:
    """(C, H // 2, 2, W // 2, 2) of (C, H, W)."""
    c, h, w = x.shape[0], x.shape[1] // 2, x.shape[2] // 2
    return x[:, : 2 * h, : 2 * w].reshape(c, h, 2, w, 2)


def of_pair(value: str) -> str:
    """C of a value of p[0] and p[1]."""
    return lines(
        "int c = i / (L / 2), l = i % (L / 2);", "const float* p = x + (long long)c * L + 2 * l;", f"y[i] = {value};"
    )


def of_quad(value: str) -> str:
    """C of a value of p[0], p[1], p[W] and p[W + 1]."""
    return lines(
        "int w = i % (W / 2), h = i / (W / 2) % (H / 2), c = i / (W / 2) / (H / 2);",
        "const float* p = x + ((long long)c * H + 2 * h) * W + 2 * w;",
        f"y[i] = {value};",
    )


POOLING = [
    pooling("max_pool_1d", "the larger of each pair along the last axis", of_pair("fmaxf(p[0], p[1])"),
            lambda xp, x: pairs(xp, x).max(-1), LINE, flops="C * L / 2"),
    pooling("average_pool_1d", "the mean of each pair along the last axis", of_pair("0.5f * (p[0] + p[1])"),
            lambda xp, x: pairs(xp, x).mean(-1), LINE, flops="C * L", terms=True),
    pooling("max_pool_2d", "the largest of each 2 x 2 window",
            of_quad("fmaxf(fmaxf(p[0], p[1]), fmaxf(p[W], p[W + 1]))"),
            lambda xp, x: quads(xp, x).max((2, 4)), PLANE, flops="C * H * W"),
    pooling("average_pool_2d", "the mean of each 2 x 2 window", of_quad("0.25f * (p[0] + p[1] + p[W] + p[W + 1])"),
            lambda xp, x: quads(xp, x).mean((2, 4)), PLANE, flops="C * H * W", terms=True),
    pooling("global_average_pool", "the mean of each channel",
            lines(total("x[(long long)i * H * W + j]", "H * W"), "y[i] = s / (H * W);"),
            lambda xp, x: x.mean((1, 2)), PLANE.giving(Array("y", ("C",))), flops="C * H * W", length="H * W",
            terms=True),
]  # fmt: skip

CONV_1D = ArrayLayout(
    ("C", "L", "O"),
    (Array("x", ("C", "L")), Array("w", ("O", "C", "3"))),
    (Array("y", ("O", "L - 2")),),
    small=((3, 100, 4), (4, 65, 3), (1, 258, 2)),
    edge=((1, 3, 1), (5, 4, 2), (2, 35, 7)),
    bench=(128, 16384, 128),
)
CONV_2D = ArrayLayout(
    ("C", "H", "W", "O"),
    (Array("x", ("C", "H", "W")), Array("w", ("O", "C", "3", "3"))),
    (Array("y", ("O", "H - 2", "W - 2")),),
    small=((3, 12, 14, 4), (2, 17, 9, 3), (1, 20, 34, 2)),
    edge=((1, 3, 3, 1), (2, 4, 3, 5), (1, 3, 35, 2)),
    bench=(64, 256, 256, 64),
)
DEPTHWISE = ArrayLayout(
    ("C", "H", "W"),
    (Array("x", ("C", "H", "W")), Array("w", ("C", "3", "3"))),
    (Array("y", ("C", "H - 2", "W - 2")),),
    small=((2, 24, 30), (3, 17, 21), (1, 40, 32)),
    edge=((1, 3, 3), (2, 4, 3), (1, 3, 65)),
    bench=(256, 512, 512),
)
POINTWISE = ArrayLayout(
    ("C", "L", "O"),
    (Array("x", ("C", "L")), Array("w", ("O", "C"))),
    (Array("y", ("O", "L")),),
    small=((5, 100, 4), (16, 65, 3), (33, 64, 2)),
    edge=((1, 1, 1), (7, 4, 2), (64, 3, 5)),
    bench=(256, 1 << 16, 256),
)
BIASED = CONV_2D.taking(*CONV_2D.inputs, Array("bias", ("O",)))


def conv_1d(xp: Any, x: Any, w: Any) -> Any:
    """(O, L - 2) of (C, L) and (O, C, 3).

    xp: NumPy or jax.numpy. x: floats, C channels of L places. w: floats, three weights for each of O outputs and C
    channels.
    """
    size = x.shape[1] - 2
    return sum(w[:, :, k] @ x[:, k : k + size] for k in range(3))


def shifted(x: Any) -> dict[tuple[int, int], Any]:
    """The nine (C, H - 2, W - 2) that a 3 x 3 window sees of (C, H, W), by offset."""
    h, w = x.shape[1] - 2, x.shape[2] - 2
    return {(a, b): x[:, a : a + h, b : b + w] for a in range(3) for b in range(3)}


def conv_2d(xp: Any, x: Any, w: Any) -> Any:
    """(O, H - 2, W - 2) of (C, H, W) and (O, C, 3, 3).

    xp: NumPy or jax.numpy. x: floats, C channels of H rows and W columns. w: floats, 3 x 3 weights for each of O
    outputs and C channels.
    """
    return sum(xp.einsum("oc,chw->ohw", w[:, :, a, b], part) for (a, b), part in shifted(x).items())


def depthwise(xp: Any, x: Any, w: Any) -> Any:
    """(C, H - 2, W - 2) of (C, H, W) and (C, 3, 3).

    xp: NumPy or jax.numpy. x: floats, C channels of H rows and W columns. w: floats, 3 x 3 weights for each channel.
    """
    return sum(w[:, a, b][:, None, None] * part for (a, b), part in shifted(x).items())


def conv_2d_of(start: str, end: str) -> str:
    """C of a 3 x 3 convolution whose sum s begins as `start`; `end` is the answer."""
    return lines(
        "int w0 = i % (W - 2), h = i / (W - 2) % (H - 2), o = i / (W - 2) / (H - 2);",
        f"float s = {start};",
        "for (int c = 0; c < C; c++)",
        "    for (int a = 0; a < 3; a++)",
        "        for (int b = 0; b < 3; b++)",
        "            s += x[((long long)c * H + h + a) * W + w0 + b] * w[((o * C + c) * 3 + a) * 3 + b];",
        f"y[i] = {end};",
    )


CONV_1D_BODY = lines(
    "int l = i % (L - 2), o = i / (L - 2);",
    "float s = 0.0f;",
    "for (int c = 0; c < C; c++)",
    "    for (int k = 0; k < 3; k++) s += x[(long long)c * L + l + k] * w[(o * C + c) * 3 + k];",
    "y[i] = s;",
)
DEPTHWISE_BODY = lines(
    "int w0 = i % (W - 2), h = i / (W - 2) % (H - 2), c = i / (W - 2) / (H - 2);",
    "float s = 0.0f;",
    "for (int a = 0; a < 3; a++)",
    "    for (int b = 0; b < 3; b++) s += x[((long long)c * H + h + a) * W + w0 + b] * w[(c * 3 + a) * 3 + b];",
    "y[i] = s;",
)
POINTWISE_BODY = lines(
    "int l = i % L, o = i / L;",
    "float s = 0.0f;",
    "for (int c = 0; c < C; c++) s += x[(long long)c * L + l] * w[o * C + c];",
    "y[i] = s;",
)
CONVOLUTIONS = [
    convolution("conv_1d", "a convolution of width 3 along the last axis", CONV_1D_BODY,
                conv_1d, CONV_1D, flops="6 * O * C * L", length="3 * C", terms=True),
    convolution("conv_2d", "a 3 x 3 convolution", conv_2d_of("0.0f", "s"),
                conv_2d, CONV_2D, flops="18 * O * C * H * W", length="9 * C", terms=True),
    convolution("conv_2d_bias_relu", "a 3 x 3 convolution, plus a bias a channel, then max(., 0)",
                conv_2d_of("bias[o]", "fmaxf(s, 0.0f)"),
                lambda xp, x, w, bias: xp.maximum(conv_2d(xp, x, w) + bias[:, None, None], 0), BIASED,
                flops="18 * O * C * H * W", length="36 * C", level=2),
    convolution("depthwise_conv_2d", "a 3 x 3 convolution of each channel with its own kernel", DEPTHWISE_BODY,
                depthwise, DEPTHWISE, flops="18 * C * H * W", length="9", terms=True),
    convolution("pointwise_conv", "a convolution of width 1: channels mixed at each place", POINTWISE_BODY,
                lambda xp, x, w: w @ x, POINTWISE, flops="2 * O * C * L", length="C", terms=True),
]  # fmt: skip
