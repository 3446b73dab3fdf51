"""A person's tests behave as in pytest, both ways."""

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
    "sets and dictionaries of the program's own objects": (
        """
import enum
class Side(enum.Enum):
    LEFT = 1
    RIGHT = 2
class Point:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return isinstance(other, Point) and self.x == other.x
    def __hash__(self): return hash(self.x)
def sides(): return {Side.LEFT, Side.RIGHT}
def table(): return {Point(1): [Side.LEFT], Point(2): []}
def both(one, other): return one | other, len(one), len(other)
""",
        """
assert it.sides() == {it.Side.LEFT, it.Side.RIGHT} and len(it.sides()) == 2
table = it.table()
assert table == {it.Point(1): [it.Side.LEFT], it.Point(2): []} and table[it.Point(1)] == [it.Side.LEFT]
assert it.both({it.Point(1), it.Point(1)}, {it.Point(2), it.Point(3)}) == ({it.Point(n) for n in (1, 2, 3)}, 1, 2)
""",
    ),
    "state of the module": (
        """
n = 0
def up():
    global n
    n += 1
    return n
""",
        """
assert it.up() == 1 and it.up() == 2 and it.n == 2
it.n = 10
assert it.up() == 11
""",
    ),
    "what a test puts in the place of something and takes away again": (
        """
def helper(): return "real"
def use(): return helper()
class C:
    LIMIT = 3
    def go(self): return self.LIMIT
    @staticmethod
    def s(x): return x + 1
    @property
    def p(self): return 7
class D(C): pass
def all(): return use(), C().go(), C.s(1), C().p, D.LIMIT
def plain(a, b=2, *, c=3): return a
""",
        """
from unittest.mock import patch
before, fakes = it.all(), {"LIMIT": 9, "go": lambda self: 5, "s": staticmethod(lambda x: 6), "p": property(hash)}
with pytest.MonkeyPatch.context() as mp:
    mp.setattr(it, "helper", lambda: "fake")
    for name in fakes:
        mp.setattr(it.C, name, fakes[name])
    mp.setattr(it.D, "LIMIT", 1)
    assert it.all()[:3] == ("fake", 5, 6) and it.all()[4] == 1 and it.C.LIMIT == 9
assert it.all() == before
for name in fakes:
    with patch.object(it.C, name, return_value=8): assert it.all() != before
assert it.all() == before and "LIMIT" not in vars(it.D) and "LIMIT" in vars(it.C) and vars(it)["use"] is it.use
assert it.plain.__defaults__ == (2,) and it.plain.__kwdefaults__ == {"c": 3} and it.use.__defaults__ is None
""",
    ),
    "protocols and registered classes": (
        """
import abc
from typing import Protocol, runtime_checkable
@runtime_checkable
class Named(Protocol):
    def name(self): ...
class Cat:
    def name(self): return "cat"
class Base(abc.ABC): pass
@Base.register
class Far: pass
""",
        """
class Dog:
    def name(self): return "dog"
assert isinstance(it.Cat(), it.Named) and isinstance(Dog(), it.Named) and not isinstance(3, it.Named)
assert isinstance(it.Far(), it.Base) and issubclass(it.Far, it.Base) and not isinstance(it.Cat(), it.Base)
""",
    ),
    "a mutable default": (
        """
def f(x, xs=[]):
    xs.append(x)
    return xs
""",
        """
it.f(1)
assert it.f(2) == [1, 2]
""",
    ),
    "identity": (
        """
kept = []
def keep(x):
    kept.append(x)
    return x
def last(): return kept[-1]
""",
        """
a, t, f = [1], (2, []), lambda: 1
for x in (a, t, f):
    assert it.keep(x) is x and it.last() is x
assert it.kept[0] is a and it.kept is it.kept
""",
    ),
    "nested mutation, both ways": (
        """
box = {}
def put(d): d['k'][0].add(9)
def take(xs): box['xs'] = xs
def grow(): box['xs'].append(len(box['xs']))
""",
        """
s = {1}
it.put({'k': [s]})
assert s == {1, 9}
xs = []
it.take(xs)
it.grow()
xs.append('t')
it.grow()
assert xs == [0, 't', 2]
""",
    ),
    "errors": (
        """
class Lost(KeyError):
    def __init__(self, what, hint=None):
        super().__init__(what)
        self.hint = hint
def find(x): raise Lost(x, hint=[x])
def read(): open('/no/where')
""",
        """
with pytest.raises(it.Lost, match='tea') as e:
    it.find('tea')
assert e.value.args == ('tea',) and e.value.hint == ['tea'] and isinstance(e.value, KeyError)
with pytest.raises(FileNotFoundError, match='where') as e:
    it.read()
assert e.value.errno == 2
""",
    ),
    "an error of the tests' own through the program": (
        """
def call(f):
    try:
        return f()
    except ValueError as e:
        raise e
""",
        """
class Own(ValueError): pass
error = Own(1)
def f(): raise error
with pytest.raises(Own) as e:
    it.call(f)
assert e.value is error
""",
    ),
    "classes": (
        """
class A:
    kind = 'a'
    def __init__(self, n): self.n = n
    def twice(self): return 2 * self.n
    @property
    def half(self): return self.n / 2
    def __eq__(self, o): return isinstance(o, A) and self.n == o.n
    def __lt__(self, o): return self.n < o.n
    def __repr__(self): return f'A({self.n})'
class B(A):
    def twice(self): return super().twice() + 1
def total(xs): return sum(x.twice() for x in xs)
""",
        """
a, b = it.A(1), it.B(4)
assert b.twice() == 9 and b.half == 2 and it.A.kind == a.kind == 'a'
assert isinstance(b, it.A) and not isinstance(a, it.B) and a == it.A(1) and a != 1 and min(b, a) is a
a.n = 7
assert repr(a) == 'A(7)' and vars(a) == {'n': 7} and a.twice() == 14
class C(it.A):
    def twice(self): return super().twice() * 100
assert C(2).twice() == 400 and it.total([a, C(2)]) == 414
""",
    ),
    "enums, dataclasses, named tuples": (
        """
from enum import Enum
from dataclasses import dataclass
from collections import namedtuple
class E(Enum):
    X = 1
    Y = 2
@dataclass
class D:
    a: int
    b: str = 'z'
P = namedtuple('P', 'u v')
def flip(p): return P(p.v, p.u)
""",
        """
import dataclasses
assert it.E(1) is it.E.X and it.E['Y'].value == 2 and [e.name for e in it.E] == ['X', 'Y']
assert it.D(1) == it.D(1, 'z') != it.D(2) and dataclasses.asdict(it.D(3)) == {'a': 3, 'b': 'z'}
assert it.flip(it.P(1, 2)) == (2, 1) and it.flip(it.P(1, 2)).u == 2
""",
    ),
    "generators": (
        """
log = []
def g(n):
    try:
        for i in range(n):
            got = yield i
            log.append(got)
        return 'end'
    finally:
        log.append('shut')
""",
        """
import inspect
x = it.g(3)
assert inspect.isgenerator(x) and inspect.isgeneratorfunction(it.g) and it.log == []
assert next(x) == 0 and x.send('a') == 1 and it.log == ['a']
x.close()
assert it.log == ['a', 'shut']
assert list(it.g(2)) == [0, 1]
""",
    ),
    "functions as values": (
        """
def compose(f, g): return lambda x: f(g(x))
def counted(f):
    def w(*a):
        w.calls += 1
        return f(*a)
    w.calls = 0
    return w
def each(xs, f): [f(x) for x in xs]
""",
        """
assert it.compose(str, lambda x: x + 1)(1) == '2'
f = it.counted(len)
f('ab'), f('c')
assert f.calls == 2
out = []
it.each([1, 2], out.append)
assert out == [1, 2]
""",
    ),
    "coroutines": (
        """
import asyncio
async def late(x):
    await asyncio.sleep(0.01)
    return x * 2
async def use(f): return await f(1)
""",
        """
import asyncio, inspect
assert asyncio.run(it.late(4)) == 8 and inspect.iscoroutinefunction(it.late)
async def both(): return await asyncio.gather(it.late(1), it.late(2))
assert asyncio.run(both()) == [2, 4]
async def own(x): return x + 1
assert asyncio.run(it.use(own)) == 2
""",
    ),
    "pickles": (
        """
import pickle
from dataclasses import dataclass
@dataclass
class Point:
    x: int
    inner: "Point | None" = None
class Kept:
    def __init__(self, x): self.x, self.open = x, lambda: 1
    def __getstate__(self): return self.x
    def __setstate__(self, x): self.x = x + 1
class Two(tuple): pass
def ring():
    a, b = Point(1), Point(2)
    a.inner, b.inner = b, a
    return a
def keep(thing): return pickle.dumps(thing)
""",
        """
import pickle
point = it.Point(1, it.Point(2))
again = pickle.loads(pickle.dumps(point))
assert again == point and again is not point and type(again) is it.Point
assert pickle.loads(pickle.dumps([it.Kept(1)]))[0].x == 2 and pickle.loads(pickle.dumps(it.Two((1, 2)))) == (1, 2)
ring = pickle.loads(pickle.dumps(it.ring()))
assert ring.inner.inner is ring and pickle.loads(pickle.dumps(it.Point)) is it.Point
assert pickle.loads(it.keep([1])) == [1]
class Mine: pass
with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
    it.keep(Mine())
assert it.keep(1)
""",
    ),
    "text of the program": (
        """
def f(a, b=2):
    'Says.'
    return a + b  # here
""",
        """
import inspect
assert '# here' in inspect.getsource(it.f) and it.f.__doc__ == 'Says.'
assert str(inspect.signature(it.f)) == '(a, b=2)'
""",
    ),
    "names put into modules": (
        """
import random, time
LIMIT = 3
def over(n): return n > LIMIT
def roll(): return random.randint(1, 10**9)
def rest(): time.sleep(99)
def ask(): return input('? ')
""",
        """
from unittest.mock import patch
with patch('it.LIMIT', 9):
    assert not it.over(5)
assert it.over(5)
random = __import__('random')
random.seed(4)
a = it.roll()
random.seed(4)
assert it.roll() == a
with patch('time.sleep') as sleep:
    it.rest()
sleep.assert_called_once_with(99)
with patch('builtins.input', return_value='yes'):
    assert it.ask() == 'yes'
""",
    ),
    "values of the standard library": (
        """
from datetime import date
from decimal import Decimal
from collections import Counter, deque, OrderedDict
def same(x): return x
def turn(d): d.rotate(1)
def order(d): d.move_to_end('a')
""",
        """
from datetime import date, datetime, timezone
from decimal import Decimal
from collections import Counter, OrderedDict, deque
from pathlib import Path
for x in (date(2024, 2, 29), datetime.now(timezone.utc), Decimal('1.10'), Path('/a'), b'x',
          1 << 20000, float('inf'), range(3), frozenset([1]), Counter('aab'), {1: (2, [3])}, 'ä\\ud800'):
    assert it.same(x) == x and type(it.same(x)) is type(x)
d = deque([1, 2])
it.turn(d)
assert d == deque([2, 1])
o = OrderedDict(a=1, b=2)
it.order(o)
assert list(o) == ['b', 'a']
""",
    ),
    "warnings": (
        """
import warnings
def old(x):
    warnings.warn(f'{x} is old', DeprecationWarning)
    return x
""",
        """
import warnings
with pytest.warns(DeprecationWarning, match='3 is old'):
    assert it.old(3) == 3
with warnings.catch_warnings():
    warnings.simplefilter('error')
    with pytest.raises(DeprecationWarning):
        it.old(4)
""",
    ),
    "a container of neighbours": (
        """
class Tree:
    def __init__(self, *xs): self.xs = xs
    def __contains__(self, x): return x in self.xs
""",
        """
assert 2 in it.Tree(1, 2, 3, 0, 4) and 9 not in it.Tree(1, 2)
""",
    ),
    "the signature of a wrapped function": (
        """
import functools
def same(f):
    @functools.wraps(f)
    def inner(*args, **kwargs): return f(*args, **kwargs)
    return inner
@same
def add(a: int, b: int = 2) -> int: return a + b
""",
        """
import inspect
assert list(inspect.signature(it.add).parameters) == ['a', 'b'] and it.add(1) == 3
""",
    ),
    "numpy": (
        """
import numpy as np
def scale(a, k): return a * k
def zero(a): a[0] = 0
""",
        """
import numpy as np
a = np.array([1.0, 2.0])
np.testing.assert_allclose(it.scale(a, 3), [3, 6])
it.zero(a)
assert a[0] == 0 and it.scale(a, 2).dtype == np.float64
""",
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
        "def hello(n): print('hello', n); print('!', file=sys.stderr)\n"
        "def save(p): open(p, 'w').write(os.environ.get('K', ''))"
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


def test_a_programs_own_tests_do_not_count(bench):
    program = "def test_mine(): pass\nclass TestMine:\n    def test_this(self): pass\ndef f(x): return x"
    assert outcomes(program, "from it import *\ndef test_f(): assert f(1) == 2", bench) == {"test_f": "failed"}


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


@pytest.mark.parametrize("layers", [{"become": 65534}, {"landlock": False}])
def test_tests_run_with_another_users_lockdown_and_with_fewer_layers(layers):
    tests = "import cProfile\nfrom it import f\ndef test_f(tmp_path): assert f(1) == 2 and '\u00fc'.encode('idna')"
    with Bench(**layers) as bench:
        assert outcomes("def f(x): return x + 1", tests, bench) == {"test_f": "passed"}
