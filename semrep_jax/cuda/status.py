"""What a kernel can meet beside what every program can (`core.programs.Status`)."""

from __future__ import annotations

from enum import StrEnum


class KernelStatus(StrEnum):
    """The statuses of CUDA's own.

    BANNED: the text reaches for what no candidate may have. LAUNCH: no GPU could start one of its launches. RACE: right
    in one order of threads and blocks and wrong in another, or a barrier that not all reach. NONDETERMINISTIC: a GPU
    gives two answers to the same inputs. NUMERIC: the answer is wrong. HACK_SUSPECT: a time that is faster than the GPU
    can be. UNSUPPORTED: the emulator does not know something that the program uses; it may well be right.
    """

    BANNED = "banned"
    LAUNCH = "launch"
    RACE = "race"
    NONDETERMINISTIC = "nondeterministic"
    NUMERIC = "numeric"
    HACK_SUSPECT = "hack_suspect"
    UNSUPPORTED = "unsupported"
