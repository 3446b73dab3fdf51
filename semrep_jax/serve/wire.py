"""The endpoint's words: requests as they are checked, answers and errors as OpenAI's clients read them.

What a request asks for and can't be given (tools, penalties, a bias, JSON mode) is refused by name; keys that nobody
here knows are left alone, as clients send some of their own.

Two extensions. `repeat` (a request): which of the answers to one and the same request with one `seed` is wanted, see
`draws`. `semrep` (an answer): the seed and the repeat that it was drawn with, and what a model says of its work.
"""

from __future__ import annotations

import json
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from semrep_jax.rollout.decoding import MOST_ALTERNATIVES
from semrep_jax.serve.conversation import Said

MOST_STOPS = 4
CONTEXT_TOO_LONG = "context_length_exceeded"
_Number = Annotated[float, Field(allow_inf_nan=False)]


class RequestError(Exception):
    """A request that is refused.

    status: of HTTP. message: what is wrong, and the fix. param: the key it is about. code: a word for programs.
    kind: OpenAI's `type`. headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})
        self.error = {"message": message, "type": kind, "param": param, "code": code}

    @property
    def body(self) -> dict[str, Any]:
        """As OpenAI words it."""
        return {"error": self.error}


class _Part(BaseModel):
    type: Literal["text"]
    text: str


class _Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part]

    def said(self) -> Said:
        parts = self.content
        return Said(self.role, parts if isinstance(parts, str) else "".join(part.text for part in parts))


class _StreamOptions(BaseModel):
    include_usage: bool = False


class Wanted(BaseModel, ABC):
    """What both endpoints take. Unset: temperature is the server's, max_tokens as many as there is room for."""

    model_config = ConfigDict(strict=False, extra="ignore")
    model: str
    n: int = Field(1, ge=1)
    temperature: Annotated[_Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[_Number, Field(gt=0, le=1)] = 1.0
    max_tokens: int | None = Field(None, ge=1)
    stop: list[str] = []
    seed: int | None = None
    repeat: int | None = Field(None, ge=0)
    stream: bool = False
    stream_options: _StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _can_be_given(cls, given: Any) -> Any:
        """Refuse what would change the answer and is not built; null is as good as nothing."""
        if not isinstance(given, dict):
            raise ValueError("the body must be a JSON object")
        given = {key: value for key, value in given.items() if value is not None}
        nothing: dict[str, Any] = {
            "presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}, "tools": [], "functions": [],
            "response_format": {"type": "text"}, "echo": False, "suffix": "", "best_of": given.get("n", 1),
        }  # fmt: skip
        for key, neutral in nothing.items():
            if key in given and given[key] != neutral:
                raise ValueError(f"{key}: this server has none; leave it out")
        return given

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_some(cls, stop: Any) -> Any:
        stops = [stop] if isinstance(stop, str) else stop
        if isinstance(stops, list) and (len(stops) > MOST_STOPS or "" in stops):
            raise ValueError(f"at most {MOST_STOPS} texts, none of them empty")
        return stops

    @property
    def usage_at_end(self) -> bool:
        """Whether a stream ends with what it cost."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    @abstractmethod
    def alternatives(self) -> int | None:
        """How many alternatives of each token are told beside its log-prob; None where neither is."""


class ChatRequest(Wanted):
    """A body of /v1/chat/completions."""

    messages: list[_Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=MOST_ALTERNATIVES)

    @property
    def said(self) -> list[Said]:
        """The messages."""
        return [message.said() for message in self.messages]

    @property
    def longest(self) -> int | None:
        """Most tokens, by either of its names."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def alternatives(self) -> int | None:
        """See `Wanted`."""
        return self.top_logprobs if self.logprobs else None


class CompletionRequest(Wanted):
    """A body of /v1/completions: the prompt goes to the model as it is, no wording is laid around it."""

    prompt: str
    logprobs: int | None = Field(None, ge=0, le=MOST_ALTERNATIVES)

    @field_validator("logprobs", mode="before")
    @classmethod
    def _false_is_none(cls, value: Any) -> Any:
        return None if value is False else value

    @property
    def longest(self) -> int | None:
        """Most tokens."""
        return self.max_tokens

    @property
    def alternatives(self) -> int | None:
        """See `Wanted`."""
        return self.logprobs


R = TypeVar("R", bound=Wanted)


def parse(kind: type[R], body: bytes) -> R:
    """A body as a request. Raises RequestError that names what is wrong with it."""
    try:
        text = body.decode()
        given = json.loads(text)
        json.dumps(given, ensure_ascii=False).encode()  # half a character can't go to a tokenizer
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"the body is not JSON ({' '.join(str(error).split())[:200]})") from error
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise _refused(error) from error


