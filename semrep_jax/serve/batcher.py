"""The engine of the server: a queue before the rows of `decoding`, and one thread that keeps them busy.

Each round it fills the rows that are free from the queue, decodes a chunk of tokens in all of them, and tells
whoever listens. A completion that ended, or that nobody wants any more, leaves its row to the next in the queue while
its neighbours go on. Prompts that were prefilled lately (the n samples of a request) are not prefilled again.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any

import jax
import numpy as np
from cachetools import LRUCache

from semrep_jax.model.decoder import Cache
from semrep_jax.serve.decoding import Decoding
from semrep_jax.serve.engine import Ask, End, EngineClosed, Piece

KEPT_PROMPTS = 4
log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """A completion in the queue or in a row. `drawn`: tokens so far. `unwanted`: cancelled."""

    ask: Ask
    heard: Callable[[Piece], None]
    drawn: int = 0
    unwanted: bool = False

    def cancel(self) -> None:
        """Nobody wants it any more; its row is free before the next chunk."""
        self.unwanted = True


@dataclass
class Load:
    """What the engine has done and holds. chunks: decoded. busy: rows with a completion, summed over chunks. tokens:
    given out. waiting, running: completions now."""

    chunks: int = 0
    busy: int = 0
    tokens: int = 0
    prefills: int = 0
    waiting: int = 0
    running: int = 0


class Batcher:
    """An `Engine` over a `Decoding`. end_ids: tokens that end a completion."""

    def __init__(self, decoding: Decoding, end_ids: tuple[int, ...]):
        self.decoding, self.end_ids = decoding, frozenset(end_ids)
        self._rows: list[Job | None] = [None] * decoding.count
        self._queue: deque[Job] = deque()
        self._changed = Condition()
        self._open, self._ending = True, False
        self._prompts: LRUCache[tuple[int, ...], tuple[jax.Array, list[Cache]]] = LRUCache(KEPT_PROMPTS)
        self._done = Load()
        self._thread = Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def load(self) -> Load:
        """What has been done, and what there is to do."""
        done = self._done
        running = sum(job is not None for job in self._rows)
        return Load(done.chunks, done.busy, done.tokens, done.prefills, len(self._queue), running)

    def submit(self, ask: Ask, heard: Callable[[Piece], None]) -> Job:
        """Put an ask at the end of the queue. Raises EngineClosed."""
        job = Job(ask, heard)
        with self._changed:
            if not self._open:
                raise EngineClosed("the server is going down")
            self._queue.append(job)
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
                    self._fill()
                    if any(job is not None for job in self._rows):
                        self._advance()
                except Exception:
                    log.exception("decoding failed; what was under way gets an error, the engine goes on")
                    self._fail()
            last = End.CANCELLED
        except Exception:
            log.exception("decoding can't begin again; the engine has ended")
        finally:
            with self._changed:
                self._open = False
            for job in (*self._rows, *self._queue):
                if job is not None:
                    job.heard(Piece(end=last))

    def _wait(self) -> bool:
        """Sleep while there is nothing to do; False when all is done and no more will come."""
        with self._changed:
            while True:
                busy = bool(self._queue) or any(job is not None for job in self._rows)
                if self._ending or (not self._open and not busy):
                    return False
                if busy:
                    return True
                self._changed.wait()

    def _fill(self) -> None:
        """Drop completions that nobody wants, in rows and in the queue, and begin as many as there is room for."""
        with self._changed:
            unwanted = [job for job in self._queue if job.unwanted]
            if unwanted:
                self._queue = deque(job for job in self._queue if not job.unwanted)
        for job in unwanted:
            job.heard(Piece(end=End.CANCELLED))
        for row, occupant in enumerate(self._rows):
            if occupant is not None and occupant.unwanted:
                self._leave(row, Piece(end=End.CANCELLED))
            if self._rows[row] is None and (new := self._next()) is not None:
                self._rows[row] = new
                self.decoding.admit(row, new.ask, *self._prefilled(new.ask.prompt_ids))

    def _next(self) -> Job | None:
        with self._changed:
            return self._queue.popleft() if self._queue else None

    def _prefilled(self, ids: tuple[int, ...]) -> tuple[jax.Array, list[Cache]]:
        if ids not in self._prompts:
            self._prompts[ids] = self.decoding.prefill(ids)
            self._done.prefills += 1
        return self._prompts[ids]

    def _advance(self) -> None:
        """A chunk of every row, told to who listens."""
        live_R = np.array([job is not None for job in self._rows])
        tokens_RC, logprobs_RC, hidden = self.decoding.advance(live_R)
        self._done.chunks += 1
        self._done.busy += int(live_R.sum())
        ranked = any(job is not None and job.ask.ranked for job in self._rows)
        ranked_RC = self.decoding.alternatives(hidden) if ranked else None
        for row, job in enumerate(self._rows):
            if job is not None:
                piece = self._piece(row, job, tokens_RC[row], logprobs_RC[row], ranked_RC)
                job.drawn += len(piece.token_ids)
                self._done.tokens += len(piece.token_ids)
                if piece.end is None:
                    job.heard(piece)
                else:
                    self._leave(row, piece)

    def _piece(self, row: int, job: Job, token_C: np.ndarray, logprob_C: np.ndarray, ranked_RC: Any) -> Piece:
        """What a chunk gave a completion: its tokens up to the first that ends it or to its longest.

        row, job: which. token_C, logprob_C: drawn in this chunk. ranked_RC: tokens and log-probs [R, C, 5], or None.
        """
        tokens = [int(token) for token in token_C[: job.ask.max_new - job.drawn]]
        ends = next((place for place, token in enumerate(tokens) if token in self.end_ids), None)
        end = None
        if ends is not None:
            tokens, end = tokens[: ends + 1], End.STOP
        elif job.drawn + len(tokens) >= job.ask.max_new:
            end = End.LENGTH
        logprobs = tuple(float(value) for value in logprob_C[: len(tokens)])
        ranked: list[tuple[tuple[int, float], ...]] = []
        if job.ask.ranked:
            of_row = zip(ranked_RC[0][row], ranked_RC[1][row], strict=True)
            ranked = [tuple((int(i), float(lp)) for i, lp in zip(*both, strict=True)) for both in of_row]
        return Piece(tuple(tokens), logprobs, tuple(ranked[: len(tokens)]), end)

    def _leave(self, row: int, piece: Piece) -> None:
        job = self._rows[row]
        self._rows[row] = None
        if job is not None:
            job.heard(piece)

    def _fail(self) -> None:
        """Tell all that are under way, and begin again with empty rows. Those in the queue may still be served."""
        for row in range(len(self._rows)):
            self._leave(row, Piece(end=End.FAILED))
        self._prompts.clear()
        self.decoding.reset()


def idle(batcher: Batcher, seconds: float) -> bool:
    """Wait until nothing is waiting or running; False where it took longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        load = batcher.load
        if not load.waiting and not load.running:
            return True
        time.sleep(0.005)
    return False
