"""A candidate becomes a function with tests, its bugs, and its rewrites; or is left for a reason that is counted.

Kept are functions that take plain values and answer with plain values, the same every time and whatever the order of sets is, and whose
tests kill enough of their mutants. Every second test is hidden: it is in no training task, and evaluation alone runs it.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.core.programs import Case, Duplicate, Program
from semrep_jax.core.shards import wire_of
from semrep_jax.languages import canonical, duplicate
from semrep_jax.mining.settings import MineConfig
from semrep_jax.python import PYTHON, inputs
from semrep_jax.python.equivalence import Behaviour
from semrep_jax.python.extract import Candidate, NotMinable
from semrep_jax.python.mutations import Mutant, mutants
from semrep_jax.python.rewrites import RULES
from semrep_jax.python.rewrites.chain import Rewritten, rewrite
from semrep_jax.sandbox.outcomes import matches
from semrep_jax.sandbox.pool import Limits, Observation, Sandbox

LIMITS = Limits(cpu_seconds=0.5, wall_seconds=2.0, memory_mb=256)
TESTS, CASE_BYTES, FEWEST, WAYS, STEPS = 40, 2000, 12, 3, 4
# Names, layout and spelling alone make a copy; a chain begins with another rule.
_SPELLING = {"rename_locals", "rename_parameters", "strip_comments", "add_comment", "quotes", "extract_temporary"}
CHANGING = [name for name in RULES if name not in _SPELLING]
_WORLD = {
    "PermissionError",
    "OSError",
    "FileNotFoundError",
    "ConnectionError",
    "BlockingIOError",
    "ModuleNotFoundError",
    "EOFError",
}
_REFUSALS = {"TypeError", "AttributeError"}


@dataclass
class Rules:
    """What became of each rule's applications: tried, verified, and the others by reason."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, names: tuple[str, ...], outcome: str) -> None:
        """Count a chain for each of its rules."""
        for name in set(names):
            self.counts.setdefault(name, Counter())[outcome] += 1


@dataclass
class Found:
    """A function with what was made of it, as records for shards."""

    function: dict[str, Any]
    pairs: list[dict[str, Any]]
    fixes: list[dict[str, Any]]


def examine(candidate: Candidate, sandbox: Sandbox, other: Sandbox, setting: MineConfig, rules: Rules) -> Found:
    """The candidate's records. `other` is a sandbox with another hash seed. Raises NotMinable with the reason."""
    number = int(hashlib.sha256(candidate.source.encode()).hexdigest()[:8], 16)
    try:
        calls = inputs.generate(candidate.source, candidate.entry, sandbox, setting.inputs, number, candidate.calls)
    except (inputs.InputError, RecursionError, ValueError) as error:
        raise NotMinable("can't be called with plain values") from error
    behaviour = Behaviour(candidate.source, candidate.entry, calls, sandbox, other)
    cases = _telling(behaviour)
    visible, hidden = cases[::2], cases[1::2]
    rng = Random(number)
    bugs = mutants(candidate.source, candidate.entry, setting.mutants, rng)
    if len(bugs) < 3:
        raise NotMinable("fewer than three mutants")
    flags = [_flags(b.source, candidate.entry, visible, sandbox) for b in bugs]
    killed = sum(f is None or not all(f) for f in flags)
    if killed < setting.kill * len(bugs):
        raise NotMinable(f"tests kill less than {setting.kill:.0%} of its mutants")
    split = "test" if number % 10 == 0 else "train"
    function = {
        "kind": "function", "id": f"{candidate.id}@{number:08x}", "package": candidate.package, "module": candidate.module,
        "sha256": candidate.sha256, "entry": candidate.entry, "source": candidate.source, "split": split,
        "tests": wire_of(visible), "hidden": wire_of(hidden), "mutants": len(bugs), "killed": killed,
    }  # fmt: skip
    fixes = [
        _fix(function, bug, f, visible)
        for bug, f in zip(bugs, flags, strict=True)
        if f is not None and any(f) and not all(f)
    ]
    return Found(function, _pairs(function, behaviour, setting, rng, rules), fixes[: setting.fixes])


