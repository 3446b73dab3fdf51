"""(task, programs) -> verdicts: what the trainer, the search and the evaluation call.

    with Verifier(Sandbox(workers=2)) as verifier:
        verdicts = verifier.verify(task, programs)

The sandbox observes, this module judges: it alone holds the expected outcomes, and compares them in wire form. Verdicts
are cached by task and exact text; one verdict is a few milliseconds. CUDA goes to the kernels' judge, which starts with the first
kernel that comes and takes about 0.2 s for each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

from semrep_jax.core.peers import ALONE, Peers
from semrep_jax.core.programs import Duplicate, Language, Outcome, Program, Score, Status, Task, Tests, Verdict
from semrep_jax.cuda.gpu.gpu import Gpu, NoGpu
from semrep_jax.cuda.judge import Judge
from semrep_jax.cuda.settings import UseGpu
from semrep_jax.sandbox.outcomes import explain, matches
from semrep_jax.sandbox.pool import Observation, Sandbox

CACHE = 50_000


class Verifier:
    """Judges programs; each process of a run its share. Owns the sandbox it is given. `seed` decides what kernels are tried on."""

    def __init__(self, sandbox: Sandbox, peers: Peers = ALONE, seed: int = 0, gpu: UseGpu = UseGpu.NEVER):
        self.sandbox, self.peers, self.seed, self.gpu = sandbox, peers, seed, gpu
        self._kernels: Judge | None = None
        self.cache: OrderedDict[tuple[str, str], Verdict] = OrderedDict()
        self.lock, self.starting = Lock(), Lock()
        self.hits = 0

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
        self.sandbox.close()

    def close(self) -> None:
        """End the kernels' judge; the sandbox goes on."""
        if self._kernels is not None:
            self._kernels.close()
            self._kernels = None

    @property
    def kernels(self) -> Judge:
        """The judge of CUDA, from the first time that it is needed. Raises CompilerError, EmulatorError or NoGpu where it can't run."""
        with self.starting:
            if self._kernels is None:
                self._kernels = Judge(len(self.sandbox.settings), self.seed, gpu=self._gpu())
            return self._kernels

    def verify(self, task: Task, programs: Sequence[Program]) -> list[Verdict]:
        """One verdict for each program on one task."""
        return self.verify_all([(task, program) for program in programs])

    def verify_all(self, pairs: Sequence[tuple[Task, Program | str]]) -> list[Verdict]:
        """One verdict for each (task, program); a str in a program's place is the reason why there is none."""
        return self.peers.gather(list(self.sandbox.map(lambda pair: self._one(*pair), self.peers.partition(pairs))))

    def _one(self, task: Task, program: Program | str) -> Verdict:
        if isinstance(program, str):
            return unreadable(task, program)
        key = (task.sha256, program.sha256)
        with self.lock:
            if key in self.cache:
                self.hits += 1
                self.cache.move_to_end(key)
                return self.cache[key]
        verdict = self._kernel(task, program) if program.language is Language.CUDA else self._python(task, program)
        with self.lock:
            self.cache[key] = verdict
            if len(self.cache) > CACHE:
                self.cache.popitem(last=False)
        return verdict

    def _gpu(self) -> Gpu | None:
        if self.gpu is UseGpu.NEVER:
            return None
        try:
            return Gpu(self.seed)
        except NoGpu:
            if self.gpu is UseGpu.ALWAYS:
                raise
            return None

    def _python(self, task: Task, program: Program) -> Verdict:
        cases = task.preserve.cases + task.edit.cases + (task.hidden.cases if task.hidden else ())
        observation = self.sandbox.run(program.source, task.preserve.entry, [case.args for case in cases])
        return replace(judge(task, observation), duplicate=duplicate(task.source, program))

    def _kernel(self, task: Task, program: Program) -> Verdict:
        """U_edit of a kernel is one test: to be right and another program than C_src."""
        verdict = self.kernels.judge(task.kernel, program.source)
        copied = duplicate(task.source, program)
        feedback = verdict.feedback or ("the same program as before" if copied is not Duplicate.NONE else "")
        return replace(
            verdict,
            duplicate=copied,
            edit=Score(int(verdict.correct and copied is Duplicate.NONE), 1),
            feedback=feedback,
        )


def unreadable(task: Task, reason: str) -> Verdict:
    """The verdict on a completion that holds no program."""
    return Verdict(
        Status.FORMAT, False, Duplicate.NONE, Score(0, len(task.preserve)), Score(0, len(task.edit)), feedback=reason
    )


def duplicate(source: Program, program: Program) -> Duplicate:
    """How far `program` merely repeats `source`."""
    if program.source.strip() == source.source.strip():
        return Duplicate.EXACT
    if program.canonical is not None and program.canonical == source.canonical:
        return Duplicate.CANONICAL
    return Duplicate.NONE


def judge(task: Task, observation: Observation) -> Verdict:
    """The verdict that an observation of preserve cases, then edit cases, then hidden ones, amounts to."""
    unseen = None if task.hidden is None else Score(0, len(task.hidden))
    nothing = Verdict(
        Status.OK,
        False,
        Duplicate.NONE,
        Score(0, len(task.preserve)),
        Score(0, len(task.edit)),
        seconds=observation.seconds,
        hidden=unseen,
    )
    if observation.load_error is not None:
        return replace(nothing, status=Status.COMPILE, feedback=observation.load_error)
    if observation.died is not None:
        status = Status.TIMEOUT if observation.died == "timeout" else Status.CRASH
        return replace(nothing, status=status, compiled=True, feedback=f"the process ended early: {observation.died}")
    split, end = len(task.preserve), len(task.preserve) + len(task.edit)
    preserve = _passed(task.preserve, observation.outcomes[:split])
    edit = _passed(task.edit, observation.outcomes[split:end])
    hidden = _passed(task.hidden, observation.outcomes[end:]) if task.hidden else []
    flags = preserve + edit
    status, feedback = Status.OK, ""
    if not all(flags):
        first = flags.index(False)
        case, seen = (task.preserve.cases + task.edit.cases)[first], observation.outcomes[first]
        status = Status.MEMORY if seen.error == "MemoryError" else Status.WRONG
        feedback = explain(task.preserve.entry, case, seen, observation.messages[first])
    return replace(
        nothing, status=status, compiled=True, feedback=feedback,
        preserve=Score(sum(preserve), len(preserve)), edit=Score(sum(edit), len(edit)),
        hidden=unseen and Score(sum(hidden), len(hidden)),
    )  # fmt: skip


def _passed(tests: Tests, outcomes: Sequence[Outcome]) -> list[bool]:
    return [matches(case.expected, seen, tests.tolerance) for case, seen in zip(tests.cases, outcomes, strict=True)]
