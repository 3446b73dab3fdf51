"""The memory that a candidate is run in: its buffers laid out in one block of bytes, and what is there afterwards.

    | report | pattern  x  | page  | pattern  y (0xff) | page  | shared memory of launch 1 | page  | ...
                            no access                   no access                          no access

Memory is hostile: outputs and scratch begin as 0xff bytes, at least 256 bytes of pattern lie before each buffer, and an
unreadable page behind it, as near as an alignment of 16 bytes allows.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semrep_jax.cuda.candidate.candidate import Candidate
from semrep_jax.cuda.candidate.launches import ResolvedLaunch
from semrep_jax.cuda.emulator.report import Unsupported
from semrep_jax.cuda.spec import DTYPES

PAGE = mmap.PAGESIZE
ALIGNMENT = 16
MARGIN = 256
PATTERN = 0xA5
UNINITIALISED = 0xFF
MAX_BYTES = 192 << 20


@dataclass(frozen=True)
class Execution:
    """One execution: the launches, buffers with their content (type and length of what begins as 0xff), the schedule.

    Schedule 0 runs threads and blocks in order, 1 reversed, others at random.
    """

    launches: Sequence[ResolvedLaunch]
    buffers: Mapping[str, np.ndarray | tuple[np.dtype, int]]
    schedule: int = 0


@dataclass(frozen=True)
class BufferSpan:
    """Where a buffer lies, in bytes from the beginning: its own bytes, and the page behind that must not be touched."""

    start: int
    size: int
    guard: int

    @property
    def end(self) -> int:
        """The byte after its last one."""
        return self.start + self.size

    @property
    def margin_start(self) -> int:
        """Where the pattern before it begins."""
        return (self.start - MARGIN) // PAGE * PAGE


@dataclass(frozen=True)
class Layout:
    """The shared memory of all executions: its content, what the cage has to do with it, each execution's buffers."""

    content: bytes
    requests: list[dict[str, Any]]
    spans: list[dict[str, BufferSpan]]


class _Arena:
    """Spans one after the other, behind a first page for the report."""

    def __init__(self) -> None:
        self.end = PAGE
        self.guards: list[int] = []

    def span(self, size: int, margin: int = 0) -> BufferSpan:
        """Room for `size` bytes that end at a guard page, at least `margin` bytes behind the one before."""
        guard = self.end + max(1, _pages(size + margin)) * PAGE
        self.end = guard + PAGE
        self.guards.append(guard)
        return BufferSpan((guard - size) // ALIGNMENT * ALIGNMENT, size, guard)

    def taken_guards(self) -> list[int]:
        """The guard pages since the last call."""
        guards, self.guards = self.guards, []
        return guards


def lay_out(candidate: Candidate, executions: Sequence[Execution]) -> Layout:
    """The shared memory of `executions`. Raises Unsupported where they need too much."""
    arena, requests, spans = _Arena(), [], []
    for execution in executions:
        buffers = {name: arena.span(_nbytes(content), MARGIN) for name, content in execution.buffers.items()}
        launches = [
            _request(launch, candidate.kernels.index(launch.kernel), arena.span(launch.shared), buffers)
            for launch in execution.launches
        ]
        requests.append({"guards": arena.taken_guards(), "launches": launches, "schedule": execution.schedule})
        spans.append(buffers)
        if arena.end > MAX_BYTES:
            raise Unsupported(
                f"its buffers take more than {MAX_BYTES >> 20} MiB over all executions; declare less scratch"
            )
    return Layout(_filled(arena.end, executions, spans), requests, spans)


def read_buffers(memory: np.ndarray, spans: Mapping[str, BufferSpan], execution: Execution) -> dict[str, np.ndarray]:
    """The buffers of an execution by name, copied out of `memory` (uint8) and in their types.

    memory: all of the shared memory, as the cage gives it back. spans: where this execution's buffers lie in it, by
    name. execution: says of what types they are.
    """
    found = {}
    for name, span in spans.items():
        content = execution.buffers[name]
        dtype = content.dtype if isinstance(content, np.ndarray) else content[0]
        found[name] = memory[span.start : span.end].copy().view(dtype)
    return found


def overwritten_margin(memory: np.ndarray, spans: Mapping[str, BufferSpan]) -> str | None:
    """Around which buffer the pattern was written over, in words; None where it was not."""
    for name, span in spans.items():
        if (memory[span.margin_start : span.start] != PATTERN).any():
            return f"it wrote before the beginning of {name}"
        if (memory[span.end : span.guard] != PATTERN).any():
            return f"it wrote behind the end of {name}"
    return None


def nearest_buffer(offset: int, spans: Mapping[str, BufferSpan]) -> str:
    """To which buffer a place in the memory belongs, in words."""
    for name, span in spans.items():
        if span.end <= offset < span.end + 2 * PAGE:
            return f"{offset - span.end} bytes behind the end of {name} ({span.size} bytes)"
        if span.start - 2 * PAGE <= offset < span.start:
            return f"{span.start - offset} bytes before the beginning of {name}"
    return "far from every buffer"


def _pages(size: int) -> int:
    return -(-size // PAGE)


def _nbytes(content: np.ndarray | tuple[np.dtype, int]) -> int:
    return content.nbytes if isinstance(content, np.ndarray) else content[0].itemsize * content[1]


def _request(
    launch: ResolvedLaunch, kernel: int, shared: BufferSpan, buffers: Mapping[str, BufferSpan]
) -> list[object]:
    """A launch as the cage takes it: kernel, sizes, dynamic shared memory and its bytes, arguments."""
    args = [buffers[a].start if isinstance(a, str) else [a[0], _scalar_bits(*a)] for a in launch.args]
    return [kernel, [*launch.grid, *launch.block], shared.start, launch.shared, args]


def _scalar_bits(dtype: str, value: int | float) -> int | float:
    """A scalar's value as JSON carries it: the types of 16 bits by their bits."""
    if dtype in ("f32", "f64"):
        return float(value)
    if dtype in ("f16", "bf16"):
        return int(np.array(value, DTYPES[dtype]).view(np.uint16))
    return int(value)


def _filled(size: int, executions: Sequence[Execution], spans: Sequence[Mapping[str, BufferSpan]]) -> bytes:
    """The memory before the first launch."""
    memory = np.zeros(size, np.uint8)
    for execution, buffers in zip(executions, spans, strict=True):
        for name, content in execution.buffers.items():
            span = buffers[name]
            memory[span.margin_start : span.guard] = PATTERN
            given = np.frombuffer(content.tobytes(), np.uint8) if isinstance(content, np.ndarray) else UNINITIALISED
            memory[span.start : span.end] = given
    return memory.tobytes()
