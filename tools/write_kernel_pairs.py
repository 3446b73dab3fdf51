"""Verified pairs of CUDA kernels as a data set for the warm start: chains rewritten by rules, right in emulation.

    pip install -e ".[nvrtc]"
    python tools/write_kernel_pairs.py runs/kernel_pairs --tasks 300
    python -m semrep_jax.main --config configs/pretrain_kernels.yaml        # trains the nano base on them

About two seconds a task on 2 CPU cores. A run that was killed begins again, and one that has ended is not run again.
The same seed gives the same pairs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)

from semrep_jax.core.progress import bar
from semrep_jax.core.shards import MANIFEST, Writer
from semrep_jax.cuda.rewrites.pairs import pairs
from semrep_jax.languages import Resources
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.tasks.kernels import catalogue


def stands(directory: Path, about: dict[str, int]) -> bool:
    """Whether the data set is there already. Ends the script where something else is."""
    manifest = directory / MANIFEST
    if manifest.exists() and json.loads(manifest.read_text())["about"] == about:
        return True
    other = [] if not directory.exists() else [p.name for p in directory.iterdir() if not p.name.endswith(".tmp")]
    if other:
        raise SystemExit(f"error: {directory} holds something else ({min(other)}); name a new directory")
    return False


def main() -> None:
    """Write the data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where the shards go; new, or of a killed run")
    parser.add_argument("--tasks", type=int, default=64, help="chains of the training split (default 64)")
    parser.add_argument("--pairs", type=int, default=4, help="most pairs of each (default 4)")
    parser.add_argument("--seed", type=int, default=0, help="of the chains and of the rules drawn (default 0)")
    chosen = parser.parse_args()
    about = {"tasks": chosen.tasks, "pairs": chosen.pairs, "seed": chosen.seed}
    if stands(chosen.directory, about):
        print(f"these pairs are there already: {chosen.directory}")
        return
    with (
        Sandbox(2) as sandbox,
        Writer(chosen.directory, "kernel pairs") as writer,
        bar("kernels", chosen.tasks) as progress,
    ):
        written = 0
        for task in catalogue.training(chosen.tasks, chosen.seed):
            for record in pairs([task], Random(f"{chosen.seed}:{task.id}"), Resources(sandbox), chosen.pairs):
                writer.write(record)
                written += 1
            progress.advance(f"{written} pairs")
        writer.finish(about)
    print(f"{written} verified pairs of {chosen.tasks} kernels: {chosen.directory}")


if __name__ == "__main__":
    main()
