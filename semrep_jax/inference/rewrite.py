"""Turn 1: the policy writes equivalents of C_src, and what accepts them decides which may stand in a prompt as C_rep.

judge = RewriteJudge(verifier, AcceptBy.U_SEM)
rewrites = write_rewrites(policy, accept_by_verifier(judge, rule), tasks, Sampling(4, 1.0), key)
chosen = [first_accepted(group) for group in rewrites]          # a C_rep for each task, or None: C_src stands in
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import jax

from semrep_jax import prompts
from semrep_jax.core.programs import Completion, Finish, Program, Task
from semrep_jax.inference.acceptance import RewriteJudge
from semrep_jax.languages import Answer, Comparer, duplicate
from semrep_jax.rewards import DuplicateRule, accepted, repeats
from semrep_jax.rollout.policy import Policy

Written = Program | str  # a program, or the reason why a completion holds none
Accept = Callable[[Sequence[tuple[Task, Written]]], list[bool]]


@dataclass(frozen=True)
class Sampling:
    """How programs are drawn. n: samples of each prompt. rows: prompts decoded together, None for all at once."""

    n: int
    temperature: float
    rows: int | None = None


def program_of(completion: Completion, language: str) -> Written:
    """The program in a completion, or the reason why there is none."""
    if completion.finish is Finish.PROMPT_TOO_LONG:
        return "the prompt is longer than rollout.max_prompt"
    program, why = prompts.extract(completion.text, language)
    return program or why


def accept_by_verifier(judge: RewriteJudge, rule: DuplicateRule) -> Accept:
    """Accepts what passes U_sem of its task (the paper's criterion), or what the judge looks at beside it, and is no
    copy of C_src by the rule."""

    def accept(pairs: Sequence[tuple[Task, Written]]) -> list[bool]:
        return [accepted(verdict, rule) for verdict in judge.verify_all(pairs, rule)]

    return accept


def accept_by_comparison(comparer: Comparer, rule: DuplicateRule) -> Accept:
    """Accepts what behaves as C_src does where both are run, and is no copy of it by the rule: for a program without
    U_sem."""

    def accept(pairs: Sequence[tuple[Task, Written]]) -> list[bool]:
        return [
            isinstance(program, Program)
            and not repeats(duplicate(task.source, program), rule)
            and comparer.compare(program.source).answer is Answer.EQUIVALENT
            for task, program in pairs
        ]

    return accept


def write_rewrites(
    policy: Policy, accept: Accept, tasks: Sequence[Task], sampling: Sampling, key: jax.Array
) -> list[list[Program | None]]:
    """For each task the programs of its `sampling.n` samples that were accepted, None in the place of each other one.

    accept: decides about all samples of all tasks at once. key: of the sampling.
    """
    asked = [prompts.rewrite(task.source) for task in tasks]
    groups = policy.sample(asked, sampling.n, sampling.temperature, key, sampling.rows)
    pairs = [
        (task, program_of(completion, task.source.language))
        for task, group in zip(tasks, groups, strict=True)
        for completion in group
    ]
    flags = accept(pairs)
    flat = [p if ok and isinstance(p, Program) else None for (_, p), ok in zip(pairs, flags, strict=True)]
    return [flat[i : i + sampling.n] for i in range(0, len(flat), sampling.n)]


def first_accepted(rewrites: Iterable[Program | None]) -> Program | None:
    """The first accepted rewrite of a task; None where none is."""
    return next((program for program in rewrites if program is not None), None)
