"""What a job of searches reports: tables, curves and a sentence, from the trees alone.

On suites a figure is the share of tasks with a right program, with a bootstrap interval over tasks; on a case study the
best value, its median over seeds and its quartiles. Every comparison is at equal samples, tokens or seconds of judging.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semrep_jax.core.progress import bar
from semrep_jax.core.results import Estimate, Results, Row, Table, exact
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.search import curves
from semrep_jax.search.budget import Budget
from semrep_jax.search.cases.case import Case
from semrep_jax.search.curves import Axis, Course, mean_at, quartiles_at, to_reach
from semrep_jax.search.strategies.strategy import STRATEGIES
from semrep_jax.search.tree import Tree

POINTS = 40  # of a curve
PAPER = 0.25  # less compute for the same score, as arXiv 2603.13640 reports it
BASELINES = ("direct", "iid")  # what semrep's compute is compared with, the first that was run


@dataclass(frozen=True)
class Searched:
    """A search that has ended: the strategy, the task's name, the seed, the tree, what was spent."""

    strategy: str
    place: str
    seed: int
    tree: Tree
    budget: Budget

    def course(self, measured: bool) -> Course:
        """How it went; `measured`: by value, else by whether there is a right program."""
        root = self.tree.nodes[0]
        start = (root.value or 0.0) if measured else 0.0
        return curves.course(self.tree.nodes[1:], start, measured)


def said(one: Searched, measured: bool) -> str:
    """A search's outcome in a few words, for the progress bar."""
    best = one.tree.best
    if measured:
        return f"{best.value or 0:.4f}"
    return "solved" if one.tree.solved else f"score {best.score:g}"


def by_strategy(found: Sequence[Searched], measured: bool) -> dict[str, list[list[Course]]]:
    """The courses of each strategy: of each task those of its seeds."""
    grouped: dict[str, dict[str, list[Course]]] = {}
    for one in found:
        grouped.setdefault(one.strategy, {}).setdefault(one.place, []).append(one.course(measured))
    return {strategy: list(places.values()) for strategy, places in grouped.items()}


def of_suites(found: Sequence[Searched], resamples: int, seconds: float) -> Results:
    """What was found on the tasks of suites.

    found: every search. resamples: of the bootstrap. seconds: wall time of the job (s).
    """
    courses = by_strategy(found, measured=False)
    most = max(int(one.samples[-1]) for tasks in courses.values() for task in tasks for one in task)
    counts = np.array([k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256) if k < most] + [most])
    arms: dict[str, dict[str, Estimate]] = {}
    for strategy, tasks in courses.items():
        best = mean_at(tasks, "samples", counts, resamples)
        arms[strategy] = {f"best@{k}": one for k, one in zip(counts.tolist(), best, strict=True)}
        arms[strategy] |= spent_of([one for one in found if one.strategy == strategy])
    rows = tuple(Row(f"best@{k}", f"tasks solved within {k} programs") for k in counts.tolist())
    ratios = compute(courses, resamples)
    tables = [_spent_table(arms), *([_compute_table(ratios)] if ratios else [])]
    return Results(
        arms,
        seconds,
        _sentence(ratios),
        rows=rows,
        tables=tuple(tables),
        notes=(
            "Share of tasks with a right program, 95 % bootstrap interval over tasks. Programs of every turn count, "
            "rewrites too.",
        ),
        about={"search": {"curves": _pictures(courses, "tasks solved", Means(resamples))}},
    )


def of_case(case: Case, found: Sequence[Searched], sandbox: Sandbox, seconds: float) -> Results:
    """What was found on a case study.

    case: which. found: every search. sandbox: where the best programs are measured anew. seconds: wall time of the job
    (s).
    """
    courses = {strategy: places[0] for strategy, places in by_strategy(found, measured=True).items()}
    tokens = [one.tokens[-1] for name, seeds in courses.items() if STRATEGIES[name].model for one in seeds]
    limits = {
        "tokens": float(min(tokens)) if tokens else math.nan,
        "seconds": float(min(one.seconds[-1] for seeds in courses.values() for one in seeds)),
    }
    arms: dict[str, dict[str, Estimate]] = {}
    again = _measured_anew(case, found, sandbox)
    for strategy, seeds in courses.items():
        all_of_it = np.array([math.inf])
        arms[strategy] = {"best": quartiles_at(seeds, "samples", all_of_it)[0]}
        arms[strategy]["at_equal_seconds"] = quartiles_at(seeds, "seconds", np.array([limits["seconds"]]))[0]
        if STRATEGIES[strategy].model:
            arms[strategy]["at_equal_tokens"] = quartiles_at(seeds, "tokens", np.array([limits["tokens"]]))[0]
        arms[strategy] |= spent_of([one for one in found if one.strategy == strategy])
        if strategy in again:
            arms[strategy]["held_out"] = again[strategy]
    start = found[0].tree.nodes[0].value or 0.0
    rows = [
        Row("best", f"best {case.figure} of a search"),
        Row("at_equal_tokens", f"at {limits['tokens']:,.0f} tokens"),
        Row("at_equal_seconds", f"at {limits['seconds']:.1f} s of judging"),
    ]
    if case.held_out is not None:
        rows.append(Row("held_out", f"{case.figure} of the best, measured anew on held-out inputs"))
    seeds_run = len({one.seed for one in found})
    return Results(
        arms,
        seconds,
        _leader(case, arms, start),
        rows=tuple(row for row in rows if any(row.metric in values for values in arms.values())),
        tables=(_spent_table(arms), *_best_programs(case, found)),
        notes=(f"Median over {seeds_run} seeds [quartiles]; the program that all start from has {start:.6g}.",),
        about={"search": {"curves": _pictures(_each(courses), f"best {case.figure}", _quartiles)}},
    )


