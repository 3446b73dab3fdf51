"""Candidates on a GPU: run over seeds and shapes against the oracle, then timed beside C_src.

    with Gpu() as gpu:                                     # NoGpu, with the reason, where there is none
        result = gpu.confirm(task, candidate)              # status, feedback, timing

A worker process runs them (`gpu_worker`). A hang, an illegal access or an assert ends it and costs that candidate
only. It has no expected output: it hands back what the kernels wrote, and this process compares. Needs the extra cuda12
or cuda13 (CuPy) and `nvrtc`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from cachetools import LRUCache

from semrep_jax.core import progress
from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Status
from semrep_jax.cuda.candidate.candidate import Candidate, parse
from semrep_jax.cuda.candidate.expressions import ExpressionError, evaluate
from semrep_jax.cuda.candidate.source import InvalidCandidate
from semrep_jax.cuda.gate import difference
from semrep_jax.cuda.gpu import timing
from semrep_jax.cuda.gpu.nvrtc import Compiled, Compiler
from semrep_jax.cuda.gpu.timing import Timing
from semrep_jax.cuda.numerics import EPS, FACTOR
from semrep_jax.cuda.spec import DTYPES, Array, Axes, KernelTask, sample_inputs
from semrep_jax.cuda.status import KernelStatus
from semrep_jax.sandbox.json_worker import JsonWorker

RUN_SECONDS = 20.0  # for all runs of a candidate, by the clock
TIME_SECONDS = 90.0  # for a whole timing
REQUESTS_A_WORKER = 64
FEWEST_CHECKS = 5  # shapes are repeated under other seeds until there are so many
RUNS_A_CHECK = 2
FEWEST_REPEATS = 10  # of a timing
MOST_REPEATS = 100
KEPT_INPUTS = 4  # files of inputs of the benchmark's size; in shared memory, that is RAM
KEPT_CUBINS = 8
ALIGNMENT = 256  # of an array in a file
SPARE_BYTES = 4 << 20  # that a file leaves of shared memory


class NoGpu(SemRepError):
    """No GPU can be used here, and why."""


class NoReference(Exception):
    """Why there is nothing that a candidate could be timed beside."""


@dataclass(frozen=True)
class GpuResult:
    """What a GPU says of a candidate: `passed` of `total` checks are right, and for a right one its timing.

    `status` is a `Status` or a `KernelStatus`; `facts` has one entry a launch.
    """

    status: str
    feedback: str
    passed: int
    total: int
    timing: Timing | None = None
    facts: tuple[dict[str, Any], ...] = ()


class _Files(LRUCache[str, Path]):
    """The files used last; one that is dropped is removed."""

    def popitem(self) -> tuple[str, Path]:
        key, path = super().popitem()
        path.unlink(missing_ok=True)
        return key, path


class _FileLayout:
    """Where arrays lie in a file."""

    def __init__(self) -> None:
        self.end = 0

    def add(self, name: str, size: int) -> dict[str, Any]:
        """The span of the next array, of `size` bytes."""
        offset = -(-self.end // ALIGNMENT) * ALIGNMENT
        self.end = offset + size
        return {"name": name, "offset": offset, "size": size}


class Gpu:
    """One GPU and its worker, one candidate at a time. Safe to call from several threads. Raises NoGpu.

    seed: of the inputs, not the policy's to know. seconds: how long the reference runs in a timing.
    """

    def __init__(self, seed: int = 0, seconds: float = 3.0):
        self.seed, self.seconds = seed, seconds
        self.lock = Lock()
        memory = Path("/dev/shm")
        self.directory = Path(tempfile.mkdtemp(prefix="semrep-gpu-", dir=memory if memory.is_dir() else None))
        self.overflow: Path | None = None
        self.worker: JsonWorker | None = None
        self.requests = 0  # that the worker has had
        try:
            device = self._start()
        except NoGpu:
            self._remove()
            raise
        self.name, self.arch = str(device["name"]), str(device["arch"])
        self.compiler = Compiler(1, self.arch)
        self.cubins = _Files(KEPT_CUBINS)
        self.inputs = _Files(KEPT_INPUTS)

    def __enter__(self) -> Gpu:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker and the compiler, and remove what was shared."""
        self._stop()
        self.compiler.close()
        self._remove()

    def _remove(self) -> None:
        for directory in (self.directory, self.overflow):
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)

    def _path(self, name: str, size: int) -> Path:
        """Where a file of so many bytes goes: into shared memory or, where that is too small (a container's may have
        64 MB), among the temporary files, which is said once."""
        free = shutil.disk_usage(self.directory).free
        if free >= size + SPARE_BYTES:
            return self.directory / name
        if self.overflow is None:
            self.overflow = Path(tempfile.mkdtemp(prefix="semrep-gpu-"))
            lack = f"{self.directory.parent} has {free >> 20} MiB left, and a file for the GPU takes {size >> 20}"
            where = f"such files go to {self.overflow.parent}, which is slower; docker run --shm-size gives more"
            progress.console.print(f"{lack}: {where}", highlight=False)
        return self.overflow / name

    def _start(self) -> dict[str, Any]:
        """A fresh worker; what its device is."""
        environment = {"CUPY_CACHE_DIR": str(self.directory / "cupy"), "CUDA_MODULE_LOADING": "EAGER"}
        worker = JsonWorker(Path(__file__).with_name("gpu_worker.py"), os.environ | environment)
        device = worker.ready
        if device is None or "none" in device:
            reason = worker.tail if device is None else device["none"]
            worker.close()
            hint = "kernels are run on the CPU by `judge`, or install the extra cuda13 or cuda12"
            raise NoGpu(f"no GPU can be used here ({reason}); {hint}")
        self.worker, self.requests = worker, 0
        return device

    def _stop(self) -> None:
        """End the worker; the next request starts another one."""
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def _ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The worker's answer; {"died": why} where it ended or hung, and it is replaced."""
        if self.requests >= REQUESTS_A_WORKER:
            self._stop()
        if self.worker is None:
            self._start()
        assert self.worker is not None
        self.requests += 1
        answer = self.worker.ask(request, seconds)
        if answer is None or "died" in answer:
            self._stop()
        return answer or {"died": f"it takes longer than {seconds:g} s"}

    def confirm(self, task: KernelTask, candidate: Candidate, timed: bool = True) -> GpuResult:
        """Run over shapes and at least five seeds, each twice; then, if `timed`, time where all are right."""
        compiled = self.compiler.compile(candidate, full=True)
        if not compiled.ok:
            status = Status.UNJUDGED if compiled.fault else Status.COMPILE
            return GpuResult(status, "\n".join(compiled.complaints), 0, 0)
        with self.lock:
            try:
                result = self._checked(task, candidate, compiled)
                return (
                    self._timed(task, candidate, compiled, result) if timed and result.status == Status.OK else result
                )
            except ExpressionError as error:  # a launch that small shapes allow and the timed one does not
                return GpuResult(KernelStatus.LAUNCH, f"on the GPU: {error}", 0, 0)

    def _checked(self, task: KernelTask, candidate: Candidate, compiled: Compiled) -> GpuResult:
        """Run every check and compare."""
        shapes = (*task.small, *task.edge)
        shapes = (shapes * FEWEST_CHECKS)[: max(FEWEST_CHECKS, len(shapes))]
        inputs = [sample_inputs(task, axes, self.seed + i) for i, axes in enumerate(shapes)]
        data = self._path("data", sum(_size(given) for given in inputs))
        spans = _write(data, (item for given in inputs for item in given.items()))
        layout = _FileLayout()
        runs: list[dict[str, Any]] = []
        for i, axes in enumerate(shapes):
            program = _program(task, candidate, compiled, axes)
            given = spans[i * len(task.inputs) : (i + 1) * len(task.inputs)]
            for _ in range(RUNS_A_CHECK):
                outputs = [layout.add(a.name, _bytes(a, axes)) for a in task.outputs]
                runs.append({"program": program, "inputs": given, "outputs": outputs})
        answer = self._path("answer", layout.end)
        answer.write_bytes(bytes(max(1, layout.end)))
        program = {"cubin": self._cubin(compiled)}
        request = {"op": "run", "program": program, "data": str(data), "answer": str(answer), "runs": runs}
        reply = self._ask(request, RUN_SECONDS)
        fault = _fault(reply, shapes)
        if fault is not None:
            return fault
        return _compared(task, shapes, inputs, answer.read_bytes(), runs, tuple(reply["facts"]))

    def _timed(self, task: KernelTask, candidate: Candidate, compiled: Compiled, correct: GpuResult) -> GpuResult:
        """Time a candidate that is `correct` beside C_src; not, and why, where C_src is nothing to be timed."""
        axes = task.bench[0]
        try:
            request = self._time_request(task, candidate, compiled, axes)
        except NoReference as error:
            return replace(correct, feedback=f"right on the GPU, and not timed: {error}")
        reply = self._ask(request, TIME_SECONDS)
        at = f"(axes {dict(axes)})"
        if "died" in reply:
            return replace(
                correct, status=_death(reply), feedback=f"while it was timed: {reply['died']} {at}", facts=()
            )
        if "wrong" in reply:
            feedback = f"while it was timed: {reply['wrong']} {at}"
            return replace(correct, status=KernelStatus.NUMERIC, feedback=feedback, facts=())
        measured = timing.summarise(reply["samples"])
        share = timing.share_of_roofline(self.name, task.work(axes), measured.candidate_ms)
        measured = replace(measured, roofline=share, device=self.name)
        status, feedback = str(Status.OK), measured.summary(self.name)
        if measured.suspect:
            status = KernelStatus.HACK_SUSPECT
            feedback = f"{measured.candidate_ms:.4f} ms is faster than {self.name} can be; it earns nothing"
        return replace(correct, status=status, feedback=feedback, timing=measured, facts=tuple(reply["facts"]))

    def _time_request(self, task: KernelTask, candidate: Candidate, compiled: Compiled, axes: Axes) -> dict[str, Any]:
        """What a timing asks for. Raises NoReference."""
        try:
            reference = parse(task.source, task)
        except InvalidCandidate as error:
            raise NoReference(f"C_src is no CUDA program ({error})") from error
        of_reference = self.compiler.compile(reference, full=True)
        if not of_reference.ok:
            raise NoReference(f"C_src does not compile ({of_reference.complaints[0]})")
        length = float(evaluate(task.length, task.names(axes)))
        outputs = [
            {"name": a.name, "size": _bytes(a, axes), "dtype": a.dtype, "slack": _slack(task, a.dtype, length)}
            for a in task.outputs
        ]
        data = self._bench_inputs(task, axes)
        return {
            "op": "time",
            "data": str(data),
            "inputs": _input_spans(task, axes),
            "outputs": outputs,
            "reference": {"cubin": self._cubin(of_reference)} | _program(task, reference, of_reference, axes),
            "candidate": {"cubin": self._cubin(compiled)} | _program(task, candidate, compiled, axes),
            "fewest": FEWEST_REPEATS,
            "most": MOST_REPEATS,
            "seconds": self.seconds,
        }

    def _bench_inputs(self, task: KernelTask, axes: Axes) -> Path:
        """The file of the inputs that a task is timed on."""
        if task.name not in self.inputs:
            inputs = sample_inputs(task, axes, self.seed)
            path = self._path(f"bench-{task.name}", _size(inputs))
            _write(path, inputs.items())
            self.inputs[task.name] = path
        return self.inputs[task.name]

    def _cubin(self, compiled: Compiled) -> str:
        """The path of a file with it."""
        name = hashlib.sha256(compiled.cubin).hexdigest()
        if name not in self.cubins:
            path = self._path(f"{name}.cubin", len(compiled.cubin))
            path.write_bytes(compiled.cubin)
            self.cubins[name] = path
        return str(self.cubins[name])


