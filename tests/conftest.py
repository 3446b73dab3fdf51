"""Shared fixtures: one sandbox a session, the nano base, and a tiny random model that compiles fast."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from semrep_jax.core.programs import Program
from semrep_jax.python import PYTHON
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.verify import Verifier

pytest_plugins = ["data_sets", "fake_driver", "serving"]

# Tests compile many programs and run each for moments: optimise the compiling. Runs started by tests inherit this.
FLAGS = "--xla_backend_optimization_level=0"
if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):  # seen to halve compiling; jaxlib 0.12 ends at the flag
    FLAGS += " --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# A run that a test kills and starts again compiles the same programs, and so may another file's: once is enough for all
# processes.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="semrep-xla-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"


def python(source: str) -> Program:
    """A Python program."""
    return Program(PYTHON, source)


# Files whose tests take longest begin first, so that the two processes end together.
LONGEST = (
    "test_run",
    "test_mine",
    "test_model",
    "test_peers",
    "test_kernel_tasks",
    "test_kernels",
    "test_rollout",
    "test_grpo",
    "test_http",
    "test_openevolve",
    "test_engine",
    "test_adapt",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files; within one, tests stay as they are written."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(2, Limits(cpu_seconds=0.5, wall_seconds=1.5, memory_mb=256)) as one:
        yield one


@pytest.fixture(scope="session")
def verifier(sandbox: Sandbox) -> Verifier:
    return Verifier(sandbox)


@pytest.fixture(scope="session")
def nano():
    from semrep_jax.model import pretrained, sharding

    return pretrained.load("nano", sharding.build())


@pytest.fixture(scope="session")
def tiny_directory(nano, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer model with the nano tokenizer, saved as a model directory."""
    from semrep_jax.model import decoder, pretrained, sharding

    shape = decoder.Shape(vocab=nano.model.shape.vocab, dim=16, layers=2, heads=4, kv_heads=2, head_dim=8, ffn=24)
    model = decoder.build(shape, sharding.build())
    params = model.init(seed=3)
    directory: Path = tmp_path_factory.mktemp("tiny")
    pretrained.export(directory, model, params, nano.tokenizer)
    return directory


@pytest.fixture(scope="session")
def tiny(tiny_directory: Path):
    """That model, loaded back."""
    from semrep_jax.model import pretrained, sharding

    return pretrained.load(str(tiny_directory), sharding.build())


@pytest.fixture(scope="session")
def rollout() -> RolloutConfig:
    return RolloutConfig(prompts=2, group=3, max_prompt=96, max_new=24, bucket=96)
