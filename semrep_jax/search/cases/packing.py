"""The judge of circle packing: 26 disjoint circles in the unit square, by the sum of their radii, exactly.

    ruling = rule('[[0.1, 0.1, 0.1], ...]')        # JSON: 26 times [x, y, radius]
    ruling.valid, float(ruling.total), ruling.reason

Numbers are read as the decimal fractions that they are written as, every check is made in exact fractions, and the
tolerance is zero: an overlap of 1e-300 is an overlap. The sum is computed here; what a candidate says of itself is
never read. Text is all that is accepted: nothing is unpickled, and NaN and infinities are refused before anything is
compared with them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

CIRCLES = 26
LONGEST_TEXT = 100_000  # characters
# At most 40 digits and an exponent of two: fractions stay small, whatever is written.
NUMBER = re.compile(r"-?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,2})?")

Circle = tuple[Fraction, Fraction, Fraction]


class Refused(Exception):
    """The text is no packing; the message says why."""


@dataclass(frozen=True)
class Ruling:
    """What is true of a text: whether it is a valid packing, its sum of radii (0 where not), and what is wrong with
    it."""

    valid: bool
    total: Fraction
    reason: str = ""


def rule(text: object) -> Ruling:
    """The ruling on a candidate's answer. Never raises: whatever is not a valid packing is refused with a reason."""
    try:
        circles = read(text)
        for problem in _problems(circles):
            raise Refused(problem)
    except Refused as refused:
        return Ruling(False, Fraction(0), str(refused))
    return Ruling(True, sum((radius for _, _, radius in circles), Fraction(0)))


def read(text: object) -> list[Circle]:
    """The circles of a JSON text. Raises Refused."""
    if type(text) is not str:
        raise Refused(f"a text is wanted, not {type(text).__name__}")
    if len(text) > LONGEST_TEXT:
        raise Refused(f"the text has {len(text)} characters, {LONGEST_TEXT} at most are read")
    try:
        rows = json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"it is not JSON ({str(error)[:80]})") from error
    if type(rows) is not list or len(rows) != CIRCLES:
        raise Refused(f"a list of {CIRCLES} circles is wanted")
    return [_circle(number, row) for number, row in enumerate(rows)]


def _circle(number: int, row: Any) -> Circle:
    if type(row) is not list or len(row) != 3 or any(type(value) is not Fraction for value in row):
        raise Refused(f"circle {number} is not [x, y, radius], three numbers")
    x, y, radius = row
    return x, y, radius


def _number(text: str) -> Fraction:
    if NUMBER.fullmatch(text) is None:
        raise Refused(f"the number {text[:50]} is too long")
    return Fraction(text)


def _constant(text: str) -> Fraction:
    raise Refused(f"{text} is no number")


def _problems(circles: list[Circle]) -> Iterator[str]:
    """What is wrong with the circles, first things first."""
    for i, (x, y, radius) in enumerate(circles):
        if radius <= 0:
            yield f"the radius of circle {i} is {float(radius):.6g}, not above 0"
        if min(x, y) < radius or max(x, y) + radius > 1:
            yield f"circle {i} is not inside the unit square"
    for (i, (x, y, r)), (j, (u, v, s)) in combinations(enumerate(circles), 2):
        if (x - u) ** 2 + (y - v) ** 2 < (r + s) ** 2:
            yield f"circles {i} and {j} overlap"
