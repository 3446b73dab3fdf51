"""CUDA programs on a CPU: built by g++ against our header, run on fibres in a contained process, their buffers handed back.

    with Emulator(workers=2) as emulator:
        with emulator.built(candidate) as library:              # about 0.1 s
            ran = emulator.run(library, candidate, [run, ...])  # milliseconds for thousands of threads

Memory is hostile: outputs and scratch begin as 0xff bytes, 256 bytes of pattern lie before each buffer and an unreadable page behind it.
A run has a schedule: 0 threads and blocks in order, 1 reversed, others random. What the header does not know is `Unsupported`.
References: study of CUDA on CPUs in this project's design; NVIDIA Warp issue 1638 (fibres) took the same road.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from semrep_jax.core.errors import SemRepError
from semrep_jax.cuda.candidate.candidate import Candidate
from semrep_jax.cuda.candidate.launches import ResolvedLaunch
from semrep_jax.cuda.spec import DTYPES
from semrep_jax.sandbox.pool import Limits, Pool

PAGE = mmap.PAGESIZE
HERE = Path(__file__).parent
FLAGS = (
    "-std=c++20",
    "-O1",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-w",
    "-fsanitize=thread",
    "-fno-gnu-unique",
    "-fno-threadsafe-statics",
)
LIBRARIES = ("-nodefaultlibs", "-lstdc++", "-lm", "-lc", "-lgcc_s", "-lgcc")  # the runtime has the sanitizer's hooks
MARGIN, PATTERN, MOST_MEMORY = 256, 0xA5, 192 << 20
_COMPILER_LIMITS = 'ulimit -t 20; ulimit -v 3145728; ulimit -f 131072; exec "$0" "$@"'
_REPORT = struct.Struct("=4q3q3q240s")
_DONE_AT = 1024
LIMITS = Limits(cpu_seconds=3.0, wall_seconds=15.0, memory_mb=2048)


class EmulatorError(SemRepError):
    """The emulator can't run here at all."""


class Unsupported(SemRepError):
    """The program uses something that the emulator does not know; it may well be right."""


@dataclass(frozen=True)
class Execution:
    """One execution: the launches, buffers with their content (None for what begins as 0xff), and the schedule."""

    launches: Sequence[ResolvedLaunch]
    buffers: Mapping[str, np.ndarray | tuple[np.dtype, int]]
    schedule: int = 0


@dataclass(frozen=True)
class Fault:
    """How a program went wrong: a word (memory, race, timeout, launch, unsupported), a sentence, and the run it happened in."""

    kind: str
    text: str
    run: int


@dataclass(frozen=True)
class EmulationResult:
    """The buffers after each finished run, and the mishap that ended them early, if one did."""

    buffers: list[dict[str, np.ndarray]]
    mishap: Fault | None
    seconds: float


