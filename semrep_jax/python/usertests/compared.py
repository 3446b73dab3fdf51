"""Comparisons of the program's objects with plain values of the tests.

An object that says that it equals whatever a test expects has not been seen to equal anything: it is asked about others
like it in the same breath, and must tell them apart. Loaded by path by `contained.py`.
"""

import random
import string

import crossing
from crossing import Malformed


class Untruthful(AssertionError):
    """An object of the program claims to equal (or to be above, below, ...) every value."""


def compared(bridge, name, self, other, foreign):
    """What a special method of comparison gives; on the tests' side, with decoys among the values.

    bridge: this side's. name: of the method. self: a stand-in. other: what it is compared with. foreign: whether that
    is the program's, too.
    """
    if not bridge.guarded or foreign:
        return bridge.call("special", self, name, args=(other,))
    if not plain(other):
        return NotImplemented if name != "__contains__" else bridge.call("special", self, name, args=(other,))
    candidates = [other, *decoys(other, name)]
    order = list(range(len(candidates)))
    _shuffler.shuffle(order)
    answers = bridge.call("compare", self, name, args=[candidates[i] for i in order])
    if type(answers) is not list or len(answers) != len(order):
        raise Malformed("comparisons")
    said = dict(zip(order, answers, strict=True))
    claims = [a is not NotImplemented and bool(a) is (name != "__ne__") for _, a in sorted(said.items())]
    lying = all(claims[1:]) and len(claims) > 1 if name == "__contains__" else any(claims[1:])
    if claims[0] and lying:
        raise Untruthful(f"the program's {type(self).__name__} answers {said[0]!r} to {name} with any value")
    return said[0]


_shuffler = random.Random()


def plain(value):
    """Whether a value of the tests is one that crosses as it is."""
    t = type(value)
    return value is None or t in PLAIN or t in crossing.BY_VALUE or t in crossing.CONTAINERS


PLAIN = (bool, int, float, str, tuple, frozenset)


def decoys(value, name):
    """Values like this one that nothing which equals it equals, and of which nothing that is asked in earnest holds
    all."""
    rng, letters = _shuffler, string.ascii_lowercase
    if name == "__contains__" and isinstance(value, (int, float)):
        return [rng.randint(10**9, 10**12), -rng.randint(10**9, 10**12), rng.random() * 10**9 + 0.5]
    if name in ("__lt__", "__le__"):
        return [-(10.0**30), -(10**25)] if isinstance(value, (int, float)) else [""] if type(value) is str else []
    if name in ("__gt__", "__ge__"):
        return [10.0**30, 10**25] if isinstance(value, (int, float)) else ["\U0010ffff"] if type(value) is str else []
    if type(value) is bool:
        return [not value]
    if type(value) is int:
        return [value + n for n in (-2, -1, 1, 2, rng.randint(3, 9), -rng.randint(3, 9 + abs(value)))]
    if type(value) is float:
        return [value + n * (1 + abs(value)) for n in (-0.02, 0.02, rng.uniform(0.1, 1.0), -rng.uniform(0.1, 1.0))]
    if type(value) is str:
        return [value + rng.choice(letters), value + value + "?", "".join(rng.choice(letters) for _ in range(9))]
    if type(value) in (list, tuple):
        rest, make = list(value), type(value)
        return [make([*rest, rng.randint(0, 99)]), make([rng.randint(100, 999), *rest[1:]]), make([*rest, *rest, "x"])]
    if type(value) is dict:
        return [{**value, "".join(rng.choice(letters) for _ in range(9)): 1}]
    if type(value) in (set, frozenset):
        return [type(value)([*value, rng.randint(10**6, 10**7)])]
    return [rng.randint(1000, 9999), "".join(rng.choice(letters) for _ in range(9))]
