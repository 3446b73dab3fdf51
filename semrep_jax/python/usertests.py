"""A person's own test file run against a program, without the two ever meeting in one process.

The tests (`test_*` functions with asserts) run contained, in a process where the module they import is a table of answers.
A call that the table lacks ends that test and is asked of the program, in a process of its own; the answer, plain data, goes into the
table and the tests run again, until none asks anything new. So the program can neither read the tests nor reach their verdict.

Covers tests that import functions of the module and call them with plain values. Anything else fails with the reason.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Outcome
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.sandbox.wire import decode, encode

LIMITS = Limits(cpu_seconds=5.0, wall_seconds=10.0, memory_mb=512)
MAX_ROUNDS = 400
_CALLER = """
def __semrep_call(name, args, kwargs):
    return globals()[name](*args, **kwargs), args
"""
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


def run(program: str, module: str, tests: str, sandbox: Sandbox) -> list[TestResult]:
    """Run every test of the text `tests`, which imports `module`, on `program`. Raises TaskError for a test file that can't run."""
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
        asked = [call for _, state, _, call in report if state == "asks"]
        if not asked:
            return [TestResult(name, state == "passed", message) for name, state, message, _ in report]
        table += _answers(program, asked, sandbox)
    raise TaskError(f"the tests ask for more than {MAX_ROUNDS} calls one after the other; give fewer or smaller tests")


def _answers(program: str, calls: list[Any], sandbox: Sandbox) -> list[Any]:
    """What the program gives for each (name, args, kwargs): [name, args, kwargs, (value, error, message, args afterwards)]."""
    seen = sandbox.run(program + _CALLER, "__semrep_call", [encode((n, a, k)) for n, a, k in calls], LIMITS)
    if not seen.outcomes:
        reason = seen.load_error or f"the program ended early: {seen.died}"
        return [[n, a, k, (None, "RuntimeError", reason, None)] for n, a, k in calls]
    return [
        [n, a, k, _answer(outcome, message)]
        for (n, a, k), outcome, message in zip(calls, seen.outcomes, seen.messages, strict=True)
    ]


def _answer(outcome: Outcome, message: str | None) -> tuple[Any, str | None, str, Any]:
    if outcome.error:
        text = (message or "").partition(": ")[2]
        return None, outcome.error.removeprefix("candidate."), text, None
    value, after = decode(outcome.value)
    return value, None, "", after


def read(path: Path) -> str:
    """The text of a test file. Raises TaskError."""
    try:
        text = path.read_text()
        syntax.module(text)
    except OSError as error:
        raise TaskError(f"tests {path} can't be read: {error.strerror}") from error
    except SyntaxError as error:
        raise TaskError(f"tests {path} is not Python: line {error.lineno}: {error.msg}") from error
    return text
