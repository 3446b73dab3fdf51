"""Do two programs behave the same? By running both on generated inputs: equivalent, different with a small counterexample, or unknown.

    reference = Reference(a, sandbox)        # every function at the top of A, called and called again
    finding = reference.compare(b)           # as often as one likes
    finding.answer, finding.counterexample

Results are compared as verdicts are: values by type and exactly (floats too), exception classes, changes to arguments, printed text.
Equivalent says that nothing was found on so many calls; it is no proof.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import secrets
import signal
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Case, Outcome
from semrep_jax.languages import Answer, Finding
from semrep_jax.python import inputs
from semrep_jax.sandbox.outcomes import explain, matches
from semrep_jax.sandbox.pool import Limits, Pool, Sandbox
from semrep_jax.sandbox.wire import encode

CHUNK, FEWEST, PATIENCE = 100, 10, 2
LIMITS = Limits(cpu_seconds=1.0, wall_seconds=4.0, memory_mb=512)
PROVING_SECONDS = 10.0
_OTHER_CHANCE = "\n__import__('random').seed(1)\n"  # the sandbox's own seed is one and the same for all


class ProverError(SemRepError):
    """A proof was asked for, and CrossHair is not here."""


class Reference:
    """What A does: calls of every function at its top (those without an underscore, where there are such) with their outcomes.

    Raises InputError where A does not parse or has no function.
    """

    def __init__(self, source: str, sandbox: Sandbox, count: int = 200, seed: int = 0):
        self.source, self.sandbox = source, sandbox
        names = [n for n in inputs.functions(source) if not n.startswith("_")] or list(inputs.functions(source))
        if not names:
            raise inputs.InputError("the first program has no function at its top; nothing can be called")
        self.behaviours = {
            n: Behaviour(source, n, inputs.generate(source, n, sandbox, count, seed), sandbox) for n in names
        }

    def close(self) -> None:
        """Nothing was started; the sandbox is whose it was."""

    def compare(self, other: str) -> Finding:
        """Compare another program with A; the counterexample is the shortest that was found, then made smaller."""
        missing = [n for n in self.behaviours if n not in inputs.functions(other)]
        if missing:
            return Finding(Answer.DIFFERENT, 0, f"the second program has no function {missing[0]!r}")
        total, open_ = 0, ""
        for behaviour in self.behaviours.values():
            found = behaviour.compare(other)
            total += found.calls
            if found.answer is Answer.DIFFERENT:
                return Finding(Answer.DIFFERENT, total, found.counterexample)
            open_ = open_ or found.reason
        return Finding(Answer.UNKNOWN, total, reason=open_) if open_ else Finding(Answer.EQUIVALENT, total)


class Behaviour:
    """What one function does on these calls (wire form): `cases` are those that it answered twice in the same way.

    Calls of which it gives no steady answer are left out: it takes too long, ends its process, or is random. `again` is the sandbox of the
    second time; in one with another hash seed an answer that hangs on the order of a set is not steady either.
    """

    def __init__(self, source: str, entry: str, calls: Sequence[Any], sandbox: Sandbox, again: Sandbox | None = None):
        self.source, self.entry, self.sandbox = source, entry, sandbox
        self.cases: list[Case] = []
        self.silent, lost = 0, 0
        for start in range(0, len(calls), CHUNK):
            part = list(calls[start : start + CHUNK])
            first, second = self._twice(part, again or sandbox)
            if first is None or second is None:
                self.silent, lost = self.silent + len(part), lost + 1
                if lost == PATIENCE and not self.cases:
                    break
                continue
            steady = [Case(c, x) for c, x, y in zip(part, first, second, strict=True) if matches(x, y)]
            self.silent += len(part) - len(steady)
            self.cases += steady
        self.enough = len(self.cases) >= max(1, min(FEWEST, len(calls)))

    def compare(self, other: str) -> Finding:
        """Compare another program's function of the same name."""
        compared, failed = 0, []
        for start in range(0, len(self.cases), CHUNK):
            part = self.cases[start : start + CHUNK]
            seen = self._outcomes(other, [c.args for c in part])
            if seen is None:  # it hangs or dies somewhere here: find the call
                lost = next((c for c in part if self._outcomes(other, [c.args]) is None), part[0])
                return Finding(Answer.DIFFERENT, compared, explain(self.entry, lost, Outcome(error="no end"), "no end"))
            compared += len(part)
            failed += [c for c, outcome in zip(part, seen, strict=True) if not matches(c.expected, outcome)]
        if failed:
            return Finding(Answer.DIFFERENT, compared, self._smallest(other, [c.args for c in failed]))
        if self.enough:
            return Finding(Answer.EQUIVALENT, compared)
        why = (
            "the first program gives no steady answer to its inputs (it is random, takes too long, or ends its process)"
        )
        why = why if self.silent else "no inputs were found that it takes"
        return Finding(Answer.UNKNOWN, compared, reason=f"{self.entry}: {why}")

    def _twice(self, calls: list[Any], again: Sandbox) -> tuple[list[Outcome] | None, list[Outcome] | None]:
        """What it does on these calls the first and the second time, side by side."""
        changed = self.source + _OTHER_CHANCE if "random" in self.source else self.source
        second = again.threads.submit(self._outcomes, changed, calls, again)
        return self._outcomes(self.source, calls), second.result()

    def _outcomes(self, source: str, calls: list[Any], sandbox: Sandbox | None = None) -> list[Outcome] | None:
        seen = (sandbox or self.sandbox).run(source, self.entry, calls, LIMITS)
        return list(seen.outcomes) if len(seen.outcomes) == len(calls) else None

    def _smallest(self, other: str, failed: list[Any]) -> str:
        """What is said of the smallest failing call, after a few rounds of making it smaller."""
        best = min(failed, key=_size)
        for _ in range(12):
            tries = sorted((c for c in _smaller(best) if _size(c) < _size(best)), key=_size)[:CHUNK]
            first, second = (self._outcomes(s, tries) if tries else None for s in (self.source, other))
            if first is None or second is None:
                break
            worse = [c for c, x, y in zip(tries, first, second, strict=True) if not matches(x, y)]
            if not worse:
                break
            best = worse[0]
        first, second = (self._outcomes(s, [best]) for s in (self.source, other))
        assert first is not None and second is not None
        return explain(self.entry, Case(best, first[0]), second[0], None)


