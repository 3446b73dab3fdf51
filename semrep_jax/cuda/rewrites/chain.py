"""Chains of rules over a CUDA program: a rule is drawn, then one of its sites. Nothing here runs the result.

    rewritten = rewrite(Program("cuda", text), Random(0), steps=2)      # Rewritten(program, rules), or None

`perturb` and `pairs` keep what the emulator finds to be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from semrep_jax.core.programs import Program
from semrep_jax.cuda.rewrites import RULES
from semrep_jax.cuda.rewrites.program import CudaProgram, is_well_formed, parse_program
from semrep_jax.cuda.rewrites.rule import CudaRule
from semrep_jax.languages import Rewritten


class Change(NamedTuple):
    """The rule that was applied, and the program after it."""

    rule: str
    program: CudaProgram


def rewrite(program: Program, rng: Random, steps: int = 1, rules: Sequence[str] | None = None) -> Rewritten | None:
    """A program after up to `steps` rules; None where no rule applies, or the text has no launch list that can be read.

    rng: decides rules and sites; the same state gives the same bytes. rules: the names to draw from, all by default.
    """
    names = list(rules or RULES)
    current, applied = parse_program(program.source), list[str]()
    while current is not None and len(applied) < steps:
        change = _one_change(current, [RULES[n] for n in rng.sample(names, len(names))], rng)
        if change is None:
            break
        applied.append(change.rule)
        current = change.program
    if current is None or not applied:
        return None
    return Rewritten(Program(program.language, current.text), tuple(applied))


def _one_change(program: CudaProgram, rules: Sequence[CudaRule], rng: Random) -> Change | None:
    """The change by the first rule that offers one; None also where the program nests too deeply to be walked."""
    try:
        for rule in rules:
            offers = [offer for offer in rule.offers(program) if offer.text != program.text]
            found = next((o for o in rng.sample(offers, len(offers)) if is_well_formed(o)), None)
            if found is not None:
                return Change(rule.name, found)
    except RecursionError:
        return None
    return None
