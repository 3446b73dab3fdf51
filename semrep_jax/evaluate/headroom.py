"""How much a C_rep could help on a suite: the same edits with nothing at hand, a copy of C_src, the right C_rep, or a
rewrite of the policy's own.

    found = {help: measure_with(policy, suite, help, verifier, procedure) for help in helps_of(suite)}
    has_headroom(found, resamples=2000)

The right C_rep is the one that a task knows in its tag `rewrite`: of a perturbed program its plain twin, of others an
equivalent in another form. On a suite where it does not help, no training of rewrites can, and neither can an arm be
said to have failed there.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import jax

from semrep_jax import prompts
from semrep_jax.core.results import Estimate
from semrep_jax.evaluate.intervals import difference
from semrep_jax.evaluate.measure import Measured, attempted, measure
from semrep_jax.evaluate.procedure import Procedure
from semrep_jax.inference.rewrite import program_of
from semrep_jax.inference.turns import Attempt
from semrep_jax.rollout.policy import Policy
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


def measure_with(policy: Policy, suite: DrawnSuite, help: Help, verifier: Verifier, procedure: Procedure) -> Measured:
    """Sample edits with this at hand and verify them, as `measure` does.

    suite: the tasks. help: what is at hand. verifier, procedure: what judges, how much is sampled, and which of the
    policy's own rewrites count.
    """
    if help in TURNS_OF:
        return measure(policy, suite, TURNS_OF[help], verifier, procedure)
    asked = [prompts.transform(task.source, task.instruction, GIVEN[help](task)) for task in suite.tasks]
    sampling = procedure.sampling

    def write(key: jax.Array) -> list[list[Attempt]]:
        groups = policy.sample(asked, sampling.n, sampling.temperature, key, sampling.rows)
        return [
            [Attempt(task, None, said, program_of(said, task.source.language)) for said in group]
            for task, group in zip(suite.tasks, groups, strict=True)
        ]

    return attempted(policy, suite, 1, verifier, procedure, write)


def gain(found: Mapping[Help, Measured], help: Help, resamples: int) -> Estimate:
    """Success with this at hand minus success with nothing, paired by task.

    found: measurements of one suite. help: what is at hand. resamples: of the bootstrap.
    """
    return difference(found[help].per_task, found[Help.NOTHING].per_task, resamples)


def has_headroom(found: Mapping[Help, Measured], resamples: int) -> bool:
    """Whether a right C_rep is known to help: the lower bound of its gain is above zero."""
    return Help.RIGHT in found and gain(found, Help.RIGHT, resamples).low > 0
