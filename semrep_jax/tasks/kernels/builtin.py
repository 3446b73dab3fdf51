"""The operators of KernelBench's levels 1 and 2, as tasks of ours: plain CUDA to be made faster, references, oracles and shapes."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import numpy as np

from semrep_jax.core.errors import TaskError
from semrep_jax.cuda.spec import Array, KernelTask, Values
from semrep_jax.tasks.kernels.naive import MATRIX, ROWS, VECTOR, XM, YM, ArrayLayout, X, naive


def _erf(xp: Any, x: Any) -> Any:
    if xp is np:
        from scipy.special import erf
    else:
        from jax.scipy.special import erf
    return erf(x)


def _softmax(xp: Any, x: Any, axis: int = -1) -> Any:
    e = xp.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _sigmoid(xp: Any, x: Any) -> Any:
    return 1 / (1 + xp.exp(-x))


def _softplus(xp: Any, x: Any) -> Any:
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


def _unary() -> list[KernelTask]:
    """Activations and other maps of one vector: name, sentence, C expression of v, reference, FLOPs an element."""
    table = [
        ("relu", "y = max(x, 0)", "fmaxf(v, 0.0f)", lambda xp, x: xp.maximum(x, 0), 1),
        ("leaky_relu", "y = x for x > 0, else 0.01 x", "v > 0.0f ? v : 0.01f * v", lambda xp, x: xp.where(x > 0, x, 0.01 * x), 2),
        ("elu", "y = x for x > 0, else exp(x) - 1", "v > 0.0f ? v : expm1f(v)", lambda xp, x: xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0))), 3),
        ("selu", "the self-normalising ELU", "1.0507009873554805f * (v > 0.0f ? v : 1.6732632423543772f * expm1f(v))",
         lambda xp, x: 1.0507009873554805 * xp.where(x > 0, x, 1.6732632423543772 * xp.expm1(xp.minimum(x, 0))), 4),
        ("sigmoid", "y = 1 / (1 + exp(-x))", "1.0f / (1.0f + expf(-v))", _sigmoid, 4),
        ("tanh", "y = tanh(x)", "tanhf(v)", lambda xp, x: xp.tanh(x), 6),
        ("silu", "y = x sigmoid(x)", "v / (1.0f + expf(-v))", lambda xp, x: x * _sigmoid(xp, x), 5),
        ("gelu", "y = x Phi(x), exactly (erf)", "0.5f * v * (1.0f + erff(v * 0.70710678118654752f))",
         lambda xp, x: 0.5 * x * (1 + _erf(xp, x / 2**0.5)), 8),
        ("gelu_tanh", "GELU by its tanh formula", "0.5f * v * (1.0f + tanhf(0.79788456080286536f * (v + 0.044715f * v * v * v)))",
         lambda xp, x: 0.5 * x * (1 + xp.tanh(0.79788456080286536 * (x + 0.044715 * x**3))), 12),
        ("softplus", "y = log(1 + exp(x)), stably", "fmaxf(v, 0.0f) + log1pf(expf(-fabsf(v)))", _softplus, 6),
        ("softsign", "y = x / (1 + |x|)", "v / (1.0f + fabsf(v))", lambda xp, x: x / (1 + xp.abs(x)), 3),
        ("hardtanh", "y = x clipped to [-1, 1]", "fminf(fmaxf(v, -1.0f), 1.0f)", lambda xp, x: xp.clip(x, -1, 1), 2),
        ("hardswish", "y = x relu6(x + 3) / 6", "v * fminf(fmaxf(v + 3.0f, 0.0f), 6.0f) / 6.0f", lambda xp, x: x * xp.clip(x + 3, 0, 6) / 6, 5),
        ("mish", "y = x tanh(softplus(x))", "v * tanhf(fmaxf(v, 0.0f) + log1pf(expf(-fabsf(v))))",
         lambda xp, x: x * xp.tanh(_softplus(xp, x)), 13),
        ("square_root_of_absolute", "y = sign(x) sqrt(|x|)", "copysignf(sqrtf(fabsf(v)), v)", lambda xp, x: xp.sign(x) * xp.sqrt(xp.abs(x)), 3),
    ]  # fmt: skip
    return [
        naive(n, say, f"float v = x[i];\ny[i] = {c};", ref, VECTOR, flops=f"{f} * N", family="activation")
        for n, say, c, ref, f in table
    ]


def _elementwise() -> list[KernelTask]:
    a, b, c = (Array(n, ("N",)) for n in "abc")
    two, three = VECTOR.taking(a, b), VECTOR.taking(a, b, c)
    bias = MATRIX.taking(XM, Array("bias", ("N",)))
    return [
        naive("add", "y = a + b", "y[i] = a[i] + b[i];", lambda xp, a, b: a + b, two, flops="N", family="elementwise", terms=True),
        naive("saxpy", "y = s a + b", "y[i] = s * a[i] + b[i];", lambda xp, a, b: 1.5 * a + b, two, flops="2 * N", family="elementwise",
              terms=True, scalars={"s": 1.5}),
        naive("fma_chain", "y = (a b + c) a", "y[i] = (a[i] * b[i] + c[i]) * a[i];", lambda xp, a, b, c: (a * b + c) * a, three,
              flops="3 * N", family="elementwise", terms=True),
        naive("lerp", "y = a + w (b - a) with w = c clipped to [0, 1]", "float w = fminf(fmaxf(c[i], 0.0f), 1.0f);\ny[i] = a[i] + w * (b[i] - a[i]);",
              lambda xp, a, b, c: a + xp.clip(c, 0, 1) * (b - a), three, flops="5 * N", family="elementwise", length="4"),
        naive("add_relu_scale", "y = 0.5 max(a + b, 0)", "y[i] = 0.5f * fmaxf(a[i] + b[i], 0.0f);", lambda xp, a, b: 0.5 * xp.maximum(a + b, 0),
              two, flops="3 * N", family="elementwise", level=2, length="4"),
        naive("swiglu", "y = silu(a) b", "float v = a[i];\ny[i] = v / (1.0f + expf(-v)) * b[i];", lambda xp, a, b: a * _sigmoid(xp, a) * b, two,
              flops="6 * N", family="elementwise", level=2),
        naive("bias_gelu", "y = gelu(x + bias), the bias along rows",
              "float v = x[i] + bias[i % N];\ny[i] = 0.5f * v * (1.0f + erff(v * 0.70710678118654752f));",
              lambda xp, x, bias: 0.5 * (x + bias) * (1 + _erf(xp, (x + bias) / 2**0.5)), bias, flops="9 * M * N", family="elementwise", level=2,
              length="4"),
        naive("row_scale_shift", "y = x w + b with w, b along rows", "y[i] = x[i] * w[i % N] + b[i % N];", lambda xp, x, w, b: x * w + b,
              MATRIX.taking(XM, Array("w", ("N",)), Array("b", ("N",))), flops="2 * M * N", family="elementwise", terms=True),
        naive("outer_product", "y[m, n] = a[m] b[n]", "y[i] = a[i / N] * b[i % N];", lambda xp, a, b: a[:, None] * b[None],
              MATRIX.taking(Array("a", ("M",)), Array("b", ("N",))), flops="M * N", family="elementwise", terms=True),
        naive("diagonal_times_matrix", "y = diag(a) x", "y[i] = a[i / N] * x[i];", lambda xp, a, x: a[:, None] * x,
              MATRIX.taking(Array("a", ("M",)), XM), flops="M * N", family="elementwise", terms=True),
    ]  # fmt: skip


def _reductions() -> list[KernelTask]:
    row = "const float* r = x + (long long)i * N;\n"
    loop = row + "float s = {start};\nfor (int j = 0; j < N; j++) s = {step};\ny[i] = {end};"
    table = [
        ("row_sum", "the sum of each row", "0.0f", "s + r[j]", "s", lambda xp, x: x.sum(-1), True),
        ("row_mean", "the mean of each row", "0.0f", "s + r[j]", "s / N", lambda xp, x: x.mean(-1), True),
        ("row_max", "the largest of each row", "r[0]", "fmaxf(s, r[j])", "s", lambda xp, x: x.max(-1), False),
        ("row_min", "the smallest of each row", "r[0]", "fminf(s, r[j])", "s", lambda xp, x: x.min(-1), False),
        (
            "row_sum_of_squares",
            "the sum of squares of each row",
            "0.0f",
            "s + r[j] * r[j]",
            "s",
            lambda xp, x: (x * x).sum(-1),
            True,
        ),
        (
            "row_norm",
            "the Euclidean norm of each row",
            "0.0f",
            "s + r[j] * r[j]",
            "sqrtf(s)",
            lambda xp, x: xp.sqrt((x * x).sum(-1)),
            False,
        ),
        (
            "row_absolute_sum",
            "the sum of absolute values of each row",
            "0.0f",
            "s + fabsf(r[j])",
            "s",
            lambda xp, x: xp.abs(x).sum(-1),
            True,
        ),
    ]
    found = [
        naive(
            n,
            say,
            loop.format(start=start, step=step, end=end),
            ref,
            ROWS,
            flops="2 * M * N",
            family="reduction",
            length="N",
            terms=terms,
        )
        for n, say, start, step, end, ref, terms in table
    ]
    near = ROWS.taking(Array("x", ("M", "N"), values=Values.NEAR_ONE))
    whole = ArrayLayout(
        ("N",), (X,), (Array("y", ("1",)),), ((1000,), (4096,), (777,)), ((1,), (31,), (257,)), (1 << 22,)
    )
    column = MATRIX.giving(Array("y", ("N",)))
    return [
        *found,
        naive("row_product", "the product of each row", loop.format(start="1.0f", step="s * r[j]", end="s"), lambda xp, x: x.prod(-1), near,
              flops="M * N", family="reduction", length="N * N"),
        naive("row_argmax", "the first index of the largest of each row",
              row + "int best = 0;\nfor (int j = 1; j < N; j++) if (r[j] > r[best]) best = j;\ny[i] = best;", lambda xp, x: x.argmax(-1),
              ROWS.giving(Array("y", ("M",), "i32")), flops="M * N", family="reduction"),
        naive("row_log_sum_exp", "log of the sum of exponentials of each row, stably",
              row + "float m = r[0], s = 0.0f;\nfor (int j = 1; j < N; j++) m = fmaxf(m, r[j]);\nfor (int j = 0; j < N; j++) s += expf(r[j] - m);\n"
              "y[i] = m + logf(s);", lambda xp, x: x.max(-1) + xp.log(xp.exp(x - x.max(-1, keepdims=True)).sum(-1)), ROWS, flops="5 * M * N",
              family="reduction", length="N"),
        naive("row_variance", "the variance of each row (divided by N)",
              row + "float m = 0.0f, s = 0.0f;\nfor (int j = 0; j < N; j++) m += r[j];\nm /= N;\nfor (int j = 0; j < N; j++) s += (r[j] - m) * (r[j] - m);\n"
              "y[i] = s / N;", lambda xp, x: x.var(-1), ROWS, flops="4 * M * N", family="reduction", length="N"),
        naive("column_sum", "the sum of each column", "float s = 0.0f;\nfor (int j = 0; j < M; j++) s += x[(long long)j * N + i];\ny[i] = s;",
              lambda xp, x: x.sum(0), column, flops="M * N", family="reduction", length="M", terms=True),
        naive("column_max", "the largest of each column", "float s = x[i];\nfor (int j = 1; j < M; j++) s = fmaxf(s, x[(long long)j * N + i]);\ny[i] = s;",
              lambda xp, x: x.max(0), column, flops="M * N", family="reduction"),
        naive("sum", "the sum of a vector", "float s = 0.0f;\nfor (int j = 0; j < N; j++) s += x[j];\ny[0] = s;", lambda xp, x: x.sum().reshape(1),
              whole, flops="N", family="reduction", length="N", terms=True),
        naive("frobenius_norm", "the Euclidean norm of a vector", "float s = 0.0f;\nfor (int j = 0; j < N; j++) s += x[j] * x[j];\ny[0] = sqrtf(s);",
              lambda xp, x: xp.sqrt((x * x).sum()).reshape(1), whole, flops="2 * N", family="reduction", length="N"),
    ]  # fmt: skip


def _losses() -> list[KernelTask]:
    a, b = Array("prediction", ("N",)), Array("target", ("N",))
    form = ArrayLayout(
        ("N",), (a, b), (Array("loss", ("1",)),), ((1000,), (4096,), (777,)), ((1,), (31,), (257,)), (1 << 22,)
    )
    sum_of = "float s = 0.0f;\nfor (int j = 0; j < N; j++) {{ float d = prediction[j] - target[j]; s += {0}; }}\nloss[0] = s / N;"
    over_rows = ArrayLayout(("M", "N"), (Array("logits", ("M", "N")), Array("label", ("M",), "i32", Values.INDEX, "N")), (Array("loss", ("M",)),),
                     ROWS.small, ROWS.edge, ROWS.bench)  # fmt: skip
    p, q = (Array(n, ("M", "N"), values=Values.PROBABILITIES) for n in ("p", "q"))

    def huber(xp: Any, prediction: Any, target: Any) -> Any:
        d = xp.abs(prediction - target)
        return xp.where(d < 1, 0.5 * d * d, d - 0.5).mean().reshape(1)

    def cross_entropy(xp: Any, logits: Any, label: Any) -> Any:
        top = logits.max(-1)
        return top + xp.log(xp.exp(logits - top[:, None]).sum(-1)) - logits[xp.arange(logits.shape[0]), label]

    return [
        naive("mse_loss", "the mean squared error of two vectors", sum_of.format("d * d"),
              lambda xp, prediction, target: ((prediction - target) ** 2).mean().reshape(1), form, flops="3 * N", family="loss", length="N"),
        naive("mae_loss", "the mean absolute error of two vectors", sum_of.format("fabsf(d)"),
              lambda xp, prediction, target: xp.abs(prediction - target).mean().reshape(1), form, flops="3 * N", family="loss", length="N"),
        naive("huber_loss", "the mean Huber loss (delta 1) of two vectors", sum_of.format("fabsf(d) < 1.0f ? 0.5f * d * d : fabsf(d) - 0.5f"),
              huber, form, flops="5 * N", family="loss", length="N"),
        naive("hinge_loss", "the mean of max(0, 1 - prediction target)",
              "float s = 0.0f;\nfor (int j = 0; j < N; j++) s += fmaxf(0.0f, 1.0f - prediction[j] * target[j]);\nloss[0] = s / N;",
              lambda xp, prediction, target: xp.maximum(0, 1 - prediction * target).mean().reshape(1), form, flops="4 * N", family="loss", length="N"),
        naive("log_cosh_loss", "the mean of log cosh(prediction - target), stably",
              sum_of.format("fabsf(d) + log1pf(expf(-2.0f * fabsf(d))) - 0.69314718055994531f"),
              lambda xp, prediction, target: (xp.abs(prediction - target) + xp.log1p(xp.exp(-2 * xp.abs(prediction - target))) - np.log(2)).mean()
              .reshape(1), form, flops="8 * N", family="loss", length="N"),
        naive("cross_entropy_loss", "the cross entropy of each row of logits with its label",
              "const float* r = logits + (long long)i * N;\nfloat m = r[0], s = 0.0f;\nfor (int j = 1; j < N; j++) m = fmaxf(m, r[j]);\n"
              "for (int j = 0; j < N; j++) s += expf(r[j] - m);\nloss[i] = m + logf(s) - r[label[i]];", cross_entropy, over_rows, flops="5 * M * N",
              family="loss", length="N"),
        naive("kl_divergence", "sum of p log(p / q) for each row",
              "float s = 0.0f;\nfor (int j = 0; j < N; j++) { float a = p[(long long)i * N + j]; s += a * logf(a / q[(long long)i * N + j]); }\ny[i] = s;",
              lambda xp, p, q: (p * xp.log(p / q)).sum(-1), ArrayLayout(("M", "N"), (p, q), (Array("y", ("M",)),), ROWS.small, ((2, 3), (7, 5), (2, 1031)),
              ROWS.bench), flops="4 * M * N", family="loss", length="16 * N"),
        naive("cosine_similarity", "the cosine of each pair of rows",
              "float d = 0.0f, u = 0.0f, v = 0.0f;\nfor (int j = 0; j < N; j++) {\n    float s = a[(long long)i * N + j], t = b[(long long)i * N + j];\n"
              "    d += s * t; u += s * s; v += t * t;\n}\ny[i] = d / (sqrtf(u) * sqrtf(v) + 1e-6f);",
              lambda xp, a, b: (a * b).sum(-1) / (xp.sqrt((a * a).sum(-1)) * xp.sqrt((b * b).sum(-1)) + 1e-6),
              ROWS.taking(Array("a", ("M", "N")), Array("b", ("M", "N"))), flops="6 * M * N", family="loss", length="N"),
    ]  # fmt: skip


def _rowwise() -> list[KernelTask]:
    row = "int row = i / N;\nconst float* r = x + (long long)row * N;\n"
    top = "float m = r[0], s = 0.0f;\nfor (int j = 1; j < N; j++) m = fmaxf(m, r[j]);\nfor (int j = 0; j < N; j++) s += expf({0} * (r[j] - m));\n"
    moments = "float m = 0.0f, v = 0.0f;\nfor (int j = 0; j < N; j++) m += r[j];\nm /= N;\nfor (int j = 0; j < N; j++) v += (r[j] - m) * (r[j] - m);\nv /= N;\n"
    w, b = Array("w", ("N",)), Array("b", ("N",))

    def layer_norm(xp: Any, x: Any, w: Any, b: Any) -> Any:
        return (x - x.mean(-1, keepdims=True)) / xp.sqrt(x.var(-1, keepdims=True) + 1e-5) * w + b

    def rms_norm(xp: Any, x: Any, w: Any) -> Any:
        return x / xp.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * w

    return [
        naive("softmax", "the softmax of each row", row + top.format("1.0f") + "y[i] = expf(x[i] - m) / s;", _softmax, MATRIX, flops="5 * M * N",
              family="softmax", length="N"),
        naive("softmax_temperature", "the softmax of each row divided by 0.5", row + top.format("2.0f") + "y[i] = expf(2.0f * (x[i] - m)) / s;",
              lambda xp, x: _softmax(xp, 2 * x), MATRIX, flops="6 * M * N", family="softmax", length="N"),
        naive("log_softmax", "the logarithm of the softmax of each row", row + top.format("1.0f") + "y[i] = x[i] - m - logf(s);",
              lambda xp, x: x - x.max(-1, keepdims=True) - xp.log(xp.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)), MATRIX,
              flops="5 * M * N", family="softmax", length="N"),
        naive("layer_norm", "layer norm of each row with weight and bias",
              row + moments + "y[i] = (x[i] - m) * rsqrtf(v + 1e-5f) * w[i % N] + b[i % N];", layer_norm, MATRIX.taking(XM, w, b), flops="8 * M * N",
              family="norm", length="N", level=2),
        naive("rms_norm", "RMS norm of each row with weight",
              row + "float s = 0.0f;\nfor (int j = 0; j < N; j++) s += r[j] * r[j];\ny[i] = x[i] * rsqrtf(s / N + 1e-6f) * w[i % N];", rms_norm,
              MATRIX.taking(XM, w), flops="4 * M * N", family="norm", length="N"),
        naive("l1_normalise", "each row divided by the sum of its absolute values",
              row + "float s = 0.0f;\nfor (int j = 0; j < N; j++) s += fabsf(r[j]);\ny[i] = x[i] / (s + 1e-6f);",
              lambda xp, x: x / (xp.abs(x).sum(-1, keepdims=True) + 1e-6), MATRIX, flops="3 * M * N", family="norm", length="N"),
        naive("l2_normalise", "each row divided by its Euclidean norm",
              row + "float s = 0.0f;\nfor (int j = 0; j < N; j++) s += r[j] * r[j];\ny[i] = x[i] / (sqrtf(s) + 1e-6f);",
              lambda xp, x: x / (xp.sqrt((x * x).sum(-1, keepdims=True)) + 1e-6), MATRIX, flops="3 * M * N", family="norm", length="N"),
        naive("residual_layer_norm", "layer norm of the rows of x + z with weight and bias",
              "int row = i / N;\nconst float* r = x + (long long)row * N;\nconst float* q = z + (long long)row * N;\nfloat m = 0.0f, v = 0.0f;\n"
              "for (int j = 0; j < N; j++) m += r[j] + q[j];\nm /= N;\nfor (int j = 0; j < N; j++) { float d = r[j] + q[j] - m; v += d * d; }\nv /= N;\n"
              "y[i] = (x[i] + z[i] - m) * rsqrtf(v + 1e-5f) * w[i % N] + b[i % N];", lambda xp, x, z, w, b: layer_norm(xp, x + z, w, b),
              MATRIX.taking(XM, Array("z", ("M", "N")), w, b), flops="9 * M * N", family="norm", length="4 * N", level=2),
        naive("rms_norm_gate", "RMS norm of each row with weight, times silu of a gate",
              row + "float s = 0.0f, g = gate[i];\nfor (int j = 0; j < N; j++) s += r[j] * r[j];\n"
              "y[i] = x[i] * rsqrtf(s / N + 1e-6f) * w[i % N] * g / (1.0f + expf(-g));",
              lambda xp, x, w, gate: rms_norm(xp, x, w) * gate * _sigmoid(xp, gate), MATRIX.taking(XM, w, Array("gate", ("M", "N"))),
              flops="10 * M * N", family="norm", length="N", level=2),
    ]  # fmt: skip


def _scans_and_moves() -> list[KernelTask]:
    row = "int row = i / N, c = i % N;\nconst float* r = x + (long long)row * N;\nfloat s = {0};\nfor (int j = {1}; j {2}; j{3}) s {4} r[j];\ny[i] = s;"
    near = MATRIX.taking(Array("x", ("M", "N"), values=Values.NEAR_ONE))
    cube = ArrayLayout(("B", "M", "N"), (Array("x", ("B", "M", "N")),), (Array("y", ("B", "N", "M")),), ((2, 24, 50), (3, 17, 33), (1, 64, 32)),
                ((1, 1, 1), (2, 1, 7), (3, 31, 2)), (16, 2048, 2048))  # fmt: skip
    turned = MATRIX.giving(Array("y", ("N", "M")))
    return [
        naive("cumulative_sum", "the running sum along each row", row.format("0.0f", "0", "<= c", "++", "+="), lambda xp, x: xp.cumsum(x, -1), MATRIX,
              flops="M * N", family="scan", length="N", terms=True),
        naive("exclusive_cumulative_sum", "the sum of what lies before each element of its row", row.format("0.0f", "0", "< c", "++", "+="),
              lambda xp, x: xp.cumsum(x, -1) - x, MATRIX, flops="M * N", family="scan", length="N"),
        naive("reverse_cumulative_sum", "the running sum from the end of each row", row.format("0.0f", "N - 1", ">= c", "--", "+="),
              lambda xp, x: xp.flip(xp.cumsum(xp.flip(x, -1), -1), -1), MATRIX, flops="M * N", family="scan", length="N", terms=True),
        naive("cumulative_product", "the running product along each row", row.format("1.0f", "0", "<= c", "++", "*="),
              lambda xp, x: xp.cumprod(x, -1), near, flops="M * N", family="scan", length="N * N"),
        naive("transpose", "the transpose of a matrix", "y[i] = x[(long long)(i % M) * N + i / M];", lambda xp, x: x.T, turned, flops="0", family="move"),
        naive("batched_transpose", "the transpose of each matrix of a batch",
              "int b = i / (M * N), k = i % (M * N);\ny[i] = x[(long long)b * M * N + (k % M) * N + k / M];", lambda xp, x: xp.swapaxes(x, 1, 2), cube,
              flops="0", family="move"),
        naive("permute_021_to_201", "axes (0, 1, 2) reordered to (2, 0, 1)",
              "int n = i / (B * M), k = i % (B * M);\ny[i] = x[(long long)k * N + n];", lambda xp, x: xp.transpose(x, (2, 0, 1)),
              cube.giving(Array("y", ("N", "B", "M"))), flops="0", family="move"),
        naive("reverse_rows", "each row from its end", "y[i] = x[i - i % N + N - 1 - i % N];", lambda xp, x: xp.flip(x, -1), MATRIX, flops="0", family="move"),
        naive("gather_rows", "the rows of a table that an index names", "y[i] = table[(long long)index[i / N] * N + i % N];",
              lambda xp, table, index: table[index], MATRIX.taking(Array("table", ("64", "N")), Array("index", ("M",), "i32", Values.INDEX, "64")),
              flops="0", family="move"),
        naive("masked_fill", "x where the mask is 0, else -1", "y[i] = mask[i] ? -1.0f : x[i];", lambda xp, x, mask: xp.where(mask != 0, -1.0, x),
              MATRIX.taking(XM, Array("mask", ("M", "N"), "u8", Values.BITS)), flops="0", family="move"),
        naive("lower_triangle", "x on and below the diagonal, else 0", "y[i] = i % N <= i / N ? x[i] : 0.0f;", lambda xp, x: xp.tril(x),
              ArrayLayout(("M", "N"), (XM,), (YM,), MATRIX.small, ((7, 3), (31, 33), (40, 9)), MATRIX.bench), flops="0", family="move"),
    ]  # fmt: skip


def _windows() -> list[KernelTask]:
    """Pooling and convolutions, without padding unless said."""
    line = ArrayLayout(
        ("C", "L"),
        (Array("x", ("C", "L")),),
        (Array("y", ("C", "L // 2")),),
        ((3, 200), (8, 65), (1, 512)),
        ((1, 2), (5, 3), (2, 257)),
        (512, 1 << 16),
    )
    plane = ArrayLayout(("C", "H", "W"), (Array("x", ("C", "H", "W")),), (Array("y", ("C", "H // 2", "W // 2")),), ((2, 24, 30), (3, 17, 21), (1, 64, 32)),
                 ((1, 2, 2), (2, 3, 5), (1, 2, 129)), (256, 512, 512))  # fmt: skip
    two = "int w = i % (W / 2), h = i / (W / 2) % (H / 2), c = i / (W / 2) / (H / 2);\nconst float* p = x + ((long long)c * H + 2 * h) * W + 2 * w;\n"

    def pairs(xp: Any, x: Any) -> Any:
        return x[:, : x.shape[1] // 2 * 2].reshape(x.shape[0], -1, 2)

    def quads(xp: Any, x: Any) -> Any:
        c, h, w = x.shape[0], x.shape[1] // 2, x.shape[2] // 2
        return x[:, : 2 * h, : 2 * w].reshape(c, h, 2, w, 2)

    conv1 = ArrayLayout(("C", "L", "O"), (Array("x", ("C", "L")), Array("w", ("O", "C", "3"))), (Array("y", ("O", "L - 2")),), ((3, 100, 4), (4, 65, 3), (1, 258, 2)),
                 ((1, 3, 1), (5, 4, 2), (2, 35, 7)), (128, 16384, 128))  # fmt: skip
    conv2 = ArrayLayout(("C", "H", "W", "O"), (Array("x", ("C", "H", "W")), Array("w", ("O", "C", "3", "3"))), (Array("y", ("O", "H - 2", "W - 2")),),
                 ((3, 12, 14, 4), (2, 17, 9, 3), (1, 20, 34, 2)), ((1, 3, 3, 1), (2, 4, 3, 5), (1, 3, 35, 2)), (64, 256, 256, 64))  # fmt: skip
    depth = ArrayLayout(("C", "H", "W"), (Array("x", ("C", "H", "W")), Array("w", ("C", "3", "3"))), (Array("y", ("C", "H - 2", "W - 2")),), ((2, 24, 30), (3, 17, 21), (1, 40, 32)),
                 ((1, 3, 3), (2, 4, 3), (1, 3, 65)), (256, 512, 512))  # fmt: skip
    point = ArrayLayout(("C", "L", "O"), (Array("x", ("C", "L")), Array("w", ("O", "C"))), (Array("y", ("O", "L")),), ((5, 100, 4), (16, 65, 3), (33, 64, 2)),
                 ((1, 1, 1), (7, 4, 2), (64, 3, 5)), (256, 1 << 16, 256))  # fmt: skip

    def conv_1d(xp: Any, x: Any, w: Any) -> Any:
        size = x.shape[1] - 2
        return sum(w[:, :, k] @ x[:, k : k + size] for k in range(3))

    def conv_2d(xp: Any, x: Any, w: Any) -> Any:
        h, v = x.shape[1] - 2, x.shape[2] - 2
        return sum(
            xp.einsum("oc,chw->ohw", w[:, :, a, b], x[:, a : a + h, b : b + v]) for a in range(3) for b in range(3)
        )

    def depthwise(xp: Any, x: Any, w: Any) -> Any:
        h, v = x.shape[1] - 2, x.shape[2] - 2
        return sum(w[:, a, b][:, None, None] * x[:, a : a + h, b : b + v] for a in range(3) for b in range(3))

    conv_body = (
        "int w0 = i % (W - 2), h = i / (W - 2) % (H - 2), o = i / (W - 2) / (H - 2);\nfloat s = {0};\nfor (int c = 0; c < C; c++)\n"
        "    for (int a = 0; a < 3; a++)\n        for (int b = 0; b < 3; b++)\n"
        "            s += x[((long long)c * H + h + a) * W + w0 + b] * w[((o * C + c) * 3 + a) * 3 + b];\ny[i] = {1};"
    )
    biased = conv2.taking(*conv2.inputs, Array("bias", ("O",)))
    return [
        naive("max_pool_1d", "the larger of each pair along the last axis", "int c = i / (L / 2), l = i % (L / 2);\nconst float* p = x + (long long)c * L + 2 * l;\n"
              "y[i] = fmaxf(p[0], p[1]);", lambda xp, x: pairs(xp, x).max(-1), line, flops="C * L / 2", family="pooling"),
        naive("average_pool_1d", "the mean of each pair along the last axis", "int c = i / (L / 2), l = i % (L / 2);\nconst float* p = x + (long long)c * L + 2 * l;\n"
              "y[i] = 0.5f * (p[0] + p[1]);", lambda xp, x: pairs(xp, x).mean(-1), line, flops="C * L", family="pooling", terms=True),
        naive("max_pool_2d", "the largest of each 2 x 2 window", two + "y[i] = fmaxf(fmaxf(p[0], p[1]), fmaxf(p[W], p[W + 1]));",
              lambda xp, x: quads(xp, x).max((2, 4)), plane, flops="C * H * W", family="pooling"),
        naive("average_pool_2d", "the mean of each 2 x 2 window", two + "y[i] = 0.25f * (p[0] + p[1] + p[W] + p[W + 1]);",
              lambda xp, x: quads(xp, x).mean((2, 4)), plane, flops="C * H * W", family="pooling", terms=True),
        naive("global_average_pool", "the mean of each channel", "float s = 0.0f;\nfor (int j = 0; j < H * W; j++) s += x[(long long)i * H * W + j];\ny[i] = s / (H * W);",
              lambda xp, x: x.mean((1, 2)), plane.giving(Array("y", ("C",))), flops="C * H * W", family="pooling", length="H * W", terms=True),
        naive("conv_1d", "a convolution of width 3 along the last axis",
              "int l = i % (L - 2), o = i / (L - 2);\nfloat s = 0.0f;\nfor (int c = 0; c < C; c++)\n    for (int k = 0; k < 3; k++) s += x[(long long)c * L + l + k] * w[(o * C + c) * 3 + k];\n"
              "y[i] = s;", conv_1d, conv1, flops="6 * O * C * L", family="convolution", length="3 * C", terms=True),
        naive("conv_2d", "a 3 x 3 convolution", conv_body.format("0.0f", "s"), conv_2d, conv2, flops="18 * O * C * H * W", family="convolution", length="9 * C", terms=True),
        naive("conv_2d_bias_relu", "a 3 x 3 convolution, plus a bias a channel, then max(., 0)", conv_body.format("bias[o]", "fmaxf(s, 0.0f)"),
              lambda xp, x, w, bias: xp.maximum(conv_2d(xp, x, w) + bias[:, None, None], 0), biased, flops="18 * O * C * H * W", family="convolution",
              length="36 * C", level=2),
        naive("depthwise_conv_2d", "a 3 x 3 convolution of each channel with its own kernel",
              "int w0 = i % (W - 2), h = i / (W - 2) % (H - 2), c = i / (W - 2) / (H - 2);\nfloat s = 0.0f;\nfor (int a = 0; a < 3; a++)\n"
              "    for (int b = 0; b < 3; b++) s += x[((long long)c * H + h + a) * W + w0 + b] * w[(c * 3 + a) * 3 + b];\ny[i] = s;", depthwise, depth,
              flops="18 * C * H * W", family="convolution", length="9", terms=True),
        naive("pointwise_conv", "a convolution of width 1: channels mixed at each place",
              "int l = i % L, o = i / L;\nfloat s = 0.0f;\nfor (int c = 0; c < C; c++) s += x[(long long)c * L + l] * w[o * C + c];\ny[i] = s;",
              lambda xp, x, w: w @ x, point, flops="2 * O * C * L", family="convolution", length="C", terms=True),
    ]  # fmt: skip


def _products() -> list[KernelTask]:
    """Matrix products, attention, and products fused with what follows them."""
    shapes: dict[str, Any] = {
        "small": ((24, 20, 16), (17, 33, 9), (8, 8, 64)),
        "edge": ((1, 1, 1), (3, 1, 7), (2, 65, 31)),
        "bench": (4096, 4096, 4096),
    }
    a, b, y = Array("a", ("M", "K")), Array("b", ("K", "N")), Array("y", ("M", "N"))
    axes = ("M", "N", "K")
    form = ArrayLayout(axes, (a, b), (y,), **shapes)
    turned_b, turned_a = (
        ArrayLayout(axes, (a, Array("b", ("N", "K"))), (y,), **shapes),
        ArrayLayout(axes, (Array("a", ("K", "M")), b), (y,), **shapes),
    )
    bias = Array("bias", ("N",))
    body = "int m = i / N, n = i % N;\nfloat s = {0};\nfor (int k = 0; k < K; k++) s += {1};\ny[i] = {2};"
    plain = "a[(long long)m * K + k] * b[(long long)k * N + n]"
    common: dict[str, Any] = {"flops": "2 * M * N * K", "length": "K", "family": "product"}
    fused = common | {"length": "16 * K", "level": 2}
    batched = ArrayLayout(("B", "M", "N", "K"), (Array("a", ("B", "M", "K")), Array("b", ("B", "K", "N"))), (Array("y", ("B", "M", "N")),),
                   ((2, 12, 10, 8), (3, 9, 17, 5), (1, 16, 16, 16)), ((1, 1, 1, 1), (2, 1, 3, 7), (3, 2, 33, 1)), (64, 1024, 1024, 256))  # fmt: skip
    vector = ArrayLayout(
        ("M", "K"),
        (a, Array("x", ("K",))),
        (Array("y", ("M",)),),
        ((100, 64), (33, 257), (16, 512)),
        ((1, 1), (7, 1), (2, 1031)),
        (16384, 16384),
    )
    heads = ArrayLayout(("T", "S", "D"), tuple(Array(n, (t, "D")) for n, t in (("q", "T"), ("k", "S"), ("v", "S"))), (Array("y", ("T", "D")),),
                 ((20, 24, 16), (9, 33, 8), (16, 16, 32)), ((1, 1, 1), (3, 1, 5), (2, 65, 4)), (4096, 4096, 64))  # fmt: skip
    square = ArrayLayout(
        ("T", "D"),
        tuple(Array(n, ("T", "D")) for n in "qkv"),
        (Array("y", ("T", "D")),),
        ((24, 16), (17, 8), (12, 32)),
        ((1, 1), (3, 5), (33, 4)),
        (4096, 64),
    )
    attend = (
        "int t = i / D, d = i % D;\nfloat m = -INFINITY, s = 0.0f, o = 0.0f;\nfor (int j = 0; j < {0}; j++) {{\n    float p = 0.0f;\n"
        "    for (int e = 0; e < D; e++) p += q[(long long)t * D + e] * k[(long long)j * D + e];\n    p *= rsqrtf((float)D);\n"
        "    float n = fmaxf(m, p), f = expf(m - n), g = expf(p - n);\n    s = s * f + g; o = o * f + g * v[(long long)j * D + d]; m = n;\n}}\ny[i] = o / s;"
    )

    def causal(xp: Any, q: Any, k: Any, v: Any) -> Any:
        scores = q @ k.T / q.shape[1] ** 0.5
        return _softmax(xp, xp.where(xp.tril(xp.ones(scores.shape)) > 0, scores, -xp.inf)) @ v

    return [
        naive("matmul", "the matrix product a b", body.format("0.0f", plain, "s"), lambda xp, a, b: a @ b, form, terms=True, **common),
        naive("matmul_transposed_b", "the matrix product of a with b transposed", body.format("0.0f", "a[(long long)m * K + k] * b[(long long)n * K + k]", "s"),
              lambda xp, a, b: a @ b.T, turned_b, terms=True, **common),
        naive("matmul_transposed_a", "the matrix product of a transposed with b", body.format("0.0f", "a[(long long)k * M + m] * b[(long long)k * N + n]", "s"),
              lambda xp, a, b: a.T @ b, turned_a, terms=True, **common),
        naive("batched_matmul", "the matrix product of each pair of a batch",
              "int n = i % N, m = i / N % M, z = i / N / M;\nfloat s = 0.0f;\nfor (int k = 0; k < K; k++) s += a[((long long)z * M + m) * K + k] * b[((long long)z * K + k) * N + n];\n"
              "y[i] = s;", lambda xp, a, b: a @ b, batched, terms=True, **common | {"flops": "2 * B * M * N * K"}),
        naive("matrix_vector", "a matrix times a vector", "float s = 0.0f;\nfor (int k = 0; k < K; k++) s += a[(long long)i * K + k] * x[k];\ny[i] = s;",
              lambda xp, a, x: a @ x, vector, terms=True, **common | {"flops": "2 * M * K"}),
        naive("matmul_bias_relu", "max(a b + bias, 0)", body.format("bias[n]", plain, "fmaxf(s, 0.0f)"), lambda xp, a, b, bias: xp.maximum(a @ b + bias, 0),
              form.taking(a, b, bias), **fused),
        naive("matmul_bias_gelu", "gelu(a b + bias)", body.format("bias[n]", plain, "0.5f * s * (1.0f + erff(s * 0.70710678118654752f))"),
              lambda xp, a, b, bias: 0.5 * (a @ b + bias) * (1 + _erf(xp, (a @ b + bias) / 2**0.5)), form.taking(a, b, bias), **fused),
        naive("matmul_scale_residual", "0.5 a b + z", body.format("0.0f", plain, "0.5f * s + z[i]"), lambda xp, a, b, z: 0.5 * (a @ b) + z,
              form.taking(a, b, Array("z", ("M", "N"))), terms=True, **common | {"level": 2}),
        naive("matmul_swish", "silu(a b)", body.format("0.0f", plain, "s / (1.0f + expf(-s))"), lambda xp, a, b: (a @ b) * _sigmoid(xp, a @ b), form, **fused),
        naive("attention", "softmax(q k' / sqrt(D)) v", attend.format("S"), lambda xp, q, k, v: _softmax(xp, q @ k.T / q.shape[1] ** 0.5) @ v, heads,
              flops="4 * T * S * D", family="attention", length="64 * (S + D)", level=2),
        naive("causal_attention", "attention where each row sees itself and what lies before", attend.format("t + 1"), causal, square,
              flops="2 * T * T * D", family="attention", length="64 * (T + D)", level=2),
    ]  # fmt: skip


TASKS: dict[str, KernelTask] = {
    t.name: t
    for group in (_unary, _elementwise, _reductions, _losses, _rowwise, _scans_and_moves, _windows, _products)
    for t in group()
}


def named(name: str) -> KernelTask:
    """The task of this name. Raises TaskError with the nearest names, or all."""
    if name not in TASKS:
        near = get_close_matches(name, TASKS, 3)
        raise TaskError(
            f"no kernel task {name!r}; "
            + (f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(TASKS)}")
        )
    return TASKS[name]
