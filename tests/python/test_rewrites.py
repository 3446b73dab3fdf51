"""The rewriting rules for Python: what each does and leaves alone, inverses, seeds, and verified variants."""

from __future__ import annotations

from random import Random

import libcst as cst
import pytest
from conftest import python

from semrep_jax.languages import Rewritten, canonical
from semrep_jax.perturb import PerturbError, perturb, rules_of
from semrep_jax.python.rewrites import RULE_GROUPS, RULES
from semrep_jax.python.rewrites.chain import rewrite
from semrep_jax.python.rewrites.patterns import expression_like, match, statements_like
from semrep_jax.python.rewrites.trees import code

# Each rule with a program before and after it.
EXAMPLES = {
    "rename_locals": (
        "def f(xs):\n    total = 0\n    for x in xs:\n        total += x\n    return total\n",
        "def f(xs):\n    entry = 0\n    for current in xs:\n        entry += current\n    return entry\n",
    ),
    "rename_parameters": (
        "def f(xs, n, /):\n    return xs[:n]\n",
        "def f(current, current1, /):\n    return current[:current1]\n",
    ),
    "extract_temporary": (
        "def f(x):\n    return x + 1\n",
        "def f(x):\n    result = x + 1\n    return result\n",
    ),
    "inline_temporary": (
        "def f(x):\n    result = x + 1\n    return result\n",
        "def f(x):\n    return x + 1\n",
    ),
    "extract_constant": (
        'def f(x):\n    """Seven more."""\n    return x + 7\n',
        'def f(x):\n    """Seven more."""\n    constant = 7\n    return x + constant\n',
    ),
    "inline_constant": (
        "def f(x):\n    constant = 7\n    return x + constant\n",
        "def f(x):\n    return x + 7\n",
    ),
    "dead_code_in": (
        "def f(x):\n    y = x + 1\n    return y\n",
        "def f(x):\n    y = x + 1\n    unused = y\n    return y\n",
    ),
    "dead_code_out": (
        "def f(x):\n    y = x + 1\n    unused = y\n    return y\n",
        "def f(x):\n    y = x + 1\n    return y\n",
    ),
    "invert_if": (
        "def f(x):\n    if x > 0:\n        return 1\n    else:\n        return 2\n",
        "def f(x):\n    if not (x > 0):\n        return 2\n    else:\n        return 1\n",
    ),
    "guard_to_else": (
        "def f(x):\n    if x > 0:\n        return 1\n    y = x + 1\n    return y\n",
        "def f(x):\n    if x > 0:\n        return 1\n    else:\n        y = x + 1\n        return y\n",
    ),
    "else_to_guard": (
        "def f(x):\n    if x > 0:\n        return 1\n    else:\n        return 2\n",
        "def f(x):\n    if x > 0:\n        return 1\n    return 2\n",
    ),
    "if_to_ternary": (
        "def f(x):\n    if x > 0:\n        y = 1\n    else:\n        y = 2\n    return y\n",
        "def f(x):\n    y = 1 if x > 0 else 2\n    return y\n",
    ),
    "ternary_to_if": (
        "def f(x):\n    return 1 if x > 0 else 2\n",
        "def f(x):\n    if x > 0:\n        return 1\n    else:\n        return 2\n",
    ),
    "de_morgan_in": (
        "def f(a, b):\n    return not (a and b)\n",
        "def f(a, b):\n    return (not a or not b)\n",
    ),
    "de_morgan_out": (
        "def f(a, b):\n    return not a or not b\n",
        "def f(a, b):\n    return (not (a and b))\n",
    ),
    "split_comparison": (
        "def f(a, b, c):\n    return a < b < c\n",
        "def f(a, b, c):\n    return (a < b and b < c)\n",
    ),
    "chain_comparison": (
        "def f(a, b, c):\n    return a < b and b < c\n",
        "def f(a, b, c):\n    return (a < b < c)\n",
    ),
    "mirror_comparison": (
        "def f(a: int, b):\n    return a < b\n",
        "def f(a: int, b):\n    return (b > a)\n",
    ),
    "negate_comparison": (
        "def f(a: int, b: str):\n    return a == b\n",
        "def f(a: int, b: str):\n    return (not a != b)\n",
    ),
    "commute": (
        "def f(x):\n    return x + 1\n",
        "def f(x):\n    return (1 + x)\n",
    ),
    "subtract_as_add": (
        "def f(x: float):\n    return x - 1\n",
        "def f(x: float):\n    return (x + -1)\n",
    ),
    "add_as_subtract": (
        "def f(x: float):\n    return x + -1\n",
        "def f(x: float):\n    return (x - 1)\n",
    ),
    "fstring_to_format": (
        'def f(a, b):\n    return f"{a}-{b}"\n',
        "def f(a, b):\n    return '{}-{}'.format(a, b)\n",
    ),
    "fstring_to_concatenation": (
        'def f(a, b):\n    return f"{a}-{b}"\n',
        "def f(a, b):\n    return (str(a) + '-' + str(b))\n",
    ),
    "format_to_fstring": (
        'def f(a, b):\n    return "{}-{}".format(a, b)\n',
        'def f(a, b):\n    return f"{a}-{b}"\n',
    ),
    "max_to_ternary": (
        "def f(a, b):\n    return max(a, b)\n",
        "def f(a, b):\n    return (b if b > a else a)\n",
    ),
    "ternary_to_max": (
        "def f(a, b):\n    return b if b > a else a\n",
        "def f(a, b):\n    return max(a, b)\n",
    ),
    "reverse_by_slice": (
        "def f(xs: str):\n    return list(reversed(xs))\n",
        "def f(xs: str):\n    return list(xs)[::-1]\n",
    ),
    "literal_to_call": (
        "def f(x):\n    return []\n",
        "def f(x):\n    return list()\n",
    ),
    "call_to_literal": (
        "def f(x):\n    return list()\n",
        "def f(x):\n    return []\n",
    ),
    "quotes": (
        "def f(x):\n    return x == 'a'\n",
        'def f(x):\n    return x == "a"\n',
    ),
    "to_plain": (
        "def f(x: int):\n    x += 2\n    return x\n",
        "def f(x: int):\n    x = x + 2\n    return x\n",
    ),
    "to_augmented": (
        "def f(x: int):\n    x = x + 2\n    return x\n",
        "def f(x: int):\n    x += 2\n    return x\n",
    ),
    "swap": (
        "def f(x):\n    a = x\n    b = 2\n    return a + b\n",
        "def f(x):\n    b = 2\n    a = x\n    return a + b\n",
    ),
    "unpack_to_index": (
        "def f(t: tuple[int, str]):\n    a, b = t\n    return a + b\n",
        "def f(t: tuple[int, str]):\n    a = t[0]\n    b = t[1]\n    return a + b\n",
    ),
    "tuple_to_lines": (
        "def f(n):\n    a, b = 0, n\n    return a + b\n",
        "def f(n):\n    a = 0\n    b = n\n    return a + b\n",
    ),
    "lines_to_tuple": (
        "def f(n):\n    a = 0\n    b = n\n    return a + b\n",
        "def f(n):\n    a, b = 0, n\n    return a + b\n",
    ),
    "strip_comments": (
        "def f(x):\n    # one more\n    return x + 1  # here\n",
        "def f(x):\n    return x + 1\n",
    ),
    "add_comment": (
        "def f(x):\n    return x + 1\n",
        "def f(x):\n    # done\n    return x + 1\n",
    ),
    "for_to_while": (
        "def f(n: int):\n    t = 0\n    for i in range(n):\n        t += i\n    return t\n",
        "def f(n: int):\n    t = 0\n    i = 0\n    while i < n:\n        t += i\n        i += 1\n    return t\n",
    ),
    "while_to_for": (
        "def f(n: int):\n    t = 0\n    i = 0\n    while i < n:\n        t += i\n        i += 1\n    return t\n",
        "def f(n: int):\n    t = 0\n    for i in range(n):\n        t += i\n    return t\n",
    ),
    "enumerate_to_range": (
        "def f(xs: str):\n    t = ''\n    for i, x in enumerate(xs):\n        t += x\n    return t\n",
        "def f(xs: str):\n    t = ''\n    for i in range(len(xs)):\n        x = xs[i]\n        t += x\n    return t\n",
    ),
    "range_to_enumerate": (
        "def f(xs: str):\n    t = ''\n    for i in range(len(xs)):\n        x = xs[i]\n        t += x\n    return t\n",
        "def f(xs: str):\n    t = ''\n    for i, x in enumerate(xs):\n        t += x\n    return t\n",
    ),
    "direct_to_index": (
        "def f(xs: list[int]):\n    t = 0\n    for x in xs:\n        t += x\n    return t\n",
        "def f(xs: list[int]):\n    t = 0\n    for index in range(len(xs)):\n        x = xs[index]\n        t += x\n"
        "    return t\n",
    ),
    "direct_to_enumerate": (
        "def f(xs):\n    t = 0\n    for a, b in xs:\n        t += a * b\n    return t\n",
        "def f(xs):\n    t = 0\n    for index, (a, b) in enumerate(xs):\n        t += a * b\n    return t\n",
    ),
    "enumerate_to_direct": (
        "def f(xs):\n    t = 0\n    for i, x in enumerate(xs):\n        t += x\n    return t\n",
        "def f(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t\n",
    ),
    "comprehension_to_loop": (
        "def f(xs):\n    return [x + 1 for x in xs if x]\n",
        "def f(xs):\n    result = []\n    for x in xs:\n        if x:\n            result.append(x + 1)\n"
        "    return result\n",
    ),
    "loop_to_comprehension": (
        "def f(xs):\n    out = []\n    for x in xs:\n        if x:\n            out.append(x + 1)\n    return out\n",
        "def f(xs):\n    out = [x + 1 for x in xs if x]\n    return out\n",
    ),
    "sum_to_loop": (
        "def f(xs: list[int]):\n    return sum(x * x for x in xs)\n",
        "def f(xs: list[int]):\n    total = 0\n    for x in xs:\n        total += x * x\n    return total\n",
    ),
    "loop_to_sum": (
        "def f(xs: list[int]):\n    t = 0\n    for x in xs:\n        t += x * x\n    return t\n",
        "def f(xs: list[int]):\n    t = sum(x * x for x in xs)\n    return t\n",
    ),
    "loop_to_any": (
        "def f(xs):\n    for x in xs:\n        if x > 0:\n            return True\n    return False\n",
        "def f(xs):\n    return any(x > 0 for x in xs)\n",
    ),
    "slice_to_loop": (
        "def f(xs: list):\n    ys = xs[1:3]\n    return ys\n",
        "def f(xs: list):\n    ys = []\n    for index in range(1, min(3, len(xs))):\n        ys.append(xs[index])\n"
        "    return ys\n",
    ),
    "loop_to_slice": (
        "def f(xs: list):\n    ys = []\n    for k in range(2, len(xs)):\n        ys.append(xs[k])\n    return ys\n",
        "def f(xs: list):\n    ys = list(xs[2:])\n    return ys\n",
    ),
    "while_true": (
        "def f(n):\n    while n > 1:\n        n -= 1\n    return n\n",
        "def f(n):\n    while True:\n        if not (n > 1):\n            break\n        n -= 1\n    return n\n",
    ),
    "while_test": (
        "def f(n):\n    while True:\n        if n <= 1:\n            break\n        n -= 1\n    return n\n",
        "def f(n):\n    while not (n <= 1):\n        n -= 1\n    return n\n",
    ),
    "tail_call_to_loop": (
        "def f(a, b):\n    if b == 0:\n        return a\n    return f(b, a % b)\n",
        "def f(a, b):\n    while True:\n        if b == 0:\n        "
        "    return a\n        a, b = b, a % b\n        continue\n",
    ),
}

