"""Candidates on a GPU: run over seeds and shapes against the oracle, then timed beside C_src.

    with Gpu() as gpu:                                     # NoGpu, with the reason, where there is none
        result = gpu.confirm(task, candidate)              # status, feedback, timing

A worker process runs them (`gpu_worker`). A hang, an illegal access or an assert ends it and costs that candidate
only; what no kernel can cause (`faults`) costs none, and leaves it unjudged. It has no expected output: it hands back
what the kernels wrote, and this process compares. Needs the extra cuda12 or cuda13 (CuPy) and `nvrtc`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from semrep_jax.core import progress
from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Status
from semrep_jax.cuda.candidate.candidate import Candidate, parse
from semrep_jax.cuda.candidate.expressions import ExpressionError, evaluate
from semrep_jax.cuda.candidate.source import InvalidCandidate
from semrep_jax.cuda.gate import difference
from semrep_jax.cuda.gpu import faults, timing, warm_up
from semrep_jax.cuda.gpu.exchange import FileLayout, Files, bytes_of, size_of, timed_inputs, timed_spans, write
from semrep_jax.cuda.gpu.nvrtc import Compiled, Compiler, KernelExpression, complaints, refused
from semrep_jax.cuda.gpu.timing import Timing
from semrep_jax.cuda.numerics import EPS, FACTOR, allowed_norm, largest, tiny
from semrep_jax.cuda.settings import CompileBy
from semrep_jax.cuda.spec import DTYPES, Axes, KernelTask, sample_inputs
from semrep_jax.cuda.status import KernelStatus
from semrep_jax.sandbox.json_worker import JsonWorker

RUN_SECONDS = 20.0  # for all runs of a candidate, by the clock
TIME_SECONDS = 90.0  # for a whole timing
BEGIN_SECONDS = TIME_SECONDS / 2  # in which its repeats begin: each has as long again to end
PROBE_SECONDS = 30.0  # for the first answer of a worker that comes after another one
WARM_UP_SECONDS = 120.0  # for each answer of the first one, which compiles CuPy's own kernels
FAILED_STARTS = 3  # of workers one after the other, before the GPU is given up
REQUESTS_A_WORKER = 64
FEWEST_CHECKS = 5  # shapes are repeated under other seeds until there are so many
RUNS_A_CHECK = 2
FEWEST_REPEATS = 10  # of a timing
MOST_REPEATS = 100
KEPT_INPUTS = 4  # files of inputs of the benchmark's size; in shared memory, that is RAM
KEPT_CUBINS = 8
SPARE_BYTES = 4 << 20  # that a file leaves of shared memory
NOTHING = 'extern "C" __global__ void nothing() {}'


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


class Gpu:
    """One GPU and its worker, one candidate at a time. Safe to call from several threads. Raises NoGpu.

    seed: of the inputs, not the policy's to know. seconds: how long the reference runs in a timing. compile_by: who
    compiles for it.
    """

    def __init__(self, seed: int = 0, seconds: float = 3.0, compile_by: CompileBy = CompileBy.NVRTC):
        self.seed, self.seconds, self.compile_by = seed, seconds, compile_by
        self.lock = Lock()
        memory = Path("/dev/shm")
        self.directory = Path(tempfile.mkdtemp(prefix="semrep-gpu-", dir=memory if memory.is_dir() else None))
        self.overflow: Path | None = None
        self.worker: JsonWorker | None = None
        self.requests = 0  # that the worker has had
        self.failed_starts = 0  # in a row, since something was last answered
        self.cubins = Files(KEPT_CUBINS)
        self.inputs = Files(KEPT_INPUTS)
        compiler: Compiler | None = None
        try:
            self.device = self._start()
            self.name, self.arch = str(self.device["name"]), str(self.device["arch"])
            self.compiler = compiler = Compiler(1, self.arch)
            self._try_out()
        except BaseException:
            self._stop()
            if compiler is not None:
                compiler.close()
            self._remove()
            raise
        for note in faults.notes(self.device):
            progress.console.print(note, highlight=False)

    def _try_out(self) -> None:
        """Compile a kernel that does nothing, run and time it: what a driver can't load is no candidate's fault, nor is
        the time that CuPy takes to compile kernels of its own (a worker that comes after finds them on disk)."""
        compiled = self.compiler.compile_text(NOTHING, [KernelExpression("nothing", "nothing")], full=True)
        if not compiled.ok:
            raise NoGpu(f"{self.name} ({self.arch}) can't be compiled for: {compiled.complaints[0]}")
        launch = {"symbol": "nothing", "grid": [1, 1, 1], "block": [1, 1, 1], "shared": 0, "args": []}
        program = {"cubin": self._cubin(compiled), "launches": [launch], "scratch": []}
        files = (self._path(name, warm_up.BYTES * len(warm_up.DTYPES)) for name in ("data", "answer"))
        for request in warm_up.requests(program, *files):
            answer = self._answer(request, WARM_UP_SECONDS)
            if answer is None or "died" in answer:
                reason = f"no answer in {WARM_UP_SECONDS:g} s" if answer is None else answer["died"]
                raise NoGpu(faults.not_run(self.device, reason))

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

    def _answer(self, request: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """The worker's answer; None where it ended or takes longer."""
        assert self.worker is not None
        self.requests += 1
        answer = self.worker.ask(request, seconds)
        if answer is not None and "died" not in answer:
            self.failed_starts = 0
        return answer

    def _ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The worker's answer, or what became of it instead: "died", with a reason that is the candidate's, or "fault",
        with one that is not. Then it is replaced. Raises NoGpu after some workers in a row that do not start or do not
        answer."""
        if self.requests >= REQUESTS_A_WORKER:
            self._stop()
        if self.worker is None:
            reason = self._restart()
            if reason is not None:
                return {"fault": reason}
        assert self.worker is not None
        answer = self._answer(request, seconds)
        if answer is not None and "died" not in answer:
            return answer
        if answer is not None:
            self._stop()
            return answer if faults.is_candidates(answer["died"]) else {"fault": answer["died"]}
        code = faults.exit_code(self.worker)
        self._stop()
        if code is not None:
            return {"fault": f"the worker was ended from outside or by the driver ({faults.named(code)})"}
        reason = self._restart()  # it hung: in the kernel, if a fresh one answers
        return {"died": f"it takes longer than {seconds:g} s"} if reason is None else {"fault": reason}

    def _restart(self) -> str | None:
        """A fresh worker that has answered; what is wrong where there is none. Raises NoGpu as `_ask` does."""
        try:
            self._start()
        except NoGpu as error:
            self.failed_starts += 1
            if self.failed_starts >= FAILED_STARTS:
                raise
            return str(error)
        answer = self._answer({"op": "probe"}, PROBE_SECONDS)
        if answer is not None and "died" not in answer:
            return None
        self._stop()
        self.failed_starts += 1
        reason = f"a fresh worker does not answer in {PROBE_SECONDS:g} s" if answer is None else answer["died"]
        if self.failed_starts >= FAILED_STARTS:
            raise NoGpu(f"{self.name} is gone, or its driver hangs: {reason}")
        return reason

    def confirm(self, task: KernelTask, candidate: Candidate, timed: bool = True) -> GpuResult:
        """Run over shapes and at least five seeds, each twice; then, if `timed`, time where all are right.

        task: what is to be computed, at which shapes. candidate: a program parsed for it. timed: whether a right one is
        timed beside C_src at the task's first `bench` shape. Raises NoGpu where several fresh workers in a row do not
        start or do not answer.
        """
        compiled = self._compiled(candidate)
        if not compiled.ok:
            status = Status.UNJUDGED if compiled.fault else refused(candidate)
            return GpuResult(status, "\n".join(compiled.complaints), 0, 0)
        with self.lock:
            try:
                result = self._checked(task, candidate, compiled)
                return (
                    self._timed(task, candidate, compiled, result) if timed and result.status == Status.OK else result
                )
            except ExpressionError as error:  # a launch that small shapes allow and the timed one does not
                return GpuResult(KernelStatus.LAUNCH, f"on the GPU: {error}", 0, 0)

    def _compiled(self, candidate: Candidate) -> Compiled:
        """A cubin of ours, or text for CuPy's NVRTC."""
        if self.compile_by is CompileBy.RAW_MODULE:
            return self.compiler.uncompiled(candidate)
        return self.compiler.compile(candidate, full=True)

    def _loadable(self, compiled: Compiled) -> dict[str, Any]:
        """What the worker loads."""
        if compiled.text:
            options = ["--std=c++17", "--generate-line-info", *(f"-I{path}" for path in self.compiler.include)]
            return {"code": compiled.text, "options": options}
        return {"cubin": self._cubin(compiled)}

    def _checked(self, task: KernelTask, candidate: Candidate, compiled: Compiled) -> GpuResult:
        """Run every check and compare."""
        shapes = (*task.small, *task.edge)
        shapes = (shapes * FEWEST_CHECKS)[: max(FEWEST_CHECKS, len(shapes))]
        inputs = [sample_inputs(task, axes, self.seed + i) for i, axes in enumerate(shapes)]
        data = self._path("data", sum(size_of(given) for given in inputs))
        spans = write(data, (item for given in inputs for item in given.items()))
        layout = FileLayout()
        runs: list[dict[str, Any]] = []
        for i, axes in enumerate(shapes):
            program = _program(task, candidate, compiled, axes)
            given = spans[i * len(task.inputs) : (i + 1) * len(task.inputs)]
            for _ in range(RUNS_A_CHECK):
                outputs = [layout.add(a.name, bytes_of(a, axes)) for a in task.outputs]
                runs.append({"program": program, "inputs": given, "outputs": outputs})
        answer = self._path("answer", layout.end)
        answer.write_bytes(bytes(max(1, layout.end)))
        program = self._loadable(compiled)
        request = {"op": "run", "program": program, "data": str(data), "answer": str(answer), "runs": runs}
        reply = self._ask(request, RUN_SECONDS)
        fault = _fault(reply, shapes)
        if fault is not None:
            return fault
        return _compared(task, shapes, inputs, answer.read_bytes(), runs, tuple(reply["facts"]))

    def _timed(self, task: KernelTask, candidate: Candidate, compiled: Compiled, correct: GpuResult) -> GpuResult:
        """Time a candidate that is `correct` beside C_src; not, and why, where C_src is nothing to be timed or the
        fewest repeats take too long. A run that does not end is a timeout: it may hang at this shape."""
        axes = task.bench[0]
        try:
            request = self._time_request(task, candidate, compiled, axes)
        except NoReference as error:
            return replace(correct, feedback=f"right on the GPU, and not timed: {error}")
        reply = self._ask(request, TIME_SECONDS)
        at = f"(axes {dict(axes)})"
        ended = _ended(reply)
        if ended is not None:
            return replace(correct, status=ended[0], feedback=f"while it was timed: {ended[1]} {at}", facts=())
        if "wrong" in reply:
            feedback = f"while it was timed: {reply['wrong']} {at}"
            return replace(correct, status=KernelStatus.NUMERIC, feedback=feedback, facts=())
        if "untimed" in reply:
            return replace(correct, feedback=f"right on the GPU, and not timed: {reply['untimed']} {at}")
        try:
            measured = timing.summarise(reply["samples"], reply.get("graph_samples", ()))
        except timing.UnsteadyClock as error:
            return replace(correct, feedback=f"right on the GPU, and not timed: {error}")
        share = timing.share_of_roofline(self.name, task.work(axes), measured.candidate_ms)
        measured = replace(measured, roofline=share, device=self.name)
        status: str = Status.OK
        feedback = measured.summary(self.name)
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
        of_reference = self._compiled(reference)
        if not of_reference.ok:
            raise NoReference(f"C_src does not compile ({of_reference.complaints[0]})")
        length = float(evaluate(task.length, task.names(axes)))
        outputs = [
            {"name": a.name, "size": bytes_of(a, axes), "dtype": a.dtype} | _bounds(a.dtype, length)
            for a in task.outputs
        ]
        data = self._bench_inputs(task, axes)
        return {
            "op": "time",
            "data": str(data),
            "inputs": timed_spans(task, axes),
            "outputs": outputs,
            "terms": task.terms,
            "reference": self._loadable(of_reference) | _program(task, reference, of_reference, axes),
            "candidate": self._loadable(compiled) | _program(task, candidate, compiled, axes),
            "fewest": FEWEST_REPEATS,
            "most": MOST_REPEATS,
            "seconds": self.seconds,
            "limit": BEGIN_SECONDS,
        }

    def _bench_inputs(self, task: KernelTask, axes: Axes) -> Path:
        """The file of the inputs that a task is timed on."""
        if task.name not in self.inputs:
            inputs = timed_inputs(task, axes, self.seed)
            path = self._path(f"bench-{task.name}", size_of(inputs))
            write(path, inputs.items())
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


