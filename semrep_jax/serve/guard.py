"""What stands between strangers and the engine: sizes, times, the key, how many may wait, and who has left."""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from semrep_jax.serve.wire import RequestError

T = TypeVar("T")
LONGEST_PAUSE = 60  # s
CLOSE = {"Connection": "close"}


class Gone(Exception):
    """The client has left; there is nobody to answer."""


async def read_body(request: Request, most_kb: int, seconds: float) -> bytes:
    """The body of a request.

    most_kb: its longest (KiB); one that says it is longer is not read at all, one that is gets no further. seconds: the
    longest wait for all of it. Raises RequestError (413, 408), Gone.
    """
    refused = RequestError(
        413, f"the body is longer than {most_kb} KiB, the most that this server takes", code="body_too_large",
        headers=CLOSE,
    )  # fmt: skip
    told = request.headers.get("content-length", "0")
    if not told.isdigit() or int(told) > most_kb * 1024:
        raise refused
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                body += part
                if len(body) > most_kb * 1024:
                    raise refused
    except TimeoutError as error:
        raise RequestError(408, f"the body did not arrive in {seconds:g} s", headers=CLOSE) from error
    except ClientDisconnect as error:
        raise Gone from error
    return bytes(body)


def check_key(request: Request, key: str | None) -> None:
    """Refuse a request without the server's key, where it has one. Raises RequestError (401)."""
    if key is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), key.encode()):
        why = "this server wants its API key: Authorization: Bearer KEY"
        raise RequestError(401, why, None, "invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


class Gate:
    """Lets in so many completions at once; the others are told when to come again.

    rows: completions decoded side by side. queue: how many more may wait.
    """

    def __init__(self, rows: int, queue: int):
        self.rows, self.most = rows, rows + queue
        self.inside = 0
        self.refused = 0
        self._seconds = 1.0  # that a request stays, lately

    @contextmanager
    def entered(self, completions: int) -> Iterator[None]:
        """So many completions inside. One request alone always fits. Raises RequestError (429)."""
        if self.inside and self.inside + completions > self.most:
            self.refused += 1
            pause = min(max(1, math.ceil(self._seconds * self.inside / self.rows)), LONGEST_PAUSE)
            raise RequestError(
                429, f"{self.inside} completions are under way or waiting, and this server takes {self.most}; come "
                f"again in {pause} s", code="rate_limit_exceeded", kind="rate_limit_error",
                headers={"Retry-After": str(pause)},
            )  # fmt: skip
        began = time.monotonic()
        self.inside += completions
        try:
            yield
        finally:
            self.inside -= completions
            self._seconds += 0.1 * (time.monotonic() - began - self._seconds)


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives, cancelled as soon as the client leaves. Its body must have been read. Raises Gone."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Gone
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def left(request: Request) -> None:
    """Returns when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