# Rules whose inverse leads to another canonical form than the one that they came from.
NOT_LED_BACK = {"comprehension_to_loop", "sum_to_loop", "loop_to_sum", "slice_to_loop", "loop_to_slice"}
# Programs that a rule must offer no change of.
LEFT_ALONE = [
    ("for_to_while", "def f(n):\n    for i in range(n):\n        if i == 3:\n            continue\n        print(i)\n"),
    ("for_to_while", "def f(n):\n    for i in range(n):\n        print(i)\n    return i\n"),
    ("for_to_while", "def f(n):\n    for i in range(n):\n        i = i + 1\n        print(i)\n"),
    ("enumerate_to_range", "def f(xs):\n    for i, x in enumerate(xs):\n        xs = x\n"),
    (
        "loop_to_comprehension",
        "def f(xs):\n    out = []\n    for x in xs:\n        out.append(len(out))\n    return out\n",
    ),
    ("loop_to_comprehension", "def f(xs):\n    out = []\n    for x in xs:\n        out.append(x)\n    return out, x\n"),
    ("commute", "def f(a, b):\n    return a + b\n"),
    ("swap", "def f(x):\n    a = x\n    b = a\n    return a + b\n"),
    ("swap", "def f(x):\n    a = x.pop()\n    b = x.pop()\n    return a - b\n"),
    ("tuple_to_lines", "def f(a, b):\n    a, b = b, a\n    return a - b\n"),
    ("max_to_ternary", "def f(g):\n    return max(g(), g())\n"),
    ("split_comparison", "def f(g):\n    return 1 < g() < 3\n"),
    ("tail_call_to_loop", "def f(n):\n    if n == 0:\n        return 1\n    return n * f(n - 1)\n"),
    ("rename_locals", "def f(x):\n    y = x\n    return locals()\n"),
    ("comprehension_to_loop", "def f(x, xs):\n    y = [x for x in xs]\n    return x, y\n"),
    ("dead_code_out", "def f(x):\n    y = g(x)\n    return x\n"),
]


