"""The loop of both stages. One step, top to bottom in `Trainer.step`: sample -> verify -> reward -> advantage -> update.

Both arms of a comparison run this same loop; they differ in alpha, and so in their stages. Every random choice of step i is
a function of fold_in(base key, i), the task stream is Grain's and its state is saved, verdicts are deterministic: a run that
was killed and started again ends with the same bits. A checkpoint is written between steps, never with a rollout in flight.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from semrep_jax import prompts, rewards
from semrep_jax.core.programs import Completion, Finish, Program, Task, Verdict
from semrep_jax.core.progress import bar
from semrep_jax.core.stop import Stop, Stopped
from semrep_jax.data import prompts as prompt_data
from semrep_jax.jobs.config import Config
from semrep_jax.model.decoder import Model
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.prompts import Prompt
from semrep_jax.rollout.local import LocalPolicy, decode, pad_prompts
from semrep_jax.rollout.policy import Usage
from semrep_jax.train import grpo, stages
from semrep_jax.train.budget import Budget
from semrep_jax.train.checkpoint import Checkpoints
from semrep_jax.train.metrics import Recorder
from semrep_jax.train.optimiser import adamw, initial_state, state_shardings
from semrep_jax.train.settings import KL, Correction, Layout, TrainConfig, Truncation
from semrep_jax.train.stages import Stage
from semrep_jax.verify import Verifier

ROLLOUT, GUIDE = 0, 1


@dataclass
class Group:
    """One prompt of a step with everything that came of it."""

    task: Task
    guide: str | None
    prompt: Prompt
    completions: list[Completion]
    programs: list[Program | str]
    verdicts: list[Verdict]
    rewards: list[float]


@dataclass
class Trained:
    """An arm at the end of its budget."""

    params: Any
    budget: Budget
    usage: Usage
    seconds: float


class Trainer:
    """Trains one arm in `directory`, resuming from its newest checkpoint."""

    def __init__(
        self, config: Config, alpha: float, loaded: PretrainedModel, verifier: Verifier, directory: Path, stop: Stop
    ):
        self.config, self.verifier, self.directory, self.loaded, self.stop = config, verifier, directory, loaded, stop
        setting = config.train
        self.stages = stages.build(config, alpha)
        self.loaders = {
            name: prompt_data.stream(stage.tasks, config.rollout.prompts, config.seed)
            for name, stage in self.stages.items()
        }
        self.budget = Budget(setting.budget, alpha)
        self.key = jax.random.key(config.seed)
        self.state = initial_state(loaded.model, _optimiser(setting), loaded.params)
        _, self.frozen = loaded.model.split(loaded.params)
        self.policy = LocalPolicy(loaded.model, loaded.params, loaded.tokenizer, config.rollout)
        self.update = compiled_update(loaded.model, setting, config.rollout.temperature)
        self.seconds = 0.0

    def run(self) -> Trained:
        """Spend the budget. Raises Stopped after a SIGTERM, once everything is saved."""
        identity = self.config.comparable() | {"alpha of the arm": self.budget.alpha} | stages.fingerprint(self.stages)
        saved = Checkpoints(self.directory / "checkpoints", identity, self.config.train.keep)
        self._restore(saved)
        recorder = Recorder(self.directory, self.budget.used, self.verifier.peers.leader)
        with bar(self.directory.name, self.budget.total, self.budget.used) as progress:
            while self.budget.left:
                step, stage = self.budget.used, self.stages[self.budget.stage]
                groups, metrics = self.step(step, stage)
                recorder.write(
                    step, metrics, [row for index, group in enumerate(groups) for row in _rows(group, index)]
                )
                progress.advance(
                    f"{stage.name}: correct {metrics['correct']:.2f}  {metrics['times/step']:.1f} s/step",
                    self.budget.used - step,
                )
                ending = self.stop.wanted
                self._checkpoint(saved, step, ending)
                if ending and self.budget.left:
                    saved.close()
                    raise Stopped(
                        f"stopped after step {self.budget.used} of {self.budget.total}; the same command goes on from there"
                    )
        saved.close()
        recorder.close()
        return Trained(self.params, self.budget, self.policy.usage, self.seconds)

    @property
    def params(self) -> Any:
        """All parameters of the policy: what is trained, and what is not."""
        return self.loaded.model.join(self.state["params"], self.frozen)

    def step(self, step: int, stage: Stage) -> tuple[list[Group], dict[str, Any]]:
        """One batch of rollouts and the updates on it: sample -> verify -> reward -> advantage -> update."""
        setting, clock = self.config.rollout, _Clock()
        key = jax.random.fold_in(self.key, step)
        before = Usage(**asdict(self.policy.usage))
        self.policy.params = self.params
        tasks = [stage.tasks[i] for i in next(self.loaders[stage.name])]

        guides = self.guide(tasks, jax.random.fold_in(key, GUIDE)) if stage.guided else [None] * len(tasks)
        clock.lap("guide")
        texts = [stage.prompt(task, guide) for task, guide in zip(tasks, guides, strict=True)]
        completions = self.policy.sample(texts, setting.group, setting.temperature, jax.random.fold_in(key, ROLLOUT))
        clock.lap("rollout")
        programs = [
            [program_of(c, t.source.language) for c in group] for t, group in zip(tasks, completions, strict=True)
        ]
        verdicts = self._verify(tasks, programs)
        clock.lap("verify")
        reward = [stage.reward(*group) for group in zip(tasks, programs, verdicts, strict=True)]
        correct = np.array([[stage.correct(v) for v in group] for group in verdicts])
        advantage, keep = grpo.advantages(np.array(reward), correct, self.config.train.advantage)
        batch = self._batch(texts, completions, advantage, keep)
        metrics: dict[str, Any] = {}
        for _ in range(min(self.config.train.epochs, self.budget.stage_left)):
            self.state, out = self.update(self.state, self.frozen, batch)
            metrics = metrics or {k: float(v) for k, v in out.items()}  # the first update's: on-policy mismatch
            self.budget.spend()
        clock.lap("update")

        self.seconds += clock.total
        groups = [Group(*g) for g in zip(tasks, guides, texts, completions, programs, verdicts, reward, strict=True)]
        return groups, metrics | self._summary(stage, groups, correct, keep, before) | clock.laps

    def guide(self, tasks: list[Task], key: jax.Array) -> list[str]:
        """A C_rep for each task, sampled from the current policy and accepted by the verifier on U_sem; C_src where none is."""
        setting = self.config.rollout
        texts = [stages.rewrite_prompt(task) for task in tasks]
        groups = self.policy.sample(texts, setting.rewrites, setting.temperature, key)
        programs = [[program_of(c, t.source.language) for c in group] for t, group in zip(tasks, groups, strict=True)]
        return choose_guides(tasks, programs, self._verify(tasks, programs), self.config)

    def _verify(self, tasks: list[Task], programs: list[list[Program | str]]) -> list[list[Verdict]]:
        flat = self.verifier.verify_all([(t, p) for t, group in zip(tasks, programs, strict=True) for p in group])
        size = len(programs[0])
        return [flat[i : i + size] for i in range(0, len(flat), size)]

    def _batch(
        self, texts: list[Prompt], completions: list[list[Completion]], advantage: np.ndarray, keep: np.ndarray
    ) -> dict[str, Any]:
        """The update's arrays: prompts padded to their bucket, completions to the limit, masks by position."""
        limit, words = self.config.rollout.max_new, self.loaded.tokenizer
        shape = (*advantage.shape, limit)
        ids, sampled, mask = np.full(shape, words.pad_id, np.int32), np.zeros(shape, np.float32), np.zeros(shape, bool)
        encoded = [prompts.encode(text, words) for text in texts]
        for b, group in enumerate(completions):
            for g, c in enumerate(group):
                size = len(c.token_ids)
                ids[b, g, :size], sampled[b, g, :size] = c.token_ids, c.logprobs
                cut = c.finish is Finish.LENGTH and self.config.train.truncation is Truncation.MASK
                mask[b, g, :size] = keep[b] and not cut
            if group[0].finish is Finish.PROMPT_TOO_LONG:
                encoded[b] = encoded[b][:1]
        prompt, length = pad_prompts(encoded, words.pad_id, len(encoded), self.config.rollout.bucket)
        batch = {
            "prompt": prompt,
            "length": length,
            "completion": ids,
            "sampled": sampled,
            "mask": mask,
            "advantage": advantage,
        }
        batch = self.loaded.model.sharding.batch(batch)
        if self.config.train.correction is Correction.TIS:
            batch["old"] = score(
                self.params, batch, self.loaded.model, self.config.rollout.temperature, self.config.train.layout
            )
        if self.config.train.kl is not KL.NONE:
            batch["reference"] = score(
                self.loaded.params, batch, self.loaded.model, self.config.rollout.temperature, self.config.train.layout
            )
        return batch

    def _summary(
        self, stage: Stage, groups: list[Group], correct: np.ndarray, keep: np.ndarray, before: Usage
    ) -> dict[str, Any]:
        verdicts = [v for g in groups for v in g.verdicts]
        completions = [c for g in groups for c in g.completions]
        usage = self.policy.usage
        statuses = Counter(str(v.status) for v in verdicts)
        guides = [g.guide != g.task.source.source for g in groups if g.guide is not None]
        return {
            "stage": stage.name,
            "reward": float(np.mean([g.rewards for g in groups])),
            "correct": float(correct.mean()),
            "solved": float(correct.any(axis=1).mean()),
            "compiled": float(np.mean([v.compiled for v in verdicts])),
            "duplicates": float(np.mean([rewards.is_duplicate(v, self.config.reward.duplicate) for v in verdicts])),
            "kept_groups": float(keep.mean()),
            "truncated": float(np.mean([c.finish is Finish.LENGTH for c in completions])),
            "too_long": float(np.mean([c.finish is Finish.PROMPT_TOO_LONG for c in completions])),
            "length": float(np.mean([len(c.token_ids) for c in completions])),
            "guides_accepted": float(np.mean(guides)) if guides else 0.0,
            "rollouts": usage.rollouts - before.rollouts,
            "tokens": usage.tokens - before.tokens,
            "total_rollouts": usage.rollouts,
            "total_tokens": usage.tokens,
            "process/programs": _compiled(decode, self.update),
        } | {f"status/{name}": count / len(verdicts) for name, count in sorted(statuses.items())}

    def _checkpoint(self, saved: Checkpoints, before: int, now: bool) -> None:
        every, used = self.config.train.checkpoint_every, self.budget.used
        if now or not self.budget.left or used // every != before // every:
            loaders = {name: loader.get_state() for name, loader in self.loaders.items()}
            record = {"loaders": loaders, "used": used, "usage": asdict(self.policy.usage), "seconds": self.seconds}
            saved.save(used, self.state, record)

    def _restore(self, saved: Checkpoints) -> None:
        restored = saved.restore(self.state)
        if restored is None:
            return
        self.state, record = restored.state, restored.record
        for name, loader in self.loaders.items():
            loader.set_state(record["loaders"][name])
        self.budget.used, self.seconds = record["used"], record["seconds"]
        self.policy.usage = Usage(**record["usage"])


