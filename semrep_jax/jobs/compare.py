"""The jobs that end in a table: `compare` (base, SemRep, fine-tuning at equal budget), `train` (base, one arm), `evaluate`.

    python -m semrep_jax.main --config configs/quickstart.yaml

An arm's training and each of its measurements are kept as they end, so a run that is killed goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from semrep_jax.core.errors import TaskError
from semrep_jax.core.progress import bar
from semrep_jax.core.stop import Stop, Stopped
from semrep_jax.core.workdir import WorkDir
from semrep_jax.evaluate import suites
from semrep_jax.evaluate.intervals import Estimate, difference, exact
from semrep_jax.evaluate.measure import TURNS, Measured, measure, metrics, robustness
from semrep_jax.jobs.config import Config, Job
from semrep_jax.model import pretrained, sharding
from semrep_jax.model.decoder import ComputeConfig
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.policy import Policy
from semrep_jax.rollout.remote import RemotePolicy
from semrep_jax.tasks.suite import Suite
from semrep_jax.train.trainer import Trained, Trainer
from semrep_jax.verify import Verifier

BASE, SEMREP, FINETUNE = "base", "semrep", "finetune"


@dataclass(frozen=True)
class Result:
    """What a job found: metrics of each arm, paired differences, raw measurements by arm."""

    arms: dict[str, dict[str, Estimate]]
    differences: dict[str, Estimate]
    measured: dict[str, list[Measured]]
    seconds: float


def run(config: Config, work: WorkDir, verifier: Verifier, stop: Stop) -> Result:
    """Run the job named by the config. Raises Stopped after a SIGTERM, with everything saved."""
    before = work.read("results.json")
    began = time.perf_counter()
    if config.remote.url:
        remote = RemotePolicy(config.remote, config.rollout)
        return _finish(config, work, began, before, {BASE: lambda: remote}, {}, verifier, stop)
    loaded = pretrained.load(
        config.model.source, sharding.build(**config.mesh.model_dump()), ComputeConfig.of(config.model), config.seed
    )
    alphas = {
        Job.COMPARE: {SEMREP: config.train.alpha, FINETUNE: 0.0},
        Job.TRAIN: {SEMREP if config.train.alpha > 0 else FINETUNE: config.train.alpha},
        Job.EVALUATE: {},
    }[config.job]
    trained = {name: _train(config, name, alpha, loaded, verifier, work, stop) for name, alpha in alphas.items()}
    params = {BASE: loaded.params} | {name: arm.params for name, arm in trained.items()}
    local = {
        arm: partial(LocalPolicy, loaded.model, one, loaded.tokenizer, config.rollout) for arm, one in params.items()
    }
    return _finish(config, work, began, before, local, trained, verifier, stop)


def _finish(
    config: Config, work: WorkDir, began: float, before: Any, policies: Mapping[str, Callable[[], Policy]], trained: dict[str, Trained],
    verifier: Verifier, stop: Stop,
) -> Result:  # fmt: skip
    """Measure every policy on every suite and write results.json."""
    found = [suites.build(name, config.evaluate, verifier) for name in _ordered(config)]
    verifier.peers.require_equal(" ".join(s.sha256 for s in found), "the evaluation suites")
    measured = _measure_all(config, policies, found, verifier, work, stop)
    arms = {
        name: metrics(results, config.evaluate.resamples) | costs(trained.get(name))
        for name, results in measured.items()
    }
    spent = sum(arm.seconds for arm in trained.values()) + sum(
        m.seconds for results in measured.values() for m in results
    )
    seconds = before["seconds"] if before else max(spent, time.perf_counter() - began)
    result = Result(arms, differences(measured, config.evaluate.resamples), measured, seconds)
    work.write("results.json", to_json(config, result, found))
    return result


def policy(config: Config) -> Policy:
    """The policy that a config names, untrained: the remote one or the local model."""
    if config.remote.url:
        return RemotePolicy(config.remote, config.rollout)
    loaded = pretrained.load(
        config.model.source, sharding.build(**config.mesh.model_dump()), ComputeConfig.of(config.model), config.seed
    )
    return LocalPolicy(loaded.model, loaded.params, loaded.tokenizer, config.rollout)


def _ordered(config: Config) -> list[str]:
    """The suites asked for, `correctness` before `robustness`, which is paired with it."""
    names = list(dict.fromkeys(config.evaluate.suites))
    return sorted(names, key=lambda n: n == "robustness")


def _train(
    config: Config, name: str, alpha: float, loaded: PretrainedModel, verifier: Verifier, work: WorkDir, stop: Stop
) -> Trained:
    directory = work.path / "arms" / name
    arm = Trainer(config, alpha, loaded, verifier, directory, stop).run()
    if not (directory / "model" / "config.json").exists():
        pretrained.export(directory / "model", loaded.model, arm.params, loaded.tokenizer)
    return arm


def _measure_all(
    config: Config,
    policies: Mapping[str, Callable[[], Policy]],
    found: list[Suite],
    verifier: Verifier,
    work: WorkDir,
    stop: Stop,
) -> dict[str, list[Measured]]:
    wanted = [(arm, suite, turns) for arm in policies for suite in found for turns in TURNS]
    measured: dict[str, list[Measured]] = {arm: [] for arm in policies}
    with bar("evaluation", len(wanted)) as progress:
        for arm, suite, turns in wanted:
            name = f"evaluation/{arm}-{suite.name}-T{turns}.json"
            saved = work.read(name)
            if saved is None:
                one = measure(policies[arm](), suite, turns, verifier, config)
                work.write(name, one.to_json())
            else:
                one = Measured(**saved)
                if one.suite_sha256 != suite.sha256:
                    raise TaskError(
                        f"{work.path / name} measured other tasks (made by another version); delete it to measure again"
                    )
            measured[arm].append(one)
            progress.advance(f"{arm} {suite.name} T={turns}: {one.per_task.mean():.2f}")
            if stop.wanted:
                raise Stopped("stopped during the evaluation; the same command goes on from there")
    return measured


def costs(arm: Trained | None) -> dict[str, Estimate]:
    """What an arm's training took; zeros for the base."""
    if arm is None:
        return {name: exact(0) for name in ("train_steps", "train_tokens", "train_rollouts", "train_seconds")}
    return {
        "train_steps": exact(arm.budget.used),
        "train_tokens": exact(arm.usage.tokens),
        "train_rollouts": exact(arm.usage.rollouts),
        "train_seconds": exact(round(arm.seconds, 3)),
    }