def _write(path: Path, arrays: Iterable[tuple[str, np.ndarray]]) -> list[dict[str, Any]]:
    """Write arrays one after the other; where each lies."""
    layout = _FileLayout()
    spans = []
    with path.open("wb") as file:
        for name, array in arrays:
            span = layout.add(name, array.nbytes)
            file.seek(span["offset"])
            file.write(np.ascontiguousarray(array).tobytes())
            spans.append(span)
    return spans


def _size(arrays: Mapping[str, np.ndarray]) -> int:
    """The bytes of arrays, as a file holds them."""
    return sum(array.nbytes + ALIGNMENT for array in arrays.values())


def _bytes(array: Array, axes: Axes) -> int:
    return array.count(axes) * DTYPES[array.dtype].itemsize


def _input_spans(task: KernelTask, axes: Axes) -> list[dict[str, Any]]:
    """Where each input lies in its file, and how many bytes stay together when it is rolled: a row or an element."""
    layout = _FileLayout()
    spans = []
    for array in task.inputs:
        elements = max(1, array.size(axes)[-1]) if len(array.shape) > 1 else 1
        row = {"row": elements * DTYPES[array.dtype].itemsize}
        spans.append(layout.add(array.name, _bytes(array, axes)) | row)
    return spans


def _program(task: KernelTask, candidate: Candidate, compiled: Compiled, axes: Axes) -> dict[str, Any]:
    """The launches and scratch buffers at these axes, as the worker takes them."""
    symbols, resolved = dict(compiled.names), candidate.at(axes)
    launches = [
        {"symbol": symbols[one.kernel], "grid": one.grid, "block": one.block, "shared": one.shared, "args": one.args}
        for one in resolved.launches
    ]
    scratch = [{"name": n, "size": b.elements * DTYPES[b.dtype].itemsize} for n, b in resolved.scratch.items()]
    return {"launches": launches, "scratch": scratch}


