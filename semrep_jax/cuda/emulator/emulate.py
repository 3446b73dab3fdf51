"""CUDA programs on a CPU: built by g++ against our header, run on fibres in a contained process, buffers handed back.

    with Emulator(workers=2) as emulator:
        with emulator.built(candidate) as library:                          # about 0.1 s
            result = emulator.run(library, candidate, [execution, ...])     # milliseconds for thousands of threads

An execution has a schedule: 0 threads and blocks in order, 1 reversed, others random. What the header does not know is
`Unsupported`. A thread is a fibre; NVIDIA Warp took the same road (github.com/NVIDIA/warp/issues/1638).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Status
from semrep_jax.cuda.candidate.candidate import Candidate
from semrep_jax.cuda.emulator import memory, report
from semrep_jax.cuda.emulator.memory import BufferSpan, Execution
from semrep_jax.cuda.emulator.report import FAILED, Fault, RuntimeStatus, Unsupported
from semrep_jax.cuda.status import KernelStatus
from semrep_jax.sandbox import children
from semrep_jax.sandbox.pool import Limits, Pool

HERE = Path(__file__).parent
COMMON_FLAGS = (
    "-std=c++20",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-w",
    "-fno-gnu-unique",
    "-fno-threadsafe-statics",
)
RUNTIME_FLAGS = ("-O2", *COMMON_FLAGS)
CANDIDATE_FLAGS = (  # the runtime has the sanitizers' hooks
    "-O1",
    "-fsanitize=thread,alignment,object-size",
    "--param=tsan-distinguish-volatile=1",
    *COMMON_FLAGS,
)
PATTERN_FLAG = (
    "-ftrivial-auto-var-init=pattern"  # a variable that is never set is large, not by chance 0; g++ 12 has it
)
LIBRARIES = ("-nodefaultlibs", "-lstdc++", "-lm", "-lc", "-lgcc_s", "-lgcc")
COMPILER_LIMITS = children.WATCH + ' ulimit -t 20; ulimit -v 3145728; ulimit -f 131072; exec "$0" "$@"'
COMPILER_SECONDS = 30
LIMITS = Limits(cpu_seconds=3.0, wall_seconds=15.0, memory_mb=2048)
SECONDS_A_THREAD = 5e-6  # of the processor, beyond the limit; one that reduces by shuffles takes 1.3e-6 on a slow one
MOST_SECONDS_FOR_THREADS = 20.0
_TIMEOUT_SIGNALS = (signal.SIGKILL, signal.SIGXCPU, signal.SIGPROF)
_SIZES_DIFFER = '"launch": ['  # in what the cage prints where a launch's arguments are no kernel's


class EmulatorError(SemRepError):
    """The emulator can't run here at all."""


@dataclass(frozen=True)
class EmulationResult:
    """The buffers after each finished execution, by name, and the fault that ended them early, if one did."""

    buffers: list[dict[str, np.ndarray]]
    fault: Fault | None
    seconds: float


