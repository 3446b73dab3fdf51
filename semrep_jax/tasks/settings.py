"""Where training tasks come from, and what the suites that need a word more are told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from semrep_jax.core.settings import Section


class GeneratedConfig(Section):
    """The source `generated`: Python functions drawn from a grammar."""

    families: list[str] | None = Field(None, description="Families to train on; null takes all that are not held out.")
    kinds: list[str] | None = Field(
        None, description="Kinds of edit to train on; null takes all that are not held out."
    )
    bug_preserving: bool = Field(True, description="Whether stage 1 also rewrites buggy programs, keeping the bug.")


class MinedTasksConfig(Section):
    """Mined functions, of the source `mined` and of the suite `mined`."""

    directory: str | None = Field(None, description="Work directory of a `job: mine`.")


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
    generated: GeneratedConfig = GeneratedConfig()
    mined: MinedTasksConfig = MinedTasksConfig()
