"""Data sets for tests: their records, one written to disk, and code that kills its own process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from semrep_jax.core.shards import Shards, Writer
from semrep_jax.data import records as record_texts
from semrep_jax.tasks.generated.generator import Generator


@pytest.fixture(scope="session")
def records():
    found = []
    for index in range(60):
        found += record_texts.generated_records(Generator(seed=5), index)
    return found


def write(directory: Path, records, name="made", per_shard=16):
    with Writer(directory, name, per_shard) as writer:
        for record in records[writer.done :]:
            writer.write(record)
        writer.finish({"made by": "a test"})
    return Shards(directory)


@pytest.fixture(scope="session")
def made(records, tmp_path_factory) -> Shards:
    return write(tmp_path_factory.mktemp("data") / "made", records)


def run_killed(code: str, *arguments) -> None:
    """Run Python code that ends by killing its own process."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
