"""Whether two programs behave the same is decided by running them: the classic pairs, the commands, the proof."""

from __future__ import annotations

import json

import pytest

from semrep_jax import main
from semrep_jax.languages import Answer, Finding
from semrep_jax.python import inputs
from semrep_jax.python.equivalence import Reference
from semrep_jax.python.inputs import InputError
from semrep_jax.python.proof import prove

SUM = "def f(n: int) -> int:\n    t = 0\n    for i in range(n):\n        t += i\n    return t\n"
DEDUPE = (
    "def f(xs):\n    out = []\n    for x in xs:\n        if x not in out:\n            out.append(x)\n    return out\n"
)
PAIRS = {
    "loop sum against n(n-1)/2": (SUM, "def f(n):\n    return n * (n - 1) // 2\n", Answer.DIFFERENT),  # a negative n
    "loop sum against n(n-1)/2 from 0": (SUM, "def f(n):\n    return n * (n - 1) // 2 if n > 0 else 0\n", Answer.EQUIVALENT),
    "max loop against max()": (
        "def f(xs: list[int]):\n    m = xs[0]\n    for x in xs[1:]:\n        if x > m:\n            m = x\n    return m\n",
        "def f(xs: list[int]):\n    if not xs:\n        raise IndexError\n    return max(xs)\n",
        Answer.EQUIVALENT,
    ),
    "max loop against max() of nothing": (
        "def f(xs: list[int]):\n    m = xs[0]\n    for x in xs:\n        if x > m:\n            m = x\n    return m\n",
        "def f(xs: list[int]):\n    return max(xs)\n",
        Answer.DIFFERENT,  # IndexError against ValueError
    ),
    "(a+b)(a-b) against a²-b² in floats": (
        "def f(a: float, b: float):\n    return (a + b) * (a - b)\n",
        "def f(a: float, b: float):\n    return a * a - b * b\n",
        Answer.DIFFERENT,
    ),
    "(a+b)(a-b) against a²-b² in integers": (
        "def f(a: int, b: int):\n    return (a + b) * (a - b)\n",
        "def f(a: int, b: int):\n    return a * a - b * b\n",
        Answer.EQUIVALENT,
    ),
    "palindromes by reversal and by halves": (
        "def f(s):\n    return s == s[::-1]\n",
        "def f(s):\n    return all(s[i] == s[-1 - i] for i in range(len(s) // 2))\n",
        Answer.EQUIVALENT,
    ),
    "dedupe in order against a dict": (DEDUPE, "def f(xs):\n    return list(dict.fromkeys(xs))\n", Answer.EQUIVALENT),
    "dedupe in order against a set": (DEDUPE, "def f(xs):\n    return list(set(xs))\n", Answer.DIFFERENT),
    "sorting in place against sorted()": (
        "def f(xs: list[int]):\n    xs.sort()\n    return xs\n", "def f(xs: list[int]):\n    return sorted(xs)\n", Answer.DIFFERENT,
    ),
    "even by remainder and by bit": ("def f(n: int):\n    return n % 2 == 0\n", "def f(n):\n    return n & 1 == 0\n", Answer.EQUIVALENT),
    "half by / and by //": ("def f(n: int):\n    return n / 2\n", "def f(n: int):\n    return n // 2\n", Answer.DIFFERENT),
    "gcd by recursion and by loop": (
        "def gcd(a: int, b: int):\n    return a if b == 0 else gcd(b, a % b)\n",
        "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n",
        Answer.EQUIVALENT,
    ),
    "a rare text": ("def f(s: str):\n    return s == 'xyzzy'\n", "def f(s: str):\n    return False\n", Answer.DIFFERENT),
    "printed text": ("def f(n: int):\n    print(n)\n", "def f(n: int):\n    print(n, end='')\n", Answer.DIFFERENT),
    "chance": ("import random\ndef f(n: int):\n    return random.random()\n", "def f(n: int):\n    return 0.5\n", Answer.UNKNOWN),
    "no end": ("def f(n: int):\n    while True:\n        pass\n", "def f(n: int):\n    return 1\n", Answer.UNKNOWN),
    "an end where there was none": (SUM, "def f(n):\n    while n > 1:\n        pass\n    return 0\n", Answer.DIFFERENT),
    "a function that is gone": (SUM, "def g(n):\n    return 1\n", Answer.DIFFERENT),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_a_classic_pair_is_decided_right(name, sandbox):
    a, b, answer = PAIRS[name]
    finding = Reference(a, sandbox).compare(b)
    assert finding.answer is answer
    assert bool(finding.counterexample) == (answer is Answer.DIFFERENT) and bool(finding.reason) == (
        answer is Answer.UNKNOWN
    )


def test_a_counterexample_is_made_small(sandbox):
    finding = Reference(DEDUPE, sandbox).compare("def f(xs):\n    return list(xs)\n")
    assert len(finding.counterexample) < 60  # two things that are the same


def test_the_same_seed_gives_the_same_inputs_and_another_gives_others(sandbox):
    one, two, three = (inputs.generate(DEDUPE, "f", sandbox, 60, seed) for seed in (1, 1, 2))
    assert one == two != three and len(one) >= 50


def test_inputs_come_from_doctests_hints_and_constants(sandbox):
    source = (
        'def f(a, b: str):\n    """\n    >>> f(12345, "seen")\n    1\n    """\n    return a == 777 or b == "magic"\n'
    )
    calls = inputs.generate(source, "f", sandbox, 200)
    assert calls[0] == ["t", 12345, "seen"]
    assert (
        any(c[1] == 777 for c in calls)
        and any("magic" in c[2] for c in calls)
        and all(isinstance(c[2], str) for c in calls)
    )


def test_what_cannot_be_called_is_an_error_that_says_so(sandbox):
    for source, words in (
        ("x = 1\n", "no function at its top"),
        ("def f(:", "line 1"),
        ("def f(*, a):\n    return a\n", "keyword arguments"),
    ):
        with pytest.raises(InputError, match=words):
            Reference(source, sandbox)


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
    said = json.loads(capsys.readouterr().out)
    assert said["answer"] == "different" and "f(2) is True, got False" in said["counterexample"]
    assert main.main(["verify", d, a]) == 2 and "unknown" in capsys.readouterr().out
    assert main.main(["verify", a + "x", b]) == 2 and "can't be read" in capsys.readouterr().err


def test_verify_runs_a_persons_tests_too(files, capsys):
    a, b, tests = files(
        a="def f(n: int):\n    return n\n", b="def f(n: int):\n    return n if n != 123457 else 0\n",
        tests="from a import f\ndef test_far():\n    assert f(123457) == 123457\n",
    )  # fmt: skip
    assert (
        main.main(["verify", a, b, "--inputs", "20", "--tests", tests]) == 1
    )  # the constant is in B, whose texts no input is made of
    assert "test_far" in capsys.readouterr().out


def test_perturb_prints_verified_variants_and_says_what_it_dropped(files, capsys):
    (a,) = files(a=SUM)
    assert main.main(["perturb", a, "-n", "2", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2 and all(line["rules"] for line in lines)
    assert main.main(["perturb", a, "-n", "3", "--kinds", "while_true"]) == 1
    assert "0 of 3" in capsys.readouterr().err
    assert main.main(["perturb", a, "--kinds", "nope"]) == 2 and "'nope'" in capsys.readouterr().err


def test_a_proof_follows_every_path_and_its_suspicions_are_run(sandbox):
    pytest.importorskip("crosshair", reason="the extra prove is not installed")
    even = Reference("def f(n: int) -> bool:\n    return n % 2 == 0\n", sandbox, 20)
    other = "def f(n: int) -> bool:\n    return n % 2 != 1\n"
    assert prove(even, other, even.compare(other), seconds=60).proved  # half a second's work where the machine is quiet
    far = "def f(n: int) -> bool:\n    return n % 2 == 0 or n == 987654321\n"  # no input of ours meets it
    finding = even.compare(far)
    assert finding.answer is Answer.EQUIVALENT
    found = prove(even, far, finding, seconds=60)
    assert found.answer is Answer.DIFFERENT and "987654321" in found.counterexample


def test_a_proof_that_breaks_off_says_why(sandbox):
    pytest.importorskip("crosshair", reason="the extra prove is not installed")
    reference = Reference("def f(n: int) -> int:\n    return n + 1\n", sandbox, 20)
    deep = (
        "def f(n: int) -> int:\n    while n > 10**9:\n        pass\n    return 1 + n\n"  # no input of ours goes there
    )
    assert (
        "did not follow all paths of f to their end in 1 s"
        in prove(reference, deep, reference.compare(deep), seconds=1).reason
    )
    broken = "import nowhere_to_be_found\n\n\ndef f(n: int) -> int:\n    return n + 1\n"
    finding = reference.compare("def f(n: int) -> int:\n    return 1 + n\n")
    assert "CrossHair failed on f: ModuleNotFoundError" in prove(reference, broken, finding).reason


def test_a_proof_without_hints_is_refused_with_the_reason(sandbox):
    pytest.importorskip("crosshair", reason="the extra prove is not installed")
    reference = Reference("def f(n):\n    return n\n", sandbox, 20)
    found = prove(reference, "def f(n):\n    return n\n", reference.compare("def f(n):\n    return n\n"))
    assert not found.proved and "no type hint" in found.reason


def test_a_hostile_program_under_proof_harms_nothing(sandbox, tmp_path):
    pytest.importorskip("crosshair", reason="the extra prove is not installed")
    left = tmp_path / "left"
    writes = f"open({str(left)!r}, 'w').write('x')"
    hostile = (
        f"import os\ntry:\n    {writes}\nexcept BaseException:\n    pass\ndef f(n: int) -> int:\n    os._exit(0)\n"
    )
    reference = Reference("def f(n: int) -> int:\n    return n\n", sandbox, 20)
    finding = reference.compare(hostile)
    assert finding.answer is Answer.DIFFERENT
    assert not prove(reference, hostile, Finding(Answer.EQUIVALENT, 20)).proved and not left.exists()
