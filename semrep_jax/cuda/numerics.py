"""Whether an answer is right: against a float64 oracle, with a bound that knows the scale of the rounding errors.

    difference = compare("y", "f32", got, wanted, scale, length=1000)      # None, or a sentence and an index

Accepted if every element is within c eps (1 + sqrt(L)) A of the oracle, A the scale (`KernelTask.scale`), L the terms
behind it, and the whole within a relative norm per type (wider for sums of more than 4096 terms), and NaN and
infinities are exactly where the oracle has them. There is no share of elements that may be wrong. Integers are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

from semrep_jax.cuda.spec import DTYPES

FACTOR = 16.0  # c of the bound
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
    """How an answer is wrong; None where it is right.

    name, dtype: of the output, as the task calls it and its element type. got: the answer, in its own type. wanted: the
    oracle's, in float64 or as integers, in got's shape. scale: what rounding errors are relative to, in got's shape.
    length: how many terms the longest sum behind an element has.
    """
    if DTYPES[dtype].kind in "iu":
        return _first(name, got.astype(np.int64) != wanted.astype(np.int64), got, wanted)
    with np.errstate(over="ignore", invalid="ignore"):
        stored = wanted.astype(DTYPES[dtype]).astype(np.float64)
        answer = got.astype(np.float64)
        special = ~np.isfinite(stored) | ~np.isfinite(answer)
        equal = (answer == stored) | (np.isnan(answer) & np.isnan(stored))
        error = np.where(special, 0.0, np.abs(answer - wanted))
        finite = np.where(special, 0.0, wanted)
        finite_scale = np.where(np.isfinite(scale), scale, 0.0)
        bound = FACTOR * EPS[dtype] * ((1.0 + np.sqrt(length)) * finite_scale + np.abs(finite))
        return (
            _first(name, special & ~equal, got, wanted)
            or _first(name, error > np.maximum(bound, tiny(dtype)), got, wanted)
            or _off_in_norm(name, dtype, error, finite, np.where(special, 0.0, finite_scale), length)
        )


def allowed_norm(dtype: str, length: float) -> float:
    """How far a whole answer may be off, of its norm; a plain sum of many terms loses more. length: as in `compare`."""
    return NORM[dtype] * max(1.0, float(length) ** 0.5 / 64)


def tiny(dtype: str) -> float:
    """The smallest normal number of a type: errors that small are none."""
    return float(ml_dtypes.finfo(DTYPES[dtype]).tiny)


def largest(dtype: str) -> float:
    """What a scale is at least that is infinite in this type: its largest number; inf for f64, as nothing is wider."""
    return float(ml_dtypes.finfo(DTYPES[dtype]).max) if dtype != "f64" else float("inf")


def _first(name: str, wrong: np.ndarray, got: np.ndarray, wanted: np.ndarray) -> Difference | None:
    """The first element that is wrong; None where none is."""
    if not wrong.any():
        return None
    at = _first_index(wrong)
    where = f"{name}[{', '.join(map(str, at))}]"
    share = f"{int(wrong.sum())} of {wrong.size} elements are wrong"
    return Difference(f"{where} is {got[at]:.9g} and should be {wanted[at]:.9g}; {share}", at)


def _off_in_norm(
    name: str, dtype: str, error: np.ndarray, wanted: np.ndarray, scale: np.ndarray, length: float
) -> Difference | None:
    """The largest error, where all errors together are too large; None where they are not."""
    off, norm = float(np.linalg.norm(error)), float(np.linalg.norm(wanted))
    slack = FACTOR * EPS[dtype] * float(np.linalg.norm(scale))
    allowed = allowed_norm(dtype, length)
    floor = tiny(dtype)
    if off > allowed * norm + slack + floor:
        text = f"{name} is off by {off / max(norm, floor):.1e} of its norm; {allowed:.0e} is allowed for {dtype}"
        return Difference(text, _first_index(error))
    return None


def _first_index(array: np.ndarray) -> tuple[int, ...]:
    """Where the first of an array's largest elements is."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(array)), array.shape)) if array.ndim else ()
