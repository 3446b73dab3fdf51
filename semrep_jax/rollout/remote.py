"""A model behind any OpenAI-compatible endpoint as a policy: for search and evaluation with outside models, not for training.

Requests run side by side up to a limit and are tried again, with growing pauses, on time-outs, 429 and server errors. A completion that
can't be had is an error, never an empty answer. Tokens are counted as the endpoint reports them.
"""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import httpx
import jax

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Completion, Finish
from semrep_jax.prompts import Prompt
from semrep_jax.rollout.policy import Usage
from semrep_jax.rollout.settings import RemoteConfig, RolloutConfig

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


class RemoteError(SemRepError):
    """The endpoint can't be reached, refuses, or answers nonsense."""


@dataclass
class RemotePolicy:
    """`remote.url` and `remote.model` as a policy."""

    setting: RemoteConfig
    rollout: RolloutConfig
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        headers = {}
        if self.setting.key_variable:
            key = os.environ.get(self.setting.key_variable)
            if key is None:
                raise RemoteError(
                    f"remote.key_variable: the environment has no {self.setting.key_variable}; set it or set the key to null"
                )
            headers["Authorization"] = f"Bearer {key}"
        self.client = httpx.Client(base_url=self.setting.url or "", headers=headers, timeout=self.setting.timeout)
        self.lock = Lock()

    def sample(
        self, prompts: list[Prompt], n: int, temperature: float, key: jax.Array, rows: int | None = None
    ) -> list[list[Completion]]:
        """n completions of each prompt. Raises RemoteError where one can't be had."""
        seeds = jax.random.randint(key, (len(prompts), n), 0, 2**31 - 1).tolist()
        jobs = [(prompt, seed) for prompt, row in zip(prompts, seeds, strict=True) for seed in row]
        with ThreadPoolExecutor(self.setting.concurrency) as threads:
            flat = list(threads.map(lambda job: self._one(job[0], job[1], temperature), jobs))
        return [flat[i : i + n] for i in range(0, len(flat), n)]

    def _one(self, prompt: Prompt, seed: int, temperature: float) -> Completion:
        body = {"model": self.setting.model, "messages": prompt.messages, "seed": seed}
        body |= {"temperature": temperature, "max_tokens": self.rollout.max_new}
        answer = self._ask(body)
        try:
            choice, usage = answer["choices"][0], answer.get("usage") or {}
            text = choice["message"]["content"] or ""
            finish = Finish.LENGTH if choice.get("finish_reason") == "length" else Finish.STOP
        except (KeyError, IndexError, TypeError) as error:
            raise RemoteError(
                f"{self.setting.url} answered something that is no chat completion ({answer!r:.200})"
            ) from error
        with self.lock:
            self.usage.rollouts += 1
            self.usage.prompt_tokens += usage.get("prompt_tokens", 0)
            self.usage.completion_tokens += usage.get("completion_tokens", 0)
        return Completion(text, (), (), finish)

    def _ask(self, body: dict[str, Any]) -> Any:
        """The endpoint's answer, after as many tries as allowed."""
        pause, reason = FIRST_PAUSE, ""
        for attempt in range(self.setting.retries + 1):
            if attempt:
                time.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(2 * pause, LONGEST_PAUSE)
            try:
                response = self.client.post("chat/completions", json=body)
            except httpx.HTTPError as error:
                reason = f"{type(error).__name__}: {error}"
                continue
            if response.status_code == 429 or response.status_code >= 500:
                reason = f"status {response.status_code}"
                pause = max(pause, _wanted_pause(response))
                continue
            if response.status_code != 200:
                raise RemoteError(
                    f"{self.setting.url} refuses with status {response.status_code}: {response.text[:200]}"
                )
            try:
                return response.json()
            except ValueError:
                reason = "an answer that is not JSON"
        raise RemoteError(
            f"{self.setting.url} gave no answer in {self.setting.retries + 1} tries ({reason}); is it up, is remote.url right?"
        )


def _wanted_pause(response: httpx.Response) -> float:
    try:
        return min(float(response.headers.get("retry-after", 0)), LONGEST_PAUSE)
    except ValueError:
        return 0.0
