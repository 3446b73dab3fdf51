"""Model `semrep`: T turns inside one call. The policy rewrites the program, running both decides whether a rewrite
counts, and the edit is written with it at hand; of k attempts the best are the answer.

An attempt that holds a program ranks before one that does not, one that changes C_src before a copy of it, then the
one that most attempts agree on. Where a prompt with a rewrite in it is too long, the edit is written without.
"""

from __future__ import annotations

import asyncio
import difflib
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from threading import Event
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semrep_jax import prompts
from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Completion, Duplicate, Finish, Program, Task, Tests
from semrep_jax.inference.rewrite import Accept, Sampling, Written, accept_by_comparison
from semrep_jax.inference.turns import Attempt, infer
from semrep_jax.languages import LANGUAGES, Answer, Comparer, Finding, Resources, duplicate, form_of
from semrep_jax.prompts import Prompt
from semrep_jax.python import PYTHON
from semrep_jax.rewards import DuplicateRule
from semrep_jax.rollout.decoding import Ask
from semrep_jax.rollout.policy import Usage
from semrep_jax.rollout.slots import End, Piece
from semrep_jax.serve.answers import Delta, Kitchen
from semrep_jax.serve.conversation import Asked
from semrep_jax.serve.draws import Draw
from semrep_jax.serve.engine import EngineFault, Handle
from semrep_jax.serve.text import Growing
from semrep_jax.serve.wire import Wanted


class Withdrawn(Exception):
    """Nobody waits for the answer any more."""


@dataclass
class EnginePolicy:
    """The engine as a `rollout.Policy`, for code that waits for its completions."""

    kitchen: Kitchen
    longest: int
    top_p: float = 1.0
    usage: Usage = field(default_factory=Usage)
    withdrawn: Event = field(default_factory=Event)
    _handles: list[Handle] = field(default_factory=list)

    def withdraw(self) -> None:
        """End the sampling that is under way, and any that would follow. Called from any thread."""
        self.withdrawn.set()
        for handle in list(self._handles):
            handle.cancel()

    def sample(
        self,
        prompts_asked: list[Prompt],
        n: int,
        temperature: float,
        key: jax.Array,
        rows: int | None = None,
        prompt_ids: list[list[int]] | None = None,
    ) -> list[list[Completion]]:
        """n completions of each prompt; `key` and its place decide each one, and `rows` is not used. Raises Withdrawn,
        EngineFault, EngineClosed."""
        tokenizer, most = self.kitchen.tokenizer, self.kitchen.rollout.max_prompt
        ids = prompt_ids or [prompts.encode(prompt, tokenizer) for prompt in prompts_asked]
        words = _key_words(key, len(ids), n)
        heard: list[list[SimpleQueue[Piece] | None]] = []
        self._handles.clear()
        for prompt, keys in zip(ids, words, strict=True):
            fits = len(prompt) <= most
            self.usage.prompt_tokens += len(prompt) if fits else 0
            row: list[SimpleQueue[Piece] | None] = []
            for one in keys:
                pieces: SimpleQueue[Piece] | None = SimpleQueue() if fits else None
                if pieces is not None:
                    ask = Ask(tuple(prompt), one, self.longest, temperature, self.top_p)
                    self._handles.append(self.kitchen.engine.submit(ask, pieces.put))
                row.append(pieces)
            heard.append(row)
        try:
            return [[self._completion(pieces) for pieces in row] for row in heard]
        finally:
            for handle in self._handles:
                handle.cancel()

    def _completion(self, pieces: SimpleQueue[Piece] | None) -> Completion:
        """Wait for one completion to its end."""
        self.usage.rollouts += 1
        if pieces is None:
            return Completion("", (), (), Finish.PROMPT_TOO_LONG)
        ids: tuple[int, ...] = ()
        logprobs: tuple[float, ...] = ()
        end = None
        while end is None:
            if self.withdrawn.is_set():
                raise Withdrawn
            piece = pieces.get()
            ids, logprobs, end = ids + piece.token_ids, logprobs + piece.logprobs, piece.end
        if end is End.FAILED:
            raise EngineFault("the engine failed while it decoded; its log says why")
        if end is End.CANCELLED:
            raise Withdrawn
        self.usage.completion_tokens += len(ids)
        growing = Growing(self.kitchen.tokenizer)
        text = growing.add(ids) + growing.end()
        return Completion(text, ids, logprobs, Finish.STOP if end is End.STOP else Finish.LENGTH)


def _key_words(key: jax.Array, groups: int, n: int) -> list[list[tuple[int, int]]]:
    """Two words of key for each sample of each prompt."""

    high, low = np.asarray(jax.random.key_data(key)).tolist()
    return [[Draw(high, low).key(group, sample) for sample in range(n)] for group in range(groups)]


