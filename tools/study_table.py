"""A study's results as Markdown: its verdict, what it compares, what it cost.

    python tools/study_table.py notebooks/results/replicate_nano.json            # seconds
    python tools/study_table.py runs/replicate_nano/results.json

Prints what stands in semrep_jax/evaluate/README.md between two comments; a test compares the two.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)

from semrep_jax.report.labels import label

Results = dict[str, Any]  # a sweep's results.json


class StudyError(Exception):
    """A file that holds no study."""


def read(path: Path) -> Results:
    """The results of a study. Raises StudyError."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StudyError(f"{path} can't be read ({error}); name the results.json of a job: sweep") from error
    missing = [
        key
        for key in ("verdict", "tables", "arms", "design", "seeds", "rows")
        if not isinstance(found, dict) or key not in found
    ]
    if missing:
        raise StudyError(f"{path} has no {', '.join(missing)}; it has to be of a job: sweep")
    return dict(found)


def markdown(study: Results) -> str:
    """All of it."""
    design = study["design"]
    told = [
        f"{len(study['seeds'])} seeds, B = {design['budget']}, {design['tasks']} tasks x {design['samples']} samples. "
        f"Written down before anything was run: the primary contrast, and that the design detects a difference of "
        f"{design['detectable']:.3f} with {design['power']:.0%} power.",
        f"**{study['verdict']}**",
    ]
    blocks = [
        *told,
        *unfinished(study),
        table(success(study)),
        "<details><summary>All contrasts, and what it cost</summary>",
    ]
    for one in study["tables"]:
        blocks += [f"*{one['title']}*", table([one["columns"], *one["rows"]])]
    return "\n\n".join([*blocks, "</details>"])


def unfinished(study: Results) -> list[str]:
    """What is missing, in words."""
    return [str(line) for line in study.get("unfinished", [])]


def success(study: Results) -> list[list[str]]:
    """Rows of the share that is right, a column an arm, with 95 % intervals over seeds and tasks."""
    arms = study["arms"]
    rows = [["right", *(label(arm) for arm in arms)]]
    for one in study["rows"]:
        cells = [of_arm.get(one["metric"]) for of_arm in arms.values()]
        rows.append(
            [one["title"], *("" if c is None else f"{c['value']:.3f} [{c['low']:.3f}, {c['high']:.3f}]" for c in cells)]
        )
    return rows


def table(rows: Sequence[Iterable[Any]]) -> str:
    """Rows, the first of them the titles, as Markdown."""
    titles, *rest = [[str(cell) for cell in row] for row in rows]
    lines = [titles, ["---"] * len(titles), *rest]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> int:
    """Read the file and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="results.json of a study")
    try:
        print(markdown(read(parser.parse_args().results)))
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
