"""Settings of supervised pairs and of the warm start that is trained on them."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, model_validator

from semrep_jax.core.settings import Section
from semrep_jax.tasks.settings import PerturbationConfig


class Rewrites(StrEnum):
    """Where the rewrites of supervised pairs come from."""

    STORED = "stored"
    FLY = "fly"


class SourceConfig(Section):
    """A data set in the mixture."""

    path: str = Field(description="Directory of shards with a manifest.json.")
    weight: float = Field(1.0, gt=0, description="Its share of the pairs, beside the other weights.")


class Start(StrEnum):
    """What supervised training starts from."""

    SCRATCH = "scratch"
    MODEL = "model"


class FormGapConfig(Section):
    """Generated examples in which edits are of plain programs only, and rewrites lead from perturbed ones to them."""

    rewrites: float = Field(0.6, ge=0, le=1, description="Share of rewrites; the rest are edits, half of them guided.")
    perturbed: float = Field(
        0.8, ge=0, le=1, description="Share of the rewrites that lead from a perturbed program to its plain twin."
    )
    kinds: tuple[str, ...] = Field(
        ("condition", "constant", "operation", "order", "parameter", "empty", "count", "aggregate"),
        min_length=1,
        description="Kinds of edit in them.",
    )
    perturbation: PerturbationConfig = PerturbationConfig()


class SupervisedConfig(Section):
    """The warm start of a base (`job: pretrain`)."""

    start: Start = Field(
        Start.SCRATCH, description="scratch: a decoder of model.shape; model: model.source, trained further."
    )
    steps: int = Field(3000, ge=1, description="Optimiser steps.")
    schedule: int | None = Field(
        None,
        ge=1,
        description="Steps that the learning rate falls over; null for `steps`. One schedule and several numbers of "
        "steps give bases of several strengths, each the longer one's beginning.",
    )
    rows: int = Field(16, ge=1, description="Packed rows in a batch.")
    row_length: int = Field(256, ge=32, description="Tokens in a row; longer examples are counted and dropped.")
    learning_rate: float = Field(2e-3, gt=0, description="Peak step size of AdamW.")
    warmup: int = Field(100, ge=0, description="Steps of linear warm-up.")
    weight_decay: float = Field(0.05, ge=0, description="Decoupled weight decay.")
    prompt_weight: float = Field(0.2, ge=0, description="Loss weight of prompt tokens beside the completion's 1.")
    sources: list[SourceConfig] = Field(
        [], description="Data sets {path, weight} that pairs are drawn from, in shuffled epochs."
    )
    generated: float = Field(
        1.0, ge=0, description="Weight of examples drawn afresh from the grammar, beside the sources; 0 for none."
    )
    form_gap: FormGapConfig | None = Field(
        None, description="Draw the generated examples with a gap between the forms that are edited and all others."
    )
    rewrites: Rewrites = Field(
        Rewrites.STORED,
        description="Rewrites of the sources: as stored, or drawn anew every time from the rules, and not verified.",
    )
    block: int = Field(1024, ge=16, description="Pairs packed together; more waste less and take longer to begin with.")
    workers: int = Field(0, ge=0, description="Processes that read and pack ahead; 0 for a thread.")
    cache: str | None = Field(
        None, description="Where tokenised data sets are kept; null for tokens/ in the work directory."
    )
    checkpoint_every: int = Field(250, ge=1, description="Steps between checkpoints.")
    keep: int = Field(2, ge=1, description="Checkpoints kept.")
    export: str = Field("export", description="Directory of the finished model, relative to the work directory.")

    @model_validator(mode="after")
    def _something_to_train_on(self) -> SupervisedConfig:
        if not self.sources and not self.generated:
            raise ValueError(
                "supervised.generated: 0, and supervised.sources is empty; name a data set or raise the weight"
            )
        if self.schedule is not None and self.schedule < self.steps:
            raise ValueError(
                f"supervised.schedule: {self.schedule} is shorter than supervised.steps, {self.steps}; raise it, or "
                "set it to null"
            )
        if self.form_gap is not None and not self.generated:
            raise ValueError(
                "supervised.form_gap: it is of generated examples, and supervised.generated is 0; raise it"
            )
        return self
