"""Values cross the wall as they are or not at all, and outcomes are compared by type and exactly."""

import pytest

from semrep_jax.core.programs import Case, Outcome
from semrep_jax.sandbox.outcomes import explain
from semrep_jax.sandbox.wire import Unencodable, decode, encode, same


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        -(10**30),
        0.1,
        float("inf"),
        "é\n",
        b"\x00",
        [1, [2]],
        (1, "a"),
        {1: "a", "b": [2]},
        {3, 1},
        frozenset({2}),
        1 + 2j,
    ],
)
def test_values_cross_the_wall_unchanged(value):
    back = decode(encode(value))
    assert back == value and type(back) is type(value)


def test_equality_minds_the_type_and_tolerates_only_floats():
    assert (
        not same(encode(1), encode(True)) and not same(encode(1), encode(1.0)) and not same(encode([1]), encode((1,)))
    )
    assert same(encode({"a": 1, "b": 2}), encode({"b": 2, "a": 1}))
    assert same(encode(float("nan")), encode(float("nan")))
    assert same(encode([1.0]), encode([1.0 + 1e-9]), 1e-6) and not same(encode([1.0]), encode([1.0 + 1e-9]))


def test_strangers_objects_and_monsters_do_not_cross():
    class Sneaky(int):
        def __eq__(self, other):
            return True

        __hash__ = int.__hash__

    deep: list = []
    for _ in range(100):
        deep = [deep]
    for value in (Sneaky(1), deep, [0] * 300_000, 1 << 100_000, object()):
        with pytest.raises(Unencodable):
            encode(value)


def test_a_failed_case_is_explained_in_one_line():
    case = Case(encode((1, "a")), Outcome(encode([2])))
    assert explain("f", case, Outcome(encode((2,))), None) == "f(1, 'a') is [2], got (2,)"
    assert explain("f", case, Outcome(error="KeyError"), "KeyError: 'a'") == "f(1, 'a') is [2], got KeyError: 'a'"
    assert explain("f", case, Outcome(encode([2]), output="x"), None).endswith(
        "other changes to its arguments or other output"
    )
    raising = Case(encode((1,)), Outcome(error="ValueError"))
    assert explain("f", raising, Outcome(encode(3)), None) == "f(1) raises ValueError, got 3"
