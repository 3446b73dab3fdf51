"""What a language must be able to do to be transformed, and which languages there are.

A language is one directory (or one plugin file): an object with the methods of `Language`, found by its name.
Everything above this file speaks to it through them; nothing compares a language's name with a string. What a language
can't do (rewrite, compare) it says by the empty answer: no rules, no comparer.

    LANGUAGES["python"].canonical("def f(a): return a")
    LANGUAGES.add("calculator", Calculator())          # in a plugin
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Protocol

from semrep_jax.core import sources
from semrep_jax.core.errors import ProgramError
from semrep_jax.core.plugins import Registry
from semrep_jax.core.programs import Duplicate, Program, Task, Verdict
from semrep_jax.core.settings import Section
from semrep_jax.sandbox.pool import Sandbox

FENCE = re.compile(r"```[ \t]*([\w+-]*)[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


class Block(NamedTuple):
    """A fenced block of an answer: its tag in lower case ("" where it has none), its body."""

    tag: str
    body: str


def fenced_blocks(text: str) -> list[Block]:
    """The fenced blocks of a text in order; the last may be open."""
    return [Block(tag.lower(), sources.unmarked(body)) for tag, body in FENCE.findall(text)]


@dataclass(frozen=True)
class Wording:
    """How a chat model is asked about programs of a language.

    system: the system message, which says what an answer looks like. same: what "behaves the same" means, the end of
    the sentence "rewrite this program so that it is written differently and ...". fenced: whether C_src is shown in a
    code block (else it is shown as it is, as it brings its own).
    """

    system: str
    same: str
    fenced: bool = True


@dataclass(frozen=True)
class Resources:
    """What judges may use: the sandbox, the seed that decides inputs, and the language's own section of the
    settings."""

    sandbox: Sandbox
    seed: int = 0
    settings: Section | None = None


class Judge(Protocol):
    """A language's verifier. Called from several threads at once."""

    def judge(self, task: Task, program: Program, duplicate: Duplicate) -> Verdict:
        """The verdict on a program.

        task: what it is judged on. duplicate: how far it merely repeats C_src; it goes into the verdict.
        """

    def close(self) -> None:
        """End what it started."""


class Answer(StrEnum):
    """What comparing two programs found."""

    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """The answer, the calls that were compared, and a call on which the two differ with what each did, or why nothing
    is known.

    `proved` says that every path of both was followed, not only so many calls; `certificate` what that covers.
    `evidence`: of each thing that was compared, how many calls returned, raised, and so on. `differing`: how many
    statements stand in the first and in the second program alone, where that was looked at.
    """

    answer: Answer
    calls: int
    counterexample: str = ""
    reason: str = ""
    proved: bool = False
    evidence: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    differing: Mapping[str, int] = field(default_factory=dict)
    certificate: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


class Comparer(Protocol):
    """Compares programs with the one that it was made for."""

    def compare(self, other: str, /) -> Finding:
        """Whether the program of this text behaves as the first one does."""

    def close(self) -> None:
        """End what it started."""


@dataclass(frozen=True)
class Rewritten:
    """A program and the rules that made it, in order."""

    program: Program
    rules: tuple[str, ...]


class Language(Protocol):
    """A programming language that a policy can transform."""

    name: str
    wording: Wording
    suffixes: tuple[str, ...]  # of its files

    def extract(self, text: str) -> tuple[Program | None, str]:
        """The program in a completion, or None and the reason why there is none."""

    def canonical(self, source: str) -> str | None:
        """The text with comments, layout, local names and spelling of constants removed; None where it does not
        parse."""

    def repeats(self, a: str, b: str) -> bool:
        """Whether two canonical texts are one program, or so near to it that writing the other is no work."""

    def distance(self, a: str, b: str) -> float:
        """How far two canonical texts are from each other, in [0, 1]."""

    def answer(self, program: Program) -> str:
        """The text that a chat model should answer with to give this program."""

    def judge(self, resources: Resources) -> Judge:
        """A verifier of its programs."""

    @property
    def rule_groups(self) -> Mapping[str, Sequence[str]]:
        """The names of its rewriting rules by group; empty where it has none."""

    def rewrite(self, program: Program, rng: Random, steps: int, rules: Sequence[str] | None) -> Rewritten | None:
        """A program after some rewriting rules; None where none applies. Nothing has run the result.

        rng: decides the rules and their places. steps: most rules in a row. rules: names to draw from, all by default.
        """

    def comparer(self, program: Program, resources: Resources, task: Task | None) -> Comparer:
        """What decides whether variants of a program behave as it does; `task` says what it is for, where its text does
        not. Raises a SemRepError where it can't be run."""


