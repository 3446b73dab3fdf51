"""What makes stage 1 differ from stage 2, and nothing else does: tasks, prompt, reward, raw correctness, a rewrite in
the prompt or none."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from semrep_jax import prompts, rewards
from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Program, Task, Verdict
from semrep_jax.prompts import Prompt
from semrep_jax.rewards import OF_EDITS, REWARDS, DuplicateRule, Judged, RewardConfig, Terms
from semrep_jax.tasks.kept import Kept
from semrep_jax.tasks.source import SourceRequest, TaskSource
from semrep_jax.train.advantages import Scored
from semrep_jax.train.arms import Arm, Prompts, Sources
from semrep_jax.train.budget import REWRITE, TRANSFORM


@dataclass(frozen=True)
class Stage:
    """One of the two stages.

    prompt: of a task and its C_rep (None where the stage uses none). reward: of a group, a number or terms for each
    member. correct: raw correctness of one verdict. uses_rewrite: whether prompts carry a C_rep. skip: copies of C_src
    by this rule earn nothing, whatever they do, and need not be run. pooled: so many tasks in a row are forms of one,
    drawn together and compared with each other; 1 where each stands alone. joint: whether a rewrite and its edit are
    one trajectory.
    """

    name: str
    tasks: Sequence[Task]
    prompt: Callable[[Task, Program | None], Prompt]
    reward: Callable[[Judged], Sequence[float | Terms]]
    correct: Callable[[Verdict], bool]
    uses_rewrite: bool
    skip: DuplicateRule | None = None
    pooled: int = 1
    joint: bool = False

    @property
    def draws(self) -> range:
        """What a batch is drawn from: each a task, or the forms of one."""
        return range(len(self.tasks) // self.pooled)

    def drawn(self, index: int) -> Sequence[Task]:
        """The tasks behind one of `draws`."""
        return self.tasks[index * self.pooled : (index + 1) * self.pooled]

    def score(self, group: Judged) -> list[Scored]:
        """The terms of each member's reward, raw correctness, and whether it was judged. Raises TaskError for a reward
        that is no finite number: its advantages would be none either, and the step would blame the step size."""
        found = [
            Scored(rewards.terms_of(reward), self.correct(verdict), verdict.judged)
            for reward, verdict in zip(self.reward(group), group.verdicts, strict=True)
        ]
        for one in found:
            if not math.isfinite(value := rewards.total(one.terms)):
                raise TaskError(
                    f"reward.{self.name}: it gave {value} for a program of task {group.task.id}; mend the plugin that "
                    "it is from, a reward is a finite number"
                )
        return found


def rewrite_stage(tasks: Sequence[Task], weights: RewardConfig) -> Stage:
    """Stage 1: C_src -> C_rep under R_sem."""
    reward = REWARDS[weights.rewrite]
    return Stage(
        REWRITE,
        tasks,
        prompt=lambda task, _: prompts.rewrite(task.source),
        reward=lambda group: reward(group, weights),
        correct=lambda verdict: rewards.accepted(verdict, weights.duplicate),
        uses_rewrite=False,
        skip=weights.duplicate,
    )


def transform_stage(
    tasks: Sequence[Task], weights: RewardConfig, uses_rewrite: bool, pooled: int = 1, joint: bool = False
) -> Stage:
    """Stage 2 or the direct transformation of the baseline: C_src, I, C_rep -> C_tgt under R_inst.

    tasks: with instructions and U_edit. weights: of the reward, and its name. uses_rewrite: whether it is stage 2.
    pooled: so many tasks in a row are forms of one. joint: as in `Stage`.
    """
    reward = REWARDS[weights.transform]
    return Stage(
        TRANSFORM,
        tasks,
        prompt=lambda task, c_rep: prompts.transform(task.source, task.instruction, c_rep.source if c_rep else None),
        reward=lambda group: reward(group, weights),
        correct=lambda verdict: verdict.correct,
        uses_rewrite=uses_rewrite,
        pooled=pooled,
        joint=joint,
    )


Widen = Callable[[Sequence[Task]], Sequence[Task]]


def build(
    source: TaskSource,
    request: SourceRequest,
    weights: RewardConfig,
    arm: Arm,
    alpha: float,
    widen: Widen | None = None,
    forms: int = 1,
) -> dict[str, Stage]:
    """The stages of one arm: those that its share of the budget reaches.

    source, request: where tasks come from, and how many of which seed. weights: of the rewards. alpha: `train.alpha`,
    which counts where the arm has no share of its own. widen: each edit task -> its `forms` forms, in a row, of an arm
    that trains on variants. Raises what the source does.
    """
    share, stages = arm.share(alpha), {}
    if share < 1:
        edits: Sequence[Task] = Kept(islice(source.transform(request), request.count), "edits", request.count)
        if arm.sources is not Sources.ONE:
            assert widen is not None
            edits = widen(edits)
        pooled = forms if arm.sources is Sources.POOLED else 1
        shows, joint = arm.prompts is not Prompts.DIRECT, arm.prompts is Prompts.JOINT
        stages[TRANSFORM] = transform_stage(edits, weights, shows, pooled, joint)
    if share > 0:
        found = (source.transform if weights.rewrite in OF_EDITS else source.rewriting)(request)
        stages[REWRITE] = rewrite_stage(Kept(islice(found, request.count), "programs", request.count), weights)
    return stages


def fingerprint(stages: dict[str, Stage]) -> dict[str, str]:
    """A content hash of each stage's tasks, for the identity of a checkpoint."""

    def digest(tasks: Sequence[Task]) -> str:
        return hashlib.sha256("".join(t.sha256 for t in tasks).encode()).hexdigest()[:16]

    return {f"tasks of stage {name}": digest(stage.tasks) for name, stage in stages.items()}
