"""What several operators share: pieces of C, and references.

A reference's `xp` is NumPy (in float64: the oracle) or jax.numpy (XLA's baseline).
"""

from __future__ import annotations

from typing import Any

import numpy as np

SIGMOID = "1.0f / (1.0f + expf(-v))"
SOFTPLUS = "fmaxf(v, 0.0f) + log1pf(expf(-fabsf(v)))"
ROW_OF_ELEMENT = "int row = i / N;\nconst float* r = x + (long long)row * N;"


def lines(*texts: str) -> str:
    """Lines of C, one below the other."""
    return "\n".join(texts)


def row_of(array: str) -> str:
    """C that points r at row i of a matrix."""
    return f"const float* r = {array} + (long long)i * N;"


def gelu_of(v: str) -> str:
    """C of the exact GELU of a variable."""
    return f"0.5f * {v} * (1.0f + erff({v} * 0.70710678118654752f))"


def swish_of(v: str) -> str:
    """C of a variable times its sigmoid."""
    return f"{v} / (1.0f + expf(-{v}))"


def total(term: str, count: str = "N") -> str:
    """C that adds up `term` over j < `count` into s."""
    return f"float s = 0.0f;\nfor (int j = 0; j < {count}; j++) s += {term};"


def exponentials(scale: str = "") -> str:
    """C that leaves the largest of a row in m and the sum of exponentials below it, `scale`d, in s."""
    power = f"{scale} * (r[j] - m)" if scale else "r[j] - m"
    return lines(
        "float m = r[0], s = 0.0f;",
        "for (int j = 1; j < N; j++) m = fmaxf(m, r[j]);",
        f"for (int j = 0; j < N; j++) s += expf({power});",
    )


def erf(xp: Any, x: Any) -> Any:
    """The error function."""
    if xp is np:
        from scipy.special import erf
    else:
        from jax.scipy.special import erf
    return erf(x)


def gelu(xp: Any, x: Any) -> Any:
    """x Phi(x), exactly."""
    return 0.5 * x * (1 + erf(xp, x / 2**0.5))


def softmax(xp: Any, x: Any) -> Any:
    """Along the last axis, stably."""
    e = xp.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(xp: Any, x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + xp.exp(-x))


def softplus(xp: Any, x: Any) -> Any:
    """log(1 + exp(x)), stably."""
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))
