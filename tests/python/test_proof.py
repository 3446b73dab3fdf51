"""A proof follows every path; what it suspects is run, and what stops it is said."""

from __future__ import annotations

import pytest

from semrep_jax.languages import Answer, Finding
from semrep_jax.python import proof
from semrep_jax.python.equivalence import Reference
from semrep_jax.python.proof import prove

pytest.importorskip("crosshair", reason="the extra prove is not installed")


def test_a_proof_follows_every_path_and_its_suspicions_are_run(sandbox):
    even = Reference("def f(n: int) -> bool:\n    return n % 2 == 0\n", sandbox, 20)
    other = "def f(n: int) -> bool:\n    return n % 2 != 1\n"
    assert prove(even, other, even.compare(other), seconds=60).proved  # half a second's work where the machine is quiet
    far = "def f(n: int) -> bool:\n    return n % 2 == 0 or n - 5 == 987654322\n"  # no input of ours meets it
    finding = even.compare(far)
    assert finding.answer is Answer.UNKNOWN
    found = prove(even, far, finding, seconds=60)
    assert found.answer is Answer.DIFFERENT and "987654327" in found.counterexample


def test_a_proof_that_breaks_off_says_why(sandbox):
    reference = Reference("def f(n: int) -> int:\n    return n + 1\n", sandbox, 20)
    deep = "def f(n: int) -> int:\n    left = n % 997\n    while left:\n        left -= 1\n    return 1 + n\n"
    assert (
        "did not follow all paths of f to their end in 1 s"
        in prove(reference, deep, reference.compare(deep), seconds=1).reason
    )
    finding = reference.compare("def f(n: int) -> int:\n    return 1 + n\n")
    broken = "from math import nowhere\n\n\ndef f(n: int) -> int:\n    return n + 1\n"
    assert "CrossHair failed on f: ImportError" in prove(reference, broken, finding).reason
    reaching = "import nowhere_to_be_found\n\n\ndef f(n: int) -> int:\n    return n + 1\n"
    assert "nowhere_to_be_found may reach out of the program" in prove(reference, reaching, finding).reason


def test_a_proof_without_hints_is_refused_with_the_reason(sandbox):
    reference = Reference("def f(n):\n    return n\n", sandbox, 20)
    found = prove(reference, "def f(n):\n    return n\n", reference.compare("def f(n):\n    return n\n"))
    assert not found.proved and "no type hint" in found.reason


def test_a_hostile_program_under_proof_harms_nothing(sandbox, tmp_path):
    left = tmp_path / "left"
    writes = f"open({str(left)!r}, 'w').write('x')"
    hostile = (
        f"import os\ntry:\n    {writes}\nexcept BaseException:\n    pass\ndef f(n: int) -> int:\n    os._exit(0)\n"
    )
    reference = Reference("def f(n: int) -> int:\n    return n\n", sandbox, 20)
    finding = reference.compare(hostile)
    assert finding.answer is Answer.DIFFERENT
    assert not prove(reference, hostile, Finding(Answer.EQUIVALENT, 20)).proved and not left.exists()


ADD = "def f(n: int, more: int = 1) -> int:\n    return n + more\n"
# Each pair was once proved equivalent, or its difference talked away.
FALSE = {
    "a default": (ADD, ADD.replace("= 1", "= 2")),
    "a truth value and a number": (
        "def f(n: int):\n    return n == 7\n",
        "def f(n: int):\n    return 1 if n == 7 else 0\n",
    ),
    "a whole float": ("def f(n: int):\n    return n * 2\n", "def f(n: int):\n    return n * 2.0\n"),
    "infinity": ("def f(x: float):\n    return x - x\n", "def f(x: float):\n    return 0.0\n"),
    "an instance": (
        "class P:\n    def __init__(self, n):\n        self.n = n\ndef f(n: int):\n    return P(n)\n",
        "class P:\n    def __init__(self, n):\n        self.n = n\ndef f(n: int):\n    return P(-n)\n",
    ),
    "what is printed": ("def f(n: int):\n    print(n)\n", "def f(n: int):\n    pass\n"),
    "a private variable": (
        "_n = [0]\ndef f(n: int):\n    _n[0] += 1\n    return n if _n[0] < 9999 else 0\n",
        "_n = [0]\ndef f(n: int):\n    _n[0] += 1\n    return n\n",
    ),
    "the surroundings": (
        "import os\ndef f(n: int):\n    return n\n",
        "import os\ndef f(n: int):\n    return n + ('DEBUG' in os.environ)\n",
    ),
    "an attribute of the function": (
        "def f(n: int):\n    f.last = n\n    return n\n",
        "def f(n: int):\n    return n\n",
    ),
    "a truth value that is an integer": (
        "def f(n: int):\n    return isinstance(n, bool)\n",
        "def f(n: int):\n    return False\n",
    ),
    "a truth value and a number in a set": (
        "def f(n: int) -> set[bool]:\n    return {[False, True][n == 3 * 98765]}\n",
        "def f(n: int) -> set[bool]:\n    return {[False, 1][n == 3 * 98765]}\n",
    ),
    "a class below tuple": (
        "def f(n: int) -> tuple[int]:\n    return (n,)\n",
        "class L(tuple):\n    pass\ndef f(n: int) -> tuple[int]:\n    return (n,) if n != 3 * 98765 else L((n,))\n",
    ),
    "the order of a dict": (
        "def f(a: bool):\n    return {1: a, 2: a}\n",
        "def f(a: bool):\n    return {2: a, 1: a}\n",
    ),
}


