"""How a policy is measured: how often each task is sampled, and what counts as a rewrite on the way.

procedure = Procedure(config.evaluate, DuplicateRule.CANONICAL)
measure(policy, suite, 2, verifier, procedure).identity == procedure.identity
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from semrep_jax.evaluate.settings import EvaluateConfig
from semrep_jax.inference.rewrite import Sampling
from semrep_jax.inference.settings import Choose
from semrep_jax.rewards import AcceptBy, DuplicateRule


@dataclass(frozen=True)
class Procedure:
    """What decides a measurement beside suite and policy.

    setting: samples a task, their temperature, and the seed. rule: which repetitions of C_src are no rewrite. accept:
    what makes a rewrite at two turns. choose: which of them stands in a prompt.
    """

    setting: EvaluateConfig
    rule: DuplicateRule
    accept: AcceptBy = AcceptBy.U_SEM
    choose: Choose = Choose.FIRST

    @property
    def sampling(self) -> Sampling:
        """How edits and rewrites are drawn."""
        return Sampling(self.setting.samples, self.setting.temperature, self.setting.batch)

    @property
    def identity(self) -> dict[str, Any]:
        """What a kept measurement has to share; `accept` and `choose` are left out where they are the paper's."""
        chosen = {"samples", "temperature", "batch", "seed"}
        ours = {} if self.accept is AcceptBy.U_SEM else {"accept": self.accept.value}
        ours |= {} if self.choose is Choose.FIRST else {"choose": self.choose.value}
        return self.setting.model_dump(mode="json", include=chosen) | {"duplicate": self.rule.value} | ours
