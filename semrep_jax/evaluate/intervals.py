"""95 % bootstrap intervals over tasks: a task's samples are averaged first, tasks are resampled (percentile method)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` tasks with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, float]:
        """{"value", "low", "high", "n"}, rounded to 6 digits."""
        return {k: round(v, 6) for k, v in asdict(self).items()}

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out zero (of a difference)."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def exact(value: float) -> Estimate:
    """A number that was counted, not estimated."""
    return Estimate(float(value), float(value), float(value), 1)


def mean(per_task: np.ndarray, resamples: int, seed: int = 0) -> Estimate:
    """Mean of one value a task."""
    values = np.asarray(per_task, float)
    draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    means = values[draws].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def difference(a: np.ndarray, b: np.ndarray, resamples: int, seed: int = 0) -> Estimate:
    """Mean of a - b, paired by task."""
    return mean(np.asarray(a, float) - np.asarray(b, float), resamples, seed)
