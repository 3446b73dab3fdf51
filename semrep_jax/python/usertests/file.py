"""A task whose tests are a file for pytest: U_sem and U_edit are names of its tests.

file = TestFile("from program import *\\ndef test_empty():\\n    assert mean([]) is None")
task = Task("mean", source, named([]), named(["test_empty"]), "Return None for an empty list.", details=file)
verdict_by_file(task, file, program, Duplicate.NONE, bench)
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from semrep_jax.core.programs import Case, Duplicate, Outcome, Program, Score, Status, Task, Tests, Verdict
from semrep_jax.python.usertests.runner import Bench, Report, run_tests

MODULE = "program"
CODE = "{{Code}}"  # where the program stands in a frame
_QUOTED = re.compile(rf"r?(\"\"\"|''')(\s*){re.escape(CODE)}(\s*)\1")


@dataclass(frozen=True)
class TestFile:
    """Tests of a task.

    text: of the file. module: by which it imports the program. frame: text that the program is put into in the place of
    CODE before it is run; in a triple-quoted string CODE stands for its text. "" for none.
    """

    __test__ = False  # pytest: it is none of ours

    text: str
    module: str = MODULE
    frame: str = ""

    @property
    def sha256(self) -> str:
        """Hex digest of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def framed(self, source: str) -> str:
        """A program in its frame."""
        if CODE not in self.frame:
            return source
        quoted = _QUOTED.sub(lambda found: repr(f"{found[2]}{source}{found[3]}"), self.frame)
        return quoted.replace(CODE, source)

    def run(self, source: str, bench: Bench) -> Report:
        """What becomes of each test on a program."""
        return run_tests(self.framed(source), self.module, self.text, bench)


def named(names: Iterable[str]) -> Tests:
    """Tests of a file, by their names."""
    return Tests("", tuple(Case(name, Outcome()) for name in names))


def verdict_by_file(task: Task, file: TestFile, program: Program, duplicate: Duplicate, bench: Bench) -> Verdict:
    """The verdict on a program.

    task: whose U_sem and U_edit are `named`. file: the tests. duplicate: how far the program merely repeats C_src; it
    goes into the verdict. bench: where it runs.
    """
    began = time.perf_counter()
    report = file.run(program.source, bench)
    passed = {result.name for result in report.results if result.passed}
    preserve, edit = ([case.args in passed for case in tests.cases] for tests in (task.preserve, task.edit))
    status, feedback = _status(report, {case.args for case in (*task.preserve.cases, *task.edit.cases)})
    return Verdict(
        status,
        compiled=status not in (Status.COMPILE, Status.UNJUDGED),
        duplicate=duplicate,
        preserve=Score(sum(preserve), len(preserve)),
        edit=Score(sum(edit), len(edit)),
        feedback=feedback,
        seconds=time.perf_counter() - began,
    )


def _status(report: Report, asked: set[str]) -> tuple[Status, str]:
    """The status of a report, and one line about the first of the tests asked for that did not pass."""
    if report.problem is not None and report.programs_fault:
        return Status.COMPILE, report.problem
    if report.problem is not None and not report.results:
        return Status.UNJUDGED, report.problem
    outcomes = {result.name: result for result in report.results}
    if all(name in outcomes and outcomes[name].passed for name in asked):
        return Status.OK, ""
    if report.problem is not None:
        return Status.TIMEOUT, report.problem
    failed = next((one for name, one in outcomes.items() if name in asked and not one.passed), None)
    return Status.WRONG, "a test was not run" if failed is None else f"{failed.name}: {failed.message}"
