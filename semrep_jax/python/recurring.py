"""Calls in which the same texts and numbers come again: what was stored is looked up, an edge leads back to its node.

    recurring([["t", "a", ["l", 3, 7]], ["t", "b"]], Random(0))      # e.g. [["t", "a", ["l", 7, 7]], ["t", "a"]]

Two texts that are drawn are hardly ever one; with a few in the place of all, they often are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from random import Random
from typing import Any

MOST_DIFFERENT = 3  # values of a type that are left
REPLACED = 0.8  # of the values
NEXT_TO = 0.1  # numbers that become one next to it
MOST_LETTERS = 5
LONG = 300  # characters or items: more than any flag of `re` that is taken for a count
EMPTY = 0.05  # values that become "" or 0


def recurring(calls: Sequence[Any], rng: Random, fixed: Collection[Any] = ()) -> list[Any]:
    """Calls in wire form with a few of their own texts, integers and floats in the place of all.

    calls: in wire form; what has no plain form stays as it is, but for what instances are built with. rng: decides
    which values are left, and where. fixed: values that stay as they are.
    """
    found: dict[str, dict[str, Any]] = {"str": {}, "int": {}, "float": {}}
    for call in calls:
        for leaf in texts_and_numbers(call):
            if leaf not in fixed:
                found[_sort(leaf)].setdefault(repr(leaf), leaf)
    pools = {
        sort: rng.sample(list(values.values()), min(len(values), rng.randint(1, MOST_DIFFERENT)))
        for sort, values in found.items()
    }

    def other(leaf: Any) -> Any:
        if leaf in fixed or rng.random() > REPLACED:
            return leaf
        if type(leaf) in (str, int) and rng.random() < EMPTY:
            return type(leaf)()
        new = rng.choice(pools[_sort(leaf)])
        return new + rng.choice([-1, 1]) if type(new) is int and rng.random() < NEXT_TO else new

    return [changed(call, other) for call in calls]


def lengthened(calls: Sequence[Any], count: int) -> list[Any]:
    """The first few calls that hold a text or list which is not empty, with all of those repeated until they are
    LONG.

    calls: in wire form. count: at most so many come back.
    """
    found: list[Any] = []
    for call in calls:
        longer = _longer(call)
        if longer != call and len(found) < count:
            found.append(longer)
    return found


def _longer(wire: Any) -> Any:
    """A call in wire form with its lists and texts repeated; what lies in them is as it was."""
    match wire:
        case ["t", *items]:
            return ["t", *map(_repeated, items)]
        case ["call*", args, kwargs]:
            return ["call*", [*map(_repeated, args)], [[name, _repeated(x)] for name, x in kwargs]]
    return wire


def _repeated(wire: Any) -> Any:
    match wire:
        case str() if wire:
            return (wire * LONG)[:LONG]
        case ["l", first, *items]:
            return ["l", *([first, *items] * LONG)[:LONG]]
    return wire


def told(texts: Sequence[str], rng: Random, fixed: Collection[Any], leaf: Any) -> Any:
    """One of some texts in the place of most others, or several where it is a letter.

    texts: that a program knows. rng: decides. fixed: values that stay. leaf: of an input, in wire form.
    """
    if type(leaf) is not str or leaf in fixed or rng.random() > REPLACED:
        return leaf
    letters = [text for text in texts if len(text) == 1]
    one = rng.choice(texts)
    return "".join(rng.choice(letters) for _ in range(rng.randint(1, MOST_LETTERS))) if one in letters else one


def changed(wire: Any, change: Callable[[Any], Any]) -> Any:
    """A wire form with each text and number in it changed; sets and dicts keep the last of what became the same.

    wire: the form. change: what makes another text or number of one, a float in wire form.
    """
    if type(wire) in (str, int):
        return change(wire)
    if type(wire) is not list or not wire:
        return wire

    def go(inner: Any) -> Any:
        return changed(inner, change)

    match wire:
        case ["f", _]:
            return change(wire)
        case ["l" | "t", *items]:
            return [wire[0], *map(go, items)]
        case ["s" | "z", *items]:
            return [wire[0], *{repr(x): x for x in map(go, items)}.values()]
        case ["d" | "D", *pairs]:
            return [wire[0], *{repr(k): [k, x] for k, x in ([go(k), go(x)] for k, x in pairs)}.values()]
        case ["call*", args, kwargs]:
            return ["call*", [*map(go, args)], [[name, go(x)] for name, x in kwargs]]
        case ["new", name, args, kwargs]:
            return ["new", name, [*map(go, args)], [[key, go(x)] for key, x in kwargs]]
    return wire


def leaves(wire: Any) -> int:
    """How many texts and numbers are in a wire form."""
    return sum(1 for _ in texts_and_numbers(wire))


def is_nested(call: Any) -> bool:
    """Whether some argument of a call in wire form is a container of containers."""
    return _depth(call) > 2


def _depth(wire: Any) -> int:
    """How deep containers lie in containers."""
    match wire:
        case ["l" | "t" | "s" | "z", *items]:
            return 1 + max(map(_depth, items), default=0)
        case ["d" | "D", *pairs]:
            return 1 + max((_depth(x) for pair in pairs for x in pair), default=0)
        case ["call*", args, kwargs]:
            return 1 + max((_depth(x) for x in [*args, *(x for _, x in kwargs)]), default=0)
    return 0


def texts_and_numbers(wire: Any) -> Iterator[Any]:
    """The texts and numbers in a wire form, in order."""
    found: list[Any] = []

    def note(leaf: Any) -> Any:
        found.append(leaf)
        return leaf

    changed(wire, note)
    yield from found


def _sort(leaf: Any) -> str:
    return "float" if type(leaf) is list else type(leaf).__name__
