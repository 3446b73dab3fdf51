"""A candidate's verdict without a GPU: parsed, compiled by NVRTC, run on the CPU, compared with a float64 oracle.

    with Judge() as judge:
        verdict = judge.judge(task, text)          # over shapes, seeds and schedules of threads and blocks

What is right there is *emulated-correct*: a GPU may still disagree. With a `Gpu` it is run and timed there too, and has
the last word. The oracle and its answers stay in this process; the contained one has inputs only.

Covered, each by a file of `tests/cuda/exploits`:
- answers that a wide tolerance or harmless inputs let pass: zeros, constants, copies, half precision, a dropped row
- answers kept from an earlier call, left over in the output, or right for the first calls or for one shape only
- writing outside of a buffer or into an input; reading or writing behind the end of an array in shared memory or of a
  thread's own, though another variable lies there; misaligned vectors; variables that are never set; launches that no
  GPU could start; programs that never end
- missing barriers, lost updates: what is right in one order of threads only
- barriers that not all threads of a block reach, or that they reach by different calls, however the text is laid out
- what a block reads or writes over of another's, and no atomic or volatile access to one place in global memory, by
  both and in this order, lies between: found whatever the order that blocks were run in
- reaching out: assembly, host code, calls of a library, files named in an #include or an #import, code that only one of
  the two compilers sees, forging the report of a run

Not covered:
- speed: nothing is timed here; the roofline, caches and moving pointers are matters of `cuda/gpu`
- a kernel that looks at shape or inputs and is wrong only where no check looks
- a barrier in a function that has no name (an operator, a constructor), reached by different calls
- races that need more than the few schedules tried; reads outside of a buffer that stay in a page that is there
- accesses outside of an array by a pointer whose array g++ can't tell (a function that is not inlined was given it),
  and dynamic shared memory that a program divides into arrays
- between blocks: fences that are missing; locks taken in vain (a block runs to its end before the next begins, so every
  lock is free); a plain access to a place that others change by atomics; more than a million places used by atomics
- what the emulator does not know: the verdict is `unsupported`, and nothing is claimed
- a hole in the kernel under the sandbox: candidates run as native code, contained as `sandbox` says
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from semrep_jax.core.programs import Duplicate, Score, Status, Verdict
from semrep_jax.cuda.candidate.candidate import Candidate, parse
from semrep_jax.cuda.candidate.expressions import ExpressionError
from semrep_jax.cuda.candidate.source import InvalidCandidate
from semrep_jax.cuda.emulator.emulate import EmulationResult, Emulator
from semrep_jax.cuda.emulator.memory import Execution
from semrep_jax.cuda.emulator.report import Unsupported
from semrep_jax.cuda.gate import difference
from semrep_jax.cuda.gpu.gpu import Gpu, GpuResult
from semrep_jax.cuda.gpu.nvrtc import Compiler, refused
from semrep_jax.cuda.spec import DTYPES, Axes, KernelTask, sample_inputs
from semrep_jax.cuda.startable import require_startable
from semrep_jax.cuda.status import KernelStatus

_NEVER_COMPILED = (Status.FORMAT, KernelStatus.BANNED, Status.COMPILE, Status.UNJUDGED)
_NOT_EMULATED = (KernelStatus.UNSUPPORTED, Status.UNJUDGED)


@dataclass(frozen=True)
class Check:
    """One execution to be right: a shape, the seed of its inputs, and the schedule of threads and blocks."""

    axes: Axes
    seed: int
    schedule: int


@dataclass(frozen=True)
class Outcome:
    """What emulation says. passed: executions that were right, up to the first that was not. published: what the task's
    own authors would say of the outputs, None where they say nothing."""

    status: str
    feedback: str = ""
    passed: int = 0
    published: bool | None = None


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the candidate that it is about; None where the text is none."""

    verdict: Verdict
    candidate: Candidate | None


