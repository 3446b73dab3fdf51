"""Reductions of rows, columns and whole vectors, and losses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from semrep_jax.cuda.spec import Array, KernelTask, Values
from semrep_jax.tasks.kernels.naive import MATRIX, ROWS, ArrayLayout, X, naive
from semrep_jax.tasks.kernels.operators.fragments import exponentials, lines, row_of, total

ROW = row_of("x")
reduction = partial(naive, family="reduction")
loss = partial(naive, family="loss", length="N")
NEAR_ONE = ROWS.taking(Array("x", ("M", "N"), values=Values.NEAR_ONE))
COLUMNS = MATRIX.giving(Array("y", ("N",)))
LENGTHS: dict[str, Any] = {"small": ((1000,), (4096,), (777,)), "edge": ((1,), (31,), (257,)), "bench": (1 << 22,)}
WHOLE = ArrayLayout(("N",), (X,), (Array("y", ("1",)),), **LENGTHS)


def fold(start: str, step: str, end: str) -> str:
    """C of a row's reduction: s begins as `start`, becomes `step` for each j, and `end` is the answer.

    start: an expression of the row r. step: one of s, r and j. end: one of s and N.
    """
    return lines(ROW, f"float s = {start};", f"for (int j = 0; j < N; j++) s = {step};", f"y[i] = {end};")


def row(name: str, what: str, body: str, reference: Callable[[Any, Any], Any], terms: bool = False) -> KernelTask:
    """A reduction of each row of a matrix.

    name: of the task, and of its kernel before `_kernel`. what: what the instruction says. body: C that writes y[i], of
    row i. reference: called with NumPy or jax.numpy and x, floats, (M, N); gives (M,). terms: as in `KernelTask`.
    """
    return reduction(name, what, body, reference, ROWS, flops="2 * M * N", length="N", terms=terms)


def log_sum_exp(xp: Any, x: Any) -> Any:
    """Of each row, stably."""
    return x.max(-1) + xp.log(xp.exp(x - x.max(-1, keepdims=True)).sum(-1))


SUM = fold("0.0f", "s + r[j]", "s")
MEAN = fold("0.0f", "s + r[j]", "s / N")
MAX = fold("r[0]", "fmaxf(s, r[j])", "s")
MIN = fold("r[0]", "fminf(s, r[j])", "s")
SQUARES = fold("0.0f", "s + r[j] * r[j]", "s")
NORM = fold("0.0f", "s + r[j] * r[j]", "sqrtf(s)")
ABSOLUTE_SUM = fold("0.0f", "s + fabsf(r[j])", "s")
ARGMAX = lines(ROW, "int best = 0;", "for (int j = 1; j < N; j++) if (r[j] > r[best]) best = j;", "y[i] = best;")
VARIANCE = lines(
    ROW,
    "float m = 0.0f, s = 0.0f;",
    "for (int j = 0; j < N; j++) m += r[j];",
    "m /= N;",
    "for (int j = 0; j < N; j++) s += (r[j] - m) * (r[j] - m);",
    "y[i] = s / N;",
)
COLUMN_MAX = lines("float s = x[i];", "for (int j = 1; j < M; j++) s = fmaxf(s, x[(long long)j * N + i]);", "y[i] = s;")
REDUCTIONS = [
    row("row_sum", "the sum of each row", SUM, lambda xp, x: x.sum(-1), terms=True),
    row("row_mean", "the mean of each row", MEAN, lambda xp, x: x.mean(-1), terms=True),
    row("row_max", "the largest of each row", MAX, lambda xp, x: x.max(-1)),
    row("row_min", "the smallest of each row", MIN, lambda xp, x: x.min(-1)),
    row("row_sum_of_squares", "the sum of squares of each row", SQUARES, lambda xp, x: (x * x).sum(-1), terms=True),
    row("row_norm", "the Euclidean norm of each row", NORM, lambda xp, x: xp.sqrt((x * x).sum(-1))),
    row("row_absolute_sum", "the sum of absolute values of each row", ABSOLUTE_SUM,
        lambda xp, x: xp.abs(x).sum(-1), terms=True),
    reduction("row_product", "the product of each row", fold("1.0f", "s * r[j]", "s"),
              lambda xp, x: x.prod(-1), NEAR_ONE, flops="M * N", length="N * N"),
    reduction("row_argmax", "the first index of the largest of each row", ARGMAX,
              lambda xp, x: x.argmax(-1), ROWS.giving(Array("y", ("M",), "i32")), flops="M * N"),
    reduction("row_log_sum_exp", "log of the sum of exponentials of each row, stably",
              lines(ROW, exponentials(), "y[i] = m + logf(s);"),
              log_sum_exp, ROWS, flops="5 * M * N", length="N"),
    reduction("row_variance", "the variance of each row (divided by N)", VARIANCE,
              lambda xp, x: x.var(-1), ROWS, flops="4 * M * N", length="N"),
    reduction("column_sum", "the sum of each column", lines(total("x[(long long)j * N + i]", "M"), "y[i] = s;"),
              lambda xp, x: x.sum(0), COLUMNS, flops="M * N", length="M", terms=True),
    reduction("column_max", "the largest of each column", COLUMN_MAX, lambda xp, x: x.max(0), COLUMNS, flops="M * N"),
    reduction("sum", "the sum of a vector", lines(total("x[j]"), "y[0] = s;"),
              lambda xp, x: x.sum().reshape(1), WHOLE, flops="N", length="N", terms=True),
    reduction("frobenius_norm", "the Euclidean norm of a vector", lines(total("x[j] * x[j]"), "y[0] = sqrtf(s);"),
              lambda xp, x: xp.sqrt((x * x).sum()).reshape(1), WHOLE, flops="2 * N", length="N"),
]  # fmt: skip

PAIR = ArrayLayout(("N",), (Array("prediction", ("N",)), Array("target", ("N",))), (Array("loss", ("1",)),), **LENGTHS)
LABELLED = ROWS.taking(Array("logits", ("M", "N")), Array("label", ("M",), "i32", Values.INDEX, "N")).giving(
    Array("loss", ("M",))
)
P, Q = (Array(n, ("M", "N"), values=Values.PROBABILITIES) for n in ("p", "q"))
PROBABILITIES = ArrayLayout(
    ("M", "N"), (P, Q), (Array("y", ("M",)),), ROWS.small, ((2, 3), (7, 5), (2, 1031)), ROWS.bench
)


def mean_loss(of_d: str) -> str:
    """C of the mean of `of_d`, an expression of the difference d."""
    step = f"for (int j = 0; j < N; j++) {{ float d = prediction[j] - target[j]; s += {of_d}; }}"
    return lines("float s = 0.0f;", step, "loss[0] = s / N;")


def mse(xp: Any, prediction: Any, target: Any) -> Any:
    """The mean squared error.

    xp: NumPy or jax.numpy. prediction, target: floats, (N,) each. The loss is (1,).
    """
    return ((prediction - target) ** 2).mean().reshape(1)


def mae(xp: Any, prediction: Any, target: Any) -> Any:
    """The mean absolute error.

    xp: NumPy or jax.numpy. prediction, target: floats, (N,) each. The loss is (1,).
    """
    return xp.abs(prediction - target).mean().reshape(1)


def huber(xp: Any, prediction: Any, target: Any) -> Any:
    """The mean Huber loss, delta 1.

    xp: NumPy or jax.numpy. prediction, target: floats, (N,) each. The loss is (1,).
    """
    d = xp.abs(prediction - target)
    return xp.where(d < 1, 0.5 * d * d, d - 0.5).mean().reshape(1)


def hinge(xp: Any, prediction: Any, target: Any) -> Any:
    """The mean of max(0, 1 - prediction target).

    xp: NumPy or jax.numpy. prediction, target: floats, (N,) each. The loss is (1,).
    """
    return xp.maximum(0, 1 - prediction * target).mean().reshape(1)


def log_cosh(xp: Any, prediction: Any, target: Any) -> Any:
    """The mean of log cosh of the difference, stably.

    xp: NumPy or jax.numpy. prediction, target: floats, (N,) each. The loss is (1,).
    """
    d = xp.abs(prediction - target)
    return (d + xp.log1p(xp.exp(-2 * d)) - np.log(2)).mean().reshape(1)


def cross_entropy(xp: Any, logits: Any, label: Any) -> Any:
    """Of each row of logits with its label.

    xp: NumPy or jax.numpy. logits: floats, (M, N). label: integers in [0, N), (M,). The loss is (M,), in nats.
    """
    top = logits.max(-1)
    return top + xp.log(xp.exp(logits - top[:, None]).sum(-1)) - logits[xp.arange(logits.shape[0]), label]


def cosine(xp: Any, a: Any, b: Any) -> Any:
    """Of each pair of rows.

    xp: NumPy or jax.numpy. a, b: floats, (M, N) each. The similarities are (M,), in [-1, 1].
    """
    return (a * b).sum(-1) / (xp.sqrt((a * a).sum(-1)) * xp.sqrt((b * b).sum(-1)) + 1e-6)


HUBER = "fabsf(d) < 1.0f ? 0.5f * d * d : fabsf(d) - 0.5f"
LOG_COSH = "fabsf(d) + log1pf(expf(-2.0f * fabsf(d))) - 0.69314718055994531f"
KL_STEP = "{ float a = p[(long long)i * N + j]; s += a * logf(a / q[(long long)i * N + j]); }"
COSINE = """float d = 0.0f, u = 0.0f, v = 0.0f;
for (int j = 0; j < N; j++) {
    float s = a[(long long)i * N + j], t = b[(long long)i * N + j];
    d += s * t; u += s * s; v += t * t;
}
y[i] = d / (sqrtf(u) * sqrtf(v) + 1e-6f);"""
LOSSES = [
    loss("mse_loss", "the mean squared error of two vectors", mean_loss("d * d"), mse, PAIR, flops="3 * N"),
    loss("mae_loss", "the mean absolute error of two vectors", mean_loss("fabsf(d)"), mae, PAIR, flops="3 * N"),
    loss("huber_loss", "the mean Huber loss (delta 1) of two vectors", mean_loss(HUBER), huber, PAIR, flops="5 * N"),
    loss("hinge_loss", "the mean of max(0, 1 - prediction target)",
         lines(total("fmaxf(0.0f, 1.0f - prediction[j] * target[j])"), "loss[0] = s / N;"),
         hinge, PAIR, flops="4 * N"),
    loss("log_cosh_loss", "the mean of log cosh(prediction - target), stably", mean_loss(LOG_COSH),
         log_cosh, PAIR, flops="8 * N"),
    loss("cross_entropy_loss", "the cross entropy of each row of logits with its label",
         lines(row_of("logits"), exponentials(), "loss[i] = m + logf(s) - r[label[i]];"),
         cross_entropy, LABELLED, flops="5 * M * N"),
    loss("kl_divergence", "sum of p log(p / q) for each row",
         lines("float s = 0.0f;", f"for (int j = 0; j < N; j++) {KL_STEP}", "y[i] = s;"),
         lambda xp, p, q: (p * xp.log(p / q)).sum(-1), PROBABILITIES, flops="4 * M * N", length="16 * N"),
    loss("cosine_similarity", "the cosine of each pair of rows", COSINE,
         cosine, ROWS.taking(Array("a", ("M", "N")), Array("b", ("M", "N"))), flops="6 * M * N"),
]  # fmt: skip
