"""Programs with places left open, of which several files of tests make pairs, and what is asked of all that differ."""

from __future__ import annotations

from semrep_jax.languages import Answer
from semrep_jax.python.equivalence import Reference
from semrep_jax.sandbox.pool import Sandbox

DATA = "from dataclasses import dataclass\n@dataclass{}\nclass P:\n    x: int\n    y: int = 0\n"
ORDERED = (
    "from functools import total_ordering\n@total_ordering\nclass V:\n"
    "    def __init__(self, n: int):\n        self.n = n\n"
    "    def __eq__(self, other):\n        return isinstance(other, V) and self.n == other.n\n"
    "    def __lt__(self, other):\n        return self.n < other.n\n"
)
LEETCODE = (
    "class Tree:\n    def __init__(self, val=0, left=None, right=None):\n"
    "        self.val, self.left, self.right = val, left, right\nclass Solution:\n"
    "    def walk(self, root: 'Tree | None') -> list[int]:\n        if not root:\n            return []\n"
    "        return {}\n"
)
TOTAL = (
    "def f(order):\n    total = sum(i['price'] * i['count'] for i in order['items'])\n"
    "    return total - 5 if total {} 100 else total\n"
)
ADULTS = "def f(users):\n    return [u.name for u in {} if u.age {} 18]\n"
POINT = "from collections import namedtuple\nPoint = namedtuple('Point', {})\ndef f(p: Point, k: int):\n    return {}\n"
VIEW = (
    "class View:\n    def __init__(self, xs: list[int]):\n        self.xs = xs\n"
    "    def __getitem__(self, i{}):\n        {}\n        return self.xs[i]\n"
)


def assert_told_apart(one: str, other: str, sandbox: Sandbox) -> None:
    """Two programs are different, and the counterexample says by what."""
    finding = Reference(one, sandbox, 150).compare(other)
    assert finding.answer is Answer.DIFFERENT, finding
    assert "with other effects" not in finding.counterexample and len(finding.counterexample) > 10
