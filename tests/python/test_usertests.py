"""A person's tests behave as in pytest, in both directions; the program can neither see them nor touch their verdict."""

from __future__ import annotations

import pytest

from semrep_jax.core.errors import TaskError
from semrep_jax.python import usertests
from semrep_jax.python.usertests import Bench, Outcome


@pytest.fixture(scope="module")
def bench():
    with Bench(seconds=2.0) as one:
        yield one


def outcomes(program, tests, bench):
    report = usertests.run_tests(program, "it", tests, bench)
    assert report.problem is None, report.problem
    return {r.name: r.outcome for r in report.results}


# What a program and its tests do together that must come out as in pytest: (program, lines of one passing test).
TOGETHER = {
    "state of the module": (
        "n = 0\ndef up():\n    global n\n    n += 1\n    return n",
        "assert it.up() == 1 and it.up() == 2 and it.n == 2\nit.n = 10\nassert it.up() == 11",
    ),
    "a mutable default": ("def f(x, xs=[]):\n    xs.append(x)\n    return xs", "it.f(1)\nassert it.f(2) == [1, 2]"),
    "identity": (
        "kept = []\ndef keep(x):\n    kept.append(x)\n    return x\ndef last(): return kept[-1]",
        "a, t, f = [1], (2, []), lambda: 1\nfor x in (a, t, f):\n    assert it.keep(x) is x and it.last() is x\n"
        "assert it.kept[0] is a and it.kept is it.kept",
    ),
    "nested mutation, both ways": (
        "box = {}\ndef put(d): d['k'][0].add(9)\ndef take(xs): box['xs'] = xs\ndef grow(): box['xs'].append(len(box['xs']))",
        "s = {1}\nit.put({'k': [s]})\nassert s == {1, 9}\nxs = []\nit.take(xs)\nit.grow()\nxs.append('t')\nit.grow()\n"
        "assert xs == [0, 't', 2]",
    ),
    "errors": (
        "class Lost(KeyError):\n    def __init__(self, what, hint=None):\n        super().__init__(what)\n"
        "        self.hint = hint\ndef find(x): raise Lost(x, hint=[x])\ndef read(): open('/no/where')",
        "with pytest.raises(it.Lost, match='tea') as e:\n    it.find('tea')\n"
        "assert e.value.args == ('tea',) and e.value.hint == ['tea'] and isinstance(e.value, KeyError)\n"
        "with pytest.raises(FileNotFoundError, match='where') as e:\n    it.read()\nassert e.value.errno == 2",
    ),
    "an error of the tests' own through the program": (
        "def call(f):\n    try:\n        return f()\n    except ValueError as e:\n        raise e",
        "class Own(ValueError): pass\nerror = Own(1)\ndef f(): raise error\n"
        "with pytest.raises(Own) as e:\n    it.call(f)\nassert e.value is error",
    ),
    "classes": (
        "class A:\n    kind = 'a'\n    def __init__(self, n): self.n = n\n    def twice(self): return 2 * self.n\n"
        "    @property\n    def half(self): return self.n / 2\n    def __eq__(self, o): return isinstance(o, A) and self.n == o.n\n"
        "    def __lt__(self, o): return self.n < o.n\n    def __repr__(self): return f'A({self.n})'\n"
        "class B(A):\n    def twice(self): return super().twice() + 1\ndef total(xs): return sum(x.twice() for x in xs)",
        "a, b = it.A(1), it.B(4)\nassert b.twice() == 9 and b.half == 2 and it.A.kind == a.kind == 'a'\n"
        "assert isinstance(b, it.A) and not isinstance(a, it.B) and a == it.A(1) and a != 1 and min(b, a) is a\n"
        "a.n = 7\nassert repr(a) == 'A(7)' and vars(a) == {'n': 7} and a.twice() == 14\n"
        "class C(it.A):\n    def twice(self): return super().twice() * 100\n"
        "assert C(2).twice() == 400 and it.total([a, C(2)]) == 414",
    ),
    "enums, dataclasses, named tuples": (
        "from enum import Enum\nfrom dataclasses import dataclass\nfrom collections import namedtuple\n"
        "class E(Enum):\n    X = 1\n    Y = 2\n@dataclass\nclass D:\n    a: int\n    b: str = 'z'\nP = namedtuple('P', 'u v')\n"
        "def flip(p): return P(p.v, p.u)",
        "import dataclasses\nassert it.E(1) is it.E.X and it.E['Y'].value == 2 and [e.name for e in it.E] == ['X', 'Y']\n"
        "assert it.D(1) == it.D(1, 'z') != it.D(2) and dataclasses.asdict(it.D(3)) == {'a': 3, 'b': 'z'}\n"
        "assert it.flip(it.P(1, 2)) == (2, 1) and it.flip(it.P(1, 2)).u == 2",
    ),
    "generators": (
        "log = []\ndef g(n):\n    try:\n        for i in range(n):\n            got = yield i\n            log.append(got)\n"
        "        return 'end'\n    finally:\n        log.append('shut')",
        "import inspect\nx = it.g(3)\nassert inspect.isgenerator(x) and inspect.isgeneratorfunction(it.g) and it.log == []\n"
        "assert next(x) == 0 and x.send('a') == 1 and it.log == ['a']\nx.close()\nassert it.log == ['a', 'shut']\n"
        "assert list(it.g(2)) == [0, 1]",
    ),
    "functions as values": (
        "def compose(f, g): return lambda x: f(g(x))\ndef counted(f):\n    def w(*a):\n        w.calls += 1\n"
        "        return f(*a)\n    w.calls = 0\n    return w\ndef each(xs, f): [f(x) for x in xs]",
        "assert it.compose(str, lambda x: x + 1)(1) == '2'\nf = it.counted(len)\nf('ab'), f('c')\nassert f.calls == 2\n"
        "out = []\nit.each([1, 2], out.append)\nassert out == [1, 2]",
    ),
    "coroutines": (
        "import asyncio\nasync def late(x):\n    await asyncio.sleep(0.01)\n    return x * 2\n"
        "async def use(f): return await f(1)",
        "import asyncio, inspect\nassert asyncio.run(it.late(4)) == 8 and inspect.iscoroutinefunction(it.late)\n"
        "async def both(): return await asyncio.gather(it.late(1), it.late(2))\nassert asyncio.run(both()) == [2, 4]\n"
        "async def own(x): return x + 1\nassert asyncio.run(it.use(own)) == 2",
    ),
    "text of the program": (
        "def f(a, b=2):\n    'Says.'\n    return a + b  # here",
        "import inspect\nassert '# here' in inspect.getsource(it.f) and it.f.__doc__ == 'Says.'\n"
        "assert str(inspect.signature(it.f)) == '(a, b=2)'",
    ),
    "names put into modules": (
        "import random, time\nLIMIT = 3\ndef over(n): return n > LIMIT\ndef roll(): return random.randint(1, 10**9)\n"
        "def rest(): time.sleep(99)\ndef ask(): return input('? ')",
        "from unittest.mock import patch\nwith patch('it.LIMIT', 9):\n    assert not it.over(5)\nassert it.over(5)\n"
        "random = __import__('random')\nrandom.seed(4)\na = it.roll()\nrandom.seed(4)\nassert it.roll() == a\n"
        "with patch('time.sleep') as sleep:\n    it.rest()\nsleep.assert_called_once_with(99)\n"
        "with patch('builtins.input', return_value='yes'):\n    assert it.ask() == 'yes'",
    ),
    "values of the standard library": (
        "from datetime import date\nfrom decimal import Decimal\nfrom collections import Counter, deque, OrderedDict\n"
        "def same(x): return x\ndef turn(d): d.rotate(1)\ndef order(d): d.move_to_end('a')",
        "from datetime import date, datetime, timezone\nfrom decimal import Decimal\nfrom collections import Counter, OrderedDict, deque\n"
        "from pathlib import Path\nfor x in (date(2024, 2, 29), datetime.now(timezone.utc), Decimal('1.10'), Path('/a'), b'x',\n"
        "          1 << 20000, float('inf'), range(3), frozenset([1]), Counter('aab'), {1: (2, [3])}, 'ä\\ud800'):\n"
        "    assert it.same(x) == x and type(it.same(x)) is type(x)\nd = deque([1, 2])\nit.turn(d)\nassert d == deque([2, 1])\n"
        "o = OrderedDict(a=1, b=2)\nit.order(o)\nassert list(o) == ['b', 'a']",
    ),
    "numpy": (
        "import numpy as np\ndef scale(a, k): return a * k\ndef zero(a): a[0] = 0",
        "import numpy as np\na = np.array([1.0, 2.0])\nnp.testing.assert_allclose(it.scale(a, 3), [3, 6])\nit.zero(a)\n"
        "assert a[0] == 0 and it.scale(a, 2).dtype == np.float64",
    ),
}


