"""Pairs of programs that only look different."""

from __future__ import annotations

import pytest
from pair_templates import ADULTS, DATA, LEETCODE, ORDERED, POINT, TOTAL, VIEW

from semrep_jax.languages import Answer
from semrep_jax.python.equivalence import Reference

BUS = (
    "class Bus:\n    def __init__(self):\n        self._of = {{}}\n    def on(self, name: str, handler):\n        {}\n"
    "    def emit(self, name: str, x: int):\n        return {}\n"
)
SORTS = (
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int\n@dataclass\nclass B:\n    n: int\n"
    "def f(x: A | B) -> int:\n    {}\n"
)
WAYS = (
    "from enum import Enum\nclass Op(Enum):\n    ADD = 1\n    SUB = 2\ndef f(op: Op, a: int, b: int):\n"
    "    {}\n    raise ValueError(op)\n"
)
PILE = (
    "class Pile:\n    def __init__(self):\n        self._items = []\n    def push(self, x: int) -> None:\n"
    "        self._items.append(x)\n    def all(self) -> list[int]:\n        return list({})\n"
)
VECTOR = (
    "class Vector:\n    def __init__(self, *items: int):\n        self.items = list(items)\n"
    "    def __add__(self, other):\n        return Vector(*(a + b for a, b in zip(self.items, other.items)))\n"
    "def total(vectors):\n    found = {}\n    for v in vectors:\n        found = found + v\n    return found.items\n"
)
ADDED = "def f(items: dict, name: str, count):\n    if count <= 0:\n        raise ValueError\n"
SHAPES = (
    "from typing import Protocol\nclass Shape(Protocol):\n    def area(self) -> float: ...\n"
    "def f(shapes: list[Shape]) -> float:\n    return max({}, default=0)\n"
)
STATES = (
    "from enum import Enum\nclass State(Enum):\n    IDLE = 1\n    RUN = 2\n    DONE = 3\n"
    "def f(state: State, event: str) -> State:\n"
)
MANY = (
    "class Card:\n    def __init__(self, n: int):\n        self.{0} = n\n    def rank(self) -> int:\n"
    "        return self.{0}\ndef deck(n: bool) -> list[Card]:\n    return [Card({1}) for i in range(30)]\n"
)
LIMIT = "_LIMIT = {}\ndef f(n: int) -> bool:\n    if n > _LIMIT:\n        return True\n    return False\n"
PRIME = (
    "def _prime(n):\n    if n < 2:\n        return False\n    {}\ndef f(n: int) -> bool:\n    if _prime(n % 100):\n"
    "        return True\n    return False\n"
)
ALIKE = {
    "numbers to which True is a strange 1": (
        ADDED + "    items[name] = items.get(name, 0) + count\n    return items\n",
        ADDED + "    if name in items:\n        items[name] += count\n    else:\n        items[name] = count\n"
        "    return items\n",
    ),
    "records in a record": (
        TOTAL.format(">="),
        TOTAL.format(">=").replace("sum(i['price'] * i['count'] for i in order['items'])",
                                   "sum([i['count'] * i['price'] for i in order['items']])"),
    ),
    "objects in a list": (ADULTS.format("users", ">="), ADULTS.format("users", ">=").replace("u.", "x.").replace(
        "for u", "for x")),
    "ways to standard input": (
        "import sys\ndef f() -> int:\n    return len(sys.stdin.read().split())\n",
        "def f() -> int:\n    return len(open(0).read().split())\n",
    ),
    "ways to standard output": (
        "def f(n: int) -> None:\n    print(n)\n",
        "import os, sys\ndef f(n: int) -> None:\n    sys.__stdout__.write(str(n))\n    os.write(1, b'\\n')\n",
    ),
    "texts asked for and lines read": (
        "def f() -> None:\n    print(input('? '))\n    print(input('? '))\n",
        "import sys\ndef f() -> None:\n    for _ in range(2):\n        print('? ', end='')\n"
        "        line = sys.stdin.buffer.readline().decode()\n        if not line:\n            raise EOFError\n"
        "        print(line.rstrip('\\n'))\n",
    ),
    "a file that is closed and one that is not": (
        "def f() -> str:\n    return open('notes.txt').read()\n",
        "def f() -> str:\n    with open('notes.txt') as file:\n        return file.read()\n",
    ),
    "a decimal context that is left as it was": (
        "import decimal\ndef f(n: int) -> str:\n    with decimal.localcontext() as context:\n"
        "        context.prec = 5\n        return str(decimal.Decimal(n) / 7)\n",
        "import decimal\ndef f(n: int) -> str:\n    context = decimal.getcontext().copy()\n    context.prec = 5\n"
        "    return str(context.divide(decimal.Decimal(n), decimal.Decimal(7)))\n",
    ),
    "handlers of other names": (
        "import signal\ndef _one(*given):\n    pass\ndef f() -> None:\n    signal.signal(signal.SIGTERM, _one)\n",
        "import signal\ndef _two(*given):\n    pass\ndef f() -> None:\n    signal.signal(signal.SIGTERM, _two)\n",
    ),
    "a sum and calls that nest": (
        "def f(xs: list[int]) -> int:\n    return sum(xs)\n",
        "def f(xs: list[int]) -> int:\n    return xs[0] + f(xs[1:]) if xs else 0\n",
    ),
    "words that a state and an event make": (
        STATES + "    if state is State.IDLE and event == 'start':\n        return State.RUN\n"
        "    if state is State.RUN and event == 'stop':\n        return State.DONE\n    return state\n",
        STATES + "    table = {(State.IDLE, 'start'): State.RUN, (State.RUN, 'stop'): State.DONE}\n"
        "    return table.get((state, event), state)\n",
    ),
    "a dataclass that changes itself": (
        DATA.format("") + "    def to(self, n: int) -> 'P':\n        return P(self.x + n, self.y)\n",
        "from dataclasses import replace\n" + DATA.format("")
        + "    def to(self, n: int) -> 'P':\n        return replace(self, x=self.x + n)\n",
    ),
    "fields of a class that a call makes": (
        POINT.format("'x y'", "Point(p.x + k, p.y)"), POINT.format("['x', 'y']", "p._replace(x=p.x + k)"),
    ),
    "members that are told one after the other": (
        WAYS.format("if op == Op.ADD:\n        return a + b\n    elif op == Op.SUB:\n        return a - b"),
        WAYS.format("match op:\n        case Op.ADD:\n            return a + b\n        case Op.SUB:\n"
                    "            return a - b"),
    ),
    "classes that are told one after the other": (
        SORTS.format("if isinstance(x, A):\n        return x.n\n    if isinstance(x, B):\n        return -x.n\n"
                     "    raise TypeError"),
        SORTS.format("match x:\n        case A(n):\n            return n\n        case B(n):\n            return -n\n"
                     "    raise TypeError"),
    ),
    "texts of a Literal that are told one after the other": (
        "from typing import Literal\ndef f(way: Literal['up', 'down'], n: int):\n    if way == 'up':\n"
        "        return n + 1\n    elif way == 'down':\n        return n - 1\n    return 0\n",
        "from typing import Literal\ndef f(way: Literal['up', 'down'], n: int):\n"
        "    return {'up': n + 1, 'down': n - 1}.get(way, 0)\n",
    ),
    "a script's lines in a function": (
        "def f(n: int):\n    return n + 1\nif __name__ == '__main__':\n    print(f(2))\n",
        "def f(n: int):\n    return 1 + n\ndef main():\n    print(f(2))\nif __name__ == '__main__':\n    main()\n",
    ),
    "a tree that is walked level by level": (
        LEETCODE.partition("class Solution")[0]
        + "def f(node):\n    if node is None:\n        return 0\n    return 1 + max(f(node.left), f(node.right))\n",
        LEETCODE.partition("class Solution")[0]
        + "def f(node):\n    level, n = [node] if node is not None else [], 0\n    while level:\n        n += 1\n"
        "        level = [c for x in level for c in (x.left, x.right) if c is not None]\n    return n\n",
    ),
    "functions that are kept and called later": (
        BUS.format("if name not in self._of:\n            self._of[name] = []\n        self._of[name].append(handler)",
                   "[handler(x) for handler in self._of.get(name, [])]"),
        BUS.format("self._of.setdefault(name, []).append(handler)",
                   "list(map(lambda handler: handler(x), self._of.get(name, ())))"),
    ),
    "a constant inside of tuples": (
        "def f(xs: list[tuple[str, int]]):\n    return sum(n for s, n in xs if not s.startswith('free'))\n",
        "def f(xs: list[tuple[str, int]]):\n    n = 0\n    for s, k in xs:\n        if s[:4] == 'free':\n"
        "            continue\n        n += k\n    return n\n",
    ),
    "texts with brackets that match": (
        "def f(s: str):\n    pairs, stack = {')': '(', ']': '['}, []\n    for c in s:\n        if c in '([':\n"
        "            stack.append(c)\n        elif c in pairs:\n"
        "            if not stack or stack.pop() != pairs[c]:\n                return False\n    return not stack\n",
        "def f(s: str):\n    stack = []\n    for c in s:\n        if c in '([':\n            stack.append(c)\n"
        "        elif c in ')]':\n            if len(stack) == 0 or stack.pop() != '(['[')]'.index(c)]:\n"
        "                return False\n    return len(stack) == 0\n",
    ),
    "names and numbers on both sides of a sign": (
        "def f(s: str):\n    name, found, n = s.partition('=')\n    if not found:\n        raise ValueError\n"
        "    return name, int(n)\n",
        "def f(s: str):\n    if '=' not in s:\n        raise ValueError\n    name, n = s.split('=', 1)\n"
        "    return name, int(n)\n",
    ),
    "records in JSON": (
        "import json\ndef f(s: str):\n    return [r['name'] for r in json.loads(s) if 'name' in r]\n",
        "import json\ndef f(s: str):\n    out = []\n    for r in json.loads(s):\n        if 'name' in r:\n"
        "            out.append(r['name'])\n    return out\n",
    ),
    "records in tuples": (
        "def f(t: tuple):\n    if len(t) == 3 and t[0] == 'rect':\n        return t[1] * t[2]\n    return 0\n",
        "def f(t: tuple):\n    match t:\n        case ('rect', a, b):\n            return a * b\n    return 0\n",
    ),
    "instances of the file's own classes, without a hint": (
        VECTOR.format("Vector(0, 0)"),
        VECTOR.format("Vector(*[0, 0])"),
    ),
    "a function that a constructor keeps": (
        "class Timer:\n    def __init__(self, clock):\n        self.clock = clock\n"
        "    def read(self):\n        return self.clock() - 1\n",
        "class Timer:\n    def __init__(self, clock):\n        self.clock = clock\n"
        "    def read(self):\n        now = self.clock()\n        return now - 1\n",
    ),
    "a comparison with something else": (
        ORDERED.replace("self.n < other.n", "self.n < other.n if isinstance(other, V) else NotImplemented"),
        ORDERED.replace(
            "return self.n < other.n",
            "if not isinstance(other, V):\n            return NotImplemented\n        return self.n < other.n",
        ),
    ),
    "a function that gives a decorator": (
        "import functools\ndef noted():\n    def wrap(g):\n        @functools.wraps(g)\n"
        "        def inner(*args):\n            return 'a', g(*args)\n        return inner\n    return wrap\n",
        "def noted():\n    return lambda g: lambda *args: ('a', g(*args))\n",
    ),
    "a line of a warning": (
        "import warnings\ndef f(x: int):\n    warnings.warn('old')\n    return x\n",
        "import warnings\ndef f(x: int):\n    text = 'old'\n    warnings.warn(text)\n    return x\n",
    ),
    "lines of a traceback": (
        "import traceback\ndef f(s: str):\n    try:\n        return int(s)\n    except ValueError:\n"
        "        traceback.print_exc()\n        return 0\n",
        "import traceback\ndef f(s: str):\n    value = 0\n    try:\n        value = int(s)\n    except ValueError:\n"
        "        traceback.print_exc()\n    return value\n",
    ),
    "a day that can't change": (
        "from datetime import date\ndef f(d: date):\n    return d\n",
        "from datetime import date\ndef f(d: date):\n    return date(d.year, d.month, d.day)\n",
    ),
    "a cached property": (
        "class C:\n    def __init__(self, n: int):\n        self._n = n\n    @property\n    def twice(self) -> int:\n"
        "        return 2 * self._n\n",
        "from functools import cached_property\nclass C:\n    def __init__(self, n: int):\n        self._n = n\n"
        "    @cached_property\n    def twice(self) -> int:\n        return self._n + self._n\n",
    ),
    "one method more": (PILE.format("self._items"), PILE.format("self")
                        + "    def __iter__(self):\n        return iter(self._items)\n"),
    "private state of what is only called": (
        "class K:\n    def __init__(self, k: int):\n        self._k = k\n    def __call__(self, x: int) -> int:\n"
        "        return self._k * x\n",
        "class K:\n    def __init__(self, k: int):\n        self._by = k\n    def __call__(self, x: int) -> int:\n"
        "        return x * self._by\n",
    ),
    "a method half done with what does not fit": (
        "class R:\n    def __init__(self, w: int, h: int):\n        self.w, self.h = w, h\n"
        "    def scale(self, k: int) -> None:\n        self.w *= k\n        self.h *= k\n",
        "class R:\n    def __init__(self, w: int, h: int):\n        self.w, self.h = w, h\n"
        "    def scale(self, k: int) -> None:\n        self.w, self.h = self.w * k, self.h * k\n",
    ),
    "a limit written out": (LIMIT.format("7 * 24 * 3600"), LIMIT.format("604800")),
    "a limit in its place": (LIMIT.format("7 * 24 * 3600"), "def f(n: int) -> bool:\n    return n > 604800\n"),
    "a private table and a chain": (
        "_of = {'a': 1, 'b': 2}\ndef f(s: str) -> int:\n    return _of.get(s, 0)\n",
        "def f(s: str) -> int:\n    if s == 'a':\n        return 1\n    if s == 'b':\n        return 2\n    return 0\n",
    ),
    "a private table that is computed": (
        "_of = {n * 1001: n for n in range(50, 60)}\ndef f(n: int) -> int:\n    return _of.get(n, -1)\n",
        "_of = dict((n * 1001, n) for n in range(50, 60))\ndef f(n: int) -> int:\n    return _of.get(n, -1)\n",
    ),
    "a private function of another name": (
        "def _limit() -> int:\n    return 3 ** 60\ndef f(n: int) -> bool:\n    if n == _limit():\n        return True\n"
        "    return False\n",
        "def _most() -> int:\n    return 3 ** 60\ndef f(n: int) -> bool:\n    if n == _most():\n        return True\n"
        "    return False\n",
    ),
    "a private function written otherwise": (
        PRIME.format("for i in range(2, n):\n        if n % i == 0:\n            return False\n    return True"),
        PRIME.format("return all(n % i for i in range(2, n))"),
    ),
    "yield from": (
        "def f(rows: list[list[int]]):\n    for row in rows:\n        for x in row:\n            yield x\n",
        "def f(rows: list[list[int]]):\n    for row in rows:\n        yield from row\n",
    ),
    "a comparison written out": (
        ORDERED,
        ORDERED.replace("@total_ordering\n", "")
        + "    def __le__(self, other):\n        return self.n <= other.n\n"
        + "    def __gt__(self, other):\n        return self.n > other.n\n"
        + "    def __ge__(self, other):\n        return self.n >= other.n\n",
    ),
    "a date in a format": (
        "from datetime import datetime\ndef f(s: str):\n    try:\n        datetime.strptime(s, '%d.%m.%Y')\n"
        "    except ValueError:\n        return False\n    return True\n",
        "from datetime import datetime\ndef f(s: str):\n    ok = True\n    try:\n"
        "        datetime.strptime(s, '%d.%m.%Y')\n    except ValueError:\n        ok = False\n    return ok\n",
    ),
    "a file of JSON": (
        "import json\ndef f(path: str):\n    with open(path) as file:\n        return json.load(file)\n",
        "import json\ndef f(path: str):\n    with open(path) as file:\n        text = file.read()\n"
        "    return json.loads(text)\n",
    ),
    "what is written compressed": (
        "import gzip\ndef f(text: str):\n    with gzip.open('a.gz', 'wt') as file:\n        file.write(text.strip())\n",
        "import gzip\ndef f(text: str):\n    kept = text.strip()\n    with gzip.open('a.gz', 'wt') as file:\n"
        "        file.write(kept)\n",
    ),
    "what a slice gives": (
        VIEW.format("", "if isinstance(i, slice): return View(self.xs[i])"),
        VIEW.format("", "if type(i) is slice: return View(self.xs[i])"),
    ),
    "a name in an Enum": (
        "from enum import Enum\nclass C(Enum):\n    RED = 1\n    BLUE = 2\ndef f(name: str):\n    for c in C:\n"
        "        if c.name == name:\n            return c\n    return None\n",
        "from enum import Enum\nclass C(Enum):\n    RED = 1\n    BLUE = 2\ndef f(name: str):\n"
        "    return C.__members__.get(name)\n",
    ),
    "nested lists": (
        "def f(xs: list):\n    out = []\n    for x in xs:\n        if isinstance(x, list):\n"
        "            out.extend(f(x))\n        else:\n            out.append(x)\n    return out\n",
        "def f(xs: list):\n    return [y for x in xs for y in (f(x) if isinstance(x, list) else [x])]\n",
    ),
    "tuples that a match asks for": (
        "def f(shape: tuple):\n    match shape:\n        case ('square', side):\n            return [side]\n"
        "        case _:\n            return 0\n",
        "def f(shape: tuple):\n    if len(shape) == 2 and shape[0] == 'square':\n        return [shape[1]]\n"
        "    return 0\n",
    ),
    "the places of objects": (
        "class C:\n    pass\ndef f(n: int):\n    return f'{C()} {f} {C().__init__} {(lambda: n)}'\n",
        "class C:\n    pass\ndef f(n: int):\n    return '%s %s %r %r' % (C(), f, C().__init__, lambda: n)\n",
    ),
    "what a defaultdict gives": (
        "from collections import defaultdict\ndef f(s: str):\n    n = defaultdict(int)\n    for c in s:\n"
        "        n[c] += 1\n    return n\n",
        "from collections import defaultdict\ndef f(s: str):\n    n = defaultdict(lambda: 0)\n    for c in s:\n"
        "        n[c] = n[c] + 1\n    return n\n",
    ),
    "a class that is returned": (
        "def f(n: int):\n    class K:\n        def __init__(self, x):\n            self.x = x\n"
        "        def go(self):\n            return self.x + n\n    return K\n",
        "def f(n: int):\n    class K:\n        def __init__(self, y):\n            self.x = y\n"
        "        def go(self):\n            return n + self.x\n    return K\n",
    ),
    "what an Enum's members are asked": (
        "from enum import Enum\nclass Level(Enum):\n    LOW = 1\n    HIGH = 2\n    def twice(self) -> int:\n"
        "        return self.value * 2\n",
        "from enum import Enum\nclass Level(Enum):\n    LOW = 1\n    HIGH = 2\n    def twice(self) -> int:\n"
        "        return self.value + self.value\n",
    ),
    "an iterator without an end": (
        "def f():\n    n = 0\n    while True:\n        yield n\n        n += 1\n",
        "import itertools\ndef f():\n    yield from itertools.count()\n",
    ),
    "long iterators": (
        "def f(n: bool):\n    for i in range(999):\n        yield i * i\n",
        "def f(n: bool):\n    return (i**2 for i in range(999))\n",
    ),
    "what a class gives all its instances": (
        "class C:\n    n = 0\n    LIMIT = 60 * 60\n    def __init__(self, n: int):\n        self.n = n\n",
        "class C:\n    LIMIT = 3600\n    def __init__(self, n: int):\n        self.n = n\n",
    ),
    "texts of errors, a number in one of them": (
        "def f(n: int):\n    if n < 0:\n        raise ValueError(n)\n    return {1: 'a'}[n]\n",
        "def f(n: int):\n    if n < 0:\n        raise ValueError(f'{n} is too small')\n    if n != 1:\n"
        "        raise KeyError\n    return 'a'\n",
    ),
    "an error that says where it comes from": (
        "def f(s: str):\n    try:\n        return int(s)\n    except ValueError as e:\n        raise OSError from e\n",
        "def f(s: str):\n    try:\n        return int(s)\n    except ValueError:\n        raise OSError('no number')\n",
    ),
    "a function that may find nothing": (
        "def f(xs: list[int]):\n    return lambda i: xs[i]\n",
        "def f(xs: list[int]):\n    def g(i):\n        return xs[i]\n    return g\n",
    ),
    "private state of many instances": (
        MANY.format("_n", "i"), MANY.format("_of", "i + 0"),
    ),
    "what is computed of a constant for nothing": (
        "LIMIT = 5_000_000\ndef f(n: int) -> int:\n    return sum(range(n)) if 0 < n < 99 else min(n, LIMIT)\n",
        "LIMIT = 5_000_000\ndef f(n: int) -> int:\n    if n in range(1, 99):\n        return n * (n - 1) // 2\n"
        "    return n if n < LIMIT else LIMIT\n",
    ),
    "a loop as long as a large constant": (
        "MOST = 30_000_000\ndef f(n: int) -> int:\n    return min(n, MOST) if 0 < n < 2**30 else 0\n",
        "MOST = 30_000_000\ndef f(n: int) -> int:\n    k = 0\n    while k < min(n, MOST) and n < 2**30:\n"
        "        k += 1\n    return k\n",
    ),
    "a hint of an order": (
        "from collections.abc import Sequence\ndef f(xs: Sequence[str]) -> str:\n"
        "    return ','.join(x.strip() for x in xs if x)\n",
        "from collections.abc import Sequence\ndef f(xs: Sequence[str]) -> str:\n"
        "    return ','.join([x.strip() for x in xs if len(x) > 0])\n",
    ),
    "keys that may be missing of what can't be changed": (
        "from collections.abc import Mapping\ndef f(m: Mapping[str, int], k: str) -> int:\n"
        "    return m.get(k, 0)\n",
        "from collections.abc import Mapping\ndef f(m: Mapping[str, int], k: str) -> int:\n"
        "    return m[k] if k in m else 0\n",
    ),
    "a new name for a type": (
        "from typing import NewType\nUserId = NewType('UserId', int)\ndef f(i: UserId) -> int:\n    return i + 1\n",
        "from typing import NewType\nUserId = NewType('UserId', int)\ndef f(i: UserId) -> int:\n    return 1 + i\n",
    ),
    "objects of a protocol that no class in the file has": (
        SHAPES.format("[s.area() for s in shapes]"), SHAPES.format("(s.area() for s in shapes)"),
    ),
    "all pairs of a long list": (
        "def f(xs: list[int]) -> list[tuple[int, int]]:\n    return [(x, y) for x in xs for y in xs]\n",
        "def f(xs: list[int]) -> list[tuple[int, int]]:\n    out = []\n    for x in xs:\n        for y in xs:\n"
        "            out.append((x, y))\n    return out\n",
    ),
    "parameters of a private function": ("def _f(x: int):\n    return x\n", "def _f(item: int):\n    return item\n"),
    "a condition turned that no call reaches": (
        "def f(n: int):\n    if n == int('9' * 30):\n        if n % 2 and n % 3:\n            return 1\n"
        "        return 2\n    return n\n",
        "def f(n: int):\n    if n == int('9' * 30):\n        if not (not n % 2 or not n % 3):\n            return 1\n"
        "        return 2\n    return n\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
def test_what_only_looks_different_is_equivalent(name, sandbox):
    one, other = ALIKE[name]
    finding = Reference(one, sandbox, 150).compare(other)
    assert finding.answer is Answer.EQUIVALENT, finding


def test_a_condition_that_is_only_negated_is_not_taken_as_tried(sandbox):
    inner = "        if n % 2:\n            return 1\n        return 2\n"
    source = f"def f(n: int):\n    if n == int('9' * 30):\n{inner}    return n\n"
    finding = Reference(source, sandbox, 60).compare(source.replace("if n % 2", "if not n % 2"))
    assert finding.answer is not Answer.EQUIVALENT
