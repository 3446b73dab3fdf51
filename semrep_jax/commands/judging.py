"""How the programs that `transform` writes are judged: edits by a person's tests, rewrites by running them beside the
file.

U_sem are the tests that the file passes, U_edit those that it fails. Where no tests were given nothing is known of an
edit, and every one that is a program counts alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from semrep_jax.core.programs import Duplicate, Program, Score, Status, Task, Verdict
from semrep_jax.inference.rewrite import Accept
from semrep_jax.python.usertests import Report
from semrep_jax.search.problem import Assessed

Tested = Callable[[Program], Report | None]


@dataclass
class PersonsTests:
    """Judges programs for a file.

    tested: what the person's tests find on a program, None where there are none. before: what they found on the file.
    accept: which rewrites behave as the file does. reports: what was found, by a program's text.
    """

    tested: Tested
    before: Report | None
    accept: Accept
    reports: dict[str, Report | None] = field(default_factory=dict)

    def assess(self, task: Task, programs: Sequence[Program], rewrites: Sequence[bool]) -> list[Assessed]:
        """What is known of each program.

        task: with C_src. programs: to be judged. rewrites: which of them are to behave as C_src does.
        """
        return [
            self._rewrite(task, program) if rewrite else self._edit(program)
            for program, rewrite in zip(programs, rewrites, strict=True)
        ]

    def source(self) -> Assessed:
        """What is known of the file itself: it passes U_sem, and nothing of U_edit, which is not empty."""
        passed, failed = self._names()
        preserve, edit = Score(len(passed), len(passed)), Score(0, max(len(failed), int(self.before is None)))
        return Assessed(_verdict(True, preserve, edit, "the file as it is"), None, 0.0)

    def report(self, program: Program) -> Report | None:
        """What the tests find on a program; they are run on each text once."""
        if program.source not in self.reports:
            self.reports[program.source] = self.tested(program)
        return self.reports[program.source]

    def _rewrite(self, task: Task, program: Program) -> Assessed:
        began = time.perf_counter()
        same = self.accept([(task, program)])[0]
        feedback = "" if same else "it is not seen to behave as the file does"
        seconds = time.perf_counter() - began
        return Assessed(_verdict(True, Score(int(same), 1), Score(0, 1), feedback), None, seconds)

    def _edit(self, program: Program) -> Assessed:
        began = time.perf_counter()
        after = self.report(program)
        seconds = time.perf_counter() - began
        if after is None:
            return Assessed(_verdict(True, Score(), Score(), "no tests were given"), None, seconds)
        passed, failed = self._names()
        now = {test.name for test in after.results if test.passed}
        preserve, edit = Score(len(passed & now), len(passed)), Score(len(failed & now), len(failed))
        wrong = next((f"{t.name}: {t.message or t.outcome}" for t in after.results if not t.passed), "")
        loads = not (after.problem and after.programs_fault)
        return Assessed(_verdict(loads, preserve, edit, after.problem or wrong), None, seconds)

    def _names(self) -> tuple[set[str], set[str]]:
        """The tests that the file passes, and those that it does not."""
        results = [] if self.before is None else self.before.results
        passed = {test.name for test in results if test.passed}
        return passed, {test.name for test in results} - passed


def _verdict(compiled: bool, preserve: Score, edit: Score, feedback: str) -> Verdict:
    right = compiled and preserve.all and edit.all
    status = Status.OK if right else Status.WRONG if compiled else Status.COMPILE
    return Verdict(status, compiled, Duplicate.NONE, preserve, edit, feedback=feedback)
