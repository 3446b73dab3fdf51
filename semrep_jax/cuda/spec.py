"""What a kernel has to compute: arrays over symbolic axes, a reference, shapes to try, how far off an answer may be.

    inputs = sample_inputs(task, axes, seed=0)       # {"x": float32[1000]}, the same for the same seed
    (wanted,) = task.oracle(inputs)                  # float64[1000]

`reference(xp, **arrays)` is written once against the array interface that NumPy and jax.numpy share: with `xp` NumPy
and float64 inputs it is the oracle, with jax.numpy it is the baseline that XLA compiles.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import ml_dtypes
import numpy as np

from semrep_jax.cuda.candidate.expressions import evaluate, integer

DTYPES: dict[str, np.dtype] = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "i32": np.dtype(np.int32),
    "u32": np.dtype(np.uint32),
    "i64": np.dtype(np.int64),
    "u64": np.dtype(np.uint64),
    "u8": np.dtype(np.uint8),
}
Axes = Mapping[str, int]


class Values(StrEnum):
    """What an input is drawn from. SIGNED goes through five distributions, from normal to heavy-tailed and sparse."""

    SIGNED = "signed"
    POSITIVE = "positive"
    NEAR_ONE = "near_one"
    PROBABILITIES = "probabilities"
    INDEX = "index"
    BITS = "bits"


@dataclass(frozen=True)
class Array:
    """An array by name: dimensions as expressions over the axes, element type, and for an input its values.

    INDEX draws integers in [0, `below`), an expression; PROBABILITIES are positive and sum to 1 along the last axis.
    """

    name: str
    shape: tuple[str, ...]
    dtype: str = "f32"
    values: Values = Values.SIGNED
    below: str = "2"

    def size(self, axes: Axes) -> tuple[int, ...]:
        """The dimensions at these axes."""
        return tuple(integer(d, axes, f"dimension of {self.name}", 0, 1 << 31) for d in self.shape)

    def count(self, axes: Axes) -> int:
        """The number of elements."""
        return int(np.prod(self.size(axes), dtype=np.int64))


@dataclass(frozen=True)
class KernelTask:
    """One operator.

    source: C_src, a plain correct candidate text. small, edge: shapes that a CPU can run. bench: what a GPU is timed
    on. flops, bytes: expressions, the least work that any program has to do; they give the roofline. length: an
    expression, how many terms the longest sum behind an output has; rounding errors grow with it. terms: rounding
    errors are relative to the operator on absolute values (sums, products, convolutions), not to the result. scalars:
    numbers that expressions may name beside the axes. sampler: inputs of a task from elsewhere, (axes, seed) ->
    arrays. published: such a task's own test of an answer, (axes, inputs, outputs) -> right or not, told beside ours.
    """

    name: str
    instruction: str
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    reference: Callable[..., Any]
    source: str
    small: tuple[Axes, ...]
    edge: tuple[Axes, ...]
    bench: tuple[Axes, ...]
    flops: str
    bytes: str
    length: str = "1"
    terms: bool = False
    level: int = 1
    family: str = ""
    scalars: Mapping[str, float] = field(default_factory=dict)
    sampler: Callable[[Axes, int], dict[str, np.ndarray]] | None = None
    published: Callable[[Axes, Mapping[str, np.ndarray], Mapping[str, np.ndarray]], bool] | None = None

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Inputs, then outputs."""
        return self.inputs + self.outputs

    def names(self, axes: Axes) -> dict[str, int | float]:
        """What an expression of a launch list may name: the axes and the task's scalars."""
        return dict(axes) | dict(self.scalars)

    def work(self, axes: Axes) -> tuple[float, float]:
        """(FLOPs, bytes) at these axes."""
        return float(evaluate(self.flops, self.names(axes))), float(evaluate(self.bytes, self.names(axes)))

    def oracle(self, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """The outputs in float64 (integers as they are)."""
        wide = {n: x if x.dtype.kind in "iu" else x.astype(np.float64) for n, x in inputs.items()}
        with np.errstate(all="ignore"):
            out = self.reference(np, **wide)
        return tuple(np.asarray(o) for o in (out if isinstance(out, tuple) else (out,)))

    def scale(self, inputs: Mapping[str, np.ndarray], wanted: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """For each output, in its shape, what rounding errors are relative to: the operator on absolute values, or the
        size of the result and its root mean square."""
        if self.terms:
            return self.oracle({n: x if x.dtype.kind in "iu" else np.abs(x) for n, x in inputs.items()})
        finite = [np.where(np.isfinite(w), np.abs(w), 0.0) if w.dtype.kind == "f" else np.abs(w) for w in wanted]
        return tuple(f + (np.sqrt(np.mean(f.astype(np.float64) ** 2)) if f.size else 0.0) for f in finite)

    @cached_property
    def sha256(self) -> str:
        """Digest of what decides a verdict."""
        content = [
            self.name,
            self.source,
            [vars(a) for a in self.arrays],
            [dict(s) for s in self.small + self.edge],
            self.length,
            self.terms,
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


DISTRIBUTIONS = ("normal", "uniform", "heavy", "sparse", "large")


def sample_inputs(task: KernelTask, axes: Axes, seed: int) -> dict[str, np.ndarray]:
    """The inputs of one check by name, in their types and shapes at `axes`.

    seed: decides them, and seed % 5 the distribution of what is SIGNED.
    """
    if task.sampler is not None:
        return task.sampler(axes, seed)
    distribution = DISTRIBUTIONS[seed % len(DISTRIBUTIONS)]
    found = {}
    for index, array in enumerate(task.inputs):
        rng = np.random.default_rng([seed, index, *task.name.encode()])
        values = _sample_values(rng, array, array.size(axes), distribution, task.names(axes))
        found[array.name] = values.astype(DTYPES[array.dtype])
    return found


def _sample_values(
    rng: np.random.Generator, array: Array, size: tuple[int, ...], distribution: str, names: Mapping[str, float]
) -> np.ndarray:
    match array.values:
        case Values.INDEX:
            return rng.integers(0, max(1, int(evaluate(array.below, names))), size)
        case Values.BITS:
            return rng.integers(0, 2, size)
        case Values.NEAR_ONE:
            return 1.0 + 0.1 * rng.standard_normal(size) / np.sqrt(max(1, size[-1] if size else 1))
        case Values.POSITIVE:
            return np.abs(_sample_signed(rng, size, distribution)) + 0.1
        case Values.PROBABILITIES:
            weight = rng.exponential(size=size) + 1e-3
            return weight / weight.sum(axis=-1, keepdims=True)
        case _:
            return _sample_signed(rng, size, distribution)


def _sample_signed(rng: np.random.Generator, size: tuple[int, ...], distribution: str) -> np.ndarray:
    normal = rng.standard_normal(size)
    match distribution:
        case "uniform":
            return rng.uniform(-1.0, 1.0, size)
        case "heavy":
            return normal * np.exp2(rng.uniform(-6.0, 3.0, size))
        case "sparse":
            return np.where(rng.random(size) < 0.5, 0.0, np.round(normal * 2) / 2 + 0.1)
        case "large":  # where single precision's exp overflows, and well below
            return normal * np.where(rng.random(size) < 0.25, 64.0, 8.0)
    return normal
