"""What `compare`, `train` and `evaluate` share: a base, arms trained from it at one budget, each measured on every
suite.

An arm's training and each of its measurements are kept as they end, so a run that is killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from semrep_jax import prompts
from semrep_jax.core.errors import SemRepError, TaskError
from semrep_jax.core.progress import bar, console
from semrep_jax.core.results import Estimate, Results, exact
from semrep_jax.core.stop import Stopped
from semrep_jax.core.workdir import WorkDir
from semrep_jax.evaluate import summary as metric
from semrep_jax.evaluate.measure import Measured, measure
from semrep_jax.inference.turns import TURNS
from semrep_jax.jobs import gains, held_out, replicas
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import TRAINING, Context
from semrep_jax.jobs.measuring import drawn, procedure
from semrep_jax.model import pretrained, sharding
from semrep_jax.model.decoder import ComputeConfig
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.report.labels import label
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.policy import Policy
from semrep_jax.rollout.remote import RemotePolicy
from semrep_jax.rollout.settings import Engine
from semrep_jax.tasks.source import SOURCES, SourceRequest
from semrep_jax.tasks.suite import SUITES, DrawnSuite
from semrep_jax.train import stages
from semrep_jax.train.arms import ARMS, BASE, FINETUNE, SEMREP, Arm
from semrep_jax.train.budget import Budget
from semrep_jax.train.curve import Curve
from semrep_jax.train.finite import require_finite
from semrep_jax.train.fits import require_one_fits_policy
from semrep_jax.train.monitoring import Monitoring
from semrep_jax.train.trainer import Recipe, Trained, Trainer
from semrep_jax.train.variants import Variants

COSTS = (
    ("train_steps", "steps"),
    ("train_tokens", "tokens"),
    ("train_rollouts", "rollouts"),
    ("train_seconds", "seconds"),
)


class OtherModel(SemRepError):
    """A run that is gone on with finds another model than it began with."""


def load_model(config: Config, work: WorkDir | None = None) -> PretrainedModel:
    """The base that a config names, on its mesh.

    work: of a run, which begins with one base and goes on with no other. Raises OtherModel.
    """
    mesh = sharding.build(**config.mesh.model_dump())
    base = pretrained.load(config.model.source, mesh, ComputeConfig.of(config.model), config.seed)
    require_finite(base.model, base.params, f"model.source {config.model.source}")
    if work is not None:
        _require_same_model(config.model.source, base.digest, work)
    return base


def _require_same_model(source: str, digest: str, work: WorkDir) -> None:
    name = f"models/{hashlib.sha256(source.encode()).hexdigest()[:16]}.json"
    before = work.read(name)
    if before is None:
        work.write(name, {"source": source, "sha256": digest})
    elif before["sha256"] != digest:
        raise OtherModel(
            f"model.source {source} holds other weights or another tokenizer than when this run began "
            f"({digest[:12]}, not {before['sha256'][:12]}); put them back, or use another work_dir"
        )


def policy(config: Config, work: WorkDir | None = None) -> Policy:
    """The policy that a config names, untrained: the remote one or the local model. work: as in `load_model`."""
    if config.remote.url:
        return RemotePolicy(config.remote, config.rollout)
    base = load_model(config, work)
    return LocalPolicy.of(base, config.rollout)


def run_arms(config: Config, context: Context, arms: Sequence[str]) -> Results:
    """Train the arms, measure them and the base, and say what was found.

    config: all settings. context: work directory, judges and stop of the run. arms: names in `train.arms.ARMS`; none to
    measure the base alone. Raises Stopped after a SIGTERM, with everything saved.
    """
    began = time.perf_counter()
    if config.remote.url:
        remote = RemotePolicy(config.remote, config.rollout)
        return _measured(config, context, began, drawn_suites(config, context), {BASE: lambda: remote}, {})
    base = load_model(config, context.work)
    warn_of_replicas(config, base)
    suites = drawn_suites(config, context)
    require_fitting(suites, LocalPolicy.of(base, config.rollout))
    curve = held_out.curve(config, context, base) if arms else None
    trained = {name: train_arm(config, context, ARMS[name], base, curve) for name in arms}
    params = {BASE: base.params} | {name: arm.params for name, arm in trained.items()}
    local = {arm: partial(LocalPolicy.of, base, config.rollout, p) for arm, p in params.items()}
    return _measured(config, context, began, suites, local, trained)


def require_fitting(suites: Sequence[DrawnSuite], policy: Policy) -> None:
    """Refuse a suite that holds no prompt short enough for the policy. Raises NothingFits.

    suites: drawn. policy: what will be asked.
    """
    for suite in suites:
        asked = (prompts.transform(task.source, task.instruction) for task in suite.tasks)
        require_one_fits_policy(asked, policy, f"suite {suite.name}")


def warn_of_replicas(config: Config, base: PretrainedModel) -> None:
    """Say which batches do not divide over the mesh: each of its devices computes the whole of them."""
    rollout, evaluate = config.rollout, config.evaluate
    sizes = {"rollout.prompts": rollout.prompts, "evaluate.batch": evaluate.batch}
    if evaluate.every and evaluate.held_out.tasks < evaluate.batch:
        sizes["evaluate.held_out.tasks"] = evaluate.held_out.tasks
    if rollout.engine is Engine.CONTINUOUS:
        sizes["rollout.rows"] = rollout.rows
    if config.train.micro_batch:
        sizes["train.micro_batch"] = config.train.micro_batch
    replicas.warn(sizes, base.model.sharding.size("batch"))


def train_arm(config: Config, context: Context, arm: Arm, base: PretrainedModel, curve: Curve | None = None) -> Trained:
    """One arm, trained to the end of its budget and exported as arms/NAME/model; the best of its held-out curve, where
    one is measured, as arms/NAME/best.

    config, context: of the run. base: what it starts from. curve: what is measured while it trains. Raises Stopped.
    """
    alpha, forms = config.train.alpha, config.tasks.variants
    request = SourceRequest(config.tasks.train_size, config.seed + 1, settings=config.of_source())
    of_variants = Variants(context.judges.sandbox, forms, config.seed, context.shared / "variants", context.stop.peers)
    source = SOURCES[config.tasks.source]
    of_arm = stages.build(source, request, config.reward, arm, alpha, of_variants.widen, forms)
    identity = config.comparable(TRAINING) | arm.identity(alpha) | stages.fingerprint(of_arm)
    work = context.work.path
    monitoring = Monitoring(config.profile, config.logging, f"{work.name}/{arm.name}", work / "profile" / arm.name)
    recipe = Recipe(config.seed, config.rollout, config.reward, config.train, identity, monitoring, config.inference)
    directory, bucket = work / "arms" / arm.name, context.work.bucket
    budget = Budget(config.train.budget, arm.share(alpha))
    trained = Trainer(recipe, of_arm, budget, base, context.judges, directory, context.stop, bucket, curve).run()
    exported = f"arms/{arm.name}/exported.json"  # an arm may have been trained further since
    if context.work.read(exported) != {"steps": budget.used}:
        pretrained.export(directory / "model", base.model, trained.params, base.tokenizer)
        context.work.write(exported, {"steps": budget.used})
    return trained


def drawn_suites(config: Config, context: Context) -> list[DrawnSuite]:
    """The suites to measure on, the same on every process."""
    suites = [drawn(config, context, name, config.evaluate) for name in metric.ordered(config.evaluate.suites)]
    context.stop.peers.require_equal(" ".join(s.sha256 for s in suites), "the evaluation suites")
    return suites


def _measured(
    config: Config,
    context: Context,
    began: float,
    suites: list[DrawnSuite],
    policies: Mapping[str, Callable[[], Policy]],
    trained: Mapping[str, Trained],
) -> Results:
    """Measure every policy on every suite; what was found."""
    setting = config.evaluate
    steps = {name: arm.budget.used for name, arm in trained.items()}
    measured = measure_all(config, context, policies, suites, steps)
    found = {arm: metric.metrics(ms, setting.resamples, setting.ks) for arm, ms in measured.items()}
    arms = {arm: values | costs(trained.get(arm)) for arm, values in found.items()}
    compared = {SEMREP, FINETUNE} <= measured.keys()
    gaps = metric.differences(measured[SEMREP], measured[FINETUNE], setting.resamples) if compared else {}
    tests = metric.paired_tests(measured[SEMREP], measured[FINETUNE]) if compared else {}
    gained = gains.of(measured, BASE, setting.resamples)
    names, keys = [s.name for s in suites], arms[BASE]
    rows = metric.rows(names, keys)
    notes = dict.fromkeys(note for name in names if (note := SUITES[name].note(set().union(*arms.values()))))
    return Results(
        arms,
        _seconds(config, context, began, measured, trained),
        " ".join(filter(None, (gains.sentence(gained), verdict(gaps)))),
        rows=rows,
        differences=gaps,
        costs=COSTS,
        notes=(*notes, *metric.out_of_range_note(names, keys), *shortfalls(measured)),
        tables=(
            *gains.table(gained, rows, BASE),
            *metric.further(names, found),
            *metric.mcnemar_table(tests, label(SEMREP), label(FINETUNE)),
        ),
        about={
            "suites": {s.name: {"tasks": len(s.tasks), "sha256": s.sha256} for s in suites},
            "gains": {arm: {key: e.to_json() for key, e in of_arm.items()} for arm, of_arm in gained.items()},
            "mcnemar": {name: asdict(test) for name, test in tests.items()},
        },
    )


def shortfalls(measured: Mapping[str, list[Measured]]) -> Iterator[str]:
    """A line for each measurement in which samples count as wrong that were not seen to be."""
    for arm, one in ((arm, one) for arm, ms in measured.items() for one in ms):
        samples = sum(map(len, one.correct))
        where = f"{arm}, {one.suite}, T={one.turns}: {{}} of {samples} samples"
        if one.too_long:
            yield where.format(one.too_long) + " have a prompt longer than rollout.max_prompt and count as wrong."
        if one.unjudged:
            yield where.format(one.unjudged) + " could not be judged, by a fault of ours, and count as wrong."


def _seconds(
    config: Config,
    context: Context,
    began: float,
    measured: Mapping[str, list[Measured]],
    trained: Mapping[str, Trained],
) -> float:
    """Wall time of the work, also of what earlier sittings did; of a run that had ended already, as it was."""
    before = context.work.read("results.json")
    if before and before.get("config_sha256") == config.sha256:
        return float(before["seconds"])
    spent = sum(arm.seconds for arm in trained.values()) + sum(m.seconds for ms in measured.values() for m in ms)
    return max(spent, time.perf_counter() - began)


def measure_all(
    config: Config,
    context: Context,
    policies: Mapping[str, Callable[[], Policy]],
    suites: list[DrawnSuite],
    steps: Mapping[str, int],
) -> dict[str, list[Measured]]:
    """The measurements of each policy; those that are kept are not made again. steps: that each arm was trained for.

    config, context: of the run. policies: made when they are needed, by arm. suites: drawn, each at T=1 and T=2. Raises
    Stopped.
    """
    wanted = [(arm, suite, turns) for arm in policies for suite in suites for turns in TURNS]
    measured: dict[str, list[Measured]] = {arm: [] for arm in policies}
    how = procedure(config)
    with bar("evaluation", len(wanted)) as progress:
        for arm, suite, turns in wanted:
            identity = how.identity | ({"steps": steps[arm]} if arm in steps else {})
            one = kept(context, _file(arm, suite, turns), suite, identity)
            if one is None:
                one = measure(policies[arm](), suite, turns, context.judges, how)
                one = replace(one, identity=identity)
                context.work.write(_file(arm, suite, turns), one.to_json())
            measured[arm].append(one)
            progress.advance(f"{arm} {suite.name} T={turns}: {one.per_task.mean():.2f}")
            if context.stop.wanted:
                raise Stopped("stopped during the evaluation; the same command goes on from there")
    return measured


def _file(arm: str, suite: DrawnSuite, turns: int) -> str:
    return f"evaluation/{arm}-{suite.name}-T{turns}.json"


def kept(context: Context, name: str, suite: DrawnSuite, identity: Mapping[str, Any]) -> Measured | None:
    """An earlier measurement of the same tasks and the same policy under the same settings; None where there is none.

    context: whose work directory is looked into. name: its file. suite: the tasks of today. identity: what it must
    share. Raises TaskError where it is of another version.
    """
    saved = context.work.read(name)
    if saved is None:
        return None
    try:
        one = Measured(**saved)
    except TypeError as error:
        raise TaskError(f"{context.work.path / name} is of another version; delete it to measure again") from error
    if one.suite_sha256 == suite.sha256 and one.identity == identity:
        return one
    console.print(f"{name} is of other tasks or settings: measured again", highlight=False)
    return None


def costs(arm: Trained | None) -> dict[str, Estimate]:
    """What an arm's training took; zeros for the base."""
    if arm is None:
        return {name: exact(0) for name, _ in COSTS}
    values = (arm.budget.used, arm.usage.tokens, arm.usage.rollouts, round(arm.seconds, 3))
    return {name: exact(value) for (name, _), value in zip(COSTS, values, strict=True)}


def verdict(gaps: Mapping[str, Estimate]) -> str:
    """One sentence on who won, from the paired differences and nothing else."""
    if not gaps:
        return "One arm only: nothing is compared."
    wins = [name for name, gap in gaps.items() if gap.low > 0]
    losses = [name for name, gap in gaps.items() if gap.high < 0]
    parts = []
    if wins:
        parts.append(f"SemRep is ahead on {', '.join(wins)}")
    if losses:
        parts.append(f"fine-tuning is ahead on {', '.join(losses)}")
    undecided = len(gaps) - len(wins) - len(losses)
    tail = f"{undecided} of {len(gaps)} differences have a 95 % interval that includes zero"
    return f"{'; '.join(parts)}; {tail}." if parts else f"Neither arm is ahead: {tail}."
