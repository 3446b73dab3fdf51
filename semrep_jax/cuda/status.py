"""What a kernel can meet beside what every program can (`core.programs.Status`)."""

from __future__ import annotations

from enum import StrEnum


class KernelStatus(StrEnum):
    """The words of CUDA's own."""

    BANNED = "banned"
    LAUNCH = "launch"
    RACE = "race"
    NONDETERMINISTIC = "nondeterministic"
    NUMERIC = "numeric"
    HACK_SUSPECT = "hack_suspect"
    UNSUPPORTED = "unsupported"