@pytest.mark.parametrize("what", TOGETHER)
def test_program_and_tests_behave_as_in_one_process(bench, what):
    program, lines = TOGETHER[what]
    body = "".join(f"    {line}\n" for line in lines.splitlines())
    report = usertests.run_tests(program, "it", f"import pytest\nimport it\ndef test_it():\n{body}", bench)
    assert [(r.outcome, r.message) for r in report.results] == [(Outcome.PASSED, "")], report.problem


def test_pytest_itself_runs_the_tests(bench):
    program = (
        "import os, sys\ndef half(x):\n    if x % 2: raise ValueError('odd')\n    return x // 2\n"
        "def hello(n): print('hello', n); print('!', file=sys.stderr)\ndef save(p): open(p, 'w').write(os.environ.get('K', ''))"
    )
    tests = """
import pytest, unittest
from it import *
@pytest.mark.parametrize("x, y", [(2, 1), (4, 3)])
def test_many(x, y): assert half(x) == y
@pytest.fixture
def six(): return 6
def test_fixture(six): assert half(six) == pytest.approx(3.0)
def test_raises():
    with pytest.raises(ValueError, match="od+"): half(3)
def test_printed(capsys):
    hello("bo")
    assert capsys.readouterr() == ("hello bo\\n", "!\\n")
def test_file(tmp_path, monkeypatch):
    monkeypatch.setenv("K", "v")
    save(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "v"
@pytest.mark.skip(reason="later")
def test_skip(): assert False
@pytest.mark.xfail
def test_known(): assert half(2) == 5
class TestOld(unittest.TestCase):
    def setUp(self): self.x = 8
    def test_half(self): self.assertEqual(half(self.x), 4)
    def test_wrong(self): self.assertEqual(half(self.x), 5)
"""
    assert outcomes(program, tests, bench) == {
        "test_many[2-1]": "passed",
        "test_many[4-3]": "failed",
        "test_fixture": "passed",
        "test_raises": "passed",
        "test_printed": "passed",
        "test_file": "passed",
        "test_skip": "skipped",
        "test_known": "passed",
        "TestOld::test_half": "passed",
        "TestOld::test_wrong": "failed",
    }


