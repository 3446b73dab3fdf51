"""The model ids that the server knows: each makes a plan from a request. One more is one method of `Models`
and its line in `_CHATS`.

direct           writes the edit at once; a chat model without a program in its messages is asked as it stands
semrep-rewrite   writes an equivalent of the program
semrep           rewrites, verifies, then edits with the rewrite at hand (`semrep.py`)

On /v1/completions a prompt goes to the policy as it is, by the id `direct` alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from semrep_jax import prompts
from semrep_jax.core.programs import Program
from semrep_jax.prompts import Prompt
from semrep_jax.python import PYTHON
from semrep_jax.serve import conversation
from semrep_jax.serve.answers import Kitchen, OneTurn, Plan
from semrep_jax.serve.conversation import Asked
from semrep_jax.serve.semrep import Turns
from semrep_jax.serve.wire import ChatRequest, CompletionRequest, RequestError, too_long

DIRECT, REWRITE, SEMREP = "direct", "semrep-rewrite", "semrep"
HOW = 'write "Instruction: ..." and the program in one ```python block'


@dataclass(frozen=True)
class Models:
    """Makes plans. threads: where the model `semrep` works."""

    kitchen: Kitchen
    threads: Executor

    def chat(self, request: ChatRequest) -> Plan:
        """The plan of a chat. Raises RequestError, TokenizerError."""
        return _CHATS[request.model](self, request)

    def completion(self, request: CompletionRequest) -> Plan:
        """The plan of a bare completion. Raises RequestError, TokenizerError."""
        if request.model != DIRECT:
            raise RequestError(400, f"model: {request.model} answers chats only; use {DIRECT} here", "model")
        return OneTurn(self.kitchen, self._checked(request.prompt, "prompt"), request, request.longest)

    def _direct(self, request: ChatRequest) -> Plan:
        asked = conversation.read(request.said)
        if asked is None and not self.kitchen.tokenizer.compact and self.kitchen.tokenizer.template is not None:
            messages = [{"role": said.role, "content": said.content} for said in request.said]
            return OneTurn(self.kitchen, self._checked(self.kitchen.tokenizer.chat(messages)), request, request.longest)
        asked = _with_instruction(asked)
        program = Program(PYTHON, asked.program)
        return self._one_turn(prompts.transform(program, asked.instruction or ""), asked, request)

    def _rewrite(self, request: ChatRequest) -> Plan:
        asked = _with_program(conversation.read(request.said))
        return self._one_turn(prompts.rewrite(Program(PYTHON, asked.program)), asked, request)

    def _semrep(self, request: ChatRequest) -> Plan:
        asked = _with_instruction(conversation.read(request.said))
        program = Program(PYTHON, asked.program)
        self._fits(prompts.encode(prompts.transform(program, asked.instruction or ""), self.kitchen.tokenizer))
        if request.top_logprobs:
            raise RequestError(400, f"top_logprobs: {SEMREP} tells none; use {DIRECT}", "top_logprobs")
        return Turns(self.kitchen, asked, request, request.longest, self.threads)

    def _one_turn(self, prompt: Prompt, asked: Asked, request: ChatRequest) -> OneTurn:
        """One turn whose program comes in a code block: laid around the bare program of a compact model, written by a
        chat model itself."""
        ids = prompts.encode(prompt, self.kitchen.tokenizer)
        self._fits(ids)
        details: dict[str, Any] = {"instruction": prompt.instruction} if prompt.instruction else {}
        if not self.kitchen.tokenizer.compact and not asked.before:
            return OneTurn(self.kitchen, ids, request, request.longest, details=details)
        place = secrets.token_hex(16)  # that stands in no program
        before, _, after = asked.answer(place).partition(place)
        return OneTurn(self.kitchen, ids, request, request.longest, before, after, details)

    def _checked(self, text: str, field: str = "messages") -> list[int]:
        """Token ids of a text that goes to the model as it is. field: of the request, that holds it."""
        ids = self.kitchen.tokenizer.encode(text)
        if not ids:
            raise RequestError(400, "prompt: it is empty", "prompt")
        self._fits(ids, field)
        return ids

    def _fits(self, ids: list[int], field: str = "messages") -> None:
        if len(ids) > self.kitchen.rollout.max_prompt:
            raise too_long(len(ids), self.kitchen.rollout.max_prompt, field=field)


_CHATS: dict[str, Callable[[Models, ChatRequest], Plan]] = {
    SEMREP: Models._semrep,
    REWRITE: Models._rewrite,
    DIRECT: Models._direct,
}
NAMES = tuple(_CHATS)


def _with_program(asked: Asked | None) -> Asked:
    if asked is None:
        raise RequestError(400, f"messages: the last of the user's holds no Python program; {HOW}", "messages")
    return asked


def _with_instruction(asked: Asked | None) -> Asked:
    asked = _with_program(asked)
    if asked.instruction is None:
        raise RequestError(400, f"messages: there is a program and no instruction; {HOW}", "messages")
    return asked
