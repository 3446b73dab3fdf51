"""What one function, class or module does in sequences of calls, and whether another program does the same.

    behaviour = Behaviour(source, "f", calls, sandbox)
    behaviour.enough, behaviour.evidence       # does what was answered suffice to know anything?
    behaviour.compare(other)                   # a Finding

Each sequence is run twice, the second time elsewhere: in a sandbox with another hash seed, at another moment, on
another machine as far as it can see. Only what is done twice in the same way is held against the other program, and
what that one does otherwise is a difference where the first program, run once more in its place, still does what it
did.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from semrep_jax.core.programs import Case
from semrep_jax.languages import Answer, Finding
from semrep_jax.python import shrink, surface
from semrep_jax.python.differences import NO_END, call_text, contrast, expected_text, sequence_text
from semrep_jax.python.reach import Walk
from semrep_jax.python.steps import magnitude, plain_call
from semrep_jax.python.trace import REFUSALS, Limits, Run, Seen, Step, Trace, Watch, trace
from semrep_jax.sandbox import pool
from semrep_jax.sandbox.pool import Sandbox

LIMITS = Limits()  # of one run of the first program
PATIENCE = Limits(cpu_seconds=3.0, wall_seconds=8.0, step_seconds=1.0)  # of one run of the second
PLAIN_LIMITS = pool.Limits(cpu_seconds=1.0, wall_seconds=4.0, memory_mb=512)
APART = Limits(cpu_seconds=2.0, step_seconds=0.2)  # of the second on calls that say nothing where they take too long
CHUNK = 64  # sequences in one contained process
STEPS = 5  # calls of one function that share a state
REPEATING = 10  # sequences in which a call is made again
FEWEST_ANSWERS = 10  # for anything to be known
FEWEST_SHARE = 0.1  # of the calls, that say something
MOST_LOST_CHUNKS = 2  # after which a function that has answered nothing is given up
MOST_UNCONFIRMED = 3  # differences, after which nothing is known
SHRINKING_ROUNDS = 8
LONGEST_CALL = 300  # characters that are shown of it
# The machine's limits and not the program's answers.
_EXHAUSTED = ("MemoryError", "RecursionError", "candidate.TooMuchOutput", "surroundings.TooMuchOutput")
_NOT_AGAIN = "a difference was seen once, and not again"
_NO_STEADY_ANSWER = "no steady answer (it hangs on the moment, the machine, chance or the order of a set)"
_UNSTEADY = "gives no steady answer to its inputs (it is random, takes too long, or ends its process)"
_MOVED = "the second program hangs on the moment, the machine, chance or the order of a set"
# Words of programs that may do otherwise elsewhere, and those that hang on the order of a set: a few calls show that.
_HANGING = re.compile(
    r"\b(time|datetime|date|now|today|random|secrets|uuid|hash"
    r"|getp?pid|cpu_count|affinity|uname|gethostname|platform)\b"
)
_SETS = re.compile(r"\b(set|frozenset)\(")
_SHARE_OF_SETS = 4  # every so many-th sequence
_NO_INPUTS = "no inputs were found that it takes"


@dataclass
class Evidence:
    """What a comparison rests on, by counts of calls.

    returned: with a value. raised: with an exception that says something. refused: with TypeError or AttributeError.
    unreadable: with a value that can't be compared. unsteady: twice not in the same way, too slow, or not at all.
    distinct: outcomes.
    """

    returned: int = 0
    raised: int = 0
    refused: int = 0
    unreadable: int = 0
    unsteady: int = 0
    distinct: int = 0

    @property
    def answers(self) -> int:
        """Calls that say something."""
        return self.returned + self.raised


@dataclass
class Recording:
    """One sequence of steps with what the first program does; None where that is not known."""

    steps: list[Step]
    load: Seen | None
    outcomes: list[Seen | None]
    state: Seen | None


class Behaviour:
    """What one function, class or module does in sequences of steps.

    source, entry: the program and the name of what is looked at. calls: of a function, in wire form; or `sequences`:
    of steps. sandbox: where it runs. again: the sandbox of the second time, with another hash seed; the twin of
    `sandbox` where None. watch: what is looked at beside the steps. lenient:
    TypeError and AttributeError say only that an input was guessed wrong. sharing: whether shared references count.
    long: calls that come last, each by itself; no one asks which statements they reach. turns: of the one call of a
    function without parameters, each by itself (see `sandbox.session`). apart: sequences in a process of their own;
    where a program takes too long or too much memory, or gives too much, they say nothing of it.

    `recordings` are the sequences with what was answered twice in the same way. `enough` says whether that suffices to
    know anything, `silent` how many calls gave no steady answer.
    """

    def __init__(
        self,
        source: str,
        entry: str,
        calls: Sequence[Any],
        sandbox: Sandbox,
        again: Sandbox | None = None,
        *,
        sequences: Sequence[Sequence[Step]] | None = None,
        watch: Watch | None = None,
        lenient: bool = False,
        sharing: bool = True,
        long: Sequence[Any] = (),
        turns: int = 0,
        apart: Sequence[Sequence[Step]] = (),
    ):
        self.source, self.entry, self.sandbox, self.again = source, entry, sandbox, again or sandbox.twin
        self.watch, self.sharing = watch or Watch(), sharing
        self.lenient = lenient and not any(name in source for name in REFUSALS)
        self.calls = len(calls)
        self.evidence, self.load_error = Evidence(), ""
        self.recordings: list[Recording] = []
        self._unread = Counter[str]()
        self._unequal = 0  # steps that ended both times, and not in the same way
        self._idle = 0  # results whose functions gave nothing
        self._long = list(long)
        if sequences is None:
            steps = [["call", entry, call] for call in sorted(calls, key=magnitude)]
            sequences = [steps[i : i + STEPS] for i in range(0, len(steps), STEPS)]
            if len(steps) > STEPS:  # what is remembered from one call to the next shows in a second one
                sequences[:REPEATING] = [[*some, some[0], some[-1]] for some in sequences[:REPEATING]]
            sequences += [[["call", entry, ["t"], turn]] for turn in range(turns)]
            sequences += [[["call", entry, call]] for call in long]
        self._record(sequences)
        with self._uncounted():
            self.apart = [] if self.load_error else self._steady_part([list(steps) for steps in apart])

    def _record(self, sequences: Sequence[Sequence[Step]]) -> None:
        lost = 0
        for chunk in _chunks(sequences):
            recorded = self._steady_part(chunk)
            self.evidence.unsteady += sum(map(len, chunk[len(recorded) :]))
            lost += not recorded
            self.recordings += recorded
            if lost == MOST_LOST_CHUNKS or self.load_error:
                break
        distinct = set()
        for recording in self.recordings:
            for outcome in recording.outcomes:
                if outcome is not None:
                    self._count(outcome)
                    distinct.add(repr([outcome.how, outcome.value, outcome.output]))
        self.evidence.distinct = len(distinct)
        self._iterates = any("['it', " in text or "'async', " in text for text in distinct)

    def _count(self, outcome: Seen) -> None:
        if outcome.refused or outcome.idle:
            self.evidence.refused += 1
            self._idle += outcome.idle
        elif outcome.ending == "returned":
            self.evidence.returned += 1
        elif outcome.how != "void":
            self.evidence.raised += 1

    @property
    def broken_off(self) -> list[list[Step]]:
        """The beginnings of sequences that end in an iterator which would have gone on."""
        places = [next((i for i, ends in enumerate(self._ends(r)) if "more" in ends), -1) for r in self.recordings]
        return [r.steps[: i + 1] for r, i in zip(self.recordings, places, strict=True) if i >= 0]

    @property
    def ends(self) -> set[str]:
        """How iterators that it gave ended."""
        return set[str]().union(*(ends for r in self.recordings for ends in self._ends(r)))

    def _ends(self, recording: Recording) -> list[set[str]]:
        return [o.ends if o is not None else set() for o in recording.outcomes] if self._iterates else []

    @property
    def silent(self) -> int:
        """Calls without a steady answer."""
        return self.evidence.unsteady

    @property
    def enough(self) -> bool:
        """Whether what was answered suffices to know anything."""
        total = sum(len(r.steps) for r in self.recordings)
        fewest = max(1, min(FEWEST_ANSWERS, total // 2), FEWEST_SHARE * total)
        return self.evidence.returned > 0 and self.evidence.answers >= fewest

    def _steady_part(self, chunk: list[list[Step]]) -> list[Recording]:
        """What is done twice in the same way in a chunk, or in its beginning where the process was lost."""
        while chunk:
            recorded = self._steady(chunk)
            if recorded is not None:
                return recorded
            if self.load_error:
                break
            chunk = chunk[: len(chunk) // 4]
        return []

    def _steady(self, chunk: list[list[Step]]) -> list[Recording] | None:
        """What is done twice in the same way; None where a process gave no outcomes at all."""
        later = self._elsewhere(self.source, chunk, LIMITS)
        first = trace(self.sandbox, self.source, chunk, LIMITS, self.watch)
        second = later.result()
        if first is None or second is None:
            return None
        if first.load_error or second.load_error:
            self.load_error = first.load_error or second.load_error or ""
            return None
        return [
            self._recording(steps, x, y) for steps, x, y in zip(chunk, first.sequences, second.sequences, strict=True)
        ]

    def _elsewhere(self, source: str, sequences: Sequence[Sequence[Step]], limits: Limits) -> Future[Trace | None]:
        """What a program will have done elsewhere."""
        seed = 1 if "random" in source else 0
        return self.again.threads.submit(
            trace, self.again, source, sequences, limits, self.watch, seed=seed, elsewhere=True
        )

    def _recording(self, steps: list[Step], one: Run, other: Run) -> Recording:
        """What both runs of a sequence agree on, up to a step that had to be broken off."""
        broken = [i for i, pair in enumerate(zip(one.steps, other.steps, strict=True)) if any(map(_broken_off, pair))]
        end = broken[0] if broken else len(steps)
        self.evidence.unsteady += len(steps) - end
        with self._uncounted() if steps and steps[0][-1] in self._long else nullcontext():
            outcomes = [self._agreed(a, b) for a, b in zip(one.steps[:end], other.steps[:end], strict=True)]
        state = None if broken else self._agreed(one.state, other.state, count=False)
        return Recording(list(steps[:end]), self._agreed(one.load, other.load, count=False), outcomes, state)

    def _agreed(self, one: Seen, other: Seen, count: bool = True) -> Seen | None:
        """An outcome that is the same both times, and known; the others are counted."""
        if one.how == "unreadable":
            self._unread[one.message or "a value"] += 1
            self.evidence.unreadable += count
            return None
        if (not one.known and one.how != "void") or one.key() != other.key():
            self.evidence.unsteady += count
            self._unequal += count
            return None
        return one

    @cached_property
    def cases(self) -> list[Case]:
        """Plain cases of the function: different positional calls with plain values, and what the sandbox sees of
        them."""
        steady = [
            step[2]
            for r in self.recordings
            for step, outcome in zip(r.steps, r.outcomes, strict=True)
            if outcome is not None
        ]
        unread = [
            step[2]
            for r in self.recordings
            for step, outcome in zip(r.steps, r.outcomes, strict=True)
            if outcome is None
        ] if self.evidence.unreadable else []  # fmt: skip
        every = (call for call in map(plain_call, [*steady, *unread]) if call is not None)
        plain = list({repr(call): call for call in every}.values())  # some calls are made twice
        found: list[Case] = []
        for start in range(0, len(plain), 100):
            calls = plain[start : start + 100]
            seen = self.sandbox.observe(self.source, self.entry, calls, PLAIN_LIMITS)
            if len(seen.outcomes) == len(calls):
                found += [Case(call, outcome) for call, outcome in zip(calls, seen.outcomes, strict=True)]
        return found

    def compare(self, other: str, explain: bool = True) -> Finding:
        """Compare another program.

        other: its source. explain: whether a counterexample is made small. A difference counts if it is seen again, the
        first program run anew beside it and in its place.
        """
        compared, lost, unconfirmed, share = 0, "", 0, _share_to_move(other)
        for chunk in _chunks([r for r in self.recordings if r.steps]):
            seen = trace(self.sandbox, other, [r.steps for r in chunk], PATIENCE, self.watch)
            if seen is not None and seen.load_error and self._repeats(chunk[0]):
                return self._different(compared, f"the second program does not load: {seen.load_error}")
            runs = seen.sequences if seen is not None else self._one_by_one(other, chunk)
            for recording, run in zip(chunk, runs, strict=False):
                if run is None:
                    if self._repeats(recording):
                        return self._different(compared, self._explain_loss(other, recording))
                    return self._verdict(compared, _NOT_AGAIN)
                place = self._first_difference(recording, run)
                if place is not None:
                    text = self._explained(other, recording, place, SHRINKING_ROUNDS if explain else 0)
                    if text is not None:
                        return self._different(compared, text)
                    lost, unconfirmed = _NOT_AGAIN, unconfirmed + 1
                    if unconfirmed == MOST_UNCONFIRMED:
                        return self._verdict(compared, lost)
                compared += sum(
                    o is not None and s.how != "skipped" for o, s in zip(recording.outcomes, run.steps, strict=True)
                )
                pairs = zip([*recording.outcomes, recording.state], [*run.steps, run.state], strict=True)
                if any(o is not None and s.known and o.unseen[0] != s.unseen[0] for o, s in pairs):
                    lost = "objects that differ in their private state were too many to be asked about"
                if any(s.how == "skipped" for s in run.steps):
                    lost = "the second program takes much longer than the first; not all calls were compared"
            if share and not lost and not self._does_the_same_elsewhere(other, chunk[::share]):
                lost = _MOVED
        difference, more = self._compared_apart(other, SHRINKING_ROUNDS if explain else 0)
        compared += more
        return self._verdict(compared, lost) if difference is None else self._different(compared, difference)

    def _compared_apart(self, other: str, rounds: int) -> tuple[str | None, int]:
        """A difference in the sequences that are apart, if one is found in them, and how many calls were compared."""
        compared, recordings = 0, [r for r in self.apart if r.steps]
        seen = trace(self.sandbox, other, [r.steps for r in recordings], APART, self.watch) if recordings else None
        for recording, run in zip(recordings, seen.sequences if seen is not None else (), strict=False):
            if any(map(_broken_off, run.steps)):
                continue
            place = self._first_difference(recording, run)
            text = None if place is None else self._explained(other, recording, place, rounds)
            if text is not None:
                return text, compared
            compared += len(recording.steps)
        return None, compared

    def _does_the_same_elsewhere(self, other: str, recordings: list[Recording]) -> bool:
        """Whether the other program does elsewhere what was recorded, as far as it is seen to its end."""
        seen = self._elsewhere(other, [recording.steps for recording in recordings], PATIENCE).result()
        runs = seen.sequences if seen is not None else ()
        if seen is not None and seen.load_error:
            return False
        return all(
            self._first_difference(one, run) is None or any(map(_broken_off, run.steps))
            for one, run in zip(recordings, runs, strict=False)
        )

    def _repeats(self, recording: Recording) -> bool:
        """Whether the first program, run in the second one's place, does what was recorded of it."""
        seen = trace(self.sandbox, self.source, [recording.steps], PATIENCE, self.watch)
        return seen is not None and not seen.load_error and self._first_difference(recording, seen.sequences[0]) is None

    @cached_property
    def walk(self) -> Walk:
        """Where control goes in the first program."""
        return Walk(self.source, self.sandbox, self.sequences)

    @property
    def sequences(self) -> list[list[Step]]:
        """The steps of all recordings but those of long calls."""
        every = [recording.steps for recording in (*self.recordings, *self.apart) if recording.steps]
        return [steps for steps in every if steps[0][-1] not in self._long] if self._long else every

    def _one_by_one(self, other: str, chunk: list[Recording]) -> Iterator[Run | None]:
        """What the other program does in each sequence, in a process of its own; None where it gives no report."""
        for recording in chunk:
            seen = trace(self.sandbox, other, [recording.steps], PATIENCE, self.watch)
            yield seen.sequences[0] if seen is not None and seen.sequences else None

    def _different(self, compared: int, text: str) -> Finding:
        return Finding(Answer.DIFFERENT, compared, text)

    def _verdict(self, compared: int, lost: str) -> Finding:
        reason = self._reason() or lost
        if reason:
            return Finding(Answer.UNKNOWN, compared, reason=f"{self.entry}: {reason}")
        return Finding(Answer.EQUIVALENT, compared)

    def _reason(self) -> str:
        """Why nothing is known; empty where something is."""
        e = self.evidence
        if self.load_error:
            return f"the first program does not load: {self.load_error}"
        if self._unread:
            what, count = self._unread.most_common(1)[0]
            return f"{sum(self._unread.values())} results can't be compared ({what}, {count} times)"
        if self.enough:
            return f"{_NO_STEADY_ANSWER} in {self._unequal} calls" if self._unequal else ""
        if e.unsteady > e.refused and not e.answers:
            return f"the first program {_UNSTEADY}"
        if e.raised and not e.returned:
            return f"no call returned: {e.raised} raised, {e.refused} ended in TypeError or AttributeError"
        if self._idle:
            return f"{self._idle} of the functions that are returned gave nothing to what they were tried with"
        return f"{_NO_INPUTS} ({e.refused} of {e.refused + e.answers} calls ended in TypeError or AttributeError)"

    def _same(self, expected: Seen | None, seen: Seen) -> bool:
        """Whether the second program does the same, as far as the first one's answer says anything."""
        if expected is None or seen.how == "skipped" or expected.how == "void" == seen.how:
            return True
        if self.lenient and expected.refused:
            return True
        return expected.beside(seen).key(self.sharing) == seen.beside(expected).key(self.sharing)

    def _first_difference(self, recording: Recording, run: Run) -> int | None:
        """The number of the first step that differs: -1 is the loading, the number of steps the state after them."""
        if not self._same(recording.load, run.load):
            return -1
        for i, (expected, seen) in enumerate(zip(recording.outcomes, run.steps, strict=False)):
            if not self._same(expected, seen):
                return i
            if self.lenient and expected is not None and expected.refused and recording.steps[i][0] != "call":
                return None  # what does not fit may have changed half of the instance
        return None if self._same(recording.state, run.state) else len(recording.steps)

    def _explain_loss(self, other: str, recording: Recording) -> str:
        """One line about a sequence on which the other program hangs or ends its process."""
        for step, expected in zip(recording.steps, recording.outcomes, strict=True):
            if expected is None:
                continue
            alone = trace(self.sandbox, other, [[step]], PATIENCE, self.watch)
            if alone is None or any(seen.how == "slow" for one in alone.sequences for seen in one.steps):
                return f"{call_text(step)} {expected_text(expected)}, {NO_END}"
        return f"{sequence_text(recording.steps)}: the second program hangs or ends its process"

    def _explained(self, other: str, recording: Recording, place: int, rounds: int) -> str | None:
        """One line about the smallest failing sequence that is found in so many rounds; None where none fails again, or
        the first program fails too."""
        steps = recording.steps[: place + 1] if place < len(recording.steps) else recording.steps
        best: tuple[Recording, Run, int] | None = None

        def failing(tries: list[list[Step]]) -> list[list[Step]]:
            nonlocal best
            found: list[list[Step]] = []
            mine = self._steady_quietly(tries)
            theirs = trace(self.sandbox, other, tries, PATIENCE, self.watch)
            if mine is None or theirs is None or theirs.load_error:
                return []
            for one, run in zip(mine, theirs.sequences, strict=True):
                where = self._first_difference(one, run)
                if where is not None and where >= min(0, place):
                    if not found:
                        best = (one, run, where)
                    found.append(one.steps)
            return found

        if not failing([list(steps)]) and not failing([list(recording.steps)]):
            return None
        assert best is not None
        found = best
        if not self._repeats(found[0]):
            return None
        shrink.smallest_sequence(list(found[0].steps), failing, rounds)
        return self._text(*(best if best is found or self._repeats(best[0]) else found))

    def _steady_quietly(self, sequences: list[list[Step]]) -> list[Recording] | None:
        with self._uncounted():
            return self._steady(sequences)

    @contextmanager
    def _uncounted(self) -> Iterator[None]:
        """What is seen meanwhile is no evidence."""
        before = replace(self.evidence), Counter(self._unread), self._unequal
        yield
        self.evidence, self._unread, self._unequal = before

    def _text(self, recording: Recording, run: Run, place: int) -> str:
        """One line about a difference."""
        if place == -1:
            return f"loading: {contrast(recording.load, run.load)}"
        if place == len(recording.steps):
            return f"{sequence_text(recording.steps)}, then the state: {contrast(recording.state, run.state)}"
        expected = recording.outcomes[place]
        before = recording.steps[:place]
        call = call_text(recording.steps[place])
        if len(call) > LONGEST_CALL:
            call = f"{call[:LONGEST_CALL]}... ({len(call)} characters)"
        after = f" after {sequence_text(before)}" if before else ""
        return f"{call} {contrast(expected, run.steps[place])}{after}"[:700]


def _share_to_move(source: str) -> int:
    """Every how many-th sequence shows whether a program does otherwise elsewhere; 0 where it can't."""
    if _HANGING.search(source):
        return 1
    sets = _SETS.search(source) or any(isinstance(n, ast.Set | ast.SetComp) for n in ast.walk(surface.parsed(source)))
    return _SHARE_OF_SETS if sets else 0


def _broken_off(seen: Seen) -> bool:
    """Whether the machine's limits ended a step, and not the program."""
    return seen.how in ("slow", "skipped", *_EXHAUSTED)


def _chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    """The items in order, CHUNK at a time."""
    for start in range(0, len(items), CHUNK):
        yield list(items[start : start + CHUNK])
