"""Several runs of one comparison as one table: mean over seeds, and every seed's own number.

    for s in 0 1 2; do
        python -m semrep_jax.main --config configs/quickstart.yaml --set seed=$s --set work_dir=runs/seed$s
    done
    python tools/seed_table.py runs/seed0 runs/seed1 runs/seed2         # seconds

Prints Markdown, a row a metric. The interval is a 95 % bootstrap interval over seeds of the paired difference (three
seeds make a wide one).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
import markdown_table
import numpy as np

from semrep_jax.evaluate.intervals import mean
from semrep_jax.report.labels import difference, label

SEMREP, FINETUNE = "semrep", "finetune"
RESAMPLES = 2000
Results = dict[str, Any]  # a run's results.json


class RunsError(Exception):
    """Runs that no table can be made of."""


def read(directories: list[Path]) -> list[Results]:
    """The results of runs that differ in seed. Raises RunsError."""
    paths = [directory / "results.json" for directory in directories]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise RunsError(f"{', '.join(missing)} do not exist; finish those runs first")
    runs = [_results(path) for path in paths]
    seeds = [run["seed"] for run in runs]
    if len(set(seeds)) < len(seeds):
        raise RunsError(f"the runs share a seed ({seeds}); give runs that differ in seed")
    return runs


def _results(path: Path) -> Results:
    """A run's results.json. Raises RunsError."""
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise RunsError(f"{path} is no JSON ({error}); finish that run again") from error
    missing = [key for key in ("seed", "arms", "rows") if not isinstance(found, dict) or key not in found]
    if missing:
        raise RunsError(f"{path} has no {', '.join(missing)}; it has to be of a job: compare or train")
    return found


def table(runs: list[Results]) -> list[list[str]]:
    """The rows, titles first."""
    arms = list(runs[0]["arms"])
    titles = ["metric", *(label(arm) for arm in arms)]
    if {SEMREP, FINETUNE} <= set(arms):
        titles.append(f"{difference(None)} over seeds")
    shown = runs[0]["rows"]
    return [titles, *(row(one["metric"], one["title"], arms, runs) for one in shown)]


def row(metric: str, title: str, arms: list[str], runs: list[Results]) -> list[str]:
    """The cells of one metric.

    metric: its key in results.json. title: how a table calls it. arms: in the order of the columns.
    """
    cells = [title]
    values = {arm: np.array([run["arms"][arm][metric]["value"] for run in runs]) for arm in arms}
    for of_arm in values.values():
        cells.append(f"{np.mean(of_arm):.3f} ({', '.join(f'{v:.2f}' for v in of_arm)})")
    if {SEMREP, FINETUNE} <= values.keys():
        cells.append(mean(values[SEMREP] - values[FINETUNE], RESAMPLES).signed)
    return cells


def main() -> int:
    """Read the runs and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="work directories of finished runs that differ in seed")
    try:
        print(markdown_table.table(table(read(parser.parse_args().runs))))
    except RunsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
