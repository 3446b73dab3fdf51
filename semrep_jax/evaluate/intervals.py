"""95 % intervals and paired tests over tasks; formula and source at each.

    mean(per_task, 2000)                 # bootstrap: any value a task
    wilson(3, 48)                        # a share of tasks, also of none or all of them
    mcnemar(ours, theirs).mid_p          # two arms on the same tasks, each task right or wrong

A task's samples are averaged first: tasks are what is drawn, samples of one task are no independent evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from semrep_jax.core.results import Estimate
from semrep_jax.evaluate.metrics import MetricError

Z_95 = 1.959963984540054  # of the normal distribution, 97.5 % below it


def mean(per_task: np.ndarray, resamples: int, seed: int = 0) -> Estimate:
    """Mean of one value a task with its bootstrap interval: tasks are drawn with replacement, 2.5th and 97.5th
    percentile of the means (Efron 1979, percentile method).

    per_task: [tasks]. resamples: draws behind the interval. seed: of the drawing. Where all values are equal it has
    width zero and says too much: `wilson` does not. Raises MetricError for no task.
    """
    values = np.asarray(per_task, float)
    if not values.size:
        raise MetricError("the mean of no task; measure on a suite that has some")
    draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    means = values[draws].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def geometric_mean(logs: np.ndarray, resamples: int) -> Estimate:
    """Geometric mean of one ratio a task with its bootstrap interval: mean and percentiles of logarithms, then exp.

    logs: [tasks], of the ratios. resamples: as in `mean`.
    """
    e = mean(logs, resamples)
    return Estimate(float(np.exp(e.value)), float(np.exp(e.low)), float(np.exp(e.high)), e.n)


def difference(a: np.ndarray, b: np.ndarray, resamples: int, seed: int = 0) -> Estimate:
    """Mean of a - b with its bootstrap interval, paired by task.

    a, b: one value a task, [tasks] both, in the same order. resamples, seed: as in `mean`.
    """
    return mean(np.asarray(a, float) - np.asarray(b, float), resamples, seed)


def wilson(right: int, tasks: int) -> Estimate:
    """A share of tasks with its Wilson score interval, which is wide where few are right or all.

        (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n),     p = right/n, z = 1.96

    Wilson 1927. right: of `tasks`. Raises MetricError for no task, or more right than there are.
    """
    if not 0 <= right <= tasks or not tasks:
        raise MetricError(f"{right} right of {tasks} tasks is no share; give 0 to {tasks} of at least one")
    p, z = right / tasks, Z_95
    centre = p + z * z / (2 * tasks)
    half = z * math.sqrt(p * (1 - p) / tasks + z * z / (4 * tasks * tasks))
    scale = 1 + z * z / tasks
    low = 0.0 if right == 0 else (centre - half) / scale
    high = 1.0 if right == tasks else (centre + half) / scale
    return Estimate(p, low, high, tasks)


@dataclass(frozen=True)
class McNemar:
    """Two arms on the same tasks, each right or wrong on each: how many are right on both, ours only, theirs only,
    neither; and how probable a split of the tasks on which they differ is, were the arms alike."""

    both: int
    ours: int
    theirs: int
    neither: int
    exact_p: float
    mid_p: float


def mcnemar(ours: np.ndarray, theirs: np.ndarray) -> McNemar:
    """McNemar's test (1947), two-sided, on the m = b + c tasks that one arm alone has right, b ours and c theirs.

        exact p = min(1, 2 P(X <= min(b, c))),     X ~ Bin(m, 1/2)
        mid-p   = 2 P(X <= min(b, c)) - P(X = min(b, c)),     1 - P(X = b)/2 where b = c

    The exact test never rejects too often, and mostly too seldom; mid-p comes nearer to its level (Fagerland et al.
    2013, doi 10.1186/1471-2288-13-91). Both are 1 where the arms differ on no task. ours, theirs: [tasks] bool, in one
    order. Raises MetricError for other shapes or no task.
    """
    a, b = np.asarray(ours, bool), np.asarray(theirs, bool)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise MetricError(f"paired verdicts of shapes {a.shape} and {b.shape}; give two of [tasks], with a task")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    m, least = only_a + only_b, min(only_a, only_b)
    tail = Fraction(2 * sum(math.comb(m, i) for i in range(least + 1)), 2**m)  # integers: no m is too large
    at_edge = Fraction(math.comb(m, least), 2**m)
    mid_p = 1 - at_edge / 2 if only_a == only_b else tail - at_edge
    exact_p, mid_p = (min(tail, Fraction(1)), mid_p) if m else (Fraction(1), Fraction(1))
    return McNemar(int((a & b).sum()), only_a, only_b, int((~a & ~b).sum()), float(exact_p), float(mid_p))
