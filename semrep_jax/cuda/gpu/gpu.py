"""Candidates on a GPU: run over seeds and shapes against the oracle, then timed beside C_src, in a worker that can be killed.

    with Gpu() as gpu:                                     # NoGpu, with the reason, where there is none
        confirmed = gpu.confirm(task, candidate)           # status, feedback, timing

A hang, an illegal access or an assert ends the worker and costs that candidate only. The worker has no expected output: it hands back
what the kernels wrote, and this process compares. Needs the extra cuda12 or cuda13 (CuPy) and `nvrtc`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Status
from semrep_jax.cuda.candidate.candidate import Candidate, parse
from semrep_jax.cuda.candidate.expressions import ExpressionError, evaluate
from semrep_jax.cuda.gate import difference
from semrep_jax.cuda.gpu import timing
from semrep_jax.cuda.gpu.nvrtc import Compiled, Compiler
from semrep_jax.cuda.gpu.timing import Timing
from semrep_jax.cuda.numerics import EPS, FACTOR
from semrep_jax.cuda.spec import DTYPES, Axes, KernelTask, sample_inputs
from semrep_jax.cuda.status import KernelStatus
from semrep_jax.sandbox.json_worker import JsonWorker

RUN_SECONDS, TIME_SECONDS, RECYCLE, SEEDS, KEPT = 20.0, 90.0, 64, 5, 4
FEWEST, MOST, KEPT_CUBINS = 10, 100, 8


class NoGpu(SemRepError):
    """No GPU can be used here, and why."""


@dataclass(frozen=True)
class GpuResult:
    """What a GPU says of a candidate: executions right of `total`, and for a right one its timing. `facts` has one entry a launch."""

    status: str
    feedback: str
    passed: int
    total: int
    timing: Timing | None = None
    facts: tuple[dict[str, Any], ...] = ()


class Gpu:
    """One GPU and its worker, one candidate at a time, `seconds` of the reference's time each. Safe to call from several threads.

    Raises NoGpu.
    """

    def __init__(self, seed: int = 0, seconds: float = 3.0):
        self.seed, self.seconds, self.lock, self.used = seed, seconds, Lock(), 0
        shared = Path("/dev/shm")
        self.directory = Path(tempfile.mkdtemp(prefix="semrep-gpu-", dir=shared if shared.is_dir() else None))
        self.worker: JsonWorker | None = None
        self.cubins: list[Path] = []  # the least recently used first
        try:
            about = self._start()
        except NoGpu:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise
        self.name, self.arch = str(about["name"]), str(about["arch"])
        self.compiler = Compiler(1, self.arch)
        self.inputs: dict[str, tuple[Path, list[dict[str, Any]]]] = {}

    def __enter__(self) -> Gpu:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker and the compiler, and remove what was shared."""
        if self.worker is not None:
            self.worker.close()
        self.compiler.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> dict[str, Any]:
        """A fresh worker; what its device is."""
        caches = {"CUPY_CACHE_DIR": str(self.directory / "cupy"), "CUDA_MODULE_LOADING": "EAGER"}
        self.worker, self.used = JsonWorker(Path(__file__).with_name("gpu_worker.py"), os.environ | caches), 0
        about = self.worker.ready
        if about is None or "none" in about:
            why = self.worker.tail if about is None else about["none"]
            self.worker.close()
            self.worker = None
            raise NoGpu(
                f"no GPU can be used here ({why}); kernels are run on the CPU by `judge`, or install the extra cuda13 or cuda12"
            )
        return about

    def _ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The worker's answer; {"died": why} where it ended or hung, and it is replaced."""
        if self.worker is None or self.used >= RECYCLE:
            if self.worker is not None:
                self.worker.close()
            self._start()
        assert self.worker is not None
        self.used += 1
        if len(self.cubins) > KEPT_CUBINS:  # in shared memory, that is RAM
            self.cubins.pop(0).unlink(missing_ok=True)
        answer = self.worker.ask(request, seconds)
        if answer is None or "died" in answer:
            self.worker.close()
            self.worker = None  # the next candidate starts a new one
        return answer or {"died": f"it takes longer than {seconds:g} s"}

    def confirm(self, task: KernelTask, candidate: Candidate, timed: bool = True) -> GpuResult:
        """Run over shapes and at least five seeds, each twice; then, if `timed`, time where all are right."""
        compiled = self.compiler.compile(candidate, full=True)
        if not compiled.ok:
            return GpuResult(Status.COMPILE, "\n".join(compiled.complaints), 0, 0)
        with self.lock:
            try:
                correct = self._correct(task, candidate, compiled)
                return (
                    self._timed(task, candidate, compiled, correct)
                    if timed and correct.status is Status.OK
                    else correct
                )
            except ExpressionError as error:  # a launch that small shapes allow and the timed one does not
                return GpuResult(KernelStatus.LAUNCH, f"on the GPU: {error}", 0, 0)

    def _correct(self, task: KernelTask, candidate: Candidate, compiled: Compiled) -> GpuResult:
        shapes = (*task.small, *task.edge)
        checks = [(axes, self.seed + i) for i, axes in enumerate((shapes * SEEDS)[: max(SEEDS, len(shapes))])]
        inputs = [sample_inputs(task, axes, seed) for axes, seed in checks]
        data, layouts = self._write([x for given in inputs for x in given.items()], "data")
        answer, places = self.directory / "answer", _Places()
        runs: list[dict[str, Any]] = []
        for i, (axes, _) in enumerate(checks):
            said = layouts[i * len(task.inputs) : (i + 1) * len(task.inputs)]
            for _ in range(2):
                outputs = [places.place(a.name, a.count(axes) * DTYPES[a.dtype].itemsize) for a in task.outputs]
                runs.append({"program": _program(task, candidate, compiled, axes), "inputs": said, "outputs": outputs})
        answer.write_bytes(b"\0" * max(1, places.end))
        cubin = self._cubin(compiled)
        reply = self._ask(
            {"op": "run", "program": {"cubin": cubin}, "data": str(data), "answer": str(answer), "runs": runs}, RUN_SECONDS
        )  # fmt: skip
        mishap = _mishap(reply, len(checks), [axes for axes, _ in checks])
        if mishap is not None:
            return mishap
        raw = answer.read_bytes()
        for i, ((axes, _), given) in enumerate(zip(checks, inputs, strict=True)):
            found = [difference(task, axes, given, _outputs(task, raw, runs[2 * i + j]["outputs"])) for j in range(2)]
            wrong = next((f for f in found if f is not None), None)
            if wrong is not None:
                both = all(f is not None for f in found)
                why = wrong.text if both else f"right in one of two runs on the same inputs: {wrong.text}"
                status = KernelStatus.NUMERIC if both else KernelStatus.NONDETERMINISTIC
                return GpuResult(
                    status, f"on the GPU: {why} (axes {dict(axes)})", i, len(checks), facts=tuple(reply["facts"])
                )
        return GpuResult(Status.OK, "", len(checks), len(checks), facts=tuple(reply["facts"]))

    def _timed(self, task: KernelTask, candidate: Candidate, compiled: Compiled, correct: GpuResult) -> GpuResult:
        axes = task.bench[0]
        reference = parse(task.source, task)
        of_reference = self.compiler.compile(reference, full=True)
        if task.name not in self.inputs:
            while len(self.inputs) >= KEPT:
                old, _ = self.inputs.pop(next(iter(self.inputs)))
                old.unlink()
            self.inputs[task.name] = self._write(
                list(sample_inputs(task, axes, self.seed).items()), f"bench-{task.name}"
            )
        data, layout = self.inputs[task.name]
        row = {  # in bytes, as the worker has them: a row, or an element of a vector
            a.name: (max(1, a.size(axes)[-1]) if len(a.shape) > 1 else 1) * DTYPES[a.dtype].itemsize
            for a in task.inputs
        }
        length = float(evaluate(task.length, task.names(axes)))
        outputs = [
            {
                "name": a.name,
                "size": a.count(axes) * DTYPES[a.dtype].itemsize,
                "dtype": a.dtype,
                "slack": _slack(task, a.dtype, length),
            }
            for a in task.outputs
        ]
        request = {
            "op": "time", "data": str(data), "inputs": [one | {"row": row[one["name"]]} for one in layout], "outputs": outputs,
            "reference": {"cubin": self._cubin(of_reference)} | _program(task, reference, of_reference, axes),
            "candidate": {"cubin": self._cubin(compiled)} | _program(task, candidate, compiled, axes),
            "fewest": FEWEST, "most": MOST, "seconds": self.seconds,
        }  # fmt: skip
        reply = self._ask(request, TIME_SECONDS)
        if "died" in reply:
            status: str = Status.TIMEOUT if "longer than" in reply["died"] else Status.CRASH
            return GpuResult(
                status, f"while it was timed: {reply['died']} (axes {dict(axes)})", correct.passed, correct.total
            )
        if "wrong" in reply:
            return GpuResult(
                KernelStatus.NUMERIC,
                f"while it was timed: {reply['wrong']} (axes {dict(axes)})",
                correct.passed,
                correct.total,
            )
        measured = timing.summarise(reply["samples"])
        share = timing.share_of_roofline(self.name, task.work(axes), measured.candidate_ms)
        measured = Timing(**measured.to_json() | {"roofline": share})
        status, why = Status.OK, measured.said(self.name)
        if measured.suspect:
            status, why = (
                KernelStatus.HACK_SUSPECT,
                f"{measured.candidate_ms:.4f} ms is faster than {self.name} can be; it earns nothing",
            )
        return GpuResult(status, why, correct.passed, correct.total, measured, tuple(reply["facts"]))

    def _write(self, arrays: Sequence[tuple[str, np.ndarray]], name: str) -> tuple[Path, list[dict[str, Any]]]:
        """Arrays one after the other in a file of shared memory, and where each lies."""
        path, places = self.directory / name, _Places()
        with path.open("wb") as file:
            layout = []
            for key, array in arrays:
                layout.append(places.place(key, array.nbytes))
                file.seek(layout[-1]["offset"])
                file.write(np.ascontiguousarray(array).tobytes())
        return path, layout

    def _cubin(self, compiled: Compiled) -> str:
        path = self.directory / f"{abs(hash(compiled.cubin)):x}.cubin"
        if path in self.cubins:
            self.cubins.remove(path)
        if not path.exists():
            path.write_bytes(compiled.cubin)
        self.cubins.append(path)
        return str(path)


