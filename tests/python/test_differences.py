"""Pairs of functions that differ in what they give or do, and have to be told apart."""

from __future__ import annotations

import pytest
from pair_templates import ADULTS, POINT, TOTAL, assert_told_apart

NOTED = (
    "from contextlib import contextmanager\nlog = []\n@contextmanager\ndef noted(name: str):\n    log.append(name)\n"
)
DIGITS = "def digits(n: int) -> list[int]:\n    return [int(c) for c in str(abs(n))]\n"
CENTS = (
    "from decimal import ROUND_HALF_UP, Decimal\ndef f(x: Decimal) -> Decimal:\n"
    "    return x.quantize(Decimal('0.01'){})\n"
)
RAW = "import io\ndef f(text: str):\n    with io.FileIO('a.txt', 'w') as file:\n        file.write({}.encode())\n"
GZIP = "import gzip\ndef f(text: str):\n    with gzip.GzipFile('a', 'w') as file:\n        file.write({}.encode())\n"
LOG = (
    "import logging\ndef f(n: int) -> int:\n    log = logging.getLogger('x')\n"
    "    log.addHandler(logging.FileHandler('{}.log'))\n    return n\n"
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
RAISING = "def f(n: int):\n    if n > 3:\n        raise {}\n    return n\n"
CAPPED = "def f(k: int):\n    def g(x: int) -> int:\n        return min(x, {}) + k\n    return g\n"
SWALLOWING = (
    "from contextlib import contextmanager, suppress\n@contextmanager\ndef f({}):\n    with suppress({}):\n"
    "        yield 1\n"
)
DIFFERENT = {
    "what a second call stores under a key": (STORE.format("_of[key] = n"), STORE.format("_of.setdefault(key, n)")),
    "the errors that a decorator swallows": (RETRY.format("Exception"), RETRY.format("ValueError")),
    "a second edge to the same node": (
        "def f(g: dict[str, list[str]], a: str):\n    return sum(len(g.get(b, [])) for b in g.get(a, []))\n",
        "def f(g: dict[str, list[str]], a: str):\n    return sum(len(g.get(b, [])) for b in set(g.get(a, [])))\n",
    ),
    "a class that a call makes": (POINT.format("'x y'", "p.x + k"), POINT.format("'x y'", "p.y + k")),
    "errors that only a bare except catches": (SAFE.format(" Exception"), SAFE.format("")),
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
    "how a context ends": (
        NOTED + "    try:\n        yield name\n    finally:\n        log.append('out')\n",
        NOTED + "    yield name\n    log.append('out')\n",
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
    "the text of a warning": (
        "import warnings\ndef f():\n    warnings.warn('old')\n",
        "import warnings\ndef f():\n    warnings.warn('gone')\n",
    ),
    "files that are written": (
        "def f(path: str, text: str):\n    with open(path, 'a') as file:\n        file.write(text)\n",
        "def f(path: str, text: str):\n    with open(path, 'w') as file:\n        file.write(text)\n",
    ),
    "what is written past open": (RAW.format("text"), RAW.format("text.strip()")),
    "what is written compressed": (GZIP.format("text"), GZIP.format("text.strip()")),
    "where a log is kept": (LOG.format("a"), LOG.format("b")),
    "lines that are read": (
        "def f(path: str):\n    with open(path) as file:\n        return [line.strip() for line in file]\n",
        "def f(path: str):\n    with open(path) as file:\n        return [line for line in file]\n",
    ),
    "halves of a decimal place": (
        CENTS.format(", rounding=ROUND_HALF_UP"), CENTS.format(""),
    ),
    "the last days of a month": (
        "from datetime import date\ndef f(d: date) -> bool:\n    return d.day > 28\n",
        "from datetime import date\ndef f(d: date) -> bool:\n    return d.day > 28 and d.day != 30\n",
    ),
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
    "the cause of an error": (
        RAISING.format("ValueError('x') from KeyError('y')"), RAISING.format("ValueError('x') from OSError('y')"),
    ),
    "the members of a group": (
        RAISING.format("ExceptionGroup('x', [ValueError()])"), RAISING.format("ExceptionGroup('x', [KeyError()])"),
    ),
    "the value of an end": (RAISING.format("StopIteration(1)"), RAISING.format("StopIteration(2)")),
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
    "what is typed": (
        "def f():\n    return input('Name: ').strip()\n",
        "def f():\n    return input('Name: ').upper()\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_functions_that_differ_are_told_apart(name, sandbox):
    assert_told_apart(*DIFFERENT[name], sandbox)
