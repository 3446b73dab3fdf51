"""How fast correct kernels are, over tasks: fast_p, the best of k, geometric means. Definitions of KernelBench (arXiv
2502.10517).

`speedups` is [tasks][samples]: time of C_src over time of the candidate, None for one that is not correct (or not
measured). fast_p counts a sample when it is correct and more than p times as fast; fast_0 is correctness. Geometric
means are means of logarithms, over correct samples only, each task's samples first: a task with many correct samples
weighs no more than another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semrep_jax.core.results import Estimate
from semrep_jax.evaluate.intervals import mean

Speedups = Sequence[Sequence[float | None]]
THRESHOLDS = (1.0, 1.5, 2.0)


def fast_p(speedups: Speedups, p: float) -> np.ndarray:
    """For each task the share of its samples that are correct and more than `p` times as fast as C_src."""
    return np.array([np.mean([s is not None and s > p for s in row]) for row in speedups])


def best(speedups: Speedups) -> np.ndarray:
    """For each task with a correct sample, the largest speed-up among them."""
    return np.array([max(s for s in row if s is not None) for row in speedups if any(s is not None for s in row)])


def geometric(speedups: Speedups, faster: bool = False) -> np.ndarray:
    """log of the geometric mean for each task with a correct sample (`faster`: of those with more than 1 only)."""
    rows = [[s for s in row if s is not None and (s > 1.0 or not faster)] for row in speedups]
    return np.array([np.mean(np.log(row)) for row in rows if row])


def metrics(speedups: Speedups, resamples: int) -> dict[str, Estimate]:
    """fast_p at THRESHOLDS, and the geometric means of correct, of correct and faster, and of each task's best
    sample."""
    found = {f"fast_{p:g}": mean(fast_p(speedups, p), resamples) for p in THRESHOLDS}
    means = {
        "geomean": geometric(speedups),
        "geomean_faster": geometric(speedups, True),
        "geomean_best": np.log(best(speedups)),
    }
    for name, logs in means.items():
        if logs.size:
            e = mean(logs, resamples)
            found[name] = Estimate(float(np.exp(e.value)), float(np.exp(e.low)), float(np.exp(e.high)), e.n)
    return found
