"""Edits of real code, each with tests of its own: what is read of a file, what becomes U_sem and U_edit, and that a
program can't cheat them."""

from __future__ import annotations

import json

import pytest

from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Program, Status
from semrep_jax.python import PYTHON
from semrep_jax.python.usertests import Bench, run_tests
from semrep_jax.python.usertests.asserts import a_test_each
from semrep_jax.python.usertests.file import TestFile
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.tasks import edits, suite
from semrep_jax.tasks.settings import EditsConfig
from semrep_jax.tasks.suite import SuiteRequest
from semrep_jax.verify import Verifier

MEAN = "def mean(xs):\n    return sum(xs) / len(xs)\n"
MENDED = "def mean(xs):\n    return sum(xs) / len(xs) if xs else None\n"
CHECK = "def check():\n    assert mean([1, 3]) == 2\n    assert mean([]) is None\n"
EDIT_EVAL = {"task_id": "EditEval/0", "instruction": "None for none.", "input": MEAN, "output": MENDED, "test": CHECK}


@pytest.fixture(scope="module")
def bench():
    with Bench(seconds=2.0) as bench:
        yield bench


@pytest.fixture(scope="module")
def verifier():
    with Verifier(Sandbox(1)) as verifier:
        yield verifier


def written(folder, *records):
    path = folder / "edits.jsonl"
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))
    return path


def drawn(path, verifier, name="edits", **setting):
    request = SuiteRequest(9, 0, verifier, EditsConfig(path=str(path), **setting))
    return suite.draw(name, request).tasks


def outcomes(text, program, bench):
    return [result.passed for result in run_tests(program, "program", a_test_each(text, "program"), bench).results]


def test_each_assert_is_a_test_and_one_that_fails_hides_no_other(bench):
    assert outcomes(CHECK, MEAN, bench) == [True, False]
    assert outcomes("assert mean([]) is None\nassert mean([4]) == 4", MEAN, bench) == [False, True]
    assert outcomes("def check():\n    assert mean([2]) == 2\n    return True\n", MEAN, bench) == [True]
    assert outcomes("if True:  # tests\n    assert mean([2]) == 2\n    assert mean([4]) == 4", MEAN, bench) == [
        True,
        True,
    ]


def test_asserts_run_once_in_one_state_and_in_their_order(bench):
    program = "class Herd:\n    count = 0\n    def __init__(self):\n        Herd.count += 1\n"
    text = "def check():\n    a = Herd()\n    assert Herd.count == 1\n    b = Herd()\n    assert Herd.count == 2\n"
    assert outcomes(text, program, bench) == [True, True]


def test_what_raises_between_asserts_fails_those_after_it(bench):
    text = "def check():\n    assert mean([2]) == 2\n    mean(None)\n    assert mean([4]) == 4\n"
    assert outcomes(text, MEAN, bench) == [True, False]
    assert outcomes("def check():\n    assert mean([2]) == 2\n    mean(None)\n", MEAN, bench) == [True, False]


def test_asserts_see_private_names_of_the_program(bench):
    assert outcomes("assert _LIMIT == 3 and __version__ == '1'", "_LIMIT, __version__ = 3, '1'\n", bench) == [True]


def test_asserts_that_never_end_fail_and_take_the_time_of_one(bench):
    report = run_tests("def f():\n    while True: pass\n", "program", a_test_each("assert f()\n" * 9, "program"), bench)
    assert not any(result.passed for result in report.results) and len(report.results) == 9
    assert "TookTooLong" in report.results[0].message and "did not end" in report.results[8].message


@pytest.mark.parametrize(
    "record",
    [
        EDIT_EVAL,
        {
            "id": 7,
            "instruction_descriptive": "d",
            "instruction_lazy": "l",
            "before": MEAN,
            "after": MENDED,
            "tests": CHECK,
        },
        {
            "id": "own",
            "instruction": "i",
            "source": MEAN,
            "target": MENDED,
            "tests": "import program\ndef test_1():\n    assert program.mean([2]) == 2\n"
            "def test_2():\n    assert program.mean([]) is None\n",
        },
    ],
    ids=["EditEval", "CanItEdit", "own"],
)
def test_what_both_programs_pass_is_to_be_kept_and_what_the_edit_alone_passes_to_be_satisfied(
    record, tmp_path, verifier
):
    (task,) = drawn(written(tmp_path, record), verifier)
    assert [case.args for case in task.preserve.cases] == ["test_1"]
    assert [case.args for case in task.edit.cases] == ["test_2"]
    right, unchanged, other = verifier.verify(
        task, [task.solution, task.source, Program(PYTHON, "def mean(xs):\n    return None\n")]
    )
    assert right.correct and right.status == Status.OK
    assert unchanged.equivalent and not unchanged.correct and "test_2" in unchanged.feedback
    assert not other.equivalent and (other.edit.passed, other.edit.total) == (1, 1)


