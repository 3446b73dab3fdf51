"""Sequences of steps with a program, run in the sandbox, and what was seen of each (see `sandbox.session`).

    seen = trace(sandbox, source, [[["call", "f", ["t", 1]]]])
    seen.sequences[0].steps[0].how, seen.sequences[0].steps[0].value

What comes back is judged in wire form and never made into objects here, as a candidate may have written it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from semrep_jax.sandbox import pool
from semrep_jax.sandbox.marks import ARGUMENTS, CAUSE, MAX_ITEMS, MEMBERS, NO_OUTCOME, TEXT
from semrep_jax.sandbox.pool import Sandbox

Step = list[Any]
MOST_OWN = 6  # numbers, texts and fractions that a program's text names
REFUSALS = ("TypeError", "AttributeError")  # which may say only that an input does not fit
# What returned functions and objects are used with, by sort.
PROBES: dict[str, list[Any]] = {
    "int": [3, 0, -2, 7, 1, 12, 100, -45],
    "str": ["ab", "", "Zoé x", "7", "b,a", "ab c\n", "abcabc", "A"],
    "list": [["l", 3, 1, 2], ["l"], ["l", 5, 5, -1, 0], ["l", 1]],
    "float": [["f", "1.5"], ["f", "-0.0"], ["f", "0.1"], ["f", "nan"]],
    "call": [
        ["call", "int"],
        ["call", "same"],
        ["call", "str"],
        ["call", "int", "ValueError", 1],
        ["call", "int", "KeyError", 1],
        ["call", "int", "ValueError", 99],
    ],
}


@dataclass(frozen=True)
class Limits:
    """What one run may use: processor and wall time (s) of all its steps, processor time of one (s), memory (MiB)."""

    cpu_seconds: float = 1.0
    wall_seconds: float = 6.0
    memory_mb: int = 512
    step_seconds: float = 0.05


@dataclass(frozen=True)
class Watch:
    """What is looked at beside the steps.

    variables: names of the module's, whose values are looked at after each sequence. held: by public class, its own
    variables, which are looked at too. items: at most so many are read of an iterator. uses: by class of the first
    program what is asked of its instances where they stand in results; of other classes' all that is public. sends:
    whether something is sent to generators. throws: names of the exceptions that are thrown into iterators and
    contexts. own: values that a program's text names, each with its sort, with which returned functions are called
    (see `own_probes`).
    """

    variables: tuple[str, ...] = ()
    uses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    held: Mapping[str, Sequence[str]] = field(default_factory=dict)
    items: int = MAX_ITEMS
    sends: bool = False
    throws: tuple[str, ...] = ()
    own: tuple[tuple[str, Any], ...] = ()


def own_probes(constants: Sequence[Any], keys: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """Values for returned functions that are made of what a program's text names: its numbers (large ones first) and
    those after them, its texts, dicts with its keys. Each with its sort, as in PROBES."""
    numbers = sorted((c for c in constants if type(c) is int), reverse=True)[:MOST_OWN]
    found: list[tuple[str, Any]] = [("int", n + more) for n in numbers for more in (0, 1)]
    found += [("float", ["f", repr(c)]) for c in constants if type(c) is float][:MOST_OWN]
    found += [("str", c) for c in constants if type(c) is str][:MOST_OWN]
    if keys:
        fillings: list[list[Any]] = [[3, -2, 7, 100], ["ab", "", "7", "A"]]
        found += [("dict", ["D", *([k, some[n % 4]] for n, k in enumerate(keys))]) for some in fillings]
    return tuple(found)


@dataclass(frozen=True)
class Seen:
    """What one step did: how it ended ("returned", an exception's name, or one of `values.NO_OUTCOME`), its value (an
    exception's: what it holds), the arguments after it where they could change, what it printed, where one object
    stands twice, a message, the files that changed, what nobody has seen of it (see `values.Encoder.unseen`)."""

    how: str
    value: Any = None
    after: Any = None
    output: str = ""
    errors: str = ""
    shared: Any = ()
    message: str | None = None
    files: Any = ()
    unseen: Any = (None, False)

    @property
    def ends(self) -> set[str]:
        """How the iterators in it ended; "more" where one was broken off."""
        return set(_ends(self.value)) if self.how == "returned" else set()

    @property
    def idle(self) -> bool:
        """Whether what it returned are functions that gave nothing to anything they were tried with."""
        return self.how == "returned" and bool(self.unseen[1])

    def beside(self, other: Seen) -> Seen:
        """Itself as far as another outcome can be held against it: what only one of two exceptions holds beside its
        class, and a text in the place of what the other holds, says nothing."""
        if self.how in ("returned", "SystemExit") or self.value == other.value:
            return self
        mine, theirs = (dict(_pairs(one.value)) for one in (self, other))
        for name in (MEMBERS, ARGUMENTS, CAUSE):
            one, another = mine.get(name), theirs.get(name)
            if one is None or another is None or (name == ARGUMENTS and len(one) != len(another)):
                mine.pop(name, None)
            elif name == ARGUMENTS:
                mine[name] = [TEXT if TEXT in (x, y) else x for x, y in zip(one, another, strict=True)]
        return replace(self, value=["D", *map(list, mine.items())])

    @property
    def known(self) -> bool:
        """Whether it is anything that can be compared."""
        return self.how not in NO_OUTCOME

    @property
    def ending(self) -> str:
        """How it ended: as `how`, or in the error of an iterator that ends in one before it yields anything."""
        if self.how == "returned" and type(self.value) is list and self.value[:2] == ["it", []]:
            return "returned" if self.value[2] in ("end", "more", "closed") else str(self.value[2])
        return self.how

    @property
    def refused(self) -> bool:
        """Whether it says only that an input does not fit."""
        return self.ending in REFUSALS

    def key(self, sharing: bool = True) -> str:
        """A text that is the same for the same behaviour; `sharing`: whether it counts what stands twice."""
        shared = list(self.shared) if sharing else []
        return repr([self.how, self.value, self.after, self.output, self.errors, shared, list(self.files)])


@dataclass(frozen=True)
class Run:
    """One sequence: the loading, its steps, and the state after them."""

    load: Seen
    steps: tuple[Seen, ...]
    state: Seen


@dataclass(frozen=True)
class Trace:
    """What was seen of a program; `load_error` where it does not load; `moves` of control where they were asked for."""

    sequences: tuple[Run, ...] = ()
    load_error: str | None = None
    moves: frozenset[tuple[int, int]] = frozenset()


def trace(
    sandbox: Sandbox,
    source: str,
    sequences: Sequence[Sequence[Step]],
    limits: Limits | None = None,
    watch: Watch | None = None,
    seed: int = 0,
    reach: bool | str = False,
    elsewhere: bool = False,
) -> Trace | None:
    """Run sequences of steps; None where the process gave no report (it hung or ended itself). Raises Unseen.

    sandbox: where. source: the program. sequences: each starts with the program loaded afresh. limits: on all the steps
    and on each; the defaults where None. variables: names whose values are looked at after each sequence. seed: of the
    program's own `random`. reach: whether it is noted which lines run, which takes longer; with "parts", those in
    comprehensions and lambdas too. elsewhere: whether it is run at another moment and on another machine, as far as it
    can see (`sandbox.elsewhere`).
    """
    limits, watch, token = limits or Limits(), watch or Watch(), secrets.token_hex(16)
    request = {
        "source": source,
        "sequences": [list(sequence) for sequence in sequences],
        "probes": PROBES,
        "globals": watch.variables,
        "uses": watch.uses,
        "held": watch.held,
        "items": watch.items,
        "sends": watch.sends,
        "throws": watch.throws,
        "own": watch.own,
        "seed": seed,
        "step_seconds": limits.step_seconds,
        "total_seconds": 0.75 * limits.cpu_seconds,
        "token": token,
        "reach": reach,
        "elsewhere": elsewhere,
        "limits": asdict(pool.Limits(limits.cpu_seconds, limits.wall_seconds, limits.memory_mb)),
    }
    facts, raw = sandbox.ask_surely(request)
    if not raw or facts["timeout"]:
        return None
    try:
        report = json.loads(raw)
        if report["token"] != token:
            return None
        if report["load"] is not None:
            return Trace(load_error=str(report["load"]))
        found = tuple(_run(outcomes) for outcomes in report["sequences"])
        fits = [len(run.steps) == len(sequence) for run, sequence in zip(found, sequences, strict=True)]
        moves = frozenset((int(a), int(b)) for a, b in report["moves"])
        return Trace(found, moves=moves) if all(fits) else None
    except Exception:  # not our report: the candidate has written it
        return None


def _ends(wire: Any) -> Iterator[str]:
    match wire:
        case ["it", _, str(end), *_] | ["t", "async", _, str(end)]:
            yield end
    if isinstance(wire, list):
        for part in wire:
            yield from _ends(part)


def _pairs(held: Any) -> list[Any]:
    """What an exception holds, by name."""
    return held[1:] if isinstance(held, list) and held[:1] == ["D"] else []


def _run(outcomes: list[Any]) -> Run:
    load, *steps, state = [_seen(outcome) for outcome in outcomes]
    return Run(load, tuple(steps), state)


def _seen(outcome: Any) -> Seen:
    """An outcome as it is reported. Raises TypeError where it is none."""
    seen = Seen(*outcome)
    texts = type(seen.how) is type(seen.output) is type(seen.errors) is str
    if not texts or not isinstance(seen.unseen, list | tuple) or len(seen.unseen) != 2:
        raise TypeError("not a report")
    return seen
