"""Settings of the two stages: budget, objective, optimiser."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from semrep_jax.core.plugins import Registry
from semrep_jax.core.settings import Section

ADVANTAGES: Registry[Callable[[Any], Any]] = Registry(
    "advantage",
    "train.advantage",
    {name: f"semrep_jax.train.advantages:{name}" for name in ("group_std", "group_mean", "rloo", "gdpo")},
)


class Reduction(StrEnum):
    """How per-token losses become one number."""

    TOKEN_MEAN = "token_mean"
    SEQ_MEAN = "seq_mean"
    CONST_LENGTH = "const_length"


class KL(StrEnum):
    """Penalty for leaving the reference policy (the base)."""

    NONE = "none"
    K3 = "k3"


class Correction(StrEnum):
    """Correction for a sampler that differs from the trainer."""

    NONE = "none"
    TIS = "tis"


class Truncation(StrEnum):
    """What a completion that ran into the length limit does to the loss."""

    KEEP = "keep"
    MASK = "mask"


class NonFinite(StrEnum):
    """What a step does whose loss, gradient, update or weights are NaN or infinite.

    STOP ends the run and names the tensor; nothing is exported. SKIP leaves weights and moments as they were, and
    counts.
    """

    STOP = "stop"
    SKIP = "skip"


class Schedule(StrEnum):
    """The learning rate after its warm-up, over the whole budget B.

    CONSTANT stays at the peak. COSINE and LINEAR fall to a tenth of it at the end of B, across the stages' seam. STAGE
    warms up and falls as COSINE does in each stage anew.
    """

    CONSTANT = "constant"
    COSINE = "cosine"
    STAGE = "stage"
    LINEAR = "linear"


class Seam(StrEnum):
    """What becomes of AdamW's moments where stage 2 begins: they are kept, or start again at zero, their bias
    correction too. The learning rate follows its schedule either way."""

    KEEP = "keep"
    RESET = "reset"


class EmptyBatch(StrEnum):
    """What becomes of a batch in which no group counts: nobody right, or all alike.

    STEP takes an optimiser step all the same, of momentum and decay alone. SKIP takes none; the batch spends its step
    of B. RESAMPLE takes none and spends none: other prompts are drawn in its place, as DAPO does, at most
    `train.resamples` times in a row; then it is as SKIP. RETRY is as SKIP, and prompts that nobody got right come back
    in later batches.
    """

    STEP = "step"
    SKIP = "skip"
    RESAMPLE = "resample"
    RETRY = "retry"


class Order(StrEnum):
    """In which order stage 1 sees its tasks.

    SHUFFLED passes over all of them alike. HARD_FIRST brings those back soon of which some rewrites were accepted, but
    fewer than half, the hardest first; they fill at most half of a batch, and `train.retry_buffer` of them wait.
    EASY_FIRST passes over all of them once from the easiest to the hardest, as their source says, and is as SHUFFLED
    then; of 256 tasks in batches of 8, the first 32 steps are that pass.
    """

    SHUFFLED = "shuffled"
    HARD_FIRST = "hard_first"
    EASY_FIRST = "easy_first"


class Layout(StrEnum):
    """How the update lays out a group of completions of one prompt."""

    SHARED = "shared"
    PLAIN = "plain"


class TrainConfig(Section):
    """Budget, objective and optimiser of the two stages."""

    budget: int = Field(24, ge=1, description="Optimiser steps B, shared by both stages.")
    alpha: float = Field(0.5, ge=0, le=1, description="Share of B spent on stage 1; 0 is fine-tuning only.")
    learning_rate: float = Field(3e-4, gt=0, description="Peak step size of AdamW.")
    warmup: int = Field(
        2, ge=0, description="Steps of linear warm-up at the start of the budget (schedule stage: of each stage)."
    )
    schedule: Schedule = Field(
        Schedule.COSINE,
        description="Learning rate over B: constant, cosine or linear down to a tenth, or a cosine in each stage.",
    )
    seam: Seam = Field(Seam.KEEP, description="AdamW's moments at the start of stage 2: kept, or reset to zero.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay.")
    max_norm: float = Field(1.0, gt=0, description="Global gradient norm is clipped to this.")
    advantage: str = Field(
        "group_std",
        description="Baseline and scale of advantages: group_std, group_mean, rloo, gdpo (each term of the reward "
        "normalised on its own), or what a plugin adds. Terms that tell right programs apart come after, bounded.",
    )
    reduction: Reduction = Field(Reduction.TOKEN_MEAN, description="Normalisation of the loss.")
    clip_low: float = Field(0.2, gt=0, lt=1, description="Lower clip of the probability ratio.")
    clip_high: float = Field(0.28, gt=0, description="Upper clip of the probability ratio.")
    layout: Layout = Field(
        Layout.SHARED, description="shared computes a group's prompt once; plain repeats it (to compare with)."
    )
    micro_batch: int = Field(
        0,
        ge=0,
        description="Groups whose gradient is computed at once, 0 for the whole batch; where no group of a piece "
        "counts, the piece costs nothing.",
    )
    epochs: int = Field(1, ge=1, description="Optimiser updates on one batch of rollouts; each consumes one step of B.")
    kl: KL = Field(KL.NONE, description="Penalty for leaving the base.")
    kl_weight: float = Field(0.02, ge=0, description="Weight of the penalty.")
    correction: Correction = Field(
        Correction.NONE, description="Truncated importance sampling against the sampler's log-probs."
    )
    tis_cap: float = Field(2.0, gt=0, description="Cap of the importance weight.")
    truncation: Truncation = Field(Truncation.KEEP, description="Keep or mask completions cut at max_new.")
    non_finite: NonFinite = Field(
        NonFinite.STOP,
        description="A step that comes to NaN: the run ends and says where, or leaves it out and counts.",
    )
    empty_batch: EmptyBatch = Field(
        EmptyBatch.RESAMPLE,
        description="A batch in which no group counts: an optimiser step all the same, none, other prompts in its "
        "place, or none and its failed prompts again later.",
    )
    resamples: int = Field(2, ge=0, description="Batches drawn in the place of an empty one, at most (resample).")
    retry_buffer: int = Field(64, ge=1, description="Failed prompts that wait to come back, at most (retry).")
    order: Order = Field(
        Order.SHUFFLED,
        description="Tasks of stage 1: in shuffled epochs, those soon again whose rewrites are seldom accepted, or a "
        "first pass from the easiest to the hardest (sources that grade theirs: kernels).",
    )
    drift_every: int = Field(
        10,
        ge=0,
        description="Steps between measurements of the KL to the base, on the update's batch (a forward pass each); "
        "0 for never. With a penalty it is known at every step.",
    )
    checkpoint_every: int = Field(8, ge=1, description="Steps between checkpoints.")
    keep: int = Field(2, ge=1, description="Checkpoints kept.")

    @model_validator(mode="after")
    def _every_stage_has_a_step(self) -> TrainConfig:
        first = round(self.alpha * self.budget)
        if 0 < self.alpha < 1 and not 0 < first < self.budget:
            raise ValueError(
                f"train.budget: {self.budget} is too small for alpha {self.alpha} (stage 1 would get {first}); "
                "raise train.budget or set train.alpha to 0 or 1"
            )
        return self


class ProfileConfig(Section):
    """A trace of a few steps of training, of devices and Python alike."""

    steps: str = Field(
        "",
        description="FIRST:END traces steps FIRST to END - 1, as metrics.jsonl counts them (10:13 is 10, 11, 12), into "
        "WORK/profile; '' traces none.",
    )

    @model_validator(mode="after")
    def _steps_are_a_range(self) -> ProfileConfig:
        if self.steps and (re.fullmatch(r"\d{1,9}:\d{1,9}", self.steps) is None or not self.window):
            raise ValueError(f"profile.steps: {self.steps!r} is no FIRST:END with FIRST below END; write e.g. 10:13")
        return self

    @property
    def window(self) -> range:
        """The steps; empty for none."""
        first, _, end = self.steps.partition(":")
        return range(int(first), int(end)) if self.steps else range(0)


class LoggingConfig(Section):
    """Where metrics of training go beside metrics.jsonl and TensorBoard."""

    wandb: str = Field(
        "",
        description="Project of Weights & Biases that training is logged to (extra [wandb]; WANDB_MODE=offline without "
        "a network); '' for none.",
    )
