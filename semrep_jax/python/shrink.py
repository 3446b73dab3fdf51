"""Smaller calls, for counterexamples that can be read at a glance.

smallest(call, still_fails)      # `still_fails(calls)`: those of a batch that also show the difference
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ROUNDS = 12
MOST_TRIES = 100  # a round
LONG = 100  # items, over which a container loses a quarter at a time
LONG_TUPLE = 8  # and a tuple, or the arguments of a call


def size(wire: Any) -> int:
    """How long a value in wire form is when it is written."""
    return len(repr(wire))


def smallest(call: Any, still_fails: Callable[[list[Any]], list[Any]]) -> Any:
    """A call made smaller, step by step, as long as a smaller one fails too.

    call: an argument tuple in wire form that fails. still_fails: those of several that fail, in the same order;
    called at most ROUNDS times, with MOST_TRIES calls at most.
    """
    for _ in range(ROUNDS):
        smaller = sorted((c for c in simpler(call) if size(c) < size(call)), key=size)[:MOST_TRIES]
        failing = still_fails(smaller) if smaller else []
        if not failing:
            break
        call = failing[0]
    return call


def smallest_sequence(
    steps: list[Any], still_fails: Callable[[list[list[Any]]], list[list[Any]]], rounds: int = ROUNDS
) -> list[Any]:
    """A sequence of steps made shorter and then, call by call, smaller, as long as a smaller one fails too.

    steps: see `sandbox.session`. still_fails: those of several sequences that fail, in the same order. rounds: at most
    so many.
    """
    for _ in range(rounds):
        shorter = [steps[:i] + steps[i + 1 :] for i in range(len(steps))] if len(steps) > 1 else []
        shorter += [[step] for step in steps] if len(steps) > 2 else []
        smaller = [
            [*steps[:i], [what, name, call], *steps[i + 1 :]]
            for i, (what, name, *given) in enumerate(steps)
            for call in (simpler(given[0]) if given else [])
        ]
        tries = sorted((t for t in shorter + smaller if size(t) < size(steps)), key=size)[:MOST_TRIES]
        failing = still_fails(tries) if tries else []
        if not failing:
            break
        steps = failing[0]
    return steps


def simpler(wire: Any) -> list[Any]:
    """Values one step simpler than a value in wire form, of the same type."""
    if isinstance(wire, bool) or wire is None:
        return []
    if isinstance(wire, int):
        return [0, 1, wire // 2, -wire] if wire else []
    if isinstance(wire, str):
        return [wire[1:], wire[:-1], wire[: len(wire) // 2]] if wire else []
    match wire:
        case ["l" | "s" | "z" | "d" | "D" as tag, *items] if len(items) > LONG:
            return [[tag, *rest] for rest in _three_quarters(items)]
        case ["l" | "s" | "z" as tag, *items]:
            return _one_left_out(tag, items) + _one_simpler(tag, items)
        case ["t", *items]:
            fewer = _three_quarters(items) if len(items) > LONG_TUPLE else []
            return [["t", *rest] for rest in fewer] + _one_simpler("t", items)
        case ["d" | "D" as tag, *pairs]:
            return _one_left_out(tag, pairs)
        case ["call*", args, kwargs]:
            fewer = _three_quarters(kwargs) if len(kwargs) > LONG_TUPLE else []
            fewer += [kwargs[:i] + kwargs[i + 1 :] for i in range(len(kwargs))]
            return [["call*", args, rest] for rest in fewer] + [
                ["call*", inner[1:], kwargs] for inner in _one_simpler("t", args)
            ]
        case ["iter", kind, items]:
            return [["iter", kind, inner[1:]] for inner in simpler(["l", *items])]
        case ["f", *_]:
            return [["f", "0.0"], ["f", "1.0"], ["f", "0.5"]]
    return []


def _three_quarters(items: list[Any]) -> list[list[Any]]:
    """The items without each of their quarters."""
    part = len(items) // 4
    return [[*items[: i * part], *items[(i + 1) * part :]] for i in range(4)]


def _one_left_out(tag: str, items: list[Any]) -> list[Any]:
    return [[tag, *items[:i], *items[i + 1 :]] for i in range(len(items))]


def _one_simpler(tag: str, items: list[Any]) -> list[Any]:
    return [[tag, *items[:i], inner, *items[i + 1 :]] for i, item in enumerate(items) for inner in simpler(item)]
