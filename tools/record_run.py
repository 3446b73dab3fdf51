"""A run made small enough to keep beside a notebook: what it found, without models and checkpoints.

    python tools/record_run.py runs/quickstart notebooks/results/quickstart --samples 2         # seconds

Copies config.yaml, results.json, the metrics and held-out curves of each arm, and the measurements of evaluation/; of
samples.jsonl the first rows of each step. `semrep_jax.load_run` and `report` read the copy as they read the run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)

from semrep_jax.report.reading import ReportError, Run, State, read

WHOLE = ("config.yaml", "results.json", "evaluation/*.json", "arms/*/metrics.jsonl", "arms/*/curve.jsonl")


def record(run: Run, to: Path, samples: int) -> None:
    """Copy a run.

    to: a directory that is not there yet. samples: rows of each step of samples.jsonl that are kept.
    """
    for pattern in WHOLE:
        for path in run.path.glob(pattern):
            target = to / path.relative_to(run.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text()
            target.write_text(_compact(text) if path.suffix == ".json" else text)
    for arm in run.metrics:
        kept: Counter[int] = Counter()
        lines = []
        for row in run.samples(arm):
            if kept[row["step"]] < samples:
                kept[row["step"]] += 1
                lines.append(json.dumps(row) + "\n")
        if lines:
            (to / "arms" / arm / "samples.jsonl").write_text("".join(lines))


def _compact(text: str) -> str:
    """The same JSON on one line."""
    return json.dumps(json.loads(text), separators=(",", ":")) + "\n"


def main() -> int:
    """Read, check and copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the work directory of a run that has ended")
    parser.add_argument("to", type=Path, help="a directory that is not there yet")
    parser.add_argument("--samples", type=int, default=0, metavar="N", help="rollouts kept of a step (default: none)")
    options = parser.parse_args()
    run = read(options.run)
    if run.state is not State.FINISHED:
        raise ReportError(f"{options.run} has not ended; finish it first, its command goes on from there")
    if options.to.exists():
        raise ReportError(f"{options.to} is there already; delete it, or name another directory")
    record(run, options.to, options.samples)
    size = sum(path.stat().st_size for path in options.to.rglob("*") if path.is_file())
    print(f"{options.to}: {size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
