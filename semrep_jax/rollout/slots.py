"""Continuous batching: a queue before the rows of `decoding`, whose freed rows go to the next in the queue at once.

    slots = Slots(decoding, tokenizer.end_ids)
    job = slots.submit(ask, heard)     # heard(piece) is called, from `round`, until a piece has an end
    while slots.busy:
        slots.round()                  # fills free rows, decodes a chunk of tokens in all, tells who listens

**A completion depends on its ask alone**: the same bits whoever is decoded beside it, in whatever row and order. So an
ask carries its own key, and the key of token t is fold_in(key, t). Prompts that were read lately (the n samples of one)
are not read again, and completions of one prompt that wait together begin together. A long prompt can be read in
pieces, between the chunks of those that are under way. `submit` and `cancel` may be called from any thread, `round`
from one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from cachetools import LRUCache

from semrep_jax.rollout.decoding import Ask, Decoding, ReadPrompt

KEPT_PROMPTS = 4
Alternatives = tuple[tuple[int, float], ...]  # ids with their log-probs, the likeliest first


class End(StrEnum):
    """Why a completion ended: by itself, at its longest, because nobody wants it any more, or by a fault of ours."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class Piece:
    """Further tokens of a completion.

    token_ids, logprobs: the new tokens (the one that ended it included) and their log-probs (nats) under the tempered
    distribution over the whole vocabulary. ranked: of each token, the likeliest ones in its place, where asked for.
    end: None while more will come.
    """

    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    ranked: tuple[Alternatives, ...] = ()
    end: End | None = None


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
    """What has been done, and what there is to do. chunks: decoded. busy: rows with a completion, summed over chunks.
    tokens: given out. waiting, running: completions now."""

    chunks: int = 0
    busy: int = 0
    tokens: int = 0
    prefills: int = 0
    waiting: int = 0
    running: int = 0


class Slots:
    """Keeps the rows of a `Decoding` busy.

    end_ids: tokens that end a completion. pieces: of a prompt that are read between two chunks of those under way, who
    wait meanwhile; None for all of it, which keeps more rows busy.
    """

    def __init__(self, decoding: Decoding, end_ids: tuple[int, ...], pieces: int | None = None):
        self.decoding, self.end_ids, self.pieces = decoding, frozenset(end_ids), pieces
        self.rows: list[Job | None] = [None] * decoding.count
        self.queue: deque[Job] = deque()
        self._prompts: LRUCache[tuple[int, ...], ReadPrompt] = LRUCache(KEPT_PROMPTS)
        self._done = Load()

    @property
    def busy(self) -> bool:
        """Whether anything waits or is under way."""
        return bool(self.queue) or any(job is not None for job in self.rows)

    @property
    def load(self) -> Load:
        """What has been done, and what there is to do."""
        done, running = self._done, sum(job is not None for job in self.rows)
        return Load(done.chunks, done.busy, done.tokens, done.prefills, len(self.queue), running)

    def submit(self, ask: Ask, heard: Callable[[Piece], None]) -> Job:
        """Put an ask at the end of the queue."""
        job = Job(ask, heard)
        self.queue.append(job)
        return job

    def round(self) -> None:
        """Fill the rows that are free, and decode a chunk in all."""
        self._fill()
        if any(job is not None for job in self.rows):
            self._advance()

    def load_params(self, params: Any) -> None:
        """Decode with these parameters from now on; nothing may be under way."""
        self._prompts.clear()
        self.decoding.load(params)

    def fail(self) -> None:
        """Tell all that are under way that they failed, and begin again with empty rows. Those in the queue may still
        be served."""
        for row in range(len(self.rows)):
            self._leave(row, Piece(end=End.FAILED))
        self._prompts.clear()
        self.decoding.reset()

    def forget(self) -> None:
        """Drop all that waits or is under way, and tell nobody."""
        self.queue.clear()
        self.rows = [None] * len(self.rows)
        self._prompts.clear()
        self.decoding.reset()

    def _fill(self) -> None:
        """Drop completions that nobody wants, in rows and in the queue, and begin as many as there is room for."""
        for job in [job for job in tuple(self.queue) if job.unwanted]:
            self.queue.remove(job)  # another thread may be adding to its end
            job.heard(Piece(end=End.CANCELLED))
        for row, occupant in enumerate(self.rows):
            if occupant is not None and occupant.unwanted:
                self._leave(row, Piece(end=End.CANCELLED))
        while self.queue and None in self.rows:
            ids = self.queue[0].ask.prompt_ids
            if not self._is_read(ids):
                return
            begin: list[tuple[int, Job]] = []
            for row, occupant in enumerate(self.rows):
                if occupant is None and self.queue and self.queue[0].ask.prompt_ids == ids:
                    self.rows[row] = new = self.queue.popleft()
                    begin.append((row, new))
            rows, jobs = zip(*begin, strict=True)
            self.decoding.admit(rows, [job.ask for job in jobs], self._prompts[ids])

    def _is_read(self, ids: tuple[int, ...]) -> bool:
        """Read on in a prompt, as far as those under way may be kept waiting; whether it is read now."""
        if ids not in self._prompts:
            self._prompts[ids] = self.decoding.begin(ids)
            self._done.prefills += 1
        prompt, pieces = self._prompts[ids], 0
        while not prompt.read and (pieces != self.pieces or not any(job is not None for job in self.rows)):
            self.decoding.read_on(prompt)
            pieces += 1
        return prompt.read

    def _advance(self) -> None:
        """A chunk of every row, told to who listens."""
        live_R = np.array([job is not None for job in self.rows])
        tokens_RC, logprobs_RC, hidden = self.decoding.advance(live_R)
        self._done.chunks += 1
        self._done.busy += int(live_R.sum())
        ranked = any(job is not None and job.ask.ranked for job in self.rows)
        ranked_RC = self.decoding.alternatives(hidden) if ranked else None
        for row, job in enumerate(self.rows):
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
        ranked: list[Alternatives] = []
        if job.ask.ranked:
            of_row = zip(ranked_RC[0][row], ranked_RC[1][row], strict=True)
            ranked = [tuple((int(i), float(lp)) for i, lp in zip(*both, strict=True)) for both in of_row]
        return Piece(tuple(tokens), logprobs, tuple(ranked[: len(tokens)]), end)

    def _leave(self, row: int, piece: Piece) -> None:
        job = self.rows[row]
        self.rows[row] = None
        if job is not None:
            job.heard(piece)
