"""Kernel verdicts a second on a CPU: compiled only, and compiled, executed over three seeds and compared.

    pip install -e ".[nvrtc]"
    python tools/bench_kernels.py

Each of the built-in tasks' C_src once, made new by a constant so that nothing comes from a cache; about a minute. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version

from semrep_jax.cuda.candidate.candidate import parse
from semrep_jax.cuda.judge import Judge
from semrep_jax.tasks.kernels.builtin import TASKS

BARS = {"compile_per_s": 25, "verdicts_per_s": 6}


def fresh(text: str, round_: int) -> str:
    """The same program as a text that no cache knows."""
    return text.replace("```cuda\n", f"```cuda\n__device__ const int made_new = {round_};\n", 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="rounds over all tasks; the best counts")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    three = [replace(t, edge=()) for t in TASKS.values()]
    compiled, judged = [], []
    with Judge(cores, schedules=()) as judge, ThreadPoolExecutor(cores) as threads:
        for round_ in range(options.rounds + 1):
            texts = [(t, fresh(t.source, round_)) for t in three]
            began = time.perf_counter()
            results = list(threads.map(lambda pair: judge.compiler.compile(parse(pair[1], pair[0])), texts))
            compiled.append(len(texts) / (time.perf_counter() - began))
            judge.compiler.kept.clear()
            began = time.perf_counter()
            verdicts = judge.judge_all(texts)
            judged.append(len(texts) / (time.perf_counter() - began))
            if not all(r.ok for r in results) or any(v.status != "ok" for v in verdicts):
                raise SystemExit("a C_src is not right: the figures would mean nothing")
    figures = {"compile_per_s": max(compiled[1:]), "verdicts_per_s": max(judged[1:])}  # the first round warms up
    for name, value in figures.items():
        print(f"{name:20s} {value:8.1f}   bar {BARS[name]}: {'met' if value >= BARS[name] else 'MISSED'}")
    versions = {"python": platform.python_version()} | {
        n: version(n) for n in ("semrep-jax", "cuda-core", "nvidia-cuda-nvrtc")
    }
    rounded = {k: round(v, 2) for k, v in figures.items()}
    print(json.dumps({"bench": "kernels", "device": f"cpu, {cores} cores", "versions": versions, "figures": rounded}))


if __name__ == "__main__":
    main()
