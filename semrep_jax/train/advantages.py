"""Group-relative advantages: from a group's rewards to what each completion's tokens are weighted with. One function a
kind.

References: GRPO (arXiv 2402.03300, divided by the group's spread), Dr.GRPO (2503.20783, centred only), RLOO
(2402.14740, leave one out), GDPO (2601.05242, each term normalised on its own). A function takes rewards [B, G]
(float64) and gives advantages of the same shape; a plugin adds its own to `settings.ADVANTAGES`.

Only correctness is scaled. Terms that tell right programs apart (speed, novelty) come after it, centred and bounded:
in a group that is right throughout they are all that differs, and over their own tiny spread noise would be a
full-size gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from semrep_jax.rewards import Terms, total
from semrep_jax.train.settings import ADVANTAGES

SMALLEST_SPREAD = 1e-9  # of a group's rewards; below it they count as equal
SHAPING_BOUND = 0.5  # of what shaping adds to an advantage, either way
GDPO = "gdpo"


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


def gdpo(rewards_BG: np.ndarray) -> np.ndarray:
    """Of one term of the reward; `advantages` adds up the terms, each with its weight, and scales over the batch."""
    return group_std(rewards_BG)


@dataclass(frozen=True)
class Scored:
    """What is known of one completion: the terms of its reward, raw correctness, whether it was judged at all."""

    terms: Terms
    correct: bool
    judged: bool = True


@dataclass(frozen=True)
class Advantages:
    """values: [B, G] float32. keep: [B] bool, the groups that count. counts: [B, G] bool, the members that do: those of
    such a group that were judged."""

    values: np.ndarray
    keep: np.ndarray
    counts: np.ndarray


def advantages(groups: Sequence[Sequence[Scored]], kind: str) -> Advantages:
    """The advantages of a batch's groups, all of one size.

    kind: a name in ADVANTAGES. A group without one raw-correct member is dropped: its rewards differ only by the
    shaping (it compiles, it is novel), and dividing by their tiny spread would turn noise into a full-size gradient. A
    group of equal rewards is dropped too. A member that was not judged enters no statistic of its group.
    """
    judged_BG = np.array([[member.judged for member in group] for group in groups])
    correct_BG = np.array([[member.correct for member in group] for group in groups])
    flat_B = np.array([is_flat(group) for group in groups])
    keep_B = (correct_BG & judged_BG).any(axis=1) & ~flat_B
    counts_BG = judged_BG & keep_B[:, None]
    scaled_BG = np.zeros(judged_BG.shape)
    whole_B = np.asarray(judged_BG.all(axis=1))
    if whole_B.any():
        scaled_BG[whole_B] = _scaled([group for group, whole in zip(groups, whole_B, strict=True) if whole], kind)
    for b in map(int, np.flatnonzero(keep_B & ~whole_B)):
        scaled_BG[b, judged_BG[b]] = _scaled([[member for member in groups[b] if member.judged]], kind)[0]
    if kind == GDPO:
        scaled_BG = _over_batch(scaled_BG, counts_BG)
    values_BG = scaled_BG + np.array([_shaping(group) for group in groups])
    return Advantages(np.where(counts_BG, values_BG, 0.0).astype(np.float32), keep_B, counts_BG)


def pooled(groups: Sequence[Sequence[Scored]], kind: str, forms: int) -> Advantages:
    """As `advantages`, with every `forms` groups in a row as one: their rewards share a baseline and a scale (as in
    TA-GRPO, arXiv 2601.22478), so that a form that is right throughout still teaches beside one that is not."""
    size = len(groups[0])
    unions = [[m for group in groups[i : i + forms] for m in group] for i in range(0, len(groups), forms)]
    found = advantages(unions, kind)
    shape = (len(groups), size)
    of_union = {one.name: getattr(found, one.name) for one in fields(found)}
    return Advantages(**{n: a.repeat(forms) if a.ndim == 1 else a.reshape(shape) for n, a in of_union.items()})


def is_flat(group: Sequence[Scored]) -> bool:
    """Whether the rewards of a group's judged members are all equal, so that it teaches nothing ("zero variance")."""
    rewards = [total(member.terms) for member in group if member.judged]
    return not rewards or max(rewards) - min(rewards) <= SMALLEST_SPREAD


def _scaled(groups: Sequence[Sequence[Scored]], kind: str) -> np.ndarray:
    """What correctness gives [B, G], of groups whose members were all judged; GDPO's before the batch's own scale."""
    if kind != GDPO:
        correctness_BG = np.array([[total(terms) for terms in _correctness(group)] for group in groups])
        return np.asarray(ADVANTAGES[kind](correctness_BG))
    parts = [[{t.name: t for t in terms} for terms in _correctness(group)] for group in groups]
    weights = {name: t.weight for group in parts for terms in group for name, t in terms.items()}
    scaled_BG = np.zeros((len(groups), len(groups[0])))
    for name, weight in weights.items():
        values = [[terms[name].value if name in terms else 0.0 for terms in group] for group in parts]
        scaled_BG += weight * gdpo(np.array(values))
    return scaled_BG


def _over_batch(scaled_BG: np.ndarray, counts_BG: np.ndarray) -> np.ndarray:
    """GDPO's second step: sums of normalised terms, over the spread of those in the batch that count."""
    counted = scaled_BG[counts_BG]
    spread = counted.std() if counted.size else 0.0
    return scaled_BG / spread if spread > SMALLEST_SPREAD else scaled_BG


def _all_right(group: Sequence[Scored]) -> bool:
    return all(member.correct for member in group if member.judged)


def _correctness(group: Sequence[Scored]) -> list[Terms]:
    """The terms that say right from wrong, of each member; none in a group that is right throughout."""
    if _all_right(group):
        return [()] * len(group)
    return [tuple(term for term in member.terms if not term.shaping) for member in group]


def _shaping(group: Sequence[Scored]) -> np.ndarray:
    """What the other terms add to each member's advantage [G]: centred over the judged members, bounded."""
    whole = _all_right(group)
    extra = np.array([total(tuple(t for t in m.terms if whole or t.shaping)) for m in group])
    judged = np.array([member.judged for member in group])
    if not judged.any():
        return np.zeros(len(group))
    return np.clip(extra - extra[judged].mean(), -SHAPING_BOUND, SHAPING_BOUND)
