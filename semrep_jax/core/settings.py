"""What every room's settings are made of: a section of typed fields, one sentence each, unknown keys refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from semrep_jax.core.errors import SemRepError


class ConfigError(SemRepError):
    """A setting is unknown, malformed or impossible."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_enum_values=False)


class DistributedConfig(Section):
    """Several processes, one a host, with the devices of all in one mesh. work_dir must be a directory that all share."""

    coordinator: str | None = Field(
        None,
        description="HOST:PORT of process 0; 'auto' where the cluster tells (TPU pod, Slurm, Open MPI, Kubernetes); null for one process.",
    )
    processes: int = Field(1, ge=1, description="How many processes there are.")
    process: int = Field(
        0, ge=0, description="Which of them this is; the one setting that differs, so give it with --set."
    )
    timeout: int = Field(300, ge=1, description="Longest wait for the others at the start (s).")
