"""A policy for tests: which of its texts it says is a function of the keys alone, as of a real one."""

from __future__ import annotations

import jax

from semrep_jax.core.programs import Completion, Finish
from semrep_jax.rollout.policy import Usage


class Keyed:
    """Says one of `rewrites` to a prompt without an instruction, else one of `edits`; each costs `cost` tokens."""

    def __init__(self, rewrites, edits, cost=10):
        self.rewrites, self.edits, self.cost = rewrites, edits, cost
        self.usage, self.asked = Usage(), []

    def sample(self, prompts, n, temperature, key, rows=None, prompt_ids=None):
        groups = []
        for place, prompt in enumerate(prompts):
            self.asked.append((prompt, n))
            texts = self.rewrites if prompt.instruction is None else self.edits
            drawn = jax.random.randint(jax.random.fold_in(key, place), (n,), 0, len(texts)).tolist()
            groups.append([Completion(texts[i], (), (), Finish.STOP, self.cost) for i in drawn])
        return groups
