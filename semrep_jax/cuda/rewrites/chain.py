"""Chains of rules over a CUDA program: a rule is drawn, then one of the places that it offers. Nothing here runs the result.

made = rewrite(Program("cuda", text), Random(0), steps=2)      # Rewritten(program, rules), or None where nothing applies
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from semrep_jax.core.programs import Program
from semrep_jax.cuda.rewrites import RULES
from semrep_jax.cuda.rewrites.rule import CudaRule, Listing, read, sound
from semrep_jax.languages import Rewritten


def rewrite(program: Program, rng: Random, steps: int = 1, rules: Sequence[str] | None = None) -> Rewritten | None:
    """A program after up to `steps` rules.

    rng: decides the rules and their places; the same state gives the same bytes. rules: the names to draw from, all by default.
    None where no rule applies, or the text has no launch list that can be read.
    """
    names = list(rules or RULES)
    listing = read(program.source)
    applied: list[str] = []
    while listing is not None and len(applied) < steps:
        try:
            found = _one_change(listing, [RULES[n] for n in rng.sample(names, len(names))], rng)
        except RecursionError:  # it nests too deeply to be walked
            found = None
        if found is None:
            break
        rule, listing = found
        applied.append(rule)
    return (
        Rewritten(Program(program.language, listing.text), tuple(applied)) if listing is not None and applied else None
    )


def _one_change(listing: Listing, rules: list[CudaRule], rng: Random) -> tuple[str, Listing] | None:
    """The program after one change by the first rule that offers one, and the rule's name."""
    for rule in rules:
        offers = [o for o in rule.offers(listing) if o.text != listing.text]
        found = next((o for o in rng.sample(offers, len(offers)) if sound(o)), None)
        if found is not None:
            return rule.name, found
    return None
