"""Measurements -> named metrics with intervals, the rows that a table shows of them, and two policies compared task by
task.

Keys are SUITE/T1, SUITE_pass@K/T1, SUITE_FACT/T1 ...; what a suite's own rows are called, the suite says, and what a
metric is, `metrics`.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

import numpy as np

from semrep_jax.core.results import Estimate, Row, Table, exact
from semrep_jax.evaluate.intervals import McNemar, difference, geometric_mean, mcnemar, mean, wilson
from semrep_jax.evaluate.measure import Measured
from semrep_jax.evaluate.metrics import (
    Speedups,
    Wrong,
    avg_at_k,
    best_at_k,
    consistency,
    fast_p,
    hidden_gap,
    log_best_speedups,
    log_speedups,
    majority,
    mean_where_known,
    pass_at_k,
    robust_pass,
)
from semrep_jax.inference.turns import TURNS
from semrep_jax.report.labels import estimate, label
from semrep_jax.tasks.suite import SUITES, base_of

Measurements = dict[tuple[str, int], Measured]
MEASURABLE = (0.05, 0.85)  # success of the base between which a suite can tell two policies apart
MARK = "†"  # of the rows of a suite outside
THRESHOLDS = (1.0, 1.5, 2.0)  # p of fast_p
COMPARED = (("T1", 1, 1), ("T2", 2, 2), ("T2 against T1", 2, 1))  # name, our turns, theirs
FURTHER = {
    "majority": "most samples right [Wilson]",
    "voted": "the edit that most samples agree on",
    "excess_change": "tokens changed beyond the known edit",
    "hidden": "right on hidden tests too",
    "hidden_gap": "hidden-test gap",
    "geomean_or_source": "speed-up, C_src kept where wrong",
}


def by_suite(results: Iterable[Measured]) -> Measurements:
    """Measurements of one policy by suite and turns."""
    return {(m.suite, m.turns): m for m in results}


def metrics(results: Sequence[Measured], resamples: int, ks: Sequence[int] = ()) -> dict[str, Estimate]:
    """Named metrics of one policy, tokens beside them.

    results: its measurements. resamples: of the bootstrap behind each interval. ks: k of pass@k, best@k and avg@k; none
    for 1, 2, 4 ... and all samples. Raises MetricError for a k above the samples that there are.
    """
    known = by_suite(results)
    found: dict[str, Estimate] = {}
    for measured in results:
        found |= _of_suite(measured, resamples, ks) | _of_pair(known, measured, resamples, ks)
    return found


def _all_ks(samples: int, asked: Sequence[int]) -> list[int]:
    return list(asked) or sorted({samples, *(1 << i for i in range(samples.bit_length()))})


def _of_suite(m: Measured, resamples: int, ks: Sequence[int]) -> dict[str, Estimate]:
    """The metrics of one measurement by itself."""
    correct = np.asarray(m.correct, float)
    tasks, n = correct.shape
    values = {
        "": mean(m.per_task, resamples),
        f"_best@{n}": mean(m.best, resamples),
        "_tokens": exact(m.tokens),
        "_majority": wilson(int(majority(correct).sum()), tasks),
    }
    for k in _all_ks(n, ks):
        values[f"_pass@{k}"] = mean(pass_at_k(np.full(tasks, n), correct.sum(axis=1), k), resamples)
        values[f"_best@{k}"] = mean(best_at_k(correct, k), resamples)
        values[f"_avg@{k}"] = mean(avg_at_k(correct, k), resamples)
    for fact, rows in m.facts.items():
        values[f"_{fact}"] = mean(np.asarray(rows, float).mean(axis=1), resamples)
    if m.speedups is not None:
        values |= {f"_{name}": value for name, value in of_speedups(m.speedups, resamples).items()}
    if m.generalises is not None:
        values["_hidden"] = mean(np.asarray(m.generalises, float).mean(axis=1), resamples)
        values["_hidden_gap"] = mean(hidden_gap(correct, np.asarray(m.generalises)), resamples)
    if m.voted is not None:
        values["_voted"] = mean(np.asarray(m.voted, float), resamples)
    if m.excess_change is not None and (known := mean_where_known(m.excess_change)).size:
        values["_excess_change"] = mean(known, resamples)
    if m.turns > 1:
        values["_rewrites_accepted"] = exact(m.rewrites_accepted)
    return {f"{m.suite}{suffix}/T{m.turns}": value for suffix, value in values.items()}


def of_speedups(speedups: Speedups, resamples: int) -> dict[str, Estimate]:
    """fast_p at THRESHOLDS, and geometric means: of right samples, of right and faster ones, of each task's best, and
    of all with C_src in the place of what is wrong. A mean of no sample is left out.

    speedups: [tasks][samples], None for a sample that is not right. resamples: of the bootstrap.
    """
    found = {f"fast_{p:g}": mean(fast_p(speedups, p), resamples) for p in THRESHOLDS}
    means = {
        "geomean": log_speedups(speedups),
        "geomean_faster": log_speedups(speedups, faster=True),
        "geomean_best": log_best_speedups(speedups),
        "geomean_or_source": log_speedups(speedups, Wrong.SOURCE),
    }
    return found | {name: geometric_mean(logs, resamples) for name, logs in means.items() if logs.size}


def _of_pair(known: Measurements, m: Measured, resamples: int, ks: Sequence[int]) -> dict[str, Estimate]:
    """What a suite and the one that it is paired with say together; nothing where it is paired with none, or that was
    not measured."""
    pairing = SUITES[m.suite].paired_with
    if pairing is None or (pairing.suite, m.turns) not in known:
        return {}
    base = known[pairing.suite, m.turns]
    both, agree = robustness(base, m)
    found = {
        f"{pairing.both}/T{m.turns}": mean(both, resamples),
        f"{pairing.agree}/T{m.turns}": mean(agree, resamples),
    }
    for k in _all_ks(len(m.correct[0]), ks):
        found[f"{pairing.both}@{k}/T{m.turns}"] = mean(robustness(base, m, k)[0], resamples)
    return found


def robustness(base: Measured, perturbed: Measured, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """For each perturbed C_src, or each that has several forms: `robust_pass` at k and `consistency` over C_src and
    its forms; [tasks].

    base: verdicts on the tasks as they are. perturbed: on their forms. k: of `robust_pass`, attempts at each form.
    """
    forms = _forms(base, perturbed)
    worst = [robust_pass(of_task[None], k)[0] for of_task in forms]
    return np.array(worst), np.array([consistency(of_task[None])[0] for of_task in forms])


def _forms(base: Measured, perturbed: Measured) -> list[np.ndarray]:
    """Of each task with a perturbed form: the verdicts [forms, samples] on C_src and on its forms."""
    index = {task: i for i, task in enumerate(base.task_ids)}
    forms: dict[int, list[list[bool]]] = {}
    for task, correct in zip(perturbed.task_ids, perturbed.correct, strict=True):
        i = index[base_of(task)]
        forms.setdefault(i, [base.correct[i]]).append(correct)
    return [np.asarray(of_task, bool) for of_task in forms.values()]


def differences(ours: Sequence[Measured], theirs: Sequence[Measured], resamples: int) -> dict[str, Estimate]:
    """Ours minus theirs: METRIC/T1, METRIC/T2, and as the paper uses it, our T=2 against their T=1.

    METRIC is the name in `metrics` of what a difference is taken of: the suite's share correct, or of a paired suite
    the share right on both. ours, theirs: measurements of two policies on the same suites, paired by task. resamples:
    of the bootstrap.
    """
    pairs = _paired(ours, theirs).items()
    return {name: difference(a.mean(axis=1), b.mean(axis=1), resamples) for name, (a, b) in pairs}


def paired_tests(ours: Sequence[Measured], theirs: Sequence[Measured]) -> dict[str, McNemar]:
    """McNemar's test of each of `differences`, by the same names. A task counts as right where more than half of its
    samples are: with one sample, that sample. ours, theirs: as there."""
    return {name: mcnemar(majority(a), majority(b)) for name, (a, b) in _paired(ours, theirs).items()}


def _paired(ours: Sequence[Measured], theirs: Sequence[Measured]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What two policies are compared by: METRIC/NAME -> verdicts [tasks, samples] of both."""
    mine, others = by_suite(ours), by_suite(theirs)
    return {
        f"{_compared(suite, {name for name, _ in mine})}/{name}": (_right(mine, suite, a), _right(others, suite, b))
        for suite in dict.fromkeys(m.suite for m in ours)
        for name, a, b in COMPARED
    }


