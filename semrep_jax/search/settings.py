"""Settings of a search: the strategies, their turns, samples and beam, and the budget that they share."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from semrep_jax.core.settings import Section


class TasksFrom(StrEnum):
    """Which tasks are searched on: held-out ones, or those of the training source."""

    SUITES = "suites"
    TRAINING = "training"


class BudgetConfig(Section):
    """What one strategy may spend on one task; null is no limit."""

    tokens: int | None = Field(None, ge=1, description="Prompt and completion tokens.")
    verifier_seconds: float | None = Field(None, gt=0, description="Seconds that candidates are run and judged for.")
    wall_seconds: float | None = Field(None, gt=0, description="Seconds on the clock, over all sittings.")


class SearchConfig(Section):
    """Strategies on tasks at equal budget."""

    strategies: list[str] = Field(
        ["semrep", "direct", "iid", "repair"],
        min_length=1,
        description="What is compared: semrep, direct, iid, repair, greedy, evolve, adapt; without a model restarts, "
        "hopping, and of a case study its own; or what a plugin adds.",
    )
    case: str | None = Field(
        None, description="A case study in the place of the tasks of evaluate.suites: circles, mst, or a plugin's."
    )
    tasks: TasksFrom = Field(
        TasksFrom.SUITES,
        description="Where tasks are from: evaluate.suites, or tasks.source, whose improving steps may be trained on.",
    )
    turns: int = Field(2, ge=1, description="T: turns of a pass; the first of semrep writes equivalents.")
    samples: int = Field(16, ge=1, description="k: programs written in a turn.")
    beam: int = Field(4, ge=1, description="b: programs that a turn starts from.")
    passes: int = Field(1, ge=1, description="How often the T turns are gone through while the budget lasts.")
    temperature: float = Field(1.0, gt=0, le=10, description="Sampling temperature.")
    w1: float = Field(0.5, ge=0, description="Score(c): weight of [equivalent on U_sem].")
    w2: float = Field(0.5, ge=0, description="Score(c): weight of [passes U_edit].")
    seeds: int = Field(1, ge=1, description="Searches of each task, each with keys of its own.")
    steps: int = Field(1, ge=1, description="adapt: optimiser steps on the task after each turn but the last.")
    export: bool = Field(False, description="Write improving steps as records of kind fix to WORK_DIR/fixes.")
    budget: BudgetConfig = BudgetConfig()