@dataclass(frozen=True)
class Means:
    """Means over tasks, with so many resamples behind their intervals."""

    resamples: int

    def __call__(self, tasks: Sequence[Sequence[Course]], axis: str, grid: np.ndarray) -> list[Estimate]:
        return mean_at(tasks, axis, grid, self.resamples)


def _each(courses: dict[str, list[Course]]) -> dict[str, list[list[Course]]]:
    return {strategy: [seeds] for strategy, seeds in courses.items()}


def _quartiles(tasks: Sequence[Sequence[Course]], axis: str, grid: np.ndarray) -> list[Estimate]:
    return quartiles_at(tasks[0], axis, grid)


def spent_of(found: Sequence[Searched]) -> dict[str, Estimate]:
    """What a strategy's searches cost and spared, added up."""
    nodes = [node for one in found for node in one.tree.nodes[1:]]
    return {
        "tokens": exact(sum(one.budget.spent.tokens for one in found)),
        "verifier_seconds": exact(round(sum(one.budget.spent.verifier_seconds for one in found), 3)),
        "written": exact(sum(not node.beyond for node in nodes)),
        "judged": exact(sum(node.judged for node in nodes)),
        "copies": exact(sum(one.tree.copies for one in found)),
        "beyond_tokens": exact(sum(one.budget.beyond.tokens for one in found)),
    }


def _spent_table(arms: dict[str, dict[str, Estimate]]) -> Table:
    columns = (
        "strategy",
        "what it does",
        "tokens",
        "s of judging",
        "programs",
        "run",
        "copies, not run",
        "beyond",
    )
    keys = ("tokens", "verifier_seconds", "written", "judged", "copies", "beyond_tokens")
    rows = tuple(
        (name, STRATEGIES[name].title, *(f"{values[key].value:,.{2 if 'seconds' in key else 0}f}" for key in keys))
        for name, values in arms.items()
    )
    return Table(
        "What the searches cost (beyond: tokens that were not left, and bought nothing)",
        columns,
        rows,
        left=(0, 1),
    )


def compute(courses: dict[str, list[list[Course]]], resamples: int) -> dict[tuple[str, str, str], Estimate]:
    """Compute to reach the same score, by (strategy, baseline, axis): what the strategy needs over what the baseline
    does."""
    baseline = next((name for name in BASELINES if name in courses), None)
    if baseline is None:
        return {}
    return {
        (name, baseline, axis): to_reach(tasks, courses[baseline], axis, resamples)
        for name, tasks in courses.items()
        if name != baseline
        for axis in ("tokens", "samples")
        if _counted(tasks, axis) and _counted(courses[baseline], axis)
    }


def _counted(courses: Sequence[Sequence[Course]], axis: Axis) -> bool:
    """Whether an amount was counted at all: an endpoint may tell no tokens."""
    return any(getattr(one, axis)[-1] > 0 for seeds in courses for one in seeds)


def _compute_table(ratios: dict[tuple[str, str, str], Estimate]) -> Table:
    rows = tuple((name, axis, baseline, _ratio(one)) for (name, baseline, axis), one in ratios.items())
    title = "Compute to reach the score that the baseline ends with, over the baseline's own [95 % interval over tasks]"
    return Table(title, ("strategy", "in", "baseline", "ratio"), rows, left=(0, 1, 2))


def _ratio(one: Estimate) -> str:
    if math.isnan(one.value):
        return "nothing to reach: the baseline solves no task"

    def shown(value: float) -> str:
        return "not reached" if math.isinf(value) else "?" if math.isnan(value) else f"{value:.2f}"

    return f"{shown(one.value)} [{shown(one.low)}, {shown(one.high)}]"


