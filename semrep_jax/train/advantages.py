"""Group-relative advantages: from a group's rewards to what each completion's tokens are weighted with. One function a
kind.

References: GRPO (arXiv 2402.03300, divided by the group's spread), Dr.GRPO (2503.20783, centred only), RLOO
(2402.14740, leave one out). A function takes rewards [B, G] (float64) and gives advantages of the same shape; a plugin
adds its own to `settings.ADVANTAGES`.
"""

from __future__ import annotations

import numpy as np

from semrep_jax.train.settings import ADVANTAGES

SMALLEST_SPREAD = 1e-9  # of a group's rewards; below it they count as equal


def group_mean(rewards_BG: np.ndarray) -> np.ndarray:
    """Reward minus the group's mean."""
    return rewards_BG - rewards_BG.mean(axis=1, keepdims=True)


def group_std(rewards_BG: np.ndarray) -> np.ndarray:
    """Reward minus the group's mean, over its standard deviation."""
    return group_mean(rewards_BG) / (rewards_BG.std(axis=1, keepdims=True) + 1e-6)


def rloo(rewards_BG: np.ndarray) -> np.ndarray:
    """Reward minus the mean of the group's other members."""
    group = rewards_BG.shape[1]
    return group_mean(rewards_BG) * group / (group - 1)


def advantages(rewards_BG: np.ndarray, correct_BG: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Advantages [B, G] float32 and which groups [B] bool count.

    rewards_BG: of each completion. correct_BG: raw correctness of each, bool. kind: a name in ADVANTAGES. A group
    without one raw-correct member is dropped: its rewards differ only by the shaping (it compiles, it is novel), and
    dividing by their tiny spread would turn noise into a full-size gradient. A group of equal rewards is dropped too.
    """
    keep_B = correct_BG.any(axis=1) & (np.ptp(rewards_BG, axis=1) > SMALLEST_SPREAD)
    scaled_BG = ADVANTAGES[kind](rewards_BG)
    return np.where(keep_B[:, None], scaled_BG, 0.0).astype(np.float32), keep_B
