"""Counterexamples are made smaller as long as they still fail, and keep their types."""

from __future__ import annotations

import pytest

from semrep_jax.python import shrink
from semrep_jax.sandbox.wire import decode, encode


def failing(condition):
    """What `smallest` asks: those of a batch of calls whose arguments meet a condition."""
    return lambda calls: [call for call in calls if condition(*decode(call))]


@pytest.mark.parametrize(
    ("call", "condition", "smallest"),
    [
        (([3, 1, 2, 2, 5],), lambda xs: len(xs) != len(set(xs)), ([2, 2],)),
        ((977, "abcdef"), lambda n, text: n > 0 and "e" in text, (1, "e")),
        (({"a": 1, "b": 2},), lambda table: "b" in table, ({"b": 2},)),
        ((2.75, None), lambda x, _: x > 0, (1.0, None)),
    ],
)
def test_a_call_shrinks_to_what_still_fails(call, condition, smallest):
    assert decode(shrink.smallest(encode(call), failing(condition))) == smallest


def test_a_call_that_nothing_smaller_stands_for_stays():
    call = encode(([7, 8],))
    assert shrink.smallest(call, lambda calls: []) == call


@pytest.mark.parametrize("value", [True, None, 0, "", [], {}, b"ab", 1j])
def test_what_is_smallest_already_has_nothing_simpler(value):
    assert shrink.simpler(encode(value)) == []


@pytest.mark.parametrize("value", [7, -3, "ab", [1, [2]], (1, "a"), {1, 2}, frozenset({3}), {"a": 1}, 2.5])
def test_simpler_values_have_the_same_type(value):
    simpler = [decode(wire) for wire in shrink.simpler(encode(value))]
    assert simpler and all(type(v) is type(value) for v in simpler)
