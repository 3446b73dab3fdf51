"""What the cells of a sweep say together: tables and results, at any time.

Everything is paired by seed and by task, and has an interval over both (`evaluate.study`). Of cells that are missing
nothing is supposed: a contrast takes the seeds that both of its arms have, and says how many those are.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from semrep_jax.core.errors import TaskError
from semrep_jax.core.results import Estimate, Results, exact
from semrep_jax.core.versions import versions
from semrep_jax.evaluate import summary as metric
from semrep_jax.evaluate.study import compared
from semrep_jax.jobs import tables
from semrep_jax.jobs.arms import COSTS
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.contrasts import Change, Contrast, Factorial, changes, contrasts, factorials
from semrep_jax.jobs.finished import Study
from semrep_jax.jobs.places import Cell, Place
from semrep_jax.tasks.suite import SUITES
from semrep_jax.train.arms import BASE

PACKAGES = ("semrep-jax", "jax", "jaxlib", "flax", "optax", "numpy", "scipy")
NOTE = (
    "Intervals and p-values are over seeds and tasks (crossed bootstrap); p in the tables of contrasts is Holm's, over "
    "the axes of its column, the primary contrast's among them; its own, not corrected, stands in the sentence on it."
)
OF_SETTINGS = "In the tables of settings p is Holm's over all settings and axes at the same turns."


def results(
    config: Config, plan: Mapping[Place, Cell], found: Mapping[Place, dict[str, Any]], design: dict[str, Any]
) -> Results:
    """Everything that the finished cells say.

    config: of the study. plan: every place's cell. found: cell.json of the finished ones. design: what was settled
    before.
    """
    study = Study(config, plan, found)
    _require_same_tasks(study)
    places = [(arm, setting.name) for setting in config.sweep.settings for arm in (BASE, *config.sweep.arms)]
    places = [(arm, name) for arm, name in places if study.first(arm, setting=name) and study.summaries(arm, name)]
    columns = {study.column(*place): _metrics(study, *place) for place in places}
    pairs, crossed, varied = list(contrasts(study)), list(factorials(study)), list(changes(study))
    equal = _at_equal_tokens({study.column(*place): study.summaries(*place) for place in places if place[0] != BASE})
    primary = next((one for one in pairs if one.primary), None)
    base = next((_metrics(study, *place) for place in places if place[0] == BASE), {})
    keys = {key: value for values in columns.values() for key, value in values.items()} | base
    names = metric.ordered(config.evaluate.suites)
    seconds = sum(_seconds(summary) for summary in _distinct(study))
    notes = dict.fromkeys(note for summary in _distinct(study) for note in summary["notes"])
    return Results(
        columns,
        seconds,
        tables.verdict(primary, design),
        rows=metric.rows(names, keys),
        differences=_headline(pairs),
        costs=COSTS,
        notes=(
            *_missing(study),
            NOTE,
            *([OF_SETTINGS] if varied else []),
            *notes,
            *metric.out_of_range_note(names, base),
        ),
        tables=(
            *tables.of_contrasts(pairs),
            *tables.of_factorials(crossed),
            *tables.of_changes(varied),
            tables.of_acceptance({name: SUITES[name].title for name in config.evaluate.suites}, columns),
            tables.of_tokens(study.axes[0], columns),
            *tables.of_equal_tokens(equal),
        ),
        about=_about(study, design, pairs, crossed, varied) | {"equal_tokens": equal},
    )


def _require_same_tasks(study: Study) -> None:
    """Refuse cells of one setting that were measured on different tasks. Raises TaskError."""
    known: dict[str, tuple[str, Any]] = {}
    for place, summary in study.found.items():
        first = known.setdefault(place.setting, (place.name, summary["suites"]))
        if first[1] != summary["suites"]:
            raise TaskError(
                f"cells {first[0]} and {place.name} were measured on different tasks; delete the cell.json and "
                "evaluation/ of the one that is older, and give the same command again"
            )


def _metrics(study: Study, arm: str, setting: str) -> dict[str, Estimate]:
    """An arm's metrics over its seeds, and the mean of what each cost."""
    summaries, seeds = study.summaries(arm, setting), study.seeds(arm, setting)
    shown = seeds[:1] if arm == BASE else seeds
    found = {}
    for key, one in summaries[0]["measured"].items():
        found[key] = compared(study.values(arm, setting, key, shown), within=(0, 1)).estimate
        for cost in ("tokens", "rewrites_accepted"):
            if cost in one:
                name, _, turns = key.rpartition("/")
                mean = np.mean([summary["measured"][key][cost] for summary in summaries])
                found[f"{name}_{cost}/{turns}"] = exact(float(mean))
    costs = {name: exact(float(np.mean([s["costs"][name] for s in summaries]))) for name, _ in COSTS}
    return found | costs


