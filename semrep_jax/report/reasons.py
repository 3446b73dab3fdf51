"""Why programs were rejected, over training: what share of each step's rollouts was a copy, did not compile, failed ...

    for_steps(run.samples("semrep"), "canonical")        # {step: {"accepted": 31, "duplicate": 4, ...}}

A rollout counts once: as a copy of C_src if it is one, else by its verdict's status.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from semrep_jax.core.programs import Duplicate, Status
from semrep_jax.report.reading import Row

# From below in a plot: the name (also of its colour), and how a legend calls it.
REASONS = {
    "accepted": "accepted",
    "failing": "failing a test",
    "duplicate": "a copy of C_src",
    "compile": "not compiling",
    "format": "no program",
    "timeout": "timeout, memory, crash",
    "hack": "a hack, or banned",
    "unknown": "not judged",
}
# By status; a language's own words beside those of `core.programs.Status`. Other words are `unknown`.
_REASON_OF = {
    Status.OK: "accepted",
    Status.WRONG: "failing",
    Status.FORMAT: "format",
    Status.COMPILE: "compile",
    Status.TIMEOUT: "timeout",
    Status.MEMORY: "timeout",
    Status.CRASH: "timeout",
    "numeric": "failing",
    "race": "failing",
    "nondeterministic": "failing",
    "launch": "compile",
    "banned": "hack",
    "hack_suspect": "hack",
}
_COPIES = {"exact": (Duplicate.EXACT,), "canonical": (Duplicate.EXACT, Duplicate.CANONICAL)}


def reason(sample: Row, rule: str) -> str:
    """The reason for a row of samples.jsonl; `rule` is `reward.duplicate`."""
    if sample["duplicate"] in _COPIES.get(rule, ()):
        return "duplicate"
    return _REASON_OF.get(sample["status"], "unknown")


def for_steps(samples: Iterable[Row], rule: str) -> dict[int, Counter[str]]:
    """Rollouts of each step by reason."""
    found: dict[int, Counter[str]] = {}
    for sample in samples:
        found.setdefault(sample["step"], Counter())[reason(sample, rule)] += 1
    return found


def from_metrics(rows: Iterable[Row]) -> dict[int, dict[str, float]]:
    """The same from metrics.jsonl, where no samples were kept: in shares, and copies are told from accepted programs
    only by their share."""
    found: dict[int, dict[str, float]] = {}
    for row in rows:
        shares: dict[str, float] = {}
        for key, value in row.items():
            if key.startswith("status/"):
                name = _REASON_OF.get(key.removeprefix("status/"), "unknown")
                shares[name] = shares.get(name, 0.0) + value
        if shares:
            copies = min(row.get("duplicates") or 0.0, shares.get("accepted", 0.0))
            shares["accepted"] = shares.get("accepted", 0.0) - copies
            found[row["step"]] = shares | {"duplicate": copies}
    return found
