"""Settings of `job: plan`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from semrep_jax.core.settings import Section


class PlanConfig(Section):
    """The TPU topology that `job: plan` compiles for, with no TPU at hand."""

    topology: str = Field("v5e:8x8", description="KIND:GRID of chips: v4, v5e, v5p or v6e, e.g. v5p:4x4x8.")
    programs: list[Literal["update", "rollout"]] = Field(
        ["update", "rollout"], min_length=1, description="What is compiled."
    )