def _compared(suite: str, measured: Container[str]) -> str:
    """The metric of a suite that two policies are compared by."""
    pairing = SUITES[suite].paired_with
    return suite if pairing is None or pairing.suite not in measured else pairing.both


def _right(known: Measurements, suite: str, turns: int) -> np.ndarray:
    """Which samples are right [tasks, samples], of a paired suite right on all forms of C_src."""
    pairing = SUITES[suite].paired_with
    if pairing is not None and (pairing.suite, turns) in known:
        return np.array([f.all(axis=0) for f in _forms(known[pairing.suite, turns], known[suite, turns])])
    return np.asarray(known[suite, turns].correct, bool)


def ordered(names: Iterable[str]) -> list[str]:
    """Suites without repetition, those that are paired with another behind the others."""
    return sorted(dict.fromkeys(names), key=lambda name: SUITES[name].paired_with is not None)


def out_of_range(names: Iterable[str], base: Mapping[str, Estimate]) -> list[str]:
    """The suites on which the base is right too seldom or too often, at T=1, for a difference to be seen."""
    least, most = MEASURABLE
    direct = {name: base[f"{name}/T1"].value for name in names if f"{name}/T1" in base}
    return [name for name, value in direct.items() if not least <= value <= most]


def out_of_range_note(names: Iterable[str], base: Mapping[str, Estimate]) -> Iterator[str]:
    """What a reader has to know of the rows that are marked."""
    if found := out_of_range(names, base):
        least, most = MEASURABLE
        titles = ", ".join(SUITES[name].title for name in found)
        yield (
            f"{MARK} the base is right on less than {least:.0%} or more than {most:.0%} of {titles} (T=1): little can "
            "be won or lost there."
        )


