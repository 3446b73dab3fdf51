"""Pairs that differ only where inputs are large, many, shared or of a rarer type, and have to be told apart."""

from __future__ import annotations

import pytest
from pair_templates import assert_told_apart

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
KEPT = "_kept = {}\ndef f(n: int) -> bool:\n    if n {} _kept:\n        return True\n    return False\n"
LAST_LETTER = (
    "def f(s: str) -> bool:\n    last = s.split(' ')[-1]\n    return len(last) == 1 and 97 <= ord(last.lower()) <= {}\n"
)
TRIANGLE = (
    "def f(a: int, b: int, c: int) -> bool:\n    return min(a, b, c) <= 0 or a + b {} c or a + c <= b or b + c <= a\n"
)
MONTH = (
    "def f(s: str) -> bool:\n    '''f('03-11-2000') => True'''\n    month, day, year = map(int, s.split('-'))\n"
    "    return {} <= month <= {} and 0 < day < 30\n"
)
RANKED = (
    "RANK = {{'zero': 0, 'one': 1, 'two': 2, 'three': 3, 'four': {}, 'five': 5, 'six': 6, 'seven': 7, 'eight': 8}}\n"
    "def f(words: str) -> str:\n    return '-'.join(sorted(words.split({}), key=lambda w: RANK[w]))\n"
)
DIFFERENT = {
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
    "a letter behind the last one, by its number": (
        LAST_LETTER.format(122),
        LAST_LETTER.format(123),
    ),
    "a number that is the sum of two others": (TRIANGLE.format("<="), TRIANGLE.format("<")),
    "the last month": (MONTH.format(1, 12), MONTH.format(1, 11)),
    "the first month": (MONTH.format(1, 12), MONTH.format(2, 12)),
    "one number alone that is a float": (
        "def f(x, y):\n    return isinstance(x, int) and isinstance(y, int) and x == y\n",
        "def f(x, y):\n    return isinstance(x, int) and isinstance(x, int) and x == y\n",
    ),
    "numbers of an example in another order": (
        "def f(a, b, c):\n    '''\n    f(3, 4, 5) == True\n    '''\n    return a*a + b*b == c*c or b*b + c*c == a*a\n",
        "def f(a, b, c):\n    '''\n    f(3, 4, 5) == True\n    '''\n    return a*a + b*b == c*c or b*b + c*c == a+a\n",
    ),
    "two words of a text that are looked up": (RANKED.format(4, "' '"), RANKED.format(5, "' '")),
    "two words of a text, whatever stands between them": (RANKED.format(4, ""), RANKED.format(5, "")),
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
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_differs_at_an_edge_is_told(name, sandbox):
    assert_told_apart(*DIFFERENT[name], sandbox)
