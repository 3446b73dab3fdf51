"""The nouns of a launch list: as it is written, over symbolic axes, and as it is at given axes.

Launch("scale", ("ceil_div(N, 256)",), (256,), 0, (TensorRef("x"), TensorRef("y"), Scalar("i32", "N")))
ResolvedLaunch("scale", (4, 1, 1), (256, 1, 1), 0, ("x", "y", ("i32", 1000)))                             # at N = 1000
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Expression = str | int  # over the axes; see `expressions`


@dataclass(frozen=True)
class TensorRef:
    """An argument that is a buffer, by name: an input, an output, or a scratch buffer."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Scalar:
    """An argument that is a number: its type, and an expression over the axes."""

    dtype: str
    expression: str

    def __str__(self) -> str:
        return f"{self.dtype}:{self.expression}"


Argument = TensorRef | Scalar


@dataclass(frozen=True)
class Launch:
    """One launch of the list, as written: expressions still. `shared` is bytes of dynamic shared memory."""

    kernel: str
    grid: tuple[Expression, ...]
    block: tuple[Expression, ...]
    shared: Expression
    args: tuple[Argument, ...]


@dataclass(frozen=True)
class Scratch:
    """A buffer of the candidate's own: element type, and length as an expression."""

    dtype: str
    length: str


class BufferSize(NamedTuple):
    """A scratch buffer at given axes: element type, and number of elements."""

    dtype: str
    elements: int


@dataclass(frozen=True)
class ResolvedLaunch:
    """A launch at given axes. An argument is a buffer's name, or (type, value)."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared: int
    args: tuple[str | tuple[str, int | float], ...]
