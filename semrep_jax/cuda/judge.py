"""A candidate's verdict without a GPU: parsed, compiled by NVRTC, run on the CPU over shapes, seeds and schedules, compared.

    with Judge() as judge:
        verdict = judge.judge(task, text)

What is right there is *emulated-correct*: a GPU may still disagree. With a `Gpu` it is run and timed there too, and has the last word.
The oracle and its answers stay in this process; the contained one has inputs only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from semrep_jax.core.programs import Duplicate, Score, Status, Verdict
from semrep_jax.cuda.candidate.candidate import Candidate, parse
from semrep_jax.cuda.candidate.expressions import ExpressionError
from semrep_jax.cuda.candidate.source import InvalidCandidate
from semrep_jax.cuda.emulator.emulate import EmulationResult, Emulator, Execution, Unsupported
from semrep_jax.cuda.gate import difference
from semrep_jax.cuda.gpu.gpu import Gpu, GpuResult
from semrep_jax.cuda.gpu.nvrtc import Compiler
from semrep_jax.cuda.spec import DTYPES, Axes, KernelTask, sample_inputs
from semrep_jax.cuda.status import KernelStatus

Check = tuple[Axes, int, int]


class Judge:
    """Judges kernel candidates, `workers` at a time. `seed` decides the inputs and is not the policy's to know.

    Each shape runs once with threads and blocks in order, the first one again under every one of `schedules`.
    """

    def __init__(self, workers: int = 2, seed: int = 0, schedules: Sequence[int] = (1, 2, 3), gpu: Gpu | None = None):
        self.seed, self.schedules, self.gpu = seed, tuple(schedules), gpu
        self.compiler = Compiler(workers)
        try:
            self.emulator = Emulator(workers)
        except Exception:
            self.compiler.close()
            raise
        self.threads = ThreadPoolExecutor(workers, thread_name_prefix="kernels")

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the compilers and the contained processes."""
        self.threads.shutdown()
        self.emulator.close()
        self.compiler.close()
        if self.gpu is not None:
            self.gpu.close()

    def judge_all(self, pairs: Sequence[tuple[KernelTask, str]]) -> list[Verdict]:
        """One verdict for each (task, completion)."""
        return list(self.threads.map(lambda pair: self.judge(*pair), pairs))

    def judge(self, task: KernelTask, text: str) -> Verdict:
        """The verdict on one completion. Its `preserve` score counts executions: shapes, then schedules."""
        began = time.perf_counter()
        checks = self._checks(task)
        status, feedback, passed, published = self._judge(task, text, checks)
        compiled = status not in (Status.FORMAT, KernelStatus.BANNED, Status.COMPILE)
        score = Score(passed, len(checks))
        facts = {} if status == KernelStatus.UNSUPPORTED else {"emulated": status == Status.OK}
        facts |= {} if published is None else {"published": published}
        verdict = Verdict(status, compiled, Duplicate.NONE, score, Score(), feedback=feedback, facts=facts)
        if self.gpu is not None and status in (Status.OK, KernelStatus.UNSUPPORTED):
            verdict = _confirmed(verdict, self.gpu.confirm(task, parse(text, task)))
        return replace(verdict, seconds=time.perf_counter() - began)

    def resources(self, task: KernelTask, text: str) -> list[str]:
        """A line for each launch of a candidate that compiles: registers, spills, shared memory, occupancy, fully optimised."""
        candidate = parse(text, task)
        used = dict(self.compiler.compile(candidate, full=True).resources)
        plan = candidate.plan(task, task.bench[0])
        return [used[s.kernel].summary(s.kernel, math.prod(s.block), s.shared) for s in plan if s.kernel in used]

    def _checks(self, task: KernelTask) -> list[Check]:
        """(axes, seed, schedule): every shape in order with a seed of its own, then the first and its inputs under other schedules."""
        shapes = (*task.small, *task.edge)
        checks = [(axes, self.seed + i, 0) for i, axes in enumerate(shapes)]
        return checks + [(shapes[0], self.seed, schedule) for schedule in self.schedules]

    def _judge(self, task: KernelTask, text: str, checks: list[Check]) -> tuple[str, str, int, bool | None]:
        """Status, feedback, executions passed, and what the task's own authors would say of the outputs (None where they say nothing)."""
        never = None if task.published is None else False
        try:
            candidate = parse(text, task)
            inputs = [sample_inputs(task, axes, seed) for axes, seed, _ in checks]
            runs = [
                _run(task, candidate, axes, given, schedule)
                for (axes, _, schedule), given in zip(checks, inputs, strict=True)
            ]
        except InvalidCandidate as error:
            return (KernelStatus.BANNED if error.banned else Status.FORMAT), str(error), 0, never
        except ExpressionError as error:
            return KernelStatus.LAUNCH, str(error), 0, never
        except RecursionError:
            return Status.FORMAT, "the program nests too deeply to be read", 0, never
        compiled = self.compiler.compile(candidate)
        if not compiled.ok:
            return Status.COMPILE, "\n".join(compiled.complaints), 0, never
        try:
            with self.emulator.built(candidate) as library:
                ran = self.emulator.run(library, candidate, runs)
        except Unsupported as error:
            return KernelStatus.UNSUPPORTED, str(error), 0, never
        published = never
        if task.published is not None and ran.mishap is None:
            published = all(
                task.published(c[0], given, after) for c, given, after in zip(checks, inputs, ran.buffers, strict=True)
            )
        return *_compared(task, checks, inputs, ran), published


