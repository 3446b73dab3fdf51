"""Verdicts: what is right, what is wrong, and what they say."""

import os

import pytest

from semrep_jax import prompts
from semrep_jax.core.programs import Case, Duplicate, Outcome, Program, Status, Task, Tests
from semrep_jax.languages import fenced_blocks
from semrep_jax.python import PYTHON
from semrep_jax.rewards import DuplicateRule
from semrep_jax.sandbox.faults import BUSY, KILLED
from semrep_jax.sandbox.pool import MORE_PATIENCE, Limits, Observation, Sandbox
from semrep_jax.sandbox.wire import encode
from semrep_jax.verify import Verifier


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


@pytest.mark.parametrize("text", ["%s", "```python\n%s```", "As you said:\n```\n%s\n```\n", "%s<|end|>"])
def test_a_byte_order_mark_before_a_program_is_no_part_of_it(text):
    marked, plain = (prompts.extract(text % (mark + "def f(x): return x\n"), PYTHON)[0] for mark in ("\ufeff", ""))
    assert marked == plain is not None
    if "```" in text:
        assert not fenced_blocks(text % "\ufeff__global__ void f() {}")[0].body.startswith("\ufeff")


def test_a_repeated_program_is_answered_from_the_cache(verifier):
    first = one(verifier, "def f(x): return x + 2 - 1")
    known = verifier.saved.known
    assert one(verifier, "def f(x): return x + 2 - 1") == first
    assert verifier.saved.known == known + 1


class Flaky(Sandbox):
    """Observes nothing the first `faults` times, as where its own process has died."""

    def __init__(self, faults: int, fault: str = "its process has died"):
        super().__init__(1, Limits())
        self.faults, self.runs, self.walls, self.fault = faults, [], [], fault

    def run(self, source, entry, calls, limits=None):
        self.runs.append(source)
        self.walls.append(self.patience)
        self.faults -= 1
        if self.faults >= 0:
            return Observation(died="timeout", fault=self.fault)
        return super().run(source, entry, calls, limits)


@pytest.mark.parametrize(("fault", "status"), [(BUSY, Status.TIMEOUT), (KILLED, Status.CRASH)])
def test_a_program_that_hides_twice_from_who_looks_has_failed(fault, status):
    """Unjudged members leave their group's baseline: whoever could choose to be one would never pay for failing."""
    good = program("def f(y):\n    return y + 1 if y else 0")
    with Verifier(Flaky(2, fault)) as flaky:
        (verdict,) = flaky.verify(TASK, [good])
        assert verdict.status is status and verdict.judged and verdict.feedback == f"{fault}, twice"
    with Verifier(Flaky(1, fault)) as flaky:
        assert flaky.verify(TASK, [good])[0].status is Status.OK


@pytest.mark.parametrize(("faults", "status", "again"), [(0, Status.OK, 0), (1, Status.OK, 1), (2, Status.UNJUDGED, 1)])
def test_a_fault_of_ours_is_judged_once_more_and_is_then_no_verdict(faults, status, again):
    good = program("def f(y):\n    return y + 1 if y else 0")
    with Verifier(Flaky(faults)) as flaky:
        (verdict,) = flaky.verify(TASK, [good])
        assert verdict.status is status and verdict.judged is (status is Status.OK)
        assert flaky.saved.again == again
        (later,) = flaky.verify(TASK, [good])
        assert later.status is Status.OK  # what nobody saw is not remembered
        assert flaky.sandbox.walls == [1, MORE_PATIENCE, 1][: faults + 1]


def test_a_zygote_that_died_is_no_verdict_on_the_program():
    with Verifier(Sandbox(1, Limits())) as one:
        _, zygote = one.sandbox.free.get()
        one.sandbox.free.put((0, zygote))
        zygote.process.kill()
        assert os.read(zygote.stdout, 1) == b""  # a kill takes its time; now nobody is there to answer
        (verdict,) = one.verify(TASK, [program("def f(y):\n    return y + 1 if y else 0")])
        assert verdict.correct and one.saved.again == 1


def test_nothing_is_run_that_is_known_before():
    renamed, good = program("def f(z):\n    return z + 1"), program("def f(y):\n    return y + 1 if y else 0")
    with Verifier(Flaky(0)) as counting:
        pairs = [(TASK, p) for p in (SOURCE, renamed, good, good, good)] + [(TASK, "no program")]
        first = counting.verify_all(pairs, skip=DuplicateRule.CANONICAL)
        assert counting.sandbox.runs == [good.source]
        assert (counting.saved.copies, counting.saved.repeats, counting.saved.known) == (2, 2, 0)
        assert counting.verify_all(pairs, skip=DuplicateRule.CANONICAL) == first and len(counting.sandbox.runs) == 1
        assert counting.saved.known == 1
        copy = first[1]
        assert copy.equivalent and not copy.correct and copy.facts == {"executed": False} and "not run" in copy.feedback
        counting.verify_all(pairs[:2], skip=DuplicateRule.EXACT)
        assert counting.sandbox.runs[1:] == [renamed.source]
        assert "executed" not in counting.verify(TASK, [SOURCE])[0].facts
