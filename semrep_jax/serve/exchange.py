"""One request from its bytes to its answer.

body -> request -> plan -> let in -> deltas of all choices -> one answer, or a stream of pieces
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from semrep_jax.model.tokenizer import TokenizerError
from semrep_jax.serve import guard, logprobs, models, wire
from semrep_jax.serve.answers import Delta, Plan
from semrep_jax.serve.draws import Draw, Draws
from semrep_jax.serve.engine import EngineClosed
from semrep_jax.serve.events import FAULT, EventStream
from semrep_jax.serve.guard import Gate, Gone
from semrep_jax.serve.models import Models
from semrep_jax.serve.semrep import Withdrawn
from semrep_jax.serve.settings import ServeConfig
from semrep_jax.serve.telemetry import Telemetry
from semrep_jax.serve.wire import ChatRequest, CompletionRequest, Envelope, RequestError

log = logging.getLogger(__name__)
CLIENT_LEFT = 499  # nginx's word; nobody reads it
UNKNOWN = "unknown"
GOING_DOWN = RequestError(503, "the server is going down", kind="server_error", headers={"Retry-After": "5"})


@dataclass(frozen=True)
class Service:
    """What all requests share. fingerprint: of all that decides bits beside a request. alive: whether the engine
    decodes. key: that clients must send, or None."""

    models: Models
    setting: ServeConfig
    gate: Gate
    telemetry: Telemetry
    draws: Draws
    fingerprint: str
    alive: Callable[[], bool]
    key: str | None = None


class Exchange:
    """One request. endpoint: its path, for the metrics."""

    def __init__(self, service: Service, request: Request, endpoint: str):
        self.service, self.request, self.endpoint = service, request, endpoint
        self.began = time.monotonic()
        self.model = UNKNOWN
        self.plan: Plan | None = None
        self.inside = ExitStack()  # what it holds of the server
        self.streams = False

    async def respond(self, kind: type[ChatRequest] | type[CompletionRequest]) -> Response:
        """The response to a body of this kind. Raises RequestError for what is refused."""
        status = 500
        try:
            response = await self._respond(kind)
            status = response.status_code
            return response
        except RequestError as error:
            status = error.status
            raise
        except (Gone, Withdrawn):
            status = CLIENT_LEFT
            self.service.telemetry.gone.inc()
            return Response(status_code=CLIENT_LEFT)
        except EngineClosed as error:
            status = GOING_DOWN.status
            raise GOING_DOWN from error
        except Exception:  # answered here: the server closes the connection of what it has to answer itself
            log.exception("%s failed", self.request.url.path)
            return JSONResponse({"error": FAULT}, status)
        finally:
            if not self.streams:
                self._end(status)

    def _end(self, status: int) -> None:
        """Give back what it holds, and count it."""
        self.inside.close()
        cost = None if self.plan is None else self.plan.cost
        self.service.telemetry.answered(self.endpoint, self.model, status, time.monotonic() - self.began, cost)

    async def _respond(self, kind: type[ChatRequest] | type[CompletionRequest]) -> Response:
        service, setting = self.service, self.service.setting
        guard.check_key(self.request, service.key)
        wanted = wire.parse(kind, await guard.read_body(self.request, setting.max_body_kb, setting.read_seconds))
        if wanted.model not in models.NAMES:
            raise wire.unknown_model(wanted.model, models.NAMES)
        self.model = wanted.model
        if wanted.n > setting.most_choices:
            raise RequestError(400, f"n = {wanted.n}: this server gives at most {setting.most_choices}", "n")
        plan = self._plan(wanted)
        self.inside.enter_context(service.gate.entered(plan.completions))
        self.plan = plan
        same = wanted.model_dump_json(exclude={"repeat", "stream", "stream_options"})
        draw = service.draws.of(same, wanted.seed, wanted.repeat)
        made = {"seed": draw.seed, "repeat": draw.repeat}
        envelope = Envelope(isinstance(wanted, ChatRequest), wanted.model, service.fingerprint, made)
        if wanted.stream:
            self.streams = True
            return EventStream(self._pieces(plan, draw, wanted, envelope), setting.write_seconds, self._streamed)
        return JSONResponse(await guard.while_there(self.request, self._whole(plan, draw, wanted, envelope)))

    def _plan(self, wanted: ChatRequest | CompletionRequest) -> Plan:
        try:
            if isinstance(wanted, ChatRequest):
                return self.service.models.chat(wanted)
            return self.service.models.completion(wanted)
        except TokenizerError as error:
            raise RequestError(400, str(error)) from error

    async def _whole(
        self, plan: Plan, draw: Draw, wanted: ChatRequest | CompletionRequest, envelope: Envelope
    ) -> dict[str, Any]:
        """The answer in one. plan, draw: how it is made. wanted: what is asked. envelope: what stands around it."""
        of_choice: list[list[Delta]] = [[] for _ in range(wanted.n)]
        async with aclosing(plan.deltas(draw)) as deltas:
            async for delta in deltas:
                of_choice[delta.index].append(delta)
        choices = []
        for index, told in enumerate(of_choice):
            text = "".join(delta.text for delta in told)
            choice = envelope.choice(index, text, told[-1].finish, self._logprobs(told, wanted), piece=False)
            choices.append(choice | {"semrep": told[-1].details})
        return envelope.whole(choices, wire.usage(plan.cost.prompt_tokens, plan.cost.completion_tokens))

    async def _pieces(
        self, plan: Plan, draw: Draw, wanted: ChatRequest | CompletionRequest, envelope: Envelope
    ) -> AsyncGenerator[dict[str, Any]]:
        """The answer as a stream; arguments as of `_whole`."""
        for index in range(wanted.n):
            if (opening := envelope.opening(index)) is not None:
                yield envelope.piece([opening])
        offsets = [0] * wanted.n
        async with aclosing(plan.deltas(draw)) as deltas:
            async for delta in deltas:
                if delta.text or delta.finish or delta.token_ids:
                    told = self._logprobs([delta], wanted, offsets[delta.index]) if delta.token_ids else None
                    if told is not None and "tokens" in told:
                        offsets[delta.index] += sum(map(len, told["tokens"]))
                    choice = envelope.choice(delta.index, delta.text, delta.finish, told, piece=True)
                    yield envelope.piece([choice | ({"semrep": delta.details} if delta.finish else {})])
        if wanted.usage_at_end:
            yield envelope.piece([], wire.usage(plan.cost.prompt_tokens, plan.cost.completion_tokens))

    def _logprobs(
        self, deltas: list[Delta], wanted: ChatRequest | CompletionRequest, offset: int = 0
    ) -> dict[str, Any] | None:
        tokenizer = self.service.models.kitchen.tokenizer
        return logprobs.worded(tokenizer, deltas, wanted.alternatives, isinstance(wanted, ChatRequest), offset)

    def _streamed(self, whole: bool) -> None:
        """The stream has ended, to its end or because the client left."""
        if not whole:
            self.service.telemetry.gone.inc()
        self._end(200 if whole else CLIENT_LEFT)
