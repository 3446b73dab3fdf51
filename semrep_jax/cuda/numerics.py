"""Whether an answer is right: against a float64 oracle, with a bound that knows the scale of the rounding errors.

Accepted if every element is within c eps (1 + sqrt(L)) A of the oracle, A the scale (`KernelTask.scale`), L the terms behind it, and the
whole within a relative norm per type (wider for sums of more than 4096 terms), and NaN and infinities are exactly where the oracle has
them. There is no share of elements that may be wrong. Integers are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semrep_jax.cuda.spec import DTYPES

FACTOR = 16.0
EPS = {"f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8, "f64": 2.0**-53}
NORM = {"f32": 1e-5, "f16": 2e-3, "bf16": 1.6e-2, "f64": 1e-13}


@dataclass(frozen=True)
class Difference:
    """How an answer is wrong: a sentence, the first wrong element's index, and what is there and should be."""

    text: str
    index: tuple[int, ...]


def compare(
    name: str, dtype: str, got: np.ndarray, wanted: np.ndarray, scale: np.ndarray, length: float
) -> Difference | None:
    """None where `got` is right. `wanted` and `scale` have its shape, in float64 or as integers."""
    if DTYPES[dtype].kind in "iu":
        return _first(name, got.astype(np.int64) != wanted.astype(np.int64), got, wanted)
    with np.errstate(over="ignore", invalid="ignore"):
        stored = wanted.astype(DTYPES[dtype]).astype(np.float64)
        answer = got.astype(np.float64)
        special = ~np.isfinite(stored) | ~np.isfinite(answer)
        same = (answer == stored) | (np.isnan(answer) & np.isnan(stored))
        wrong = _first(name, special & ~same, got, wanted)
        if wrong is not None:
            return wrong
        error = np.where(special, 0.0, np.abs(answer - wanted))
        bound = (
            FACTOR
            * EPS[dtype]
            * (
                (1.0 + np.sqrt(length)) * np.where(np.isfinite(scale), scale, 0.0)
                + np.abs(np.where(special, 0, wanted))
            )
        )
        tiny = float(np.finfo(DTYPES[dtype]).tiny) if dtype != "bf16" else 1e-38
        wrong = _first(name, error > np.maximum(bound, tiny), got, wanted)
        if wrong is not None:
            return wrong
        finite = np.where(special, 0.0, wanted)
        off, norm = float(np.linalg.norm(error)), float(np.linalg.norm(finite))
        slack = FACTOR * EPS[dtype] * float(np.linalg.norm(np.where(special, 0.0, scale)))
        allowed = NORM[dtype] * max(1.0, np.sqrt(length) / 64)  # a plain sum of many terms loses more
        if off > allowed * norm + slack + tiny:
            at = np.unravel_index(int(np.argmax(error)), error.shape) if error.ndim else ()
            text = f"{name} is off by {off / max(norm, tiny):.1e} of its norm; {allowed:.0e} is allowed for {dtype}"
            return Difference(text, tuple(int(i) for i in at))
    return None


def _first(name: str, wrong: np.ndarray, got: np.ndarray, wanted: np.ndarray) -> Difference | None:
    if not wrong.any():
        return None
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape)) if wrong.ndim else ()
    where = f"{name}[{', '.join(map(str, at))}]"
    share = f"{int(wrong.sum())} of {wrong.size} elements are wrong"
    return Difference(f"{where} is {got[at]:.9g} and should be {wanted[at]:.9g}; {share}", at)
