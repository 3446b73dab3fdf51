"""What a search buys: the best so far against programs written, tokens and seconds of judging; how much less compute
reaches the same score.

    courses = {"semrep": [course(...), ...], "direct": [...]}     # one a task (and seed)
    mean_at(courses["semrep"], "tokens", grid, 2000)              # a curve, with bootstrap intervals over tasks
    to_reach(courses["semrep"], courses["direct"], "tokens", 2000)    # tokens of the one over tokens of the other

Reaching: what the mean over tasks of the second strategy's best was at the end of its budget is the score to reach, and
each strategy's tokens are those at which its own mean is first there. Where the first is never there the ratio is
infinite, and an interval that goes that far says "not reached".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semrep_jax.core.results import Estimate
from semrep_jax.search.node import Node

AXES = ("samples", "tokens", "seconds")
Axis = str
POINTS = 400  # at which two curves are read to compare them


@dataclass(frozen=True)
class Course:
    """How a search went: after each program written, its number, all tokens and seconds of judging so far, and the best
    so far; [n + 1] each, from nothing."""

    samples: np.ndarray
    tokens: np.ndarray
    seconds: np.ndarray
    best: np.ndarray

    def at(self, axis: Axis, amounts: np.ndarray) -> np.ndarray:
        """The best for at most each amount [m] of samples, tokens or seconds."""
        places = np.searchsorted(getattr(self, axis), amounts, side="right") - 1
        return np.asarray(self.best[np.maximum(places, 0)])


def course(nodes: Sequence[Node], start: float, measured: bool) -> Course:
    """The course of a tree.

    nodes: of the tree but C_src, in order. start: the best before anything was written. measured: whether a right
    node's worth is its value (else 1).
    """
    tokens, seconds, best = [0], [0.0], [start]
    for node in nodes:
        if node.beyond:
            continue
        worth = start
        if node.correct and node.judged:
            worth = 1.0 if not measured else start if node.value is None else node.value
        tokens.append(tokens[-1] + node.tokens + node.learning)
        seconds.append(seconds[-1] + node.seconds)
        best.append(max(best[-1], worth))
    return Course(np.arange(len(best)), np.array(tokens), np.array(seconds), np.array(best, float))


def mean_at(courses: Sequence[Sequence[Course]], axis: Axis, grid: np.ndarray, resamples: int) -> list[Estimate]:
    """The mean over tasks of the best at each amount of the grid, with bootstrap intervals over tasks.

    courses: of each task those of its seeds, which are averaged first. axis: samples, tokens or seconds. grid: [m].
    resamples: of the bootstrap.
    """
    per_task = _values(courses, axis, grid)
    draws = np.random.default_rng(0).integers(0, len(per_task), (resamples, len(per_task)))
    means = per_task[draws].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    centre = per_task.mean(axis=0)
    return _estimates(centre, low, high, len(per_task))


def quartiles_at(courses: Sequence[Course], axis: Axis, grid: np.ndarray) -> list[Estimate]:
    """The median over seeds of the best at each amount of the grid; low and high are the quartiles.

    courses: one a seed. axis: what is spent. grid: amounts of it, rising.
    """
    values = np.array([one.at(axis, grid) for one in courses])
    low, centre, high = np.percentile(values, [25, 50, 75], axis=0)
    return _estimates(centre, low, high, len(values))


def _estimates(centre: np.ndarray, low: np.ndarray, high: np.ndarray, n: int) -> list[Estimate]:
    rows = zip(centre.tolist(), low.tolist(), high.tolist(), strict=True)
    return [Estimate(value, least, most, n) for value, least, most in rows]


def to_reach(
    ours: Sequence[Sequence[Course]], theirs: Sequence[Sequence[Course]], axis: Axis, resamples: int
) -> Estimate:
    """Compute that `ours` needs to reach the score that `theirs` ends with, over what `theirs` needs for it.

    ours, theirs: courses of the same tasks, of each task those of its seeds. axis: what is counted as compute.
    resamples: of a bootstrap over tasks, both sides resampled alike. inf: not reached. nan: `theirs` ends where it
    began, and there is nothing to reach.
    """
    end = max(float(getattr(one, axis)[-1]) for side in (ours, theirs) for task in side for one in task)
    grid = np.linspace(0, end, POINTS + 1)
    mine, others = _values(ours, axis, grid), _values(theirs, axis, grid)
    tasks = len(mine)
    draws = np.random.default_rng(0).integers(0, tasks, (resamples, tasks))
    ratios = np.array([_ratio(mine[draw].mean(axis=0), others[draw].mean(axis=0), grid) for draw in draws])
    known = ratios[~np.isnan(ratios)]
    centre = _ratio(mine.mean(axis=0), others.mean(axis=0), grid)
    if not known.size:
        return Estimate(centre, math.nan, math.nan, tasks)
    low, high = np.percentile(known, [2.5, 97.5], method="nearest")  # between a number and infinity lies nothing
    return Estimate(centre, float(low), float(high), tasks)


def _ratio(mine: np.ndarray, theirs: np.ndarray, grid: np.ndarray) -> float:
    target = theirs[-1]
    if target <= theirs[0]:
        return math.nan
    needed = grid[int(np.argmax(theirs >= target - 1e-12))]
    reached = mine >= target - 1e-12
    return float(grid[int(np.argmax(reached))] / needed) if reached.any() else math.inf


def _values(courses: Sequence[Sequence[Course]], axis: Axis, grid: np.ndarray) -> np.ndarray:
    """The best of each task at each amount, its seeds averaged: [tasks, m]."""
    return np.array([np.mean([one.at(axis, grid) for one in seeds], axis=0) for seeds in courses])
