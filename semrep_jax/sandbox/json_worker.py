"""A helper process that answers a line of JSON with a line of JSON, and can be killed: the compilers and the GPU workers."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

START_SECONDS = 60.0


class JsonWorker:
    """`script` in a process of its own. `ready` is its first line, None where it ended or hung instead (`tail` says why)."""

    def __init__(self, script: Path, environment: Mapping[str, str] | None = None):
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self.ready = self.receive(START_SECONDS)
        self.tail = ""
        if self.ready is None:
            self.process.kill()
            assert self.process.stderr is not None
            self.tail = " ".join(self.process.stderr.read().decode(errors="replace").strip().splitlines()[-1:])

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """The next line, or None where none comes in time."""
        assert self.process.stdout is not None
        deadline, data = time.monotonic() + seconds, b""
        while not data.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            more = self.process.stdout.read1(1 << 20)  # type: ignore[attr-defined]
            if not more:
                return None
            data += more
        try:
            found = json.loads(data)
        except ValueError:  # two lines or none of ours: whoever spoke, the next answer would be to the last question
            return None
        return found if isinstance(found, dict) else None

    def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any] | None:
        """The answer, or None where the process is gone or takes longer; close it then."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            return None
        return self.receive(seconds)

    def close(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
