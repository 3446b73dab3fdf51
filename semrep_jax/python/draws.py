"""What draws a value, and how such draws are put together.

draw = one_of([chosen("int"), several(chosen("str"), list)])
draw(Random(0))                                   # an integer, or a list of texts
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from semrep_jax.python.strategies import iterator, values

Draw = Callable[[Random], Any]
VENTURED = 0.12  # how often another iterable stands in the place of a list, where there is no hint


def chosen(kind: str) -> Draw:
    """What draws values of a kind; see `strategies.values`."""
    return lambda rng: rng.choice(values(kind))


class TooDeep(Exception):
    """An instance would have to hold too many others."""


def is_too_deep(draw: Draw, rng: Random) -> bool:
    """Whether a draw can't be made without too many instances; `rng` is as it was afterwards."""
    before = rng.getstate()
    try:
        draw(rng)
    except TooDeep:
        return True
    finally:
        rng.setstate(before)
    return False


def one_of(draws: Sequence[Draw | None]) -> Draw | None:
    """One of some draws, another one where it is too deep; None where there are none."""
    known = [draw for draw in draws if draw is not None]

    def draw(rng: Random) -> Any:
        first = rng.choice(known)
        for one in (first, *known):
            try:
                return one(rng)
            except TooDeep:
                continue
        raise TooDeep

    return draw if known else None


def several(one: Draw, kind: Callable[[list[Any]], Any], most: int = 5) -> Draw:
    """A container with as many draws as are not too deep.

    one: draws what lies in it. kind: makes it of a list. most: as many at most.
    """

    def draw(rng: Random) -> Any:
        found = []
        for _ in range(rng.randint(0, most)):
            try:
                found.append(one(rng))
            except TooDeep:
                break
        return kind(found)

    return draw


def as_iterable(items: list[Any], rng: Random) -> Any:
    """Items as a list, a tuple, an iterator or a generator."""
    kind = rng.choice(["list", "tuple", "iterator", "generator"])
    if kind in ("list", "tuple"):
        return tuple(items) if kind == "tuple" else items
    return iterator("generator" if kind == "generator" else "list", items)


def ventured(draw: Draw) -> Draw:
    """Now and then another iterable in the place of a list."""

    def other(rng: Random) -> Any:
        value = draw(rng)
        return as_iterable(value, rng) if type(value) is list and rng.random() < VENTURED else value

    return other
