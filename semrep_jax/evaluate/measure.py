"""Sampling a policy on a suite, directly (T=1) and with a rewrite first (T=2), at the same number of final samples.

T=1: n completions of the direct prompt. T=2: n rewrites of C_src, each verified on U_sem; then one completion for each,
with its rewrite in the prompt where it was accepted and C_src where it was not. The rewrites' tokens are counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import jax
import numpy as np

from semrep_jax.core.programs import Finish, Program, Task, Verdict
from semrep_jax.evaluate import metrics
from semrep_jax.evaluate.procedure import Procedure
from semrep_jax.inference.acceptance import RewriteJudge
from semrep_jax.inference.rewrite import accept_by_verifier
from semrep_jax.inference.turns import Attempt, infer
from semrep_jax.inference.votes import elected
from semrep_jax.rollout.policy import Policy, Usage
from semrep_jax.tasks.suite import DrawnSuite
from semrep_jax.verify import Verifier

EXAMPLES_KEPT = 4


@dataclass(frozen=True)
class Measured:
    """One policy on one suite at T turns.

    correct: [tasks][samples], right and no copy of C_src. rollouts, tokens, seconds: what it cost. rewrites_accepted:
    share of samples that had a rewrite. too_long: prompts that did not fit. examples: a few worked ones. identity:
    settings that decide the draws. facts: what the language's judge said of each sample beside, [tasks][samples] by
    name, silence counting as no; without a fact that it said of none. speedups: of right samples that were timed, else
    None; timings: what was measured of them beside (`Verdict.timing`). generalises: correct, and right on the hidden
    tests too, where the suite has some. comparisons: what `reward.accept: behaviour` cost and did. unjudged: samples of
    which nothing is known by a fault of ours; they count as wrong.
    excess_change: of right samples of tasks whose edit is known, the tokens that they change beyond it, else None.
    voted: whether the edit that most samples of a task agree on is right; None where votes were not counted.
    """

    suite: str
    turns: int
    suite_sha256: str
    task_ids: list[str]
    correct: list[list[bool]]
    rollouts: int
    tokens: int
    seconds: float
    rewrites_accepted: float
    too_long: int
    examples: list[dict[str, Any]]
    identity: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, list[list[bool]]] = field(default_factory=dict)
    speedups: list[list[float | None]] | None = None
    generalises: list[list[bool]] | None = None
    comparisons: dict[str, float] = field(default_factory=dict)
    unjudged: int = 0
    excess_change: list[list[float | None]] | None = None
    timings: list[list[dict[str, Any] | None]] | None = None
    voted: list[bool] | None = None

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


def measure(policy: Policy, suite: DrawnSuite, turns: int, verifier: Verifier, procedure: Procedure) -> Measured:
    """Sample and verify.

    suite: the tasks. turns: 1 or 2. verifier: judges edits and rewrites. procedure: how much is sampled, and which
    rewrites count.
    """
    judge = RewriteJudge(verifier, procedure.accept)
    accept = accept_by_verifier(judge, procedure.rule)

    def write(key: jax.Array) -> list[list[Attempt]]:
        return infer(policy, accept, suite.tasks, turns, procedure.sampling, key, procedure.choose)

    found = attempted(policy, suite, turns, verifier, procedure, write)
    return replace(found, comparisons=judge.metrics())


def attempted(
    policy: Policy,
    suite: DrawnSuite,
    turns: int,
    verifier: Verifier,
    procedure: Procedure,
    write: Callable[[jax.Array], Sequence[Sequence[Attempt]]],
) -> Measured:
    """What attempts at the tasks are worth, and what they cost. The random key depends on the suite and T only: every
    policy sees the same draws.

    policy, suite, turns, verifier, procedure: as in `measure`. write: lets the policy write `procedure.sampling.n`
    attempts at each task by this key.
    """
    began = time.perf_counter()
    key = jax.random.fold_in(jax.random.key(procedure.setting.seed), int(suite.sha256[:7], 16) + turns)
    policy.usage = Usage()
    groups = write(key)
    flat = [attempt for group in groups for attempt in group]
    verdicts = verifier.verify_all([(attempt.task, attempt.program) for attempt in flat])
    samples = procedure.sampling.n
    judged = [verdicts[i : i + samples] for i in range(0, len(verdicts), samples)]
    return Measured(
        suite=suite.name,
        turns=turns,
        suite_sha256=suite.sha256,
        task_ids=[task.id for task in suite.tasks],
        correct=[[v.correct for v in row] for row in judged],
        rollouts=policy.usage.rollouts,
        tokens=policy.usage.tokens,
        seconds=round(time.perf_counter() - began, 3),
        rewrites_accepted=float(np.mean([attempt.rewrite is not None for attempt in flat])),
        too_long=sum(attempt.completion.finish is Finish.PROMPT_TOO_LONG for attempt in flat),
        examples=[_example(*pair) for pair in list(zip(groups, judged, strict=True))[:EXAMPLES_KEPT]],
        identity=procedure.identity,
        facts=_facts(judged),
        speedups=_speedups(judged),
        generalises=_generalises(judged),
        unjudged=sum(not verdict.judged for verdict in verdicts),
        excess_change=_excess_change(groups, judged),
        timings=_timings(judged),
        voted=_voted(groups, judged),
    )


def _voted(groups: Sequence[Sequence[Attempt]], judged: Sequence[Sequence[Verdict]]) -> list[bool]:
    places = [elected(group) for group in groups]
    return [place is not None and verdicts[place].correct for place, verdicts in zip(places, judged, strict=True)]


def _facts(judged: Sequence[Sequence[Verdict]]) -> dict[str, list[list[bool]]]:
    names = dict.fromkeys(name for row in judged for verdict in row for name in verdict.facts)
    return {name: [[v.facts.get(name, False) for v in row] for row in judged] for name in names}


def _speedups(judged: Sequence[Sequence[Verdict]]) -> list[list[float | None]] | None:
    """None where nothing was timed."""
    found = [[v.speedup for v in row] for row in judged]
    return None if all(value is None for row in found for value in row) else found


def _timings(judged: Sequence[Sequence[Verdict]]) -> list[list[dict[str, Any] | None]] | None:
    """None where nothing was timed."""
    found = [[v.timing for v in row] for row in judged]
    return None if all(value is None for row in found for value in row) else found


def _generalises(judged: Sequence[Sequence[Verdict]]) -> list[list[bool]] | None:
    """None where no task has hidden tests."""
    if all(v.hidden is None for row in judged for v in row):
        return None
    return [[v.correct and (v.hidden is None or v.hidden.all) for v in row] for row in judged]


def _excess_change(
    groups: Sequence[Sequence[Attempt]], judged: Sequence[Sequence[Verdict]]
) -> list[list[float | None]] | None:
    """None where no task has a known edit. Of a perturbed task it is not known: its C_src is no longer the one that the
    edit was made of."""
    if not any(_gold(group[0].task) for group in groups):
        return None
    return [
        [_excess(attempt, verdict) for attempt, verdict in zip(group, verdicts, strict=True)]
        for group, verdicts in zip(groups, judged, strict=True)
    ]


def _gold(task: Task) -> Program | None:
    return None if "base" in task.tags else task.solution


def _excess(attempt: Attempt, verdict: Verdict) -> float | None:
    gold = _gold(attempt.task)
    if gold is None or not verdict.correct or not isinstance(attempt.program, Program):
        return None
    return metrics.excess_change(attempt.task.source.source, attempt.program.source, gold.source)


def _example(group: Sequence[Attempt], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The first sample of a task, for a person to look at."""
    attempt, verdict = group[0], verdicts[0]
    task, program = attempt.task, attempt.program
    return {
        "task": task.id,
        "language": task.source.language,
        "family": task.tags.get("family", ""),
        "kind": task.tags.get("kind", ""),
        "instruction": task.instruction,
        "source": task.source.source,
        "rewrite": attempt.rewrite and attempt.rewrite.source,
        "edit": program.source if isinstance(program, Program) else attempt.completion.text,
        "status": str(verdict.status),
        "feedback": verdict.feedback,
    }
