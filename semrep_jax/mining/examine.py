"""A candidate becomes a function with tests, its bugs, and its rewrites; or is dropped for a reason that is counted.

Kept are functions that take plain values and answer with plain values, the same every time and whatever the order of
sets is, and whose tests kill enough of their mutants. Every second test is hidden: it is in no training task, and
evaluation alone runs it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from random import Random

from semrep_jax.core.programs import Case, Duplicate, Program
from semrep_jax.core.shards import Record
from semrep_jax.languages import Answer, Rewritten, canonical, duplicate
from semrep_jax.mining.part import RewriteOutcome, RuleCounts
from semrep_jax.mining.records import fix_record, function_record, number_of, pair_record
from semrep_jax.mining.settings import MineConfig
from semrep_jax.python import PYTHON, inputs
from semrep_jax.python.behaviour import Behaviour
from semrep_jax.python.differences import NO_END
from semrep_jax.python.extract import Candidate, NotMinable
from semrep_jax.python.mutations import mutants
from semrep_jax.python.reach import followed
from semrep_jax.python.rewrites import RULES
from semrep_jax.python.rewrites.chain import rewrite
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.tasks import bugs

LIMITS = Limits(cpu_seconds=0.5, wall_seconds=2.0, memory_mb=256)
MAX_CASE_BYTES = 2000  # of a case as JSON
MIN_ANSWERED = 12  # cases that a function answers with a value
MIN_DIFFERENT_ANSWERS = 3
# kept of each sort of case: answered with a value, with an exception, with an exception that refuses the type
MAX_ANSWERED = 30
MAX_RAISED = 8
MAX_REFUSED = 2
MIN_MUTANTS = 3
MAX_RULES = 4  # of a rewrite
# Names, layout and spelling alone make a copy; a chain begins with another rule.
_SPELLING = {"rename_locals", "rename_parameters", "strip_comments", "add_comment", "quotes", "extract_temporary"}
CHANGING = [name for name in RULES if name not in _SPELLING]
_OUTSIDE_WORLD = {
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
class Found:
    """A function with what was made of it, as records for shards."""

    function: Record
    pairs: list[Record]
    fixes: list[Record]


def examine(candidate: Candidate, sandbox: Sandbox, other: Sandbox, setting: MineConfig, rules: RuleCounts) -> Found:
    """The candidate's records.

    other: a sandbox with another hash seed than `sandbox`. setting: how many of everything. rules: where its rewrites
    are counted. Raises NotMinable with the reason.
    """
    number = number_of(candidate)
    try:
        calls = inputs.generate(candidate.source, candidate.entry, sandbox, setting.inputs, number, candidate.calls)
    except (inputs.InputError, RecursionError, ValueError) as error:
        raise NotMinable("can't be called with plain values") from error
    behaviour = Behaviour(candidate.source, candidate.entry, calls, sandbox, other)
    cases = _telling_cases(behaviour)
    visible = cases[::2]
    rng = Random(number)
    tried = mutants(candidate.source, candidate.entry, setting.mutants, rng)
    if len(tried) < MIN_MUTANTS:
        raise NotMinable("fewer than three mutants")
    flags = [bugs.passed(mutant.source, candidate.entry, visible, sandbox, LIMITS) for mutant in tried]
    killed = sum(each is None or not all(each) for each in flags)
    if killed < setting.kill * len(tried):
        raise NotMinable(f"tests kill less than {setting.kill:.0%} of its mutants")
    function = function_record(candidate, cases, len(tried), killed)
    fixes = [
        fix_record(function, mutant, visible, each)
        for mutant, each in zip(tried, flags, strict=True)
        if each is not None and bugs.shows(each)
    ]
    return Found(function, _pairs(function, behaviour, setting.pairs, rng, rules), fixes[: setting.fixes])


def _telling_cases(behaviour: Behaviour) -> list[Case]:
    """The cases worth keeping. Raises NotMinable where there are too few, or they say too little."""
    if not behaviour.enough:
        raise NotMinable(
            "gives no steady answer (time, a crash, chance, the order of a set)"
            if behaviour.silent
            else "no inputs it takes"
        )
    cases = behaviour.cases
    if any(c.expected.error in _OUTSIDE_WORLD for c in cases):
        raise NotMinable("reaches for files, modules or the network")
    plain = [c for c in cases if c.expected.error != "Unencodable"]  # a task's tests hold plain values only
    if len(plain) < len(cases) / 2:
        raise NotMinable("answers with objects")
    small = [c for c in plain if len(json.dumps([c.args, asdict(c.expected)])) <= MAX_CASE_BYTES]
    answered = [c for c in small if not c.expected.error]
    if len(answered) < MIN_ANSWERED:
        raise NotMinable("answers too few of its inputs")
    answers = {json.dumps([c.expected.value, c.expected.mutated, c.expected.output]) for c in answered}
    if len(answers) < MIN_DIFFERENT_ANSWERS:
        raise NotMinable("answers nearly always the same")
    refused = [c for c in small if c.expected.error in _REFUSALS]
    raised = [c for c in small if c.expected.error and c.expected.error not in _REFUSALS]
    return _varied(answered, MAX_ANSWERED) + _varied(raised, MAX_RAISED) + _varied(refused, MAX_REFUSED)


def _varied(cases: list[Case], most: int) -> list[Case]:
    """At most so many cases, those with new outcomes first."""
    seen = Counter[str]()
    ranked = []
    for i, case in enumerate(cases):
        outcome = json.dumps(asdict(case.expected))
        ranked.append((seen[outcome], i))
        seen[outcome] += 1
    return [cases[i] for _, i in sorted(ranked)[:most]]


def _pairs(function: Record, behaviour: Behaviour, most: int, rng: Random, rules: RuleCounts) -> list[Record]:
    """At most so many verified rewrites by one to four rules, each with a canonical form of its own."""
    source = Program(PYTHON, function["source"])
    texts, forms = {source.source}, {canonical(source)}
    found: list[Record] = []
    for _ in range(2 * most):
        if len(found) == most:
            break
        rewritten = _chain(source, rng)
        if rewritten is None:
            break
        outcome = _outcome(source, rewritten.program, behaviour, texts, forms)
        rules.add(rewritten.rules, outcome)
        texts.add(rewritten.program.source)
        if outcome is RewriteOutcome.VERIFIED:
            forms.add(canonical(rewritten.program))
            found.append(pair_record(function, rewritten))
    return found


def _chain(source: Program, rng: Random) -> Rewritten | None:
    """One rule that changes more than names and layout, then up to three of any kind."""
    first = rewrite(source, rng, 1, CHANGING)
    more = rng.randint(0, MAX_RULES - 1)
    second = rewrite(first.program, rng, more) if first and more else None
    return Rewritten(second.program, first.rules + second.rules) if first and second else first


def _outcome(
    source: Program, made: Program, behaviour: Behaviour, texts: set[str], forms: set[str | None]
) -> RewriteOutcome:
    """What a rewrite of `source` is, beside the texts tried and the canonical forms found before."""
    if made.source in texts:
        return RewriteOutcome.REPEATED
    if duplicate(source, made) is not Duplicate.NONE or canonical(made) in forms:
        return RewriteOutcome.COPY
    found = behaviour.compare(made.source, explain=False)
    if found.answer is Answer.DIFFERENT:
        return RewriteOutcome.NO_END if found.counterexample.endswith(NO_END) else RewriteOutcome.DIFFERENT
    known = found.answer is Answer.EQUIVALENT and not followed(behaviour, made.source)[0]
    return RewriteOutcome.VERIFIED if known else RewriteOutcome.UNKNOWN
