"""Whether two programs behave the same is decided by running them: the classic pairs."""

from __future__ import annotations

import pytest

from semrep_jax.languages import Answer
from semrep_jax.python.equivalence import Reference

SUM = "def f(n: int) -> int:\n    t = 0\n    for i in range(n):\n        t += i\n    return t\n"
DEDUPE = (
    "def f(xs):\n    out = []\n    for x in xs:\n        if x not in out:\n            out.append(x)\n    return out\n"
)
MAX = "def f(xs: list[int]):\n    m = xs[0]\n    for x in xs:\n        if x > m:\n            m = x\n    return m\n"
PAIRS = {
    "loop sum against n(n-1)/2": (SUM, "def f(n):\n    return n * (n - 1) // 2\n", Answer.DIFFERENT),  # a negative n
    "loop sum against n(n-1)/2 from 0": (
        SUM,
        "def f(n):\n    return n * (n - 1) // 2 if n > 0 else 0\n",
        Answer.EQUIVALENT,
    ),
    "max loop against max()": (
        MAX.replace("in xs:", "in xs[1:]:"),
        "def f(xs: list[int]):\n    if not xs:\n        raise IndexError\n    return max(xs)\n",
        Answer.EQUIVALENT,
    ),
    "max loop against max() of nothing": (
        MAX,
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
        "def f(xs: list[int]):\n    xs.sort()\n    return xs\n",
        "def f(xs: list[int]):\n    return sorted(xs)\n",
        Answer.DIFFERENT,
    ),
    "even by remainder and by bit": (
        "def f(n: int):\n    return n % 2 == 0\n",
        "def f(n):\n    return n & 1 == 0\n",
        Answer.EQUIVALENT,
    ),
    "half by / and by //": (
        "def f(n: int):\n    return n / 2\n",
        "def f(n: int):\n    return n // 2\n",
        Answer.DIFFERENT,
    ),
    "gcd by recursion and by loop": (
        "def gcd(a: int, b: int):\n    return a if b == 0 else gcd(b, a % b)\n",
        "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n",
        Answer.EQUIVALENT,
    ),
    "a rare text": (
        "def f(s: str):\n    return s == 'xyzzy'\n",
        "def f(s: str):\n    return False\n",
        Answer.DIFFERENT,
    ),
    "printed text": (
        "def f(n: int):\n    print(n)\n",
        "def f(n: int):\n    print(n, end='')\n",
        Answer.DIFFERENT,
    ),
    "chance": (
        "import random\ndef f(n: int):\n    return random.random()\n",
        "def f(n: int):\n    return 0.5\n",
        Answer.UNKNOWN,
    ),
    "no end": (
        "def f(n: int):\n    while True:\n        pass\n",
        "def f(n: int):\n    return 1\n",
        Answer.UNKNOWN,
    ),
    "an end where there was none": (
        SUM,
        "def f(n):\n    while n > 1:\n        pass\n    return 0\n",
        Answer.DIFFERENT,
    ),
    "a function that is gone": (SUM, "def g(n):\n    return 1\n", Answer.DIFFERENT),
}


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