def _telling(behaviour: Behaviour) -> list[Case]:
    """The cases worth keeping, at most TESTS. Raises NotMinable where there are too few, or they say too little."""
    if not behaviour.enough:
        raise NotMinable(
            "gives no steady answer (time, a crash, chance, the order of a set)"
            if behaviour.silent
            else "no inputs it takes"
        )
    if any(c.expected.error in _WORLD for c in behaviour.cases):
        raise NotMinable("reaches for files, modules or the network")
    plain = [c for c in behaviour.cases if c.expected.error != "Unencodable"]
    if len(plain) < len(behaviour.cases) / 2:
        raise NotMinable("answers with objects")
    small = [c for c in plain if len(json.dumps([c.args, asdict(c.expected)])) <= CASE_BYTES]
    refused = [c for c in small if c.expected.error in _REFUSALS]
    raised = [c for c in small if c.expected.error and c.expected.error not in _REFUSALS]
    answered = [c for c in small if not c.expected.error]
    if len(answered) < FEWEST:
        raise NotMinable("answers too few of its inputs")
    chosen = _varied(answered, TESTS - 10) + _varied(raised, 8) + _varied(refused, 2)
    if len({json.dumps([c.expected.value, c.expected.mutated, c.expected.output]) for c in answered}) < WAYS:
        raise NotMinable("answers nearly always the same")
    return chosen


def _varied(cases: list[Case], most: int) -> list[Case]:
    """At most so many cases, those with new outcomes first."""
    seen = Counter[str]()
    ranked = []
    for i, case in enumerate(cases):
        key = json.dumps(asdict(case.expected))
        ranked.append((seen[key], i))
        seen[key] += 1
    return [cases[i] for _, i in sorted(ranked)[:most]]


def _flags(source: str, entry: str, cases: list[Case], sandbox: Sandbox) -> list[bool] | None:
    """Which cases a program passes; None where it does not load or does not end."""
    seen: Observation = sandbox.run(source, entry, [c.args for c in cases], LIMITS)
    if len(seen.outcomes) != len(cases):
        return None
    return [matches(c.expected, o) for c, o in zip(cases, seen.outcomes, strict=True)]


def _fix(function: dict[str, Any], bug: Mutant, flags: list[bool], cases: list[Case]) -> dict[str, Any]:
    """The record of a bug to be fixed: what still works is U_sem, what is broken U_edit. Both texts are as `ast.unparse` prints them."""
    name = hashlib.sha256(bug.source.encode()).hexdigest()[:8]
    return {
        "kind": "fix", "id": f"{function['id']}/{bug.kind}/{name}", "origin": function["id"], "split": function["split"],
        "entry": function["entry"], "source": bug.source, "instruction": bug.hint, "mutation": bug.kind,
        "target": ast.unparse(syntax.module(function["source"])),
        "preserve": wire_of([c for c, ok in zip(cases, flags, strict=True) if ok]),
        "edit": wire_of([c for c, ok in zip(cases, flags, strict=True) if not ok]), "hidden": function["hidden"],
    }  # fmt: skip


def _pairs(
    function: dict[str, Any], behaviour: Behaviour, setting: MineConfig, rng: Random, rules: Rules
) -> list[dict[str, Any]]:
    """Verified (C_src, C_rep) records: chains of one to four rules, no two with one canonical form, none that of C_src."""
    source = Program(PYTHON, function["source"])
    forms, texts = {canonical(source)}, {source.source}
    found: list[dict[str, Any]] = []
    for _ in range(2 * setting.pairs):
        if len(found) == setting.pairs:
            break
        made = _chain(source, rng)
        if made is None:
            break
        outcome = _judged(made, source, behaviour, forms, texts)
        rules.add(made.rules, outcome)
        texts.add(made.program.source)
        if outcome == "verified":
            forms.add(canonical(made.program))
            name = hashlib.sha256(made.program.source.encode()).hexdigest()[:8]
            found.append({
                "kind": "pair", "id": f"{function['id']}/{name}", "origin": function["id"], "split": function["split"],
                "entry": function["entry"], "source": source.source, "rewrite": made.program.source, "rules": list(made.rules),
            })  # fmt: skip
    return found


def _chain(source: Program, rng: Random) -> Rewritten | None:
    """One rule that changes more than names and layout, then up to three of any kind."""
    first = rewrite(source, rng, 1, CHANGING)
    more = rng.randint(0, STEPS - 1)
    second = rewrite(first.program, rng, more) if first and more else None
    return Rewritten(second.program, first.rules + second.rules) if first and second else first


def _judged(made: Rewritten, source: Program, behaviour: Behaviour, forms: set[str | None], texts: set[str]) -> str:
    """One word on a rewrite."""
    if made.program.source in texts:
        return "repeated"
    if duplicate(source, made.program) is not Duplicate.NONE or canonical(made.program) in forms:
        return "copy"
    flags = _flags(made.program.source, behaviour.entry, behaviour.cases, behaviour.sandbox)
    return "no end" if flags is None else "verified" if all(flags) else "different"