def test_every_rule_has_an_example_and_a_group():
    assert set(EXAMPLES) == set(RULES) and len(RULES) >= 50
    assert sorted(n for names in RULE_GROUPS.values() for n in names) == sorted(RULES)


@pytest.mark.parametrize("rule", EXAMPLES)
def test_a_rule_turns_its_example_into_the_one_after(rule):
    before, after = EXAMPLES[rule]
    rewritten = rewrite(python(before), Random(0), 1, [rule])
    assert rewritten is not None and rewritten.program.source == after and rewritten.rules == (rule,)


@pytest.mark.parametrize("rule", [n for n, r in RULES.items() if r.inverse and n not in NOT_LED_BACK])
def test_an_inverse_leads_back(rule):
    before, after = EXAMPLES[rule]
    back = rewrite(python(after), Random(0), 1, [RULES[rule].inverse])
    assert back is not None and canonical(back.program) == canonical(python(before))


@pytest.mark.parametrize(("rule", "source"), LEFT_ALONE)
def test_a_rule_offers_nothing_where_its_precondition_fails(rule, source):
    assert rewrite(python(source), Random(0), 1, [rule]) is None


def test_a_seed_decides_the_bytes_and_other_seeds_give_others():
    source = python(EXAMPLES["while_to_for"][0])
    texts = [rewrite(source, Random(seed), 3).program.source for seed in (1, 1, 2, 3, 4)]
    assert texts[0] == texts[1] and len(set(texts)) > 2


