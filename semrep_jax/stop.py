"""A gentle stop: SIGTERM and SIGINT ask, the loops save and end between steps."""

from __future__ import annotations

import signal
from types import FrameType


class Stop:
    """Turns SIGTERM and SIGINT into a flag that the loop reads between steps; a second SIGINT interrupts at once."""

    def __init__(self) -> None:
        self.wanted = False

    def __enter__(self) -> Stop:
        self.previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.wanted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.wanted = True

    def __exit__(self, *exc: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)


class Stopped(Exception):
    """The run was asked to stop and has saved; `main` exits with 0."""
