"""Sampling a policy on a suite, directly (T=1) and with a rewrite first (T=2), at the same number of final samples.

T=1: n completions of the direct prompt. T=2: n rewrites of C_src, each verified on U_sem; then one completion for each,
with its rewrite in the prompt where it was accepted and C_src where it was not. The rewrites' tokens are counted.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import jax
import numpy as np

from semrep_jax import prompts
from semrep_jax.core.programs import Completion, Finish, Program, Verdict
from semrep_jax.evaluate import speed
from semrep_jax.evaluate.intervals import Estimate, exact, mean
from semrep_jax.jobs.config import Config
from semrep_jax.rollout.policy import Policy, Usage
from semrep_jax.tasks.suite import Suite
from semrep_jax.train import stages, trainer
from semrep_jax.verify import Verifier

TURNS = (1, 2)
SHOWN = 4


@dataclass(frozen=True)
class Measured:
    """One policy on one suite at T turns: `correct` [tasks][samples], costs, and a few worked examples.

    Of kernels: right in emulation, right on a GPU, right by the tasks' own authors (None where nobody said), and the speed-ups of
    correct samples that a GPU timed. A copy of C_src may be right; it is not `correct`. `generalises`: correct, and right on the hidden
    tests too, where the suite has some.
    """

    suite: str
    turns: int
    suite_sha256: str
    task_ids: list[str]
    correct: list[list[bool]]
    rollouts: int
    tokens: int
    seconds: float
    guides_accepted: float
    too_long: int
    examples: list[dict[str, Any]]
    emulated: list[list[bool]] | None = None
    on_gpu: list[list[bool]] | None = None
    published: list[list[bool]] | None = None
    speedups: list[list[float | None]] | None = None
    generalises: list[list[bool]] | None = None

    @property
    def per_task(self) -> np.ndarray:
        """Share of samples that are correct, one value a task."""
        return np.asarray(self.correct, float).mean(axis=1)

    @property
    def best(self) -> np.ndarray:
        """Whether any sample is correct, one value a task."""
        return np.asarray(self.correct, float).max(axis=1)

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain JSON."""
        return asdict(self)


def measure(policy: Policy, suite: Suite, turns: int, verifier: Verifier, config: Config) -> Measured:
    """Sample and verify. The random key depends on the suite and T only: every policy sees the same draws."""
    setting, began = config.evaluate, time.perf_counter()
    key = jax.random.fold_in(jax.random.key(setting.seed), int(suite.sha256[:7], 16) + turns)
    policy.usage = Usage()
    tasks, n = list(suite.tasks), setting.samples
    rewrites: list[str | None] = [None] * (len(tasks) * n)
    accepted = 0.0
    if turns == 1:
        groups = policy.sample([stages.transform_prompt(t) for t in tasks], n, setting.temperature, key, setting.batch)
        completions = [c for group in groups for c in group]
    else:
        guides = _guides(policy, suite, verifier, config, jax.random.fold_in(key, 1))
        sources = [t.source.source for t in tasks for _ in range(n)]
        accepted = float(np.mean([g != s for g, s in zip(guides, sources, strict=True)]))
        texts = [stages.transform_prompt(t, guides[i * n + j]) for i, t in enumerate(tasks) for j in range(n)]
        groups = policy.sample(texts, 1, setting.temperature, jax.random.fold_in(key, 2), setting.batch)
        completions = [group[0] for group in groups]
        rewrites = [g if g != s else None for g, s in zip(guides, sources, strict=True)]
    each = [t for t in tasks for _ in range(n)]
    verdicts = verifier.verify_all(
        [(t, trainer.program_of(c, t.source.language)) for t, c in zip(each, completions, strict=True)]
    )
    return Measured(
        suite=suite.name,
        turns=turns,
        suite_sha256=suite.sha256,
        task_ids=[t.id for t in tasks],
        correct=_rows([v.correct for v in verdicts], n),
        rollouts=policy.usage.rollouts,
        tokens=policy.usage.tokens,
        seconds=round(time.perf_counter() - began, 3),
        guides_accepted=accepted,
        too_long=sum(c.finish is Finish.PROMPT_TOO_LONG for c in completions),
        emulated=_known([v.facts.get("emulated") for v in verdicts], n),
        on_gpu=_known([v.facts.get("on_gpu") for v in verdicts], n),
        published=_known([v.facts.get("published") for v in verdicts], n),
        generalises=_known([None if v.hidden is None else v.correct and v.hidden.all for v in verdicts], n),
        speedups=_rows([v.speedup for v in verdicts], n) if any(v.speedup is not None for v in verdicts) else None,
        examples=_examples(suite, n, rewrites, completions, verdicts),
    )