class _Places:
    """Where arrays lie in a file, each at a multiple of 256 bytes."""

    def __init__(self) -> None:
        self.end = 0

    def place(self, name: str, size: int) -> dict[str, Any]:
        offset = -(-self.end // 256) * 256
        self.end = offset + size
        return {"name": name, "offset": offset, "size": size}


def _program(task: KernelTask, candidate: Candidate, compiled: Compiled, axes: Axes) -> dict[str, Any]:
    """The launches and scratch buffers at these axes, as the worker takes them."""
    symbols, resolved = dict(compiled.names), candidate.at(axes)
    launches = [
        {"symbol": symbols[s.kernel], "grid": s.grid, "block": s.block, "shared": s.shared, "args": s.args}
        for s in resolved.launches
    ]
    scratch = [{"name": n, "size": b.elements * DTYPES[b.dtype].itemsize} for n, b in resolved.scratch.items()]
    return {"launches": launches, "scratch": scratch}


def _mishap(reply: dict[str, Any], total: int, axes: list[Axes]) -> GpuResult | None:
    """What went wrong before there was anything to compare."""
    if "died" in reply:
        slow = "longer than" in reply["died"]
        return GpuResult(Status.TIMEOUT if slow else Status.CRASH, f"on the GPU: {reply['died']}", 0, total)
    for key, words in (("broken", "it wrote outside of"), ("changed", "it changed its input")):
        if key in reply:
            index, name = reply[key]
            return GpuResult(
                Status.MEMORY, f"on the GPU: {words} {name} (axes {dict(axes[index // 2])})", index // 2, total
            )
    return None


def _outputs(task: KernelTask, raw: bytes, places: list[dict[str, Any]]) -> Mapping[str, np.ndarray]:
    of_type = {a.name: DTYPES[a.dtype] for a in task.outputs}
    return {o["name"]: np.frombuffer(raw[o["offset"] : o["offset"] + o["size"]], of_type[o["name"]]) for o in places}


def _slack(task: KernelTask, dtype: str, length: float) -> float:
    """How far two right programs may be apart, of an element's size and the usual one; sums of signed terms lose more."""
    spread = length**0.5 if task.terms else 1.0
    return 2 * FACTOR * EPS.get(dtype, 0.0) * (1 + length**0.5) * spread
