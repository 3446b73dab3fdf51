"""A helper process that answers a line of JSON with a line of JSON, and can be killed: compilers and GPU workers.

worker = JsonWorker(Path("nvrtc_worker.py"))
answer = worker.ask({"text": ...}, seconds=60)       # None where it crashed or hung: close it then
"""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from semrep_jax.core import progress
from semrep_jax.sandbox import children

START_SECONDS = 60.0
END_SECONDS = 10.0  # for a process to end that was killed


class JsonWorker:
    """`script` in a process of its own, with `environment` in the place of ours; it ends with this process, however
    that ends.

    `ready` is its first line, None where it ended or hung instead; `tail` is the last line of its errors then.
    """

    def __init__(self, script: Path, environment: Mapping[str, str] | None = None):
        self.process = children.start(
            [sys.executable, "-P", "-c", children.ENDING_WITH_US, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self.ready = self.receive(START_SECONDS)
        self.tail = ""
        if self.ready is None:
            self.tail = self._last_error() if self._ended() else "it does not start, and can't be killed"

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """The next line, or None where none comes in time."""
        assert self.process.stdout is not None
        deadline, data = time.monotonic() + seconds, b""
        while not data.endswith(b"\n"):
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not select.select([self.process.stdout], [], [], remaining)[0]:
                return None
            more = self.process.stdout.read1(1 << 20)  # type: ignore[attr-defined]
            if not more:
                return None
            data += more
        try:
            answer = json.loads(data)
        except ValueError:  # two lines or none of ours: whoever spoke, the next answer would be to the last question
            return None
        return answer if isinstance(answer, dict) else None

    def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any] | None:
        """The answer, or None where the process is gone or takes longer; close it then."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            return None
        return self.receive(seconds)

    def killed(self) -> bool:
        """Whether one that gave no answer was ended from outside, or has not ended: no fault of what it was asked."""
        try:
            return self.process.wait(1.0) in (-signal.SIGKILL, -signal.SIGTERM)
        except subprocess.TimeoutExpired:
            return True

    def close(self) -> None:
        """End the process, whatever it does; one that does not end, as in a driver's call that nothing interrupts, is
        left alone, and that is said."""
        if not self._ended():
            said = f"process {self.process.pid} was killed and has not ended in {END_SECONDS:g} s: it is left alone"
            progress.console.print(f"{said}, with what it holds", highlight=False)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):  # what is left of a question to a process that had ended
                pipe.close()

    def _ended(self) -> bool:
        """Kill the process; whether it has ended then."""
        self.process.kill()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _last_error(self) -> str:
        """The last line that the process, which has ended, wrote to its errors."""
        assert self.process.stderr is not None
        errors = self.process.stderr.read().decode(errors="replace").strip().splitlines()
        return errors[-1] if errors else ""
