"""How ten faster kernels follow from C_src, every step judged in emulation: what notebooks/rewrite_gallery.ipynb shows.

    pip install -e ".[nvrtc]"
    python tools/derive_kernels.py                                  # all ten, as a table
    python tools/derive_kernels.py softmax                          # one
    python tools/derive_kernels.py --out notebooks/results/derivations.json

About three seconds a program on 2 CPU cores, 39 programs. No GPU is needed and nothing is timed: registers, shared
memory and occupancy are the assembler's. Exits 1 where a step is not right.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)

from semrep_jax.core.programs import Status
from semrep_jax.core.progress import bar
from semrep_jax.cuda.judge import Judge
from semrep_jax.tasks.kernels.catalogue import find
from semrep_jax.tasks.kernels.derivations import DERIVATIONS, Derived, derive

TRIES = 3  # a program that a busy machine leaves unjudged is judged again


def judged(judge: Judge, name: str, step: Derived) -> dict[str, Any]:
    """A step with what the judge says of it, as JSON. name: of the operator."""
    task, tries = find(name), 1
    found = judge.examine(task, step.text)
    while not found.verdict.judged and tries < TRIES:
        found, tries = judge.examine(task, step.text), tries + 1
    verdict = found.verdict
    right = verdict.status == Status.OK and found.candidate is not None
    return {
        "how": step.how,
        "what": step.what,
        "program": step.text,
        "status": verdict.status,
        "passed": verdict.preserve.passed,
        "total": verdict.preserve.total,
        "feedback": verdict.feedback,
        "resources": judge.resources(task, found.candidate) if right and found.candidate is not None else [],
    }


def main() -> int:
    """Judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(DERIVATIONS)}; all by default")
    parser.add_argument("--out", type=Path, help="where to write programs and verdicts as JSON")
    chosen = parser.parse_args()
    steps = {name: derive(name) for name in chosen.names or DERIVATIONS}
    found: dict[str, list[dict[str, Any]]] = {}
    with Judge() as judge, bar("steps", sum(map(len, steps.values()))) as progress:
        for name, of_operator in steps.items():
            found[name] = []
            for step in of_operator:
                found[name].append(judged(judge, name, step))
                progress.advance(name)
    for name, rows in found.items():
        print(name)
        for row in rows:
            print(f"  {row['status']:>6}  {row['passed']} of {row['total']}  {row['how']}: {row['what']}")
            print(*[f"{'':22}{line}" for line in row["resources"] or [row["feedback"]]], sep="\n")
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        content = {"command": "python tools/derive_kernels.py --out FILE", "operators": found}
        chosen.out.write_text(json.dumps(content, indent=1) + "\n")
    return int(any(row["status"] != Status.OK for rows in found.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
