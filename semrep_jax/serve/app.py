"""The HTTP application: its routes, and errors in OpenAI's shape: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from semrep_jax.serve import guard, models, wire
from semrep_jax.serve.events import FAULT
from semrep_jax.serve.exchange import Exchange, Service
from semrep_jax.serve.wire import ChatRequest, CompletionRequest, RequestError

PAGE = Path(__file__).parent / "page" / "index.html"


class Routes:
    """What each path answers."""

    def __init__(self, service: Service):
        self.service = service
        self.started = int(time.time())

    async def page(self, request: Request) -> Response:
        """The page where a person tries it."""
        return FileResponse(PAGE, headers={"Cache-Control": "no-cache"})

    async def health(self, request: Request) -> Response:
        """Whether the engine decodes; everything was compiled before the server listened."""
        if not self.service.alive():
            return JSONResponse({"status": "the engine has ended; its log says why"}, 503)
        return JSONResponse({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """Prometheus text."""
        return PlainTextResponse(self.service.telemetry.text(), media_type="text/plain; version=0.0.4")

    async def list_models(self, request: Request) -> Response:
        """The model ids."""
        guard.check_key(request, self.service.key)
        return JSONResponse({"object": "list", "data": [self._described(name) for name in models.NAMES]})

    async def one_model(self, request: Request) -> Response:
        """One model id."""
        guard.check_key(request, self.service.key)
        name = request.path_params["name"]
        if name not in models.NAMES:
            raise wire.unknown_model(name, models.NAMES)
        return JSONResponse(self._described(name))

    def _described(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.started, "owned_by": "semrep_jax"}

    async def chat(self, request: Request) -> Response:
        """An answer to messages."""
        return await Exchange(self.service, request, "chat").respond(ChatRequest)

    async def completion(self, request: Request) -> Response:
        """What follows a prompt."""
        return await Exchange(self.service, request, "completions").respond(CompletionRequest)


def application(service: Service) -> Starlette:
    """The application over a service."""
    paths = Routes(service)
    return Starlette(
        routes=[
            Route("/", paths.page),
            Route("/health", paths.health),
            Route("/metrics", paths.metrics),
            Route("/v1/models", paths.list_models),
            Route("/v1/models/{name:path}", paths.one_model),
            Route("/v1/chat/completions", paths.chat, methods=["POST"]),
            Route("/v1/completions", paths.completion, methods=["POST"]),
        ],
        exception_handlers={RequestError: _refusal, HTTPException: _http_error, Exception: _fault},
    )


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return JSONResponse(error.body, error.status, error.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    """A path or a method that is not there."""
    assert isinstance(error, HTTPException)
    why = f"{request.method} {request.url.path}: {error.detail}; there is POST /v1/chat/completions"
    refused = RequestError(error.status_code, why)
    return JSONResponse(refused.body, refused.status, error.headers)


async def _fault(request: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("%s %s failed", request.method, request.url.path, exc_info=error)
    return JSONResponse({"error": FAULT}, 500, guard.CLOSE)
