"""Other wordings of the grammar's instructions: some for training, one of each kind for tests alone.

    reworded("constant", "use 5 instead of 3", rng, TRAINING)      # "change 3 to 5"
    reworded("constant", "use 5 instead of 3", rng, HELD_OUT)      # "where it has 3 it should have 5"

The first wording of each kind is the grammar's own (`edits`), the only one that the shipped bases have read. Bugs keep
theirs: what mends them has to be said as it is.
"""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

from semrep_jax.core.errors import TaskError


class Wordings(NamedTuple):
    """The wordings of a kind of edit. own: the grammar's, a pattern whose groups are what the others name {0}, {1}."""

    own: str
    training: tuple[str, ...]
    held_out: tuple[str, ...]


WORDINGS = {
    "condition": Wordings(
        r"change the condition to: (.+)",
        ("the condition should be: {0}", "test for {0} instead"),
        ("it should only count if it is {0}",),
    ),
    "constant": Wordings(
        r"use (\S+) instead of (\S+)",
        ("change {1} to {0}", "replace {1} by {0}"),
        ("where it has {1} it should have {0}",),
    ),
    "operation": Wordings(
        r"use (.+)", ("the value should be {0}", "compute {0}"), ("what we need here is {0}",)
    ),
    "order": Wordings(
        r"return the result in reverse order",
        ("reverse the result", "return it in reverse"),
        ("give the result from the last to the first",),
    ),
    "parameter": Wordings(
        r"add a parameter limit with default (\S+) in place of (\S+)",
        ("make {1} a parameter limit with default {0}", "add limit={0} and use it instead of {1}"),
        ("let the caller set {1} by a parameter limit, {0} if none is given",),
    ),
    "empty": Wordings(
        r"return (\S+) for an empty input",
        ("if the input is empty, return {0}", "an empty input should give {0}"),
        ("when there is nothing in it the result is {0}",),
    ),
    "count": Wordings(
        r"return how many there are instead of the list",
        ("return the length of the list", "return the count and not the list"),
        ("only the number of them is wanted",),
    ),
    "aggregate": Wordings(
        r"use the (.+) instead of the (.+)",
        ("change the {1} to the {0}", "it should be the {0}, not the {1}"),
        ("we want the {0} here where it has the {1}",),
    ),
    "limit": Wordings(
        r"return only the first (\S+)", ("cut the result after the first {0}",), ("no more than the first {0}, please",)
    ),
    "negate": Wordings(r"negate the condition", ("use the opposite condition",), ("keep what it leaves out now",)),
}  # fmt: skip
TRAINING, HELD_OUT = "training", "held_out"


def reworded(kind: str, instruction: str, rng: Random, which: str) -> str | None:
    """An instruction in another wording; None of a kind that has none.

    kind: of the edit. instruction: in the grammar's wording. rng: decides between wordings. which: TRAINING (the
    grammar's own is one of them) or HELD_OUT. Raises TaskError for an instruction that is not of its kind.
    """
    known = WORDINGS.get(kind)
    if known is None:
        return None
    found = re.fullmatch(known.own, instruction)
    if found is None:
        raise TaskError(f"the instruction {instruction!r} is not worded as one of kind {kind!r}: {known.own}")
    if which == HELD_OUT:
        return rng.choice(known.held_out).format(*found.groups())
    chosen = rng.choice((None, *known.training))
    return instruction if chosen is None else chosen.format(*found.groups())
