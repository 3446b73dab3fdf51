"""Kernel tasks as the tasks that everything else speaks of: training from fused chains, 100 held-out ones, any by its name.

A kernel's U_sem is every execution that the judge makes; its U_edit is one test that C_src fails: to be right and another program
than C_src (canonically); how fast it is, is the speed term's matter. Training tasks are chains of the train split; the held-out ones
are the 89 built-in operators and chains of the test split.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from pathlib import Path

from semrep_jax.core.programs import Objective, Program, Task, Tests
from semrep_jax.cuda import CUDA
from semrep_jax.cuda.candidate.candidate import from_file
from semrep_jax.cuda.spec import KernelTask
from semrep_jax.tasks.kernels import builtin
from semrep_jax.tasks.kernels.chains import PREFIX, chain, chains
from semrep_jax.tasks.source import TaskSource

HELD_OUT = 100


def find(name: str) -> KernelTask:
    """The kernel task of this name, built in or a chain. Raises TaskError."""
    return chain(name) if name.startswith(PREFIX) else builtin.named(name)


def training(count: int, seed: int) -> list[Task]:
    """Chains of the train split."""
    return [task(kernel, "train") for kernel in islice(chains("train", seed), count)]


def held_out() -> list[Task]:
    """The 100 test tasks, in an order that mixes families."""
    kernels = list(builtin.TASKS.values())
    kernels += islice(chains("test"), HELD_OUT - len(kernels))
    return [task(k, "test") for k in sorted(kernels, key=lambda k: hashlib.sha256(k.name.encode()).digest())]


def task(kernel: KernelTask, split: str) -> Task:
    """A kernel task with its C_src and instruction."""
    tags = {"family": kernel.family, "kind": "speed", "level": str(kernel.level)}
    source = Program(CUDA, kernel.source)
    tests = Tests(kernel.name)
    known = faster(kernel.name)
    solution = None if known is None else Program(CUDA, known)
    return Task(
        f"kernel/{kernel.name}",
        source,
        tests,
        tests,
        kernel.instruction,
        Objective.SPEED,
        split,
        tags,
        solution,
        kernel,
    )


def faster(name: str) -> str | None:
    """Our own faster program for a built-in operator, where we wrote one."""
    path = Path(__file__).parent / "faster" / f"{name}.cu"
    return from_file(path.read_text()) if path.is_file() else None


SOURCE = TaskSource(lambda request: training(request.count, request.seed))