class Emulator:
    """Builds and runs candidates; safe to call from several threads. Raises EmulatorError where g++ is missing."""

    def __init__(self, workers: int = 2, limits: Limits = LIMITS):
        self.limits = limits
        self.compiler = shutil.which("g++")
        if self.compiler is None:
            raise EmulatorError(
                "kernels are run on the CPU by way of g++, which is not here; install it (e.g. apt install g++)"
            )
        self.directory = Path(tempfile.mkdtemp(prefix="semrep-kernels-"))
        os.chmod(self.directory, 0o755)
        for name in ("cuda.hpp", "runtime.hpp", "runtime.cpp"):
            shutil.copy(HERE / name, self.directory / name)
        self._call("-O2", *FLAGS[:1], *FLAGS[2:], "-fno-sanitize=thread", "-c", "runtime.cpp", "-o", "runtime.o")
        self._call(*FLAGS, "-x", "c++-header", "cuda.hpp", "-o", "cuda.hpp.gch")
        self.pool = Pool(workers, HERE / "cage.py", readable=[str(self.directory)])

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the contained processes and remove what was built."""
        self.pool.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _call(self, *arguments: str) -> None:
        assert self.compiler is not None
        done = subprocess.run([self.compiler, *arguments], cwd=self.directory, capture_output=True, text=True)
        if done.returncode:
            raise EmulatorError(
                f"g++ can't build the emulator ({done.stderr.strip().splitlines()[0]}); it needs C++20 (g++ 10 or newer)"
            )

    @contextmanager
    def built(self, candidate: Candidate) -> Iterator[Path]:
        """The shared object of a candidate that NVRTC has accepted, for as long as it is used.

        Raises Unsupported with the compiler's first complaint.
        """
        entries = "\n".join(f"SEMREP_ENTRY({i}, {name})" for i, name in enumerate(candidate.kernels))
        text = f'#include "cuda.hpp"\nnamespace {{\n#line 1 "kernel.cu"\n{candidate.device.emulated}\n}}\n#line 1 "launch"\n{entries}\n'
        library = self.directory / f"{os.urandom(12).hex()}.so"
        assert self.compiler is not None
        limited = ["/bin/sh", "-c", _COMPILER_LIMITS, self.compiler]  # not preexec_fn: this process has threads
        command = [
            *limited,
            *FLAGS,
            "-shared",
            "-x",
            "c++",
            "-",
            "-x",
            "none",
            "runtime.o",
            *LIBRARIES,
            "-o",
            str(library),
        ]
        try:
            done = _bounded(command, text, self.directory)
        except subprocess.TimeoutExpired as error:
            raise Unsupported("the C++ compiler takes longer than 30 s") from error
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "error" in line] or [
                "the C++ compiler ended without a word"
            ]
            raise Unsupported(
                re.sub(r"^kernel\.cu:(\d+):\d+: ", r"line \1: ", errors[0]).replace(str(self.directory), "")[:300]
            )
        try:
            os.chmod(library, 0o755)
            yield library
        finally:
            library.unlink()

    def run(self, library: Path, candidate: Candidate, runs: Sequence[Execution]) -> EmulationResult:
        """Execute `runs` one after the other in one contained process."""
        memory, plans, places = _laid_out(candidate, runs)
        request = {
            "library": str(library), "runs": plans, "size": len(memory), "done_at": _DONE_AT, "token": "", "limits": asdict(self.limits),
        }  # fmt: skip
        answer = self.pool.ask(request, bytes(memory))
        if answer is None:
            return EmulationResult([], Fault("timeout", "the program did not end", 0), self.limits.wall_seconds)
        facts, after = answer
        done = min(max(struct.unpack_from("=q", after, _DONE_AT)[0], 0), len(runs))
        mishap = None if done == len(runs) else _mishap(facts, after, done, places)
        whole = np.frombuffer(after, np.uint8)
        buffers = [_read(whole, places[i], runs[i]) for i in range(done)]
        for index in range(done):
            mishap = (
                mishap
                if mishap is not None and mishap.run <= index
                else _margins(whole, places[index], index) or mishap
            )
        return EmulationResult(buffers, mishap, facts["seconds"])


def _bounded(command: Sequence[str], text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """A command whose whole process group ends with it: the driver's cc1plus, as and ld outlive a kill of the driver."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=directory, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace", start_new_session=True,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TMPDIR": str(directory), "LC_ALL": "C"},
    ) as process:  # fmt: skip
        try:
            out, errors = process.communicate(text, timeout=30)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return subprocess.CompletedProcess(command, process.returncode, out, errors)


Place = tuple[int, int]  # where a buffer lies in the shared memory, and its bytes


