"""`python -m semrep_jax.main test FILE --tests T.py`: a person's tests on a program, contained."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from semrep_jax.commands import command
from semrep_jax.commands.command import Command
from semrep_jax.languages import read_program
from semrep_jax.python import PYTHON, usertests
from semrep_jax.python.usertests import Bench, Report

PASSED, FAILED, NOT_RUN = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = command.parser(
        "test",
        "Run your tests on a Python file as `transform` does: pytest in one contained process, the file in another, "
        "so that it can neither see the tests nor touch their verdict. Functions and classes for pytest, unittest's "
        "TestCases, and bare asserts at the top of the file; NumPy and the standard library can be imported.",
        "Exit code 0: all passed; 1: some failed; 2: they could not all run, and why.",
    )
    options.add_argument("file", type=Path, metavar="FILE", help="the Python file that is tested")
    options.add_argument(
        "--tests", type=Path, required=True, metavar="T.py", help="your tests, which import FILE by its name"
    )
    options.add_argument(
        "--seconds", type=command.seconds, default=usertests.TEST_SECONDS, help="a test may take (default %(default)g)"
    )
    options.add_argument("--json", action="store_true", help="print one JSON object")
    return options


def run(options: argparse.Namespace) -> int:
    """Run the tests."""
    program = read_program(options.file, PYTHON)
    tests = usertests.read_tests(options.tests)
    with Bench(seconds=options.seconds) as bench:
        report = usertests.run_tests(program.source, options.file.stem, tests, bench, options.tests.stem)
    print(json.dumps(_to_json(report)) if options.json else _lines(report))
    if report.problem is not None or not any(r.outcome is not usertests.Outcome.SKIPPED for r in report.results):
        return NOT_RUN
    return PASSED if report.all_passed else FAILED


def _lines(report: Report) -> str:
    lines = [f"{r.name}: {r.outcome}  {r.message}".rstrip() for r in report.results]
    if report.problem is not None:
        lines.append(f"the tests did not all run: {report.problem}")
    elif not any(r.outcome is not usertests.Outcome.SKIPPED for r in report.results):
        lines.append("no test was run: all are skipped")
    return "\n".join(lines)


def _to_json(report: Report) -> dict[str, object]:
    tests = [{"name": r.name, "outcome": str(r.outcome), "message": r.message} for r in report.results]
    return {"tests": tests, "problem": report.problem, "programs_fault": report.programs_fault}


COMMAND = Command(
    "test FILE --tests T.py", "your tests on a Python file, contained: a line a test, and why one failed", parser, run
)
