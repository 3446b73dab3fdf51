"""Do two programs behave the same? By running both on generated inputs: equivalent, different, or unknown.

    reference = Reference(a, sandbox)        # every function at the top of A, called and called again
    finding = reference.compare(b)           # as often as one likes
    finding.answer, finding.counterexample

Results are compared as verdicts are: values by type and exactly (floats too), exception classes, changes to arguments,
printed text. Equivalent says that nothing was found on so many calls; it is no proof (`python.proof` has one).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from semrep_jax.core.programs import Case, Outcome
from semrep_jax.languages import Answer, Finding
from semrep_jax.python import inputs, shrink
from semrep_jax.sandbox.outcomes import explain, matches
from semrep_jax.sandbox.pool import Limits, Sandbox

LIMITS = Limits(cpu_seconds=1.0, wall_seconds=4.0, memory_mb=512)  # of one chunk
CHUNK = 100  # calls made in one contained process
FEWEST_CASES = 10  # with a steady answer, for anything to be known
MOST_LOST_CHUNKS = 2  # after which a function that has answered nothing is given up
# For the second time: a program that draws numbers would draw the same, as every process of the sandbox has one seed.
_RESEEDED = "\n__import__('random').seed(1)\n"
_UNSTEADY = "the first program gives no steady answer to its inputs (it is random, takes too long, or ends its process)"
_NO_INPUTS = "no inputs were found that it takes"


class Reference:
    """What program A does: calls of the functions at its top (the public ones, if there are any) with their outcomes.

    source: A. sandbox: where programs run. count: calls of each function. seed: decides the calls. Raises InputError
    where A does not parse or has no function that can be called.
    """

    def __init__(self, source: str, sandbox: Sandbox, count: int = 200, seed: int = 0):
        self.source, self.sandbox = source, sandbox
        every = list(inputs.functions(source))
        names = [name for name in every if not name.startswith("_")] or every
        if not names:
            raise inputs.InputError("the first program has no function at its top; nothing can be called")
        self.behaviours = {
            name: Behaviour(source, name, inputs.generate(source, name, sandbox, count, seed), sandbox)
            for name in names
        }

    def close(self) -> None:
        """Nothing was started; the sandbox is whose it was."""

    def compare(self, other: str) -> Finding:
        """Compare another program with A; the counterexample is the shortest that was found, then made smaller."""
        theirs = inputs.functions(other)
        missing = [name for name in self.behaviours if name not in theirs]
        if missing:
            return Finding(Answer.DIFFERENT, 0, f"the second program has no function {missing[0]!r}")
        compared, reason = 0, ""
        for behaviour in self.behaviours.values():
            found = behaviour.compare(other)
            compared += found.calls
            if found.answer is Answer.DIFFERENT:
                return Finding(Answer.DIFFERENT, compared, found.counterexample)
            reason = reason or found.reason
        return Finding(Answer.UNKNOWN if reason else Answer.EQUIVALENT, compared, reason=reason)


class Behaviour:
    """What one function does on these calls.

    source, entry: the program and the function's name. calls: argument tuples in wire form. sandbox: where it runs.
    again: the sandbox of the second time; in one with another hash seed an answer that hangs on the order of a set is
    not steady.

    `cases` are the calls that it answered twice in the same way, with their outcomes; `silent` counts the others: it
    takes too long, ends its process, or is random. `enough` says whether the cases suffice to know anything.
    """

    def __init__(self, source: str, entry: str, calls: Sequence[Any], sandbox: Sandbox, again: Sandbox | None = None):
        self.source, self.entry, self.sandbox = source, entry, sandbox
        self.cases: list[Case] = []
        self.silent = 0
        lost = 0
        for chunk in _chunks(calls):
            steady = self._steady(chunk, again or sandbox)
            self.silent += len(chunk) - len(steady or ())
            self.cases += steady or ()
            lost += steady is None
            if lost == MOST_LOST_CHUNKS and not self.cases:
                break
        self.enough = len(self.cases) >= max(1, min(FEWEST_CASES, len(calls)))

    def compare(self, other: str) -> Finding:
        """Compare another program's function of the same name."""
        compared, failed = 0, []
        for chunk in _chunks(self.cases):
            seen = self._outcomes(other, [c.args for c in chunk])
            if seen is None:
                return Finding(Answer.DIFFERENT, compared, self._explain_loss(other, chunk))
            compared += len(chunk)
            failed += [c for c, outcome in zip(chunk, seen, strict=True) if not matches(c.expected, outcome)]
        if failed:
            return Finding(Answer.DIFFERENT, compared, self._explain_difference(other, [c.args for c in failed]))
        if self.enough:
            return Finding(Answer.EQUIVALENT, compared)
        return Finding(Answer.UNKNOWN, compared, reason=f"{self.entry}: {_UNSTEADY if self.silent else _NO_INPUTS}")

    def _steady(self, calls: list[Any], again: Sandbox) -> list[Case] | None:
        """Those of the calls that are answered twice in the same way; None where a process gave no outcomes at all."""
        changed = self.source + _RESEEDED if "random" in self.source else self.source
        later = again.threads.submit(self._outcomes, changed, calls, again)
        first, second = self._outcomes(self.source, calls), later.result()
        if first is None or second is None:
            return None
        return [Case(call, x) for call, x, y in zip(calls, first, second, strict=True) if matches(x, y)]

    def _outcomes(self, source: str, calls: list[Any], sandbox: Sandbox | None = None) -> list[Outcome] | None:
        """What a program's function does on these calls; None where it does not load, hangs or ends its process."""
        seen = (sandbox or self.sandbox).run(source, self.entry, calls, LIMITS)
        return list(seen.outcomes) if len(seen.outcomes) == len(calls) else None

    def _explain_loss(self, other: str, cases: list[Case]) -> str:
        """One line about the call on which the other program does not load, hangs or ends its process."""
        lost = next((c for c in cases if self._outcomes(other, [c.args]) is None), cases[0])
        return explain(self.entry, lost, Outcome(error="no end"), "no end")

    def _explain_difference(self, other: str, failed: list[Any]) -> str:
        """One line about the smallest failing call that is found."""

        def still_fails(calls: list[Any]) -> list[Any]:
            first, second = self._outcomes(self.source, calls), self._outcomes(other, calls)
            if first is None or second is None:
                return []
            return [c for c, x, y in zip(calls, first, second, strict=True) if not matches(x, y)]

        call = shrink.smallest(min(failed, key=shrink.size), still_fails)
        first, second = self._outcomes(self.source, [call]), self._outcomes(other, [call])
        assert first is not None and second is not None
        return explain(self.entry, Case(call, first[0]), second[0], None)


def _chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    """The items in order, CHUNK at a time."""
    for start in range(0, len(items), CHUNK):
        yield list(items[start : start + CHUNK])
