"""Where training tasks come from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from semrep_jax.core.settings import Section


class TasksConfig(Section):
    """The training tasks."""

    source: Literal["generated", "mined", "kernels"] = Field(
        "generated", description="Generated Python functions, mined ones, or CUDA kernels to be made faster."
    )
    mined: str | None = Field(None, description="Work directory of a `job: mine`, for the source mined.")
    train_size: int = Field(256, ge=1, description="Tasks drawn for each stage; passed over in shuffled epochs.")
    families: list[str] | None = Field(None, description="Families to train on; null takes all that are not held out.")
    kinds: list[str] | None = Field(
        None, description="Kinds of edit to train on; null takes all that are not held out."
    )
    bug_preserving: bool = Field(True, description="Whether stage 1 also rewrites buggy programs, keeping the bug.")
