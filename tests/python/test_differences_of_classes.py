"""Pairs with classes that differ, and have to be told apart."""

from __future__ import annotations

import pytest
from pair_templates import DATA, LEETCODE, ORDERED, VIEW, assert_told_apart

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
DECK = (
    "class Card:\n    def __init__(self, rank: int):\n        self._rank = rank\n    def rank(self) -> int:\n"
    "        return self._rank\ndef deck() -> list[Card]:\n    return [Card({}) for i in range(13)]\n"
)
KINDRED = "class A:\n    pass\nclass B(A):\n    pass\ndef f(x: A):\n    return {}\n"
DIFFERENT = {
    "who comes first once a small limit is reached": (LINE.format("0"), LINE.format("")),
    "what is taken away of several": (BAG.format("self._n[x] -= 1"), BAG.format("del self._n[x]")),
    "one method under two names": (MONEY + "    __radd__ = __add__\n", MONEY),
    "a class below the one that is asked for": (KINDRED.format("type(x) is A"), KINDRED.format("isinstance(x, A)")),
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
    "an error that another one stands above": (
        "class Quiet:\n    def __enter__(self):\n        return self\n    def __exit__(self, kind, *rest):\n"
        "        return kind is KeyError\n",
        "class Quiet:\n    def __enter__(self):\n        return self\n    def __exit__(self, kind, *rest):\n"
        "        return kind is not None and issubclass(kind, LookupError)\n",
    ),
    "a key that may be missing": (USER.format("u.get('age', 0)"), USER.format("u['age']")),
    "several flags": (PERM.format("bool(p & Perm.R)"), PERM.format("p == Perm.R")),
    "fields that can't be set": (DATA.format("(frozen=True)"), DATA.format("")),
    "an order": (DATA.format("(order=True)"), DATA.format("")),
    "an order that is completed": (ORDERED, ORDERED.replace("@total_ordering\n", "")),
    "a hash": (DATA.format("(eq=False)"), DATA.format("")),
    "a setter": (SETTER.format("max(0, value)"), SETTER.format("value")),
    "the truth of an instance": (BOX, BOX + "    def __bool__(self):\n        return True\n"),
    "what a context swallows": (GUARD.format("self.quiet"), GUARD.format("False")),
    "what a subclass of dict gives for a missing key": (
        "class D(dict):\n    def __missing__(self, key):\n        return 0\n",
        "class D(dict):\n    pass\n",
    ),
    "attributes that are looked up": (
        "class D:\n    def __getattr__(self, name):\n        raise AttributeError(name)\n",
        "class D:\n    def __getattr__(self, name):\n        return None\n",
    ),
    "what an error holds": (OWN_ERROR.format("n"), OWN_ERROR.format("-n")),
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
    "a moment at the end of a window": (WINDOW.format("<"), WINDOW.format("<=")),
    "what was used least": (
        USED.format("self._data.move_to_end(key)\n            "), USED.format(""),
    ),
    "None that is stored": (STORED.format("key in self._data"), STORED.format("self._data.get(key) is not None")),
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
    "what a slice gives": (
        VIEW.format("", "pass"), VIEW.format("", "if isinstance(i, slice): return View(self.xs[i])"),
    ),
    "what a slice gives that a hint names": (
        VIEW.format(": int | slice", "i = i"),
        VIEW.format(": int | slice", "i = i if isinstance(i, int) else slice(0)"),
    ),
    "one of thirteen instances": (DECK.format("i"), DECK.format("i % 12")),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_classes_that_differ_are_told_apart(name, sandbox):
    assert_told_apart(*DIFFERENT[name], sandbox)
