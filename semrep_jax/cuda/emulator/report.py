"""What the runtime tells of a launch that did not end well, and the words for it.

The runtime (`runtime.cpp`) writes a report into the first page of the shared memory, which outlives its process. The
candidate runs in that process and may write there too: nothing in a report is believed but that the run went wrong.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Status
from semrep_jax.cuda.status import KernelStatus

RUNS_DONE = struct.Struct("=q")
RUNS_DONE_AT = 1024  # bytes from the beginning of the shared memory
_REPORT = struct.Struct("=4q3q3q240s")  # struct Report of runtime.cpp


class RuntimeStatus(IntEnum):
    """`enum Status` of runtime.hpp."""

    RUNNING = 0
    FINISHED = 1
    RACE = 2
    UNSUPPORTED = 3
    ASSERT = 4
    FAULT = 5
    LAUNCH = 6
    MISALIGNED = 7
    OUTSIDE = 8


FAILED: dict[int, str] = {  # what `fail` of the runtime was called with, and the verdict
    RuntimeStatus.RACE: KernelStatus.RACE,
    RuntimeStatus.UNSUPPORTED: KernelStatus.UNSUPPORTED,
    RuntimeStatus.ASSERT: KernelStatus.LAUNCH,
    RuntimeStatus.LAUNCH: KernelStatus.UNSUPPORTED,
    RuntimeStatus.MISALIGNED: Status.MEMORY,
    RuntimeStatus.OUTSIDE: Status.MEMORY,
}


class Unsupported(SemRepError):
    """The program uses something that the emulator does not know; it may well be right."""


@dataclass(frozen=True)
class Fault:
    """How a program went wrong: the verdict's status, a sentence, and the index of the execution it happened in."""

    status: str
    text: str
    execution: int


@dataclass(frozen=True)
class Report:
    """A report.

    status: a RuntimeStatus, or whatever a candidate has written there. line: of the candidate; of a FAULT, the number
    of the signal. address: the one that was not to be touched.
    """

    status: int
    line: int
    address: int
    block: tuple[int, int, int]
    thread: tuple[int, int, int]
    text: str

    @property
    def where(self) -> str:
        """The thread that reports."""
        return f"thread {self.thread} of block {self.block}"


def read_report(memory: bytes) -> Report:
    """The report in the first page of the shared memory."""
    status, line, _, address, *indices, text = _REPORT.unpack_from(memory, 0)
    block, thread = (indices[0], indices[1], indices[2]), (indices[3], indices[4], indices[5])
    return Report(status, line, address, block, thread, text.split(b"\0")[0].decode("utf-8", "replace"))


def read_runs_done(memory: bytes) -> int:
    """How many executions came to their end."""
    return RUNS_DONE.unpack_from(memory, RUNS_DONE_AT)[0]