class Judge:
    """Judges kernel candidates.

    workers: how many at a time. seed: decides the inputs and is not the policy's to know. schedules: each shape runs
    once with threads and blocks in order, and the first one again under every one of these. gpu: where what is right is
    run and timed; it is closed with the judge.
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
        return self.examine(task, text).verdict

    def examine(self, task: KernelTask, text: str) -> Judgement:
        """The verdict on one completion, with the candidate that was read from it."""
        began = time.perf_counter()
        checks = self._checks(task)
        candidate, outcome = self._emulate(task, text, checks)
        verdict = _verdict(outcome, len(checks))
        if self.gpu is not None and candidate is not None and outcome.status in (Status.OK, KernelStatus.UNSUPPORTED):
            verdict = _confirmed(verdict, self.gpu.confirm(task, candidate))
        return Judgement(replace(verdict, seconds=time.perf_counter() - began), candidate)

    def resources(self, task: KernelTask, candidate: Candidate) -> list[str]:
        """A line for each launch of a candidate that compiles, at the shape that is timed: registers, spills, shared
        memory, occupancy, fully optimised. None where its launches have no values there."""
        used = dict(self.compiler.compile(candidate, full=True).resources)
        try:
            launches = candidate.at(task.bench[0]).launches
        except ExpressionError:
            return []
        return [used[s.kernel].summary(s.kernel, math.prod(s.block), s.shared) for s in launches if s.kernel in used]

    def _checks(self, task: KernelTask) -> list[Check]:
        """Every shape in order with a seed of its own, then the first and its inputs under other schedules."""
        shapes = (*task.small, *task.edge)
        in_order = [Check(axes, self.seed + i, 0) for i, axes in enumerate(shapes)]
        return in_order + [Check(shapes[0], self.seed, schedule) for schedule in self.schedules]

    def _emulate(self, task: KernelTask, text: str, checks: list[Check]) -> tuple[Candidate | None, Outcome]:
        """The candidate in a text (None where it holds none), and what comes of it."""
        never = None if task.published is None else False
        candidate = None
        try:
            candidate = parse(text, task)
            inputs = [sample_inputs(task, check.axes, check.seed) for check in checks]
            executions = [
                _execution(task, candidate, check, given) for check, given in zip(checks, inputs, strict=True)
            ]
        except InvalidCandidate as error:
            return None, Outcome(KernelStatus.BANNED if error.banned else Status.FORMAT, str(error), published=never)
        except ExpressionError as error:
            return candidate, Outcome(KernelStatus.LAUNCH, str(error), published=never)
        except RecursionError:
            return None, Outcome(Status.FORMAT, "the program nests too deeply to be read", published=never)
        compiled = self.compiler.compile(candidate)
        if compiled.fault:
            return candidate, Outcome(Status.UNJUDGED, "\n".join(compiled.complaints))
        if not compiled.ok:
            status = refused(candidate)
            return candidate, Outcome(status, "\n".join(compiled.complaints), published=never)
        try:
            with self.emulator.built(candidate) as library:
                result = self.emulator.run(library, candidate, executions)
        except Unsupported as error:
            return candidate, Outcome(KernelStatus.UNSUPPORTED, str(error), published=never)
        outcome = _compared(task, checks, inputs, result)
        if outcome.status == Status.OK:
            try:
                require_startable(task, candidate, self.compiler)
            except ExpressionError as error:
                outcome = Outcome(KernelStatus.LAUNCH, str(error))
        return candidate, replace(outcome, published=_published(task, checks, inputs, result))


def _execution(task: KernelTask, candidate: Candidate, check: Check, inputs: dict[str, np.ndarray]) -> Execution:
    """A candidate with its buffers at the shape of a check."""
    resolved = candidate.at(check.axes)
    outputs = {a.name: (DTYPES[a.dtype], a.count(check.axes)) for a in task.outputs}
    scratch = {name: (DTYPES[size.dtype], size.elements) for name, size in resolved.scratch.items()}
    return Execution(resolved.launches, inputs | outputs | scratch, check.schedule)


def _verdict(outcome: Outcome, checks: int) -> Verdict:
    """The verdict that emulation alone gives."""
    facts = {} if outcome.status in _NOT_EMULATED else {"emulated": outcome.status == Status.OK}
    facts |= {} if outcome.published is None else {"published": outcome.published}
    compiled = outcome.status not in _NEVER_COMPILED
    score = Score(outcome.passed, checks)
    return Verdict(outcome.status, compiled, Duplicate.NONE, score, Score(), feedback=outcome.feedback, facts=facts)


def _confirmed(verdict: Verdict, found: GpuResult) -> Verdict:
    """The verdict with what a GPU has found, which has the last word."""
    if found.status == Status.UNJUDGED:
        return replace(verdict, status=found.status, feedback=found.feedback)
    right, score = found.status == Status.OK, Score(found.passed, found.total)
    timing = found.timing if right else None
    facts = verdict.facts | {"on_gpu": right}
    return replace(
        verdict,
        status=found.status,
        preserve=score,
        speedup=None if timing is None else timing.speedup,
        timing=None if timing is None else timing.to_json(),
        feedback=found.feedback,
        facts=facts,
    )


def _compared(
    task: KernelTask, checks: list[Check], inputs: list[dict[str, np.ndarray]], result: EmulationResult
) -> Outcome:
    """The executions up to the first that is wrong or ended in a fault."""
    passed, in_order = 0, len(task.small) + len(task.edge)
    for index, buffers in enumerate(result.buffers):
        if result.fault is not None and result.fault.execution <= index:
            break
        check = checks[index]
        wrong = _wrong(task, check.axes, inputs[index], buffers)
        if wrong is not None:
            if check.schedule and passed >= in_order:
                why = "right when threads and blocks run in order, wrong in another order"
                wrong = Outcome(KernelStatus.RACE, f"{why} (schedule {check.schedule}): {wrong.feedback}")
            return replace(wrong, feedback=f"{wrong.feedback} (axes {dict(check.axes)})", passed=passed)
        passed += 1
    if result.fault is not None:
        axes = dict(checks[result.fault.execution].axes)
        return Outcome(result.fault.status, f"{result.fault.text} (axes {axes})", passed)
    return Outcome(Status.OK, passed=passed)


def _wrong(
    task: KernelTask, axes: Axes, inputs: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
) -> Outcome | None:
    """What is wrong with the buffers after an execution; None where nothing is."""
    for name, before in inputs.items():
        if before.tobytes() != after[name].tobytes():
            return Outcome(Status.MEMORY, f"it changed its input {name}")
    found = difference(task, axes, inputs, after)
    return None if found is None else Outcome(KernelStatus.NUMERIC, found.text)


def _published(
    task: KernelTask, checks: list[Check], inputs: list[dict[str, np.ndarray]], result: EmulationResult
) -> bool | None:
    """What the task's own authors would say of the outputs; None where they say nothing."""
    if task.published is None:
        return None
    if result.fault is not None:
        return None if result.fault.status == Status.UNJUDGED else False
    runs = zip(checks, inputs, result.buffers, strict=True)
    return all(task.published(check.axes, given, after) for check, given, after in runs)
