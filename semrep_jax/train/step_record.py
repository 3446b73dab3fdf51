"""What a step leaves behind: its metrics and the rows of samples.jsonl, from what was drawn and what was counted.

    clock = Clock(); ...; clock.lap("rollout")
    metrics = summary(batches, before, after, rule) | performance(batches, updates, clock, train, model) | clock.laps

Every name is explained in this room's README.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semrep_jax import rewards
from semrep_jax.core.programs import Finish
from semrep_jax.model.decoder import Model
from semrep_jax.rewards import DuplicateRule
from semrep_jax.rollout.policy import Usage
from semrep_jax.train.advantages import Advantages, is_flat
from semrep_jax.train.batch import Group, RolloutBatch
from semrep_jax.train.draws import DIFFICULTY
from semrep_jax.train.performance import Texts, Work, forward_flops, train_flops, utilisation
from semrep_jax.train.settings import KL, Correction, TrainConfig
from semrep_jax.train.stages import Stage
from semrep_jax.verify import Saved


@dataclass(frozen=True)
class StepBatch:
    """Tasks of a step, what came of them, and the update's arrays on the host."""

    stage: Stage
    indices: list[int]
    groups: list[Group]
    advantages: Advantages
    host: RolloutBatch

    @property
    def empty(self) -> bool:
        """Whether nothing in it counts."""
        return not self.host.mask.any()

    @property
    def work(self) -> Work:
        """The tokens that an update learns from, and their prompts'."""
        sizes = self.host.mask.sum(axis=2)
        kept = [b for b in range(len(sizes)) if sizes[b].any()]
        return Work.of([Texts(int(self.host.length[b]), [int(n) for n in sizes[b] if n]) for b in kept])

    @property
    def effective_tokens(self) -> int:
        """Tokens that pull at the weights: they count, and their advantage is not zero."""
        return int((self.host.mask & (self.host.advantage != 0)[..., None]).sum())


@dataclass(frozen=True)
class Counts:
    """What is counted over a whole run, at one moment. left_out: steps that came to NaN. programs: compiled."""

    usage: Usage
    saved: Saved
    left_out: int
    programs: int


class Clock:
    """Wall time of the parts of a step, as times/NAME in seconds."""

    def __init__(self) -> None:
        self.began = self.last = time.perf_counter()
        self.laps: dict[str, float] = {"times/step": 0.0}

    def lap(self, name: str) -> None:
        """Add the time since the last lap to a part's."""
        now = time.perf_counter()
        self.laps[f"times/{name}"] = self.laps.get(f"times/{name}", 0.0) + now - self.last
        self.last = now
        self.laps["times/step"] = self.total

    @property
    def total(self) -> float:
        """Of all laps (s)."""
        return self.last - self.began


def summary(batches: Sequence[StepBatch], before: Counts, after: Counts, rule: DuplicateRule) -> dict[str, Any]:
    """Metrics of all that was drawn in a step, also where nothing came of it.

    batches: the last one was learnt from, if any. before, after: what was counted. rule: which programs are copies.
    """
    groups = [group for batch in batches for group in batch.groups]
    members = [member for group in groups for member in group.scored]
    judged = [member for member in members if member.judged]
    verdicts = [v for g in groups for v in g.verdicts]
    completions = [c for g in groups for c in g.completions]
    usage, sampled, saved, spared = after.usage, before.usage, after.saved, before.saved
    statuses = Counter(str(v.status) for v in verdicts)
    new = [c_rep.source != g.task.source.source for g in groups for c_rep in g.shown if c_rep is not None]
    return {
        "stage": batches[-1].stage.name,
        "reward": float(np.mean([rewards.total(member.terms) for member in judged])),
        "correct": float(np.mean([member.correct for member in judged])),
        "solved": float(np.mean([any(member.correct for member in group.scored) for group in groups])),
        "compiled": float(np.mean([v.compiled for v in verdicts if v.judged])),
        "duplicates": float(np.mean([rewards.repeats(v.duplicate, rule) for v in verdicts])),
        "zero_variance_groups": float(np.mean([is_flat(group.scored) for group in groups])),
        "kept_groups": float(np.mean([keep for batch in batches for keep in batch.advantages.keep])),
        "effective_tokens": sum(batch.effective_tokens for batch in batches),
        "empty_batches": sum(batch.empty for batch in batches),
        "unjudged": float(np.mean([not member.judged for member in members])),
        "left_out_steps": after.left_out,
        "truncated": float(np.mean([c.finish is Finish.LENGTH for c in completions])),
        "too_long": float(np.mean([c.finish is Finish.PROMPT_TOO_LONG for c in completions])),
        "length": float(np.mean([len(c.token_ids) for c in completions])),
        "rewrites_accepted": float(np.mean(new)) if new else 0.0,
        "rollouts": usage.rollouts - sampled.rollouts,
        "tokens": usage.tokens - sampled.tokens,
        "total_rollouts": usage.rollouts,
        "total_tokens": usage.tokens,
        "verify/saved": saved.copies + saved.repeats - spared.copies - spared.repeats,
        "process/known": saved.known - spared.known,
        "process/judged_again": saved.again - spared.again,
        "process/programs": after.programs,
    } | {f"status/{name}": count / len(verdicts) for name, count in sorted(statuses.items())}


def performance(
    batches: Sequence[StepBatch], updates: int, clock: Clock, train: TrainConfig, model: Model
) -> dict[str, Any]:
    """Tokens a second, and how much of the devices' peak the updates used: of what counted, without padding.

    batches: all that were drawn; the last one was learnt from. updates: on it. clock: of the step. train, model: what
    an update computes.
    """
    sampled = sum(len(c.token_ids) for batch in batches for g in batch.groups for c in g.completions)
    found = {"perf/sampled_tokens_per_s": sampled / clock.laps["times/rollout"]}
    if not updates:
        return found
    work, seconds = batches[-1].work, clock.laps["times/update"]
    scored = (train.correction is Correction.TIS) + (train.kl is not KL.NONE)
    flops = updates * train_flops(model, work) + scored * forward_flops(model, work)
    found["perf/trained_tokens_per_s"] = updates * work.tokens / seconds
    return found | utilisation(model, flops, seconds)


def sample_rows(group: Group, index: int) -> list[dict[str, Any]]:
    """A group's rows of samples.jsonl; `index` is its place in the step."""
    task, tags = group.task, group.task.tags
    shared: dict[str, Any] = {
        "group": index,
        "task": task.id,
        **{k: tags[k] for k in ("family", "kind", DIFFICULTY) if k in tags},
        "instruction": task.instruction,
        "source": task.source.source,
    }
    return [
        shared
        | {
            "c_rep": c_rep and c_rep.source,
            "completion": completion.text,
            "finish": completion.finish,
            "status": verdict.status,
            "duplicate": verdict.duplicate,
            "feedback": verdict.feedback,
            "preserve": [verdict.preserve.passed, verdict.preserve.total],
            "edit": [verdict.edit.passed, verdict.edit.total],
            "reward": round(rewards.total(member.terms), 4) if member.judged else None,
        }
        for c_rep, completion, verdict, member in zip(
            group.shown, group.completions, group.verdicts, group.scored, strict=True
        )
    ]


def compiled_programs(*functions: Any) -> int:
    """How many programs (shapes) of these jitted functions this process has compiled."""
    return sum(f._cache_size() for f in functions)