def rows(names: Iterable[str], found: dict[str, Estimate]) -> tuple[Row, ...]:
    """The lines of a table over these suites, in order; of what is in `found`, the base's metrics, only. Those of a
    suite on which no difference is to be expected are marked."""
    kept, names = [], list(names)
    marked = out_of_range(names, found)
    for name in names:
        suite = SUITES[name]
        pairing = suite.paired_with
        mark = f" {MARK}" if name in marked else ""
        shown = [(name, suite.title, pairing is None), *((name + m.suffix, m.title, False) for m in suite.metrics)]
        if pairing is not None:
            shown += [(pairing.both, pairing.both_title, True), (pairing.agree, pairing.agree_title, False)]
        for metric, title, compared in shown:
            for turns in TURNS:
                key = f"{metric}/T{turns}"
                if key in found:
                    kept.append(Row(key, f"{title}{mark}, {_how(turns)}", key if compared else None))
    return tuple(kept)


def _how(turns: int) -> str:
    return "direct (T=1)" if turns == 1 else "rewrite first (T=2)"


def further(names: Iterable[str], arms: Mapping[str, Mapping[str, Estimate]]) -> list[Table]:
    """A table of what else the same samples say: pass@k for k above 1, and FURTHER, where a suite allows them and its
    own rows do not show them; none where there is nothing.

    names: the suites. arms: the metrics of each.
    """
    known = list(dict.fromkeys(key for values in arms.values() for key in values))
    lines = []
    for name in names:
        for metric, title in _further_of(name, known):
            for turns in TURNS:
                key = f"{metric}/T{turns}"
                if key in known:
                    cells = [estimate(values[key].to_json()) if key in values else "" for values in arms.values()]
                    lines.append((f"{title}, {_how(turns)}", *cells))
    columns = ("metric", *map(label, arms))
    return [Table("more of the same samples, mean [95 % interval over tasks]", columns, tuple(lines))] if lines else []


def _further_of(name: str, known: Iterable[str]) -> list[tuple[str, str]]:
    """Metrics of a suite for `further`, with their titles."""
    suite, pairing = SUITES[name], SUITES[name].paired_with
    at_k = {f"{name}_pass": f"{suite.title}: pass"}
    if pairing is not None:
        at_k[pairing.both] = f"{pairing.both_title}, pass"
    found: dict[str, str] = {}
    for metric, title in at_k.items():
        ks = {int(m[1]) for key in known if (m := re.fullmatch(rf"{re.escape(metric)}@(\d+)/T\d", key))}
        found |= {f"{metric}@{k}": f"{title}@{k}" for k in sorted(ks - {1})}
    own = {metric.suffix for metric in suite.metrics}
    found |= {f"{name}_{s}": f"{suite.title}: {title}" for s, title in FURTHER.items() if f"_{s}" not in own}
    return list(found.items())


def mcnemar_table(tests: Mapping[str, McNemar], ours: str, theirs: str) -> list[Table]:
    """A table of McNemar's tests; none where there is no test. ours, theirs: the arms, as a person calls them.

    tests: by the metric that was compared.
    """
    if not tests:
        return []
    columns = ("compared", "tasks", "both right", f"won by {ours}", f"won by {theirs}", "neither", "exact p", "mid-p")
    lines = []
    for name, t in tests.items():
        counts = (t.both, t.ours, t.theirs, t.neither)
        lines.append((name, *map(str, (sum(counts), *counts)), f"{t.exact_p:.3f}", f"{t.mid_p:.3f}"))
    title = "task by task (McNemar): a task is right where more than half of its samples are"
    return [Table(title, columns, tuple(lines))]
