"""Variants of a program that behave the same: rewritten by chains of rules, and kept only where running found no difference.

    variants = perturb(Program("python", text), sandbox, count=5, seed=0)

The program's language gives the rules and does the comparing. The same text is given once; the same seed gives the same variants.
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
MOST_STEPS = 4


class PerturbError(SemRepError):
    """The program can't be perturbed as asked."""


@dataclass
class Variants:
    """What is kept, and how many tries came to nothing for which reason."""

    kept: list[Rewritten] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def rules_of(kinds: Sequence[str], language: str) -> list[str]:
    """The rules of a language that these names of rules or of groups of rules stand for. Raises PerturbError."""
    groups = LANGUAGES[language].rule_groups
    rules = [rule for group in groups.values() for rule in group]
    unknown = [k for k in kinds if k not in rules and k not in groups]
    if unknown:
        raise PerturbError(
            f"--kinds: there is no {unknown[0]!r}; there are {', '.join(groups)} and the rules {', '.join(rules)}"
        )
    return list(dict.fromkeys(name for k in kinds for name in ([k] if k in rules else groups[k])))


def perturb(
    program: Program,
    sandbox: Sandbox,
    count: int = 1,
    seed: int = 0,
    kinds: Sequence[str] | None = None,
    task: Task | None = None,
) -> Variants:
    """Up to `count` different variants after chains of one to four rules.

    sandbox: where programs run. seed: decides rules, places and inputs. kinds: rules or groups of rules; None for all.
    task: what the program is for, where its text does not say (CUDA). Raises what the language's comparer does where the program
    can't be run, and PerturbError for a name in `kinds` that is none.
    """
    language = LANGUAGES[program.language]
    names = rules_of(kinds, program.language) if kinds else None
    rng, found, texts = Random(seed), Variants(), {program.source}
    with closing(language.comparer(program, Resources(sandbox), task)) as comparer:
        for _ in range(TRIES_PER_VARIANT * count):
            if len(found.kept) == count:
                break
            made = language.rewrite(program, rng, rng.randint(1, MOST_STEPS), names)
            why = _refusal(made, texts, comparer)
            if made is not None and why is None:
                found.kept.append(made)
            elif why is not None:
                found.dropped[why] += 1
            if made is not None:
                texts.add(made.program.source)
    return found


def _refusal(made: Rewritten | None, texts: set[str], comparer: Comparer) -> str | None:
    """Why a try comes to nothing; None where the variant is kept."""
    if made is None:
        return "no rule applies"
    if made.program.source in texts:
        return "the same as before"
    answer = comparer.compare(made.program.source).answer
    return None if answer is Answer.EQUIVALENT else f"found {answer}: {' '.join(made.rules)}"