@dataclass(frozen=True)
class Outcome:
    """An attempt with its place among the others: `votes` attempts wrote the same program."""

    attempt: Attempt
    votes: int

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Higher is better."""
        program, source = self.attempt.program, self.attempt.task.source
        if isinstance(program, str):
            return False, False, 0
        return True, duplicate(source, program) is Duplicate.NONE, self.votes


class Turns:
    """A `Plan` of the model `semrep`: the whole answer at once, told when it is there.

    kitchen: what it is made with. asked: C_src and I. wanted: n, temperature and so on. longest: most tokens of each
    completion. threads: where the waiting and the running of programs is done.
    """

    def __init__(self, kitchen: Kitchen, asked: Asked, wanted: Wanted, longest: int | None, threads: Executor):
        self.kitchen, self.asked, self.wanted, self.threads = kitchen, asked, wanted, threads
        self.policy = EnginePolicy(kitchen, kitchen.longest(longest), wanted.top_p)
        self.completions = max(wanted.n, kitchen.setting.samples)
        self.cost = self.policy.usage

    async def deltas(self, draw: Draw) -> AsyncGenerator[Delta]:
        """See `Plan`."""
        work = asyncio.get_running_loop().run_in_executor(self.threads, self._work, draw)
        try:
            for delta in await asyncio.shield(work):
                yield delta
        finally:
            self.policy.withdraw()
            work.add_done_callback(lambda done: done.cancelled() or done.exception())  # heard, wherever it went
            work.cancel()  # where no thread has begun it, none will

    def _work(self, draw: Draw) -> list[Delta]:
        source = Program(PYTHON, self.asked.program)
        task = Task("request", source, Tests(""), Tests(""), self.asked.instruction or "")
        sampling = Sampling(self.completions, self.kitchen.temperature(self.wanted))
        key = jax.random.wrap_key_data(jnp.array(draw.key(), jnp.uint32))
        with ExitStack() as stack:
            comparer, why = _comparer(source, self.kitchen, stack)
            attempts = infer(self.policy, self._accepts(comparer), [task], 2, sampling, key)[0]
            lost = [i for i, one in enumerate(attempts) if one.completion.finish is Finish.PROMPT_TOO_LONG]
            if lost:
                fewer = replace(sampling, n=len(lost))
                direct = infer(self.policy, _nothing, [task], 1, fewer, jax.random.fold_in(key, 3))[0]
                for place, attempt in zip(lost, direct, strict=True):
                    attempts[place] = attempt
                if len(lost) == len(attempts):
                    why = why or "a prompt with a rewrite in it is longer than rollout.max_prompt"
            chosen = best(attempts, self.wanted.n)
            with_rewrite = sum(attempt.rewrite is not None for attempt in attempts)
            common = {"attempts": len(attempts), "with_rewrite": with_rewrite, "no_rewrite_because": why or None}
            return [self._delta(index, outcome, comparer, common) for index, outcome in enumerate(chosen)]

    def _accepts(self, comparer: Comparer | None) -> Accept:
        if comparer is None:
            return _nothing
        by_comparison = accept_by_comparison(comparer, DuplicateRule.CANONICAL)

        def accept(pairs: Sequence[tuple[Task, Written]]) -> list[bool]:
            flags = []
            for pair in pairs:
                if self.policy.withdrawn.is_set():
                    raise Withdrawn
                flags += by_comparison([pair])
            return flags

        return accept

    def _delta(self, index: int, outcome: Outcome, comparer: Comparer | None, common: dict[str, Any]) -> Delta:
        attempt = outcome.attempt
        said, program = attempt.completion, attempt.program
        text = said.text if isinstance(program, str) else program.source
        for stop in self.wanted.stop:
            text = text.partition(stop)[0]
        details: dict[str, Any] = common | {
            "rewrite": None if attempt.rewrite is None else attempt.rewrite.source,
            "edit": None if isinstance(program, str) else program.source,
            "no_edit_because": program if isinstance(program, str) else None,
            "votes": outcome.votes,
            "verdict": None,
            "diff": "",
        }
        if isinstance(program, Program):
            details["verdict"] = _verdict(attempt.task.source, program, comparer)
            details["diff"] = diff(self.asked.program, program.source)
        finish = "length" if said.finish is Finish.LENGTH else "stop"
        return Delta(index, self.asked.answer(text), said.token_ids, said.logprobs, (), finish, details)


def best(attempts: Sequence[Attempt], n: int) -> list[Outcome]:
    """The n best attempts, different programs before the second of one."""
    forms = [_form(attempt) for attempt in attempts]
    votes = Counter(forms)
    outcomes = [Outcome(attempt, votes[form]) for attempt, form in zip(attempts, forms, strict=True)]
    seen: Counter[str] = Counter()
    places = []
    for form in forms:
        places.append(seen[form])
        seen[form] += 1
    order = sorted(range(len(outcomes)), key=lambda i: (-places[i], outcomes[i].rank), reverse=True)
    return [outcomes[i] for i in order[:n]]


def _form(attempt: Attempt) -> str:
    program = attempt.program
    return attempt.completion.text if isinstance(program, str) else form_of(program)


def _comparer(source: Program, kitchen: Kitchen, stack: ExitStack) -> tuple[Comparer | None, str]:
    """What compares rewrites with C_src, or None and why nothing can."""
    try:
        comparer = LANGUAGES[PYTHON].comparer(source, Resources(kitchen.sandbox), None)
    except SemRepError as error:
        return None, f"no rewrite can be accepted: {error}"
    return stack.enter_context(closing(comparer)), ""


def _verdict(source: Program, program: Program, comparer: Comparer | None) -> dict[str, Any]:
    """What running the edit beside C_src shows. It says what has changed, and nothing about whether that is right."""
    copied = duplicate(source, program)
    if comparer is None:
        return {"copy": copied.value, "behaviour": "unknown", "calls": 0, "counterexample": ""}
    try:
        found = comparer.compare(program.source)
    except SemRepError as error:  # it has nothing that could be called
        found = Finding(Answer.UNKNOWN, 0, reason=str(error))
    said = found.counterexample or found.reason
    return {"copy": copied.value, "behaviour": found.answer.value, "calls": found.calls, "counterexample": said}


def diff(before: str, after: str) -> str:
    """A unified diff of two programs."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "program", "edit", lineterm="")
    return "\n".join(lines)


def _nothing(pairs: Sequence[tuple[Task, Written]]) -> list[bool]:
    return [False] * len(pairs)
