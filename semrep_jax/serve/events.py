"""Server-sent events: pieces go out as they are made, and nothing more is made for a client that left or hangs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from semrep_jax.serve.guard import Gone, while_there
from semrep_jax.serve.wire import RequestError

log = logging.getLogger(__name__)
FAULT = {"message": "a fault of the server; its log says why", "type": "server_error", "param": None, "code": None}


class EventStream(Response):
    """A response of `data: {...}` lines with `data: [DONE]` at the end.

    events: what goes out; closed when the client leaves, or does not take a piece within `seconds`. A fault on the way
    goes out as an error. ended: called at the end, whatever it is, with whether all went out.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[dict[str, Any]], seconds: float, ended: Callable[[bool], None]):
        self.events, self.seconds, self.ended = events, seconds, ended
        self.status_code, self.background = 200, None
        self.init_headers({"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything."""
        whole = False
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await while_there(Request(scope, receive), self._send_all(send))
            whole = True
        except (Gone, OSError):
            pass
        except TimeoutError:
            log.warning("a client took nothing for %g s; its stream is ended", self.seconds)
        finally:
            self.ended(whole)

    async def _send_all(self, send: Send) -> None:
        try:
            async for event in self.events:
                await self._send(send, event)
        except RequestError as error:
            await self._send(send, error.body)
        except (OSError, TimeoutError):
            raise
        except Exception:
            log.exception("a stream failed")
            await self._send(send, {"error": FAULT})
        finally:
            await self.events.aclose()
        await self._out(send, b"data: [DONE]\n\n", more=False)

    async def _send(self, send: Send, event: dict[str, Any]) -> None:
        await self._out(send, f"data: {json.dumps(event)}\n\n".encode(), more=True)

    async def _out(self, send: Send, body: bytes, more: bool) -> None:
        async with asyncio.timeout(self.seconds):
            await send({"type": "http.response.body", "body": body, "more_body": more})
