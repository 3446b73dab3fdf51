"""What the server wants of whatever decodes for it, and nothing more: asks go in, pieces of completions come out.

handle = engine.submit(ask, heard)      # the engine's thread calls `heard(piece)` until a piece has an end
handle.cancel()                         # its row is free at the next look

async for piece in stream(engine, ask): ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from semrep_jax.rollout.decoding import Ask
from semrep_jax.rollout.slots import End, Piece


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
