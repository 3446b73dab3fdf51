"""HTTP connections that a stranger can't hold for nothing: each has some seconds to send the head of a request.

uvicorn ends a connection that is idle after an answer; of one that has asked nothing yet, or half, it waits for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def impatient(seconds: float) -> type[H11Protocol]:
    """uvicorn's protocol, closing a connection that has not sent the head of a request in so many seconds."""

    class Impatient(H11Protocol):
        waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def on_response_complete(self) -> None:
            self._wait()  # for the next one, whose head may have come already
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            if self.waiting is not None:
                self.waiting.cancel()
            super().connection_lost(exc)

        def _wait(self) -> None:
            if self.waiting is not None:
                self.waiting.cancel()
            self.waiting = self.loop.call_later(seconds, self._give_up)

        def _give_up(self) -> None:
            asked = self.cycle is not None and not self.cycle.response_complete
            if not asked and not self.transport.is_closing():
                self.transport.close()

    return Impatient
