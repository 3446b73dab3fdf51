"""The judge of CUDA as `verify` and `perturb` call it.

A task's details say which operator it is about (`spec.KernelTask`), and `judge.Judge` whether a program computes that.
"""

from __future__ import annotations

from dataclasses import replace

from semrep_jax.core.errors import ProgramError
from semrep_jax.core.programs import Duplicate, Program, Score, Task, Verdict
from semrep_jax.cuda.gpu.gpu import Gpu, NoGpu
from semrep_jax.cuda.judge import Judge
from semrep_jax.cuda.settings import CudaConfig, UseGpu
from semrep_jax.cuda.spec import KernelTask
from semrep_jax.cuda.status import KernelStatus
from semrep_jax.languages import Answer, Finding, Resources


def gpu_for(setting: CudaConfig, seed: int) -> Gpu | None:
    """The GPU that the settings ask for; None where none is to be used, or none is there and none has to be.

    seed: of the inputs it is given. Raises NoGpu where one has to be there and is not.
    """
    if setting.gpu is UseGpu.NEVER:
        return None
    try:
        return Gpu(seed, setting.timing_seconds, setting.compile_by)
    except NoGpu:
        if setting.gpu is UseGpu.ALWAYS:
            raise
        return None


def details_of(task: Task) -> KernelTask:
    """The operator that a task of CUDA is about."""
    assert isinstance(task.details, KernelTask)
    return task.details


class CudaJudge:
    """Verdicts on CUDA programs. Raises CompilerError, EmulatorError or NoGpu where it can't run."""

    def __init__(self, resources: Resources):
        setting = resources.settings if isinstance(resources.settings, CudaConfig) else CudaConfig(gpu=UseGpu.NEVER)
        workers = len(resources.sandbox.settings)
        self.kernels = Judge(workers, resources.seed, gpu=gpu_for(setting, resources.seed))

    def judge(self, task: Task, program: Program, duplicate: Duplicate) -> Verdict:
        """U_sem of a kernel is every execution; its U_edit is one test: to be right and another program than C_src."""
        verdict = self.kernels.judge(details_of(task), program.source)
        new = duplicate is Duplicate.NONE
        feedback = verdict.feedback or ("" if new else "the same program as before")
        edit = Score(int(verdict.correct and new), 1)
        return replace(verdict, duplicate=duplicate, edit=edit, feedback=feedback)

    def close(self) -> None:
        """End compilers, contained processes and the GPU's worker."""
        self.kernels.close()


class CudaComparer:
    """Says whether variants of a kernel compute what their task asks for, as the kernel itself does.

    Raises ProgramError where there is no task, or the kernel itself does not compute it.
    """

    def __init__(self, program: Program, resources: Resources, task: Task | None):
        if task is None:
            raise ProgramError(
                "a CUDA file does not say what it computes; name its operator with --task (a wrong name lists all)"
            )
        self.task = details_of(task)
        self.kernels = Judge(len(resources.sandbox.settings), resources.seed)
        first = self.kernels.judge(self.task, program.source)
        if not first.correct:
            self.close()
            raise ProgramError(
                f"the kernel is not right itself ({first.status}: {first.feedback}); mend it, or name another --task"
            )

    def compare(self, source: str) -> Finding:
        """Equivalent: right on every execution, in emulation."""
        verdict = self.kernels.judge(self.task, source)
        if verdict.correct:
            return Finding(Answer.EQUIVALENT, verdict.preserve.total)
        summary = f"{verdict.status}: {verdict.feedback}"
        if verdict.status == KernelStatus.UNSUPPORTED:
            return Finding(Answer.UNKNOWN, verdict.preserve.passed, reason=summary)
        return Finding(Answer.DIFFERENT, verdict.preserve.passed, counterexample=summary)

    def close(self) -> None:
        """End compilers and contained processes."""
        self.kernels.close()
