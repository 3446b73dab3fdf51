"""The arms of a study, as data: what a training spends its budget on, and what its prompts show.

    ARMS["guided"]                                   # no stage 1, C_rep in the prompts all the same
    ARMS.add("mine", Arm("mine", alpha=0.0, prompts=Prompts.GUIDED))       # in a plugin

One more arm is one entry. All arms of a comparison share B, the tasks, the optimiser and the seed; they differ in what
stands here and in nothing else. `variants` and `variants_pooled` are the control that asks whether what helps is
several forms of a program, and not the learning to write them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from semrep_jax.core.plugins import Registry


class Prompts(StrEnum):
    """What the prompts of the transformation show beside C_src and I: nothing, an accepted C_rep of the policy's own
    for each group, or one for each member, whose tokens the edit's reward teaches too."""

    DIRECT = "direct"
    GUIDED = "guided"
    JOINT = "joint"


class Sources(StrEnum):
    """Which forms of C_src the transformation is trained on.

    ONE: C_src as it is. VARIANTS: verified equivalents of it too, each a task of its own. POOLED: they are drawn
    together, and the baseline and the scale of their advantages are those of their union, as in TA-GRPO (arXiv
    2601.22478; of its later version without the alignment of importance ratios to the original's prompt).
    """

    ONE = "one"
    VARIANTS = "variants"
    POOLED = "pooled"


@dataclass(frozen=True)
class Arm:
    """One way to spend B.

    alpha: share of B that stage 1 takes; None for `train.alpha`. prompts: of stage 2, or of the direct transformation.
    sources: the forms of C_src there. ignores: settings that change nothing about this arm, keys or sections, so that a
    sweep over them trains it once.
    """

    name: str
    alpha: float | None = None
    prompts: Prompts = Prompts.GUIDED
    sources: Sources = Sources.ONE
    ignores: tuple[str, ...] = ()

    def share(self, alpha: float) -> float:
        """Share of B that stage 1 takes, where `train.alpha` is `alpha`."""
        return alpha if self.alpha is None else self.alpha

    @property
    def has_stage_1(self) -> bool:
        """Whether any of B may be spent on rewrites."""
        return self.share(1.0) > 0

    def heeds(self, key: str) -> bool:
        """Whether a setting can change anything about this arm."""
        return not any(key == ignored or key.startswith(f"{ignored}.") for ignored in self.ignores)

    def identity(self, alpha: float) -> dict[str, str | float]:
        """What a checkpoint of the arm depends on beside the settings; `alpha` is `train.alpha`."""
        return {"alpha of the arm": self.share(alpha), "prompts of the arm": self.prompts, "sources": self.sources}


BASE = "base"  # what every arm starts from; no arm itself
SEMREP, FINETUNE, GUIDED = "semrep", "finetune", "guided"
# Of an arm without stage 1.
_STAGE_1 = (
    "train.alpha",
    "reward.rewrite",
    "reward.a1",
    "reward.b1",
    "reward.novelty",
    "reward.typicality",
    "reward.utility",
    "reward.utility_samples",
    "train.order",
    "tasks.generated.bug_preserving",
    "tasks.generated.rewrites",
)
_GUIDE = (*_STAGE_1, "rollout.rewrites")
_FORMS = ("tasks.variants",)

ARMS: Registry[Arm] = Registry("arm", "sweep.arms", {})
for _arm in (
    Arm(SEMREP, ignores=_FORMS),
    Arm(FINETUNE, 0.0, Prompts.DIRECT, ignores=(*_GUIDE, *_FORMS)),
    Arm(GUIDED, 0.0, ignores=(*_STAGE_1, *_FORMS)),
    Arm("joint", prompts=Prompts.JOINT, ignores=("rollout.rewrites", *_FORMS)),
    Arm("stage1", 1.0, ignores=("train.alpha", "reward.transform", "rollout.rewrites", *_FORMS)),
    Arm("variants", 0.0, Prompts.DIRECT, Sources.VARIANTS, _GUIDE),
    Arm("variants_pooled", 0.0, Prompts.DIRECT, Sources.POOLED, _GUIDE),
):
    ARMS.add(_arm.name, _arm)
