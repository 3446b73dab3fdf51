"""The training of one arm. One step, top to bottom in `Trainer.step`: sample -> verify -> reward -> advantage ->
update.

Both arms of a comparison run this same code; they differ in alpha, and so in their stages. Every random choice of step
i is a function of fold_in(base key, i), the task stream is Grain's and its state is saved, verdicts are deterministic:
a run that was killed and started again ends with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semrep_jax import prompts
from semrep_jax.core.bucket import Bucket
from semrep_jax.core.errors import NonFiniteError, SemRepError
from semrep_jax.core.peers import ALONE
from semrep_jax.core.stop import Stop
from semrep_jax.data import prompts as task_stream
from semrep_jax.inference.acceptance import RewriteJudge
from semrep_jax.inference.rewrite import Sampling, accept_by_verifier, chosen_of, write_rewrites
from semrep_jax.inference.settings import InferenceConfig
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.rewards import RewardConfig
from semrep_jax.rollout.decoding import PROGRAMS
from semrep_jax.rollout.local import LocalPolicy, decode
from semrep_jax.rollout.policy import Usage
from semrep_jax.rollout.settings import Engine, RolloutConfig
from semrep_jax.train import joint, loop
from semrep_jax.train.advantages import Advantages, pooled
from semrep_jax.train.batch import Group, RolloutBatch, make_batch
from semrep_jax.train.budget import REWRITE, Budget
from semrep_jax.train.checkpoint import OTHER_MESH, MayChange, Restored
from semrep_jax.train.curve import Curve, CurveFile, Spent
from semrep_jax.train.draws import Draws, easiest, hardest
from semrep_jax.train.finite import Watch
from semrep_jax.train.fits import require_one_fits
from semrep_jax.train.judging import Judging
from semrep_jax.train.likelihood import BaseLikelihoods
from semrep_jax.train.loop import LoopSettings, StepResult
from semrep_jax.train.metrics import Recorder
from semrep_jax.train.monitoring import Monitoring
from semrep_jax.train.optimiser import at_step, initial_state, without_moments
from semrep_jax.train.settings import KL, Correction, EmptyBatch, Order, Schedule, Seam, TrainConfig, Truncation
from semrep_jax.train.stages import Stage
from semrep_jax.train.step_record import Clock, Counts, StepBatch, compiled_programs, performance, sample_rows, summary
from semrep_jax.train.update import Update, compiled_update, mean_k3, optimiser_of, score
from semrep_jax.train.utility import Utility
from semrep_jax.verify import Verifier

# The streams of random keys of a step; those of a batch drawn in the place of an empty one come behind.
ROLLOUT, REWRITES, INSTEAD = 0, 1, 2
UTILITY = 1_000_000
PIECES = 8  # that a batch is judged in while the rest of it is decoded


class NothingJudged(SemRepError):
    """The verifier could say nothing of any program of a batch."""

    exit_code = 1


def _longer(was: Any, now: Any) -> str | None:
    if not (isinstance(was, int) and isinstance(now, int) and now > was):
        return None
    return (
        f"what is new goes to stage 2 once that has begun, before it stage 1 takes its share alpha of all {now} steps; "
        f"the learning rate follows the schedule of {now} steps"
    )


# What may differ between a run and the one that goes on from it.
MAY_CHANGE: MayChange = {"train.budget": _longer, **OTHER_MESH}


@dataclass(frozen=True)
class Recipe:
    """The settings of a training. identity: flat, what a checkpoint must share to be gone on from. monitoring: who
    looks on."""

    seed: int
    rollout: RolloutConfig
    reward: RewardConfig
    train: TrainConfig
    identity: dict[str, Any]
    monitoring: Monitoring = field(default_factory=Monitoring)
    inference: InferenceConfig = field(default_factory=InferenceConfig)


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
    peers are the run's. stop: asked between steps. bucket: that `directory` is a copy of. curve: what is measured
    between steps, if anything.
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
        bucket: Bucket | None = None,
        curve: Curve | None = None,
    ):
        self.curve = curve
        self.recipe, self.stages, self.budget, self.base = recipe, stages, budget, base
        self.verifier, self.directory, self.stop, self.bucket = verifier, directory, stop, bucket
        self.draws = {name: self._draws(stage) for name, stage in stages.items()}
        self.key = jax.random.key(recipe.seed)
        self.arrays = initial_state(base.model, optimiser_of(recipe.train), base.params)
        _, self.frozen = base.model.split(base.params)
        self.policy = LocalPolicy.of(base, recipe.rollout)
        self.rewrites = RewriteJudge(verifier, recipe.reward.accept)
        self.accept = accept_by_verifier(self.rewrites, recipe.reward.duplicate)
        self.updates = self._compiled_updates()
        self.likelihoods = BaseLikelihoods(base, recipe.rollout, recipe.train.layout)
        rows, temperature = recipe.rollout.prompts, recipe.rollout.temperature
        self.utility = Utility(self.policy, verifier, recipe.reward, rows, temperature)
        self.watch = Watch(base.model, recipe.train.non_finite)
        self.seconds = 0.0
        self.clock: int | None = 0  # of the learning rate, in the optimiser's state; None where that was restored

    def run(self) -> Trained:
        """Spend the budget. Raises Stopped after a SIGTERM, once everything is saved, NothingFits where every prompt
        of a stage is too long, NonFiniteError where a step comes to NaN."""
        setting = self.recipe.train
        for stage in self.stages.values():
            asked = (stage.prompt(task, task.source if stage.uses_rewrite else None) for task in stage.tasks)
            what = f"stage {stage.name}"
            require_one_fits(asked, self.base.tokenizer, self.recipe.rollout.max_prompt, what)
        settings = LoopSettings(
            self.directory,
            self.recipe.identity,
            setting.checkpoint_every,
            setting.keep,
            MAY_CHANGE,
            self.recipe.monitoring,
            self.bucket,
        )
        loop.run(self, self.directory.name, settings, self.stop, self._points())
        return Trained(self.params, self.budget, self.policy.usage, self.seconds)

    def _points(self) -> Callable[[Recorder], None]:
        """What the loop calls between steps: takes a point of the held-out curve where one is due."""
        if self.curve is None:
            return lambda recorder: None
        curve, file = self.curve, None

        def take(recorder: Recorder) -> None:
            nonlocal file
            if file is None:  # now that the newest checkpoint is restored
                file = CurveFile(curve, self.directory, self.base, self.done, self.stop.peers)
            file.take(Spent(self.done, self.policy.usage.tokens, self.seconds), self.total, self.params, recorder)

        return take

    def _compiled_updates(self) -> dict[str, Update]:
        """Each stage's compiled update; it knows where stage 2 begins only if the learning rate asks for it."""
        train = self.recipe.train
        boundary = self.budget.boundary if train.schedule is Schedule.STAGE else 0
        pieces = {name: train.model_copy(update={"micro_batch": self._piece(s)}) for name, s in self.stages.items()}
        temperature = self.recipe.rollout.temperature
        return {name: compiled_update(self.base.model, p, temperature, boundary) for name, p in pieces.items()}

    def _piece(self, stage: Stage) -> int:
        """Rows of the update's arrays that are computed together: of joint trajectories one has a single completion."""
        most = min(self.recipe.train.micro_batch, self.recipe.rollout.prompts)  # no row is there to fill up alone
        return most * (self.recipe.rollout.group if stage.joint else 1)

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
        stage, clock, before, done = self.stages[self.budget.stage], Clock(), self._counts(), self.budget.used
        key = jax.random.fold_in(self.key, done)
        if self.recipe.train.seam is Seam.RESET and 0 < done == self.budget.boundary:
            self.arrays = without_moments(self.base.model, optimiser_of(self.recipe.train), self.arrays)
        self.policy.params = self.params
        rule = self.recipe.train.empty_batch
        most = 1 + (self.recipe.train.resamples if rule is EmptyBatch.RESAMPLE else 0)
        batches: list[StepBatch] = []
        while len(batches) < most and (not batches or batches[-1].empty):
            instead = len(batches)
            with _log_probs_of(done):
                batches.append(self._draw(stage, jax.random.fold_in(key, INSTEAD + instead) if instead else key, clock))
        batch, updates = batches[-1], 0
        if batch.empty and rule is not EmptyBatch.STEP:
            metrics = self._pass_over(batch)
        else:
            on_devices = self._on_devices(batch.host)
            drift = self._drift(on_devices)
            metrics = self._update(on_devices) | drift
            updates = self.budget.used - done
            if not self.budget.left:
                with _log_probs_of(done):
                    self._require_finite(on_devices)
        clock.lap("update")

        self.seconds += clock.total
        metrics |= summary(batches, before, self._counts(), self.recipe.reward.duplicate)
        metrics |= clock.laps | self.rewrites.metrics()
        metrics |= performance(batches, updates, clock, self.recipe.train, self.base.model)
        note = f"{stage.name}: correct {metrics['correct']:.2f}  {metrics['times/step']:.1f} s/step"
        groups = enumerate(group for batch in batches for group in batch.groups)
        return StepResult(metrics, [row for index, group in groups for row in sample_rows(group, index)], note)

    def _draws(self, stage: Stage) -> Draws:
        """Which tasks of a stage come when."""
        recipe = self.recipe
        batch = recipe.rollout.prompts // stage.pooled
        stream = task_stream.stream(stage.draws, batch, recipe.seed)
        graded = recipe.train.order is Order.EASY_FIRST and stage.name == REWRITE
        return Draws(stream, batch, recipe.train.retry_buffer, easiest(stage.tasks) if graded else ())

    def _draw(self, stage: Stage, key: jax.Array, clock: Clock) -> StepBatch:
        """A batch of tasks with everything that the policy and the verifier make of it."""
        indices = self.draws[stage.name].take()
        groups = [Group(task) for index in indices for task in stage.drawn(index)]
        rows = groups  # each with the completions of one prompt
        if stage.joint:
            sampling = Sampling(self.recipe.rollout.group, self.recipe.rollout.temperature)
            of_turn_1 = jax.random.fold_in(key, REWRITES)
            joint.write(self.policy, self.accept, groups, sampling, of_turn_1, self.base.tokenizer)
            rows = joint.trajectories(groups)
        elif stage.uses_rewrite:
            self._write_rewrites(groups, jax.random.fold_in(key, REWRITES))
        clock.lap("rewrite")
        self._sample_and_verify(rows, stage, jax.random.fold_in(key, ROLLOUT), clock)
        if stage.joint:
            joint.gather(groups, rows)
        # only a reward that asks pays for them
        likelihoods = cache(lambda: self.likelihoods.of(rows).reshape(len(groups), -1))
        utilities = cache(lambda: self.utility.of(groups, jax.random.fold_in(key, UTILITY)))
        for row, group in enumerate(groups):
            group.likelihoods, group.utilities = partial(_row, likelihoods, row), partial(_row, utilities, row)
            group.scored = stage.score(group.judged)
        clock.lap("reward")
        if self.recipe.train.order is Order.HARD_FIRST and stage.name == REWRITE:
            self.draws[stage.name].put_back(hardest(indices, [group.share_correct for group in groups]))
        found = pooled([group.scored for group in groups], self.recipe.train.advantage, stage.pooled)
        learnt = joint.both_turns(groups, rows, found) if stage.joint else (groups, found)
        return StepBatch(stage, indices, groups, found, self._arrays(stage, *learnt))

    def _pass_over(self, batch: StepBatch) -> dict[str, Any]:
        """An empty batch: nothing moves, and its step of B is spent."""
        if self.recipe.train.empty_batch is EmptyBatch.RETRY:
            forms = batch.stage.pooled
            drawn = [batch.groups[i : i + forms] for i in range(0, len(batch.groups), forms)]
            failed = [i for i, groups in zip(batch.indices, drawn, strict=True) if all(g.failed for g in groups)]
            self.draws[batch.stage.name].put_back(failed)
        self.budget.spend()
        return {"loss": 0.0, "grad_norm": 0.0, "update_norm": 0.0}

    def _write_rewrites(self, groups: list[Group], key: jax.Array) -> None:
        """A C_rep for each task, sampled from the current policy and accepted (`reward.accept`); none where none
        is."""
        sampling = Sampling(self.recipe.rollout.rewrites, self.recipe.rollout.temperature)
        written = write_rewrites(self.policy, self.accept, [g.task for g in groups], sampling, key)
        for group, rewrites in zip(groups, written, strict=True):
            group.c_rep = chosen_of(rewrites, self.recipe.inference.choose) or group.task.source

    def _sample_and_verify(self, groups: list[Group], stage: Stage, key: jax.Array, clock: Clock) -> None:
        """Completions for each group, and verdicts on them; what is written is judged while others are decoded."""
        setting = self.recipe.rollout
        asked = [stage.prompt(group.task, group.c_rep) for group in groups]
        ids = [prompts.encode(prompt, self.base.tokenizer) for prompt in asked]
        for group, prompt_ids in zip(groups, ids, strict=True):
            group.prompt_ids = prompt_ids
        judge = self.rewrites if stage.name == REWRITE else self.verifier
        beside = setting.engine is Engine.CONTINUOUS and self.stop.peers is ALONE  # peers judge in the same calls
        with Judging(judge.verify_all, groups, stage.skip, PIECES if beside else 1) as judging:
            size = 1 if stage.joint else setting.group
            self.policy.sample(asked, size, setting.temperature, key, prompt_ids=ids, finished=judging.finished)
            clock.lap("rollout")
            judging.wait()
            clock.lap("verify")
        verdicts = [verdict for group in groups for verdict in group.verdicts]
        if not any(verdict.judged for verdict in verdicts):
            raise NothingJudged(
                f"step {self.budget.used}: none of {len(verdicts)} programs could be judged, twice each "
                f"({verdicts[0].feedback}); let the machine calm down, or lower sandbox.workers; "
                "the same command goes on"
            )

    def _require_finite(self, batch: RolloutBatch) -> None:
        """Refuse last weights, which nobody will sample with, under which what was drawn has log-probs that are no
        numbers."""
        rollout, train, model = self.recipe.rollout, self.recipe.train, self.base.model
        logp = score(self.params, batch, model, rollout.temperature, train.layout)
        if not bool(jnp.isfinite(logp).all(where=batch.sampled != 0)):
            raise NonFiniteError("the log-probs under the new weights are NaN or infinite")

    def _arrays(self, stage: Stage, groups: list[Group], found: Advantages) -> RolloutBatch:
        """The update's arrays, on the host."""
        return make_batch(
            groups,
            found,
            max_new=self.recipe.rollout.max_new,
            bucket=self.recipe.rollout.bucket,
            pad_id=self.base.tokenizer.pad_id,
            mask_truncated=self.recipe.train.truncation is Truncation.MASK,
            micro_batch=self._piece(stage),
        )

    def _on_devices(self, host: RolloutBatch) -> RolloutBatch:
        """The update's arrays on the devices, with the log-probs that the objective compares with."""
        rollout, train, model = self.recipe.rollout, self.recipe.train, self.base.model
        batch: RolloutBatch = model.sharding.batch(host)
        if train.correction is Correction.TIS:
            batch.old = score(self.params, batch, model, rollout.temperature, train.layout)
        if train.kl is not KL.NONE:
            batch.reference = score(self.base.params, batch, model, rollout.temperature, train.layout)
        return batch

    def _drift(self, batch: RolloutBatch) -> dict[str, float]:
        """The KL of the policy that sampled the batch to the base, k3 over its tokens, where one of its steps is a
        multiple of `train.drift_every`."""
        rollout, train, model = self.recipe.rollout, self.recipe.train, self.base.model
        updates = min(train.epochs, self.budget.stage_left)
        if not train.drift_every or -self.budget.used % train.drift_every >= updates:
            return {}
        reference = batch.reference
        if reference is None:
            reference = score(self.base.params, batch, model, rollout.temperature, train.layout)
        return {"kl_to_base": float(mean_k3(batch.sampled, reference, batch.mask))}

    def _update(self, batch: RolloutBatch) -> dict[str, Any]:
        """Every update on the batch, one step of B each; the metrics of the first, whose mismatch is on policy, but of
        ratio and clipping those of all, as nothing is clipped in the first."""
        metrics: dict[str, Any] = {}
        every: list[dict[str, Any]] = []
        update = self.updates[self.budget.stage]
        for _ in range(min(self.recipe.train.epochs, self.budget.stage_left)):
            if self.clock != self.budget.used:  # some steps took no update
                self.arrays |= {"optimiser": at_step(self.arrays["optimiser"], self.budget.used)}
            self.arrays, out = update(self.arrays, self.frozen, batch)
            out = jax.device_get(out)
            self.clock = self.budget.used + (not out.get("left_out", False))
            self.watch(self.budget.used, out, self.arrays["params"])
            metrics = metrics or {k: float(v) for k, v in out.items() if k != "norms"}
            every.append(out)
            self.budget.spend()
        means = {k: float(np.mean([o[k] for o in every])) for k in ("ratio_mean", "clipped_low", "clipped_high")}
        return metrics | means | {"ratio_max": float(max(o["ratio_max"] for o in every))}

    def _counts(self) -> Counts:
        programs = compiled_programs(decode, *PROGRAMS, *set(self.updates.values()))
        return Counts(replace(self.policy.usage), replace(self.verifier.saved), self.watch.skipped, programs)

    def record(self) -> dict[str, Any]:
        """The state beside the arrays, as JSON."""
        return {
            "draws": {name: draws.get_state() for name, draws in self.draws.items()},
            "used": self.budget.used,
            "total": self.budget.total,
            "boundary": self.budget.boundary,
            "usage": asdict(self.policy.usage),
            "seconds": self.seconds,
            "left_out_steps": self.watch.skipped,
            "left_out_in_a_row": self.watch.in_a_row,
        }

    def resume(self, restored: Restored) -> None:
        """Go on from a checkpoint."""
        self.arrays, record, self.clock = restored.state, restored.record, None
        for name, draws in self.draws.items():
            draws.set_state(record["draws"][name])
        self.budget.resume(record["used"], record["total"], record["boundary"])
        self.updates = self._compiled_updates()  # the boundary may be an earlier budget's
        self.seconds, self.watch.skipped = record["seconds"], record["left_out_steps"]
        self.watch.in_a_row = record.get("left_out_in_a_row", 0)
        self.policy.usage = Usage(**record["usage"])


@contextmanager
def _log_probs_of(step: int) -> Iterator[None]:
    """Name the step at which log-probs are no numbers, and what to do."""
    try:
        yield
    except NonFiniteError as error:
        raise NonFiniteError(f"step {step}: {error}; lower train.learning_rate") from error


def _row(values_BG: Callable[[], np.ndarray], row: int) -> list[float]:
    return list(map(float, values_BG()[row]))
