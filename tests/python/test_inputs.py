"""Inputs come from what a program says of itself, and the same seed gives the same."""

from __future__ import annotations

import ast
from random import Random

import pytest

from semrep_jax.python import inputs
from semrep_jax.python.equivalence import Reference
from semrep_jax.python.inputs import InputError

DEDUPE = (
    "def f(xs):\n    out = []\n    for x in xs:\n        if x not in out:\n            out.append(x)\n    return out\n"
)


def test_the_same_seed_gives_the_same_inputs_and_another_gives_others(sandbox):
    one, two, three = (inputs.generate(DEDUPE, "f", sandbox, 60, seed) for seed in (1, 1, 2))
    assert one == two != three and len(one) >= 50


def test_inputs_come_from_doctests_hints_and_constants(sandbox):
    source = (
        'def f(a, b: str):\n    """\n    >>> f(12345, "seen")\n    1\n    """\n    return a == 777 or b == "magic"\n'
    )
    calls = inputs.generate(source, "f", sandbox, 600)
    assert calls[0] == ["t", 12345, "seen"]
    assert (
        any(c[1] == 777 for c in calls)
        and any("magic" in c[2] for c in calls)
        and all(isinstance(c[2], str) for c in calls)
    )


def test_what_cannot_be_called_is_an_error_that_says_so(sandbox):
    for source, message in (
        ("x = 1\n", "no function at its top"),
        ("def f(:", "line 1"),
        ("def f(*, a):\n    return a\n", "keyword arguments"),
    ):
        with pytest.raises(InputError, match=message):
            Reference(source, sandbox)


@pytest.mark.parametrize(
    ("hint", "types"),
    [
        ("int | None", {int, type(None)}),
        ("Optional[str]", {str, type(None)}),
        ("tuple[int, ...]", {tuple}),
        ("typing.List[float]", {list}),
        ("'dict[str, int]'", {dict}),
        ("Mapping[str, bytes]", {dict}),
    ],
)
def test_a_hint_is_drawn_as_it_says(hint, types):
    strategy = inputs.hinted(ast.parse(hint, mode="eval").body)
    assert strategy is not None
    assert {type(v) for v in inputs.sample_values(strategy, 40, 0)} == types


@pytest.mark.parametrize("hint", ["Callable", "list[Callable]", "dict[int]", "'not a hint'", "3"])
def test_a_hint_that_says_nothing_we_can_draw_is_none(hint):
    assert inputs.hinted(ast.parse(hint, mode="eval").body) is None


@pytest.mark.parametrize("value", [True, 3, 0.5, "abc", "", [1, "a"], [], (1, 2), {"a": 1}, {}, None])
def test_a_neighbour_has_the_same_type(value):
    for number in range(30):
        assert type(inputs.neighbour(value, Random(number), ["xyz", 7])) is type(value)
