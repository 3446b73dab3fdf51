"""What only a GPU can say of kernels: does the emulator agree, does a kernel tie with itself, what is how fast.

    pip install -e ".[cuda13,nvrtc,dev]" && python tools/bench_gpu.py      # about 10 minutes; gpu_session.sh calls it
    python tools/bench_gpu.py --parts conformance aa                       # some of it
    python tools/bench_gpu.py --out DIRECTORY --seconds-a-part 540         # resumed by the same command

conformance  every fixture, C_src and faster kernel that is right in emulation, on the GPU
aa           C_src timed against itself: 1.00 +- 0.02 is the bar
exploits     tests/cuda/exploits/*.cu through the whole judge, each against the verdict it carries
rate         verdicts a second without timing
table        ms of C_src, of our faster kernel and of XLA for every built-in task; the share of the roofline

Prints each part as it goes, then the figures beside their bars; the last line is one JSON object, with what disagreed
and the table in "details". With --out each item of each part is kept in DIRECTORY/PART.json as soon as it is known: the
same command goes on from there. A part that reaches its limit of seconds stops, and says how many items are left, those
among them that were not judged; then the exit code is 1. Without a GPU it is 2, and the reason is printed.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable
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


class Unjudged(Exception):
    """Why nothing was found out about an item, which is not its own fault."""


class Ledger:
    """What is known of the items of a part, by their names: kept in a file, if there is one, and bounded in time.

    An item that was not judged is not known: it is left, and tried again by the next session.
    """

    def __init__(self, path: Path | None, seconds: float):
        self.path, self.seconds = path, seconds
        self.known: dict[str, Any] = json.loads(path.read_text()) if path is not None and path.exists() else {}
        self.left = 0

    def each(self, names: Iterable[str], find: Callable[[str], Any]) -> dict[str, Any]:
        """What `find` says of every name that time allows, in their order. It raises Unjudged where it can't say."""
        names = list(names)
        until = time.monotonic() + self.seconds
        for name in names:
            if name in self.known:
                continue
            if time.monotonic() > until:
                break
            try:
                self.known[name] = find(name)
            except Unjudged as why:
                print(f"  {name} was not judged: {why}")
                continue
            if self.path is not None:
                fresh = self.path.with_suffix(".new")
                fresh.write_text(json.dumps(self.known, indent=1) + "\n")
                fresh.replace(self.path)
        found = {name: self.known[name] for name in names if name in self.known}
        self.left = len(names) - len(found)
        return found


def fixtures(folder: str) -> list[Fixture]:
    """Every fixture in a folder of tests."""
    found = []
    for path in sorted((TESTS / folder).glob("*.cu")):
        text = path.read_text()
        task, verdict = (re.search(rf"^// {key}: (.*)$", text, re.MULTILINE)[1] for key in ("task", "verdict"))
        found.append(Fixture(f"{folder}/{path.stem}", TASKS[task], verdict, from_file(text)))
    return found


def confirmed(gpu: Gpu, task: KernelTask, text: str, timed: bool = True) -> GpuResult:
    """What the GPU says of a completion. Raises Unjudged."""
    result = gpu.confirm(task, parse(text, task), timed)
    if result.status == Status.UNJUDGED:
        raise Unjudged(result.feedback)
    return result


def conformance(gpu: Gpu, ledger: Ledger) -> Part:
    """What is right in emulation and not on the GPU, by name."""
    right = [one for one in fixtures("conformance") if one.verdict == Status.OK]
    right += [Fixture(f"C_src of {name}", task, Status.OK, task.source) for name, task in TASKS.items()]
    right += [Fixture(f"faster {name}", TASKS[name], Status.OK, text) for name, text in FASTER.items()]
    by_name = {one.name: one for one in right}

    def find(name: str) -> str:
        result = confirmed(gpu, by_name[name].task, by_name[name].text, timed=False)
        if result.status != Status.OK:
            print(f"  {name}: {result.status}: {result.feedback}")
        return Status.OK if result.status == Status.OK else f"{result.status}: {result.feedback}"

    found = ledger.each(by_name, find)
    disagree = {name: said for name, said in found.items() if said != Status.OK}
    print(f"conformance: {len(found) - len(disagree)} of {len(found)} agree")
    figures = {"conformance_agree": len(found) - len(disagree), "conformance_total": len(found)}
    return Part(figures, {"conformance_disagree": disagree})


