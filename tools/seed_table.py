"""Several runs of one comparison as one table: mean over seeds, and every seed's own number.

    for s in 0 1 2; do python -m semrep_jax.main --config configs/quickstart.yaml --set seed=$s --set work_dir=runs/seed$s; done
    python tools/seed_table.py runs/seed0 runs/seed1 runs/seed2

Prints Markdown. The interval is a 95 % bootstrap interval over seeds of the paired difference (three seeds make a wide one).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from semrep_jax.report.report import LABELS, TITLES

from semrep_jax.evaluate.intervals import mean


def row(name: str, runs: list[dict]) -> str:
    """One metric over the runs, as a Markdown row."""
    cells = []
    for arm in runs[0]["arms"]:
        values = [run["arms"][arm][name]["value"] for run in runs]
        cells.append(f"{np.mean(values):.3f} ({', '.join(f'{v:.2f}' for v in values)})")
    if {"semrep", "finetune"} <= runs[0]["arms"].keys():
        gaps = [run["arms"]["semrep"][name]["value"] - run["arms"]["finetune"][name]["value"] for run in runs]
        gap = mean(np.array(gaps), 2000)
        cells.append(f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]")
    metric, turns = name.split("/T")
    return f"| {TITLES[metric]}, T={turns} | {' | '.join(cells)} |"


def main() -> int:
    """Read the runs and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="work directories of finished runs that differ in seed")
    paths = [run / "results.json" for run in parser.parse_args().runs]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        print(f"error: {', '.join(missing)} do not exist; finish those runs first", file=sys.stderr)
        return 2
    runs = [json.loads(path.read_text()) for path in paths]
    seeds = [run["seed"] for run in runs]
    if len(set(seeds)) < len(seeds):
        print(f"error: the runs share a seed ({seeds}); give runs that differ in seed", file=sys.stderr)
        return 2
    arms = list(runs[0]["arms"])
    gap = " SemRep − fine-tuning over seeds |" if {"semrep", "finetune"} <= set(arms) else ""
    print(f"| metric | {' | '.join(LABELS.get(arm, arm) for arm in arms)} |{gap}")
    print("| --- |" + " --- |" * (len(arms) + bool(gap)))
    for name in [f"{q}/T{t}" for q in TITLES for t in (1, 2)]:
        if name in runs[0]["arms"][arms[0]]:
            print(row(name, runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