def differences(measured: dict[str, list[Measured]], resamples: int) -> dict[str, Estimate]:
    """SemRep minus fine-tuning, paired by task: at T=1, at T=2, and each as the paper uses it (T=2 against T=1)."""
    if not {SEMREP, FINETUNE} <= measured.keys():
        return {}
    ours = {(m.suite, m.turns): m for m in measured[SEMREP]}
    theirs = {(m.suite, m.turns): m for m in measured[FINETUNE]}
    found = {}
    for suite in dict.fromkeys(m.suite for m in measured[SEMREP]):
        for name, a, b in (("T1", 1, 1), ("T2", 2, 2), ("T2 against T1", 2, 1)):
            left, right = _values(ours, suite, a), _values(theirs, suite, b)
            found[f"{suite}/{name}"] = difference(left, right, resamples)
    return found


def _values(by: dict[tuple[str, int], Measured], suite: str, turns: int) -> np.ndarray:
    if suite == "robustness" and ("correctness", turns) in by:
        return robustness(by["correctness", turns], by[suite, turns])[0]
    return by[suite, turns].per_task


def verdict(result: Result) -> str:
    """One sentence on who won, from the paired differences and nothing else."""
    if not result.differences:
        return "One arm only: nothing is compared."
    wins = [k for k, d in result.differences.items() if d.low > 0]
    losses = [k for k, d in result.differences.items() if d.high < 0]
    open_ = len(result.differences) - len(wins) - len(losses)
    parts = []
    if wins:
        parts.append(f"SemRep is ahead on {', '.join(wins)}")
    if losses:
        parts.append(f"fine-tuning is ahead on {', '.join(losses)}")
    tail = f"{open_} of {len(result.differences)} differences have a 95 % interval that includes zero"
    return f"{'; '.join(parts)}; {tail}." if parts else f"Neither arm is ahead: {tail}."


def to_json(config: Config, result: Result, found: list[Suite]) -> dict[str, Any]:
    """results.json."""
    return {
        "job": config.job.value,
        "config_sha256": config.sha256,
        "seed": config.seed,
        "seconds": round(result.seconds, 2),
        "suites": {s.name: {"tasks": len(s.tasks), "sha256": s.sha256} for s in found},
        "arms": {arm: {k: e.to_json() for k, e in values.items()} for arm, values in result.arms.items()},
        "differences": {k: asdict(d) for k, d in result.differences.items()},
        "verdict": verdict(result),
    }