def choose_guides(
    tasks: list[Task], programs: list[list[Program | str]], verdicts: list[list[Verdict]], config: Config
) -> list[str]:
    """The first accepted rewrite of each task; C_src where none is."""
    rule = config.reward.duplicate
    guides = []
    for task, group, judged in zip(tasks, programs, verdicts, strict=True):
        good = [
            p.source for p, v in zip(group, judged, strict=True) if isinstance(p, Program) and rewards.accepted(v, rule)
        ]
        guides.append(good[0] if good else task.source.source)
    return guides


def program_of(completion: Completion, language: str) -> Program | str:
    """The program in a completion, or the reason why there is none."""
    if completion.finish is Finish.PROMPT_TOO_LONG:
        return "the prompt is longer than rollout.max_prompt"
    program, why = prompts.extract(completion.text, language)
    return program or why


def _compiled(*functions: Any) -> int:
    """How many programs (shapes) of these jitted functions this process has compiled."""
    return sum(f._cache_size() for f in functions)


def _optimiser(setting: TrainConfig) -> Any:
    return adamw(setting.learning_rate, setting.budget, setting.warmup, setting.weight_decay, setting.max_norm)


@lru_cache(maxsize=4)
def compiled_update(
    model: Model, setting: TrainConfig, temperature: float
) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """(state, frozen, batch) -> (state, metrics): one optimiser step on a batch of rollouts, compiled once for both arms.

    The state is donated: its old buffers hold the new one.
    """
    optimiser = _optimiser(setting)

    def update(state: Any, frozen: Any, batch: Any) -> tuple[Any, Any]:
        def loss(trained: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
            return grpo.loss(model, model.join(trained, frozen), batch, setting, temperature)

        grads, metrics = jax.grad(loss, has_aux=True)(state["params"])
        updates, moments = optimiser.update(grads, state["optimiser"], state["params"])
        state = {"params": optax.apply_updates(state["params"], updates), "optimiser": moments}
        return state, metrics | {"grad_norm": optax.global_norm(grads), "update_norm": optax.global_norm(updates)}

    return jax.jit(update, donate_argnums=0, out_shardings=(state_shardings(model, optimiser), None))


@partial(jax.jit, static_argnums=(2, 3, 4))
def score(params: Any, batch: Any, model: Model, temperature: float, layout: Layout) -> jax.Array:
    """log p [B, G, T] of a batch's completions under `params`."""
    return grpo.score(model, params, batch, temperature, layout)[0]


def _rows(group: Group, index: int) -> list[dict[str, Any]]:
    shared: dict[str, Any] = {
        "group": index,
        "task": group.task.id,
        **{k: group.task.tags[k] for k in ("family", "kind") if k in group.task.tags},
    }
    shared |= {"instruction": group.task.instruction, "source": group.task.source.source, "guide": group.guide}
    return [
        shared | {
            "completion": c.text, "finish": c.finish, "status": v.status, "duplicate": v.duplicate, "feedback": v.feedback,
            "preserve": [v.preserve.passed, v.preserve.total], "edit": [v.edit.passed, v.edit.total], "reward": round(r, 4),
        }
        for c, v, r in zip(group.completions, group.verdicts, group.rewards, strict=True)
    ]  # fmt: skip


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
