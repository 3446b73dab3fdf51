"""Verdicts: what is right, what is wrong, and what they say."""

import pytest

from semrep_jax import prompts
from semrep_jax.core.programs import Case, Duplicate, Outcome, Program, Status, Task, Tests
from semrep_jax.python import PYTHON
from semrep_jax.sandbox.wire import encode


def case(args: tuple, value: object = None, **outcome: object) -> Case:
    return Case(encode(args), Outcome(value=encode(value), **outcome))


def program(source: str) -> Program:
    return Program(PYTHON, source)


SOURCE = program("def f(x):\n    return x + 1")
TASK = Task("t", SOURCE, Tests("f", (case((1,), 2), case((5,), 6))), Tests("f", (case((0,), 0),)))


def one(verifier, source: str, task: Task = TASK):
    return verifier.verify(task, [program(source)])[0]


def test_a_correct_program_passes_both_sets_and_the_source_only_one(verifier):
    good = one(verifier, "def f(y):\n    return y + 1 if y else 0")
    assert good.status is Status.OK and good.correct and good.duplicate is Duplicate.NONE
    same_again = one(verifier, SOURCE.source)
    assert same_again.duplicate is Duplicate.EXACT and same_again.equivalent and not same_again.correct


def test_a_renamed_copy_is_a_canonical_duplicate(verifier):
    assert one(verifier, "def f(other):  # hi\n    return other + 1").duplicate is Duplicate.CANONICAL


@pytest.mark.parametrize(
    ("source", "status", "says"),
    [
        ("def f(x: return x", Status.COMPILE, "SyntaxError"),
        ("raise KeyError('early')", Status.COMPILE, "early"),
        ("def g(x): return x", Status.COMPILE, "KeyError"),
        ("def f(x): return x", Status.WRONG, "f(1) is 2, got 1"),
        ("def f(x): return float(x + 1)", Status.WRONG, "got 2.0"),
        ("def f(x): return x / 0", Status.WRONG, "ZeroDivisionError"),
        ("def f(x):\n    while True: pass", Status.TIMEOUT, "timeout"),
        ("def f(x): return len('a' * 10**10)", Status.MEMORY, "MemoryError"),
        ("def f(x): return (yield x)", Status.WRONG, "generator"),
        ("import os\ndef f(x): os._exit(0)", Status.CRASH, "ended early"),
    ],
)
def test_each_failure_has_its_status_and_says_what_happened(verifier, source, status, says):
    verdict = one(verifier, source)
    assert verdict.status is status and says in verdict.feedback and not verdict.correct


def test_mutated_arguments_and_printed_text_are_part_of_the_behaviour(verifier):
    task = Task("m", program("def f(xs):\n    return sorted(xs)"), Tests("f", (case(([2, 1],), [1, 2]),)), Tests("f"))
    assert one(verifier, "def f(xs):\n    return sorted(xs)", task).equivalent
    assert not one(verifier, "def f(xs):\n    xs.sort()\n    return xs", task).equivalent
    assert not one(verifier, "def f(xs):\n    print(1)\n    return sorted(xs)", task).equivalent


def test_an_expected_exception_class_must_be_the_builtin_one(verifier):
    task = Task("e", SOURCE, Tests("f", (Case(encode((0,)), Outcome(error="ValueError")),)), Tests("f"))
    assert one(verifier, "def f(x): raise ValueError('a')", task).equivalent
    assert not one(verifier, "class ValueError(Exception): pass\ndef f(x): raise ValueError('a')", task).equivalent


def test_a_completion_without_a_program_is_a_format_failure(verifier):
    program_, why = prompts.extract("def f(:", PYTHON)
    assert program_ is None
    verdict = verifier.verify_all([(TASK, why)])[0]
    assert verdict.status is Status.FORMAT and verdict.feedback == why and verdict.preserve.total == 2


@pytest.mark.parametrize("text", ["", "\n", "x <|program|> y", "def f("])
def test_text_that_is_no_program_is_refused_with_a_reason(text):
    program_, why = prompts.extract(text, PYTHON)
    assert program_ is None and why


def test_a_repeated_program_is_answered_from_the_cache(verifier):
    first = one(verifier, "def f(x): return x + 2 - 1")
    known = verifier.saved.known
    assert one(verifier, "def f(x): return x + 2 - 1") == first
    assert verifier.saved.known == known + 1
