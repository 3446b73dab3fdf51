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
from pathlib import Path
from typing import Any

from semrep_jax.cuda import canonical as cuda
from semrep_jax.python import canonical as python


class SemRepError(Exception):
    """Base of every error that a user can mend; `main` prints it on one line and exits with `exit_code`."""

    exit_code = 2


class TaskError(SemRepError):
    """A task, a suite or its data is malformed, empty or missing."""


class ProgramError(SemRepError):
    """A person's file can't be read, or is no program."""


class Language(StrEnum):
    """A programming language a policy can transform."""

    PYTHON = "python"
    CUDA = "cuda"


class Objective(StrEnum):
    """What a task rewards beyond being right."""

    CORRECTNESS = "correctness"
    SPEED = "speed"


_FORMS = {Language.PYTHON: python, Language.CUDA: cuda}


@dataclass(frozen=True)
class Program:
    """A text in a language; of CUDA, device code and launch list in two fenced blocks. `canonical` is None where it does not parse."""

    language: Language
    source: str

    @cached_property
    def sha256(self) -> str:
        """Hex digest of language and exact text."""
        return hashlib.sha256(f"{self.language}\0{self.source}".encode()).hexdigest()

    @cached_property
    def canonical(self) -> str | None:
        """The form with comments, layout, local names and spelling of constants removed; None if it does not parse."""
        return _FORMS[self.language].canonical(self.source)

    def distance(self, other: Program) -> float:
        """How far the canonical forms are from each other, in [0, 1]; 1 where one of them does not parse."""
        if self.canonical is None or other.canonical is None:
            return 1.0
        return _FORMS[self.language].distance(self.canonical, other.canonical)


def read_python(path: Path) -> Program:
    """A person's Python file. Raises ProgramError."""
    try:
        program = Program(Language.PYTHON, path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ProgramError(f"{path} can't be read ({error}); name a Python file") from error
    if program.canonical is None:
        raise ProgramError(f"{path} is not valid Python; mend its syntax first")
    return program


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


@dataclass(frozen=True)
class Task:
    """C_src with what must hold after its transformation.

    `preserve` is U_sem (what C_src passes, to be kept), `edit` is U_edit (what C_src fails, to be satisfied; empty for a
    pure rewriting task), `instruction` is I. `kernel` is a kernel's specification (`kernels.spec.KernelTask`), which its tests are
    drawn from. `solution` is a known C_tgt where one exists: supervision and upper bound, never shown to a policy under evaluation.
    `hidden` are tests of the right program that no training task has: they are run beside, counted apart, and decide nothing.
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
    kernel: Any = field(default=None, compare=False, repr=False)
    hidden: Tests | None = None

    @cached_property
    def sha256(self) -> str:
        """Hex digest of everything that decides a verdict: source, instruction and both test sets."""
        content = [self.source.sha256, self.instruction, asdict(self.preserve), asdict(self.edit), self.objective]
        content += [] if self.kernel is None else [self.kernel.sha256]
        content += [] if self.hidden is None else [asdict(self.hidden)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Finish(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    LENGTH = "length"
    PROMPT_TOO_LONG = "prompt_too_long"


@dataclass(frozen=True)
class Completion:
    """What the policy said. `logprobs[t]` is log p(token_ids[t]) under the distribution sampled from (nats)."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Finish


class Status(StrEnum):
    """The one-word outcome of verifying a program: of Python first, then what only kernels can meet."""

    FORMAT = "format"
    COMPILE = "compile"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crash"
    WRONG = "wrong"
    OK = "ok"
    BANNED = "banned"
    LAUNCH = "launch"
    RACE = "race"
    NONDETERMINISTIC = "nondeterministic"
    NUMERIC = "numeric"
    HACK_SUSPECT = "hack_suspect"
    UNSUPPORTED = "unsupported"


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
    """Raw facts about one program on one task; no reward. `seconds` is wall time in the sandbox (s).

    Of kernels: `emulated` and `on_gpu` say whether it was right there (None: not run there), `speedup` is C_src's time over its own on a
    GPU; `published` is what the task's own authors would have said of the same outputs, where they have a rule of their own.
    `hidden` counts the hidden tests passed, where the task has some.
    """

    status: Status
    compiled: bool
    duplicate: Duplicate
    preserve: Score
    edit: Score
    speedup: float | None = None
    feedback: str = ""
    seconds: float = 0.0
    emulated: bool | None = None
    on_gpu: bool | None = None
    published: bool | None = None
    hidden: Score | None = None

    @property
    def equivalent(self) -> bool:
        """The indicator [C ≡ C_src on U_sem] of the paper: compiled and every preserved test passed."""
        return self.compiled and self.preserve.all

    @property
    def correct(self) -> bool:
        """Compiled and all of U_sem and U_edit passed."""
        return self.compiled and self.preserve.all and self.edit.all
