"""Comparisons of the program's objects with plain values of the tests.

An object that says that it equals whatever a test expects has not been seen to equal anything: it is asked about others
like it in the same breath, and must tell them apart. Loaded by path by `contained.py`.
"""

import random
import string

import crossing

DISTANCES = ("__sub__", "__rsub__")


class Untruthful(AssertionError):
    """An object of the program claims to equal (or to be above, below, ...) every value, or to be as far from each."""


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
    shuffler.shuffle(order)
    said = {i: _answer(bridge, self, name, candidates[i]) for i in order}  # one by one: none is seen beside another
    claims = [a is not NotImplemented and bool(a) is (name != "__ne__") for _, a in sorted(said.items())]
    lying = all(claims[1:]) and len(claims) > 1 if name == "__contains__" else any(claims[1:])
    if claims[0] and lying:
        raise Untruthful(f"the program's {type(self).__name__} answers {said[0]!r} to {name} with any value")
    return said[0]


def require_distance(bridge, name, thing, args, found):
    """Refuse an object whose difference from a number of the tests is the same number whatever that is. Raises
    Untruthful.

    name: of the method, one of DISTANCES. args: what it was given. found: what it gave.
    """
    numbers = (int, float)
    if not bridge.guarded or len(args) != 1 or type(args[0]) not in numbers or type(found) not in numbers:
        return
    away = shuffler.uniform(1e3, 1e6) + abs(args[0])
    others = [args[0] + away, args[0] - away, args[0] + shuffler.uniform(0.1, 1.0)]
    if all(_answer(bridge, thing, name, other, "special") == found for other in others):
        raise Untruthful(f"the program's {type(thing).__name__} gives {found!r} to {name} with any number")


def _answer(bridge, thing, name, value, operation="compare"):
    """What the method of the program's object gives for one value; NotImplemented where it raises."""
    try:
        return bridge.call(operation, thing, name, args=[value])
    except Exception as error:
        return None if isinstance(error, RecursionError) else NotImplemented


shuffler = random.Random()  # seeded anew in the process of the tests


def plain(value):
    """Whether a value of the tests is one that crosses as it is."""
    t = type(value)
    return value is None or t in PLAIN or t in crossing.BY_VALUE or t in crossing.CONTAINERS


PLAIN = (bool, int, float, str, tuple, frozenset)


def decoys(value, name):
    """Values like this one that nothing which equals it equals, and of which nothing that is asked in earnest holds
    all."""
    rng, letters = shuffler, string.ascii_lowercase
    if name == "__contains__" and isinstance(value, (int, float)):
        return [rng.randint(10**9, 10**12), -rng.randint(10**9, 10**12), rng.random() * 10**9 + 0.5]
    if name in ("__lt__", "__le__"):
        return [-(10.0**30), -(10**25)] if isinstance(value, (int, float)) else [""] if type(value) is str else []
    if name in ("__gt__", "__ge__"):
        return [10.0**30, 10**25] if isinstance(value, (int, float)) else ["\U0010ffff"] if type(value) is str else []
    if type(value) is bool:
        return [not value]
    if type(value) is int:
        near = [n for n in (-2, -1, 1, 2) if rng.random() < 0.75]  # not even about the value, which is no median then
        return [value + n for n in (*near, rng.randint(3, 9), -rng.randint(3, 9 + abs(value)))]
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
