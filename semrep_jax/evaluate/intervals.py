"""95 % bootstrap intervals over tasks: a task's samples are averaged first, tasks are resampled (percentile method)."""

from __future__ import annotations

import numpy as np

from semrep_jax.core.results import Estimate


def mean(per_task: np.ndarray, resamples: int, seed: int = 0) -> Estimate:
    """Mean of one value a task.

    per_task: [tasks]. resamples: bootstrap resamples behind the interval. seed: of the resampling.
    """
    values = np.asarray(per_task, float)
    draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    means = values[draws].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def difference(a: np.ndarray, b: np.ndarray, resamples: int, seed: int = 0) -> Estimate:
    """Mean of a - b with its interval, paired by task.

    a, b: one value a task, [tasks] both, in the same order. resamples, seed: as in `mean`.
    """
    return mean(np.asarray(a, float) - np.asarray(b, float), resamples, seed)
