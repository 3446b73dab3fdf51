"""Variants of a program that behave the same: made by rewriting rules, kept where running finds no difference.

    variants = perturb(Program("python", text), sandbox, count=5, seed=0)
    variants.kept[0].program, variants.dropped       # one of them; why other tries came to nothing

The program's language has the rules and does the comparing. No text is given twice; the same seed gives the same
variants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from random import Random

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Program, Task
from semrep_jax.languages import LANGUAGES, Answer, Comparer, Resources, Rewritten
from semrep_jax.sandbox.pool import Sandbox

TRIES_PER_VARIANT = 12
MAX_STEPS = 4


class PerturbError(SemRepError):
    """The program can't be perturbed as asked."""


@dataclass
class Variants:
    """What is kept, and how many tries came to nothing for which reason."""

    kept: list[Rewritten] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def rules_of(kinds: Sequence[str], language: str) -> list[str]:
    """The rules of a language that these names, of rules or of rule groups, stand for. Raises PerturbError."""
    groups = LANGUAGES[language].rule_groups
    members = {group: list(rules) for group, rules in groups.items()}
    members |= {rule: [rule] for rules in groups.values() for rule in rules}
    unknown = [kind for kind in kinds if kind not in members]
    if unknown:
        rules = [rule for group in groups.values() for rule in group]
        raise PerturbError(
            f"--kinds: there is no {unknown[0]!r}; there are {', '.join(groups)} and the rules {', '.join(rules)}"
        )
    return list(dict.fromkeys(rule for kind in kinds for rule in members[kind]))


def perturb(
    program: Program,
    sandbox: Sandbox,
    count: int = 1,
    seed: int = 0,
    kinds: Sequence[str] | None = None,
    task: Task | None = None,
) -> Variants:
    """Up to `count` different variants after chains of one to four rules.

    sandbox: where programs run. seed: decides rules, sites and inputs. kinds: rules or rule groups; None for all.
    task: what the program is for, where its text does not say (CUDA). Raises what the language's comparer raises
    where the program can't be run, and PerturbError for an unknown name in `kinds`.
    """
    language = LANGUAGES[program.language]
    rules = rules_of(kinds, program.language) if kinds else None
    rng = Random(seed)
    variants = Variants()
    texts = {program.source}
    with closing(language.comparer(program, Resources(sandbox), task)) as comparer:
        for _ in range(TRIES_PER_VARIANT * count):
            if len(variants.kept) == count:
                break
            variant = language.rewrite(program, rng, rng.randint(1, MAX_STEPS), rules)
            if variant is None:
                variants.dropped["no rule applies"] += 1
                continue
            reason = _why_dropped(variant, texts, comparer)
            texts.add(variant.program.source)
            if reason is None:
                variants.kept.append(variant)
            else:
                variants.dropped[reason] += 1
    return variants


def _why_dropped(variant: Rewritten, texts: set[str], comparer: Comparer) -> str | None:
    """Why a variant is dropped; None where it is kept."""
    if variant.program.source in texts:
        return "the same as before"
    answer = comparer.compare(variant.program.source).answer
    return None if answer is Answer.EQUIVALENT else f"found {answer}: {' '.join(variant.rules)}"
