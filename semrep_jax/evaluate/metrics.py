"""Measurements -> named metrics with intervals, the rows that a table shows of them, and paired differences of two
policies.

Keys are SUITE/T1, SUITE_best@K/T1, SUITE_FACT/T1 ...; what a suite's own rows are called, the suite says.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

import numpy as np

from semrep_jax.core.results import Estimate, Row, exact
from semrep_jax.evaluate import speed
from semrep_jax.evaluate.intervals import difference, mean
from semrep_jax.evaluate.measure import Measured
from semrep_jax.inference.turns import TURNS
from semrep_jax.tasks.suite import SUITES

Measurements = dict[tuple[str, int], Measured]


def by_suite(results: Iterable[Measured]) -> Measurements:
    """Measurements of one policy by suite and turns."""
    return {(m.suite, m.turns): m for m in results}


def metrics(results: Sequence[Measured], resamples: int) -> dict[str, Estimate]:
    """Named metrics of one policy, tokens beside them; `resamples` of the bootstrap behind each interval."""
    known = by_suite(results)
    found: dict[str, Estimate] = {}
    for measured in results:
        found |= _of_suite(measured, resamples) | _of_pair(known, measured, resamples)
    return found


def _of_suite(m: Measured, resamples: int) -> dict[str, Estimate]:
    """The metrics of one measurement by itself."""
    values = {
        "": mean(m.per_task, resamples),
        f"_best@{len(m.correct[0])}": mean(m.best, resamples),
        "_tokens": exact(m.tokens),
    }
    for fact, rows in m.facts.items():
        values[f"_{fact}"] = mean(np.asarray(rows, float).mean(axis=1), resamples)
    if m.speedups is not None:
        values |= {f"_{name}": value for name, value in speed.metrics(m.speedups, resamples).items()}
    if m.generalises is not None:
        unseen = np.asarray(m.generalises, float).mean(axis=1)
        values["_hidden"] = mean(unseen, resamples)
        values["_hidden_gap"] = mean(m.per_task - unseen, resamples)
    if m.turns > 1:
        values["_rewrites_accepted"] = exact(m.rewrites_accepted)
    return {f"{m.suite}{suffix}/T{m.turns}": value for suffix, value in values.items()}


def _of_pair(known: Measurements, m: Measured, resamples: int) -> dict[str, Estimate]:
    """What a suite and the one that it is paired with say together; nothing where it is paired with none, or that was
    not measured."""
    pairing = SUITES[m.suite].paired_with
    if pairing is None or (pairing.suite, m.turns) not in known:
        return {}
    both, agree = robustness(known[pairing.suite, m.turns], m)
    return {
        f"{pairing.both}/T{m.turns}": mean(both, resamples),
        f"{pairing.agree}/T{m.turns}": mean(agree, resamples),
    }


def robustness(base: Measured, perturbed: Measured) -> tuple[np.ndarray, np.ndarray]:
    """For each perturbed task: the share of samples right on both C_src and its perturbation, and the share that agree;
    [tasks]."""
    index = {task: i for i, task in enumerate(base.task_ids)}
    rows = [index[task.removesuffix("/perturbed")] for task in perturbed.task_ids]
    a, b = np.asarray(base.correct, bool)[rows], np.asarray(perturbed.correct, bool)
    return (a & b).mean(axis=1), (a == b).mean(axis=1)


def differences(ours: Sequence[Measured], theirs: Sequence[Measured], resamples: int) -> dict[str, Estimate]:
    """Ours minus theirs: METRIC/T1, METRIC/T2, and as the paper uses it, our T=2 against their T=1.

    METRIC is the name in `metrics` of what a difference is taken of: the suite's share correct, or of a paired suite
    the share right on both. ours, theirs: measurements of two policies on the same suites, paired by task. resamples:
    of the bootstrap.
    """
    mine, others = by_suite(ours), by_suite(theirs)
    found = {}
    for suite in dict.fromkeys(m.suite for m in ours):
        metric = _compared(suite, {name for name, _ in mine})
        for name, a, b in (("T1", 1, 1), ("T2", 2, 2), ("T2 against T1", 2, 1)):
            found[f"{metric}/{name}"] = difference(_values(mine, suite, a), _values(others, suite, b), resamples)
    return found


def _compared(suite: str, measured: Container[str]) -> str:
    """The metric of a suite that two policies are compared by."""
    pairing = SUITES[suite].paired_with
    return suite if pairing is None or pairing.suite not in measured else pairing.both


def _values(known: Measurements, suite: str, turns: int) -> np.ndarray:
    """What a difference is taken of: the share correct, of a paired suite the share right on both."""
    pairing = SUITES[suite].paired_with
    if pairing is not None and (pairing.suite, turns) in known:
        return robustness(known[pairing.suite, turns], known[suite, turns])[0]
    return known[suite, turns].per_task


def ordered(names: Iterable[str]) -> list[str]:
    """Suites without repetition, those that are paired with another behind the others."""
    return sorted(dict.fromkeys(names), key=lambda name: SUITES[name].paired_with is not None)


def rows(names: Iterable[str], found: dict[str, Estimate]) -> tuple[Row, ...]:
    """The lines of a table over these suites, in order; of what is in `found` only."""
    kept = []
    for name in names:
        suite = SUITES[name]
        pairing = suite.paired_with
        shown = [(name, suite.title, pairing is None), *((name + m.suffix, m.title, False) for m in suite.metrics)]
        if pairing is not None:
            shown += [(pairing.both, pairing.both_title, True), (pairing.agree, pairing.agree_title, False)]
        for metric, title, compared in shown:
            for turns in TURNS:
                key = f"{metric}/T{turns}"
                how = "direct (T=1)" if turns == 1 else "rewrite first (T=2)"
                if key in found:
                    kept.append(Row(key, f"{title}, {how}", key if compared else None))
    return tuple(kept)
