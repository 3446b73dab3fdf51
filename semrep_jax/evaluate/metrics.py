"""Every metric of an evaluation, defined: the formula, its source, and what it says of tasks without a right sample.

    pass_at_k(np.array([10]), np.array([3]), 5)         # [0.9167]: n = 10 samples of a task, c = 3 of them right
    fast_p([[2.0, None], [0.5, 1.0]], 1.0)              # [0.5, 0.0]: strictly faster, and every sample counts
    excess_change(source, prediction, gold)             # tokens changed beyond those that the known edit changes

A function gives one value a task; `intervals` makes means with intervals of them, `summary` names them. Tasks have as
many samples each; what is not right enters as 0, unless a function says otherwise. Input that a metric is not defined
for (k samples of n < k, a speed-up of zero) raises MetricError: no number is made up for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from semrep_jax.core.errors import SemRepError

Speedups = Sequence[Sequence[float | None]]
TOKEN = re.compile(r"\w+|[^\w\s]")


class MetricError(SemRepError):
    """A metric is not defined for what it was given."""


def pass_at_k(samples: np.ndarray, right: np.ndarray, k: int) -> np.ndarray:
    """The chance that at least one of k samples is right, estimated without bias from n >= k samples of each task.

        pass@k = 1 - C(n - c, k) / C(n, k) = 1 - prod_{i = n - c + 1 .. n} (1 - k / i)

    Chen et al. 2021 (arXiv 2107.03374, equation 1), in their product form, which overflows for no n. samples: n,
    [tasks] int. right: c, [tasks] int. k: 1 to n. Raises MetricError for other values; k > n is one: too few samples
    were drawn to know.
    """
    n, c = np.atleast_1d(np.asarray(samples, int)), np.atleast_1d(np.asarray(right, int))
    for size in np.unique(n):
        _require_k(k, int(size))
    if n.shape != c.shape or (c < 0).any() or (c > n).any():
        raise MetricError(f"pass@{k}: {c.tolist()} right of {n.tolist()} samples; give 0 to n right ones of each task")
    return np.array([_one_of(k, int(a), int(b)) for a, b in zip(n, c, strict=True)])


def _one_of(k: int, n: int, c: int) -> float:
    if n - c < k:
        return 1.0
    if k == 1:
        return c / n  # what the product comes to, without its rounding
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def best_at_k(scores: np.ndarray, k: int) -> np.ndarray:
    """The expected largest score of k samples drawn without replacement from each task's n.

        best@k = sum_{i = k .. n} x_(i) C(i - 1, k - 1) / C(n, k),     x_(1) <= ... <= x_(n)

    For k = n the largest score; for scores that are 0 or 1 it is pass@k. The name is Kevin-32B's (Baronio et al. 2025,
    arXiv 2507.11948), for k = n. scores: [tasks, n]. Raises MetricError for k outside 1 to n.
    """
    ordered = np.sort(_table(scores, f"best@{k}"), axis=1)
    n = ordered.shape[1]
    _require_k(k, n)
    weights = np.zeros(n)
    weights[n - 1] = k / n
    for i in range(n - 1, k - 1, -1):  # C(i - 1, k - 1) from C(i, k - 1): ratios, so that nothing overflows
        weights[i - 1] = weights[i] * (i + 1 - k) / i
    return np.asarray(ordered @ weights)


def avg_at_k(scores: np.ndarray, k: int) -> np.ndarray:
    """The expected mean score of k samples of each task: of all n, whatever k is, the mean.

        avg@k = (1/n) sum_i x_i

    Kevin-32B (arXiv 2507.11948). scores: [tasks, n]. Raises MetricError for k outside 1 to n.
    """
    table = _table(scores, f"avg@{k}")
    _require_k(k, table.shape[1])
    return np.asarray(table.mean(axis=1))


def majority(correct: np.ndarray) -> np.ndarray:
    """Whether more than half of a task's samples are right [tasks] bool; half is no majority. With one sample it is
    that sample's verdict. correct: [tasks, n]."""
    return np.asarray(_table(correct, "majority").mean(axis=1) > 0.5)


def fast_p(speedups: Speedups, p: float) -> np.ndarray:
    """For each task the share of its samples that are right and more than p times as fast as C_src.

        fast_p = (1/n) sum_i [right_i and speedup_i > p]

    KernelBench (Ouyang et al. 2025, arXiv 2502.10517): the inequality is strict, and what is wrong or was not timed
    stays in the denominator; fast_0 is the share right. speedups: [tasks][n], time of C_src over the sample's; None for
    one that is not right.
    """
    return np.array([np.mean([s is not None and s > p for s in row]) for row in _timed(speedups)])


class Wrong(StrEnum):
    """What a sample that is not right means for a mean of speed-ups.

    LEFT_OUT: nothing; the mean is over right samples, tasks without one drop out. SOURCE: a speed-up of 1, for whoever
    is given a wrong program keeps C_src; all samples of all tasks count, so that two policies are compared on the same.
    """

    LEFT_OUT = "left_out"
    SOURCE = "source"


def log_speedups(speedups: Speedups, wrong: Wrong = Wrong.LEFT_OUT, faster: bool = False) -> np.ndarray:
    """The logarithm of the geometric-mean speed-up of each task that has one: exp of their mean over tasks is the
    geometric mean of tasks.

        log gm = (1/m) sum_i log s_i

    over its m samples that count. Ratios are averaged as logarithms: twice as fast and half as fast cancel. Each task's
    samples first, so that one with many right samples weighs no more. speedups: as in `fast_p`. wrong: what the others
    mean. faster: only samples with a speed-up above 1 count, and a task without one drops out.
    """
    rows = [
        [1.0 if s is None else s for s in row if s is not None or wrong is Wrong.SOURCE] for row in _timed(speedups)
    ]
    rows = [[s for s in row if s > 1.0 or not faster] for row in rows]
    return np.array([np.mean(np.log(row)) for row in rows if row])


