"""A page of several runs beside each other: curves overlaid, tables side by side, seeds of one config taken together.

    write([Path("runs/seed0"), Path("runs/seed1"), Path("runs/alpha0")], Path("runs/comparison.html"))

Runs whose settings differ in nothing but the seed are one group: their curves have bands over seeds, their figures 95 %
bootstrap intervals over seeds, their differences are paired by seed. A group of one run keeps the intervals over tasks
that its results hold. Runs that measured different tasks under one suite's name are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semrep_jax.core.workdir import write_atomically
from semrep_jax.report import curves, html
from semrep_jax.report.bands import over_seeds
from semrep_jax.report.curves import STEPS, TOKENS, Source
from semrep_jax.report.labels import colours, in_order, label
from semrep_jax.report.panels import Panel
from semrep_jax.report.reading import ReportError, Row, Run, State, read

NOT_SETTINGS = ("seed", "work_dir")  # keys of config.yaml in which runs of one group may differ
MOST_NAMED = 3  # settings that a group's name spells out


@dataclass(frozen=True)
class Group:
    """Runs of one config. name: what sets it apart. runs: by seed."""

    name: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> str:
        """In words."""
        return ", ".join(str(run.seed) for run in self.runs)

    def results(self) -> list[Row]:
        """Of the runs that have ended."""
        return [run.results for run in self.runs if run.results]

    def estimate(self, arm: str, metric: str) -> Row | None:
        """A figure of an arm: over seeds where there are several, else as the run has it."""
        return _over_seeds([found["arms"].get(arm, {}).get(metric) for found in self.results()])

    def difference(self, key: str) -> Row | None:
        """A paired difference of the two arms, over seeds where there are several."""
        return _over_seeds([found["differences"].get(key) for found in self.results()])


def _over_seeds(values: Sequence[Row | None]) -> Row | None:
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return known[0] if known else None
    band = over_seeds(np.array([[value["value"]] for value in known]))
    assert band.low is not None and band.high is not None
    return {"value": float(band.middle[0]), "low": float(band.low[0]), "high": float(band.high[0]), "n": len(known)}


def write(directories: Sequence[Path], path: Path) -> Path:
    """Write the comparison of work directories to `path`; returns it. Raises ReportError, with nothing written."""
    text = page([read(directory) for directory in directories])
    if path.exists() and html.GENERATOR not in path.read_text(errors="replace")[:2000]:
        raise ReportError(f"{path} is there and no page of ours; name another with --output FILE")
    if not path.parent.is_dir():
        raise ReportError(f"{path.parent} is no directory; make it, or name another file with --output FILE")
    write_atomically(path, text)
    return path


def page(runs: Sequence[Run]) -> str:
    """The text of the page. Raises ReportError for runs that can't be compared."""
    require_comparable(runs)
    groups = grouped(runs)
    return html.render("comparison.html.j2", _content(runs, groups))


def require_comparable(runs: Sequence[Run]) -> None:
    """Raises ReportError where two runs are the same, are of different jobs or measured different tasks under one
    suite's name."""
    places: dict[Path, Run] = {}
    for run in runs:
        if run.path.resolve() in places:
            raise ReportError(f"{run.path} is named twice; name different runs")
        places[run.path.resolve()] = run
    first = runs[0]
    for other in runs[1:]:
        if other.job != first.job:
            raise ReportError(
                f"{first.path} is of job {first.job} and {other.path} of job {other.job}; compare one job's"
            )
    measured: dict[str, tuple[str, Run]] = {}
    for run in runs:
        for suite, about in (run.results or {}).get("suites", {}).items():
            sha256, earlier = measured.setdefault(suite, (about["sha256"], run))
            if sha256 != about["sha256"]:
                raise ReportError(
                    f"suite {suite} is other tasks in {earlier.path} (sha256 {sha256[:12]}) than in {run.path} "
                    f"({about['sha256'][:12]}); measure one of them again in a new work_dir with the other's "
                    "evaluate.tasks and evaluate.seed, or name only runs that share both"
                )


def grouped(runs: Sequence[Run]) -> list[Group]:
    """The groups, in the order of their first runs. Raises ReportError for two runs of one config and seed."""
    found: dict[str, list[Run]] = {}
    flat = {run.path: _flat(run.config) for run in runs}
    for run in runs:
        found.setdefault(repr(sorted(flat[run.path].items())), []).append(run)
    for of_group in found.values():
        seeds = [run.seed for run in of_group]
        if len(set(seeds)) < len(seeds):
            paths = ", ".join(str(run.path) for run in of_group if seeds.count(run.seed) > 1)
            raise ReportError(f"{paths} are of one config and one seed; name runs that differ in something")
    settings = [flat[of_group[0].path] for of_group in found.values()]
    names = _names(settings) if len(found) > 1 else [runs[0].job]
    if len(set(names)) < len(names):
        names = [", ".join(str(run.path) for run in of_group) for of_group in found.values()]
    return [
        Group(name, tuple(sorted(of_group, key=lambda run: run.seed)))
        for name, of_group in zip(names, found.values(), strict=True)
    ]


