"""What the server wants of whatever decodes for it, and nothing more: asks go in, pieces of completions come out.

    handle = engine.submit(ask, heard)      # the engine's thread calls `heard(piece)` until a piece has an end
    handle.cancel()                         # its row is free at the next look

    async for piece in stream(engine, ask): ...

**A completion depends on its ask alone**: the same bits whoever is decoded beside it, in whatever row and order. So
an ask carries its own key, and the key of token t is fold_in(key, t).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Alternatives = tuple[tuple[int, float], ...]  # ids with their log-probs, the likeliest first


class End(StrEnum):
    """Why a completion ended: by itself, at its longest, because nobody wants it any more, or by a fault of ours."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class Ask:
    """One completion that is wanted.

    prompt_ids: token ids of the prompt. key: two 32-bit words, all that decides the draws. max_new: most tokens.
    temperature: 0 takes the likeliest token each time. top_p: draws among the likeliest tokens that hold this much of
    the mass. ranked: whether pieces tell the likeliest alternatives of each token.
    """

    prompt_ids: tuple[int, ...]
    key: tuple[int, int]
    max_new: int
    temperature: float = 1.0
    top_p: float = 1.0
    ranked: bool = False


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


class Handle(Protocol):
    """A completion that is waiting or under way."""

    def cancel(self) -> None:
        """Nobody wants it any more. Called from any thread, at any time, as often as one likes."""


class Engine(Protocol):
    """Decodes asks side by side."""

    def submit(self, ask: Ask, heard: Callable[[Piece], None]) -> Handle:
        """Put an ask at the end of the queue. `heard` gets its pieces, from the engine's own thread, and must not
        block. Raises EngineClosed."""

    def close(self, seconds: float) -> None:
        """Take no more asks, end what is under way within so many seconds and cancel the rest."""


class EngineClosed(Exception):
    """The engine takes no more asks: the server is going down."""


class EngineFault(Exception):
    """The engine failed while it decoded this completion."""


async def stream(engine: Engine, ask: Ask) -> AsyncIterator[Piece]:
    """The pieces of a completion; leaving the loop early cancels it. Raises EngineFault, EngineClosed."""
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue[Piece]()
    handle = engine.submit(ask, lambda piece: _tell(loop, pieces, piece))
    try:
        while True:
            piece = await pieces.get()
            if piece.end is End.FAILED:
                raise EngineFault("the engine failed while it decoded; its log says why")
            yield piece
            if piece.end is not None:
                return
    finally:
        handle.cancel()


def _tell(loop: asyncio.AbstractEventLoop, pieces: asyncio.Queue[Piece], piece: Piece) -> None:
    try:
        loop.call_soon_threadsafe(pieces.put_nowait, piece)
    except RuntimeError:  # the loop has ended, and whoever listened with it
        pass
