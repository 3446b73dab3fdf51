"""How likely the base finds what the policy wrote: the mean log-probability a token of every completion of a step.

    likelihoods = BaseLikelihoods(base, rollout, layout)
    likelihoods.of(groups)                 # [B, G], nats a token under the base, at the temperature of sampling

One forward pass of the base over the step's completions, compiled once; nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.train.advantages import Advantages
from semrep_jax.train.batch import Group, make_batch
from semrep_jax.train.settings import Layout
from semrep_jax.train.update import score


@dataclass(frozen=True)
class BaseLikelihoods:
    """Asks the base. layout: as the update's, so that both share the compiled pass of a KL penalty."""

    base: PretrainedModel
    rollout: RolloutConfig
    layout: Layout

    def of(self, groups: Sequence[Group]) -> np.ndarray:
        """float64 [B, G], the end token included; 0 for a completion without tokens."""
        shape = (len(groups), len(groups[0].completions))
        all_of_them = Advantages(np.zeros(shape, np.float32), np.ones(shape[0], bool), np.ones(shape, bool))
        host = make_batch(
            groups,
            all_of_them,
            max_new=self.rollout.max_new,
            bucket=self.rollout.bucket,
            pad_id=self.base.tokenizer.pad_id,
            mask_truncated=False,
        )
        sharding = self.base.model.sharding
        on_devices = sharding.batch(host)
        logprobs = score(self.base.params, on_devices, self.base.model, self.rollout.temperature, self.layout)
        found = np.asarray(sharding.fetch(logprobs), float)
        tokens = host.mask.sum(axis=-1)
        return np.where(host.mask, found, 0.0).sum(axis=-1) / np.maximum(tokens, 1)