def _confirmed(verdict: Verdict, said: GpuResult) -> Verdict:
    """The verdict with what a GPU says, which has the last word."""
    right, score = said.status is Status.OK, Score(said.passed, said.total)
    speedup = said.timing.speedup if right and said.timing is not None else None
    facts = verdict.facts | {"on_gpu": right}
    return replace(verdict, status=said.status, preserve=score, speedup=speedup, feedback=said.feedback, facts=facts)


def _compared(
    task: KernelTask, checks: list[Check], inputs: list[dict[str, np.ndarray]], ran: EmulationResult
) -> tuple[str, str, int]:
    """Status, feedback and executions passed, up to the first that is wrong or ended in a mishap."""
    passed = 0
    for index, buffers in enumerate(ran.buffers):
        if ran.mishap is not None and ran.mishap.run <= index:
            break
        axes, _, schedule = checks[index]
        wrong = _wrong(task, axes, inputs[index], buffers)
        if wrong is not None:
            status, why = wrong
            if schedule and passed >= len(task.small) + len(task.edge):
                status = KernelStatus.RACE
                why = f"right when threads and blocks run in order, wrong in another order (schedule {schedule}): {why}"
            return status, f"{why} (axes {dict(axes)})", passed
        passed += 1
    if ran.mishap is not None:
        return ran.mishap.kind, f"{ran.mishap.text} (axes {dict(checks[ran.mishap.run][0])})", passed
    return Status.OK, "", passed


def _run(task: KernelTask, candidate: Candidate, axes: Axes, inputs: dict[str, np.ndarray], schedule: int) -> Execution:
    outputs = {a.name: (DTYPES[a.dtype], a.count(axes)) for a in task.outputs}
    scratch = {n: (DTYPES[dtype], count) for n, (dtype, count) in candidate.buffers(task, axes).items()}
    return Execution(candidate.plan(task, axes), inputs | outputs | scratch, schedule)


def _wrong(
    task: KernelTask, axes: Axes, inputs: dict[str, np.ndarray], after: dict[str, np.ndarray]
) -> tuple[str, str] | None:
    """What is wrong with the buffers after a run; None where nothing is."""
    for name, before in inputs.items():
        if before.tobytes() != after[name].tobytes():
            return Status.MEMORY, f"it changed its input {name}"
    found = difference(task, axes, inputs, after)
    return None if found is None else (KernelStatus.NUMERIC, found.text)