def _laid_out(
    candidate: Candidate, runs: Sequence[Execution]
) -> tuple[bytearray, list[dict[str, object]], list[dict[str, Place]]]:
    """The shared memory of all runs, the launches as the cage reads them, and each run's places by buffer name."""
    at, places, plans = PAGE, [], []
    for run in runs:
        lies: dict[str, Place] = {}
        guards = []
        for name, content in run.buffers.items():
            size = content.nbytes if isinstance(content, np.ndarray) else content[0].itemsize * content[1]
            pages = -(-(size + MARGIN) // PAGE)
            end = at + pages * PAGE
            lies[name] = (
                (end - size) & ~15,
                size,
            )  # the last byte as near to the page that can't be touched as 16 allow
            guards.append(end)
            at = end + PAGE
        launches = []
        for launch in run.launches:
            pages = -(-max(launch.shared, 1) // PAGE)
            shared = (at + pages * PAGE - launch.shared) & ~15
            guards.append(at + pages * PAGE)
            at += (pages + 1) * PAGE
            args: list[object] = [lies[a][0] if isinstance(a, str) else [a[0], _bits(*a)] for a in launch.args]
            launches.append(
                [candidate.kernels.index(launch.kernel), [*launch.grid, *launch.block], shared, launch.shared, args]
            )
        plans.append({"guards": guards, "launches": launches, "schedule": run.schedule})
        places.append(lies)
        if at > MOST_MEMORY:
            raise Unsupported(
                f"its buffers take more than {MOST_MEMORY >> 20} MiB over all executions; declare less scratch"
            )
    memory = bytearray(at)
    whole = np.frombuffer(memory, np.uint8)
    for run, lies in zip(runs, places, strict=True):
        for name, content in run.buffers.items():
            start, size = lies[name]
            whole[(start - MARGIN) & -PAGE : (start + size + PAGE - 1) & -PAGE] = PATTERN
            whole[start : start + size] = (
                np.frombuffer(content.tobytes(), np.uint8) if isinstance(content, np.ndarray) else 0xFF
            )
    return memory, plans, places


def _bits(dtype: str, value: int | float) -> int | float:
    if dtype in ("f32", "f64"):
        return float(value)
    if dtype in ("f16", "bf16"):
        return int(np.array(value, DTYPES[dtype]).view(np.uint16))
    return int(value)


def _read(whole: np.ndarray, lies: Mapping[str, Place], run: Execution) -> dict[str, np.ndarray]:
    found = {}
    for name, (start, size) in lies.items():
        content = run.buffers[name]
        dtype = content.dtype if isinstance(content, np.ndarray) else content[0]
        found[name] = whole[start : start + size].copy().view(dtype)
    return found


def _margins(whole: np.ndarray, lies: Mapping[str, Place], run: int) -> Fault | None:
    """A mishap where the pattern around a buffer was written over."""
    for name, (start, size) in lies.items():
        if (whole[(start - MARGIN) & -PAGE : start] != PATTERN).any():
            return Fault("memory", f"it wrote before the beginning of {name}", run)
        if (whole[start + size : (start + size + PAGE - 1) & -PAGE] != PATTERN).any():
            return Fault("memory", f"it wrote behind the end of {name}", run)
    return None


def _mishap(
    facts: Mapping[str, object],
    after: bytes,
    done: int,
    places: list[dict[str, Place]],
) -> Fault:
    status, line, _, address, bx, by, bz, tx, ty, tz, raw = _REPORT.unpack_from(after, 0)
    text = raw.split(b"\0")[0].decode("utf-8", "replace")
    where = f"thread ({tx}, {ty}, {tz}) of block ({bx}, {by}, {bz})"
    if facts["timeout"] or facts["signal"] in (9, 24, 27):
        return Fault("timeout", "it ran longer than its time limit", done)
    if status in (2, 3, 4, 6):
        kind = {2: "race", 3: "unsupported", 4: "launch", 6: "unsupported"}[status]
        return Fault(kind, f"{text} (line {line}, {where})" if status != 3 else text, done)
    if status == 5 and line == 8:
        return Fault("unsupported", f"integer division by zero in {where}", done)
    if status == 5:
        return Fault(
            "memory", f"illegal address in {where}: {_nearest(address - int(str(facts['base'])), places[done])}", done
        )
    said = str(facts["said"])
    if '"launch": [' in said:
        return Fault("launch", "the arguments of a launch have other sizes than its kernel's parameters", done)
    return Fault("unsupported", f"the program could not be loaded or ended early {said[:200]}".rstrip(), done)


def _nearest(offset: int, lies: Mapping[str, Place]) -> str:
    """Which buffer an address belongs to, in words."""
    for name, (start, size) in lies.items():
        if start + size <= offset < start + size + 2 * PAGE:
            return f"{offset - start - size} bytes behind the end of {name} ({size} bytes)"
        if start - 2 * PAGE <= offset < start:
            return f"{start - offset} bytes before the beginning of {name}"
    return "far from every buffer"
