"""A person's own test file run against a program, without the two ever meeting in one process.

    for result in run_tests(program, "stats", "from stats import mean\ndef test_a(): assert mean([2]) == 2", sandbox):
        result.name, result.passed, result.message

The tests (`test_*` functions with asserts) run contained, in a process where the module they import is a table of
answers. A call that the table lacks ends that test and is asked of the program, in a process of its own; the answer,
plain data, goes into the table and the tests run again, until none asks anything new. So the program can neither read
the tests nor reach their verdict.

Covers tests that import functions of the module and call them with plain values. Anything else fails with the reason.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from semrep_jax.core import syntax
from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Outcome
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.sandbox.wire import decode, encode

LIMITS = Limits(cpu_seconds=5.0, wall_seconds=10.0, memory_mb=512)
MAX_ROUNDS = 400  # of new questions
# Added to the program: its own process calls this.
_CALLER = """
def __semrep_call(name, args, kwargs):
    return globals()[name](*args, **kwargs), args
"""
# The tests' process. A row of `table` is a call and its `Answered`, a row of the report [test, state, message, call].
_HARNESS = """
def __semrep_run(module_name, functions, table):
    import builtins, sys, types
    answers = {(name, repr(args), repr(kwargs)): answer for name, args, kwargs, answer in table}
    class Unknown(BaseException):
        pass
    def stand_in(name):
        def call(*args, **kwargs):
            kwargs = dict(sorted(kwargs.items()))
            key = (name, repr(args), repr(kwargs))
            if key not in answers:
                raise Unknown((name, args, kwargs))
            value, error, message, after = answers[key]
            for mine, theirs in zip(args, after or args):
                if type(mine) is list:
                    mine[:] = theirs
                elif type(mine) in (dict, set):
                    mine.clear(); mine.update(theirs)
            if error is not None:
                raise getattr(builtins, error, RuntimeError)(message)
            return value
        return call
    module = types.ModuleType(module_name)
    for name in functions:
        setattr(module, name, stand_in(name))
    sys.modules[module_name] = module
    scope = {"__name__": "tests"}
    try:
        exec(compile(__semrep_tests, "tests", "exec"), scope)
    except Unknown as unknown:
        return [["import", "asks", "", unknown.args[0]]]
    report = []
    for name, test in list(scope.items()):
        if name.startswith("test") and callable(test):
            try:
                test()
                report.append([name, "passed", "", None])
            except Unknown as unknown:
                report.append([name, "asks", "", unknown.args[0]])
            except BaseException as error:
                line = error.__traceback__
                while line.tb_next is not None:
                    line = line.tb_next
                report.append([name, "failed", f"{type(error).__name__} at line {line.tb_lineno}: {error}"[:300], None])
    return report
"""


@dataclass(frozen=True)
class TestResult:
    """One test of the file: its name, whether it passed, and why not."""

    name: str
    passed: bool
    message: str = ""


class Question(NamedTuple):
    """A call that a test wants answered: a function of the program and plain values."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Answered(NamedTuple):
    """What a call gave: a value, or an exception's class name and message; and its arguments afterwards, if known."""

    value: Any
    error: str | None = None
    message: str = ""
    args_after: tuple[Any, ...] | None = None


def read_tests(path: Path) -> str:
    """The text of a test file. Raises TaskError."""
    try:
        text = path.read_text()
        syntax.module(text)
    except OSError as error:
        raise TaskError(f"tests {path} can't be read: {error.strerror}") from error
    except SyntaxError as error:
        raise TaskError(f"tests {path} is not Python: line {error.lineno}: {error.msg}") from error
    return text


def run_tests(program: str, module: str, tests: str, sandbox: Sandbox) -> list[TestResult]:
    """Run every test of a file on a program.

    program: its source. module: the name by which the tests import it. tests: the text of the test file. sandbox: where
    both run. Raises TaskError for a test file that can't run.
    """
    functions = [node.name for node in syntax.module(program).body if isinstance(node, ast.FunctionDef)]
    harness = f"__semrep_tests = {tests!r}\n{_HARNESS}"
    table: list[Any] = []
    for _ in range(MAX_ROUNDS):
        seen = sandbox.run(harness, "__semrep_run", [encode((module, functions, table))], LIMITS)
        if not seen.outcomes or seen.outcomes[0].error:
            raise TaskError(f"the tests do not run: {seen.load_error or seen.died or seen.messages[0]}")
        report = decode(seen.outcomes[0].value)
        if not report:
            raise TaskError("the test file holds no function whose name starts with 'test'")
        asked = [Question(*call) for _, state, _, call in report if state == "asks"]
        if not asked:
            return [TestResult(name, state == "passed", message) for name, state, message, _ in report]
        answers = _ask(program, asked, sandbox)
        table += [[*question, tuple(answer)] for question, answer in zip(asked, answers, strict=True)]
    raise TaskError(f"the tests ask for more than {MAX_ROUNDS} calls one after the other; give fewer or smaller tests")


def _ask(program: str, questions: list[Question], sandbox: Sandbox) -> list[Answered]:
    """What the program gives for each call."""
    seen = sandbox.run(program + _CALLER, "__semrep_call", [encode(tuple(q)) for q in questions], LIMITS)
    if not seen.outcomes:
        reason = seen.load_error or f"the program ended early: {seen.died}"
        return [Answered(None, "RuntimeError", reason)] * len(questions)
    return [_answered(outcome, message) for outcome, message in zip(seen.outcomes, seen.messages, strict=True)]


def _answered(outcome: Outcome, message: str | None) -> Answered:
    if outcome.error:
        return Answered(None, outcome.error.removeprefix("candidate."), (message or "").partition(": ")[2])
    value, after = decode(outcome.value)
    return Answered(value, args_after=after)
