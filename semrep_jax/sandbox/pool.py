"""Run strangers' programs contained. The parent's side: a pool of zygotes, each running one candidate at a time.

    with Sandbox(workers=2) as sandbox:
        observation = sandbox.run("def f(x): return x + 1", "f", [["t", 1]])

Observations come back, never verdicts. Needs Linux; layers that its kernel does not offer are left out, and
`Sandbox.layers` lists those that hold.

Covered:

- A candidate that hangs, crashes or fills memory costs its own limits on its own zygote, and nobody else's.
- It reads the standard library, shared libraries, time zones and a few devices, and nothing else of the host; it sees
  none of the host's environment and reaches no network; it writes one directory, which is emptied after it.
- It starts threads but no process, sends no signal out and traces nothing; what it leaves running ends with its run.
- It is never given an expected output: there is nothing to steal, and a forged report is a failure and no pass.

Not covered:

- Faults of the Linux kernel, which candidates share with the host. For code that you believe to carry kernel exploits,
  run the whole thing in a virtual machine.
- What only a missing layer would stop (see `layers`). There is a system call filter for x86_64 and aarch64 alone.
- Side channels: a candidate can read clocks, and so how busy the machine is.
- Slow machines: a program that needs just about `cpu_seconds` may be judged differently on another one.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Outcome
from semrep_jax.sandbox import children, scratch
from semrep_jax.sandbox.wire import decode

LENGTHS = struct.Struct("!II")  # of a reply's JSON and of the child's own bytes
MORE_PATIENCE = 5  # times the wall time, for what a busy machine kept from being seen
GRACE_SECONDS = 5.0  # beyond a request's wall time
START_SECONDS = 30.0
NO_ANSWER = "the sandbox's own process ended or did not answer in time"
FIRST_UID = 61_000  # of as many as there are workers
# A zygote's environment, beside PYTHONHASHSEED (sets in one order, and so one verdict each time).
ENVIRONMENT = {
    "LD_BIND_NOW": "1",  # symbols are resolved before the fork
    "MALLOC_TOP_PAD_": "4000000",  # a heap that does not grow and shrink in every child
    "MALLOC_TRIM_THRESHOLD_": "100000000",
}
# What a zygote is told at its start; `Pool` takes others by name, and adds script, uid and scratch.
DEFAULTS = {
    "scratch_mb": 16,  # what a candidate may write (MiB)
    "become": None,  # a uid, for tests of an ordinary user's lockdown
    "namespaces": True,
    "landlock": True,
    "hash_seed": 0,
    "at_once": True,  # whether it is started with its pool, and not when it is first asked
}


class SandboxError(SemRepError):
    """The sandbox can't run here at all."""

    exit_code = 1


class Unseen(SandboxError):
    """Nobody could see what a program does, by a fault of ours, twice."""


@dataclass(frozen=True)
class Limits:
    """What one candidate may use for all its calls.

    cpu_seconds, wall_seconds: processor and wall time (s). memory_mb: address space beyond the interpreter's (MiB).
    """

    cpu_seconds: float = 0.5
    wall_seconds: float = 3.0
    memory_mb: int = 256


@dataclass(frozen=True)
class Observation:
    """What was seen of one candidate.

    outcomes, messages (an exception's one line, or None): one for each call, unless the next two say why not.
    load_error: one line, where the program did not load. died: how its process ended early. seconds: wall time (s).
    cpu_seconds: processor time of its process and threads, as the kernel counts it (s); 0 where nobody knows.
    fault: what of ours went wrong instead, so that this says nothing about the candidate.
    """

    outcomes: tuple[Outcome, ...] = ()
    messages: tuple[str | None, ...] = ()
    load_error: str | None = None
    died: str | None = None
    seconds: float = 0.0
    fault: str | None = None
    cpu_seconds: float = 0.0


class _Dead(Exception):
    """The zygote is gone or does not answer."""


