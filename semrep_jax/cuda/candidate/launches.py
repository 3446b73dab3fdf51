"""The nouns of a launch list."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """One launch of the list, as written: expressions still."""

    kernel: str
    grid: tuple[str | int, ...]
    block: tuple[str | int, ...]
    shared: str | int
    args: tuple[str, ...]


@dataclass(frozen=True)
class Scratch:
    """A buffer of the candidate's own: element type and length."""

    dtype: str
    length: str


@dataclass(frozen=True)
class ResolvedLaunch:
    """A launch at given axes. An argument is a buffer's name, or (type, value)."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared: int
    args: tuple[str | tuple[str, int | float], ...]
