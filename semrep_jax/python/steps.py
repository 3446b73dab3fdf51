"""Steps that give arguments, and what is read of their calls and can be changed about them, in wire form.

parts(["t", 1, 2])                               # [[1, 2], []]: by place, by name
given(function, "limit", call)                   # what a call gives a parameter
with_call(["call", "f", call], change)           # the step with its call changed
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Collection
from random import Random
from typing import Any

from semrep_jax.python.recurring import recurring
from semrep_jax.python.surface import Function, Kind, Parameter
from semrep_jax.python.trace import Step

GIVING = ("call", "new", "ask", "op")  # steps that give arguments
_MAGNITUDES = (6, 13, 31, 100, 1001, 10**6)


def gives(step: Step) -> bool:
    """Whether a step gives arguments."""
    return step[0] in GIVING


def parts(call: Any) -> list[Any]:
    """Arguments by place and by name of a call."""
    return [call[1:], []] if call[0] == "t" else call[1:]


def called(by_place: list[Any], by_name: list[Any]) -> Any:
    """The call with these arguments."""
    return ["call*", by_place, by_name] if by_name else ["t", *by_place]


def places(call: Any) -> dict[int | str, Any]:
    """The arguments of a call by number and by name."""
    by_place, by_name = parts(call)
    return {**dict(enumerate(by_place)), **dict(by_name)}


def put(call: Any, place: int | str, argument: Any) -> Any:
    """A call with another argument in one place."""
    by_place, by_name = parts(call)
    by_place = [argument if i == place else x for i, x in enumerate(by_place)]
    return called(by_place, [[name, argument if name == place else x] for name, x in by_name])


def with_call(step: Step, change: Callable[[Any], Any]) -> Step:
    """A step with its call changed, if it has one."""
    return [*step[:2], change(step[2])] if gives(step) else step


def with_few(steps: list[Step], rng: Random, fixed: Collection[Any]) -> list[Step]:
    """Steps with a few texts and numbers in the place of all.

    rng: decides which. fixed: values that stay as they are.
    """
    places = [i for i, step in enumerate(steps) if gives(step)]
    calls = recurring([steps[i][2] for i in places], rng, fixed)
    new = dict(zip(places, calls, strict=True))
    return [[*step[:2], new[i]] if i in new else step for i, step in enumerate(steps)]


def given(function: Function, name: str, call: Any) -> Any:
    """What a call gives a parameter, in wire form; None where it is left out.

    function: what is called. name: of the parameter. call: in wire form.
    """
    by_place, by_name = parts(call)
    return (dict(zip(_by_place(function), by_place, strict=False)) | dict(by_name)).get(name)


def giving(function: Function, parameter: Parameter, call: Any, value: Any) -> Any | None:
    """A call with another value for one parameter; None where that can't be given one.

    function: what is called. parameter: one of its own. call, value: in wire form.
    """
    by_place, by_name = parts(call)
    places = _by_place(function)
    if parameter.name in places[: len(by_place)]:
        place = places.index(parameter.name)
        return ["call*", [*by_place[:place], value, *by_place[place + 1 :]], by_name]
    if parameter.kind not in (Kind.EITHER, Kind.KEYWORD):
        return None
    return ["call*", by_place, [*([k, x] for k, x in by_name if k != parameter.name), [parameter.name, value]]]


def _by_place(function: Function) -> list[str]:
    return [p.name for p in function.parameters if p.kind in (Kind.POSITION, Kind.EITHER)]


def plain_call(call: Any) -> Any | None:
    """A positional call with plain values in `wire`'s form; None where it is none."""
    if call[0] != "t":
        return None
    try:
        return _plain(call)
    except ValueError:
        return None


def _plain(wire: Any) -> Any:
    if type(wire) is not list:
        return wire
    match wire[0]:
        case "f" | "b" | "c":
            return wire
        case "l" | "t" | "s" | "z":
            return [wire[0], *map(_plain, wire[1:])]
        case "d" | "D":
            return ["d", *sorted(([_plain(k), _plain(x)] for k, x in wire[1:]), key=repr)]
    raise ValueError


def magnitude(wire: Any) -> int:
    """How large the numbers in a call are, roughly: small ones come first, as large ones may take too long."""
    if type(wire) is int:
        return bisect(_MAGNITUDES, abs(wire)) + (wire < 0)
    if type(wire) is list and wire and wire[0] == "i":
        return len(_MAGNITUDES)
    if type(wire) is list and wire and wire[0] == "graph":  # may lead round and round, which ends its sequence
        return max(1, *map(magnitude, wire))
    return max(map(magnitude, wire), default=0) if type(wire) is list else 0
