"""Values one small step from another, or with one of the program's own constants in them: what an edge is near to.

neighbour([1, 2], Random(0), [])        # e.g. [1, 12]: of the same type, one place changed
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

from semrep_jax.python.constants import Pieces
from semrep_jax.python.strategies import NEARLY_ONE

FIELDS = 0.7  # how often a text that is put together is fields between separators
KNOWN_WORDS = 0.5  # how often these are words that it compares with or looks up
LONGEST = 300  # texts and lists that are drawn for a number that may be a length


def with_constant(argument: Any, constant: Any, rng: Random) -> Any:
    """A constant of the program's own, one next to it, or a value that holds one, where the types agree.

    argument: the value to be changed; it comes back as it is where the types do not agree. constant: a text or number
    of the program's; an int also takes the place of a float, and may be a length. rng: decides which of the three it
    is, and where.
    """
    measured = type(constant) is int and is_length(constant) and isinstance(argument, str | list) and argument
    if measured and (isinstance(argument, str) or rng.random() < 0.4):
        length = constant + rng.choice([0, 1, -1, 1])
        return (argument * (length // len(argument) + 1))[:length]
    if type(argument) is float and type(constant) is int:
        constant = float(constant)
    if type(argument) is type(constant):
        if type(constant) is int:
            return constant + rng.choice([0, 0, 0, 1, -1])
        if type(constant) is float:
            return constant * rng.choice([1, 1, 1, -1])
        return constant if rng.random() < 0.5 else argument[:4] + constant + argument[4:]
    if isinstance(argument, list) and argument and type(argument[0]) is type(constant):
        if rng.random() < 0.5:
            return [*argument[:-1], constant]
        return [with_constant(x, constant, rng) if rng.random() < 0.5 else x for x in argument]
    if isinstance(argument, dict) and argument and type(next(iter(argument))) is type(constant):
        return {constant: next(iter(argument.values())), **argument}
    if isinstance(argument, list | tuple) and argument:
        i = rng.randrange(len(argument))
        inner = [*argument[:i], with_constant(argument[i], constant, rng), *argument[i + 1 :]]
        return tuple(inner) if type(argument) is tuple else inner
    if isinstance(argument, dict) and argument:
        key = rng.choice(list(argument))
        return {**argument, key: with_constant(argument[key], constant, rng)}
    return argument


def composed(argument: Any, pieces: Pieces, rng: Random) -> Any:
    """A text put together of pieces in the place of a text, or of some texts in a list; another value as it is.

    argument: the value. pieces: what means something to the program. rng: decides which of them, and whether they
    stand between separators.
    """
    if isinstance(argument, str):
        if pieces.fields and rng.random() < FIELDS:
            sort = rng.choice([str.isdigit, str.isdigit, str.isalnum])
            inner = [p for p in pieces.own if sort(p)]
            counts = [int(p) for p in inner if len(p) == 1 and "2" <= p <= "9"] or [1, 2, 3, 4]
            separator, count = rng.choice(pieces.fields)
            words = pieces.known_words(separator)
            if len(words) > 1 and rng.random() < KNOWN_WORDS:
                inner, counts = words, [2, 3, 5, 8]
            return separator.join(rng.choice(inner) for _ in range(count or rng.choice(counts)))
        return "".join(rng.choice(pieces.own) for _ in range(rng.randint(2, 6)))
    if isinstance(argument, list) and argument and type(argument[0]) is str:
        return [composed(x, pieces, rng) if rng.random() < 0.5 else x for x in argument]
    return argument


def is_length(constant: int) -> bool:
    """Whether a number may be a length at which something changes, and not too large to be tried."""
    return 2 <= constant <= LONGEST


def neighbour(value: Any, rng: Random, constants: list[Any]) -> Any:
    """A value one small step from another, of the same type.

    value: a number gives one next to it; a text, sequence or dict (or an argument tuple) one with one place changed.
    rng: decides the step. constants: texts among them may be put into a text.
    """
    if type(value) is bool:
        return not value
    if type(value) is int:
        return value + rng.choice([-1, 1, -10, 10, value, -2 * value])
    if type(value) is float:
        return value * rng.choice([0.5, -1.0, 2.0]) + rng.choice([0.0, 1.0, -0.5])
    if type(value) is str:
        return _neighbouring_text(value, rng, constants)
    if type(value) in (list, tuple) and value:
        if type(value[0]) is str and type(value) is list and rng.random() < 0.15:
            near = list(rng.choice(NEARLY_ONE))
            rng.shuffle(near)
            return near + value[1:]
        i = rng.randrange(len(value))
        changed = [*value[:i], neighbour(value[i], rng, constants), *value[i + 1 :]]
        if type(value) is tuple:
            return tuple(changed)
        return rng.choice([changed, [*value[:i], *value[i + 1 :]], [*value, value[i]], value[::-1]])
    if type(value) is dict and value:
        key = rng.choice(list(value))
        if rng.random() < 0.3:
            return dict(reversed(value.items()))
        return {**value, key: neighbour(value[key], rng, constants)}
    return value


def _neighbouring_text(text: str, rng: Random, constants: list[Any]) -> str:
    """A text with a letter changed or left out, with a constant put in, without its beginning, or with another number
    or word in the place of one."""
    known = [c for c in constants if type(c) is str] or ["a"]
    numbers = list(re.finditer(r"\d+", text))
    words = list(re.finditer(r"[^\W\d]+", text))
    parts = rng.choice([numbers, words])
    if len(parts) > 1 and rng.random() < 0.2:
        one, two = sorted(rng.sample(parts, 2), key=lambda m: m.start())
        between = text[one.end() : two.start()]
        return text[: one.start()] + two.group() + between + one.group() + text[two.end() :]
    if numbers and rng.random() < 0.4:
        found = rng.choice(numbers)
        return text[: found.start()] + _other_number(found.group(), rng) + text[found.end() :]
    if words and rng.random() < 0.3:
        found = rng.choice(words)
        other = rng.choice([*known, *known, found.group().swapcase()])
        return text[: found.start()] + other + text[found.end() :]
    i, j = (rng.randrange(len(text) + 1) for _ in range(2))
    letter = text[j : j + 1] if rng.random() < 0.5 else rng.choice("019aAzZ -.\t\né")
    changed = text[:i] + letter + text[i + 1 :]
    shorter = text[:i] + text[i + 1 :]
    longer = text[:i] + rng.choice(known) + text[i:]
    return rng.choice([changed, shorter, longer, text[i:]])


def _other_number(digits: str, rng: Random) -> str:
    """Digits that are another number, mostly as many."""
    value = int(digits) + rng.choice([1, -1, 10, -10, int(digits)])
    drawn = rng.randrange(10 ** min(len(digits), 9))
    return rng.choice([str(abs(value)), str(abs(value)).zfill(len(digits)), str(drawn).zfill(len(digits)), "0", "31"])