def _headline(pairs: Sequence[Contrast]) -> dict[str, Estimate]:
    """The differences of the primary pair in the main setting, as the page of a comparison has them."""
    primary = next((one for one in pairs if one.primary), None)
    if primary is None:
        return {}
    pair = (primary.setting, primary.ours, primary.theirs)
    return {
        f"{one.axis}/{tables.turns_of(one.turns)}": one.found.estimate
        for one in pairs
        if (one.setting, one.ours, one.theirs) == pair
    }


def _at_equal_tokens(columns: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Every arm at the largest token count that all trainings reached, from their held-out curves: the last point at or
    before it. Empty where a training has no curve.

    columns: what the cells of each column found. Gives {"tokens": the count, "points": {column: {SUITE/T1: {"value":
    mean over seeds, "tokens", "step": means of the points, "per_seed"}}}}.
    """
    curves = {name: [summary.get("curve", []) for summary in summaries] for name, summaries in columns.items()}
    if not curves or not all(rows for of_column in curves.values() for rows in of_column):
        return {}
    count = min(max(row["tokens"] for row in rows) for of_column in curves.values() for rows in of_column)
    points: dict[str, dict[str, Any]] = {}
    for name, of_column in curves.items():
        for key in dict.fromkeys(f"{row['suite']}/T{row['turns']}" for row in of_column[0]):
            last = [_last(rows, key, count) for rows in of_column]
            means = {field: float(np.mean([row[field] for row in last])) for field in ("value", "tokens", "step")}
            points.setdefault(name, {})[key] = means | {"per_seed": [row["value"] for row in last]}
    return {"tokens": count, "points": points}


def _last(rows: Sequence[Mapping[str, Any]], key: str, count: int) -> Mapping[str, Any]:
    """The last point of a curve at or before so many tokens; the first is of the base, and took none."""
    of_key = [row for row in rows if f"{row['suite']}/T{row['turns']}" == key and row["tokens"] <= count]
    return max(of_key, key=lambda row: row["step"])


def _distinct(study: Study) -> list[dict[str, Any]]:
    """What the finished cells found, each once."""
    return list({study.plan[place].name: summary for place, summary in study.found.items()}.values())


def _seconds(summary: dict[str, Any]) -> float:
    """Training and measuring of one cell (s)."""
    measured = sum(one.get("seconds", 0.0) for one in summary["measured"].values())
    return float(summary["costs"]["train_seconds"] + measured)


def _missing(study: Study) -> list[str]:
    """A line for the cells that are not finished; none where all are."""
    names = dict.fromkeys(cell.name for cell in study.plan.values())
    missing = [name for name in names if name not in {study.plan[place].name for place in study.found}]
    return [f"{len(missing)} of {len(names)} cells are not finished: {', '.join(missing)}."] if missing else []


def _about(
    study: Study,
    design: dict[str, Any],
    pairs: Sequence[Contrast],
    crossed: Sequence[Factorial],
    varied: Sequence[Change],
) -> dict[str, Any]:
    """What makes the results stand alone: how they were made, by what, and each seed's own numbers."""
    per_seed: dict[str, dict[str, dict[str, float]]] = {}
    for place, summary in study.found.items():
        of_column = per_seed.setdefault(study.column(place.arm, place.setting), {})
        for key, one in summary["measured"].items():
            share = float(np.mean(one["correct"])) / one["samples"]
            of_column.setdefault(key, {})["base" if place.seed is None else str(place.seed)] = round(share, 6)
    return {
        "seeds": list(study.config.sweep.seeds),
        "compared": [study.config.sweep.primary.ours, study.config.sweep.primary.theirs],
        "command": "python -m semrep_jax.main " + shlex.join(sys.argv[1:]),
        "versions": versions(PACKAGES),
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
            "devices": sorted({device.device_kind for device in jax.devices()}),
        },
        "design": design,
        "suites": next((summary["suites"] for summary in study.found.values()), {}),
        "contrasts": [one.to_json() for one in pairs],
        "factorial": [one.to_json() for one in crossed],
        "changes": [one.to_json() for one in varied],
        "per_seed": per_seed,
        "unfinished": _missing(study),
    }
