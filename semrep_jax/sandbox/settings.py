"""Limits on a candidate program."""

from __future__ import annotations

from pydantic import Field, model_validator

from semrep_jax.core.settings import Section


class SandboxConfig(Section):
    """Limits on a candidate program that is run on the tests of its task. Comparisons of two programs, a person's own
    tests, case studies and mining have limits of their own."""

    workers: int = Field(2, ge=1, description="Zygotes that run candidates side by side.")
    cpu_seconds: float = Field(0.5, gt=0, description="Processor time for all calls of one candidate (s).")
    wall_seconds: float = Field(3.0, gt=0, description="Wall time after which a candidate is killed (s).")
    memory_mb: int = Field(256, ge=64, description="Address space a candidate may add to the interpreter's (MiB).")

    @model_validator(mode="after")
    def _wall_time_holds_processor_time(self) -> SandboxConfig:
        if self.wall_seconds < self.cpu_seconds:
            raise ValueError("sandbox.wall_seconds: is below sandbox.cpu_seconds; raise it")
        return self
