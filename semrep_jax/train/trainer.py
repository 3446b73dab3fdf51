"""The training of one arm. One step, top to bottom in `Trainer.step`: sample -> verify -> reward -> advantage ->
update.

Both arms of a comparison run this same code; they differ in alpha, and so in their stages. Every random choice of step
i is a function of fold_in(base key, i), the task stream is Grain's and its state is saved, verdicts are deterministic:
a run that was killed and started again ends with the same bits.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from semrep_jax import prompts, rewards
from semrep_jax.core.programs import Finish
from semrep_jax.core.stop import Stop
from semrep_jax.data import prompts as task_stream
from semrep_jax.inference.acceptance import RewriteJudge
from semrep_jax.inference.rewrite import Sampling, accept_by_verifier, first_accepted, program_of, write_rewrites
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.rewards import RewardConfig
from semrep_jax.rollout.local import LocalPolicy, decode
from semrep_jax.rollout.policy import Usage
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.train import loop
from semrep_jax.train.advantages import advantages
from semrep_jax.train.batch import Group, RolloutBatch, make_batch
from semrep_jax.train.budget import REWRITE, Budget
from semrep_jax.train.checkpoint import Restored
from semrep_jax.train.loop import LoopSettings, StepResult
from semrep_jax.train.optimiser import initial_state
from semrep_jax.train.settings import KL, Correction, TrainConfig, Truncation
from semrep_jax.train.stages import Stage
from semrep_jax.train.update import compiled_update, optimiser_of, score
from semrep_jax.verify import Verifier

ROLLOUT, REWRITES = 0, 1  # the streams of random keys of a step


@dataclass(frozen=True)
class Recipe:
    """The settings of a training. identity: flat, what a checkpoint must share to be gone on from."""

    seed: int
    rollout: RolloutConfig
    reward: RewardConfig
    train: TrainConfig
    identity: dict[str, Any]


@dataclass
class Trained:
    """An arm at the end of its budget."""

    params: Any
    budget: Budget
    usage: Usage
    seconds: float


class Trainer:
    """Trains one arm in `directory`, resuming from its newest checkpoint.

    stages: by name. budget: B and alpha; spent step by step. base: the model that it starts from. verifier: judges; its
    peers are the run's. stop: asked between steps.
    """

    def __init__(
        self,
        recipe: Recipe,
        stages: dict[str, Stage],
        budget: Budget,
        base: PretrainedModel,
        verifier: Verifier,
        directory: Path,
        stop: Stop,
    ):
        self.recipe, self.stages, self.budget, self.base = recipe, stages, budget, base
        self.verifier, self.directory, self.stop = verifier, directory, stop
        self.loaders = {
            name: task_stream.stream(stage.tasks, recipe.rollout.prompts, recipe.seed) for name, stage in stages.items()
        }
        self.key = jax.random.key(recipe.seed)
        self.arrays = initial_state(base.model, optimiser_of(recipe.train), base.params)
        _, self.frozen = base.model.split(base.params)
        self.policy = LocalPolicy(base.model, base.params, base.tokenizer, recipe.rollout)
        self.rewrites = RewriteJudge(verifier, recipe.reward.accept)
        self.accept = accept_by_verifier(self.rewrites, recipe.reward.duplicate)
        self.update = compiled_update(base.model, recipe.train, recipe.rollout.temperature)
        self.seconds = 0.0

    def run(self) -> Trained:
        """Spend the budget. Raises Stopped after a SIGTERM, once everything is saved."""
        setting = self.recipe.train
        settings = LoopSettings(self.directory, self.recipe.identity, setting.checkpoint_every, setting.keep)
        loop.run(self, self.directory.name, settings, self.stop)
        return Trained(self.params, self.budget, self.policy.usage, self.seconds)

    @property
    def params(self) -> Any:
        """All parameters of the policy: what is trained, and what is not."""
        return self.base.model.join(self.arrays["params"], self.frozen)

    @property
    def done(self) -> int:
        """Steps of the budget that are spent."""
        return self.budget.used

    @property
    def total(self) -> int:
        """B."""
        return self.budget.total

    def step(self) -> StepResult:
        """One batch of rollouts and the updates on it: sample -> verify -> reward -> advantage -> update."""
        stage, clock, usage = self.stages[self.budget.stage], _Clock(), Usage(**asdict(self.policy.usage))
        key = jax.random.fold_in(self.key, self.budget.used)
        self.policy.params = self.params
        groups = [Group(stage.tasks[i]) for i in next(self.loaders[stage.name])]

        if stage.uses_rewrite:
            self._write_rewrites(groups, jax.random.fold_in(key, REWRITES))
        clock.lap("rewrite")
        self._sample(groups, stage, jax.random.fold_in(key, ROLLOUT))
        clock.lap("rollout")
        self._verify(groups, stage)
        clock.lap("verify")
        for group in groups:
            group.rewards = stage.reward(group.judged)
            group.correct = [stage.correct(verdict) for verdict in group.verdicts]
        reward_BG, correct_BG = (np.array([getattr(g, name) for g in groups]) for name in ("rewards", "correct"))
        advantage_BG, keep_B = advantages(reward_BG, correct_BG, self.recipe.train.advantage)
        metrics = self._update(self._batch(groups, advantage_BG, keep_B))
        clock.lap("update")

        self.seconds += clock.total
        metrics |= self._summary(stage, groups, keep_B, usage) | clock.laps | self.rewrites.metrics()
        note = f"{stage.name}: correct {metrics['correct']:.2f}  {metrics['times/step']:.1f} s/step"
        return StepResult(metrics, [row for index, group in enumerate(groups) for row in _rows(group, index)], note)

    def _write_rewrites(self, groups: list[Group], key: jax.Array) -> None:
        """A C_rep for each task, sampled from the current policy and accepted (`reward.accept`); none where none
        is."""
        sampling = Sampling(self.recipe.rollout.rewrites, self.recipe.rollout.temperature)
        written = write_rewrites(self.policy, self.accept, [g.task for g in groups], sampling, key)
        for group, rewrites in zip(groups, written, strict=True):
            group.c_rep = first_accepted(rewrites) or group.task.source

    def _sample(self, groups: list[Group], stage: Stage, key: jax.Array) -> None:
        setting = self.recipe.rollout
        asked = [stage.prompt(group.task, group.c_rep) for group in groups]
        ids = [prompts.encode(prompt, self.base.tokenizer) for prompt in asked]
        sampled = self.policy.sample(asked, setting.group, setting.temperature, key, prompt_ids=ids)
        for group, prompt_ids, completions in zip(groups, ids, sampled, strict=True):
            group.prompt_ids, group.completions = prompt_ids, completions
            language = group.task.source.language
            group.programs = [program_of(completion, language) for completion in group.completions]

    def _verify(self, groups: list[Group], stage: Stage) -> None:
        judge = self.rewrites if stage.name == REWRITE else self.verifier
        verdicts = iter(judge.verify_all([(g.task, program) for g in groups for program in g.programs]))
        for group in groups:
            group.verdicts = [next(verdicts) for _ in group.programs]

    def _batch(self, groups: list[Group], advantage_BG: np.ndarray, keep_B: np.ndarray) -> RolloutBatch:
        """The update's arrays on the devices, with the log-probs that the objective compares with."""
        rollout, train, model = self.recipe.rollout, self.recipe.train, self.base.model
        host = make_batch(
            groups,
            advantage_BG,
            keep_B,
            max_new=rollout.max_new,
            bucket=rollout.bucket,
            pad_id=self.base.tokenizer.pad_id,
            mask_truncated=train.truncation is Truncation.MASK,
        )
        batch: RolloutBatch = model.sharding.batch(host)
        if train.correction is Correction.TIS:
            batch.old = score(self.params, batch, model, rollout.temperature, train.layout)
        if train.kl is not KL.NONE:
            batch.reference = score(self.base.params, batch, model, rollout.temperature, train.layout)
        return batch

    def _update(self, batch: RolloutBatch) -> dict[str, Any]:
        """Every update on the batch, one step of B each; the metrics of the first, whose mismatch is on policy."""
        metrics: dict[str, Any] = {}
        for _ in range(min(self.recipe.train.epochs, self.budget.stage_left)):
            self.arrays, out = self.update(self.arrays, self.frozen, batch)
            metrics = metrics or {k: float(v) for k, v in out.items()}
            self.budget.spend()
        return metrics

    def _summary(self, stage: Stage, groups: Sequence[Group], keep_B: np.ndarray, before: Usage) -> dict[str, Any]:
        verdicts = [v for g in groups for v in g.verdicts]
        completions = [c for g in groups for c in g.completions]
        usage, rule = self.policy.usage, self.recipe.reward.duplicate
        statuses = Counter(str(v.status) for v in verdicts)
        new = [g.c_rep.source != g.task.source.source for g in groups if g.c_rep is not None]
        return {
            "stage": stage.name,
            "reward": float(np.mean([g.rewards for g in groups])),
            "correct": float(np.mean([g.correct for g in groups])),
            "solved": float(np.mean([any(g.correct) for g in groups])),
            "compiled": float(np.mean([v.compiled for v in verdicts])),
            "duplicates": float(np.mean([rewards.repeats(v.duplicate, rule) for v in verdicts])),
            "kept_groups": float(keep_B.mean()),
            "truncated": float(np.mean([c.finish is Finish.LENGTH for c in completions])),
            "too_long": float(np.mean([c.finish is Finish.PROMPT_TOO_LONG for c in completions])),
            "length": float(np.mean([len(c.token_ids) for c in completions])),
            "rewrites_accepted": float(np.mean(new)) if new else 0.0,
            "rollouts": usage.rollouts - before.rollouts,
            "tokens": usage.tokens - before.tokens,
            "total_rollouts": usage.rollouts,
            "total_tokens": usage.tokens,
            "process/programs": _compiled(decode, self.update),
        } | {f"status/{name}": count / len(verdicts) for name, count in sorted(statuses.items())}

    def record(self) -> dict[str, Any]:
        """The state beside the arrays, as JSON."""
        loaders = {name: loader.get_state() for name, loader in self.loaders.items()}
        usage = asdict(self.policy.usage)
        return {"loaders": loaders, "used": self.budget.used, "usage": usage, "seconds": self.seconds}

    def resume(self, restored: Restored) -> None:
        """Go on from a checkpoint."""
        self.arrays, record = restored.state, restored.record
        for name, loader in self.loaders.items():
            loader.set_state(record["loaders"][name])
        self.budget.used, self.seconds = record["used"], record["seconds"]
        self.policy.usage = Usage(**record["usage"])


