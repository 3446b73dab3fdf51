"""Whether two programs behave the same is decided by running them: the classic pairs."""

from __future__ import annotations

import pytest

from semrep_jax.languages import Answer
from semrep_jax.python import behaviour
from semrep_jax.python.equivalence import Reference
from semrep_jax.python.trace import trace
from semrep_jax.sandbox.pool import Sandbox

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


def test_of_a_program_that_hangs_the_call_is_named_on_which_it_does(sandbox):
    """It was asked of each call of the sequence, each to its limit, and the one at fault was not found: 65 s."""
    finding = Reference(SUM, sandbox).compare("def f(n):\n    while True:\n        pass\n")
    assert finding.answer is Answer.DIFFERENT and finding.counterexample.startswith("f("), finding.counterexample


HEADS = {
    "class": "from dataclasses import dataclass\n@dataclass\nclass Coin:\n    value: int\n",
    "": "",
}
# Programs that differ in what they return, take or leave behind; each pair was once called equivalent.
DIFFERENT = {
    "a counter": ("from collections import Counter\ndef f(s: str):\n    return Counter(SWAP)\n", "s", "s.upper()"),
    "a dataclass": (HEADS["class"] + "def f(n: int):\n    return Coin(SWAP)\n", "n", "n + 1"),
    "a named tuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'a b')\ndef f(n: int):\n    return SWAP\n",
        "P(n, 1)",
        "(n, 1)",
    ),
    "a decimal": ("from decimal import Decimal\ndef f(n: int):\n    return Decimal(SWAP)\n", "n", "n * 10"),
    "a date": (
        "from datetime import date, timedelta\ndef f(n: bool):\n    return date(2020, 1, 30) + timedelta(SWAP)\n",
        "n",
        "not n",
    ),
    "a path": ("from pathlib import Path\ndef f(s: str):\n    return Path(SWAP)\n", "'a' + s", "'a/' + s"),
    "a generator": ("def f(n: int):\n    return (x SWAP for x in range(min(n, 9)))\n", "", "+ 1"),
    "a closure": ("def f(n: int):\n    return lambda k: SWAP\n", "k - n", "n - k"),
    "a counting closure": (
        "def f():\n    seen = [0]\n    def step():\n        SWAP\n        return seen[0]\n    return step\n",
        "seen[0] += 1",
        "seen[0] = 1",
    ),
    "a large integer": ("def f(n: int):\n    return 3 ** 9000 SWAP n % 7\n", "+", "-"),
    "an object with private state": (
        "class _Box:\n    def __init__(self, n):\n        self._n = n\n"
        "    def read(self):\n        return self._n SWAP\n"
        "def f(n: int):\n    return _Box(n)\n",
        "",
        "+ 1",
    ),
    "the sign of zero": ("def f(n: int):\n    return n * SWAP\n", "-0.0", "0.0"),
    "the order of a dict": ("def f(d: dict[str, int]):\n    return dict(SWAP)\n", "d", "sorted(d.items())"),
    "the order of a dict argument afterwards": (
        "def f(d: dict[str, int], k: str):\n    SWAP\n    d[k] = 1\n",
        "d.pop(k, 0)",
        "pass",
    ),
    "a shared row": ("def f(n: bool):\n    return SWAP\n", "[[n] for _ in '12']", "[[n]] * 2"),
    "output and errors": (
        "import sys\ndef f(n: int):\n    print(n, file=SWAP)\n",
        "sys.stdout",
        "sys.stderr",
    ),
    "an argument left out": ("def f(n: int, k: int = SWAP):\n    return n + k\n", "1", "2"),
    "a name that is given": ("def f(SWAP: int):\n    return 1\n", "n", "number"),
    "keyword only": ("def f(*, n: int):\n    return SWAP\n", "n", "-n"),
    "a default kept": (
        "def f(n: int, got=SWAP):\n    got = got or []\n    got.append(n)\n    return got[:]\n",
        "[1]",
        "None",
    ),
    "tabs": ("def f(s: str):\n    return s.strip(SWAP)\n", "", "' '"),
    "digits beyond ASCII": ("def f(s: str):\n    return any(c SWAP for c in s)\n", ".isdigit()", "in '0123456789'"),
    "NaN": ("def f(x: float):\n    return SWAP\n", "x == x", "True"),
    "an iterator consumed": (
        "from typing import Iterable\ndef f(xs: Iterable[int]):\n    SWAP\n    return sum(xs) + len(list(xs))\n",
        "pass",
        "xs = list(xs)",
    ),
    "an Enum": (
        "import enum\nclass Way(enum.Enum):\n    UP = 1\n    DOWN = 2\ndef f(w: Way):\n    return w is Way.SWAP\n",
        "UP",
        "DOWN",
    ),
    "a class of the file": (HEADS["class"] + "def f(c: Coin):\n    return c.value SWAP 2\n", "+", "*"),
    "a callback": ("from typing import Callable\ndef f(g: Callable[[int], int]):\n    return g(SWAP)\n", "1", "2"),
    "attributes of what nobody described": ("def f(who):\n    return who.name * who.SWAP\n", "age", "age % 2"),
    "a date taken": ("from datetime import date\ndef f(d: date):\n    return d.SWAP\n", "month", "day"),
    "a state of the module": (
        "n = 0\ndef add():\n    global n\n    n += SWAP\ndef read():\n    return n\n",
        "1",
        "2 if n == 2 else 1",
    ),
    "a zero-argument function called again": (
        "import itertools\n_it = itertools.count()\ndef f():\n    return SWAP\n",
        "next(_it)",
        "0",
    ),
    "a method": (
        "def f(n: int):\n    return n\nclass Pile:\n    def __init__(self):\n        self.items = []\n"
        "    def push(self, x: int):\n        self.items.append(x)\n"
        "    def pop(self):\n        return self.items.pop(SWAP)\n",
        "",
        "0",
    ),
    "a coroutine": (
        "import asyncio\nasync def f(n: int):\n    await asyncio.sleep(1)\n    return n SWAP\n",
        "",
        "+ 1",
    ),
    "a variable": ("LIMIT = SWAP\ndef f(n: int):\n    return n\n", "3", "4"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_programs_that_differ_are_told(name, sandbox):
    text, one, other = DIFFERENT[name]
    a, b = text.replace("SWAP", one), text.replace("SWAP", other)
    finding = Reference(a, sandbox).compare(b)
    assert finding.answer is Answer.DIFFERENT, finding
    assert Reference(a, sandbox).compare(a + "\n# the same\n").answer is Answer.EQUIVALENT


UNKNOWN = {
    "a value that can't be read": (
        "import threading\ndef f(n: int):\n    return threading.Lock()\n",
        "can't be compared",
    ),
    "arguments that nobody can guess": ("def f(a, b):\n    return a.x()(b).y\n", "no inputs were found"),
    "only errors": ("def f(s: str):\n    raise ValueError\n", "no call returned"),
    "functions that only fail": ("def f(k: int):\n    return lambda a, b: a[0] + b['x'][2] + k\n", "gave nothing"),
    "a class that can't be built": (
        "import abc\nclass Shape(abc.ABC):\n    @abc.abstractmethod\n    def area(self): ...\n"
        "def f(n: int):\n    return n\n",
        "Shape is abstract",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_agreement_without_evidence_is_unknown_and_says_why(name, sandbox):
    source, why = UNKNOWN[name]
    finding = Reference(source, sandbox).compare(source)
    assert finding.answer is Answer.UNKNOWN and why in finding.reason


def test_iterators_that_were_never_read_to_their_end_are_unknown(sandbox):
    source = "def f():\n    for i in range(10**6):\n        yield i\n"
    finding = Reference(source, sandbox).compare(source.replace("10**6", "10**6 + 1"))
    assert finding.answer is Answer.UNKNOWN and "read to its end" in finding.reason


def test_an_operation_that_is_bound_in_the_second_program_alone_is_unknown(sandbox):
    source = "class C:\n    def __neg__(self):\n        return 1\n"
    finding = Reference(source, sandbox).compare(source + "    __invert__ = __neg__\n")
    assert finding.answer is Answer.UNKNOWN and "__invert__" in finding.reason


def test_of_instances_that_are_too_many_to_be_asked_differing_private_state_is_unknown(sandbox):
    source = (
        "class Card:\n    def __init__(self, n: int):\n        self._n = n\n    def rank(self) -> int:\n"
        "        return self._n\ndef deck(n: bool) -> list[Card]:\n    return [Card(i) for i in range(30)]\n"
    )
    finding = Reference(source, sandbox).compare(source.replace("Card(i)", "Card(i % 29)"))
    assert finding.answer is Answer.UNKNOWN and "private state" in finding.reason


def test_evidence_is_counted(sandbox):
    source = "def f(n: int):\n    if n < 0:\n        raise ValueError\n    return n % 3\n"
    finding = Reference(source, sandbox, 100).compare(source)
    counts = finding.evidence["f"]
    assert counts["returned"] > 30 and counts["raised"] > 10 and counts["distinct"] == 4


def test_sharing_can_be_ignored(sandbox):
    one, other = "def f(n: bool):\n    return [[n]] * 2\n", "def f(n: bool):\n    return [[n], [n]]\n"
    assert Reference(one, sandbox).compare(other).answer is Answer.DIFFERENT
    assert Reference(one, sandbox, sharing=False).compare(other).answer is Answer.EQUIVALENT


def test_large_inputs_that_take_too_long_leave_the_small_ones(sandbox):
    source = "def fib(n: int):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
    loop = (
        "def fib(n: int):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n"
        "    return a if n > 0 else n\n"
    )
    finding = Reference(source, sandbox).compare(loop)
    assert finding.answer is Answer.EQUIVALENT and finding.calls > 20


ALIKE = {
    "private state under another name": (
        "class Pile:\n    def __init__(self):\n        self._a = []\n"
        "    def push(self, x: int):\n        self._a.append(x)\n"
        "    def __len__(self):\n        return len(self._a)\n",
        "class Pile:\n    def __init__(self):\n        self._n = 0\n    def push(self, x: int):\n        self._n += 1\n"
        "    def __len__(self):\n        return self._n\n",
    ),
    "a decorator": (
        "import functools\ndef twice(g):\n    @functools.wraps(g)\n    def inner(*a):\n        return g(g(*a))\n"
        "    return inner\n",
        "def twice(g):\n    def inner(*a):\n        first = g(*a)\n        return g(first)\n    return inner\n",
    ),
    "a warning of the library's, that says a line": (
        "import re\n\n\ndef found(name: str, s: str):\n    return re.search('[[' + name + ']', s) is None\n",
        "import re\ndef found(name: str, s: str):\n    return re.search('[[' + name + ']', s) is None\n",
    ),
    "a protocol and what fits it": (
        "from typing import Protocol\nclass Sized(Protocol):\n    def size(self) -> int: ...\n"
        "class Box:\n    def __init__(self, n: int):\n        self.n = n\n"
        "    def size(self) -> int:\n        return self.n\n"
        "def whole(xs: list[Sized]) -> int:\n    return sum(x.size() for x in xs)\n",
        None,
    ),
}


@pytest.mark.parametrize("name", ALIKE)
def test_what_nobody_can_see_from_outside_is_no_difference(name, sandbox):
    one, other = ALIKE[name]
    finding = Reference(one, sandbox, 60).compare(other or one + "\n# the same\n")
    assert finding.answer is Answer.EQUIVALENT, finding


@pytest.mark.parametrize("explain", [True, False])
def test_a_difference_that_is_not_seen_again_is_none(sandbox, monkeypatch, explain):
    other, runs = SUM + "\n", []

    def changing(sandbox: Sandbox, source: str, *rest: object, **more: object) -> object:
        runs.extend([source] if source == other else [])
        return trace(sandbox, source.replace("t += i", "t -= i") if runs == [source] else source, *rest, **more)

    monkeypatch.setattr(behaviour, "trace", changing)
    calls = [["t", n] for n in range(20)]
    finding = behaviour.Behaviour(SUM, "f", calls, sandbox).compare(other, explain)
    assert finding.answer is Answer.UNKNOWN and "seen once" in finding.reason, finding
