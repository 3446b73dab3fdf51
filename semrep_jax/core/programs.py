"""The nouns every room speaks: Program, Outcome, Case, Tests, Task, Completion, Verdict.

Nothing here runs anything. A `Tests` is a list of calls with the outcome each must have; the outcome is *observed* (a
value, an exception class, mutated arguments, printed text), so a verdict is always computed by whoever holds the
expected outcomes, never by the program under test. Values are kept in the wire form of `sandbox.wire`
(plain JSON that remembers the Python type), so that two outcomes compare without touching a stranger's object.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol


class Objective(StrEnum):
    """What a task rewards beyond being right."""

    CORRECTNESS = "correctness"
    SPEED = "speed"


@dataclass(frozen=True)
class Program:
    """A text in a language, which is known by its name (`languages.LANGUAGES`)."""

    language: str
    source: str

    @cached_property
    def sha256(self) -> str:
        """Hex digest of language and exact text."""
        return hashlib.sha256(f"{self.language}\0{self.source}".encode()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What one call did. `value` is in wire form; `error` is an exception's class name; exactly one of them counts.

    `mutated` holds the arguments after the call in wire form when the call changed them, else None.
    `output` is the text the call printed.
    """

    value: Any = None
    error: str | None = None
    mutated: Any = None
    output: str = ""


@dataclass(frozen=True)
class Case:
    """One call of the entry point: positional arguments in wire form and the outcome it must have."""

    args: Any
    expected: Outcome


@dataclass(frozen=True)
class Tests:
    """Calls of `entry` with their expected outcomes. `tolerance` is relative and absolute, for floats only."""

    entry: str
    cases: tuple[Case, ...] = ()
    tolerance: float = 0.0

    def __len__(self) -> int:
        return len(self.cases)


class Details(Protocol):
    """What a language's own tasks carry beside their texts; its judge knows the type (of CUDA:
    `cuda.spec.KernelTask`)."""

    @property
    def sha256(self) -> str:
        """Hex digest of everything in it that decides a verdict."""


@dataclass(frozen=True)
class Task:
    """C_src with what must hold after its transformation.

    preserve: U_sem, what C_src passes, to be kept. edit: U_edit, what C_src fails, to be satisfied; empty for a pure
    rewriting task. instruction: I. solution: a known C_tgt where one exists, for supervision and as an upper bound;
    never shown to a policy under evaluation. hidden: tests of the right program that no training task has; they are run
    beside, counted apart, and decide nothing. details: what the language's judge draws its tests from, where the two
    sets above don't say it all.
    """

    id: str
    source: Program
    preserve: Tests
    edit: Tests
    instruction: str = ""
    objective: Objective = Objective.CORRECTNESS
    split: str = "train"
    tags: dict[str, str] = field(default_factory=dict)
    solution: Program | None = None
    details: Details | None = field(default=None, compare=False, repr=False)
    hidden: Tests | None = None

    @cached_property
    def sha256(self) -> str:
        """Hex digest of everything that decides a verdict: source, instruction, both test sets, details, hidden
        tests."""
        content: list[Any] = [
            self.source.sha256,
            self.instruction,
            asdict(self.preserve),
            asdict(self.edit),
            self.objective,
        ]
        content += [] if self.details is None else [self.details.sha256]
        content += [] if self.hidden is None else [asdict(self.hidden)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Finish(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    LENGTH = "length"
    PROMPT_TOO_LONG = "prompt_too_long"


@dataclass(frozen=True)
class Completion:
    """What the policy said. `logprobs[t]` is log p(token_ids[t]) under the distribution sampled from (nats).

    cost: tokens that it took, as whoever sampled it counts them: its own, and on one completion of each prompt (on all,
    where an endpoint asks for each) those of the prompt. None where nobody counted.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Finish
    cost: int | None = None

    @property
    def tokens(self) -> int:
        """Tokens that it took; its own, where nobody counted."""
        return len(self.token_ids) if self.cost is None else self.cost


class Status(StrEnum):
    """The one-word outcome of verifying a program, of any language; a language may have words of its own beside these.

    UNJUDGED: nobody has seen what the program does, by a fault that is not its own (a process of ours ended, the
    machine was too busy). It says nothing about the program, right or wrong.
    """

    FORMAT = "format"
    COMPILE = "compile"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crash"
    WRONG = "wrong"
    OK = "ok"
    UNJUDGED = "unjudged"


class Duplicate(StrEnum):
    """How far a program is from merely repeating C_src."""

    NONE = "none"
    CANONICAL = "canonical"
    EXACT = "exact"


@dataclass(frozen=True)
class Score:
    """Tests passed out of `total`."""

    passed: int = 0
    total: int = 0

    @property
    def all(self) -> bool:
        """True when every test passed (vacuously for an empty set)."""
        return self.passed == self.total

    @property
    def share(self) -> float:
        """Share of tests passed in [0, 1]; 1 for an empty set."""
        return self.passed / self.total if self.total else 1.0


@dataclass(frozen=True)
class Verdict:
    """Raw facts about one program on one task; no reward.

    status: a `Status`, or a word of the language's own. preserve, edit: tests of U_sem and U_edit passed. speedup: time
    of C_src over its own, where it was measured; timing: what was measured of it beside, as plain JSON (of CUDA:
    `cuda.gpu.timing.Timing`). feedback: one line for a person or a policy. seconds: wall time of the
    judgement (s). hidden: hidden tests passed, where the task has some. facts: what else the language's judge has seen,
    by name (of CUDA: `emulated`, `on_gpu`, `published`); a fact that nobody looked at is not there. `executed` is false
    of a copy of C_src that was not run: its scores hold by definition, and nobody has seen them.
    """

    status: str
    compiled: bool
    duplicate: Duplicate
    preserve: Score
    edit: Score
    speedup: float | None = None
    feedback: str = ""
    seconds: float = 0.0
    hidden: Score | None = None
    facts: dict[str, bool] = field(default_factory=dict)
    timing: dict[str, Any] | None = None

    @property
    def judged(self) -> bool:
        """Whether anything is known of the program; where not, it counts neither as right nor as wrong."""
        return self.status != Status.UNJUDGED

    @property
    def equivalent(self) -> bool:
        """The indicator [C ≡ C_src on U_sem] of the paper: compiled and every preserved test passed."""
        return self.compiled and self.preserve.all

    @property
    def correct(self) -> bool:
        """Compiled and all of U_sem and U_edit passed."""
        return self.compiled and self.preserve.all and self.edit.all
