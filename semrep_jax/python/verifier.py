"""The judge of Python: runs a program on a task's calls in the sandbox, compares what is seen with what is expected.

The sandbox observes, this module judges: it alone holds the expected outcomes, and compares them in wire form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

from semrep_jax.core.programs import Case, Duplicate, Outcome, Program, Score, Status, Task, Tests, Verdict
from semrep_jax.python.usertests.file import TestFile, verdict_by_file
from semrep_jax.python.usertests.runner import Bench
from semrep_jax.sandbox.faults import BUSY, KILLED
from semrep_jax.sandbox.outcomes import explain, matches
from semrep_jax.sandbox.pool import Observation, Sandbox

TEST_SECONDS = 3.0  # of a test in a file


class PythonJudge:
    """Verdicts on Python programs, in a sandbox that it does not own; on tasks whose tests are a file for pytest, in
    pairs of processes that it starts when the first comes."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox
        self._bench: Bench | None = None
        self._starting = Lock()

    def judge(self, task: Task, program: Program, duplicate: Duplicate) -> Verdict:
        """The verdict on a program: U_sem and U_edit in one contained run, hidden tests in another one, so that they
        decide nothing about the others. One that can't be seen at the second look either, alone and with more patience,
        has hidden itself."""
        verdict = self._judged(task, program, duplicate)
        if verdict.judged or self.sandbox.patience == 1:
            return verdict
        return _of_its_own_doing(verdict)

    def _judged(self, task: Task, program: Program, duplicate: Duplicate) -> Verdict:
        if isinstance(task.details, TestFile):
            return verdict_by_file(task, task.details, program, duplicate, self._running_bench())
        verdict = verdict_of(
            task, self._run(program, task.preserve.entry, task.preserve.cases + task.edit.cases), duplicate
        )
        if task.hidden is None or not verdict.compiled or not verdict.judged:
            return verdict
        unseen = self._run(program, task.hidden.entry, task.hidden.cases)
        if unseen.fault is not None:
            return verdict_of(task, unseen, duplicate)
        passed = _passed(task.hidden, unseen.outcomes) if unseen.outcomes else []
        return replace(verdict, hidden=Score(sum(passed), len(task.hidden)))

    def _run(self, program: Program, entry: str, cases: Sequence[Case]) -> Observation:
        return self.sandbox.run(program.source, entry, [case.args for case in cases])

    def _running_bench(self) -> Bench:
        """Where files of tests run, as many side by side as programs in the sandbox."""
        with self._starting:
            self._bench = self._bench or Bench(workers=len(self.sandbox.settings), seconds=TEST_SECONDS)
            return self._bench

    def close(self) -> None:
        """End the processes that run files of tests."""
        if self._bench is not None:
            self._bench.close()


def _of_its_own_doing(verdict: Verdict) -> Verdict:
    """The verdict on a program of which nothing could be seen twice, where it can have brought that about by itself."""
    status = {BUSY: Status.TIMEOUT, KILLED: Status.CRASH}.get(verdict.feedback)
    if status is None:
        return verdict
    return replace(verdict, status=status, compiled=True, feedback=f"{verdict.feedback}, twice")


def verdict_of(task: Task, observation: Observation, duplicate: Duplicate = Duplicate.NONE) -> Verdict:
    """What an observation amounts to.

    task: holds the expected outcomes. observation: of its preserve cases, then its edit cases. duplicate: how far
    the program merely repeats C_src.
    """
    failed = Verdict(
        Status.OK,
        compiled=False,
        duplicate=duplicate,
        preserve=Score(0, len(task.preserve)),
        edit=Score(0, len(task.edit)),
        seconds=observation.seconds,
        hidden=None if task.hidden is None else Score(0, len(task.hidden)),
    )
    if observation.fault is not None:
        return replace(failed, status=Status.UNJUDGED, feedback=observation.fault)
    if observation.load_error is not None:
        return replace(failed, status=Status.COMPILE, feedback=observation.load_error)
    if observation.died is not None:
        status = Status.TIMEOUT if observation.died == "timeout" else Status.CRASH
        return replace(failed, status=status, compiled=True, feedback=f"the process ended early: {observation.died}")
    edit_begins = len(task.preserve)
    preserve = _passed(task.preserve, observation.outcomes[:edit_begins])
    edit = _passed(task.edit, observation.outcomes[edit_begins:])
    status, feedback = _first_failure(task, preserve + edit, observation)
    return replace(
        failed,
        status=status,
        compiled=True,
        feedback=feedback,
        preserve=Score(sum(preserve), len(preserve)),
        edit=Score(sum(edit), len(edit)),
    )


def _first_failure(task: Task, passed: list[bool], observation: Observation) -> tuple[Status, str]:
    """The status, and one line about the first test that failed; `passed` is of preserve, then edit cases."""
    if all(passed):
        return Status.OK, ""
    first = passed.index(False)
    case, seen = (task.preserve.cases + task.edit.cases)[first], observation.outcomes[first]
    status = Status.MEMORY if seen.error == "MemoryError" else Status.WRONG
    return status, explain(task.preserve.entry, case, seen, observation.messages[first])


def _passed(tests: Tests, outcomes: Sequence[Outcome]) -> list[bool]:
    return [matches(case.expected, seen, tests.tolerance) for case, seen in zip(tests.cases, outcomes, strict=True)]
