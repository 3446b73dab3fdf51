"""How an answer comes into being: one turn of the policy, told token by token, or T turns inside one call.

A plan is made from a request before anything is decoded, so that what can't be answered is refused at once:

    plan = OneTurn(kitchen, prompt_ids, wanted, before="```python\n", after="\n```")
    async for delta in plan.deltas(draw): ...            # of all n choices, as they arrive
    plan.cost                                            # Usage: what it took, known at the end
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.rollout.decoding import Ask
from semrep_jax.rollout.policy import Usage
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.rollout.slots import Alternatives, End, Piece
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.serve.draws import Draw
from semrep_jax.serve.engine import Engine, stream
from semrep_jax.serve.settings import ServeConfig
from semrep_jax.serve.text import Growing
from semrep_jax.serve.wire import Wanted

FINISHES = {End.STOP: "stop", End.LENGTH: "length", End.CANCELLED: "stop"}


@dataclass(frozen=True)
class Kitchen:
    """What answers are made with. rollout: longest prompt and completion. sandbox: where programs run."""

    engine: Engine
    tokenizer: Tokenizer
    rollout: RolloutConfig
    setting: ServeConfig
    sandbox: Sandbox

    def temperature(self, wanted: Wanted) -> float:
        """The request's, or the server's."""
        return self.setting.temperature if wanted.temperature is None else wanted.temperature

    def longest(self, asked: int | None) -> int:
        """Most tokens of a completion: what is asked, as far as there is room."""
        return min(asked or self.rollout.max_new, self.rollout.max_new)


@dataclass(frozen=True)
class Delta:
    """What is new of one choice.

    index: which choice. text: new text. token_ids, logprobs, ranked: new tokens, as in
    `rollout.slots.Piece`. finish: OpenAI's word for the end, None before it. details: what the model says of its work,
    with the end.
    """

    index: int
    text: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    ranked: tuple[Alternatives, ...] = ()
    finish: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


class Held:
    """Tokens of a completion that wait until the text they make is let out, so that none is told whose text is not.
    growing: that text."""

    def __init__(self, growing: Growing):
        self.growing = growing
        self.waiting: list[tuple[int, float, Alternatives]] = []
        self.told = 0

    def add(self, piece: Piece, ended: bool) -> Piece:
        """Take those of a piece; those that can be told now. ended: whether no more will come."""
        ranked = piece.ranked or ((),) * len(piece.token_ids)
        self.waiting += zip(piece.token_ids, piece.logprobs, ranked, strict=True)
        growing, count = self.growing, 0
        if ended and not growing.stopped:
            count = len(self.waiting)
        elif growing.stopped:  # those that begin before the stop
            while count < len(self.waiting) and growing.covered(self.told + count) < growing.out:
                count += 1
        else:
            most = len(growing.ids) - self.told
            while count < min(most, len(self.waiting)) and growing.covered(self.told + count + 1) <= growing.out:
                count += 1
        out, self.waiting = self.waiting[:count], self.waiting[count:]
        self.told += count
        ids, logprobs, others = zip(*out, strict=True) if out else ((), (), ())
        return Piece(tuple(ids), tuple(logprobs), tuple(others) if piece.ranked else ())


class Plan(Protocol):
    """An answer that can be made. completions: most of them at once in the engine. cost: known when all is told."""

    completions: int
    cost: Usage

    def deltas(self, draw: Draw) -> AsyncGenerator[Delta]:
        """All choices, in the order in which their parts arrive. Leaving the loop early ends the work."""


class OneTurn:
    """n completions of one prompt, told as they grow.

    kitchen: what it is made with. prompt_ids: the prompt. wanted: n, temperature and so on. longest: most tokens.
    before, after: text around each completion. details: said with each choice.
    """

    def __init__(
        self,
        kitchen: Kitchen,
        prompt_ids: Sequence[int],
        wanted: Wanted,
        longest: int | None,
        before: str = "",
        after: str = "",
        details: dict[str, Any] | None = None,
    ):
        self.kitchen, self.prompt_ids, self.wanted = kitchen, tuple(prompt_ids), wanted
        self.longest, self.before, self.after = kitchen.longest(longest), before, after
        self.details = details or {}
        self.completions = wanted.n
        self.cost = Usage(wanted.n, len(prompt_ids), 0)

    async def deltas(self, draw: Draw) -> AsyncGenerator[Delta]:
        """See `Plan`."""
        told: asyncio.Queue[Delta | BaseException] = asyncio.Queue()

        async def tell(index: int) -> None:
            try:
                async for delta in self._choice(index, draw):
                    told.put_nowait(delta)
            except Exception as error:
                told.put_nowait(error)

        tasks = [asyncio.create_task(tell(index)) for index in range(self.wanted.n)]
        try:
            going = self.wanted.n
            while going:
                delta = await told.get()
                if isinstance(delta, BaseException):
                    raise delta
                going -= delta.finish is not None
                yield delta
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _choice(self, index: int, draw: Draw) -> AsyncGenerator[Delta]:
        wanted = self.wanted
        growing = Growing(self.kitchen.tokenizer, wanted.stop)
        ask = Ask(
            self.prompt_ids,
            draw.key(index),
            self.longest,
            self.kitchen.temperature(wanted),
            wanted.top_p,
            bool(wanted.alternatives),
        )
        if self.before:
            yield Delta(index, self.before)
        held, told = Held(growing), 0
        async for piece in stream(self.kitchen.engine, ask):
            text = growing.add(piece.token_ids)
            ended = piece.end is not None or growing.stopped
            counted = len(growing.ids) - told if growing.stopped else len(piece.token_ids)
            self.cost.completion_tokens += counted
            told += counted
            finish = None if not ended else "stop" if growing.stopped else FINISHES[piece.end or End.STOP]
            if ended:
                text += growing.end() + self.after
            details = self.details if ended else {}
            tokens = held.add(piece, ended) if wanted.alternatives is not None else Piece()
            yield Delta(index, text, tokens.token_ids, tokens.logprobs, tokens.ranked, finish, details)
            if ended:
                return
