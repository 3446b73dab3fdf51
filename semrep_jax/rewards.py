"""The paper's equations (arXiv 2603.13640) and ours; nothing else.

R_sem  = a1 [C_rep compiles] + b1 [C_rep ≡ C_src on U_sem], 0 for a duplicate of C_src        (stage 1)
R_inst = a2 [C_tgt compiles] + b2 [C_tgt passes U_sem] + c2 [C_tgt passes U_edit]              (stage 2)
       + d2 log2(speed-up) / 4, between 0 and d2, for a correct program of a speed task whose time was measured

Ours: with `accept: behaviour` a rewrite has to do all that C_src does, not only what U_sem asks; a duplicate is an
exact or a canonical copy (the paper rejects exact ones, which a renamed variable escapes); and a correct rewrite earns
up to `novelty` more by its tree-edit distance to C_src and to the other correct members of its group. With the reward
`typical` it earns up to `typicality` more the likelier the base finds it a token, among the true equivalents of its
group: R_sem pays any equivalent alike, and so never asks for a form that the model knows. With `useful` it earns up to
`utility` more the oftener edits succeed with it at hand than with C_src in its place.

A reward is a function of a group, found by its name in `REWARDS`; a plugin adds others:

    REWARDS.add("shortest", lambda group, weights: [...])          # then: reward.transform: shortest

It gives each program a number, or the terms that the number is the sum of. Speed and novelty are *shaping*: terms that
tell right programs apart. They are kept apart from correctness, so that an advantage can be scaled by the spread of
the one and not by that of the other (`train.advantages`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from semrep_jax.core.plugins import Registry
from semrep_jax.core.programs import Duplicate, Program, Task, Verdict
from semrep_jax.core.settings import Section
from semrep_jax.languages import canonical, distance


class DuplicateRule(StrEnum):
    """Which repetitions of C_src earn nothing."""

    EXACT = "exact"
    CANONICAL = "canonical"


class AcceptBy(StrEnum):
    """What makes a program a rewrite of C_src."""

    U_SEM = "u_sem"
    BEHAVIOUR = "behaviour"


ALIKE = 0.01  # nats a token: likelihoods nearer to each other than this say nothing
BEHAVES = "behaves_as_source"  # a verdict's fact, where somebody has looked


class RewardConfig(Section):
    """Weights of R_sem and R_inst (arXiv 2603.13640) and what we add."""

    rewrite: str = Field(
        "r_sem",
        description="Reward of stage 1: r_sem, typical (r_sem and more for the equivalents that the base finds "
        "likeliest), useful (more for those with which edits succeed; stage 1 is then on tasks of edits), or what a "
        "plugin adds.",
    )
    transform: str = Field(
        "r_inst", description="Reward of stage 2 and of the baseline: r_inst, or what a plugin adds."
    )
    a1: float = Field(0.1, ge=0, description="R_sem: C_rep compiles.")
    b1: float = Field(0.9, ge=0, description="R_sem: C_rep passes all of U_sem.")
    a2: float = Field(0.1, ge=0, description="R_inst: C_tgt compiles.")
    b2: float = Field(0.3, ge=0, description="R_inst: C_tgt passes all of U_sem.")
    c2: float = Field(0.6, ge=0, description="R_inst: C_tgt passes all of U_edit.")
    d2: float = Field(
        0.5,
        ge=0,
        description="R_inst: speed-up of a correct kernel, full at 16 times; nothing where no GPU measured it.",
    )
    duplicate: DuplicateRule = Field(
        DuplicateRule.CANONICAL, description="Repetitions of C_src that earn nothing in stage 1."
    )
    accept: AcceptBy = Field(
        AcceptBy.U_SEM,
        description="What makes a rewrite: passing U_sem (the paper), or behaving as C_src on other calls too.",
    )
    novelty: float = Field(
        0.0, ge=0, description="Weight of the tree-edit distance to C_src and to the group's other correct members."
    )
    utility: float = Field(0.5, ge=0, description="useful: weight of what a rewrite does for edits.")
    utility_samples: int = Field(2, ge=1, description="useful: edits sampled for each rewrite, and for C_src (m).")
    typicality: float = Field(
        0.5, ge=0, description="typical: weight of the base's log-probability a token, among a group's equivalents."
    )


@dataclass(frozen=True)
class Judged:
    """A group's programs (or the reasons why there is none) on one task, with their verdicts.

    likelihoods: asks the base for the mean log-probability a token (nats) of each completion; None where no base is at
    hand. utilities: samples edits, and gives the share that succeeds with each accepted rewrite minus that with C_src,
    in [-1, 1].
    """

    task: Task
    programs: Sequence[Program | str]
    verdicts: Sequence[Verdict]
    likelihoods: Callable[[], Sequence[float]] | None = None
    utilities: Callable[[], Sequence[float]] | None = None


@dataclass(frozen=True)
class Term:
    """A part of a program's reward: `weight` times `value`, which lies in [0, 1] for all of ours.

    shaping: tells right programs apart, and says nothing of right and wrong.
    """

    name: str
    weight: float
    value: float
    shaping: bool = False


Terms = tuple[Term, ...]


def total(terms: Terms) -> float:
    """The reward that the terms make."""
    return float(sum(term.weight * term.value for term in terms))


def repeats(duplicate: Duplicate, rule: DuplicateRule) -> bool:
    """Whether a program that repeats C_src so far counts as a copy of it under the rule."""
    return duplicate is Duplicate.EXACT or (rule is DuplicateRule.CANONICAL and duplicate is Duplicate.CANONICAL)


def equivalent(verdict: Verdict) -> bool:
    """Whether a program passes U_sem and, where that was looked at, behaves as C_src beyond it."""
    return verdict.equivalent and verdict.facts.get(BEHAVES, True)


def accepted(verdict: Verdict, rule: DuplicateRule) -> bool:
    """Raw correctness of stage 1: an equivalent of C_src that is no copy of it."""
    return equivalent(verdict) and not repeats(verdict.duplicate, rule)


def r_sem(verdict: Verdict, weights: RewardConfig) -> Terms:
    """R_sem of the paper with our duplicate rule, of one program: what it is the sum of."""
    new = not repeats(verdict.duplicate, weights.duplicate)
    compiled = Term("compiled", weights.a1, float(new and verdict.compiled))
    return compiled, Term("preserve", weights.b1, float(new and equivalent(verdict)))


def r_inst(verdict: Verdict, weights: RewardConfig) -> Terms:
    """R_inst of the paper, of one program: what it is the sum of. One that does not compile passes nothing; speed is a
    term where a right program's time was measured."""
    correctness = (
        Term("compiled", weights.a2, float(verdict.compiled)),
        Term("preserve", weights.b2, float(verdict.compiled and verdict.preserve.all)),
        Term("edit", weights.c2, float(verdict.compiled and verdict.edit.all)),
    )
    if not verdict.correct or verdict.speedup is None:
        return correctness
    speed = min(math.log2(verdict.speedup) / 4, 1.0) if verdict.speedup > 1 else 0.0
    return *correctness, Term("speed", weights.d2, speed, shaping=True)


