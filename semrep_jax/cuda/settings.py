"""How CUDA candidates are judged."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from semrep_jax.core.settings import Section


class UseGpu(StrEnum):
    """Whether kernels are run and timed on a GPU too."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


class CudaConfig(Section):
    """How CUDA candidates are judged."""

    gpu: UseGpu = Field(
        UseGpu.AUTO,
        description="Run and time on a GPU what is right in emulation: "
        "auto: if a GPU is present; never; always: fail without one.",
    )