@pytest.mark.parametrize("name", FALSE)
def test_no_certificate_is_false(name, sandbox):
    a, b = FALSE[name]
    reference = Reference(a, sandbox, 20)
    found = prove(reference, b, Finding(Answer.EQUIVALENT, 20), seconds=8)  # as if no input had told them
    assert not found.proved and (found.answer is not Answer.EQUIVALENT or found.reason)


SAME = "def f(n: int) -> int:\n    return n\n"
MANY = "def f(n: int) -> int:\n    return n + len({}) // 50000\n"
# What counts the calls, which no call alone shows.
COUNTING = {
    "a default": "def _seen(to=[]):\n    to.append(1)\n    return to\n" + MANY.format("_seen()"),
    "a default of a method": "class _S:\n    def seen(self, *, to=[]):\n        to.append(1)\n        return to\n"
    + MANY.format("_S().seen()"),
    "a default of a lambda": "def _key(to=lambda to=[]: to):\n    to().append(1)\n    return to()\n"
    + MANY.format("_key()"),
    "a class variable": "class _S:\n    to = []\ndef _seen():\n    _S.to.append(1)\n    return _S.to\n"
    + MANY.format("_seen()"),
    "a cached list": "from functools import lru_cache\n@lru_cache(maxsize=None)\ndef _made():\n    return []\n"
    "def _seen():\n    _made().append(1)\n    return _made()\n" + MANY.format("_seen()"),
    "a decorator": "def _counting(g):\n    to = []\n    def inner():\n        to.append(1)\n        return to\n"
    "    return inner\n@_counting\ndef _seen():\n    pass\n" + MANY.format("_seen()"),
    "a loop": "for _to in [[]]:\n    pass\ndef _seen():\n    _to.append(1)\n    return _to\n" + MANY.format("_seen()"),
    "two variables": "_to, _n = [], 1\ndef _seen():\n    _to.append(1)\n    return _to\n" + MANY.format("_seen()"),
    "hints": "def _seen():\n    to = _seen.__annotations__\n    to[len(to)] = 1\n    return to\n"
    + MANY.format("_seen()"),
}


def _proved(a, b, sandbox, monkeypatch):
    """What becomes of a pair whose paths CrossHair has followed to the end and found alike."""
    monkeypatch.setattr(proof, "_follow", lambda *given: {"exhausted": True})
    return prove(Reference(a, sandbox, 20), b, Finding(Answer.EQUIVALENT, 20))


@pytest.mark.parametrize("name", COUNTING)
def test_no_certificate_for_programs_that_can_count_their_calls(name, sandbox, monkeypatch):
    for a, b in ((SAME, COUNTING[name]), (COUNTING[name], SAME)):
        found = _proved(a, b, sandbox, monkeypatch)
        assert not found.proved and "state that outlives a call" in found.reason


def test_what_each_call_makes_anew_is_no_state(sandbox, monkeypatch):
    for anew in (
        "def f(n: int) -> int:\n    def g(x, to=[n], m=n):\n        to.append(x)\n        return m\n    return g(1)\n",
        "from dataclasses import dataclass, field\n@dataclass\nclass _P:\n    x: int\n    y: int = 0\n"
        "    z: list = field(default_factory=list)\ndef f(n: int) -> int:\n    return _P(n).x\n",
        "_N = (0, -1)\ndef f(n: int) -> int:\n    return n + _N[0]\n",
    ):
        assert _proved(SAME, anew, sandbox, monkeypatch).proved


def test_what_crosshair_names_and_running_does_not_show_is_unknown(sandbox, monkeypatch):
    source = "def f(n: int):\n    return n\n"
    reference = Reference(source, sandbox, 20)
    monkeypatch.setattr(proof, "_follow", lambda *given: {"difference": {"n": "nan"}})
    found = prove(reference, source, reference.compare(source))
    assert found.answer is Answer.UNKNOWN and "f(n=nan)" in found.reason


def test_a_difference_at_infinity_is_run_and_told(sandbox, monkeypatch):
    reference = Reference("def f(x: float):\n    return x - x\n", sandbox, 20)
    monkeypatch.setattr(proof, "_follow", lambda *given: {"difference": {"x": "inf"}})
    found = prove(reference, "def f(x: float):\n    return 0.0\n", Finding(Answer.EQUIVALENT, 20))
    assert found.answer is Answer.DIFFERENT and "nan" in found.counterexample


def test_a_certificate_names_what_it_covers(sandbox):
    reference = Reference(ADD, sandbox, 20)
    other = ADD.replace("n + more", "more + n")
    found = prove(reference, other, reference.compare(other), seconds=60)
    assert found.proved and "f(n: int, more: int (given and left out))" in found.certificate
    assert "not covered" in found.certificate