def novelty(source: Program, programs: Sequence[Program | str], correct: Sequence[bool]) -> list[float]:
    """How new each member of a group is, in [0, 1].

    source: C_src. programs: the group's, or the reasons why there is none. correct: which of them count. 0 for one that
    is not correct, else the mean of two tree-edit distances, to C_src and to the nearest other correct member (1 where
    there is none).
    """
    good = [
        p if ok and isinstance(p, Program) and canonical(p) is not None else None
        for p, ok in zip(programs, correct, strict=True)
    ]
    values = []
    for i, program in enumerate(good):
        if program is None or canonical(source) is None:
            values.append(0.0)
            continue
        others = [distance(program, other) for j, other in enumerate(good) if other is not None and j != i]
        values.append(0.5 * distance(program, source) + 0.5 * min(others, default=1.0))
    return values


def rewriting(group: Judged, weights: RewardConfig) -> list[Terms]:
    """Stage 1: R_sem of each member, and the novelty term where it has weight."""
    base = [r_sem(verdict, weights) for verdict in group.verdicts]
    if not weights.novelty:
        return base
    correct = [accepted(verdict, weights.duplicate) for verdict in group.verdicts]
    extra = novelty(group.task.source, group.programs, correct)
    return [
        (*terms, Term("novelty", weights.novelty, value, shaping=True))
        for terms, value in zip(base, extra, strict=True)
    ]


def typicality(likelihoods: Sequence[float], correct: Sequence[bool]) -> list[float]:
    """How typical each correct member of a group is among the correct ones, in [0, 1]: its place between the least and
    the most likely. 0 for one that is not correct, and for all where they are alike or there is only one.

    likelihoods: mean log-probability a token under the base (nats). correct: which of them count.
    """
    counted = [value for value, ok in zip(likelihoods, correct, strict=True) if ok]
    if not counted or max(counted) - min(counted) < ALIKE:
        return [0.0] * len(correct)
    least, most = min(counted), max(counted)
    return [(value - least) / (most - least) if ok else 0.0 for value, ok in zip(likelihoods, correct, strict=True)]


def typical(group: Judged, weights: RewardConfig) -> list[Terms]:
    """Stage 1: as `rewriting`, and more for the equivalents that the base finds likeliest."""
    base = rewriting(group, weights)
    correct = [accepted(verdict, weights.duplicate) for verdict in group.verdicts]
    if group.likelihoods is None or sum(correct) < 2:
        return base
    values = typicality(group.likelihoods(), correct)
    return [
        (*terms, Term("typicality", weights.typicality, value, shaping=True))
        for terms, value in zip(base, values, strict=True)
    ]


def useful(group: Judged, weights: RewardConfig) -> list[Terms]:
    """Stage 1: as `rewriting`, and for an accepted rewrite (1 + u)/2 more, u what it does for edits in [-1, 1]."""
    base = rewriting(group, weights)
    correct = [accepted(verdict, weights.duplicate) for verdict in group.verdicts]
    if group.utilities is None or not any(correct):
        return base
    return [
        (*terms, Term("utility", weights.utility, (1 + value) / 2 if ok else 0.0, shaping=True))
        for terms, value, ok in zip(base, group.utilities(), correct, strict=True)
    ]


def transforming(group: Judged, weights: RewardConfig) -> list[Terms]:
    """Stage 2 and the direct transformation: R_inst of each member."""
    return [r_inst(verdict, weights) for verdict in group.verdicts]


def terms_of(reward: float | Terms) -> Terms:
    """What a reward function gave for a program, as terms; a bare number is one term."""
    return reward if isinstance(reward, tuple) else (Term("reward", 1.0, float(reward)),)


OF_EDITS = ("useful",)  # rewards of stage 1 that need tasks with an instruction and U_edit
Reward = Callable[[Judged, RewardConfig], Sequence[float | Terms]]
REWARDS: Registry[Reward] = Registry(
    "reward",
    "reward",
    {
        "r_sem": "semrep_jax.rewards:rewriting",
        "typical": "semrep_jax.rewards:typical",
        "useful": "semrep_jax.rewards:useful",
        "r_inst": "semrep_jax.rewards:transforming",
    },
)
