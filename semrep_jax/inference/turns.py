"""T turns of inference: T=1 writes the edit directly, T=2 writes a rewrite of C_src first and edits with it at hand.

    attempts = infer(policy, accept, tasks, turns=2, sampling=Sampling(n=4, temperature=0.6), key=key)
    attempts[task][sample].program

Both end with the same number of programs. At T=2 each of them has a rewrite of its own, or all of a task have the
likeliest of them (`inference.choose`); where none was accepted, C_src stands in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax

from semrep_jax import prompts
from semrep_jax.core.programs import Completion, Program, Task
from semrep_jax.inference.rewrite import Accept, Rewrite, Sampling, Written, chosen_of, program_of, write_rewrites
from semrep_jax.inference.settings import Choose
from semrep_jax.rollout.policy import Policy

TURNS = (1, 2)


@dataclass(frozen=True)
class Attempt:
    """One program written for a task: the accepted rewrite it was written with or None, the completion, what it
    holds."""

    task: Task
    rewrite: Program | None
    completion: Completion
    program: Written


def infer(
    policy: Policy,
    accept: Accept,
    tasks: Sequence[Task],
    turns: int,
    sampling: Sampling,
    key: jax.Array,
    choose: Choose = Choose.FIRST,
) -> list[list[Attempt]]:
    """`sampling.n` attempts at each task, in the order of `tasks`.

    policy: what is asked, at two turns for rewrites first. accept: decides about rewrites, at two turns. turns: 1 or 2.
    key: of all the sampling. choose: which rewrite stands in a prompt. Raises ValueError for other turns.
    """
    if turns not in TURNS:
        raise ValueError(f"{turns} turns: there are {TURNS}")
    if turns == 1:
        asked = [prompts.transform(task.source, task.instruction) for task in tasks]
        groups = policy.sample(asked, sampling.n, sampling.temperature, key, sampling.rows)
        rewrites: list[list[Program | None]] = [[None] * sampling.n for _ in tasks]
    else:
        written = write_rewrites(policy, accept, tasks, sampling, jax.random.fold_in(key, 1))
        rewrites = [_shown(group, choose) for group in written]
        groups = _with_rewrites(policy, tasks, rewrites, sampling, jax.random.fold_in(key, 2))
    return [
        [Attempt(task, c_rep, said, program_of(said, task.source.language)) for c_rep, said in zip(*both, strict=True)]
        for task, *both in zip(tasks, rewrites, groups, strict=True)
    ]


def _shown(written: Sequence[Rewrite | None], choose: Choose) -> list[Program | None]:
    """The rewrite that each attempt at a task has in its prompt, None for C_src."""
    if choose is Choose.LIKELIEST:
        return [chosen_of(written, choose)] * len(written)
    return [chosen_of([own], choose) for own in written]


def _with_rewrites(
    policy: Policy,
    tasks: Sequence[Task],
    rewrites: Sequence[Sequence[Program | None]],
    sampling: Sampling,
    key: jax.Array,
) -> list[list[Completion]]:
    """One completion for each rewrite, grouped by task."""
    asked = [
        prompts.transform(task.source, task.instruction, (rewrite or task.source).source)
        for task, group in zip(tasks, rewrites, strict=True)
        for rewrite in group
    ]
    single = replace(sampling, n=1)
    flat = [group[0] for group in policy.sample(asked, single.n, single.temperature, key, single.rows)]
    return [flat[i : i + sampling.n] for i in range(0, len(flat), sampling.n)]