def _names(settings: Sequence[dict[str, str]]) -> list[str]:
    """What sets each config apart: few settings that all of them have, where that will do, then more; a version may
    know settings that another does not."""
    known = list(dict.fromkeys(key for one in settings for key in one))
    names: list[str] = []
    for keys in ([key for key in known if all(key in one for one in settings)], known):
        differ = [key for key in keys if len({one.get(key) for one in settings}) > 1]
        for most in (MOST_NAMED, len(differ)):
            names = [_name(one, differ[:most], len(differ)) for one in settings]
            if len(set(names)) == len(names):
                return names
    return names


def _flat(config: Row, above: str = "") -> dict[str, str]:
    """Settings by dotted key."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if not above and key in NOT_SETTINGS:
            continue
        found |= (
            _flat(value, f"{above}{key}.")
            if isinstance(value, dict)
            else {f"{above}{key}": "null" if value is None else str(value)}
        )
    return found


def _name(settings: dict[str, str], keys: Sequence[str], differ: int) -> str:
    """A group by these of its settings. differ: how many tell groups apart."""
    named = [f"{key.removeprefix('train.')}={settings.get(key, '–')}" for key in keys]
    more = differ - len(keys)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _content(runs: Sequence[Run], groups: Sequence[Group]) -> Row:
    rows = list({row["metric"]: row for run in runs if run.results for row in run.results["rows"]}.values())
    columns = [(group, arm) for group in groups for arm in _arms(group)]
    titles = {key: title for run in runs for key, title in html.suite_titles(run.results).items()}
    differences = {
        (group.name, key): gap
        for group in groups
        for key in dict.fromkeys(row["difference"] for row in rows if row["difference"])
        if (gap := group.difference(key)) is not None
    }
    return {
        "runs": runs,
        "groups": groups,
        "job": runs[0].job,
        "states": [(run, html.state(run)) for run in runs if run.state is not State.FINISHED],
        "rows": rows,
        "columns": columns,
        "differences": differences,
        "differing": [group for group in groups if any(name == group.name for name, _ in differences)],
        "scale": html.widest(differences.values()),
        "costs": next((run.results["costs"] for run in runs if run.results), []),
        "training": [(heading, _drawn(lines, "metrics", titles)) for heading, lines in pictures(groups)],
        "held_out": [
            (heading, drawn) for heading, lines in pictures(groups) if (drawn := _drawn(lines, "curves", titles))
        ],
        "partly": _measured_by_some(runs),
    }


def _arms(group: Group) -> list[str]:
    return in_order({arm for found in group.results() for arm in found["arms"]})


def _measured_by_some(runs: Sequence[Run]) -> list[str]:
    """Suites that not all of the runs that have ended measured."""
    measured = [set(run.results.get("suites", ())) for run in runs if run.results]
    return sorted(set().union(*measured) - set.intersection(*measured)) if measured else []


@dataclass(frozen=True)
class Line:
    """What is one line in every plot: an arm of the runs of a group."""

    name: str
    colour: str
    group: Group
    arm: str

    def source(self, rows: str) -> Source:
        """Its rows: "metrics" or "curves"."""
        return Source(
            self.name, self.colour, [found for run in self.group.runs if (found := getattr(run, rows).get(self.arm))]
        )


def pictures(groups: Sequence[Group]) -> list[tuple[str, list[Line]]]:
    """Lines under a heading: one group's arms together; of several groups each arm by itself, a line a group."""
    arms = in_order({arm for group in groups for run in group.runs for arm in run.metrics})
    if len(groups) == 1:
        colour = colours(arms)
        return [("", [Line(label(arm), colour[arm], groups[0], arm) for arm in arms])]
    colour = colours(group.name for group in groups)
    return [(label(arm), [Line(group.name, colour[group.name], group, arm) for group in groups]) for arm in arms]


def _drawn(lines: Iterable[Line], rows: str, titles: dict[str, str]) -> list[Panel]:
    sources = [source for line in lines if (source := line.source(rows)).seeds]
    if rows == "metrics":
        return html.training(sources)
    return [panel for against in (STEPS, TOKENS) for panel in curves.held_out(sources, titles, against)]
