"""The errors that a user can mend; `main` prints one on one line and exits with its code."""

from __future__ import annotations


class SemRepError(Exception):
    """Base of every error that a user can mend; `exit_code` is 2 for a mistake in config or input, 1 for a fault of
    ours."""

    exit_code = 2


class TaskError(SemRepError):
    """A task, a suite or its data is malformed, empty or missing."""


class NonFiniteError(SemRepError):
    """Weights, log-probs, a loss, a gradient or an update are NaN or infinite."""


class ProgramError(SemRepError):
    """A person's file can't be read, or is no program."""


def first_line(error: Exception) -> str:
    """The first line of what a stranger's error says, or its name where it says nothing: for an error of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