class _Zygote:
    """One zygote process and its two pipes. Raises SandboxError where it does not start."""

    def __init__(self, settings: dict[str, Any]):
        self.scratch = tempfile.mkdtemp(prefix="semrep-")
        os.chmod(self.scratch, 0o777)
        interpreter = [sys.executable, "-P", "-s", "-S", "-X", "no_debug_ranges"]
        self.process = children.start(
            [*interpreter, settings["script"], json.dumps(settings | {"scratch": self.scratch})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=ENVIRONMENT | {"PYTHONHASHSEED": str(settings["hash_seed"])},
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin.fileno(), self.process.stdout.fileno()
        self.layers: list[str] = []
        try:
            self.layers = self._receive(START_SECONDS)[0]["ready"]
        except _Dead as error:
            self.process.kill()
            assert self.process.stderr is not None
            tail = self.process.stderr.read().decode(errors="replace").strip().splitlines()[-1:]
            self.close()
            raise SandboxError(
                f"the sandbox does not start ({' '.join(tail) or error}); it needs Linux and fork"
            ) from error

    def _receive(self, seconds: float) -> tuple[Any, bytes]:
        """The next frame, its JSON and its bytes, within so many seconds. Raises _Dead."""
        deadline = time.monotonic() + seconds
        data, head, size = bytearray(), 0, LENGTHS.size
        while len(data) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.stdout], [], [], left)[0]:
                raise _Dead("no answer in time")
            more = os.read(self.stdout, 1 << 16)
            if not more:
                raise _Dead("it ended")
            data += more
            if size == LENGTHS.size <= len(data):
                head, raw = LENGTHS.unpack_from(data)
                size += head + raw
        text_end = LENGTHS.size + head
        return json.loads(data[LENGTHS.size : text_end]), bytes(data[text_end:])

    def ask(self, request: dict[str, Any], raw: bytes = b"") -> tuple[Any, bytes]:
        """The answer to a request, which `raw` follows. Raises _Dead."""
        body = json.dumps(request).encode()
        data = memoryview(struct.pack("!I", len(body)) + body + raw)
        try:
            while data:
                data = data[os.write(self.stdin, data) :]
        except OSError as error:
            raise _Dead(str(error)) from error
        return self._receive(request["limits"]["wall_seconds"] + GRACE_SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        with suppress(OSError):  # whatever a candidate built where there are no namespaces, it costs no run
            scratch.empty(self.scratch)
            os.rmdir(self.scratch)


class Pool:
    """Zygotes of one script, each serving one request at a time; one that dies is replaced.

    workers: how many. script: a file that calls `zygote.serve`. settings: in the place of those in DEFAULTS, and
    `readable`: a list of folders that its children may read too. Raises SandboxError where they do not start.
    """

    def __init__(self, workers: int, script: Path, **settings: Any):
        if sys.platform != "linux":
            raise SandboxError(f"the sandbox needs Linux, this is {sys.platform}; use a container or a virtual machine")
        common = DEFAULTS | {"script": str(script)} | settings
        self.settings = [common | {"uid": FIRST_UID + i} for i in range(workers)]
        self.free: queue.LifoQueue[tuple[int, _Zygote | None]] = queue.LifoQueue()  # as few as will do
        self.threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
        self.restarts = 0
        self.layers: list[str] = []
        if not common["at_once"]:
            for index in range(workers):
                self.free.put((index, None))
            return
        for index, zygote in enumerate(self.threads.map(_Zygote, self.settings)):
            self.layers = zygote.layers
            self.free.put((index, zygote))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the zygotes."""
        self.threads.shutdown(wait=True)
        while not self.free.empty():
            _, zygote = self.free.get()
            if zygote is not None:
                zygote.close()

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """`function` over `items` on the pool's threads, results in order; `function` may call `run`."""
        return self.threads.map(function, items)

    def ask(self, request: dict[str, Any], raw: bytes = b"") -> tuple[dict[str, Any], bytes] | None:
        """A free zygote's answer to a request that holds `limits`; None where it did not answer in time."""
        index, zygote = self.free.get()
        try:
            zygote = zygote or _Zygote(self.settings[index])
            facts, data = zygote.ask(request, raw)
            if facts.pop("spoilt", False):
                self._retire(zygote)
                zygote = None
            return facts, data
        except _Dead:
            assert zygote is not None
            self._retire(zygote)
            zygote = None
            return None
        except BaseException:  # Ctrl-C, or a handler that raises: its answer is still to come, and is nobody's
            if zygote is not None:
                self._retire(zygote)
                zygote = None
            raise
        finally:
            self.free.put((index, zygote))

    def _retire(self, zygote: _Zygote) -> None:
        """End a zygote; the next candidate starts a new one in its place."""
        zygote.close()
        self.restarts += 1


class Sandbox(Pool):
    """A pool of zygotes that run Python.

    workers: how many candidates run side by side. limits: of each, where `run` is given no others. hash_seed: decides
    the order of sets of texts. at_once: see DEFAULTS. become, namespaces, landlock: another user, or layers left
    out; for tests of the lockdown. `patience`: times the wall time of `run`, for whoever looks again at what a busy
    machine hid.
    """

    patience = 1

    def __init__(
        self,
        workers: int = 2,
        limits: Limits | None = None,
        become: int | None = None,
        namespaces: bool = True,
        landlock: bool = True,
        hash_seed: int = 0,
        at_once: bool = True,
    ):
        self.limits = limits or Limits()
        script = Path(__file__).with_name("zygote.py")
        layers: dict[str, Any] = {"become": become, "namespaces": namespaces, "landlock": landlock}
        super().__init__(workers, script, **layers, hash_seed=hash_seed, at_once=at_once)
        self._make_twin = partial(Sandbox, workers, limits, **layers, hash_seed=hash_seed + 1, at_once=False)
        self._twin: Sandbox | None = None
        self._lock = threading.Lock()

    @property
    def twin(self) -> Sandbox:
        """A sandbox like this one in which the sets of texts have other orders; its zygotes start when it is asked."""
        with self._lock:
            self._twin = self._twin or self._make_twin()
            return self._twin

    def close(self) -> None:
        """End the zygotes, and the twin's."""
        super().close()
        if self._twin is not None:
            self._twin.close()

    def run(self, source: str, entry: str, calls: list[Any], limits: Limits | None = None) -> Observation:
        """Load a program in a fresh contained process and call one of its functions.

        source: the program. entry: the function's name. calls: argument tuples in wire form. limits: for all of it; the
        sandbox's own where None.
        """
        token, limits = secrets.token_hex(16), limits or self.limits
        limits = replace(limits, wall_seconds=self.patience * limits.wall_seconds)
        answer = self.ask({"source": source, "entry": entry, "calls": calls, "token": token, "limits": asdict(limits)})
        if answer is None:
            return Observation(died="timeout", seconds=limits.wall_seconds, fault=NO_ANSWER)
        return _observation(*answer, token, len(calls))

    def observe(self, source: str, entry: str, calls: list[Any], limits: Limits | None = None) -> Observation:
        """As `run`, and once more, with more wall time, where a fault of ours kept it from being seen. Raises Unseen
        where one does again."""
        limits = limits or self.limits
        seen = self.run(source, entry, calls, limits)
        if seen.fault is not None:
            seen = self.run(source, entry, calls, replace(limits, wall_seconds=MORE_PATIENCE * limits.wall_seconds))
        if seen.fault is not None:
            raise Unseen(f"a program could not be run, twice ({seen.fault}); let the machine calm down")
        return seen

    def ask_surely(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """As `ask`, and once more, with more wall time, where a fault of ours kept it from being seen. Raises Unseen
        where one does again."""
        fault, limits = "", request["limits"]
        for patience in (1, MORE_PATIENCE):
            more = {"wall_seconds": patience * limits["wall_seconds"]}
            answer = self.ask(request | {"limits": limits | more})
            if answer is not None and answer[0]["fault"] is None:
                return answer
            fault = NO_ANSWER if answer is None else answer[0]["fault"]
        raise Unseen(f"a program could not be run, twice ({fault}); let the machine calm down")


def _observation(reply: dict[str, Any], raw: bytes, token: str, expected: int) -> Observation:
    """An observation from a zygote's reply and its child's bytes.

    Whatever is not exactly a well-formed report of this run is none: the candidate may have written it, so each value
    is decoded once here, where a failure is a verdict and no crash of the judge.

    reply: the zygote's facts. raw: the report. token: what marks it as this run's. expected: how many calls were asked.
    """
    seconds, cpu = float(reply["seconds"]), float(reply["cpu"])
    if not raw or reply["timeout"]:
        return Observation(died=_death(reply), seconds=seconds, fault=reply["fault"], cpu_seconds=cpu)
    try:
        report = json.loads(raw)
        if report["token"] != token:
            raise ValueError("not this run's report")
        if report["load"] is not None:
            return Observation(load_error=_text(report["load"]), seconds=seconds, cpu_seconds=cpu)
        if len(report["calls"]) != expected:
            raise ValueError("wrong number of calls")
        outcomes, messages = [], []
        for value, error, mutated, output, message in report["calls"]:
            decode(value), decode(mutated)
            outcomes.append(Outcome(value, _text(error), mutated, _text(output) or ""))
            messages.append(_text(message))
        return Observation(tuple(outcomes), tuple(messages), seconds=seconds, cpu_seconds=cpu)
    except Exception:
        return Observation(died="forged report", seconds=seconds, cpu_seconds=cpu)


def _death(reply: dict[str, Any]) -> str:
    """How a process ended that made no report."""
    number = reply["signal"]
    if reply["timeout"] or number in (signal.SIGKILL, signal.SIGXCPU, signal.SIGPROF):
        return "timeout"
    return f"signal {number}" if number else "silent exit"


def _text(value: object) -> str | None:
    """A printable string or None; anything else is no report."""
    if value is not None and type(value) is not str:
        raise TypeError("not a text")
    return value if value is None else value.encode("utf-8", "backslashreplace").decode()
