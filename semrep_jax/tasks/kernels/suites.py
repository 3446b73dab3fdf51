"""The suites of CUDA kernels: 100 held-out tasks of ours, and KernelBench's own problems at sizes that a CPU can
run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from semrep_jax.core.errors import TaskError
from semrep_jax.core.paths import expanded
from semrep_jax.core.programs import Duplicate, Task
from semrep_jax.core.progress import console
from semrep_jax.cuda import CUDA
from semrep_jax.languages import LANGUAGES
from semrep_jax.tasks.kernels import catalogue, kernelbench
from semrep_jax.tasks.settings import KernelBenchConfig
from semrep_jax.tasks.suite import Metric, Pairing, Suite, SuiteRequest, changed
from semrep_jax.verify import Verifier

TRIES = 6  # rewrites of a kernel until one is right and no copy
MOST_STEPS = 4

EMULATED = "Kernels were run on the CPU: right means right in emulation. No GPU timed them, so speed earned nothing."


def _metrics(suite: str) -> tuple[Metric, ...]:
    return (
        Metric("_emulated", f"{suite}: right in emulation"),
        Metric("_on_gpu", f"{suite}: right on a GPU"),
        Metric("_fast_1", f"{suite}: right and faster than C_src"),
        Metric("_geomean", f"{suite}: speed-up where right"),
    )


def _note(keys: set[str]) -> str | None:
    return None if any("_on_gpu/" in key for key in keys) else EMULATED


def _kernelbench(request: SuiteRequest) -> Iterator[Task]:
    """The problems that can be judged here; those that can't are named."""
    setting = request.settings if isinstance(request.settings, KernelBenchConfig) else KernelBenchConfig()
    if not setting.checkout:
        raise TaskError("evaluate.kernelbench.checkout: null; set it to a checkout of KernelBench")
    for problem in kernelbench.read(expanded(setting.checkout), setting.levels):
        if problem.task is not None and problem.sound:
            yield catalogue.task(problem.task, "test")
        else:
            why = problem.reason or "it accepts " + ", ".join(problem.weak)
            console.print(f"kernelbench: {problem.path.name} is left out: {why}")


def perturbed(tasks: Iterable[Task], seed: int, verifier: Verifier) -> Iterator[Task]:
    """Each task with C_src replaced by a rewrite that is right on every execution and no copy of it; those without one
    are left out.

    tasks: of CUDA. seed: decides the rewrites. verifier: judges them.
    """
    for task in tasks:
        rng = Random(f"{seed}:{task.id}")
        for _ in range(TRIES):
            made = LANGUAGES[CUDA].rewrite(task.source, rng, rng.randint(1, MOST_STEPS), None)
            if made is None:
                break
            verdict = verifier.verify(task, [made.program])[0]
            if verdict.equivalent and verdict.duplicate is Duplicate.NONE:
                yield changed(task, source=made.program)
                break


def _robust(request: SuiteRequest) -> Iterator[Task]:
    return perturbed(catalogue.held_out()[: request.count], request.seed, request.verifier)


KERNELS = Suite(
    "CUDA kernels: right and no copy",
    lambda request: catalogue.held_out(),
    metrics=_metrics("CUDA kernels"),
    note=_note,
)
KERNELS_ROBUSTNESS = Suite(
    "CUDA kernels: perturbed C_src",
    _robust,
    paired_with=Pairing(
        suite="kernels",
        both="kernels_robust_pass",
        both_title="CUDA kernels: right on both",
        agree="kernels_consistency",
        agree_title="CUDA kernels: same verdict",
    ),
    note=_note,
)
KERNELBENCH = Suite(
    "KernelBench: right and no copy",
    _kernelbench,
    metrics=(*_metrics("KernelBench"), Metric("_published", "KernelBench: right by its own tolerance")),
    settings=KernelBenchConfig,
    note=_note,
)
