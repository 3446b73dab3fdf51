"""A model behind any OpenAI-compatible endpoint as a policy: for evaluation and search, not for training.

    policy = RemotePolicy(RemoteConfig(url="http://localhost:8000/v1", model="m"), RolloutConfig())

Requests run side by side up to a limit and are tried again, with growing pauses, on time-outs, 429 and server errors.
A completion that can't be had is an error, never an empty answer. Tokens are counted as the endpoint reports them.
"""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import httpx
import jax
import tenacity

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Completion, Finish
from semrep_jax.prompts import Prompt
from semrep_jax.rollout.policy import Usage
from semrep_jax.rollout.settings import RemoteConfig, RolloutConfig

FIRST_PAUSE = 0.5  # s
LONGEST_PAUSE = 30.0  # s
TOO_MANY_REQUESTS = 429


class RemoteError(SemRepError):
    """The endpoint can't be reached, refuses, or answers nonsense."""


class _PassingTrouble(Exception):
    """A request that failed in a way that another try may not. pause: what the endpoint asks to wait (s)."""

    def __init__(self, reason: str, pause: float = 0.0):
        super().__init__(reason)
        self.pause = pause


class _GrowingPause:
    """Pauses that double from FIRST_PAUSE to LONGEST_PAUSE, raised to what the endpoint asks, jittered by half."""

    def __init__(self) -> None:
        self.pause = FIRST_PAUSE

    def __call__(self, state: tenacity.RetryCallState) -> float:
        trouble = state.outcome.exception() if state.outcome else None
        if isinstance(trouble, _PassingTrouble):
            self.pause = max(self.pause, trouble.pause)
        pause = self.pause * random.uniform(0.5, 1.5)
        self.pause = min(2 * self.pause, LONGEST_PAUSE)
        return pause


@dataclass
class RemotePolicy:
    """`remote.url` and `remote.model` as a policy."""

    setting: RemoteConfig
    rollout: RolloutConfig
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        variable, most = self.setting.key_variable, self.setting.concurrency
        self.client = httpx.Client(
            base_url=_checked(self.setting.url),
            headers={"Authorization": f"Bearer {_key(variable)}"} if variable else {},
            timeout=self.setting.timeout,
            limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
        )
        self.lock = Lock()

    def sample(
        self,
        prompts: list[Prompt],
        n: int,
        temperature: float,
        key: jax.Array,
        rows: int | None = None,
        prompt_ids: list[list[int]] | None = None,
    ) -> list[list[Completion]]:
        """n completions of each prompt; `rows` and `prompt_ids` are not used. Raises RemoteError if one fails."""
        seeds = jax.random.randint(key, (len(prompts), n), 0, 2**31 - 1).tolist()
        jobs = [(prompt, seed) for prompt, row in zip(prompts, seeds, strict=True) for seed in row]
        with ThreadPoolExecutor(self.setting.concurrency) as threads:
            flat = list(threads.map(lambda job: self._one(job[0], job[1], temperature), jobs))
        return [flat[i : i + n] for i in range(0, len(flat), n)]

    def _one(self, prompt: Prompt, seed: int, temperature: float) -> Completion:
        body = {"model": self.setting.model, "messages": _sendable(prompt), "seed": seed}
        body |= {"temperature": temperature, "max_tokens": self.rollout.max_new}
        answer = self._ask(body)
        try:
            choice, usage = answer["choices"][0], answer.get("usage") or {}
            content, reason = choice["message"]["content"], choice.get("finish_reason")
            if content is None and reason not in (None, "stop", "length"):
                raise RemoteError(f"{self.setting.url} withholds a completion (finish_reason {reason!r})")
            text = _text(content)
            finish = Finish.LENGTH if reason == "length" else Finish.STOP
            read, written = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise RemoteError(
                f"{self.setting.url} answered something that is no chat completion ({answer!r:.200})"
            ) from error
        with self.lock:
            self.usage.rollouts += 1
            self.usage.prompt_tokens += read or 0
            self.usage.completion_tokens += written or 0
        return Completion(text, (), (), finish, None if written is None else written + (read or 0))

    def _ask(self, body: dict[str, Any]) -> Any:
        """The endpoint's answer, after as many tries as allowed."""
        tries = self.setting.retries + 1
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_PassingTrouble),
            stop=tenacity.stop_after_attempt(tries),
            wait=_GrowingPause(),
            reraise=True,
        )
        try:
            return retrying(self._post, body)
        except _PassingTrouble as trouble:
            raise RemoteError(
                f"{self.setting.url} gave no answer in {tries} tries ({trouble}); is it up, is remote.url right?"
            ) from trouble

    def _post(self, body: dict[str, Any]) -> Any:
        """One try. Raises _PassingTrouble where another may help, RemoteError where the endpoint refuses."""
        try:
            response = self.client.post("chat/completions", json=body)
        except httpx.HTTPError as error:
            raise _PassingTrouble(f"{type(error).__name__}: {error}") from error
        status = response.status_code
        if status == TOO_MANY_REQUESTS or status >= 500:
            raise _PassingTrouble(f"status {status}", _wanted_pause(response))
        if status != 200:
            raise RemoteError(f"{self.setting.url} refuses with status {status}: {response.text[:200]}")
        try:
            return response.json()
        except ValueError as error:
            raise _PassingTrouble("an answer that is not JSON") from error


def _checked(url: str | None) -> str:
    """A base URL that requests can go to. Raises RemoteError."""
    try:
        scheme = httpx.URL(url or "").scheme
    except httpx.InvalidURL as error:
        raise RemoteError(f"remote.url: {url!r} is no URL ({error}); write e.g. http://localhost:8000/v1") from error
    if scheme not in ("http", "https"):
        raise RemoteError(f"remote.url: {url!r} does not begin with http:// or https://; write it in front")
    return str(url)


def _key(variable: str) -> str:
    """The key that an environment variable holds, without the line's end that files add. Raises RemoteError, which does
    not quote it."""
    key = os.environ.get(variable)
    if key is None:
        raise RemoteError(f"remote.key_variable: the environment has no {variable}; set it or set the key to null")
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise RemoteError(
            f"remote.key_variable: what {variable} holds can't be sent in a header; set it to the key alone"
        )
    return key


def _sendable(prompt: Prompt) -> list[dict[str, str]]:
    """A prompt's messages. Raises RemoteError where one holds half of a surrogate pair, which no request can carry."""
    for message in prompt.messages:
        try:
            message["content"].encode()
        except UnicodeEncodeError as error:
            raise RemoteError(f"a prompt holds text that can't be sent ({error}); write it as UTF-8") from error
    return prompt.messages


def _text(content: Any) -> str:
    """The text of a message, "" for none, "?" for half of a surrogate pair, which JSON may hold and no file. Raises
    TypeError for what is none."""
    if content is not None and not isinstance(content, str):
        raise TypeError("a text is wanted")
    return (content or "").encode(errors="replace").decode()


def _count(tokens: Any) -> int | None:
    """A number of tokens, None where it is not told. Raises TypeError for what is none."""
    if tokens is not None and (type(tokens) is not int or tokens < 0):
        raise TypeError("a number of tokens is wanted")
    return tokens


def _wanted_pause(response: httpx.Response) -> float:
    """The Retry-After of an answer in seconds, up to LONGEST_PAUSE; 0 where there is none, or a date."""
    try:
        return min(float(response.headers.get("retry-after", 0)), LONGEST_PAUSE)
    except ValueError:
        return 0.0