def test_a_chain_records_its_rules_in_order():
    rewritten = rewrite(python(EXAMPLES["for_to_while"][0]), Random(5), 4)
    assert 1 <= len(rewritten.rules) <= 4 and set(rewritten.rules) <= set(RULES)


def test_a_program_that_does_not_parse_or_offers_nothing_gives_none():
    assert rewrite(python("def f(:"), Random(0)) is None
    assert rewrite(python("x = 1\n"), Random(0)) is None
    assert rewrite(python("def f():\n    pass\n"), Random(0), 1, ["for_to_while"]) is None


def test_layout_and_comments_outside_the_change_stay():
    source = "import math   # why\n\n\ndef f( x ):\n    # first\n    y = x+1   # odd\n    return max(y, 2)\n"
    rewritten = rewrite(python(source), Random(0), 1, ["max_to_ternary"])
    assert rewritten.program.source == source.replace("max(y, 2)", "(2 if 2 > y else y)")


def test_every_rule_says_what_it_does():
    for rule in RULES.values():
        before, arrow, after = rule.build.__doc__.splitlines()[0].partition("  ->  ")
        assert before and arrow and after, rule.name


def test_a_pattern_saves_expressions_identifiers_and_statements():
    (pattern,) = statements_like("for _i in range(STOP): INNER")
    saved = match([cst.parse_statement("for k in range( 2*n ):\n    a()\n    b()\n")], [pattern])
    assert saved["i"] == "k" and code(saved["stop"]) == "2*n" and len(saved["inner"]) == 2