def prove(reference: Reference, other: str, finding: Finding, seconds: float = PROVING_SECONDS) -> Finding:
    """What is found where CrossHair follows every path of both, contained, for up to `seconds` (s) a function: proved, or the difference it
    met if running the two confirms it, or the finding as it was with the reason why nothing is proved. Raises ProverError.
    """
    spec = importlib.util.find_spec("crosshair")
    if spec is None or not spec.submodule_search_locations:
        raise ProverError("--prove needs CrossHair: pip install 'semrep_jax[prove]'")
    site = str(Path(spec.submodule_search_locations[0]).parent)
    with Pool(1, Path(__file__).with_name("crosshair_zygote.py"), readable=[site]) as prover:
        for name, behaviour in reference.behaviours.items():
            function = inputs.functions(reference.source)[name]
            arguments = [*function.args.posonlyargs, *function.args.args]
            bare = [a.arg for a in arguments if a.annotation is None]
            if bare:
                return replace(
                    finding, reason=f"not proved: {name}'s parameter {bare[0]} has no type hint to prove it for"
                )
            limits = Limits(cpu_seconds=seconds + 5, wall_seconds=seconds + 10, memory_mb=4096)
            asked = {
                "a": reference.source,
                "b": other,
                "entry": name,
                "seconds": seconds,
                "token": secrets.token_hex(16),
            }
            answer = prover.ask(asked | {"limits": asdict(limits)})
            said = _said(answer[1] if answer else b"", asked["token"])
            difference = said.get("difference")
            if difference:
                found = _confirmed(behaviour, other, difference, [a.arg for a in arguments])
                return found or replace(
                    finding, reason=f"not proved: CrossHair suspects {name}({difference}), running it shows none"
                )
            stopped = answer is None or answer[0]["timeout"] or answer[0]["signal"] in (signal.SIGPROF, signal.SIGXCPU)
            if "exhausted" not in said and not stopped:
                why = str(said.get("trouble") or "its process crashed").encode("utf-8", "backslashreplace").decode()
                return replace(finding, reason=f"not proved: CrossHair failed on {name}: {why}")
            if said.get("exhausted") is not True:
                return replace(
                    finding,
                    reason=f"not proved: CrossHair did not follow all paths of {name} to their end in {seconds:g} s",
                )
    return replace(finding, proved=True) if finding.answer is Answer.EQUIVALENT else finding


def _said(raw: bytes, token: object) -> dict[str, Any]:
    """The prover's report; empty where it is none of this run."""
    try:
        report = json.loads(raw)
        return report if isinstance(report, dict) and report.get("token") == token else {}
    except ValueError:
        return {}


def _confirmed(behaviour: Behaviour, other: str, difference: dict[str, str], names: list[str]) -> Finding | None:
    """A difference, where plain values make a call on which the two differ when run."""
    try:
        call = encode(tuple(ast.literal_eval(syntax.expression(difference[n])) for n in names))
    except Exception:  # a stranger's text in place of a value
        return None
    found = Behaviour(behaviour.source, behaviour.entry, [call], behaviour.sandbox).compare(other)
    return found if found.answer is Answer.DIFFERENT else None


def _size(wire: Any) -> int:
    return len(repr(wire))


def _smaller(wire: Any) -> list[Any]:
    """Values one step simpler than a value in wire form, of the same type."""
    if isinstance(wire, bool) or wire is None:
        return []
    if isinstance(wire, int):
        return [0, 1, wire // 2, -wire] if wire else []
    if isinstance(wire, str):
        return [wire[1:], wire[:-1], wire[: len(wire) // 2]] if wire else []
    if isinstance(wire, list) and wire and wire[0] in ("l", "t", "s", "z"):
        head, rest = wire[0], wire[1:]
        shorter = [[head, *rest[:i], *rest[i + 1 :]] for i in range(len(rest))] if head != "t" else []
        return shorter + [[head, *rest[:i], inner, *rest[i + 1 :]] for i, x in enumerate(rest) for inner in _smaller(x)]
    if isinstance(wire, list) and wire and wire[0] == "d":
        return [["d", *wire[1 : i + 1], *wire[i + 2 :]] for i in range(len(wire) - 1)]
    if isinstance(wire, list) and wire and wire[0] == "f":
        return [["f", "0.0"], ["f", "1.0"], ["f", "0.5"]]
    return []
