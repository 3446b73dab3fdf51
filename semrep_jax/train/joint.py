"""Joint trajectories: a rewrite and the edit that is written beside it are one rollout, and the edit's reward is that
of both turns.

    write(policy, accept, groups, sampling, key, tokenizer)      # turn 1: G rewrites of each C_src, a C_rep for each
    members = trajectories(groups)                               # one each; turn 2 is sampled and judged of these
    gather(groups, members)                                      # the edits of a task are its group again
    rows, advantage = both_turns(groups, members, advantage)     # what the update learns from

In the paper the rewrites of stage 2 are sampled and never learnt from. Here each member of a group has a rewrite of its
own (C_src stands in where it is not accepted), and its advantage over the group's other members counts for the tokens
of both turns, whatever became of the first.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from semrep_jax import prompts
from semrep_jax.core.programs import Program
from semrep_jax.inference.rewrite import Accept, Sampling, program_of
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.train.advantages import Advantages
from semrep_jax.train.batch import Group


def write(
    policy: LocalPolicy,
    accept: Accept,
    groups: Sequence[Group],
    sampling: Sampling,
    key: jax.Array,
    tokenizer: Tokenizer,
) -> None:
    """Turn 1 of each group: its `rewrites`, and the `c_reps` that stand in the prompts of turn 2.

    policy: what is asked. accept: decides about all of them at once. sampling: `n` is G. key: of the sampling.
    """
    asked = [prompts.rewrite(group.task.source) for group in groups]
    ids = [prompts.encode(prompt, tokenizer) for prompt in asked]
    said = policy.sample(asked, sampling.n, sampling.temperature, key, sampling.rows, ids)
    pairs = [
        (group.task, program_of(completion, group.task.source.language))
        for group, completions in zip(groups, said, strict=True)
        for completion in completions
    ]
    c_reps = [
        program if ok and isinstance(program, Program) else task.source
        for (task, program), ok in zip(pairs, accept(pairs), strict=True)
    ]
    for index, (group, completions) in enumerate(zip(groups, said, strict=True)):
        group.rewrite_ids, group.rewrites = ids[index], completions
        group.c_reps = c_reps[index * sampling.n : (index + 1) * sampling.n]


def trajectories(groups: Sequence[Group]) -> list[Group]:
    """A group of one for each member: its task with its own C_rep."""
    return [Group(group.task, c_rep) for group in groups for c_rep in group.c_reps]


def gather(groups: Sequence[Group], members: Sequence[Group]) -> None:
    """Give each group the edits of its members, with their verdicts."""
    following = iter(members)
    for group in groups:
        own = [next(following) for _ in group.c_reps]
        group.completions = [one.completions[0] for one in own]
        group.programs = [one.programs[0] for one in own]
        group.verdicts = [one.verdicts[0] for one in own]


def both_turns(
    groups: Sequence[Group], members: Sequence[Group], advantage: Advantages
) -> tuple[list[Group], Advantages]:
    """The rows of the update, 2 B G groups of one: every first turn, then every second; with the advantages of each.

    advantage: of B groups of G members.
    """
    first = [
        Group(group.task, prompt_ids=group.rewrite_ids, completions=[one]) for group in groups for one in group.rewrites
    ]
    values, counts = (np.tile(x.reshape(-1, 1), (2, 1)) for x in (advantage.values, advantage.counts))
    return [*first, *members], Advantages(values, counts[:, 0], counts)