def _rows(values: list[Any], n: int) -> list[list[Any]]:
    return [values[i : i + n] for i in range(0, len(values), n)]


def _known(values: list[bool | None], n: int) -> list[list[bool]] | None:
    """Rows of what was said of each sample, silence counting as no; None where nothing was said of any."""
    return None if all(v is None for v in values) else _rows([bool(v) for v in values], n)


def _guides(policy: Policy, suite: Suite, verifier: Verifier, config: Config, key: jax.Array) -> list[str]:
    tasks, setting = list(suite.tasks), config.evaluate
    texts = [stages.rewrite_prompt(t) for t in tasks]
    groups = policy.sample(texts, setting.samples, setting.temperature, key, setting.batch)
    each = [
        (t, trainer.program_of(c, t.source.language)) for t, group in zip(tasks, groups, strict=True) for c in group
    ]
    verdicts = verifier.verify_all(each)
    single: list[list[Program | str]] = [[p] for _, p in each]
    return trainer.choose_guides([t for t, _ in each], single, [[v] for v in verdicts], config)


def _examples(
    suite: Suite, n: int, rewrites: list[str | None], completions: list[Completion], verdicts: list[Verdict]
) -> list[dict[str, Any]]:
    rows = []
    for i, task in enumerate(suite.tasks[:SHOWN]):
        first = i * n
        program, _ = prompts.extract(completions[first].text, task.source.language)
        rows.append(
            {
                "task": task.id, "family": task.tags.get("family", ""), "kind": task.tags.get("kind", ""),
                "instruction": task.instruction, "source": task.source.source, "rewrite": rewrites[first],
                "edit": program.source if program else completions[first].text, "status": str(verdicts[first].status),
                "feedback": verdicts[first].feedback,
            }
        )  # fmt: skip
    return rows


def metrics(results: list[Measured], resamples: int) -> dict[str, Estimate]:
    """Named metrics of one policy: SUITE/T1, SUITE_best/T1 ..., robustness pairs, tokens beside them."""
    found: dict[str, Estimate] = {}
    by = {(m.suite, m.turns): m for m in results}
    for (suite, turns), m in by.items():
        found[f"{suite}/T{turns}"] = mean(m.per_task, resamples)
        found[f"{suite}_best@{len(m.correct[0])}/T{turns}"] = mean(m.best, resamples)
        found[f"{suite}_tokens/T{turns}"] = exact(m.tokens)
        for where, rows in (("emulated", m.emulated), ("on_gpu", m.on_gpu)):
            if rows is not None:
                found[f"{suite}_{where}/T{turns}"] = mean(np.asarray(rows, float).mean(axis=1), resamples)
        if m.published is not None:
            found[f"published/T{turns}"] = mean(np.asarray(m.published, float).mean(axis=1), resamples)
        if m.speedups is not None:
            found |= {f"{suite}_{name}/T{turns}": value for name, value in speed.metrics(m.speedups, resamples).items()}
        if m.generalises is not None:
            unseen = np.asarray(m.generalises, float).mean(axis=1)
            found[f"{suite}_hidden/T{turns}"] = mean(unseen, resamples)
            found[f"{suite}_hidden_gap/T{turns}"] = mean(m.per_task - unseen, resamples)
        if turns == 2:
            found[f"{suite}_guides_accepted/T2"] = exact(m.guides_accepted)
        if suite == "robustness" and ("correctness", turns) in by:
            both, agree = robustness(by["correctness", turns], m)
            found[f"robust_pass/T{turns}"] = mean(both, resamples)
            found[f"consistency/T{turns}"] = mean(agree, resamples)
    return found


def robustness(base: Measured, perturbed: Measured) -> tuple[np.ndarray, np.ndarray]:
    """For each perturbed task: the share of samples right on both C_src and its perturbation, and the share that agree."""
    index = {task: i for i, task in enumerate(base.task_ids)}
    rows = [index[task.removesuffix("/perturbed")] for task in perturbed.task_ids]
    a, b = np.asarray(base.correct, bool)[rows], np.asarray(perturbed.correct, bool)
    return (a & b).mean(axis=1), (a == b).mean(axis=1)
