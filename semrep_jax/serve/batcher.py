"""The engine of the server: one thread that keeps `Slots` going round while there is anything to do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Condition, Thread

from semrep_jax.rollout.decoding import Ask, Decoding
from semrep_jax.rollout.slots import End, Job, Load, Piece, Slots
from semrep_jax.serve.engine import EngineClosed

PIECES = 1  # of a prompt (`rollout.bucket` tokens) that is read between two chunks of those under way
log = logging.getLogger(__name__)


class Batcher:
    """An `Engine` over a `Decoding`. end_ids: tokens that end a completion."""

    def __init__(self, decoding: Decoding, end_ids: tuple[int, ...]):
        self.decoding, self.slots = decoding, Slots(decoding, end_ids, PIECES)
        self._changed = Condition()
        self._open, self._ending = True, False
        self._thread = Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def load(self) -> Load:
        """What has been done, and what there is to do."""
        return self.slots.load

    def submit(self, ask: Ask, heard: Callable[[Piece], None]) -> Job:
        """Put an ask at the end of the queue. Raises EngineClosed."""
        with self._changed:
            if not self._open:
                raise EngineClosed("the server is going down")
            job = self.slots.submit(ask, heard)
            self._changed.notify()
        return job

    def close(self, seconds: float) -> None:
        """Take no more asks, end what is under way within so many seconds, cancel the rest, end the thread."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._thread.join(seconds)
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether it still decodes; not after `close`, nor where a fault left nothing to begin again with."""
        return self._thread.is_alive()

    def _run(self) -> None:
        last = End.FAILED
        try:
            while self._wait():
                try:
                    self.slots.round()
                except Exception:
                    log.exception("decoding failed; what was under way gets an error, the engine goes on")
                    self.slots.fail()
            last = End.CANCELLED
        except Exception:
            log.exception("decoding can't begin again; the engine has ended")
        finally:
            with self._changed:
                self._open = False
            for job in (*self.slots.rows, *self.slots.queue):
                if job is not None:
                    job.heard(Piece(end=last))

    def _wait(self) -> bool:
        """Sleep while there is nothing to do; False when all is done and no more will come."""
        with self._changed:
            while True:
                busy = self.slots.busy
                if self._ending or (not self._open and not busy):
                    return False
                if busy:
                    return True
                self._changed.wait()


def idle(batcher: Batcher, seconds: float) -> bool:
    """Wait until nothing is waiting or running; False where it took longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        load = batcher.load
        if not load.waiting and not load.running:
            return True
        time.sleep(0.005)
    return False