def _refused(error: ValidationError) -> RequestError:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if not key:
        return RequestError(400, message, message.partition(":")[0] if ": " in message else None)
    shown = "" if first["type"] == "missing" else f" = {_short(first['input'])}"
    return RequestError(400, f"{key}{shown}: {message[0].lower()}{message[1:]}", key)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def unknown_model(name: str, known: Sequence[str]) -> RequestError:
    """A model id that is not served."""
    shown = _short(name)
    return RequestError(404, f"there is no model {shown}; there are {', '.join(known)}", "model", "model_not_found")


def too_long(tokens: int, most: int, field: str = "messages") -> RequestError:
    """A prompt that the server has no room for.

    tokens: of the prompt. most: that there may be. field: of the request, that holds it.
    """
    why = f"the prompt is {tokens} tokens long and this server takes {most}; shorten it, or raise rollout.max_prompt"
    return RequestError(400, why, field, CONTEXT_TOO_LONG)


def usage(prompt: int, completion: int) -> dict[str, int]:
    """What an answer cost in tokens."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


class Envelope:
    """What stands around the choices of one answer, whole or in pieces.

    chat: of /v1/chat/completions, else of /v1/completions. model: the id asked for. fingerprint: of all that decides
    bits beside the request. semrep: see above.
    """

    def __init__(self, chat: bool, model: str, fingerprint: str, semrep: dict[str, Any]):
        self.chat, self.semrep = chat, semrep
        self.common = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": fingerprint,
        }

    def whole(self, choices: list[dict[str, Any]], cost: dict[str, int]) -> dict[str, Any]:
        """The answer in one."""
        kind = "chat.completion" if self.chat else "text_completion"
        return {**self.common, "object": kind, "choices": choices, "usage": cost, "semrep": self.semrep}

    def piece(self, choices: list[dict[str, Any]], cost: dict[str, int] | None = None) -> dict[str, Any]:
        """A piece of a stream; the one with the cost has no choices, and is the last."""
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        last = {} if cost is None else {"usage": cost}
        return {**self.common, "object": kind, "choices": choices, "semrep": self.semrep, **last}

    def choice(self, index: int, text: str, finish: str | None, logprobs: Any, piece: bool) -> dict[str, Any]:
        """One choice, or what a piece adds to one.

        index: which. text: all of it, or what is new. finish: why it ended, None before that. logprobs: as
        `logprobs.worded` gives them; None for none. piece: of a stream.
        """
        common = {"index": index, "finish_reason": finish, "logprobs": logprobs}
        if not self.chat:
            return {**common, "text": text}
        message: dict[str, Any] = {"content": text} if piece else {"role": "assistant", "content": text}
        if not piece:
            message["refusal"] = None
        return {**common, "delta" if piece else "message": message}

    def opening(self, index: int) -> dict[str, Any] | None:
        """The first piece of a chat's choice, which says whose words follow."""
        if not self.chat:
            return None
        role = {"role": "assistant", "content": ""}
        return {"index": index, "finish_reason": None, "logprobs": None, "delta": role}
