"""Kernel tasks as the tasks that all else speaks of: training from fused chains, 100 held-out ones, any by name.

    find("softmax")                          # a KernelTask; find("chain_relu_bias_row_sum") too
    training(500, seed=0, levels=(1, 2)), held_out()        # lists of Task

A kernel's U_sem is every execution that the judge makes; its U_edit is one test that C_src fails: to be right and
another program than C_src (canonically). How fast it is, is the speed term's matter. Training tasks are chains of the
train split; the held-out ones are 89 of the built-in operators and chains of the test split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from semrep_jax.core.programs import Objective, Program, Task, Tests
from semrep_jax.cuda import CUDA
from semrep_jax.cuda.candidate.candidate import from_file
from semrep_jax.cuda.spec import KernelTask
from semrep_jax.tasks.kernels import builtin
from semrep_jax.tasks.kernels.chains import PREFIXES, chain
from semrep_jax.tasks.kernels.draws import difficulty, even, free
from semrep_jax.tasks.settings import KernelsConfig
from semrep_jax.tasks.source import SourceRequest, TaskSource

HELD_OUT = 100
FASTER = Path(__file__).parent / "faster"


def find(name: str) -> KernelTask:
    """The kernel task of this name, built in or a chain. Raises TaskError."""
    return chain(name) if name.startswith(PREFIXES) else builtin.named(name)


def training(count: int, seed: int, levels: Sequence[int] = tuple(KernelsConfig().difficulty)) -> list[Task]:
    """Chains of the train split with their level as the tag `difficulty`, every operator as often as any other.

    count: tasks. seed: decides them. levels: of difficulty, taken in turn. Raises TaskError where a level has too few.
    """
    kernels = islice(even("train", seed, levels), count)
    return [task(kernel, "train", {"difficulty": str(difficulty(kernel.name))}) for kernel in kernels]


def held_out() -> list[Task]:
    """The 100 test tasks, in an order that mixes families."""
    kernels = list(builtin.HELD_OUT.values())
    kernels += islice(free("test"), HELD_OUT - len(kernels))
    kernels.sort(key=lambda kernel: hashlib.sha256(kernel.name.encode()).digest())
    return [task(kernel, "test") for kernel in kernels]


def task(kernel: KernelTask, split: str, tags: Mapping[str, str] | None = None) -> Task:
    """A kernel task with its C_src and instruction.

    kernel: the operator. split: train or test. tags: further ones.
    """
    tests = Tests(kernel.name)
    known = faster(kernel.name)
    return Task(
        id=f"kernel/{kernel.name}",
        source=Program(CUDA, kernel.source),
        preserve=tests,
        edit=tests,
        instruction=kernel.instruction,
        objective=Objective.SPEED,
        split=split,
        tags={"family": kernel.family, "kind": "speed", "level": str(kernel.level), **(tags or {})},
        solution=None if known is None else Program(CUDA, known),
        details=kernel,
    )


def faster(name: str) -> str | None:
    """Our own faster program for a built-in operator, where we wrote one."""
    path = FASTER / f"{name}.cu"
    return from_file(path.read_text()) if path.is_file() else None


def _edits(request: SourceRequest) -> list[Task]:
    setting = request.settings if isinstance(request.settings, KernelsConfig) else KernelsConfig()
    return training(request.count, request.seed, setting.difficulty)


SOURCE = TaskSource(_edits, settings=KernelsConfig)