def test_statements_at_the_top_that_assert_are_tests(bench):
    tests = "from it import f\nassert f(1) == 2\nassert f(1) == 3\nfor i in range(3):\n    assert f(i) == i + 1\n"
    assert outcomes("def f(x): return x + 1", tests, bench) == {
        "line 2": "passed",
        "line 3": "failed",
        "line 4": "passed",
    }


# What a hostile program does when it is called; no test of its answer may pass.
CHEATS = {
    "equal to all": "class E:\n    def __eq__(self, o): return True\n    __hash__ = None\ndef f(x): return E()",
    "a number equal to all": "class E(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\ndef f(x): return E(9)",
    "all things to all": "class E:\n    def __getattr__(self, n): return self\n    def __call__(self, *a): return self\n"
    "for n in 'eq lt le gt ge contains sub rsub abs add'.split():\n"
    "    setattr(E, f'__{n}__', lambda s, *o, n=n: s if n in ('sub', 'rsub', 'abs', 'add') else True)\ndef f(x): return E()",
    "equal to what is near": "class E:\n    def __eq__(self, o): return isinstance(o, int) and 0 < o < 9\ndef f(x): return E()",
    "a false class": "class E:\n    __class__ = property(lambda s: int)\n    def __eq__(self, o): return True\ndef f(x): return E()",
    "frames": "import sys\ndef f(x):\n    g = sys._getframe()\n    while g:\n        g.f_locals.clear()\n        g = g.f_back\n    return 9",
    "ends": "import os\ndef f(x): os._exit(0)",
    "exits": "def f(x): raise SystemExit(0)",
    "interrupts": "def f(x): raise KeyboardInterrupt",
    "skips": "import unittest\ndef f(x): raise unittest.SkipTest('no need')",
    "hangs": "def f(x):\n    while True: pass",
    "hangs and will not be told": "def f(x):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
    "floods": "def f(x):\n    while True: print('x' * 9999)",
    "crashes": "import ctypes\ndef f(x): ctypes.string_at(0)",
    "forges results": 'import os\ndef f(x):\n    line = b\'{"event": "result", "name": "test_f", "outcome": "passed", "message": ""}\\n\'\n'
    "    for d in range(3, 64):\n        try: os.write(d, line)\n        except OSError: pass\n    return 9",
    "forges messages": "import gc\ndef f(x):\n    for o in gc.get_objects():\n        if type(o).__name__ == 'Bridge':\n"
    "            o.send('give', ['standard', 'builtins', 'exec'])\n    return 9",
    "garbage": "import os\ndef f(x):\n    for d in range(3, 64):\n        try: os.write(d, bytes(99))\n        except OSError: pass\n    return 9",
    "looks for the tests": "import gc, sys\ndef f(x):\n    mark = ''.join(['sec', 'ret_mark'])\n    seen = [o for o in gc.get_objects() if mark in repr(o)[:100000]]\n"
    "    return 2 if seen or 'suite' in sys.modules else 9",
    "reads the files": "import os\ndef f(x):\n    t = ''.join(open(n).read() for n in os.listdir('.') if os.path.isfile(n))\n"
    "    return 2 if ''.join(['sec', 'ret_mark']) in t else 9",
}
TESTS = """
from it import f
secret_mark = 1
def test_f(): assert f(1) == 2
def test_near(): assert abs(f(1) - 2) < 1e-6
def test_in(): assert f(1) in (2, 3)
"""


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_program_can_not_reach_a_verdict(bench, cheat):
    report = usertests.run_tests(CHEATS[cheat], "it", TESTS, bench)
    assert not any(r.passed for r in report.results) and not report.all_passed


