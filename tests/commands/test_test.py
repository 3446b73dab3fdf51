"""`test`: a line a test, an exit code that says what was seen, nothing left behind."""

from __future__ import annotations

import json

import pytest

from semrep_jax import main

PROGRAM = "def double(x):\n    return 2 * x\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sums.py").write_text(PROGRAM)

    def run(tests, *more):
        (tmp_path / "check_sums.py").write_text(tests)
        return main.main(["test", "sums.py", "--tests", "check_sums.py", *more])

    return run


@pytest.mark.parametrize(
    "tests, code, said",
    [
        ("from sums import double\ndef test_a(): assert double(2) == 4", 0, "test_a: passed"),
        ("from sums import double\ndef test_a(): assert double(2) == 5", 1, "test_a: failed  AssertionError at line 2"),
        ("from sums import triple\ndef test_a(): pass", 2, "cannot import name 'triple'"),
        ("import pytest\n@pytest.mark.skip\ndef test_a(): pass", 2, "all are skipped"),
        ("x = 1", 2, "holds no test"),
    ],
)
def test_the_exit_code_says_what_was_seen(files, capsys, tests, code, said):
    assert files(tests) == code
    assert said in capsys.readouterr().out


def test_json_holds_every_test(files, capsys):
    assert files("from sums import *\ndef test_a(): pass\ndef test_b(): assert double(1) == 3", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [(t["name"], t["outcome"]) for t in found["tests"]] == [("test_a", "passed"), ("test_b", "failed")]
    assert found["problem"] is None


def test_a_mistake_is_named_and_nothing_is_left_behind(files, tmp_path, capsys):
    assert main.main(["test", "nowhere.py", "--tests", "check_sums.py"]) == 2
    assert "nowhere.py" in capsys.readouterr().err
    assert files("def test_a(:") == 2
    assert "check_sums.py" in capsys.readouterr().err
    files("def test_a(): open('x', 'w').write('y')")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["check_sums.py", "sums.py"]
