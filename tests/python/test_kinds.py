"""Pairs of programs by what tells them apart: values, inputs, state, classes, surroundings; and pairs that only look
different."""

from __future__ import annotations

import pytest

from semrep_jax.languages import Answer
from semrep_jax.python import formats
from semrep_jax.python.equivalence import Reference

DATA = "from dataclasses import dataclass\n@dataclass{}\nclass P:\n    x: int\n    y: int = 0\n"
BOX = (
    "class Box:\n    def __init__(self, xs: list[int]):\n        self.xs = xs\n"
    "    def __len__(self):\n        return len(self.xs)\n"
)
ORDERED = (
    "from functools import total_ordering\n@total_ordering\nclass V:\n"
    "    def __init__(self, n: int):\n        self.n = n\n"
    "    def __eq__(self, other):\n        return isinstance(other, V) and self.n == other.n\n"
    "    def __lt__(self, other):\n        return self.n < other.n\n"
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
DIFFERENT = {
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


PILE = (
    "class Pile:\n    def __init__(self):\n        self._items = []\n    def push(self, x: int) -> None:\n"
    "        self._items.append(x)\n    def all(self) -> list[int]:\n        return list({})\n"
)
ALIKE = {
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
    "parameters of a private function": ("def _f(x: int):\n    return x\n", "def _f(item: int):\n    return item\n"),
    "a condition turned that no call reaches": (
        "def f(n: int):\n    if n == 2**90 + 12345:\n        if n % 2 and n % 3:\n            return 1\n"
        "        return 2\n    return n\n",
        "def f(n: int):\n    if n == 2**90 + 12345:\n        if not (not n % 2 or not n % 3):\n            return 1\n"
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
    source = f"def f(n: int):\n    if n == 2**90 + 12345:\n{inner}    return n\n"
    finding = Reference(source, sandbox, 60).compare(source.replace("if n % 2", "if not n % 2"))
    assert finding.answer is not Answer.EQUIVALENT


@pytest.mark.parametrize("pattern", [r"\d{4}-\d\d", r"^(a|bc)+\s*(\w+)\1$", r"[^a-z]x?", r"(?i:ab)[\d,]{2,}"])
def test_texts_that_a_pattern_matches_are_drawn(pattern):
    import re

    texts = formats.matching(pattern)
    assert sum(re.search(pattern, text) is not None for text in texts) >= len(texts) / 2


def test_a_text_that_is_no_pattern_draws_nothing():
    assert formats.matching("(") == [] and formats.matching("a" * 500) == []
