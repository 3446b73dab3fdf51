"""What only a GPU can say of the kernels' judge: does the emulator agree, does a kernel tie with itself, what is how fast.

    pip install -e ".[cuda13,nvrtc,dev]" && python tools/bench_gpu.py          # about 10 minutes; tools/gpu_session.sh calls it
    python tools/bench_gpu.py --parts conformance aa                           # some of it

conformance  every fixture, C_src and faster kernel that is right in emulation, on the GPU
aa           C_src timed against itself: 1.00 +- 0.02 is the bar
exploits     tests/cuda/exploits/*.cu through the whole judge, each against the verdict it carries
rate         verdicts a second without timing
table        ms of C_src, of our faster kernel and of XLA for every built-in task, and the share of the roofline

The last line is one JSON object. Without a GPU it ends with exit code 2 and the reason.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from semrep_jax.core.programs import Status
from semrep_jax.cuda.candidate.candidate import from_file, parse
from semrep_jax.cuda.gpu.gpu import Gpu, NoGpu
from semrep_jax.cuda.judge import Judge
from semrep_jax.cuda.spec import KernelTask, sample_inputs
from semrep_jax.tasks.kernels import catalogue
from semrep_jax.tasks.kernels.builtin import TASKS

TESTS = Path(__file__).parent.parent / "tests" / "cuda"
PARTS = ("conformance", "aa", "exploits", "rate", "table")
AA = ("relu", "row_sum", "softmax", "transpose", "matmul", "max_pool_2d")


def fixtures(folder: str) -> list[tuple[str, KernelTask, str, str]]:
    """(name, task, the verdict it carries, completion) of every fixture in a folder of tests."""
    found = []
    for path in sorted((TESTS / folder).glob("*.cu")):
        text = path.read_text()
        task, wanted = (re.search(rf"^// {key}: (.*)$", text, re.MULTILINE)[1] for key in ("task", "verdict"))
        found.append((f"{folder}/{path.stem}", TASKS[task], wanted, from_file(text)))
    return found


def conformance(gpu: Gpu) -> dict[str, Any]:
    """What is right in emulation and not on the GPU, by name."""
    right = [(name, task, text) for name, task, wanted, text in fixtures("conformance") if wanted == "ok"]
    right += [(f"C_src of {n}", t, t.source) for n, t in TASKS.items()]
    right += [(f"faster {n}", t, text) for n, t in TASKS.items() if (text := catalogue.faster(n)) is not None]
    disagree = {}
    for name, task, text in right:
        said = gpu.confirm(task, parse(text, task), timed=False)
        if said.status is not Status.OK:
            disagree[name] = f"{said.status}: {said.feedback}"
            print(f"  {name}: {disagree[name]}")
    print(f"conformance: {len(right) - len(disagree)} of {len(right)} agree")
    return {
        "conformance_agree": len(right) - len(disagree),
        "conformance_total": len(right),
        "conformance_disagree": disagree,
    }


def aa(gpu: Gpu) -> dict[str, Any]:
    """The lowest and highest speed-up of a kernel over itself."""
    found = []
    for name in AA:
        timing = gpu.confirm(TASKS[name], parse(TASKS[name].source, TASKS[name])).timing
        if timing is None:
            raise SystemExit(f"A/A: C_src of {name} is not right on this GPU")
        print(f"  A/A {name}: {timing.speedup:.4f} [{timing.low:.4f}, {timing.high:.4f}]")
        found.append(timing.speedup)
    low, high = min(found), max(found)
    print(f"A/A: {low:.3f} to {high:.3f}, bar 1 +- 0.02: {'met' if low >= 0.98 and high <= 1.02 else 'MISSED'}")
    return {"aa_speedup_low": low, "aa_speedup_high": high}


def exploits(gpu: Gpu) -> dict[str, Any]:
    """Exploits whose verdict is not the one they carry; the worker must outlive them all."""
    other = {}
    with Judge(gpu=gpu) as judge:
        for name, task, wanted, text in fixtures("exploits"):
            verdict = judge.judge(task, text)
            if verdict.status != wanted:
                other[name] = f"{verdict.status}, not {wanted}: {verdict.feedback}"
                print(f"  {name}: {other[name]}")
        judge.gpu = None  # it is closed by who opened it
    print(f"exploits: {len(fixtures('exploits')) - len(other)} of {len(fixtures('exploits'))} as they should be")
    return {"exploits_other": other, "exploits_total": len(fixtures("exploits"))}


def rate(gpu: Gpu) -> dict[str, Any]:
    """Verdicts a second: compiled, run over shapes and seeds, compared; not timed."""
    began, count = time.perf_counter(), 0
    for task in TASKS.values():
        text = task.source.replace("```cuda\n", "```cuda\n__device__ const int made_new = 1;\n", 1)
        count += gpu.confirm(task, parse(text, task), timed=False).status is Status.OK
    figure = count / (time.perf_counter() - began)
    print(f"rate: {figure:.1f} verdicts/s, bar 10: {'met' if figure >= 10 else 'MISSED'}")
    return {"gpu_verdicts_per_s": figure}


def table(gpu: Gpu) -> dict[str, Any]:
    """Times of every task in ms: C_src, ours, XLA (float32, highest precision)."""
    rows: dict[str, Any] = {}
    print(f"{'task':28s} {'C_src ms':>10s} {'ours ms':>10s} {'XLA ms':>10s} {'ours times C_src':>17s} {'roofline':>9s}")
    for name, task in TASKS.items():
        text = catalogue.faster(name) or task.source
        said = gpu.confirm(task, parse(text, task))
        row: dict[str, Any] = {"status": said.status.value, "xla_ms": xla(task)}
        if said.timing is not None:
            row |= {"faster": catalogue.faster(name) is not None} | said.timing.to_json()
            share = "" if said.timing.roofline is None else f"{said.timing.roofline:9.0%}"
            ours = said.timing
            print(
                f"{name:28s} {ours.reference_ms:10.4f} {ours.candidate_ms:10.4f} {row['xla_ms']:10.4f} {ours.speedup:17.2f} {share}"
            )
        else:
            print(f"{name:28s} {said.status}: {said.feedback}")
        rows[name] = row
    return {"table": rows}


def xla(task: KernelTask, repeats: int = 10) -> float:
    """Milliseconds of the reference compiled by XLA at the benchmark's shape, launch included: the median of `repeats`."""
    import jax
    import jax.numpy as jnp

    arrays = {n: jax.device_put(x) for n, x in sample_inputs(task, task.bench[0], 0).items()}
    with jax.default_matmul_precision("highest"):
        run = jax.jit(lambda given: task.reference(jnp, **given))
        jax.block_until_ready(run(arrays))
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            jax.block_until_ready(run(arrays))
            times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


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
    figures: dict[str, Any] = {}
    with gpu:
        for part in options.parts:
            figures |= {"conformance": conformance, "aa": aa, "exploits": exploits, "rate": rate, "table": table}[part](
                gpu
            )
    names = ("semrep-jax", "jax", "cuda-core", "nvidia-cuda-nvrtc")
    versions = {"python": platform.python_version()} | {n: version(n) for n in names}
    print(json.dumps({"bench": "gpu", "device": gpu.name, "versions": versions, "figures": figures}))


if __name__ == "__main__":
    main()
