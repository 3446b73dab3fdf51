"""Sequences of steps with a program, run in the sandbox, and what was seen of each (see `sandbox.session`).

    seen = trace(sandbox, source, [[["call", "f", ["t", 1]]]])
    seen.sequences[0].steps[0].how, seen.sequences[0].steps[0].value

What comes back is judged in wire form and never made into objects here, as a candidate may have written it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from semrep_jax.sandbox import pool
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.sandbox.values import NO_OUTCOME

Step = list[Any]
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

    variables: names of the module's, whose values are looked at after each sequence. uses: by class of the first
    program what is asked of its instances where they stand in results; of other classes' all that is public. sends:
    whether something is sent to generators.
    """

    variables: tuple[str, ...] = ()
    uses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sends: bool = False


@dataclass(frozen=True)
class Seen:
    """What one step did: how it ended ("returned", an exception's name, or one of `values.NO_OUTCOME`), its value (an
    exception's: what it holds), the arguments after it where they could change, what it printed, where one object
    stands twice, a message, the files that changed."""

    how: str
    value: Any = None
    after: Any = None
    output: str = ""
    errors: str = ""
    shared: Any = ()
    message: str | None = None
    files: Any = ()

    @property
    def known(self) -> bool:
        """Whether it is anything that can be compared."""
        return self.how not in NO_OUTCOME

    @property
    def ending(self) -> str:
        """How it ended: as `how`, or in the error of an iterator that ends in one before it yields anything."""
        if self.how == "returned" and type(self.value) is list and self.value[:2] == ["it", []]:
            return "returned" if self.value[2] in ("end", "more") else str(self.value[2])
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
        "sends": watch.sends,
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


def _run(outcomes: list[Any]) -> Run:
    load, *steps, state = [_seen(outcome) for outcome in outcomes]
    return Run(load, tuple(steps), state)


def _seen(outcome: Any) -> Seen:
    """An outcome as it is reported. Raises TypeError where it is none."""
    seen = Seen(*outcome)
    if type(seen.how) is not str or type(seen.output) is not str or type(seen.errors) is not str:
        raise TypeError("not a report")
    return seen