def _death(reply: Mapping[str, Any]) -> Status:
    return Status.TIMEOUT if "longer than" in reply["died"] else Status.CRASH


def _fault(reply: Mapping[str, Any], shapes: tuple[Axes, ...]) -> GpuResult | None:
    """What went wrong before there was anything to compare."""
    if "died" in reply:
        return GpuResult(_death(reply), f"on the GPU: {reply['died']}", 0, len(shapes))
    for key, what in (("broken", "it wrote outside of"), ("changed", "it changed its input")):
        if key in reply:
            run, name = reply[key]
            check = run // RUNS_A_CHECK
            feedback = f"on the GPU: {what} {name} (axes {dict(shapes[check])})"
            return GpuResult(Status.MEMORY, feedback, check, len(shapes))
    return None


def _compared(
    task: KernelTask,
    shapes: tuple[Axes, ...],
    inputs: list[dict[str, np.ndarray]],
    answer: bytes,
    runs: list[dict[str, Any]],
    facts: tuple[dict[str, Any], ...],
) -> GpuResult:
    """The result of runs that all ended: right up to the first check with a wrong answer in either run."""
    for check, (axes, given) in enumerate(zip(shapes, inputs, strict=True)):
        repeated = runs[RUNS_A_CHECK * check : RUNS_A_CHECK * (check + 1)]
        found = [difference(task, axes, given, _outputs(task, answer, run["outputs"])) for run in repeated]
        wrong = [one for one in found if one is not None]
        if not wrong:
            continue
        status, feedback = KernelStatus.NUMERIC, wrong[0].text
        if len(wrong) < len(found):
            status = KernelStatus.NONDETERMINISTIC
            feedback = f"right in one of two runs on the same inputs: {feedback}"
        return GpuResult(status, f"on the GPU: {feedback} (axes {dict(axes)})", check, len(shapes), facts=facts)
    return GpuResult(Status.OK, "", len(shapes), len(shapes), facts=facts)


def _outputs(task: KernelTask, answer: bytes, spans: list[dict[str, Any]]) -> Mapping[str, np.ndarray]:
    dtypes = {a.name: DTYPES[a.dtype] for a in task.outputs}
    return {
        span["name"]: np.frombuffer(answer[span["offset"] : span["offset"] + span["size"]], dtypes[span["name"]])
        for span in spans
    }


def _slack(task: KernelTask, dtype: str, length: float) -> float:
    """How far two right programs may be apart, of an element's size and the usual one; signed sums lose more."""
    spread = length**0.5 if task.terms else 1.0
    return 2 * FACTOR * EPS.get(dtype, 0.0) * (1 + length**0.5) * spread