def _compiled(*functions: Any) -> int:
    """How many programs (shapes) of these jitted functions this process has compiled."""
    return sum(f._cache_size() for f in functions)


def _rows(group: Group, index: int) -> list[dict[str, Any]]:
    """A group's rows of samples.jsonl; `index` is its place in the step."""
    task, tags = group.task, group.task.tags
    shared: dict[str, Any] = {
        "group": index,
        "task": task.id,
        **{k: tags[k] for k in ("family", "kind") if k in tags},
        "instruction": task.instruction,
        "source": task.source.source,
        "c_rep": group.c_rep and group.c_rep.source,
    }
    return [
        shared
        | {
            "completion": completion.text,
            "finish": completion.finish,
            "status": verdict.status,
            "duplicate": verdict.duplicate,
            "feedback": verdict.feedback,
            "preserve": [verdict.preserve.passed, verdict.preserve.total],
            "edit": [verdict.edit.passed, verdict.edit.total],
            "reward": round(reward, 4),
        }
        for completion, verdict, reward in zip(group.completions, group.verdicts, group.rewards, strict=True)
    ]


class _Clock:
    """Wall time of the parts of a step, as times/NAME in seconds."""

    def __init__(self) -> None:
        self.began = self.last = time.perf_counter()
        self.laps: dict[str, float] = {"times/step": 0.0}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[f"times/{name}"], self.last = now - self.last, now
        self.laps["times/step"] = self.total

    @property
    def total(self) -> float:
        return self.last - self.began
