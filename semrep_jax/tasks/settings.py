"""Where training tasks come from, and what the suites that need a word more are told."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from semrep_jax.core.settings import Section


class World(StrEnum):
    """Which forms of its programs the source `generated` gives: as they are drawn, perturbed, or half and half."""

    PLAIN = "plain"
    PERTURBED = "perturbed"
    BOTH = "both"


class Seen(StrEnum):
    """Which of the world's programs a stage is shown."""

    ALL = "all"
    PLAIN = "plain"
    PERTURBED = "perturbed"


class Wording(StrEnum):
    """How instructions of training are worded: all of a kind alike, or in several ways."""

    ONE = "one"
    VARIED = "varied"


class PerturbationConfig(Section):
    """How far a perturbed program lies from its plain twin; the draws are in `tasks/generated/perturbations.py`."""

    rules: list[Literal["sums", "turned", "quotients", "doubled", "rewrites"]] = Field(
        ["sums", "turned"],
        min_length=1,
        description="What is changed: sums (numbers as sums or differences), turned (comparisons: 3 < x, not x <= 3), "
        "quotients (numbers as quotients), doubled (tests negated twice), rewrites (rules of the room python).",
    )
    changes: int | None = Field(2, ge=1, description="Most places changed in a program; null for no limit.")
    offset: int = Field(2, ge=1, description="Largest number that a constant is split by.")
    share: float = Field(1.0, gt=0, le=1, description="Chance of each place to be among those that may be changed.")


class GeneratedConfig(Section):
    """The source `generated`: Python functions drawn from a grammar."""

    families: list[str] | None = Field(
        None, min_length=1, description="Families to train on; null takes all that are not held out."
    )
    kinds: list[str] | None = Field(
        None, min_length=1, description="Kinds of edit to train on; null takes all that are not held out."
    )
    bug_preserving: bool = Field(True, description="Whether stage 1 also rewrites buggy programs, keeping the bug.")
    world: World = Field(World.PLAIN, description="plain programs, perturbed ones, or both, about half of them each.")
    edits: Seen = Field(Seen.ALL, description="Which of the world's programs edits (stage 2, fine-tuning) are of.")
    rewrites: Seen = Field(Seen.ALL, description="Which of the world's programs stage 1 rewrites.")
    perturbation: PerturbationConfig = PerturbationConfig()
    wording: Wording = Field(
        Wording.ONE,
        description="one: each kind of edit in one wording, which the shipped bases know; varied: in several.",
    )

    @model_validator(mode="after")
    def _the_world_has_what_is_seen(self) -> GeneratedConfig:
        for key, seen in (("edits", self.edits), ("rewrites", self.rewrites)):
            if self.world is not World.BOTH and seen.value not in (Seen.ALL, self.world.value):
                raise ValueError(
                    f"tasks.generated.{key}: {seen.value} programs are not in the world {self.world.value}; "
                    "set tasks.generated.world to both"
                )
        return self


class MinedTasksConfig(Section):
    """Mined functions, of the source `mined` and of the suite `mined`."""

    directory: str | None = Field(None, description="Work directory of a `job: mine`.")


class KernelsConfig(Section):
    """The source `kernels`: chains of CUDA operators."""

    difficulty: list[Literal[1, 2, 3, 4, 5]] = Field(
        [1, 2, 3],
        min_length=1,
        description="Levels that tasks are taken from in turn. 1: two or three operators, element by element; 2: the "
        "same, then each row is reduced; 3: four or five operators, and perhaps a reduction; 4, 5: as few and as many "
        "operators as 1 to 3, with a kernel for each and their results in memory between.",
    )


class EditsConfig(Section):
    """The suite `edits`."""

    path: str | None = Field(
        None, description="A file of JSON lines: EditEval's edit_eval.jsonl, CanItEdit's, or records of your own."
    )
    lazy: bool = Field(False, description="CanItEdit's short instructions in the place of those that say all.")


class KernelBenchConfig(Section):
    """The suite `kernelbench`."""

    checkout: str | None = Field(None, description="A checkout of KernelBench; its files are executed.")
    levels: list[Literal[1, 2]] = Field([1, 2], min_length=1, description="Which of its levels are in the suite.")


class TasksConfig(Section):
    """The training tasks."""

    source: str = Field(
        "generated",
        description="generated: Python functions; mined: functions of packages; kernels: CUDA to be made faster; "
        "or what a plugin adds.",
    )
    train_size: int = Field(256, ge=1, description="Tasks drawn for each stage; passed over in shuffled epochs.")
    variants: int = Field(
        4, ge=2, description="Forms of each C_src, itself among them, in the arms that train on variants of it."
    )
    generated: GeneratedConfig = GeneratedConfig()
    mined: MinedTasksConfig = MinedTasksConfig()
    kernels: KernelsConfig = KernelsConfig()