def against_itself(gpu: Gpu, ledger: Ledger) -> Part:
    """The lowest and highest speed-up of a kernel over itself."""

    def find(name: str) -> list[float] | str:
        result = confirmed(gpu, TASKS[name], TASKS[name].source)
        if result.timing is None:
            return f"{result.status}: {result.feedback}"
        return [result.timing.speedup, result.timing.low, result.timing.high]

    found = ledger.each(AA, find)
    for name, said in found.items():
        print(f"  A/A {name}: {said}")
    speedups = [said[0] for said in found.values() if not isinstance(said, str)]
    figures = {"aa_speedup_low": min(speedups), "aa_speedup_high": max(speedups)} if speedups else {}
    return Part(figures, {"aa": found})


def exploits(gpu: Gpu, ledger: Ledger) -> Part:
    """Exploits whose verdict is not the one they carry; the worker must outlive them all."""
    every = {one.name: one for one in fixtures("exploits")}
    with Judge(gpu=gpu) as judge:

        def find(name: str) -> str:
            verdict = judge.judge(every[name].task, every[name].text)
            if not verdict.judged:
                raise Unjudged(verdict.feedback)
            wanted = every[name].verdict
            return Status.OK if verdict.status == wanted else f"{verdict.status}, not {wanted}: {verdict.feedback}"

        found = ledger.each(every, find)
        judge.gpu = None  # it is closed by who opened it
    other = {name: said for name, said in found.items() if said != Status.OK}
    for name, said in other.items():
        print(f"  {name}: {said}")
    print(f"exploits: {len(found) - len(other)} of {len(found)} as they should be")
    return Part({"exploits_right": len(found) - len(other), "exploits_total": len(found)}, {"exploits_other": other})


def rate(gpu: Gpu, ledger: Ledger) -> Part:
    """Verdicts a second: compiled, run over shapes and seeds, compared; not timed."""

    def find(_: str) -> float:
        began, right = time.perf_counter(), 0
        for task in TASKS.values():
            text = task.source.replace("```cuda\n", "```cuda\n__device__ const int made_new = 1;\n", 1)
            right += confirmed(gpu, task, text, timed=False).status == Status.OK
        return right / (time.perf_counter() - began)

    return Part({f"gpu_{name}": value for name, value in ledger.each(["verdicts_per_s"], find).items()})


def table(gpu: Gpu, ledger: Ledger) -> Part:
    """Times of every task in ms: C_src, ours (by launches, and as one CUDA graph), XLA (float32, highest precision)."""
    heads = f"{'C_src ms':>10s} {'ours ms':>10s} {'graph ms':>10s} {'XLA ms':>10s}"
    print(f"{'task':28s} {heads} {'ours times C_src':>17s} {'roofline':>9s}")

    def find(name: str) -> dict[str, Any]:
        task = TASKS[name]
        result = confirmed(gpu, task, FASTER.get(name, task.source))
        row: dict[str, Any] = {"status": str(result.status), "xla_ms": xla(task)}
        timing = result.timing
        if timing is None:
            print(f"{name:28s} {result.status}: {result.feedback}")
            return row | {"feedback": result.feedback}
        graph = "" if timing.graph_ms is None else f"{timing.graph_ms:.4f}"
        times = f"{timing.reference_ms:10.4f} {timing.candidate_ms:10.4f} {graph:>10s} {row['xla_ms']:10.4f}"
        share = "" if timing.roofline is None else f"{timing.roofline:9.0%}"
        print(f"{name:28s} {times} {timing.speedup:17.2f} {share}")
        return row | {"faster": name in FASTER} | timing.to_json()

    ours_first = sorted(TASKS, key=lambda name: name not in FASTER)
    return Part({}, {"table": ledger.each(ours_first, find)})


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


PARTS: dict[str, Callable[[Gpu, Ledger], Part]] = {
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
    parser.add_argument("--out", type=Path, help="where each part's items are kept, and taken from when resumed")
    parser.add_argument("--seconds-a-part", type=float, default=540.0, help="after which a part stops")
    options = parser.parse_args()
    try:
        gpu = Gpu(seconds=options.seconds)
    except NoGpu as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    paths = {name: options.out and options.out / f"{name}.json" for name in options.parts}
    ledgers = {name: Ledger(path, options.seconds_a_part) for name, path in paths.items()}
    with gpu:
        parts = [PARTS[name](gpu, ledgers[name]) for name in options.parts]
    figures = {name: value for part in parts for name, value in part.figures.items()}
    details = {name: value for part in parts for name, value in part.details.items()}
    left = {name: ledger.left for name, ledger in ledgers.items() if ledger.left}
    details |= {"machine": gpu.device, "left": left}
    report("gpu", gpu.name, figures, BARS, ["jax", "cupy-cuda13x", "cuda-core", "nvidia-cuda-nvrtc"], details=details)
    raise SystemExit(1 if left else 0)


if __name__ == "__main__":
    main()
