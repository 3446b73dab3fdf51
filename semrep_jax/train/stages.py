"""What makes stage 1 differ from stage 2, and nothing else does: tasks, prompt, reward, raw correctness, a guide or none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from semrep_jax import prompts, rewards
from semrep_jax.core.programs import Program, Task, Verdict
from semrep_jax.jobs.config import Config
from semrep_jax.prompts import Prompt
from semrep_jax.rewards import RewardConfig
from semrep_jax.tasks import mined
from semrep_jax.tasks.generated.families import TRAIN_FAMILIES
from semrep_jax.tasks.generated.generator import TRAIN_KINDS, Generator
from semrep_jax.tasks.kernels import catalogue
from semrep_jax.train.budget import REWRITE, TRANSFORM

Reward = Callable[[Task, Sequence[Program | str], Sequence[Verdict]], list[float]]


@dataclass(frozen=True)
class Stage:
    """`prompt(task, C_rep or None)`; `reward` of a group; `correct` of one verdict; `guided` where prompts carry a C_rep."""

    name: str
    tasks: list[Task]
    prompt: Callable[[Task, str | None], Prompt]
    reward: Reward
    correct: Callable[[Verdict], bool]
    guided: bool


def rewrite_prompt(task: Task, guide: str | None = None) -> Prompt:
    """The stage-1 prompt."""
    return prompts.rewrite(task.source)


def transform_prompt(task: Task, guide: str | None = None) -> Prompt:
    """The stage-2 prompt, or the direct transformation's where there is no guide."""
    return prompts.transform(task.source, task.instruction, guide)


def rewrite_stage(tasks: list[Task], weights: RewardConfig) -> Stage:
    """Stage 1: C_src -> C_rep under R_sem, with the novelty term where it has weight."""

    def correct(verdict: Verdict) -> bool:
        return rewards.accepted(verdict, weights.duplicate)

    def reward(task: Task, programs: Sequence[Program | str], verdicts: Sequence[Verdict]) -> list[float]:
        base = [rewards.r_sem(v, weights) for v in verdicts]
        if not weights.novelty:
            return base
        extra = rewards.novelty(task.source, programs, [correct(v) for v in verdicts])
        return [b + weights.novelty * e for b, e in zip(base, extra, strict=True)]

    return Stage(REWRITE, tasks, rewrite_prompt, reward, correct, guided=False)


def transform_stage(tasks: list[Task], weights: RewardConfig, guided: bool) -> Stage:
    """Stage 2 (`guided`) or the direct transformation of the baseline: C_src, I, C_rep -> C_tgt under R_inst."""

    def reward(task: Task, programs: Sequence[Program | str], verdicts: Sequence[Verdict]) -> list[float]:
        return [rewards.r_inst(v, weights) for v in verdicts]

    return Stage(TRANSFORM, tasks, transform_prompt, reward, lambda v: v.correct, guided)


def build(config: Config, alpha: float) -> dict[str, Stage]:
    """The stages of one arm: both for alpha > 0 (stage 2 guided by rewrites), the direct transformation alone for alpha = 0."""
    setting = config.tasks
    if setting.source == "mined":
        directory, size = setting.mined or "", setting.train_size
        transform = transform_stage(mined.fixing(directory, "train", size), config.reward, guided=alpha > 0)
        if alpha == 0:
            return {TRANSFORM: transform}
        return {REWRITE: rewrite_stage(mined.rewriting(directory, "train", size), config.reward), TRANSFORM: transform}
    if setting.source == "kernels":
        kernels = catalogue.training(setting.train_size, config.seed + 1)
        stages = {TRANSFORM: transform_stage(kernels, config.reward, guided=alpha > 0)}
        return stages | ({REWRITE: rewrite_stage(kernels, config.reward)} if alpha > 0 else {})
    generator = Generator(
        families=tuple(setting.families or TRAIN_FAMILIES),
        kinds=tuple(setting.kinds or TRAIN_KINDS),
        seed=config.seed + 1,
    )
    edits = list(islice(generator.tasks(), setting.train_size))
    stages = {TRANSFORM: transform_stage(edits, config.reward, guided=alpha > 0)}
    if alpha > 0:
        rewrites = generator.tasks(rewriting=True, bug_preserving=setting.bug_preserving)
        stages[REWRITE] = rewrite_stage(list(islice(rewrites, setting.train_size)), config.reward)
    return stages


def fingerprint(stages: dict[str, Stage]) -> dict[str, str]:
    """A content hash of each stage's tasks, for the identity of a checkpoint."""

    def digest(tasks: list[Task]) -> str:
        return hashlib.sha256("".join(t.sha256 for t in tasks).encode()).hexdigest()[:16]

    return {f"tasks of stage {name}": digest(stage.tasks) for name, stage in stages.items()}
