"""How much a C_rep could help on a suite: the same edits with nothing at hand, a copy of C_src, the right C_rep, or a
rewrite of the policy's own.

    found = [measure_with(policy, suite, help, verifier, setting, rule, accept) for help in Help]
    headroom(found...).low > 0

The right C_rep is the one that a task knows in its tag `rewrite`: of a perturbed program its plain twin, of others an
equivalent in another form. On a suite where it does not help, no training of rewrites can, and neither can an arm be
said to have failed there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum

import jax
import numpy as np

from semrep_jax import prompts
from semrep_jax.core.programs import Finish
from semrep_jax.core.results import Estimate
from semrep_jax.evaluate.intervals import difference
from semrep_jax.evaluate.measure import Measured, identity, measure
from semrep_jax.evaluate.settings import EvaluateConfig
from semrep_jax.inference.rewrite import program_of
from semrep_jax.inference.settings import Choose
from semrep_jax.rewards import AcceptBy, DuplicateRule
from semrep_jax.rollout.policy import Policy, Usage
from semrep_jax.tasks.suite import DrawnSuite
from semrep_jax.verify import Verifier

RIGHT = "rewrite"  # the tag of a task that holds the right C_rep


class Help(StrEnum):
    """What stands in the place of C_rep: nothing (T=1), a rewrite that the policy wrote (T=2), C_src itself, or the
    right one."""

    NOTHING = "nothing"
    OWN = "own"
    COPY = "copy"
    RIGHT = "right"


GIVEN = {Help.COPY: lambda task: task.source.source, Help.RIGHT: lambda task: task.tags[RIGHT]}
TURNS_OF = {Help.NOTHING: 1, Help.OWN: 2}


def helps_of(suite: DrawnSuite) -> list[Help]:
    """What can stand at hand in a suite's tasks; no right C_rep where one of them knows none."""
    known = all(RIGHT in task.tags for task in suite.tasks)
    return [help for help in Help if known or help is not Help.RIGHT]


def measure_with(
    policy: Policy,
    suite: DrawnSuite,
    help: Help,
    verifier: Verifier,
    setting: EvaluateConfig,
    rule: DuplicateRule,
    accept: AcceptBy = AcceptBy.U_SEM,
    choose: Choose = Choose.FIRST,
) -> Measured:
    """Sample edits with this at hand and verify them, as `measure` does.

    suite: the tasks. help: what is at hand. verifier, setting: what judges, and how much is sampled. rule, accept,
    choose: as in `measure`, of the policy's own rewrites.
    """
    if help in TURNS_OF:
        return measure(policy, suite, TURNS_OF[help], verifier, setting, rule, accept, choose)
    began, tasks = time.perf_counter(), suite.tasks
    key = jax.random.fold_in(jax.random.key(setting.seed), int(suite.sha256[:7], 16) + 1)
    policy.usage = Usage()
    asked = [prompts.transform(task.source, task.instruction, GIVEN[help](task)) for task in tasks]
    groups = policy.sample(asked, setting.samples, setting.temperature, key, setting.batch)
    flat = [(t, c, program_of(c, t.source.language)) for t, group in zip(tasks, groups, strict=True) for c in group]
    verdicts = verifier.verify_all([(task, program) for task, _, program in flat])
    correct = np.reshape([v.correct for v in verdicts], (len(tasks), setting.samples))
    return Measured(
        suite=suite.name,
        turns=1,
        suite_sha256=suite.sha256,
        task_ids=[task.id for task in tasks],
        correct=correct.tolist(),
        rollouts=policy.usage.rollouts,
        tokens=policy.usage.tokens,
        seconds=round(time.perf_counter() - began, 3),
        rewrites_accepted=0.0,
        too_long=sum(completion.finish is Finish.PROMPT_TOO_LONG for _, completion, _ in flat),
        examples=[],
        identity=identity(setting, rule, accept, choose),
        unjudged=sum(not verdict.judged for verdict in verdicts),
    )


def headroom(found: Mapping[Help, Measured], resamples: int) -> Estimate | None:
    """Success with the right C_rep minus success with none, paired by task; None where no right one is known.

    found: measurements of one suite. resamples: of the bootstrap.
    """
    return gain(found, Help.RIGHT, resamples) if Help.RIGHT in found else None


def gain(found: Mapping[Help, Measured], help: Help, resamples: int) -> Estimate:
    """Success with this at hand minus success with nothing, paired by task.

    found: measurements of one suite. help: what is at hand. resamples: of the bootstrap.
    """
    return difference(found[help].per_task, found[Help.NOTHING].per_task, resamples)


def has_headroom(found: Mapping[Help, Measured], resamples: int) -> bool:
    """Whether a right C_rep is known to help: the lower bound of the headroom is above zero."""
    room = headroom(found, resamples)
    return room is not None and room.low > 0