@pytest.mark.parametrize(
    "text", ["for k in range(n): k\nelse: k\n", "async for k in range(n): k\n", "for a, b in range(n): k\n", "k\n"]
)
def test_a_pattern_does_not_match_what_has_more_or_other_parts(text):
    assert match(cst.parse_module(text).body, statements_like("for _i in range(STOP): INNER")) is None


def test_what_a_pattern_names_twice_must_be_spelled_alike():
    pattern = expression_like("B if B > A else A")
    assert match([cst.parse_expression("x[0] if x[0] > y else y")], [pattern]) is not None
    assert match([cst.parse_expression("x[0] if x[1] > y else y")], [pattern]) is None


def test_perturb_gives_different_verified_texts_the_same_for_a_seed(sandbox):
    source = python(
        "def f(xs: list[int]):\n    t = 0\n    for x in xs:\n        if x > 2:\n            t += x\n    return t\n"
    )
    first, again = (perturb(source, sandbox, 4, seed=3) for _ in range(2))
    texts = [m.program.source for m in first.kept]
    assert len(set(texts)) == 4 and source.source not in texts and texts == [m.program.source for m in again.kept]


def test_perturb_drops_what_behaves_differently(sandbox, monkeypatch):
    source = python("def f(xs: list[int]):\n    t = 0\n    for x in xs:\n        t += x\n    return t\n")
    wrong = python(source.source.replace("t += x", "t -= x"))
    monkeypatch.setattr("semrep_jax.python.rewrites.chain.rewrite", lambda *_: Rewritten(wrong, ("wrong",)))
    found = perturb(source, sandbox, 1)
    assert not found.kept and any("different" in reason for reason in found.dropped)


def test_kinds_are_rules_or_rule_groups_and_an_unknown_one_is_named():
    assert rules_of(["names", "swap"], "python") == [*RULE_GROUPS["names"], "swap"]
    with pytest.raises(PerturbError, match="'nope'; there are names, conditions"):
        rules_of(["nope"], "python")


def test_expressions_over_several_lines_stay_valid_and_keep_their_meaning():
    source = """def f(a: int, b: int):
    if (not a ==
            b and
            b):
        r = 1
    else:
        r = 2
    if (not
            a):
        r += 3
    else:
        r += 4
    for i in range(
            a +
            1):
        r += (i *
              2)
    return r
"""

    def answers(text):
        exec(text, scope := {})
        return [scope["f"](a, b) for a in range(-2, 3) for b in range(3)]

    seen = set()
    for name in RULES:
        for seed in range(4):
            rewritten = rewrite(python(source), Random(seed), 1, [name])
            if rewritten is not None:
                seen.add(name)
                assert answers(rewritten.program.source) == answers(source), (name, rewritten.program.source)
    assert {"invert_if", "for_to_while"} <= seen


def test_a_constant_is_not_inlined_where_the_compiler_would_warn_of_it(recwarn):
    source = python("def f(x):\n    limit = 5\n    return x is limit\n")
    assert all(rewrite(source, Random(seed), 1, ["inline_constant"]) is None for seed in range(4))
    assert not recwarn.list


def test_what_the_compiler_warns_of_already_may_be_rewritten(recwarn):
    source = python("def f(x):\n    limit = 5\n    return (x is 3, x + limit)\n")
    made = rewrite(source, Random(0), 1, ["inline_constant"])
    assert made is not None and "x + 5" in made.program.source and not recwarn.list