def log_best_speedups(speedups: Speedups) -> np.ndarray:
    """The logarithm of the largest speed-up of each task with a right sample; as in `log_speedups`."""
    rows = [[s for s in row if s is not None] for row in _timed(speedups)]
    return np.array([np.log(max(row)) for row in rows if row])


def robust_pass(correct: np.ndarray, k: int = 1) -> np.ndarray:
    """The chance that one of k samples is right in the worst of s forms of C_src.

        RP_s@k = 1 - C(n - rc, k) / C(n, k),     rc = sum_i [sample i is right on all of the s forms]

    ReCode (Wang et al. 2022, arXiv 2212.10264), whose forms are the perturbed ones; we count C_src itself among them.
    correct: [tasks, s, n]. Raises MetricError for k outside 1 to n.
    """
    worst = np.asarray(_forms(correct).all(axis=1))
    return pass_at_k(np.full(len(worst), worst.shape[1]), worst.sum(axis=1), k)


def consistency(correct: np.ndarray) -> np.ndarray:
    """The share of samples with one verdict on all of the s forms of C_src, right on all or wrong on all.

        consistency = (1/n) sum_i [max_j c_ij = min_j c_ij]

    It says nothing of being right: who is always wrong is consistent. correct: [tasks, s, n].
    """
    forms = _forms(correct)
    return np.asarray((forms.all(axis=1) == forms.any(axis=1)).mean(axis=1))


def hidden_gap(visible: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The share of samples that pass the tests a policy is judged by and fail those that nobody trained on.

        gap = (1/n) sum_i [visible_i] - (1/n) sum_i [visible_i and hidden_i]      >= 0

    visible, hidden: [tasks, n] bool.
    """
    seen = _table(visible, "hidden gap").astype(bool)
    return np.asarray(seen.mean(axis=1) - (seen & np.asarray(hidden, bool)).mean(axis=1))


def tokens(text: str) -> list[str]:
    """What `edit_distance` counts: words (names, numbers, keywords) and single other signs; white space is none, so
    that layout alone is no change. The same for every language."""
    return TOKEN.findall(text)


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein distance of two token sequences: fewest insertions, deletions and replacements, one token each.

    One row of the table at a time, in time len(a) len(b), after the common beginning and end are taken off.
    """
    start, most = 0, min(len(a), len(b))
    while start < most and a[start] == b[start]:
        start += 1
    end = 0
    while end < most - start and a[-1 - end] == b[-1 - end]:
        end += 1
    a, b = a[start : len(a) - end], b[start : len(b) - end]
    numbers = {token: i for i, token in enumerate(dict.fromkeys([*a, *b]))}
    other = np.array([numbers[token] for token in b], int)
    places = np.arange(len(b) + 1)
    row = places.copy()
    for i, token in enumerate(a, 1):
        new = np.empty_like(row)
        new[0] = i
        new[1:] = np.minimum(row[1:] + 1, row[:-1] + (other != numbers[token]))
        row = np.minimum.accumulate(new - places) + places  # insertions: 1 for every place to the right
    return int(row[-1])


def excess_change(source: str, prediction: str, gold: str) -> int:
    """How many more tokens a prediction changes than the known edit does; below zero for a smaller edit.

        excess = D(prediction, C_src) - D(gold, C_src),     D the token-level Levenshtein distance (`tokens`)

    Over-editing, as nrehiew.github.io/blog/minimal_editing has it; it is asked of right answers only, as a wrong one
    may change nothing. It is not defined where no edit is known, and there is no metric then.
    source, prediction, gold: texts.
    """
    origin = tokens(source)
    return edit_distance(tokens(prediction), origin) - edit_distance(tokens(gold), origin)


def mean_where_known(values: Sequence[Sequence[float | None]]) -> np.ndarray:
    """The mean of each task's samples that have a value, of the tasks that have any [at most tasks]."""
    rows = [[value for value in row if value is not None] for row in values]
    return np.array([np.mean(row) for row in rows if row])


def _require_k(k: int, n: int) -> None:
    if not 1 <= k <= n:
        raise MetricError(f"k = {k} of {n} samples a task: k is 1 to {n}; raise evaluate.samples or lower evaluate.ks")


def _table(values: np.ndarray, what: str) -> np.ndarray:
    table = np.asarray(values, float)
    if table.ndim != 2 or not table.size:
        raise MetricError(f"{what}: values of shape {table.shape}; a table [tasks, samples] with a sample is wanted")
    return table


def _forms(correct: np.ndarray) -> np.ndarray:
    table = np.asarray(correct, bool)
    if table.ndim != 3 or not table.size:
        raise MetricError(f"verdicts of shape {table.shape}; a table [tasks, forms, samples] with a sample is wanted")
    return table


def _timed(speedups: Speedups) -> Speedups:
    """The same, checked."""
    if not len(speedups) or not all(len(row) for row in speedups):
        raise MetricError("speed-ups of no task, or of a task without samples")
    for row in speedups:
        for value in row:
            if value is not None and not 0 < value < float("inf"):
                raise MetricError(f"a speed-up of {value}: it is a ratio of two times, above 0; measure them again")
    return speedups
