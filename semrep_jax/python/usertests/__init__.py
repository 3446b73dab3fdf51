"""A person's own test file run against a program, live and contained, without the two ever meeting in one process.

    with Bench() as bench:
        report = run_tests(program, "stats", "from stats import mean\ndef test_a(): assert mean([2]) == 2", bench)
    report.problem, [(result.name, result.outcome, result.message) for result in report.results]

pytest runs the tests in one locked-down process, the program lives in another and keeps its state; the tests' imports
of it are stand-ins whose every use is a request (`bridge`, `mirrors`). So tests behave as in pytest, and the program
can neither read them nor touch their verdict. What ends or hangs a process fails the test that it happened in, and the
tests after it run with a fresh pair.
"""

from semrep_jax.python.usertests.runner import (
    TEST_SECONDS,
    Bench,
    Outcome,
    Report,
    TestResult,
    read_tests,
    run_tests,
    told_apart,
)

__all__ = ["TEST_SECONDS", "Bench", "Outcome", "Report", "TestResult", "read_tests", "run_tests", "told_apart"]
