"""Inputs come from what a program says of itself, and the same seed gives the same."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from random import Random

import pytest

from semrep_jax.languages import Answer
from semrep_jax.python import constants, doctests, fields, formats, inputs, neighbours, records, strategies
from semrep_jax.python.constants import Pieces
from semrep_jax.python.differences import call_text
from semrep_jax.python.equivalence import Reference
from semrep_jax.python.strategies import FLOATS, INTEGERS, TEXTS, WHITE_SPACE, Made, values
from semrep_jax.python.surface import InputError
from semrep_jax.python.trace import trace

DEDUPE = (
    "def f(xs):\n    out = []\n    for x in xs:\n        if x not in out:\n            out.append(x)\n    return out\n"
)


def arguments(call):
    """All arguments of a call, by place and by name."""
    return call[1:] if call[0] == "t" else [*call[1], *[value for _, value in call[2]]]


def test_the_same_seed_gives_the_same_inputs_and_another_gives_others(sandbox):
    one, two, three = (inputs.generate(DEDUPE, "f", sandbox, 60, seed) for seed in (1, 1, 2))
    assert one == two != three and len(one) >= 50


def test_what_is_imported_does_not_change_what_is_drawn():
    program = "from semrep_jax.python.strategies import values; print([repr(v) for v in values('list[str]')])"
    one, two = (
        subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
        for text in (program, f"import semrep_jax.tasks.generated.generator; {program}")
    )
    assert one == two


def test_drawing_leaves_nothing_where_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    strategies.sample_values(TEXTS, 50, 7)
    assert not list(tmp_path.iterdir())


def test_inputs_come_from_doctests_hints_and_constants(sandbox):
    source = (
        'def f(a, b: str):\n    """\n    >>> f(12345, "seen")\n    1\n    """\n    return a == 777 or b == "magic"\n'
    )
    calls = inputs.generate(source, "f", sandbox, 600)
    assert calls[0] == ["t", 12345, "seen"]
    given = [arguments(c) for c in calls]
    assert any(777 in c for c in given) and any("magic" in str(c[-1]) for c in given)


def test_numbers_that_are_computed_are_constants_and_large_ones_stand_apart():
    source = (
        "MB = 1024 * 1024\nMOST = 5 * MB\n"
        "def f(n):\n    return n < 7 * 24 * 3600 or n > MOST + 2**9000 or -500 < n % 0\n"
    )
    assert {604800, -500} <= set(constants.program_constants(source))
    assert constants.large_constants(source) == [1024 * 1024, 5 * 1024 * 1024]


def test_what_stands_twice_in_a_call_is_one_object_and_is_written_by_a_name(sandbox):
    source = "def f(a: list[int], b: list[int], rows: list[list[int]]):\n    return a is b, rows[0] is rows[1]\n"
    calls = [["t", ["l", 1], ["same", 0], ["l", ["l"], ["same", 0]]], ["t", ["l", 1], ["l", 1], ["l", ["l"], ["l"]]]]
    seen = trace(sandbox, source, [[["call", "f", call] for call in calls]])
    assert [step.value for step in seen.sequences[0].steps] == [["t", True, True], ["t", False, False]]
    assert call_text(["call", "f", calls[0]]) == "f(x := [1], x, [x := [], x])"


def test_examples_in_any_wording_are_calls():
    text = 'add(1, 2) => 3, and\n  add([1,\n  2], "a)") ➞ 4 but not add(x)'
    assert doctests.doctests("add", text) == [(1, 2), ([1, 2], "a)")]


def test_what_cannot_be_called_is_an_error_that_says_so(sandbox):
    for source, message in (("x = 1\n", "no function at its top"), ("def f(:", "line 1")):
        with pytest.raises(InputError, match=message):
            Reference(source, sandbox)


def test_optional_starred_and_keyword_only_arguments_are_given_and_left_out(sandbox):
    source = "def f(a: int, b: int = 1, *rest: int, c: str, d: str = 'x', **more: int):\n    return a\n"
    calls = inputs.generate(source, "f", sandbox, 200)
    names = [{name for name, _ in call[2]} for call in calls]  # c is always given by name
    assert all("c" in given for given in names)
    assert {"d" in given for given in names} == {True, False}
    assert any(given - {"a", "b", "c", "d"} for given in names)
    assert {len(call[1]) for call in calls} >= {1, 2, 3, 4}


def test_texts_and_numbers_are_of_every_kind():
    texts, integers, floats = (strategies.sample_values(s, 1500, 0) for s in (TEXTS, INTEGERS, FLOATS))
    assert set("".join(texts)) >= set(WHITE_SPACE) and any(c.isalpha() and c > "\x7f" for c in "".join(texts))
    assert max(integers) > 2**63 and min(integers) < -(2**63) and {0, 1, -1} <= set(integers)
    assert {"nan", "inf", "-inf", "-0.0", "0.0"} <= set(map(repr, floats))


@pytest.mark.parametrize(
    ("hint", "types"),
    [
        ("int | None", {int, type(None)}),
        ("Optional[str]", {str, type(None)}),
        ("tuple[int, ...]", {tuple}),
        ("typing.List[float]", {list}),
        ("'dict[str, int]'", {dict}),
        ("Mapping[str, bytes]", {dict, Made}),
        ("Sequence[str]", {list, tuple, str}),
        ("Collection[int]", {list, tuple, set, Made}),
    ],
)
def test_a_hint_is_drawn_as_it_says(hint, types):
    strategy = strategies.hinted(ast.parse(hint, mode="eval").body)
    assert strategy is not None
    assert {type(v) for v in strategies.sample_values(strategy, 40, 0)} == types


@pytest.mark.parametrize(
    ("hint", "kinds"),
    [
        ("Iterable[int]", {"l", "t", "s", "x", "iter"}),
        ("Iterator[str]", {"iter"}),
        ("date", {"x"}),
        ("Decimal", {"x"}),
        ("list[date]", {"l"}),
        ("Callable[[int], bool]", {"call"}),
    ],
)
def test_what_has_no_plain_form_is_drawn_in_wire_form(hint, kinds):
    strategy = strategies.hinted(ast.parse(hint, mode="eval").body)
    assert {strategies.form(v)[0] for v in strategies.sample_values(strategy, 80, 0)} == kinds


@pytest.mark.parametrize("hint", ["Wonder", "list[Wonder]", "dict[int]", "'not a hint'", "3"])
def test_a_hint_that_says_nothing_we_can_draw_is_none(hint):
    assert strategies.hinted(ast.parse(hint, mode="eval").body) is None


@pytest.mark.parametrize(
    "hint", ["dict[Any, list[int]]", "set[object]", "frozenset[list[int]]", "OrderedDict[Any, int]"]
)
def test_keys_are_what_can_be_one(hint):
    assert values(hint)


def test_what_a_function_reads_of_a_record_is_drawn(sandbox):
    source = (
        "def f(orders):\n    for order in orders:\n        if order.get('open') and order['lines'][0].price > 3:\n"
        "            return order['name'].upper()\n"
    )
    (record,) = records.read(ast.parse(source).body[0], ["orders"], ["get", "upper"]).values()
    rows = [row for n in range(60) for row in records.draw(record, Random(n), [])]
    assert {frozenset(row) for row in rows} == {frozenset({"lines", "name"}), frozenset({"lines", "name", "open"})}
    assert all(type(row["name"]) is str and type(row["lines"]) is list for row in rows)
    assert any(dict(line.wire[1])["price"] > 3 for row in rows for line in row["lines"])
    assert "['name', " in repr(inputs.generate(source, "f", sandbox, 60))


def test_a_record_is_of_the_sort_that_its_hint_names():
    record = records.read(ast.parse("def f(row):\n    return row['a'] + row['b']\n").body[0], ["row"])["row"]
    assert records.hinted(record, "dict[str, float]") and not records.hinted(record, "list[int]")
    assert {type(records.draw(record, Random(n), [])["a"]) for n in range(9)} == {float}


def test_a_literal_is_drawn_as_it_is_and_nothing_near_to_it(sandbox):
    source = (
        "from typing import Literal\ndef f(way: Literal['up', 3], n: str):\n    return 'down' if n == 'up' else n\n"
    )
    ways = {repr(call[1]) for call in inputs.generate(source, "f", sandbox, 120) if call[0] == "t"}
    assert ways == {"'up'", "3"}


def test_instances_and_members_are_of_the_programs_own_classes(sandbox):
    source = (
        "from dataclasses import dataclass\nfrom enum import Enum\n"
        "class Colour(Enum):\n    RED = 1\n    BLUE = 2\n"
        "@dataclass\nclass Point:\n    x: int\n    colour: Colour = Colour.RED\n"
        "def f(points: list[Point], one: Point, shade: Colour):\n    return one.x\n"
    )
    text = json.dumps(inputs.generate(source, "f", sandbox, 60))
    assert '["new", "Point"' in text and '["member", "Colour", "BLUE"]' in text


@pytest.mark.parametrize("value", [True, 3, 0.5, "abc", "", [1, "a"], [], (1, 2), {"a": 1}, {}, None])
def test_a_neighbour_has_the_same_type(value):
    for number in range(30):
        assert type(neighbours.neighbour(value, Random(number), ["xyz", 7])) is type(value)


LISTS = {
    "a linked list": (
        "def f(node):\n    n = 0\n    while node:\n        n += node.value\n        node = node.next\n    return n\n",
        "n += node.value",
        "n += 2 * node.value",
    ),
    "a tree": (
        "def f(root):\n    return 0 if root is None else root.key + f(root.left) + f(root.right)\n",
        "f(root.right)",
        "f(root.left)",
    ),
    "a graph": (
        "from collections import deque\ndef f(start, goal):\n    queue = deque([start])\n    while queue:\n"
        "        node = queue.popleft()\n        if node is goal:\n            return True\n"
        "        queue.extend(node.successors)\n    return False\n",
        "while queue:",
        "while True:",
    ),
    "a graph with a way back": (
        "def f(start, goal):\n    seen = set()\n    def search(node):\n        if node in seen:\n            return 0\n"
        "        seen.add(node)\n        return node is goal or any(search(n) for n in node.successors)\n"
        "    return search(start)\n",
        "        seen.add(node)\n",
        "",
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_objects_that_lead_to_others_of_their_kind_are_drawn(name, sandbox):
    source, old, new = LISTS[name]
    finding = Reference(source, sandbox).compare(source.replace(old, new))
    assert finding.answer is Answer.DIFFERENT and "object(" in finding.counterexample


@pytest.mark.parametrize("pattern", [r"\d{4}-\d\d", r"^(a|bc)+\s*(\w+)\1$", r"[^a-z]x?", r"(?i:ab)[\d,]{2,}"])
def test_texts_that_a_pattern_matches_are_drawn(pattern):
    texts = formats.matching(pattern)
    assert sum(re.search(pattern, text) is not None for text in texts) >= len(texts) / 2


def test_a_text_that_is_no_pattern_draws_nothing():
    assert formats.matching("(") == [] and formats.matching("a" * 500) == []


def test_of_words_that_a_program_looks_up_each_stands_before_each_other_one_in_some_text():
    pieces = Pieces.of("RANK = {'a': 1, 'b': 2, 'c': 3}\ndef f(s):\n    return sorted(s.split(), key=RANK.get)\n")
    texts = [call[1].split(" ") for call in fields.in_every_order([["t", "x"]], pieces, Random(0))]
    before = {(x, y) for text in texts for n, x in enumerate(text) for y in text[n + 1 :]}
    assert before == {(x, y) for x in "abc" for y in "abc" if x != y}


def test_a_field_of_a_text_is_exchanged_for_each_number_at_a_limit_where_the_text_has_all_its_fields():
    pieces = Pieces.of("def f(s):\n    month, day = s.split('-')\n    return int(month) <= 12\n")
    texts = [call[1] for call in fields.exchanged([["t", "3"], ["t", "3-4"]], pieces, Random(0))]
    assert {"11-4", "12-4", "13-4", "3-12"} <= set(texts) and all(text.count("-") == 1 for text in texts)
    assert fields.exchanged([["t", "3"]], pieces, Random(0)) == []


def test_of_a_text_with_thousands_of_fields_few_calls_are_made():
    pieces = Pieces.of("def f(s):\n    return [int(x) <= 12 for x in s.split(',')]\n")
    assert 0 < len(fields.exchanged([["t", "7," * 50_000]], pieces, Random(0))) <= fields.MOST_EXCHANGED
