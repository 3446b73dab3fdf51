"""Maps: activations of one vector, and elementwise operators of several arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from semrep_jax.cuda.spec import Array, KernelTask
from semrep_jax.tasks.kernels.naive import MATRIX, VECTOR, XM, naive
from semrep_jax.tasks.kernels.operators.fragments import (
    SIGMOID,
    SOFTPLUS,
    gelu,
    gelu_of,
    lines,
    sigmoid,
    softplus,
    swish_of,
)


def activation(name: str, formula: str, of_v: str, reference: Callable[..., Any], flops: int) -> KernelTask:
    """`of_v`, in C, of each element v of a vector; it costs `flops`.

    name: of the task, and of its kernel before `_kernel`. formula: what the instruction says. of_v: an expression.
    reference: called with NumPy or jax.numpy and x, floats, (N,). flops: FLOPs of one element.
    """
    body = lines("float v = x[i];", f"y[i] = {of_v};")
    return naive(name, formula, body, reference, VECTOR, flops=f"{flops} * N", family="activation")


CLIP = "fminf(fmaxf(v, -1.0f), 1.0f)"
RELU6 = "fminf(fmaxf(v + 3.0f, 0.0f), 6.0f)"
SELU = "1.0507009873554805f * (v > 0.0f ? v : 1.6732632423543772f * expm1f(v))"
GELU_TANH = "0.5f * v * (1.0f + tanhf(0.79788456080286536f * (v + 0.044715f * v * v * v)))"


def elu(xp: Any, x: Any) -> Any:
    """x where it is positive, else exp(x) - 1."""
    return xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0)))


def selu(xp: Any, x: Any) -> Any:
    """The self-normalising ELU."""
    return 1.0507009873554805 * xp.where(x > 0, x, 1.6732632423543772 * xp.expm1(xp.minimum(x, 0)))


def gelu_tanh(xp: Any, x: Any) -> Any:
    """GELU by its tanh formula."""
    return 0.5 * x * (1 + xp.tanh(0.79788456080286536 * (x + 0.044715 * x**3)))


def leaky_relu(xp: Any, x: Any) -> Any:
    """x where it is positive, else a hundredth of it."""
    return xp.where(x > 0, x, 0.01 * x)


def hardswish(xp: Any, x: Any) -> Any:
    """x relu6(x + 3) / 6."""
    return x * xp.clip(x + 3, 0, 6) / 6


def mish(xp: Any, x: Any) -> Any:
    """x tanh(softplus(x))."""
    return x * xp.tanh(softplus(xp, x))


def signed_root(xp: Any, x: Any) -> Any:
    """The root of the absolute value, with the sign of x."""
    return xp.sign(x) * xp.sqrt(xp.abs(x))


ACTIVATIONS = [
    activation("relu", "y = max(x, 0)", "fmaxf(v, 0.0f)", lambda xp, x: xp.maximum(x, 0), 1),
    activation("leaky_relu", "y = x for x > 0, else 0.01 x", "v > 0.0f ? v : 0.01f * v", leaky_relu, 2),
    activation("elu", "y = x for x > 0, else exp(x) - 1", "v > 0.0f ? v : expm1f(v)", elu, 3),
    activation("selu", "the self-normalising ELU", SELU, selu, 4),
    activation("sigmoid", "y = 1 / (1 + exp(-x))", SIGMOID, sigmoid, 4),
    activation("tanh", "y = tanh(x)", "tanhf(v)", lambda xp, x: xp.tanh(x), 6),
    activation("silu", "y = x sigmoid(x)", swish_of("v"), lambda xp, x: x * sigmoid(xp, x), 5),
    activation("gelu", "y = x Phi(x), exactly (erf)", gelu_of("v"), gelu, 8),
    activation("gelu_tanh", "GELU by its tanh formula", GELU_TANH, gelu_tanh, 12),
    activation("softplus", "y = log(1 + exp(x)), stably", SOFTPLUS, softplus, 6),
    activation("softsign", "y = x / (1 + |x|)", "v / (1.0f + fabsf(v))", lambda xp, x: x / (1 + xp.abs(x)), 3),
    activation("hardtanh", "y = x clipped to [-1, 1]", CLIP, lambda xp, x: xp.clip(x, -1, 1), 2),
    activation("hardswish", "y = x relu6(x + 3) / 6", f"v * {RELU6} / 6.0f", hardswish, 5),
    activation("mish", "y = x tanh(softplus(x))", f"v * tanhf({SOFTPLUS})", mish, 13),
    activation("square_root_of_absolute", "y = sign(x) sqrt(|x|)", "copysignf(sqrtf(fabsf(v)), v)", signed_root, 3),
]

A, B, C = (Array(n, ("N",)) for n in "abc")
TWO, THREE = VECTOR.taking(A, B), VECTOR.taking(A, B, C)
W, BIAS, COLUMN = Array("w", ("N",)), Array("bias", ("N",)), Array("a", ("M",))  # along rows, along rows, along columns
elementwise = partial(naive, family="elementwise")
ELEMENTWISE = [
    elementwise("add", "y = a + b", "y[i] = a[i] + b[i];", lambda xp, a, b: a + b, TWO, flops="N", terms=True),
    elementwise("saxpy", "y = s a + b", "y[i] = s * a[i] + b[i];",
                lambda xp, a, b: 1.5 * a + b, TWO, flops="2 * N", terms=True, scalars={"s": 1.5}),
    elementwise("fma_chain", "y = (a b + c) a", "y[i] = (a[i] * b[i] + c[i]) * a[i];",
                lambda xp, a, b, c: (a * b + c) * a, THREE, flops="3 * N", terms=True),
    elementwise("lerp", "y = a + w (b - a) with w = c clipped to [0, 1]",
                lines("float w = fminf(fmaxf(c[i], 0.0f), 1.0f);", "y[i] = a[i] + w * (b[i] - a[i]);"),
                lambda xp, a, b, c: a + xp.clip(c, 0, 1) * (b - a), THREE, flops="5 * N", length="4"),
    elementwise("add_relu_scale", "y = 0.5 max(a + b, 0)", "y[i] = 0.5f * fmaxf(a[i] + b[i], 0.0f);",
                lambda xp, a, b: 0.5 * xp.maximum(a + b, 0), TWO, flops="3 * N", level=2, length="4"),
    elementwise("swiglu", "y = silu(a) b", lines("float v = a[i];", f"y[i] = {swish_of('v')} * b[i];"),
                lambda xp, a, b: a * sigmoid(xp, a) * b, TWO, flops="6 * N", level=2),
    elementwise("bias_gelu", "y = gelu(x + bias), the bias along rows",
                lines("float v = x[i] + bias[i % N];", f"y[i] = {gelu_of('v')};"),
                lambda xp, x, bias: gelu(xp, x + bias), MATRIX.taking(XM, BIAS), flops="9 * M * N", level=2,
                length="4"),
    elementwise("row_scale_shift", "y = x w + b with w, b along rows", "y[i] = x[i] * w[i % N] + b[i % N];",
                lambda xp, x, w, b: x * w + b, MATRIX.taking(XM, W, B), flops="2 * M * N", terms=True),
    elementwise("outer_product", "y[m, n] = a[m] b[n]", "y[i] = a[i / N] * b[i % N];",
                lambda xp, a, b: a[:, None] * b[None], MATRIX.taking(COLUMN, B), flops="M * N", terms=True),
    elementwise("diagonal_times_matrix", "y = diag(a) x", "y[i] = a[i / N] * x[i];",
                lambda xp, a, x: a[:, None] * x, MATRIX.taking(COLUMN, XM), flops="M * N", terms=True),
]  # fmt: skip
