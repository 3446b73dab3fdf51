"""Chains of rules over a program: a rule is drawn, then one of the sites that it offers; up to so many in a row.

    rewritten = rewrite(program, Random(0), steps=2)       # Rewritten(program, rules), or None where nothing applies

Nothing here runs the result: the rules' preconditions hold by themselves, and `semrep_jax.perturb` keeps what running
can't tell from the program. The same state of the generator gives the same bytes.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import libcst as cst

from semrep_jax.core.programs import Program
from semrep_jax.languages import Rewritten
from semrep_jax.python.rewrites import RULES
from semrep_jax.python.rewrites.function import Function, functions_of
from semrep_jax.python.rewrites.rule import RewriteSite, Rule
from semrep_jax.python.rewrites.trees import code


def rewrite(program: Program, rng: Random, steps: int = 1, rules: Sequence[str] | None = None) -> Rewritten | None:
    """A program after up to `steps` rules.

    rng: decides the rules and their sites. rules: the names to draw from, all by default. None where no rule applies
    or the text does not parse.
    """
    try:
        module = cst.parse_module(program.source)
    except (cst.ParserSyntaxError, RecursionError, ValueError):
        return None
    names = list(rules or RULES)
    applied: list[str] = []
    for _ in range(steps):
        change = _one_change(module, [RULES[n] for n in rng.sample(names, len(names))], rng)
        if change is None:
            break
        rule, module = change
        applied.append(rule)
    return Rewritten(Program(program.language, module.code), tuple(applied)) if applied else None


def sites(rule: Rule, functions: Sequence[Function]) -> Iterator[RewriteSite]:
    """Every change that a rule offers in these functions, in the order of the text."""
    for function in functions:
        yield from rule.sites(function)


def _one_change(module: cst.Module, rules: list[Rule], rng: Random) -> tuple[str, cst.Module] | None:
    """The name of the first rule that offers a change, and the module after one of its changes."""
    functions = functions_of(module)
    for rule in rules:
        offers = list(sites(rule, functions))
        for site in rng.sample(offers, len(offers)):
            changed = _replaced(module, site)
            if changed is not None:
                return rule.name, changed
    return None


def _replaced(module: cst.Module, site: RewriteSite) -> cst.Module | None:
    """The module after a change; None where that is no Python, the text it was, or one that the compiler warns of and
    did not before."""
    result: Any = module.deep_replace(site.node, site.replacement)
    changed = result.code if isinstance(result, cst.Module) else code(result)
    if changed == module.code:
        return None
    try:
        if _warned(changed) - _warned(module.code):  # a reader of `x is 5` would see what nobody wrote
            return None
        # parsed again: nodes of a tree are to be different objects, and a rule may have used one twice
        return cst.parse_module(changed)
    except (SyntaxError, ValueError, RecursionError, cst.ParserSyntaxError):
        return None


def _warned(text: str) -> Counter[str]:
    """What the compiler warns of in a program. Raises what `compile` does."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        compile(text, "rewritten", "exec")
    return Counter(str(warning.message) for warning in found)