@pytest.mark.parametrize("way", ["__globals__", "__closure__", "__code__", "__self__", "__class__", "__reduce_ex__"])
def test_a_program_can_not_leave_an_object_that_the_tests_gave_it(bench, way):
    program = f"def ask(*things):\n    return [object.__getattribute__(t, {way!r}) and t.__getattr__({way!r}) for t in things]"
    tests = "import it\nclass C:\n    def m(self): pass\ndef test_it(): assert not it.ask(C())"
    (result,) = usertests.run_tests(program, "it", tests, bench).results
    assert result.message.startswith("AttributeError")


def test_what_ends_the_process_fails_its_test_alone(bench):
    program = "import os\ndef f(x):\n    if x == 1: os._exit(3)\n    while x == 2: pass\n    return x"
    tests = "from it import f\ndef test_a(): f(1)\ndef test_b(): f(2)\ndef test_c(): assert f(3) == 3\n"
    report = usertests.run_tests(program, "it", tests, bench)
    assert [r.outcome for r in report.results] == ["failed", "failed", "passed"]
    assert "exit code 3" in report.results[0].message and "time limit" in report.results[1].message


def test_a_test_that_hangs_or_ends_itself_fails_alone(bench):
    tests = "import os\ndef test_a():\n    while True: pass\ndef test_b(): os._exit(0)\ndef test_c(): pass\n"
    report = usertests.run_tests("x = 1", "it", tests, bench)
    assert [r.outcome for r in report.results] == ["failed", "failed", "passed"]


def test_why_tests_do_not_run_is_told_and_whose_fault_it_is(bench, tmp_path):
    def problem(program, tests):
        report = usertests.run_tests(program, "it", tests, bench)
        return report.problem, report.programs_fault

    why, programs = problem("def g(): pass", "from it import f\ndef test_f(): f()")
    assert "cannot import name 'f'" in why and programs
    why, programs = problem("raise OSError('no disk')", "import it\ndef test_f(): pass")
    assert "no disk" in why and programs
    why, programs = problem("x = 1", "from elsewhere import y\ndef test_f(): pass")
    assert "elsewhere" in why and not programs
    why, programs = problem("x = 1", "import it")
    assert "holds no test" in why and not programs
    (tmp_path / "t.py").write_text("def (")
    with pytest.raises(TaskError, match="line 1"):
        usertests.read_tests(tmp_path / "t.py")
