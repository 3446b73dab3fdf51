"""What a setting of a stranger's model may be. Anything else is refused by its name before it is computed with.

    require(WHOLE, "hidden_size", "32", "models/m")    # ModelError: models/m: hidden_size = '32' has to be a whole ...

JSON has no types of its own: a size may come as text, a list, true, NaN or -1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from semrep_jax.model.shape import ModelError


class Kind(NamedTuple):
    """A kind of value. words: as a message says it. holds: whether a value is one."""

    words: str
    holds: Callable[[Any], bool]


def _number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that is larger than any float
        return False


WHOLE = Kind("a whole number above 0", lambda value: _number(value) and isinstance(value, int) and value > 0)
COUNT = Kind("a whole number, 0 or above", lambda value: _number(value) and isinstance(value, int) and value >= 0)
POSITIVE = Kind("a number above 0", lambda value: _number(value) and value > 0)
NOT_NEGATIVE = Kind("a number, 0 or above", lambda value: _number(value) and value >= 0)
SWITCH = Kind("true or false", lambda value: isinstance(value, bool))
TEXT = Kind("text", lambda value: isinstance(value, str))


def require(kind: Kind, key: str, value: Any, origin: str) -> Any:
    """The value, where it is of the kind; else ModelError.

    key: the setting's name. origin: where the model lies, for the message.
    """
    if not kind.holds(value):
        raise ModelError(f"{origin}: {key} = {value!r:.80} has to be {kind.words}; mend it, or get the model again")
    return value
