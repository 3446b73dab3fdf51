"""Kernel verdicts a second on a CPU: compiled only, and compiled, executed over three seeds and compared.

    pip install -e ".[nvrtc]"
    python tools/bench_kernels.py                   # about a minute on 2 cores; --rounds 1 for a shorter one

Each of the built-in tasks' C_src once, made new by a constant so that nothing comes from a cache. Prints compile_per_s
and verdicts_per_s, each beside its bar; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
from figures import Bar, report

from semrep_jax.cuda.candidate.candidate import parse
from semrep_jax.cuda.judge import Judge
from semrep_jax.cuda.spec import KernelTask
from semrep_jax.tasks.kernels.builtin import TASKS

BARS = {"compile_per_s": Bar(25), "verdicts_per_s": Bar(6)}
THREE_SHAPES = [replace(task, edge=()) for task in TASKS.values()]


def fresh(text: str, number: int) -> str:
    """The same program as a text that no cache knows."""
    return text.replace("```cuda\n", f"```cuda\n__device__ const int made_new = {number};\n", 1)


def one_round(judge: Judge, threads: ThreadPoolExecutor, number: int) -> tuple[float, float]:
    """Programs compiled a second, and judged."""
    pairs = [(task, fresh(task.source, number)) for task in THREE_SHAPES]

    def compiles(pair: tuple[KernelTask, str]) -> bool:
        task, text = pair
        return judge.compiler.compile(parse(text, task)).ok

    began = time.perf_counter()
    compiled = list(threads.map(compiles, pairs))
    compile_rate = len(pairs) / (time.perf_counter() - began)
    judge.compiler.cache.clear()
    began = time.perf_counter()
    verdicts = judge.judge_all(pairs)
    judge_rate = len(pairs) / (time.perf_counter() - began)
    if not all(compiled) or any(v.status != "ok" for v in verdicts):
        raise SystemExit("a C_src is not right: the figures would mean nothing")
    return compile_rate, judge_rate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="rounds over all tasks; the best counts")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with Judge(cores, schedules=()) as judge, ThreadPoolExecutor(cores) as threads:
        rates = [one_round(judge, threads, number) for number in range(options.rounds + 1)]
    compiled, judged = zip(*rates[1:], strict=True)  # the first round warms up
    figures = {"compile_per_s": max(compiled), "verdicts_per_s": max(judged)}
    report("kernels", f"cpu, {cores} cores", figures, BARS, ["cuda-core", "nvidia-cuda-nvrtc"])


if __name__ == "__main__":
    main()
