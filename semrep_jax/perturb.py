"""Variants of a program that behave the same: rewritten by chains of rules, and kept only where running found no difference.

    variants = perturb(Program(Language.PYTHON, text), sandbox, count=5, seed=0)

A variant is compared with the program on generated inputs (`equivalence`); the same text is given once. The same seed gives the same
variants.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from semrep_jax.core.programs import Program, SemRepError
from semrep_jax.python.equivalence import Answer, Reference
from semrep_jax.python.rewrites import RULE_GROUPS, RULES
from semrep_jax.python.rewrites.chain import Rewritten, rewrite
from semrep_jax.sandbox.pool import Sandbox

TRIES, STEPS = 12, 4


class PerturbError(SemRepError):
    """The program can't be perturbed as asked."""


@dataclass
class Variants:
    """What is kept, and how many tries came to nothing for which reason."""

    kept: list[Rewritten] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def rules_of(kinds: list[str]) -> list[str]:
    """The rules that these names of rules or of groups of rules stand for. Raises PerturbError."""
    unknown = [k for k in kinds if k not in RULES and k not in RULE_GROUPS]
    if unknown:
        raise PerturbError(
            f"--kinds: there is no {unknown[0]!r}; there are {', '.join(RULE_GROUPS)} and the rules {', '.join(RULES)}"
        )
    return list(dict.fromkeys(name for k in kinds for name in ([k] if k in RULES else RULE_GROUPS[k])))


def perturb(
    program: Program, sandbox: Sandbox, count: int = 1, seed: int = 0, kinds: list[str] | None = None
) -> Variants:
    """Up to `count` different variants after chains of one to four rules. Raises InputError where the program can't be called."""
    reference, found, rng = Reference(program.source, sandbox), Variants(), Random(seed)
    texts = {program.source}
    for _ in range(TRIES * count):
        if len(found.kept) == count:
            break
        made = rewrite(program, rng, rng.randint(1, STEPS), rules_of(kinds) if kinds else None)
        if made is None:
            found.dropped["no rule applies"] += 1
        elif made.program.source in texts:
            found.dropped["the same as before"] += 1
        elif (answer := reference.compare(made.program.source).answer) is not Answer.EQUIVALENT:
            found.dropped[f"found {answer}: {' '.join(made.rules)}"] += 1
        else:
            found.kept.append(made)
        if made is not None:
            texts.add(made.program.source)
    return found
