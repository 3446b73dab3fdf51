"""A server over the nano base, for tests: up for as long as the test process, compiled once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from semrep_jax.sandbox.pool import Limits, Sandbox

PROGRAM = """def run(xs):
    res = []
    s = 1
    for a in xs:
        s = max(s, a - 3)
        res.append(s)
    return res"""
INSTRUCTION = "use the sum instead of the largest"


def chat(program: str = PROGRAM, instruction: str = INSTRUCTION) -> list[dict[str, str]]:
    """Messages by our convention."""
    return [{"role": "user", "content": f"Instruction: {instruction}\n\n```python\n{program}\n```"}]


@pytest.fixture(scope="session")
def server(nano) -> Iterator:
    """A running `serve.server.Server`."""
    pytest.importorskip("uvicorn", reason="pip install -e '.[serve]'")
    from semrep_jax.rollout.settings import RolloutConfig
    from semrep_jax.serve.server import Server
    from semrep_jax.serve.settings import ServeConfig

    setting = ServeConfig(port=0, rows=4, queue=60, samples=2, calls=2, max_body_kb=64, read_seconds=1.0)
    rollout = RolloutConfig(max_prompt=192, bucket=192, max_new=88)
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(1, Limits(cpu_seconds=0.5, wall_seconds=1.5)))
        yield stack.enter_context(Server(setting, rollout, nano, sandbox))


@pytest.fixture
def client(server):
    """The real client."""
    openai = pytest.importorskip("openai", reason="pip install -e '.[dev]'")
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0, timeout=120)
