"""Settings of `job: mine`."""

from __future__ import annotations

from pydantic import Field

from semrep_jax.core.settings import Section


class MineConfig(Section):
    """Functions of installed packages made into tasks (`job: mine`)."""

    packages: list[str] = Field(
        ["stdlib"], min_length=1, description="Import names; 'stdlib' for the standard library."
    )
    share: float = Field(
        1.0, gt=0, le=1, description="Share of all modules, drawn by their names: a look before hours are spent."
    )
    inputs: int = Field(96, ge=20, description="Calls generated for a function.")
    mutants: int = Field(24, ge=3, description="Most mutants of a function that its tests are tried on.")
    kill: float = Field(0.6, ge=0, le=1, description="Share of the mutants that the tests must tell from the function.")
    pairs: int = Field(16, ge=0, description="Most rewrites kept of a function.")
    fixes: int = Field(6, ge=0, description="Most bugs kept of a function.")
    workers: int = Field(0, ge=0, description="Processes; 0 takes one for each core.")
