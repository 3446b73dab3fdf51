"""What stage 1 moved: how often its rewrites of plain and of perturbed programs are accepted, over its steps.

    python tools/stage_one.py runs/replicate_nano_three_arms/cells/semrep-*          # a minute

Reads arms/*/samples.jsonl of runs and prints Markdown, a row for each form of C_src and third of stage 1: rewrites
sampled; accepted, which is equivalent on U_sem and no copy; of those accepted, how much of C_src's text they keep
(difflib's ratio), and where C_src has constants written as sums or comparisons turned round, how many have fewer. Of
the wrong ones, where the run has an accepted rewrite of the same C_src to hold them against, how many are one but for
their numbers.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
import markdown_table
import numpy as np

from semrep_jax.core.programs import Duplicate, Status
from semrep_jax.python.canonical import canonical
from semrep_jax.tasks.suite import base_of

TITLES = ("C_src", "third of stage 1", "sampled", "accepted", "text kept", "familiar again", "wrong by numbers alone")
Sample = dict[str, Any]  # a line of samples.jsonl


class SamplesError(Exception):
    """Runs without samples of stage 1."""


def read(runs: Iterable[Path]) -> Iterator[list[Sample]]:
    """Each arm's samples of stage 1. Raises SamplesError."""
    for run in runs:
        stage = [_of_stage_one(file) for file in sorted(run.glob("arms/*/samples.jsonl"))]
        if not any(stage):
            raise SamplesError(f"{run} holds no samples of stage 1 (arms/*/samples.jsonl); name runs of the arm semrep")
        yield from (of_arm for of_arm in stage if of_arm)


def _of_stage_one(file: Path) -> list[Sample]:
    """The samples of a file that are of stage 1. Raises SamplesError."""
    found = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        try:
            row = json.loads(line)
            if row["c_rep"] is None and not row["instruction"]:
                found.append(row)
        except (ValueError, KeyError, TypeError) as error:
            raise SamplesError(
                f"{file}, line {number} is no sample ({error}); go on with that run, or name another"
            ) from error
    return found


def thirds(samples: list[Sample]) -> Iterator[tuple[str, int, Sample]]:
    """Each sample with its form and its third."""
    last = max(row["step"] for row in samples) + 1
    for row in samples:
        form = "perturbed" if base_of(row["task"]) != row["task"] else "plain"
        yield form, row["step"] * 3 // last, row


def odd_places(source: str) -> int:
    """How many constants are written as sums, and comparisons begin with a constant; 0 for what is no Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except (SyntaxError, ValueError, RecursionError):
            return 0
    sums = [n for n in nodes if isinstance(n, ast.BinOp) and _constants(n.left, n.right)]
    turned = [n for n in nodes if isinstance(n, ast.Compare) and _constants(n.left)]
    return len(sums) + len(turned)


def _constants(*nodes: ast.expr) -> bool:
    return all(isinstance(node, ast.Constant) for node in nodes)


def but_for_numbers(source: str) -> str | None:
    """A program in canonical form, whatever its numbers are; None for what is no Python."""
    form = canonical(source)
    return None if form is None else re.sub(r"-? ?\b\d[\w.]*", "#", form)


def is_accepted(sample: Sample) -> bool:
    """Whether a rewrite is equivalent on U_sem and no copy."""
    return sample["status"] == Status.OK and sample["duplicate"] == Duplicate.NONE


def table(runs: Iterable[Path]) -> list[list[str]]:
    """The rows, titles first."""
    groups: dict[tuple[str, int], list[Sample]] = {}
    accepted_forms: dict[str, set[str | None]] = {}  # of each C_src
    for samples in read(runs):
        for form, third, row in thirds(samples):
            groups.setdefault((form, third), []).append(row)
            if is_accepted(row):
                accepted_forms.setdefault(row["source"], set()).add(but_for_numbers(row["completion"]))
    rows = [list(TITLES)]
    for (form, third), samples in sorted(groups.items()):
        good = [row for row in samples if is_accepted(row)]
        kept = [difflib.SequenceMatcher(None, r["source"], r["completion"], autojunk=False).ratio() for r in good]
        odd = [row for row in good if odd_places(row["source"])]
        fewer = [odd_places(row["completion"]) < odd_places(row["source"]) for row in odd]
        wrong = [row for row in samples if row["status"] == Status.WRONG and row["source"] in accepted_forms]
        by_numbers = [but_for_numbers(row["completion"]) in accepted_forms[row["source"]] for row in wrong]
        counts = [f"{third + 1}", f"{len(samples):,}", f"{len(good) / len(samples):.3f}"]
        rows.append([form, *counts, f"{np.mean(kept):.2f}" if kept else "", share_of(fewer), share_of(by_numbers)])
    return rows


def share_of(truths: list[bool]) -> str:
    """How many hold, and of how many."""
    return f"{np.mean(truths):.3f} of {len(truths):,}" if truths else ""


def main() -> int:
    """Read the runs and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="work directories, or cells of a sweep")
    try:
        print(markdown_table.table(table(parser.parse_args().runs)))
    except SamplesError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
