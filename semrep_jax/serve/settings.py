"""Settings of the server."""

from __future__ import annotations

from pydantic import Field

from semrep_jax.core.settings import Section


class ServeConfig(Section):
    """The policy behind an OpenAI-compatible HTTP endpoint (`python -m semrep_jax.main serve`)."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 for a free one, which is printed.")
    key_variable: str | None = Field(
        None, description="Environment variable that holds the API key clients must send; null asks for none."
    )
    rows: int = Field(16, ge=1, description="Completions decoded side by side; a part of what decides their bits.")
    chunk: int = Field(8, ge=1, description="Tokens decoded between two looks at who has ended, left or arrived.")
    queue: int = Field(256, ge=0, description="Completions that may wait for a row; beyond, requests get a 429.")
    most_choices: int = Field(16, ge=1, description="Largest `n` of a request.")
    max_body_kb: int = Field(256, ge=1, description="Largest body of a request (KiB); beyond, a 413.")
    read_seconds: float = Field(20.0, gt=0, description="Longest wait for a client to send its request (s).")
    write_seconds: float = Field(20.0, gt=0, description="Longest wait for a client to take a piece of a stream (s).")
    drain_seconds: float = Field(30.0, gt=0, description="After SIGTERM, what is under way has this long to end (s).")
    temperature: float = Field(0.6, ge=0, le=2, description="Sampling temperature of requests that name none.")
    samples: int = Field(4, ge=1, description="Attempts k that model `semrep` draws at least, to answer with the best.")
    calls: int = Field(4, ge=1, description="Requests to `semrep` worked on side by side, each in a thread.")