class PlainLanguage:
    """A start for a language of one's own: it compares token by token, has no rewriting rules, and answers with the
    bare program.

    What is left to write: `name`, `wording`, `suffixes`, `extract`, `canonical`, `judge`. `settings`: the type of its
    own section of the config, where it has one, under the language's name.
    """

    settings: type[Section] | None = None
    rule_groups: Mapping[str, Sequence[str]] = {}

    def repeats(self, a: str, b: str) -> bool:
        """Whether the two are equal."""
        return a == b

    def distance(self, a: str, b: str) -> float:
        """Share of white-space separated tokens by which two canonical texts differ."""
        return 1.0 - SequenceMatcher(None, a.split(), b.split(), autojunk=False).ratio()

    def answer(self, program: Program) -> str:
        """The program's text."""
        return program.source

    def rewrite(
        self, program: Program, rng: Random, steps: int, rules: Sequence[str] | None = None
    ) -> Rewritten | None:
        """No rules, no rewrite."""
        return None

    def comparer(self, program: Program, resources: Resources, task: Task | None = None) -> Comparer:
        """Refused. Raises ProgramError."""
        raise ProgramError(f"programs of {program.language} can't be compared by running them; verify them on a task")


LANGUAGES: Registry[Language] = Registry(
    "language",
    "language",
    {"python": "semrep_jax.python.language:LANGUAGE", "cuda": "semrep_jax.cuda.language:LANGUAGE"},
)


def canonical(program: Program) -> str | None:
    """The canonical form of a program; None where it does not parse."""
    return LANGUAGES[program.language].canonical(program.source)


def form_of(program: Program) -> str:
    """What two texts of one program share: the canonical form, or the text itself where it does not parse."""
    return canonical(program) or program.source.strip()


def distance(a: Program, b: Program) -> float:
    """How far the canonical forms of two programs of one language are from each other, in [0, 1]; 1 where one does not
    parse."""
    first, second = canonical(a), canonical(b)
    return 1.0 if first is None or second is None else LANGUAGES[a.language].distance(first, second)


def duplicate(source: Program, program: Program) -> Duplicate:
    """How far `program` merely repeats `source`."""
    if program.source.strip() == source.source.strip():
        return Duplicate.EXACT
    form, other = canonical(program), canonical(source)
    copied = form is not None and other is not None and LANGUAGES[program.language].repeats(form, other)
    return Duplicate.CANONICAL if copied else Duplicate.NONE


def read_source(path: Path, kind: str) -> str:
    """The text of a person's file; kind: of file, for the message. Raises ProgramError."""
    try:
        return sources.read(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ProgramError(f"{path} can't be read ({why}); name a {kind} file") from error


def read_program(path: Path, language: str) -> Program:
    """A person's file as a program of a language. Raises ProgramError."""
    program = Program(language, read_source(path, language.title()))
    if canonical(program) is None:
        raise ProgramError(f"{path} is not valid {language.title()}; mend its syntax first")
    return program


def language_of(path: Path) -> str:
    """The language of a file by its suffix. Raises ProgramError."""
    for name in LANGUAGES:
        if path.suffix in LANGUAGES[name].suffixes:
            return name
    known = ", ".join(s for name in LANGUAGES for s in LANGUAGES[name].suffixes)
    raise ProgramError(f"{path} is of no language known here by its suffix; the suffixes are {known}")