class Emulator:
    """Builds and runs candidates; safe to call from several threads. Raises EmulatorError where g++ is missing.

    workers: contained processes. limits: of one call of `run`; its threads are granted SECONDS_A_THREAD each on top.
    """

    def __init__(self, workers: int = 2, limits: Limits = LIMITS):
        compiler = shutil.which("g++")
        if compiler is None:
            raise EmulatorError(
                "kernels are run on the CPU by way of g++, which is not here; install it (e.g. apt install g++)"
            )
        self.limits, self.compiler = limits, compiler
        self.directory = Path(tempfile.mkdtemp(prefix="semrep-kernels-"))
        os.chmod(self.directory, 0o755)
        for path in (*HERE.glob("*.hpp"), *HERE.glob("*.cpp")):
            shutil.copy(path, self.directory / path.name)
        self._prepare(*RUNTIME_FLAGS, "-c", "runtime.cpp", "-o", "runtime.o")
        self.flags = CANDIDATE_FLAGS + ((PATTERN_FLAG,) if self._has(PATTERN_FLAG) else ())
        self._prepare(*self.flags, "-x", "c++-header", "cuda.hpp", "-o", "cuda.hpp.gch")
        self.pool = Pool(workers, HERE / "cage.py", readable=[str(self.directory)])

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the contained processes and remove what was built."""
        self.pool.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _has(self, flag: str) -> bool:
        """Whether the compiler knows a flag."""
        command = [self.compiler, flag, "-E", "-x", "c++", "/dev/null"]
        return subprocess.run(command, cwd=self.directory, capture_output=True).returncode == 0

    def _prepare(self, *arguments: str) -> None:
        done = subprocess.run([self.compiler, *arguments], cwd=self.directory, capture_output=True, text=True)
        if done.returncode:
            first = done.stderr.strip().splitlines()[0]
            raise EmulatorError(f"g++ can't build the emulator ({first}); it has to be g++ 11 or newer")

    @contextmanager
    def built(self, candidate: Candidate) -> Iterator[Path]:
        """The shared object of a candidate that NVRTC has accepted, for as long as it is used.

        Raises Unsupported with the compiler's first complaint.
        """
        if candidate.device.libraries:
            listed = ", ".join(candidate.device.libraries)
            raise Unsupported(f"it includes {listed}: a library of device code that the emulator does not know")
        library = self.directory / f"{os.urandom(12).hex()}.so"
        shell = ["/bin/sh", "-c", COMPILER_LIMITS]  # not preexec_fn: this process has threads
        inputs = ["-x", "c++", "-", "-x", "none", "runtime.o"]
        command = [*shell, self.compiler, *self.flags, "-shared", *inputs, *LIBRARIES, "-o", str(library)]
        try:
            done = _run_bounded(command, _translation_unit(candidate), self.directory)
        except subprocess.TimeoutExpired as error:
            raise Unsupported(f"the C++ compiler takes longer than {COMPILER_SECONDS} s") from error
        if done.returncode:
            raise Unsupported(_first_complaint(done.stderr).replace(str(self.directory), "")[:300])
        try:
            os.chmod(library, 0o755)
            yield library
        finally:
            library.unlink()

    def run(self, library: Path, candidate: Candidate, executions: Sequence[Execution]) -> EmulationResult:
        """Make `executions` one after the other in one contained process.

        library: what `built` gave for the candidate. Raises Unsupported where they need too much memory.
        """
        layout = memory.lay_out(candidate, executions)
        limits = _granted(self.limits, executions)
        request = {
            "library": str(library),
            "runs": layout.requests,
            "size": len(layout.content),
            "done_at": report.RUNS_DONE_AT,
            "token": "",
            "limits": asdict(limits),
        }
        answer = self.pool.ask(request, layout.content)
        if answer is None:
            hung = Fault(Status.UNJUDGED, "the contained process ended or did not answer in time", 0)
            return EmulationResult([], hung, limits.wall_seconds)
        facts, after = answer
        done = min(max(report.read_runs_done(after), 0), len(executions))
        content = np.frombuffer(after, np.uint8)
        buffers = [memory.read_buffers(content, layout.spans[i], executions[i]) for i in range(done)]
        fault = _first_overwritten(content, layout.spans[:done])
        if fault is None and done < len(executions):
            fault = _ended_early(facts, after, done, layout.spans[done])
        return EmulationResult(buffers, fault, facts["seconds"])


def _granted(limits: Limits, executions: Sequence[Execution]) -> Limits:
    """The limits of a run, longer by what its threads may take: a right program is not slow for being asked much."""
    launches = [launch for execution in executions for launch in execution.launches]
    threads = sum(prod(launch.grid) * prod(launch.block) for launch in launches)
    more = min(SECONDS_A_THREAD * threads, MOST_SECONDS_FOR_THREADS)
    return replace(limits, cpu_seconds=limits.cpu_seconds + more, wall_seconds=limits.wall_seconds + 3 * more)


def _translation_unit(candidate: Candidate) -> str:
    """What g++ compiles: the candidate's text in a namespace of its own, and an entry for each launched kernel."""
    entries = "\n".join(f"SEMREP_ENTRY({i}, {name})" for i, name in enumerate(candidate.addresses.values()))
    code = f'namespace {{\n#line 1 "kernel.cu"\n{candidate.device.emulated}\n}}'
    return f'#include "cuda.hpp"\n{code}\n#line 1 "launch"\n{entries}\n'


def _run_bounded(command: Sequence[str], text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """A command whose process group ends with it: the driver's cc1plus, as and ld outlive a kill of the driver."""
    lifeline = children.lifeline()
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TMPDIR": str(directory), "LC_ALL": "C"}
    environment["LIFELINE"] = str(lifeline)
    with subprocess.Popen(
        command,
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=[lifeline],
        env=environment,
    ) as process:
        try:
            out, errors = process.communicate(text, timeout=COMPILER_SECONDS)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return subprocess.CompletedProcess(command, process.returncode, out, errors)


def _first_complaint(log: str) -> str:
    """The first error of g++, with the writer's line."""
    errors = [line for line in log.splitlines() if "error" in line]
    first = errors[0] if errors else "the C++ compiler ended without a word"
    return re.sub(r"^kernel\.cu:(\d+):\d+: ", r"line \1: ", first)


def _first_overwritten(content: np.ndarray, spans: Sequence[Mapping[str, BufferSpan]]) -> Fault | None:
    """The first execution that wrote around one of its buffers; None where none did."""
    for execution, buffers in enumerate(spans):
        text = memory.overwritten_margin(content, buffers)
        if text is not None:
            return Fault(Status.MEMORY, text, execution)
    return None


def _ended_early(facts: Mapping[str, Any], after: bytes, execution: int, spans: Mapping[str, BufferSpan]) -> Fault:
    """Why an execution did not come to its end.

    facts: what the cage knows of its child's end. after: the shared memory. spans: the execution's buffers.
    """
    reported = report.read_report(after)
    if facts["fault"]:
        return Fault(Status.UNJUDGED, facts["fault"], execution)
    if facts["timeout"] or facts["signal"] in _TIMEOUT_SIGNALS:
        return Fault(Status.TIMEOUT, "it ran longer than its time limit", execution)
    if reported.status == RuntimeStatus.UNSUPPORTED:
        return Fault(KernelStatus.UNSUPPORTED, reported.text, execution)
    failed = FAILED.get(reported.status)
    if failed is not None:
        return Fault(failed, f"{reported.text} (line {reported.line}, {reported.where})", execution)
    if reported.status == RuntimeStatus.FAULT and reported.line == signal.SIGFPE:
        return Fault(KernelStatus.UNSUPPORTED, f"integer division by zero in {reported.where}", execution)
    if reported.status == RuntimeStatus.FAULT:
        where = memory.nearest_buffer(reported.address - facts["base"], spans)
        return Fault(Status.MEMORY, f"illegal address in {reported.where}: {where}", execution)
    if _SIZES_DIFFER in facts["output"]:
        text = "the arguments of a launch have other sizes than its kernel's parameters"
        return Fault(KernelStatus.LAUNCH, text, execution)
    text = f"the program could not be loaded or ended early {facts['output'][:200]}".rstrip()
    return Fault(KernelStatus.UNSUPPORTED, text, execution)
