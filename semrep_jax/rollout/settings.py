"""Settings of sampling, by the local model or a remote endpoint."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from semrep_jax.core.settings import Section


class Engine(StrEnum):
    """How completions are decoded side by side: a whole batch until its longest has ended, or continuously, a row that
    has ended going to the next completion."""

    BATCH = "batch"
    CONTINUOUS = "continuous"


class RolloutConfig(Section):
    """How the policy writes."""

    prompts: int = Field(8, ge=1, description="Prompts (groups) in a training step.")
    group: int = Field(8, ge=2, description="Completions G of one prompt; GRPO compares them with each other.")
    max_prompt: int = Field(
        192, ge=16, description="Longest prompt in tokens; longer ones are counted and earn nothing."
    )
    bucket: int = Field(
        64, ge=1, description="Prompts are padded to multiples of this, so that few shapes are compiled."
    )
    max_new: int = Field(96, ge=8, description="Longest completion in tokens.")
    engine: Engine = Field(
        Engine.BATCH,
        description="batch decodes until the longest completion has ended; continuous gives a row that has ended to "
        "the next one, which pays where lengths differ much, and judges while others are written.",
    )
    rows: int = Field(32, ge=1, description="Completions side by side with engine: continuous.")
    temperature: float = Field(1.0, gt=0, le=10, description="Sampling temperature while training.")
    rewrites: int = Field(
        1, ge=1, description="C_rep candidates sampled for each stage-2 prompt; inference.choose says which is used."
    )


class RemoteConfig(Section):
    """A model behind an OpenAI-compatible endpoint, evaluated in place of a local one."""

    url: str | None = Field(None, description="Base URL, e.g. http://localhost:8000/v1; null for the local model.")
    model: str = Field("default", description="The model's name at the endpoint.")
    key_variable: str | None = Field(None, description="Environment variable that holds the API key; null sends none.")
    concurrency: int = Field(8, ge=1, description="Requests under way at once.")
    retries: int = Field(5, ge=0, description="Further tries after a time-out, 429 or server error.")
    timeout: float = Field(120.0, gt=0, description="Longest wait for one answer (s).")