def _program(task: KernelTask, candidate: Candidate, compiled: Compiled, axes: Axes) -> dict[str, Any]:
    """The launches and scratch buffers at these axes, as the worker takes them."""
    symbols, resolved = dict(compiled.names), candidate.at(axes)
    launches = [
        {"symbol": symbols[one.kernel], "grid": one.grid, "block": one.block, "shared": one.shared, "args": one.args}
        for one in resolved.launches
    ]
    scratch = [{"name": n, "size": b.elements * DTYPES[b.dtype].itemsize} for n, b in resolved.scratch.items()]
    return {"launches": launches, "scratch": scratch}


def _ended(reply: Mapping[str, Any]) -> tuple[str, str] | None:
    """The status and the reason of a reply that is no answer to what was asked; None for an answer."""
    if "fault" in reply:
        return Status.UNJUDGED, f"not the program's fault: {reply['fault']}"
    if "refused" in reply:
        return Status.COMPILE, "\n".join(complaints(reply["refused"]))
    if "died" in reply:
        return faults.status_of(reply["died"]), reply["died"]
    return None


def _fault(reply: Mapping[str, Any], shapes: tuple[Axes, ...]) -> GpuResult | None:
    """What went wrong before there was anything to compare."""
    ended = _ended(reply)
    if ended is not None:
        status, why = ended
        return GpuResult(status, f"on the GPU: {why}", 0, len(shapes))
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


def _bounds(dtype: str, length: float) -> dict[str, float]:
    """How far two right programs may be apart: twice what `numerics.compare` grants one of them.

    dtype: of an output. length: terms of the longest sum behind it.
    """
    if dtype not in EPS:
        return {}
    bounds = {"rounding": 2 * FACTOR * EPS[dtype], "length": length, "norm": 2 * allowed_norm(dtype, length)}
    return bounds | {"tiny": 2 * tiny(dtype), "largest": largest(dtype)}