def test_the_short_instruction_is_taken_where_it_is_asked_for(tmp_path, verifier):
    record = {"id": 1, "instruction_descriptive": "long", "instruction_lazy": "short", "before": MEAN}
    path = written(tmp_path, record | {"after": MENDED, "tests": CHECK})
    assert drawn(path, verifier)[0].instruction == "long"
    assert drawn(path, verifier, lazy=True)[0].instruction == "short"


def test_programs_that_do_not_load_or_end_their_process_are_judged(tmp_path, verifier):
    (task,) = drawn(written(tmp_path, EDIT_EVAL), verifier)
    bad = ["import no_such_module\n" + MENDED, "import os\ndef mean(xs):\n    os._exit(0)\n"]
    fails, ends = verifier.verify(task, [Program(PYTHON, text) for text in bad])
    assert fails.status == Status.COMPILE and not fails.compiled and "no_such_module" in fails.feedback
    assert not ends.correct and ends.judged


def test_a_frame_holds_the_program_and_its_text(tmp_path, verifier):
    record = EDIT_EVAL | {
        "context": 'import math\n{{Code}}\nedited_code = """\n{{Code}}\n"""\n',
        "test": "def check():\n    assert mean([math.inf]) == math.inf\n    assert 'if xs' in edited_code\n",
    }
    (task,) = drawn(written(tmp_path, record), verifier)
    assert len(task.preserve) == len(task.edit) == 1
    forged = Program(PYTHON, MEAN + 'x = """\n"""\nedited_code = "i" + "f xs"\ny = """\n"""\n')
    quoted = Program(PYTHON, MENDED + 'z = """ """\n')
    cheat, honest = verifier.verify(task, [forged, quoted])
    assert not cheat.correct, "a program can't end the string that it is put into"
    assert honest.correct


def test_a_frame_is_part_of_what_decides_a_verdict():
    file = TestFile("", frame="a {{Code}}")
    assert file.sha256 != TestFile("", frame="b {{Code}}").sha256
    assert file.framed("x") == "a x" and TestFile("").framed("x") == "x"


def test_a_task_is_measured_in_another_form_too(tmp_path, verifier):
    source = "def total(xs):\n    result = 0\n    for x in xs:\n        result += x\n    return result\n"
    target = source.replace("result += x", "result += x if x > 0 else 0")
    tests = "assert total([1, 2]) == 3\nassert total([-1, 2]) == 2\n"
    record = {"id": "t", "instruction": "Only positive.", "source": source, "target": target, "tests": tests}
    path = written(tmp_path, record)
    (task,), (other,) = drawn(path, verifier), drawn(path, verifier, "edits_robustness")
    assert suite.base_of(other.id) == task.id and other.source != task.source
    assert verifier.verify(other, [other.solution])[0].correct


def test_a_record_whose_own_edit_shows_nothing_is_left_out_and_named(tmp_path, verifier, capsys):
    broken = EDIT_EVAL | {"task_id": "EditEval/1", "output": "import no_such_module\n"}
    same = EDIT_EVAL | {"task_id": "EditEval/2", "output": MEAN}
    assert len(drawn(written(tmp_path, EDIT_EVAL, broken, same), verifier)) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "EditEval/1 is left out: its own edit passes no test" in said
    assert "EditEval/2 is left out: its edit passes no test that C_src fails" in said


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ("", "is empty"),
        ("{", r"line 1 is no JSON"),
        ("[]", r"line 1 has the texts of none of these schemas: EditEval: task_id, instruction"),
        ({"task_id": "a", "instruction": "b", "input": "c", "output": "d"}, "has the texts of none"),
        (EDIT_EVAL | {"test": "def check(:\n"}, r"line 1: its tests are no Python \(line 1"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_line(record, why, tmp_path, verifier):
    with pytest.raises(TaskError, match=why):
        drawn(written(tmp_path, record), verifier)


def test_a_line_ends_at_a_newline_and_at_no_other_letter(tmp_path, verifier):
    record = EDIT_EVAL | {"input": MEAN.replace("\n", "  # \u2028 \x85\n", 1)}
    path = written(tmp_path, json.dumps(record, ensure_ascii=False))
    (task,) = drawn(path, verifier)
    assert "\u2028" in task.source.source


def test_a_path_that_is_missing_is_named(tmp_path, verifier):
    with pytest.raises(TaskError, match=r"evaluate\.edits\.path: null"):
        suite.draw("edits", SuiteRequest(1, 0, verifier, EditsConfig()))
    with pytest.raises(TaskError, match=r"evaluate\.edits\.path: .*gone.jsonl can't be read"):
        drawn(tmp_path / "gone.jsonl", verifier)
    assert edits.SUITE.settings is EditsConfig
