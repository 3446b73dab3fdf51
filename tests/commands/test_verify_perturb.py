"""The commands `verify` and `perturb`: their exit codes, and what they print."""

from __future__ import annotations

import json
import re

import pytest

from semrep_jax import main

SUM = "def f(n: int) -> int:\n    t = 0\n    for i in range(n):\n        t += i\n    return t\n"


@pytest.fixture
def files(tmp_path):
    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
        return [str(tmp_path / f"{name}.py") for name in texts]

    return write


def test_verify_ends_with_0_1_or_2_and_says_why(files, capsys):
    even, bit, half = (
        "def f(n: int):\n    return n % 2 == 0\n",
        "def f(n):\n    return not n & 1\n",
        "def f(n):\n    return n % 4 == 0\n",
    )
    a, b, c, d = files(a=even, b=bit, c=half, d="def f(n: int):\n    while True:\n        pass\n")
    assert main.main(["verify", a, b]) == 0 and "equivalent on 2" in capsys.readouterr().out
    assert main.main(["verify", a, c, "--json"]) == 1
    finding = json.loads(capsys.readouterr().out)
    assert finding["answer"] == "different" and "is True, got False" in finding["counterexample"]
    assert main.main(["verify", d, a]) == 2 and "unknown" in capsys.readouterr().out
    assert main.main(["verify", a + "x", b]) == 2 and "can't be read" in capsys.readouterr().err


def test_verify_says_what_it_rests_on_and_leaves_nothing_behind(files, capsys, monkeypatch, tmp_path):
    a, b = files(
        a="def f(x: float, s: str):\n    return [x, s.upper()]\n", b="def f(x: float, s: str):\n    return [x, s]\n"
    )
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert main.main(["verify", a, a, "--ignore-sharing"]) == 0
    printed = capsys.readouterr().out
    assert (
        re.search(r"f: 2\d\d returned", printed)
        and "different outcomes" in printed
        and "shared references: ignored" in printed
    )
    assert main.main(["verify", a, b, "--json"]) == 1
    finding = json.loads(capsys.readouterr().out)
    assert finding["evidence"]["f"]["returned"] >= 250 and finding["shared_references"] == "compared"
    assert main.main(["perturb", a, "--kinds", "quotes"]) in (0, 1)
    assert not list(here.iterdir())


def test_verify_runs_a_persons_tests_too(files, capsys):
    a, b, tests = files(
        a="def f(n: int):\n    return n\n", b="def f(n: int):\n    return n if n * n != 10000600009 else 0\n",
        tests="from a import f\ndef test_far():\n    assert f(100003) == 100003\n",
    )  # fmt: skip
    assert main.main(["verify", a, b, "--inputs", "20", "--tests", tests]) == 1  # no input is a root of a constant
    assert "test_far" in capsys.readouterr().out


def test_perturb_prints_verified_variants_and_says_what_it_dropped(files, capsys):
    (a,) = files(a=SUM)
    assert main.main(["perturb", a, "-n", "2", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2 and all(line["rules"] for line in lines)
    assert main.main(["perturb", a, "-n", "3", "--kinds", "while_true"]) == 1
    assert "0 of 3" in capsys.readouterr().err
    assert main.main(["perturb", a, "--kinds", "nope"]) == 2 and "'nope'" in capsys.readouterr().err


def test_variants_of_a_file_in_another_encoding_are_the_same_programs_once_saved(tmp_path, capsys):
    path = tmp_path / "latin.py"
    path.write_bytes(b"# -*- coding: latin-1 -*-\ndef f(n: int):\n    return '\xe9' * n\n")
    assert main.main(["perturb", str(path), "--kinds", "add_comment"]) == 0
    saved = capsys.readouterr().out
    exec(compile(saved.encode(), "saved", "exec"), scope := {})
    assert scope["f"](2) == "éé" and "# -*- coding: utf-8 -*-" in saved
