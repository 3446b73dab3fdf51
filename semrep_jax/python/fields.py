"""Calls with texts that a program splits into fields: one field at a limit, known words in every order.

    exchanged(calls, pieces, rng)                # "03-11-2000" -> "12-11-2000", "03-31-2000"
    in_every_order(calls, pieces, rng)           # "two one", "one two"

They are made of calls that were drawn, in wire form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from semrep_jax.python.constants import Pieces
from semrep_jax.python.steps import places, put

MOST_EXCHANGED = 100  # calls with another field in a text
SPLIT = 2  # texts of which these are made
MOST_FIELDS = 12  # of such a text: a long one in a docstring may have thousands
MOST_SEPARATORS = 4
ORDERS = 2  # of known words in a text, and each backwards too
MOST_WORDS = 24


def exchanged(calls: Sequence[Any], pieces: Pieces, rng: Random) -> list[Any]:
    """Calls with another field in a text: those that come first with as many fields as the program takes, each of their
    fields as each number and word that means something to it.

    calls: that were drawn. pieces: of the program's texts. rng: decides which, where there are too many.
    """
    words = list(dict.fromkeys(["1", *(piece for piece in pieces.own if piece.isalnum())]))
    texts = [
        (call, place, separator, x.split(separator))
        for call in calls
        for place, x in places(call).items()
        for separator, count in pieces.fields
        if type(x) is str and separator in x and count in (0, x.count(separator) + 1)
    ]
    changes = [
        (call, place, separator, fields, n, word)
        for call, place, separator, fields in texts[:SPLIT]
        for n in rng.sample(range(len(fields)), min(len(fields), MOST_FIELDS))
        for word in words
    ]
    return [
        put(call, place, separator.join([*fields[:n], word, *fields[n + 1 :]]))
        for call, place, separator, fields, n, word in rng.sample(changes, min(len(changes), MOST_EXCHANGED))
    ]


def in_every_order(calls: Sequence[Any], pieces: Pieces, rng: Random) -> Iterator[Any]:
    """Calls with a text of all words that a program knows, so that each stands before and behind each other one.

    calls: that were drawn; the first with a text is changed. pieces: of the program's texts. rng: decides one order.
    """
    given = [(call, place) for call in calls for place, x in places(call).items() if type(x) is str]
    for separator, count in pieces.fields[:MOST_SEPARATORS] if given else ():
        known = pieces.known_words(separator)[:MOST_WORDS]
        for order in range(ORDERS if len(known) > 1 and not count else 0):
            words = rng.sample(known, len(known)) if order else known
            for line in (words, words[::-1]):
                yield put(*given[0], separator.join(line))
