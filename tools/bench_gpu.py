"""What only a GPU can say of kernels: does the emulator agree, does a kernel tie with itself, what is how fast.

    pip install -e ".[cuda13,nvrtc,dev]" && python tools/bench_gpu.py      # about 10 minutes; gpu_session.sh calls it
    python tools/bench_gpu.py --parts conformance aa                       # some of it

conformance  every fixture, C_src and faster kernel that is right in emulation, on the GPU
aa           C_src timed against itself: 1.00 +- 0.02 is the bar
exploits     tests/cuda/exploits/*.cu through the whole judge, each against the verdict it carries
rate         verdicts a second without timing
table        ms of C_src, of our faster kernel and of XLA for every built-in task; the share of the roofline

Prints each part as it goes, then the figures beside their bars; the last line is one JSON object, with what disagreed
and the table in "details". Without a GPU it ends with exit code 2 and the reason.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
from figures import Bar, report

from semrep_jax.core.programs import Status
from semrep_jax.cuda.candidate.candidate import from_file, parse
from semrep_jax.cuda.gpu.gpu import Gpu, GpuResult, NoGpu
from semrep_jax.cuda.judge import Judge
from semrep_jax.cuda.spec import KernelTask, sample_inputs
from semrep_jax.tasks.kernels import catalogue
from semrep_jax.tasks.kernels.builtin import TASKS

TESTS = Path(__file__).parent.parent / "tests" / "cuda"
AA = ("relu", "row_sum", "softmax", "transpose", "matmul", "max_pool_2d")
XLA_REPEATS = 10
BARS = {
    "aa_speedup_low": Bar(0.98),
    "aa_speedup_high": Bar(1.02, at_most=True),
    "gpu_verdicts_per_s": Bar(10),
}
FASTER = {name: text for name in TASKS if (text := catalogue.faster(name)) is not None}


class Fixture(NamedTuple):
    """A program, its task, and the verdict that it must get."""

    name: str
    task: KernelTask
    verdict: str
    text: str


@dataclass(frozen=True)
class Part:
    """What a part found: figures, and by name what does not fit into one."""

    figures: dict[str, float]
    details: dict[str, Any] = field(default_factory=dict)


def fixtures(folder: str) -> list[Fixture]:
    """Every fixture in a folder of tests."""
    found = []
    for path in sorted((TESTS / folder).glob("*.cu")):
        text = path.read_text()
        task, verdict = (re.search(rf"^// {key}: (.*)$", text, re.MULTILINE)[1] for key in ("task", "verdict"))
        found.append(Fixture(f"{folder}/{path.stem}", TASKS[task], verdict, from_file(text)))
    return found


def confirmed(gpu: Gpu, task: KernelTask, text: str, timed: bool = True) -> GpuResult:
    """What the GPU says of a completion."""
    return gpu.confirm(task, parse(text, task), timed)


def conformance(gpu: Gpu) -> Part:
    """What is right in emulation and not on the GPU, by name."""
    right = [one for one in fixtures("conformance") if one.verdict == Status.OK]
    right += [Fixture(f"C_src of {name}", task, Status.OK, task.source) for name, task in TASKS.items()]
    right += [Fixture(f"faster {name}", TASKS[name], Status.OK, text) for name, text in FASTER.items()]
    disagree = {}
    for one in right:
        result = confirmed(gpu, one.task, one.text, timed=False)
        if result.status != Status.OK:
            disagree[one.name] = f"{result.status}: {result.feedback}"
            print(f"  {one.name}: {disagree[one.name]}")
    print(f"conformance: {len(right) - len(disagree)} of {len(right)} agree")
    figures = {"conformance_agree": len(right) - len(disagree), "conformance_total": len(right)}
    return Part(figures, {"conformance_disagree": disagree})


def against_itself(gpu: Gpu) -> Part:
    """The lowest and highest speed-up of a kernel over itself."""
    speedups = []
    for name in AA:
        timing = confirmed(gpu, TASKS[name], TASKS[name].source).timing
        if timing is None:
            raise SystemExit(f"A/A: C_src of {name} is not right on this GPU")
        print(f"  A/A {name}: {timing.speedup:.4f} [{timing.low:.4f}, {timing.high:.4f}]")
        speedups.append(timing.speedup)
    return Part({"aa_speedup_low": min(speedups), "aa_speedup_high": max(speedups)})


def exploits(gpu: Gpu) -> Part:
    """Exploits whose verdict is not the one they carry; the worker must outlive them all."""
    every, other = fixtures("exploits"), {}
    with Judge(gpu=gpu) as judge:
        for one in every:
            verdict = judge.judge(one.task, one.text)
            if verdict.status != one.verdict:
                other[one.name] = f"{verdict.status}, not {one.verdict}: {verdict.feedback}"
                print(f"  {one.name}: {other[one.name]}")
        judge.gpu = None  # it is closed by who opened it
    print(f"exploits: {len(every) - len(other)} of {len(every)} as they should be")
    return Part({"exploits_right": len(every) - len(other), "exploits_total": len(every)}, {"exploits_other": other})


def rate(gpu: Gpu) -> Part:
    """Verdicts a second: compiled, run over shapes and seeds, compared; not timed."""
    began, right = time.perf_counter(), 0
    for task in TASKS.values():
        text = task.source.replace("```cuda\n", "```cuda\n__device__ const int made_new = 1;\n", 1)
        right += confirmed(gpu, task, text, timed=False).status == Status.OK
    return Part({"gpu_verdicts_per_s": right / (time.perf_counter() - began)})


def table(gpu: Gpu) -> Part:
    """Times of every task in ms: C_src, ours, XLA (float32, highest precision)."""
    rows: dict[str, Any] = {}
    print(f"{'task':28s} {'C_src ms':>10s} {'ours ms':>10s} {'XLA ms':>10s} {'ours times C_src':>17s} {'roofline':>9s}")
    for name, task in TASKS.items():
        result = confirmed(gpu, task, FASTER.get(name, task.source))
        rows[name] = {"status": str(result.status), "xla_ms": xla(task)}
        timing = result.timing
        if timing is None:
            print(f"{name:28s} {result.status}: {result.feedback}")
            continue
        rows[name] |= {"faster": name in FASTER} | timing.to_json()
        times = f"{timing.reference_ms:10.4f} {timing.candidate_ms:10.4f} {rows[name]['xla_ms']:10.4f}"
        share = "" if timing.roofline is None else f"{timing.roofline:9.0%}"
        print(f"{name:28s} {times} {timing.speedup:17.2f} {share}")
    return Part({}, {"table": rows})


def xla(task: KernelTask) -> float:
    """Milliseconds of the reference compiled by XLA at the benchmark's shape, launch included: a median."""
    import jax
    import jax.numpy as jnp

    arrays = {n: jax.device_put(x) for n, x in sample_inputs(task, task.bench[0], 0).items()}
    with jax.default_matmul_precision("highest"):
        run = jax.jit(lambda given: task.reference(jnp, **given))
        jax.block_until_ready(run(arrays))
        times = []
        for _ in range(XLA_REPEATS):
            began = time.perf_counter()
            jax.block_until_ready(run(arrays))
            times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


PARTS: dict[str, Callable[[Gpu], Part]] = {
    "conformance": conformance,
    "aa": against_itself,
    "exploits": exploits,
    "rate": rate,
    "table": table,
}


def main() -> None:
    """Run the parts and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="which parts to run")
    parser.add_argument("--seconds", type=float, default=0.3, help="time for the reference's runs of each timing")
    options = parser.parse_args()
    try:
        gpu = Gpu(seconds=options.seconds)
    except NoGpu as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    with gpu:
        parts = [PARTS[name](gpu) for name in options.parts]
    figures = {name: value for part in parts for name, value in part.figures.items()}
    details = {name: value for part in parts for name, value in part.details.items()}
    report("gpu", gpu.name, figures, BARS, ["jax", "cuda-core", "nvidia-cuda-nvrtc"], details=details)


if __name__ == "__main__":
    main()
