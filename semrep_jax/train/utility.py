"""What a rewrite is good for: how often the edit succeeds with it at hand, against C_src in its place.

    useful = Utility(policy, verifier, config.reward, rows=16, temperature=1.0)
    useful.of(groups, key)                 # [B, G] in [-1, 1], 0 for what is no accepted rewrite, or is not known

The policy writes `reward.utility_samples` edits for each different accepted rewrite of a step and for C_src, and they
are verified; their rollouts and tokens are counted as all others are. Stage 1 is then on tasks that have an edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from semrep_jax import prompts
from semrep_jax.core.programs import Program, Task, Verdict
from semrep_jax.inference.rewrite import program_of
from semrep_jax.rewards import RewardConfig, accepted
from semrep_jax.rollout.policy import Policy
from semrep_jax.train.batch import Group
from semrep_jax.verify import Verifier


@dataclass(frozen=True)
class Utility:
    """Asks the policy as it is now. rows: prompts decoded together, so that one program is compiled. temperature: of
    the edits."""

    policy: Policy
    verifier: Verifier
    weights: RewardConfig
    rows: int
    temperature: float

    def of(self, groups: Sequence[Group], key: jax.Array) -> np.ndarray:
        """Share of edits that succeed given each member, minus the share given C_src: float64 [B, G].

        groups: of stage 1, judged. key: of the sampling.
        """
        shown: dict[tuple[int, str], tuple[Task, Program]] = {}
        for b, group in enumerate(groups):
            rewrites = [program for program in self._accepted(group) if program is not None]
            for program in [group.task.source, *rewrites] if rewrites else []:
                shown.setdefault((b, program.sha256), (group.task, program))
        success = dict(zip(shown, self._success(list(shown.values()), key), strict=True))

        def gain(b: int, group: Group, program: Program | None) -> float:
            with_it = None if program is None else success[b, program.sha256]
            without = None if with_it is None else success[b, group.task.source.sha256]
            return 0.0 if with_it is None or without is None else with_it - without

        return np.array([[gain(b, group, p) for p in self._accepted(group)] for b, group in enumerate(groups)])

    def _accepted(self, group: Group) -> list[Program | None]:
        """The accepted rewrites of a group, None in the place of each other member."""
        return [
            program if isinstance(program, Program) and accepted(verdict, self.weights.duplicate) else None
            for program, verdict in zip(group.programs, group.verdicts, strict=True)
        ]

    def _success(self, shown: Sequence[tuple[Task, Program]], key: jax.Array) -> list[float | None]:
        """Share of the edits that were judged which are right, for each task with a program in the place of C_rep; None
        where none was judged."""
        if not shown:
            return []
        asked = [prompts.transform(task.source, task.instruction, program.source) for task, program in shown]
        said = self.policy.sample(asked, self.weights.utility_samples, self.temperature, key, self.rows)
        pairs = [
            (task, program_of(completion, task.source.language))
            for (task, _), completions in zip(shown, said, strict=True)
            for completion in completions
        ]
        verdicts, n = self.verifier.verify_all(pairs), self.weights.utility_samples
        return [_share(verdicts[i : i + n]) for i in range(0, len(verdicts), n)]


def _share(verdicts: Sequence[Verdict]) -> float | None:
    right = [verdict.correct for verdict in verdicts if verdict.judged]
    return sum(right) / len(right) if right else None
