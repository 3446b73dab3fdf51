"""A gentle stop: SIGTERM and SIGINT to any process of a run ask, the loops save and end between steps."""

from __future__ import annotations

import os
import signal
from types import FrameType

from semrep_jax.core.peers import ALONE, Peers


class Stop:
    """Turns SIGTERM and SIGINT into a flag that the loop reads between steps; a second SIGINT interrupts at once."""

    def __init__(self, peers: Peers = ALONE) -> None:
        self.peers = peers
        self.asked = False

    @property
    def wanted(self) -> bool:
        """Whether any process was asked to stop.

        **Read it once a step, on every process, and act on that value.** The trap: `while not stop.wanted: ...; if
        stop.wanted: ...` reads twice; a signal between the two makes one process leave the loop while the others wait
        for it in the next step.
        """
        return self.peers.any_process(self.asked)

    def __enter__(self) -> Stop:
        self.previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.asked and number == signal.SIGINT:  # not by print, which a signal may have interrupted
            os.write(2, b"\nstopping: what is under way is ended and saved; Ctrl-C again ends at once\n")
        self.asked = True

    def __exit__(self, *exc: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)


class Stopped(Exception):
    """The run was asked to stop and has saved; `main` exits with 0."""