def _sentence(ratios: dict[tuple[str, str, str], Estimate]) -> str:
    """What the curves say of the paper's claim, and nothing beyond it."""
    key = next((key for key in ratios if key[0] == "semrep" and key[2] == "tokens"), None)
    if key is None and any(name == "semrep" for name, _, _ in ratios):
        return "The endpoint told no tokens, and so none are compared; samples are, in the table."
    if key is None:
        return "semrep and a baseline were not both run: no compute is compared."
    one, baseline = ratios[key], key[1]
    claim = f"The paper reports {PAPER:.0%} less compute for the same score (a ratio of {1 - PAPER:g})"
    if math.isnan(one.value):
        return f"{claim}; here {baseline} solves no task, and there is no score to reach."
    if math.isinf(one.value):
        return f"{claim}; here semrep does not reach the score of {baseline} at equal budget."
    if one.high < 1:
        found = "less"
    elif one.low > 1:
        found = "more"
    else:
        found = "an undecided amount"
    return f"{claim}; here semrep needs {found} of the tokens of {baseline}: {_ratio(one)}."


def _leader(case: Case, arms: dict[str, dict[str, Estimate]], start: float) -> str:
    """Who had the best median at equal seconds of judging, and how the models stand to the baselines without one."""
    key = "at_equal_seconds"
    order = sorted(arms, key=lambda name: arms[name][key].value, reverse=True)
    first = order[0]
    parts = [
        f"{case.title}: at equal seconds of judging {first} is first with a median of {arms[first][key].value:.4f}"
    ]
    modelled = [name for name in order if STRATEGIES[name].model]
    blind = [name for name in order if not STRATEGIES[name].model]
    if modelled and blind:
        ours, other = modelled[0], blind[0]
        word = "above" if arms[ours][key].value > arms[other][key].value else "not above"
        parts.append(
            f"the best with a model, {ours} ({arms[ours][key].value:.4f}), is {word} "
            f"the best without one, {other} ({arms[other][key].value:.4f})"
        )
    return "; ".join(parts) + f"; all start from {start:.4f}."


def _measured_anew(case: Case, found: Sequence[Searched], sandbox: Sandbox) -> dict[str, Estimate]:
    """The best program of each search measured anew on inputs that no search saw: of each strategy the median over
    seeds, and quartiles. One that is wrong there counts as no faster."""
    if case.held_out is None:
        return {}
    values: dict[str, list[float]] = {}
    with bar("held-out inputs", len(found)) as progress:
        for one in found:
            again = case.held_out(case.program(one.tree.best.program or ""), sandbox)
            values.setdefault(one.strategy, []).append(1.0 if again.value is None else again.value)
            progress.advance(f"{one.strategy}, seed {one.seed}: {values[one.strategy][-1]:.2f}")
    estimates = {}
    for strategy, measured in values.items():
        low, centre, high = np.percentile(measured, [25, 50, 75])
        estimates[strategy] = Estimate(float(centre), float(low), float(high), len(measured))
    return estimates


def _best_programs(case: Case, found: Sequence[Searched]) -> list[Table]:
    best: dict[str, tuple[float, str]] = {}
    for one in found:
        node = one.tree.best
        if node.value is not None and (one.strategy not in best or node.value > best[one.strategy][0]):
            text = node.program or ""
            best[one.strategy] = (node.value, text if len(text) < 300 else text[:300] + " ...")
    rows = tuple((name, f"{value:.6f}", text) for name, (value, text) in best.items())
    return [Table(f"The best programs by {case.figure}", ("strategy", case.figure, "program"), rows, left=(0, 2))]


def _pictures(courses: dict[str, list[list[Course]]], what: str, estimate: Any) -> list[dict[str, Any]]:
    """The curves of a page: `what` against programs, tokens and seconds of judging."""
    titles = {"samples": "programs written", "tokens": "tokens", "seconds": "seconds of judging"}
    found = []
    for axis in curves.AXES:
        drawn = {}
        for strategy, tasks in courses.items():
            end = max(float(getattr(one, axis)[-1]) for task in tasks for one in task)
            if end <= 0:
                continue
            grid = np.linspace(0, end, POINTS + 1) if axis != "samples" else np.arange(0, end + 1)
            estimates = estimate(tasks, axis, grid)
            drawn[strategy] = [
                [round(float(x), 4), *(round(v, 6) for v in (e.value, e.low, e.high))]
                for x, e in zip(grid, estimates, strict=True)
            ]
        if drawn:
            found.append({"x": titles[axis], "y": what, "lines": drawn})
    return found
