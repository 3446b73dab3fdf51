"""Pairs of programs that differ, by what tells them apart: values, inputs, state, classes, surroundings."""

from __future__ import annotations

import pytest
from pair_templates import ADULTS, DATA, LEETCODE, ORDERED, POINT, TOTAL

from semrep_jax.languages import Answer
from semrep_jax.python.equivalence import Reference

BOX = (
    "class Box:\n    def __init__(self, xs: list[int]):\n        self.xs = xs\n"
    "    def __len__(self):\n        return len(self.xs)\n"
)
SETTER = (
    "class C:\n    def __init__(self, r: int):\n        self._r = r\n    @property\n    def r(self) -> int:\n"
    "        return self._r\n    @r.setter\n    def r(self, value: int) -> None:\n        self._r = {}\n"
)
GUARD = (
    "class Guard:\n    def __init__(self, quiet: bool):\n        self.quiet = quiet\n    def __enter__(self):\n"
    "        return self\n    def __exit__(self, kind, value, trace):\n        return {}\n"
)
NOTED = (
    "from contextlib import contextmanager\nlog = []\n@contextmanager\ndef noted(name: str):\n    log.append(name)\n"
)
DIGITS = "def digits(n: int) -> list[int]:\n    return [int(c) for c in str(abs(n))]\n"
OWN_ERROR = (
    "class Bad(Exception):\n    def __init__(self, code):\n        self.code = code\n"
    "def check(n: int) -> int:\n    raise Bad({})\n"
)
USER = (
    "from typing import TypedDict\nclass User(TypedDict, total=False):\n    age: int\n"
    "def age(u: User) -> int:\n    return {}\n"
)
PERM = (
    "from enum import Flag, auto\nclass Perm(Flag):\n    R = auto()\n    W = auto()\n"
    "def can(p: Perm) -> bool:\n    return {}\n"
)
TREE = (
    "from dataclasses import dataclass\n@dataclass\nclass Node:\n    value: int\n    left: 'Node | None' = None\n"
    "    right: 'Node | None' = None\ndef f(node: Node | None) -> int:\n"
    "    return 0 if node is None else 1 + {}\n"
)
OUTER_ERROR = "class Bad({}):\n    pass\ndef f(n: int):\n    raise Bad(n)\n"
AREA = "    @{}\n    def area(self):\n        return self.w * self.h\n"
FIELD = "from dataclasses import field\n"
CENTS = (
    "from decimal import ROUND_HALF_UP, Decimal\ndef f(x: Decimal) -> Decimal:\n"
    "    return x.quantize(Decimal('0.01'){})\n"
)
WINDOW = (
    "class Limiter:\n    def __init__(self, limit: int, window: int):\n        self.limit = limit\n"
    "        self.window = window\n        self._times = []\n    def allow(self, now: int) -> bool:\n"
    "        self._times = [t for t in self._times if now - t {} self.window]\n"
    "        if len(self._times) >= self.limit:\n            return False\n"
    "        self._times.append(now)\n        return True\n"
)
USED = (
    "from collections import OrderedDict\nclass Recent:\n    def __init__(self, size: int = 2):\n"
    "        self._size, self._data = size, OrderedDict()\n    def get(self, key: str) -> int:\n"
    "        if key in self._data:\n            {}return self._data[key]\n        return -1\n"
    "    def put(self, key: str, value: int) -> None:\n        self._data[key] = value\n"
    "        self._data.move_to_end(key)\n        if len(self._data) > self._size:\n"
    "            self._data.popitem(last=False)\n"
)
STORED = (
    "class Cache:\n    def __init__(self):\n        self._data = {{}}\n    def put(self, key: str, value: object):\n"
    "        self._data[key] = value\n    def has(self, key: str) -> bool:\n        return {}\n"
)
CHECK = (
    "def f(number: str) -> bool:\n    total = 0\n    for i, c in enumerate({}):\n        d = int(c) * (1 + i % 2)\n"
    "        total += d - 9 if d > 9 else d\n    return total % 10 == 0\n"
)
ADDRESS = (
    "def f(text: str) -> bool:\n    parts = text.split('.')\n"
    "    return len(parts) == 4 and all(p.isdigit() and int(p) <= {} for p in parts)\n"
)
CLOCK = (
    "def f(text: str) -> int:\n    hours, minutes = text.split(':')\n    if not 0 <= int(minutes) {} 60:\n"
    "        raise ValueError\n    return int(hours) * 60 + int(minutes)\n"
)
NUMERAL = (
    "def f(numeral: str) -> int:\n    values = {{'I': 1, 'V': 5, 'X': 10, 'L': 50}}\n    total = 0\n"
    "    for one, after in zip(numeral, numeral[1:] + ' '):\n        n = values[one]\n"
    "        total += -n if n {} values.get(after, 0) else n\n    return total\n"
)
SAFE = (
    "from typing import Callable\ndef f(g: Callable[[], int]):\n    try:\n        return g()\n"
    "    except{}:\n        return -1\n"
)
STORE = "_of = {{}}\ndef put(key: str, n: int):\n    {}\ndef get(key: str):\n    return _of.get(key)\n"
LINE = (
    "class Line:\n    def __init__(self, limit: int):\n        self._limit, self._in, self._wait = limit, [], []\n"
    "    def join(self, who: str):\n        to = self._in if len(self._in) < self._limit else self._wait\n"
    "        to.append(who)\n    def leave(self, who: str):\n        self._in.remove(who)\n"
    "        if self._wait:\n            self._in.append(self._wait.pop({}))\n"
    "    def members(self) -> list[str]:\n        return list(self._in)\n"
)
BAG = (
    "class Bag:\n    def __init__(self):\n        self._n = {{}}\n    def add(self, x: str):\n"
    "        self._n[x] = self._n.get(x, 0) + 1\n    def drop(self, x: str):\n        {}\n"
    "    def count(self, x: str):\n        return self._n.get(x, 0)\n"
)
MONEY = (
    "class Money:\n    def __init__(self, n: int):\n        self.n = n\n    def __add__(self, other):\n"
    "        return Money(self.n + other.n)\n"
)
RETRY = (
    "import functools\ndef retry(times: int):\n    def wrap(f):\n        @functools.wraps(f)\n"
    "        def inner(*args):\n            for _ in range(min(times, 9)):\n                try:\n"
    "                    return f(*args)\n                except {}:\n                    pass\n"
    "            return 'none'\n        return inner\n    return wrap\n"
)
LOCAL = (
    "def f(n: int):\n    class K:\n        size = {1}\n        def __init__(self, x):\n            self.x = x\n"
    "        def go(self):\n            return self.x + {2}\n    return {0}\n"
)
FIELDS = "from collections import namedtuple\ndef f(n: int):\n    return namedtuple('P', {!r})(n, 1)\n"
SQUARES = "{}def f():\n    for i in range(1, {}):\n        yield i * i\n"
CLIENT = "class Client:\n    TIMEOUT = {}\n    def f(self, n: int) -> int:\n        return n\n"
MATCHED = (
    "class P:\n    __match_args__ = ({})\n    def __init__(self, x: int, y: int):\n        self.x, self.y = x, y\n"
)
DESCRIPTOR = (
    "class AtLeast:\n    def __get__(self, one, kind=None):\n        return one._n if one else self\n"
    "    def __set__(self, one, value):\n        one._n = max({}, value)\nclass C:\n    n = AtLeast()\n"
)
LEVEL = (
    "from enum import Enum\n_WEIGHTS = {{'LOW': 1, 'HIGH': {}}}\nclass Level(Enum):\n    LOW = 1\n    HIGH = 2\n"
    "    def weight(self) -> int:\n        return {}\n"
)
BITS = (
    "class Bits:\n    def __init__(self, n: int):\n        self.n = n\n    def __and__(self, other: int):\n"
    "        return Bits(self.n & other)\n    def __neg__(self):\n        return Bits(-self.n)\n"
    "    def __iter__(self):\n        return iter([self.n])\n"
)
HTTP = (
    "class HttpError(Exception):\n    pass\ndef f(n: int) -> int:\n    if n > 3:\n"
    "        raise HttpError({})\n    return n\n"
)
RAISING = "def f(n: int):\n    if n > 3:\n        raise {}\n    return n\n"
DECK = (
    "class Card:\n    def __init__(self, rank: int):\n        self._rank = rank\n    def rank(self) -> int:\n"
    "        return self._rank\ndef deck() -> list[Card]:\n    return [Card({}) for i in range(13)]\n"
)
CAPPED = "def f(k: int):\n    def g(x: int) -> int:\n        return min(x, {}) + k\n    return g\n"
SWALLOWING = (
    "from contextlib import contextmanager, suppress\n@contextmanager\ndef f({}):\n    with suppress({}):\n"
    "        yield 1\n"
)
BELOW = "def f(n: int) -> bool:\n    return n <= {}\n"
FOUND = "import re\ndef f(s: str) -> list[str]:\n    return re.findall({})\n"
SHAPES = (
    "from typing import Protocol\nclass Shape(Protocol):\n    def area(self) -> float: ...\n"
    "def f(shapes: list[Shape]) -> float:\n    return {} if shapes else 0.0\n"
)
NAMED = (
    "from typing import Protocol\nclass Named(Protocol):\n    name: str\n"
    "def f(x: Named) -> str:\n    return x.name.{}\n"
)
KINDRED = "class A:\n    pass\nclass B(A):\n    pass\ndef f(x: A):\n    return {}\n"
KEPT = "_kept = {}\ndef f(n: int) -> bool:\n    if n {} _kept:\n        return True\n    return False\n"
DIFFERENT = {
    "what a second call stores under a key": (STORE.format("_of[key] = n"), STORE.format("_of.setdefault(key, n)")),
    "who comes first once a small limit is reached": (LINE.format("0"), LINE.format("")),
    "what is taken away of several": (BAG.format("self._n[x] -= 1"), BAG.format("del self._n[x]")),
    "one method under two names": (MONEY + "    __radd__ = __add__\n", MONEY),
    "the errors that a decorator swallows": (RETRY.format("Exception"), RETRY.format("ValueError")),
    "a class below the one that is asked for": (KINDRED.format("type(x) is A"), KINDRED.format("isinstance(x, A)")),
    "a second edge to the same node": (
        "def f(g: dict[str, list[str]], a: str):\n    return sum(len(g.get(b, [])) for b in g.get(a, []))\n",
        "def f(g: dict[str, list[str]], a: str):\n    return sum(len(g.get(b, [])) for b in set(g.get(a, [])))\n",
    ),
    "a class that a call makes": (POINT.format("'x y'", "p.x + k"), POINT.format("'x y'", "p.y + k")),
    "the depth and the size of a tree": (
        TREE.format("max(f(node.left), f(node.right))"),
        TREE.format("f(node.left) + f(node.right)"),
    ),
    "the order in which a tree without hints is walked": (
        LEETCODE.format("self.walk(root.left) + [root.val] + self.walk(root.right)"),
        LEETCODE.format("[root.val] + self.walk(root.left) + self.walk(root.right)"),
    ),
    "what catches an error of its own": (OUTER_ERROR.format("ValueError"), OUTER_ERROR.format("Exception")),
    "what an Enum's members are beside": (
        "from enum import IntEnum\nclass Way(IntEnum):\n    UP = 1\n",
        "from enum import Enum\nclass Way(Enum):\n    UP = 1\n",
    ),
    "a class that another one no longer derives from": (
        "class A:\n    def f(self):\n        return 1\nclass B(A):\n    pass\n",
        "class A:\n    def f(self):\n        return 1\nclass B:\n    def f(self):\n        return 1\n",
    ),
    "an instance of a class below": (
        "class A:\n    def __init__(self, n: int):\n        self.n = n\n    def __eq__(self, other):\n"
        "        return isinstance(other, A) and self.n == other.n\nclass B(A):\n    pass\n",
        "class A:\n    def __init__(self, n: int):\n        self.n = n\n    def __eq__(self, other):\n"
        "        return type(other) is type(self) and self.n == other.n\nclass B(A):\n    pass\n",
    ),
    "one list for all instances": (
        "from dataclasses import dataclass, field\n_all = []\n@dataclass\nclass Cart:\n"
        "    items: list = field(default_factory=list)\n    def add(self, x: int):\n        self.items.append(x)\n",
        "from dataclasses import dataclass, field\n_all = []\n@dataclass\nclass Cart:\n"
        "    items: list = field(default_factory=lambda: _all)\n"
        "    def add(self, x: int):\n        self.items.append(x)\n",
    ),
    "errors that only a bare except catches": (SAFE.format(" Exception"), SAFE.format("")),
    "an error that another one stands above": (
        "class Quiet:\n    def __enter__(self):\n        return self\n    def __exit__(self, kind, *rest):\n"
        "        return kind is KeyError\n",
        "class Quiet:\n    def __enter__(self):\n        return self\n    def __exit__(self, kind, *rest):\n"
        "        return kind is not None and issubclass(kind, LookupError)\n",
    ),
    "NaN beside itself": (
        "def f(x: float, a: float, b: float):\n    return x == a or x == b\n",
        "def f(x: float, a: float, b: float):\n    return x in (a, b)\n",
    ),
    "a length that is longer than what one draws": (
        "def f(s: str):\n    return s[:72]\n",
        "def f(s: str):\n    return s[:80]\n",
    ),
    "truth values that the second program tells apart": (
        "def f(n: int):\n    return isinstance(n, int)\n",
        "def f(n: int):\n    return type(n) is int\n",
    ),
    "letters that are one in another case": (
        "def f(words: list[str]):\n    return sorted(words, key=str.lower)\n",
        "def f(words: list[str]):\n    return sorted(words, key=str.casefold)\n",
    ),
    "digits and decimals": ("def f(s: str):\n    return s.isdigit()\n", "def f(s: str):\n    return s.isdecimal()\n"),
    "lower and casefold": (
        "def f(a: str, b: str):\n    return a.lower() == b.lower()\n",
        "def f(a: str, b: str):\n    return a.casefold() == b.casefold()\n",
    ),
    "composed letters": (
        "import unicodedata\ndef f(s: str):\n    return unicodedata.normalize('NFC', s)\n",
        "def f(s: str):\n    return s\n",
    ),
    "the end of a line before the end": (
        "import re\ndef f(s: str):\n    return re.match(r'[a-c]+$', s) is not None\n",
        "import re\ndef f(s: str):\n    return re.fullmatch(r'[a-c]+', s) is not None\n",
    ),
    "roots of large squares": (
        "import math\ndef f(n: int):\n    return math.isqrt(abs(n))\n",
        "import math\ndef f(n: int):\n    return int(math.sqrt(abs(n)))\n",
    ),
    "a tuple after %": ("def f(x: object):\n    return '%s' % (x,)\n", "def f(x: object):\n    return '%s' % x\n"),
    "a NaN in a list": (
        "def f(xs: list[float], x: float):\n    return x in xs\n",
        "def f(xs: list[float], x: float):\n    return any(y == x for y in xs)\n",
    ),
    "truth values where they are told from integers": (
        "def f(n: int):\n    return 'b' if isinstance(n, bool) else 'i'\n",
        "def f(n: int):\n    return 'i'\n",
    ),
    "moments where they are told from days": (
        "from datetime import date, datetime\ndef f(d: date):\n    return isinstance(d, datetime)\n",
        "from datetime import date\ndef f(d: date):\n    return False\n",
    ),
    "time zones": (
        "from datetime import datetime, timezone\ndef f(d: datetime):\n"
        "    return d.isoformat() if d.tzinfo else d.replace(tzinfo=timezone.utc).isoformat()\n",
        "from datetime import datetime, timezone\ndef f(d: datetime):\n"
        "    return d.replace(tzinfo=timezone.utc).isoformat()\n",
    ),
    "a constant of the second program alone": (
        "def f(n: int):\n    return n + 1\n",
        "def f(n: int):\n    return 0 if n == 4321 else n + 1\n",
    ),
    "a key that may be missing": (USER.format("u.get('age', 0)"), USER.format("u['age']")),
    "several flags": (PERM.format("bool(p & Perm.R)"), PERM.format("p == Perm.R")),
    "a function that raises": (
        "from typing import Callable\ndef f(g: Callable[[], int]):\n    try:\n        return g()\n"
        "    except Exception:\n        return 'error'\n",
        "from typing import Callable\ndef f(g: Callable[[], int]):\n    try:\n        return g()\n"
        "    except ValueError:\n        return 'error'\n",
    ),
    "what is handed out twice": ("from functools import cache\n@cache\n" + DIGITS, DIGITS),
    "what is remembered": (
        "_seen = set()\ndef f(x: str):\n    new = x not in _seen\n    _seen.add(x)\n    return new\n",
        "def f(x: str):\n    return True\n",
    ),
    "fields that can't be set": (DATA.format("(frozen=True)"), DATA.format("")),
    "an order": (DATA.format("(order=True)"), DATA.format("")),
    "an order that is completed": (ORDERED, ORDERED.replace("@total_ordering\n", "")),
    "a hash": (DATA.format("(eq=False)"), DATA.format("")),
    "a setter": (SETTER.format("max(0, value)"), SETTER.format("value")),
    "the truth of an instance": (BOX, BOX + "    def __bool__(self):\n        return True\n"),
    "what a context swallows": (GUARD.format("self.quiet"), GUARD.format("False")),
    "how a context ends": (
        NOTED + "    try:\n        yield name\n    finally:\n        log.append('out')\n",
        NOTED + "    yield name\n    log.append('out')\n",
    ),
    "what a subclass of dict gives for a missing key": (
        "class D(dict):\n    def __missing__(self, key):\n        return 0\n",
        "class D(dict):\n    pass\n",
    ),
    "attributes that are looked up": (
        "class D:\n    def __getattr__(self, name):\n        raise AttributeError(name)\n",
        "class D:\n    def __getattr__(self, name):\n        return None\n",
    ),
    "what is sent to a generator": (
        "def acc():\n    total = 0\n    while True:\n        x = yield total\n        total += x or 0\n",
        "def acc():\n    while True:\n        yield 0\n",
    ),
    "how a generator is closed": (
        "def g():\n    try:\n        yield 1\n        yield 2\n    finally:\n        print('closed')\n",
        "def g():\n    yield 1\n    yield 2\n    print('closed')\n",
    ),
    "a coroutine and a value": ("async def f(x: int):\n    return x\n", "def f(x: int):\n    return x\n"),
    "an asynchronous iterator": (
        "from collections.abc import AsyncIterator\nasync def f(xs: AsyncIterator[int]):\n"
        "    return [x async for x in xs]\n",
        "from collections.abc import AsyncIterator\nasync def f(xs: AsyncIterator[int]):\n"
        "    return [x + 1 async for x in xs]\n",
    ),
    "what is written past sys.stdout": (
        "import sys\ndef f(n: int):\n    print(n, file=sys.__stdout__)\n",
        "import sys\ndef f(n: int):\n    print(n + 1, file=sys.__stdout__)\n",
    ),
    "what is written to a descriptor": (
        "import os\ndef f(n: int):\n    os.write(1, str(n).encode())\n",
        "import os\ndef f(n: int):\n    os.write(1, str(-n).encode())\n",
    ),
    "the descriptor that is written to": (
        "import os\ndef f(n: int):\n    os.write(1, str(n).encode())\n",
        "import os\ndef f(n: int):\n    os.write(2, str(n).encode())\n",
    ),
    "what is read of a descriptor": (
        "import os\ndef f():\n    return len(os.read(0, 99))\n",
        "import os\ndef f():\n    return len(os.read(0, 99).split())\n",
    ),
    "what is read of an opened descriptor": (
        "def f():\n    print(len(open(0).read()))\n",
        "def f():\n    print(len(open(0).read().split()))\n",
    ),
    "the bytes of standard input": (
        "import sys\ndef f():\n    return len(sys.stdin.buffer.read())\n",
        "import sys\ndef f():\n    return len(sys.stdin.buffer.read().split())\n",
    ),
    "the decimal context": (
        "import decimal\ndef f(n: int) -> int:\n    decimal.getcontext().prec = 5\n    return n\n",
        "import decimal\ndef f(n: int) -> int:\n    with decimal.localcontext() as context:\n"
        "        context.prec = 5\n    return n\n",
    ),
    "a variable that a call makes": (
        "def f(n: int) -> int:\n    global last\n    last = n\n    return n\n",
        "def f(n: int) -> int:\n    global last\n    last = -n\n    return n\n",
    ),
    "who handles a signal": (
        "import signal\ndef f(n: int) -> int:\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    return n\n",
        "import signal\ndef f(n: int) -> int:\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n    return n\n",
    ),
    "the mask of new files": (
        "import os\ndef f(n: int) -> int:\n    os.umask(0o77)\n    return n\n",
        "import os\ndef f(n: int) -> int:\n    os.umask(0o7)\n    return n\n",
    ),
    "what is put into builtins": (
        "import builtins\ndef f(n: int) -> int:\n    builtins.last = n\n    return n\n",
        "import builtins\ndef f(n: int) -> int:\n    return n if builtins else n\n",
    ),
    "a word less on the command line": (
        "import sys\ndef f(n: int) -> int:\n    sys.argv.pop(0)\n    return n\n",
        "import sys\ndef f(n: int) -> int:\n    return n if sys.argv[0] else n\n",
    ),
    "where modules are looked for": (
        "import sys\ndef f(n: int) -> int:\n    sys.path.append('a')\n    return n\n",
        "import sys\ndef f(n: int) -> int:\n    sys.path.append('b')\n    return n\n",
    ),
    "an exit code": ("import sys\ndef f():\n    sys.exit(2)\n", "import sys\ndef f():\n    sys.exit(1)\n"),
    "what an error holds": (OWN_ERROR.format("n"), OWN_ERROR.format("-n")),
    "the text of a warning": (
        "import warnings\ndef f():\n    warnings.warn('old')\n",
        "import warnings\ndef f():\n    warnings.warn('gone')\n",
    ),
    "files that are written": (
        "def f(path: str, text: str):\n    with open(path, 'a') as file:\n        file.write(text)\n",
        "def f(path: str, text: str):\n    with open(path, 'w') as file:\n        file.write(text)\n",
    ),
    "lines that are read": (
        "def f(path: str):\n    with open(path) as file:\n        return [line.strip() for line in file]\n",
        "def f(path: str):\n    with open(path) as file:\n        return [line for line in file]\n",
    ),
    "attributes that are set from outside": (
        "class R:\n    def __init__(self, w, h):\n        self.w = w\n        self.h = h\n" + AREA.format("property"),
        "from functools import cached_property\nclass R:\n    def __init__(self, w, h):\n        self.w = w\n"
        "        self.h = h\n" + AREA.format("cached_property"),
    ),
    "attributes that a class knows nothing of": (BOX, BOX.replace("Box:", "Box:\n    __slots__ = ('xs',)")),
    "what a dataclass shows of itself": (
        FIELD + DATA.format("") + "    z: int = field(default=0, repr=False)\n",
        FIELD + DATA.format("") + "    z: int = field(default=0)\n",
    ),
    "halves of a decimal place": (
        CENTS.format(", rounding=ROUND_HALF_UP"), CENTS.format(""),
    ),
    "the last days of a month": (
        "from datetime import date\ndef f(d: date) -> bool:\n    return d.day > 28\n",
        "from datetime import date\ndef f(d: date) -> bool:\n    return d.day > 28 and d.day != 30\n",
    ),
    "a moment at the end of a window": (WINDOW.format("<"), WINDOW.format("<=")),
    "what was used least": (
        USED.format("self._data.move_to_end(key)\n            "), USED.format(""),
    ),
    "None that is stored": (STORED.format("key in self._data"), STORED.format("self._data.get(key) is not None")),
    "numbers with a check digit": (CHECK.format("number[::-1]"), CHECK.format("number")),
    "fields between separators": (ADDRESS.format(255), ADDRESS.format(256)),
    "values of records without a hint": (
        "def f(user):\n    return '<' + user.get('name', '?') + '>'\n",
        "def f(user):\n    return '<' + (user.get('name') or '?') + '>'\n",
    ),
    "records in a record": (TOTAL.format(">="), TOTAL.format(">")),
    "objects in a list without a hint": (ADULTS.format("users", ">="), ADULTS.format("users", ">")),
    "records in a list with a hint": (
        "def f(rows: list[dict]) -> list:\n    return [r['id'] for r in rows if r.get('state') == 'open']\n",
        "def f(rows: list[dict]) -> list:\n    return [r['id'] for r in rows if r.get('state') != 'closed']\n",
    ),
    "a flag that is taken for a count": (
        "import re\ndef f(s: str) -> str:\n    return re.sub(r'\\s+', ' ', s, flags=re.MULTILINE)\n",
        "import re\ndef f(s: str) -> str:\n    return re.sub(r'\\s+', ' ', s, re.MULTILINE)\n",
    ),
    "the random numbers that all share": (
        "import random\ndef f(n: int) -> int:\n    return random.Random(n).randint(1, 6)\n",
        "import random\ndef f(n: int) -> int:\n    random.seed(n)\n    return random.randint(1, 6)\n",
    ),
    "words at which a text is split": (CLOCK.format("<"), CLOCK.format("<=")),
    "texts of the letters that a program knows": (NUMERAL.format("<"), NUMERAL.format("<=")),
    "a number after a word that places have too": (
        "def f(n: int) -> str:\n    return f'fault at {abs(n):#x}'\n",
        "def f(n: int) -> str:\n    return f'fault at {abs(n) + 1:#x}'\n",
    ),
    "what a defaultdict gives": (
        "from collections import defaultdict\ndef f(n: int):\n    return defaultdict(lambda: 1)\n",
        "from collections import defaultdict\ndef f(n: int):\n    return defaultdict(lambda: 2)\n",
    ),
    "what a class holds that is returned": (LOCAL.format("K", "n", "n"), LOCAL.format("K", "n + 1", "n")),
    "what a class does that is returned": (LOCAL.format("K", "1", "n"), LOCAL.format("K", "1", "n + 1")),
    "what the class of a result holds": (LOCAL.format("K(n)", "n", "n"), LOCAL.format("K(n)", "n + 1", "n")),
    "a class that a call makes inside": (
        "def f(n: int):\n    return type('X', (), {'a': 1})\n", "def f(n: int):\n    return type('X', (), {'a': 2})\n",
    ),
    "the names of fields": (FIELDS.format("x y"), FIELDS.format("first second")),
    "half of a pair and its name": (
        "def f(n: bool):\n    return '\\ud800' + ('\\\\ud801' if n else '')\n",
        "def f(n: bool):\n    return '\\ud800' + ('\\ud801' if n else '')\n",
    ),
    "the hundredth item": (SQUARES.format("", 101), SQUARES.format("", 100)),
    "the hundredth item of an asynchronous iterator": (SQUARES.format("async ", 101), SQUARES.format("async ", 100)),
    "the hundredth item of a map": (
        "def f(n: bool):\n    return map(str, range(100))\n", "def f(n: bool):\n    return map(str, range(99))\n",
    ),
    "a variable of a class": (CLIENT.format(30), CLIENT.format(60)),
    "the places of what a match takes": (
        MATCHED.format("'x', 'y'"), MATCHED.format("'y', 'x'"),
    ),
    "what a descriptor takes": (DESCRIPTOR.format(0), DESCRIPTOR.format(1)),
    "a table that an Enum's members look up": (
        LEVEL.format(5, "_WEIGHTS[self.name]"),
        LEVEL.format(6, "_WEIGHTS[self.name]"),
    ),
    "the text of a member": (LEVEL.format(5, "1") + "    __str__ = lambda self: 'x'\n", LEVEL.format(5, "1")),
    "a value that no member has": (
        LEVEL.format(5, "1") + "    @classmethod\n    def _missing_(cls, value):\n        return cls.LOW\n",
        LEVEL.format(5, "1"),
    ),
    "an operator on the right under another name": (BITS + "    __rand__ = __and__\n", BITS),
    "an operator with one side under another name": (BITS + "    __invert__ = __neg__\n", BITS),
    "the way back under another name": (BITS + "    __reversed__ = __iter__\n", BITS),
    "a field that is not compared": (
        FIELD + DATA.format("") + "    note: str = field(default='', compare=False)\n",
        FIELD + DATA.format("") + "    note: str = ''\n",
    ),
    "the number that an error is given": (HTTP.format("404"), HTTP.format("500")),
    "the cause of an error": (
        RAISING.format("ValueError('x') from KeyError('y')"), RAISING.format("ValueError('x') from OSError('y')"),
    ),
    "the members of a group": (
        RAISING.format("ExceptionGroup('x', [ValueError()])"), RAISING.format("ExceptionGroup('x', [KeyError()])"),
    ),
    "the value of an end": (RAISING.format("StopIteration(1)"), RAISING.format("StopIteration(2)")),
    "one of thirteen instances": (DECK.format("i"), DECK.format("i % 12")),
    "a function of a dict with a key of the program's": (
        "def f(k: int):\n    return lambda d: d['a'] + k\n", "def f(k: int):\n    return lambda d: d['a'] - k\n",
    ),
    "a large constant of a function that is returned": (CAPPED.format("5000"), CAPPED.format("6000")),
    "an error that a context swallows": (
        SWALLOWING.format("n: int", "KeyError"), SWALLOWING.format("n: int", "OSError"),
    ),
    "an error that a context without parameters swallows": (
        SWALLOWING.format("", "KeyError"), SWALLOWING.format("", "OSError"),
    ),
    "an error that a generator catches": (
        "def f():\n    try:\n        yield 2\n    except KeyError:\n        pass\n    yield 1\n",
        "def f():\n    yield 2\n    yield 1\n",
    ),
    "numbers of some millions": (BELOW.format("5_000_000"), BELOW.format("6_000_000")),
    "a limit that a private function gives by default": (
        "def _most(scale=7):\n    return scale * 12345\ndef f(n: int) -> bool:\n    return n <= _most()\n",
        "def _most(scale=8):\n    return scale * 12345\ndef f(n: int) -> bool:\n    return n <= _most()\n",
    ),
    "numbers that are computed": (BELOW.format("7 * 24 * 3600"), BELOW.format("8 * 24 * 3600")),
    "a limit of thousands of millions": (
        "def f(n: int) -> int:\n    return min(n, 5_000_000_000)\n",
        "def f(n: int) -> int:\n    return min(n, 6_000_000_000)\n",
    ),
    "a number at a large limit that has a name": (
        "MB = 1024 * 1024\n_MOST = 5 * MB\ndef f(n: int) -> bool:\n    if n > _MOST:\n        return True\n"
        "    return False\n",
        "MB = 1024 * 1024\n_MOST = 5 * MB\ndef f(n: int) -> bool:\n    if n >= _MOST:\n        return True\n"
        "    return False\n",
    ),
    "a large number in a text": (
        "def f(s: str) -> bool:\n    return int(s) < 5_000_000\n",
        "def f(s: str) -> bool:\n    return int(s) < 6_000_000\n",
    ),
    "a large number that a method is given": (
        "class C:\n    def f(self, n: int) -> bool:\n        return n < 5_000_000\n",
        "class C:\n    def f(self, n: int) -> bool:\n        return n < 6_000_000\n",
    ),
    "a length that is computed": (
        "def f(s: str) -> str:\n    return s[:32 * 32]\n",
        "def f(s: str) -> str:\n    return s\n",
    ),
    "many different words": (
        "from collections import Counter\ndef f(words: list[str]):\n    return Counter(words).most_common(10)\n",
        "from collections import Counter\ndef f(words: list[str]):\n    return Counter(words).most_common(9)\n",
    ),
    "many different numbers": (
        "def f(xs: list[int]):\n    return sorted(set(xs))[:10]\n",
        "def f(xs: list[int]):\n    return sorted(set(xs))[:11]\n",
    ),
    "many keys": (
        "def f(d: dict[str, int]):\n    return list(d)[:10]\n",
        "def f(d: dict[str, int]):\n    return list(d)[:11]\n",
    ),
    "many starred arguments": (
        "def f(*xs: int) -> int:\n    return sum(xs)\n",
        "def f(*xs: int) -> int:\n    return sum(xs[:len('abcd')])\n",
    ),
    "many arguments by name": (
        "def f(**kw: int) -> int:\n    return len(kw)\n",
        "def f(**kw: int) -> int:\n    return min(len(kw), 3)\n",
    ),
    "one list as two arguments": (
        "def assign(a: list[int], b: list[int]) -> None:\n    a.clear()\n    a.extend(b)\n",
        "def assign(a: list[int], b: list[int]) -> None:\n    a[:] = b\n",
    ),
    "one instance as two arguments": (
        "class A:\n    def __init__(self, n: int):\n        self.n = n\ndef move(a: A, b: A, k: int) -> None:\n"
        "    a.n -= k\n    b.n += k\n",
        "class A:\n    def __init__(self, n: int):\n        self.n = n\ndef move(a: A, b: A, k: int) -> None:\n"
        "    a.n, b.n = a.n - k, b.n + k\n",
    ),
    "one row twice in a table": (
        "def f(table: list[list[int]]) -> list[int]:\n    for row in table:\n        row.append(1)\n"
        "    return [len(row) for row in table]\n",
        "def f(table: list[list[int]]) -> list[int]:\n    out = []\n    for row in table:\n        row.append(1)\n"
        "        out.append(len(row))\n    return out\n",
    ),
    "a tuple where any sequence may stand": (
        "from collections.abc import Sequence\ndef f(xs: Sequence[int]) -> list[int]:\n    return xs[::-1]\n",
        "from collections.abc import Sequence\ndef f(xs: Sequence[int]) -> list[int]:\n"
        "    return list(reversed(xs))\n",
    ),
    "an ordered dict where any mapping may stand": (
        "from collections.abc import Mapping\ndef f(m: Mapping[str, int]):\n    return m.copy()\n",
        "from collections.abc import Mapping\ndef f(m: Mapping[str, int]):\n    return dict(m)\n",
    ),
    "a set where any collection may stand": (
        "from collections.abc import Collection\ndef f(xs: Collection[int]):\n    return list(xs)[:1]\n",
        "from collections.abc import Collection\ndef f(xs: Collection[int]):\n    return list(xs[:1])\n",
    ),
    "a text where any texts may stand": (
        "from collections.abc import Iterable\ndef f(xs: Iterable[str]):\n"
        "    return [xs] if isinstance(xs, str) else list(xs)\n",
        "from collections.abc import Iterable\ndef f(xs: Iterable[str]):\n    return list(xs)\n",
    ),
    "beginnings of lines": (FOUND.format("r'^#\\w+', s, re.MULTILINE"), FOUND.format("r'^#\\w+', s")),
    "ends of lines": (FOUND.format("r'\\w+;$', s, re.M"), FOUND.format("r'\\w+;$', s")),
    "a dot for an end of a line": (FOUND.format("r'<.*?>', s, re.DOTALL"), FOUND.format("r'<.*?>', s")),
    "all but one character and a dot": (FOUND.format("r'<[^>]*>', s"), FOUND.format("r'<.*?>', s")),
    "a pattern with comments": (
        "import re\nP = r'''\n  (\\d+)  # number\n  \\s* [a-z]+ ;  # unit\n'''\ndef f(s: str):\n"
        "    m = re.match(P, s, re.VERBOSE)\n    return m and m.group(1)\n",
        "import re\nP = r'''\n  (\\d+)  # number\n  \\s* [a-z]+ ;  # unit\n'''\ndef f(s: str):\n"
        "    m = re.match(P, s, re.VERBOSE)\n    return m and m.group(0)\n",
    ),
    "objects of a protocol that differ": (
        SHAPES.format("max(s.area() for s in shapes)"), SHAPES.format("min(s.area() for s in shapes)"),
    ),
    "an attribute of a protocol": (NAMED.format("upper()"), NAMED.format("title()")),
    "a limit that is computed": (KEPT.format("7 * 24 * 3600", ">"), KEPT.format("8 * 24 * 3600", ">")),
    "a private table that is computed": (
        KEPT.format("[n * 1001 for n in range(50, 60)]", "in"), KEPT.format("[n * 1001 for n in range(50, 61)]", "in"),
    ),
    "primes that are found once": (
        KEPT.format("[n for n in range(2, 800) if all(n % k for k in range(2, n))]", "in"),
        KEPT.format("[n for n in range(2, 820) if all(n % k for k in range(2, n))]", "in"),
    ),
    "a long text in a private set": (
        KEPT.replace("n: int", "n: str").format("{'x' * 30, 'a'}", "in"),
        KEPT.replace("n: int", "n: str").format("{'x' * 31, 'a'}", "in"),
    ),
    "a day that is computed": (
        "from datetime import date, timedelta\n"
        + KEPT.replace("n: int", "n: date").format("date(2000, 1, 1) + timedelta(4000)", ">"),
        "from datetime import date, timedelta\n"
        + KEPT.replace("n: int", "n: date").format("date(2000, 1, 1) + timedelta(4001)", ">"),
    ),
    "a limit that a private function computes": (
        "def _kept():\n    return len('abc') * 4567\ndef f(n: int):\n    return n == _kept()\n",
        "def _kept():\n    return len('abcd') * 4567\ndef f(n: int):\n    return n == _kept()\n",
    ),
    "what is typed": (
        "def f():\n    return input('Name: ').strip()\n",
        "def f():\n    return input('Name: ').upper()\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_differs_is_told(name, sandbox):
    one, other = DIFFERENT[name]
    finding = Reference(one, sandbox, 150).compare(other)
    assert finding.answer is Answer.DIFFERENT, finding
    assert "with other effects" not in finding.counterexample and len(finding.counterexample) > 10
