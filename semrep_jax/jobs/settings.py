"""Settings of `job: plan` and of `job: sweep`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from semrep_jax.core.settings import Section, Seed


class PlanConfig(Section):
    """The TPU topology that `job: plan` compiles for, with no TPU at hand."""

    topology: str = Field("v5e:8x8", description="KIND:GRID of chips: v4, v5e, v5p or v6e, e.g. v5p:4x4x8.")
    programs: list[Literal["update", "rollout"]] = Field(
        ["update", "rollout"], min_length=1, description="What is compiled."
    )


class Overlay(Section):
    """One setting of a sweep: values laid over the config's own."""

    name: str = Field("default", pattern=r"^[a-z0-9_]+$", description="How tables and directories call it.")
    values: dict[str, Any] = Field({}, description="Dotted keys and their values, e.g. {train.alpha: 0.25}.")


class PrimaryConfig(Section):
    """The one contrast that a study is about; everything else that it tests is corrected for its number."""

    metric: str = Field("robust_pass", description="A suite, or of paired suites the share right on both.")
    ours: str = Field("semrep", description="The arm that is claimed to be better.")
    our_turns: Literal[1, 2] = Field(2, description="Its turns at inference.")
    theirs: str = Field("finetune", description="The arm that it is compared with.")
    their_turns: Literal[1, 2] = Field(1, description="That arm's turns.")


class SpreadConfig(Section):
    """Standard deviations of a difference of two arms, supposed or from a pilot: what the detectable difference rests
    on."""

    seed: float = Field(0.02, ge=0, description="Of a seed's mean over all tasks.")
    task: float = Field(0.2, ge=0, description="Of a task's true difference.")
    sample: float = Field(0.35, ge=0, le=0.5, description="Of one sample, right or not, about its task's own rate.")


class SweepConfig(Section):
    """`job: sweep`: arms x settings x seeds, each a cell of its own, at equal budget."""

    arms: list[str] = Field(
        ["semrep", "finetune", "guided"],
        min_length=1,
        description="What is trained: semrep, finetune, guided, stage1, variants, variants_pooled, joint, or what a "
        "plugin adds.",
    )
    seeds: list[Seed] = Field([0, 1, 2, 3, 4], min_length=1, description="Trainings of each arm and setting.")
    settings: list[Overlay] = Field(
        [Overlay()], min_length=1, description="What else is varied; the first is the main."
    )
    only: list[str] = Field(
        [],
        description="Patterns of the cells that this process works on, e.g. ['semrep-*-s0']; [] for all, "
        "[none] for the tables alone.",
    )
    headroom: list[str] = Field(
        [],
        description="Suites on which the right C_rep has to help the base before anything is trained, as "
        "`job: headroom` measures it; where it is not seen to, the sweep ends with what to do.",
    )
    primary: PrimaryConfig = PrimaryConfig()
    spread: SpreadConfig = SpreadConfig()

    @model_validator(mode="after")
    def _once_each(self) -> SweepConfig:
        given: dict[str, list[Any]] = {
            "arms": self.arms,
            "seeds": self.seeds,
            "settings": [one.name for one in self.settings],
        }
        for key, names in given.items():
            if len(set(names)) < len(names):
                raise ValueError(f"sweep.{key}: {names} names one twice")
        missing = [arm for arm in (self.primary.ours, self.primary.theirs) if arm not in self.arms]
        if missing:
            raise ValueError(f"sweep.primary: the arm {missing[0]!r} is not among sweep.arms {self.arms}; add it")
        return self
