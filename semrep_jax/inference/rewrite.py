"""Turn 1: the policy writes equivalents of C_src, and what accepts them decides which may stand in a prompt as C_rep.

judge = RewriteJudge(verifier, AcceptBy.U_SEM)
rewrites = write_rewrites(policy, accept_by_verifier(judge, rule), tasks, Sampling(4, 1.0), key)
chosen = [chosen_of(group, Choose.FIRST) for group in rewrites]    # a C_rep for each task, or None: C_src stands in
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import jax

from semrep_jax import prompts
from semrep_jax.core.programs import Completion, Finish, Program, Task
from semrep_jax.inference.acceptance import RewriteJudge
from semrep_jax.inference.settings import Choose
from semrep_jax.languages import Answer, Comparer, duplicate
from semrep_jax.rewards import DuplicateRule, accepted, repeats
from semrep_jax.rollout.policy import Policy
from semrep_jax.sandbox.pool import SandboxError

Written = Program | str  # a program, or the reason why a completion holds none
Accept = Callable[[Sequence[tuple[Task, Written]]], list[bool]]


@dataclass(frozen=True)
class Rewrite:
    """An accepted rewrite, and its mean log-probability a token (nats) under what it was sampled from; 0 where a
    remote policy does not tell."""

    program: Program
    likelihood: float


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
    U_sem. What could not be run, by a fault of ours, is not accepted."""

    def behaves(program: Program) -> bool:
        try:
            return comparer.compare(program.source).answer is Answer.EQUIVALENT
        except SandboxError:
            return False

    def accept(pairs: Sequence[tuple[Task, Written]]) -> list[bool]:
        return [
            isinstance(program, Program) and not repeats(duplicate(task.source, program), rule) and behaves(program)
            for task, program in pairs
        ]

    return accept


def write_rewrites(
    policy: Policy, accept: Accept, tasks: Sequence[Task], sampling: Sampling, key: jax.Array
) -> list[list[Rewrite | None]]:
    """For each task the accepted ones of its `sampling.n` samples, None in the place of each other one.

    policy: what is asked for rewrites of each task's C_src. accept: decides about all samples of all tasks at once.
    key: of the sampling.
    """
    asked = [prompts.rewrite(task.source) for task in tasks]
    groups = policy.sample(asked, sampling.n, sampling.temperature, key, sampling.rows)
    said = [(task, completion) for task, group in zip(tasks, groups, strict=True) for completion in group]
    pairs = [(task, program_of(completion, task.source.language)) for task, completion in said]
    flat = [
        Rewrite(program, likelihood(completion)) if ok and isinstance(program, Program) else None
        for (_, completion), (_, program), ok in zip(said, pairs, accept(pairs), strict=True)
    ]
    return [flat[i : i + sampling.n] for i in range(0, len(flat), sampling.n)]


def likelihood(completion: Completion) -> float:
    """The mean log-probability of a completion's tokens (nats), its end token included; 0 where it has none."""
    return sum(completion.logprobs) / len(completion.logprobs) if completion.logprobs else 0.0


def chosen_of(rewrites: Iterable[Rewrite | None], choose: Choose) -> Program | None:
    """The rewrite of a task that stands in its prompt; None where none was accepted. Of equally likely ones the
    first."""
    accepted = [rewrite for rewrite in rewrites if rewrite is not None]
    if choose is Choose.LIKELIEST:
        accepted.sort(key=lambda rewrite: -rewrite.likelihood)
    return accepted[0].program if accepted else None
