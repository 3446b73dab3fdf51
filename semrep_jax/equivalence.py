"""Do two programs behave the same? By running both on generated inputs: equivalent, different with a small counterexample, or unknown.

    finding = decide(a, b, sandbox)          # of every function at the top of A
    finding.answer, finding.counterexample

Results are compared as verdicts are: values by type and exactly (floats too), exception classes, changes to arguments, printed text.
Equivalent says that nothing was found on so many calls; it is no proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from semrep_jax.programs import Case, Outcome
from semrep_jax.rewrites import inputs
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.verify import explain, matches

CHUNK, FEWEST, PATIENCE = 100, 10, 2
LIMITS = Limits(cpu_seconds=1.0, wall_seconds=4.0, memory_mb=512)


class Answer(StrEnum):
    """What was found."""

    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """The answer, the calls that were compared, and a call on which the two differ with what each did, or why nothing is known."""

    answer: Answer
    calls: int
    counterexample: str = ""
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def decide(a: str, b: str, sandbox: Sandbox, count: int = 200, seed: int = 0) -> Finding:
    """Compare B with A on `count` calls of each function at the top of A. Raises InputError where A does not parse or has none."""
    names = [n for n in inputs.functions(a) if not n.startswith("_")] or list(inputs.functions(a))
    if not names:
        raise inputs.InputError("the first program has no function at its top; nothing can be called")
    missing = [n for n in names if n not in inputs.functions(b)]
    if missing:
        return Finding(Answer.DIFFERENT, 0, f"the second program has no function {missing[0]!r}")
    total, open_ = 0, ""
    for name in names:
        found = compare(a, b, name, inputs.generate(a, name, sandbox, count, seed), sandbox)
        total += found.calls
        if found.answer is Answer.DIFFERENT:
            return Finding(Answer.DIFFERENT, total, found.counterexample)
        open_ = open_ or found.reason
    return Finding(Answer.UNKNOWN, total, reason=open_) if open_ else Finding(Answer.EQUIVALENT, total)


def compare(a: str, b: str, entry: str, calls: Sequence[Any], sandbox: Sandbox) -> Finding:
    """Compare on these calls (wire form); the counterexample is the shortest that was found, then made smaller."""
    compared, failed, silent, lost_chunks = 0, [], 0, 0
    for start in range(0, len(calls), CHUNK):
        part = list(calls[start : start + CHUNK])
        first = _outcomes(a, entry, part, sandbox)
        again = None if first is None else _outcomes(a, entry, part, sandbox)
        if first is None or again is None:
            silent, lost_chunks = silent + len(part), lost_chunks + 1
            if lost_chunks == PATIENCE and not compared:
                break
            continue
        steady = [i for i, (x, y) in enumerate(zip(first, again, strict=True)) if matches(x, y)]
        silent += len(part) - len(steady)
        second = _outcomes(b, entry, part, sandbox)
        if second is None:  # it hangs or dies somewhere here: find the call
            lost = next((c for c in part if _outcomes(b, entry, [c], sandbox) is None), part[0])
            known = _outcomes(a, entry, [lost], sandbox)
            return Finding(
                Answer.DIFFERENT, compared, explain(entry, Case(lost, (known or [Outcome()])[0]), Outcome(error="no end"), "no end")
            )
        compared += len(steady)
        failed += [part[i] for i in steady if not matches(first[i], second[i])]
    if failed:
        return Finding(Answer.DIFFERENT, compared, _smallest(a, b, entry, failed, sandbox))
    useful = compared >= min(FEWEST, len(calls)) and compared > 0
    if useful:
        return Finding(Answer.EQUIVALENT, compared)
    why = "the first program gives no steady answer to its inputs (it is random, takes too long, or ends its process)"
    return Finding(Answer.UNKNOWN, compared, reason=f"{entry}: {why}" if silent else f"{entry}: no inputs were found that it takes")


def _outcomes(source: str, entry: str, calls: list[Any], sandbox: Sandbox) -> list[Outcome] | None:
    seen = sandbox.run(source, entry, calls, LIMITS)
    return list(seen.outcomes) if len(seen.outcomes) == len(calls) else None


def _smallest(a: str, b: str, entry: str, failed: list[Any], sandbox: Sandbox) -> str:
    """What is said of the smallest failing call, after a few rounds of making it smaller."""
    best = min(failed, key=_size)
    for _ in range(12):
        tries = sorted((c for c in _smaller(best) if _size(c) < _size(best)), key=_size)[:CHUNK]
        first, second = (_outcomes(s, entry, tries, sandbox) if tries else None for s in (a, b))
        if not tries or first is None or second is None:
            break
        worse = [c for c, x, y in zip(tries, first, second, strict=True) if not matches(x, y)]
        if not worse:
            break
        best = worse[0]
    first, second = (_outcomes(s, entry, [best], sandbox) for s in (a, b))
    assert first is not None and second is not None
    return explain(entry, Case(best, first[0]), second[0], None)


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
