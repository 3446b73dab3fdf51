"""What rules leave alone: programs that their change would make behave otherwise, for some input at least."""

from __future__ import annotations

from random import Random

import libcst as cst
import pytest
from conftest import python

from semrep_jax.python.rewrites import RULES
from semrep_jax.python.rewrites.chain import rewrite, sites
from semrep_jax.python.rewrites.function import functions_of
from semrep_jax.python.rewrites.trees import is_repeatable

# By rule: a program that it must offer no change of, and why.
LEFT_ALONE = [
    # what has no index, or changes while the loop goes over it
    ("direct_to_index", "def f(xs):\n    for x in xs:\n        print(x)\n"),
    ("direct_to_index", "def f(xs: set[int]):\n    for x in xs:\n        print(x)\n"),
    ("direct_to_index", "def f(xs: dict[str, int]):\n    for x in xs:\n        print(x)\n"),
    ("direct_to_index", "def f(xs: list[int]):\n    for x in xs:\n        xs.append(x)\n"),
    ("direct_to_index", "def f(xs: list[int]):\n    ys = xs\n    for x in xs:\n        ys.append(x)\n"),
    ("direct_to_index", "def f(xs: list[int]):\n    for x in xs:\n        g(x)\n"),
    ("direct_to_index", "def f(xs: list[int], ys: list[int]):\n    for x in xs:\n        ys.append(x)\n"),
    ("direct_to_index", "def f(xs: list[int] = None):\n    for x in xs:\n        print(x)\n"),
    ("direct_to_index", "def f(xs: list[int]):\n    xs = iter(xs)\n    for x in xs:\n        print(x)\n"),
    ("enumerate_to_range", "def f(xs):\n    for i, x in enumerate(xs):\n        print(i, x)\n"),
    ("enumerate_to_range", "def f(xs: list[int]):\n    for i, x in enumerate(xs):\n        del xs[0]\n"),
    ("range_to_enumerate", "def f(xs):\n    for i in range(len(xs)):\n        x = xs[i]\n        print(x)\n"),
    (
        "range_to_enumerate",
        "def f(xs: list[int]):\n    for i in range(len(xs)):\n        x = xs[i]\n        xs[i] = x + 1\n",
    ),
    ("slice_to_loop", "def f(text):\n    rest = text[1:]\n    return rest\n"),
    ("slice_to_loop", "def f(text: str):\n    rest = text[1:]\n    return rest\n"),
    ("slice_to_loop", "def f(text: tuple):\n    rest = text[1:]\n    return rest\n"),
    ("slice_to_loop", "def f(n):\n    xs = [1] if n else (1,)\n    ys = xs[1:]\n    return ys\n"),
    (
        "loop_to_slice",
        "def f(xs):\n    ys = []\n    for k in range(2, len(xs)):\n        ys.append(xs[k])\n    return ys\n",
    ),
    # numbers that are no integers, and a variable that is read later
    ("for_to_while", "def f(n):\n    for i in range(n):\n        print(i)\n"),
    ("for_to_while", "def f(n: float):\n    for i in range(n):\n        print(i)\n"),
    (
        "for_to_while",
        "def f(n: int):\n    gs = []\n    for i in range(n):\n        gs.append(lambda: i)\n    return gs\n",
    ),
    (
        "for_to_while",
        "def f(n: int):\n    gs = []\n    for i in range(n):\n        gs.append(x + i for x in (1,))\n    return gs\n",
    ),
    ("while_to_for", "def f(n):\n    i = 0\n    while i < n:\n        print(i)\n        i += 1\n"),
    ("while_to_for", "def f(xs):\n    i = 0\n    while i < len(xs):\n        xs.pop()\n        i += 1\n"),
    (
        "while_to_for",
        "def f(xs):\n    ys = xs\n    i = 0\n    while i < len(xs):\n        ys.pop()\n        i += 1\n",
    ),
    # objects that change in place
    ("to_augmented", "BASE = [1]\ndef f():\n    x = BASE\n    x = x + [2]\n    return x\n"),
    ("to_augmented", "def f(x):\n    x = x + [2]\n    return x\n"),
    ("to_plain", "def f(x, y):\n    x += y\n    return x\n"),
    ("to_plain", "def f(x: list):\n    x += [1]\n    return x\n"),
    ("to_plain", "def f(x: set):\n    x -= {1}\n    return x\n"),
    # the sign of zero, operators of one's own
    ("subtract_as_add", "def f(x: float):\n    return x - 0\n"),
    ("subtract_as_add", "def f(x):\n    return x - 1\n"),
    ("add_as_subtract", "def f(x: float):\n    return x + -0\n"),
    ("commute", "class V:\n    def __add__(self, n):\n        return n\n\n\ndef f(v):\n    return v + 1\n"),
    ("commute", "from vectors import V\n\n\ndef f(n):\n    return V(n) + 1\n"),
    ("commute", "def f(xs, k):\n    return len(xs) + xs[k]\n"),
    ("mirror_comparison", "def f(a, b):\n    return a < b\n"),
    ("mirror_comparison", "def f(xs):\n    return 3 < (x := len(xs)) and x < (x := 2)\n"),
    ("negate_comparison", "def f(a, b):\n    return a == b\n"),
    ("negate_comparison", "def f(a):\n    return a == 3\n"),
    # a call that uses an iterator up, or errors that change places
    ("max_to_ternary", "def f(it):\n    return max(sum(it), 0)\n"),
    ("max_to_ternary", "def f(d, xs):\n    return max(d[1], xs[0])\n"),
    ("max_to_ternary", "def max(a, b):\n    return a\n\n\ndef f(a, b):\n    return max(a, b)\n"),
    ("ternary_to_max", "def f(it):\n    return sum(it) if sum(it) > 0 else 0\n"),
    ("ternary_to_max", "def f(g):\n    return g() if g() > 0 else 0\n"),
    ("swap", "def f(d, xs):\n    a = d[1]\n    b = xs[0]\n    return a + b\n"),
    (
        "swap",
        "def f(d):\n    b = 1\n    try:\n        a = d[1]\n        b = 2\n    except KeyError:\n        return b\n",
    ),
    ("reverse_by_slice", "def f(xs):\n    return list(reversed(xs))\n"),
    ("literal_to_call", "def list():\n    return 1\n\n\ndef f():\n    return []\n"),
    ("call_to_literal", "from mine import *\n\n\ndef f():\n    return list()\n"),
    # what is done before an error is seen after it
    (
        "loop_to_comprehension",
        "def f(xs):\n    out = [0]\n    try:\n        out = []\n        for x in xs:\n            out.append(int(x))\n"
        "    except ValueError:\n        pass\n    return out\n",
    ),
    (
        "comprehension_to_loop",
        "def f(xs):\n    out = [0]\n    try:\n        out = [int(x) for x in xs]\n    finally:\n        print(out)\n",
    ),
    (
        "lines_to_tuple",
        "def f(g):\n    a = 0\n    try:\n        a = 1\n        b = g(1)\n        return b\n    except KeyError:\n"
        "        return a\n",
    ),
    (
        "tuple_to_lines",
        "def f(g):\n    a = 0\n    try:\n        a, b = 1, g(1)\n    except KeyError:\n        return a\n",
    ),
    ("tuple_to_lines", "def f(x):\n    a, b = x, *x\n    return a, b\n"),
    ("unpack_to_index", "def f(t):\n    a, b = t\n    return a + b\n"),
    ("unpack_to_index", "def f(t: tuple[int, ...]):\n    a, b = t\n    return a + b\n"),
    ("unpack_to_index", "def f(t: tuple[int, int, int]):\n    a, b = t\n    return a + b\n"),
    # sums of floats and of texts, errors in lists, generators that end early
    ("loop_to_sum", "def f(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t\n"),
    ("loop_to_sum", "def f(xs: list[float]):\n    t = 0\n    for x in xs:\n        t += x\n    return t\n"),
    ("sum_to_loop", "def f(xs):\n    return sum(x for x in xs)\n"),
    ("sum_to_loop", "def f(xs):\n    return any([1 / x > 0 for x in xs])\n"),
    (
        "loop_to_any",
        "def f(its):\n    for it in its:\n        if next(it):\n            return True\n    return False\n",
    ),
    ("comprehension_to_loop", "x = 3\n\n\ndef f(xs):\n    ys = [x for x in xs]\n    return ys, x\n"),
    # formats
    ("fstring_to_format", 'def f(xs):\n    return f"{xs}{xs.pop()}"\n'),
    (
        "fstring_to_concatenation",
        'class C:\n    def __format__(self, spec):\n        return ""\n\n\ndef f(c):\n    return f"{c}-"\n',
    ),
    # callers by keyword, and names that are spelled
    ("rename_parameters", "def f(x):\n    return x\n"),
    ("rename_parameters", "def _f(x):\n    return x\n\n\ndef g():\n    return _f(x=1)\n"),
    ("rename_parameters", "def _f(x):\n    return x\n\n\ndef g(use):\n    return use(_f)\n"),
    ("rename_parameters", "def f():\n    def g(x):\n        return x\n\n    return g\n"),
    ("rename_locals", 'def f(x):\n    y = x\n    return f"{y=}"\n'),
    ("rename_locals", "def f(x):\n    import math\n    y = math.sin(x)\n    return y\n"),
    ("rename_locals", "y = 1\n\n\ndef f(xs):\n    return [y for y in xs] + [y]\n"),
    ("extract_constant", "def f(x):\n    match x:\n        case 7:\n            return 1\n"),
    ("inline_constant", 'def f(x):\n    n = 7\n    return f"{n=}"\n'),
    (
        "inline_temporary",
        "def f(g):\n    r = 0\n    try:\n        r = g()\n        return r\n    finally:\n        print(r)\n",
    ),
    ("inline_temporary", "def f(g):\n    r = len(r)\n    return r\n"),
    ("dead_code_in", "def f(x):\n    y = x\n    return locals()\n"),
    ("dead_code_out", "def f(x):\n    if x:\n        y = 1\n    unused = y\n    return x\n"),
    ("extract_temporary", "def f(x):\n    return sorted(locals())\n"),
    # recursion through another name, a first line with an effect, a local that the turn before has set
    ("tail_call_to_loop", "def f(n):\n    if n == 0:\n        return 1\n    return f(n - 1)\n\n\ng = f\nf = print\n"),
    (
        "tail_call_to_loop",
        "def f(n):\n    if n > 1:\n        seen = n\n    if n == 0:\n        return seen\n    return f(n - 1)\n",
    ),
]
# Functions that are more than their text says.
NOT_ORDINARY = [
    "class A:\n    def f(self, n: int):\n        x = 2\n        y = [n]\n        return x + 3 - y[0]\n",
    "class A:\n    def f(self):\n        def g(n: int):\n            x = 2\n            return x + 3\n",
    "import functools\n\n\n@functools.cache\ndef f(n: int):\n    x = 2\n    return x + 3\n",
    "def f(n: int):\n    x = 2\n    yield x + 3\n",
    "async def f(n: int):\n    x = 2\n    return x + 3\n",
    "import contextlib\n\n\n@contextlib.contextmanager\ndef f(n: int):\n    x = 2\n    yield x + 3\n",
]


@pytest.mark.parametrize(("rule", "source"), LEFT_ALONE)
def test_a_rule_offers_nothing_where_the_change_may_be_seen(rule, source):
    functions = functions_of(cst.parse_module(source))
    changed = [made.program.source for seed in range(3) if (made := rewrite(python(source), Random(seed), 1, [rule]))]
    assert functions and not changed


@pytest.mark.parametrize("source", NOT_ORDINARY)
def test_methods_generators_and_decorated_functions_are_left_to_rules_of_layout(source):
    functions = functions_of(cst.parse_module(source))
    offered = {rule.name for rule in RULES.values() if list(sites(rule, functions))}
    assert offered <= {"add_comment", "strip_comments", "quotes"}


def test_a_first_line_with_an_effect_stays_in_the_loop():
    source = "def f(n):\n    print(n)\n    if n == 0:\n        return 1\n    return f(n - 1)\n"
    made = rewrite(python(source), Random(0), 1, ["tail_call_to_loop"])
    assert made.program.source.index("while True") < made.program.source.index("print(n)")


def test_a_name_inside_another_name_does_not_hinder_a_rule():
    loops = "def f(xs: list[int], maxs: str):\n    t = 0\n    for x in xs:\n        t += x - maxs.count('a')\n"
    assert rewrite(python(loops), Random(0), 1, ["direct_to_index"]) is not None
    collects = "def f(xs):\n    o = []\n    for x in xs:\n        if x != 'o':\n            o.append(x)\n    return o\n"
    assert rewrite(python(collects), Random(0), 1, ["loop_to_comprehension"]) is not None


def test_a_name_may_be_that_of_what_is_written_around_it():
    source = "def g():\n    f = []\n    for x in range(3):\n        f.append(x)\n    return f\n"
    assert rewrite(python(source), Random(0), 1, ["loop_to_comprehension"]) is not None
    source = "def g(f: int):\n    x = 0\n    while x < f:\n        print(x)\n        x += 1\n"
    assert rewrite(python(source), Random(0), 1, ["while_to_for"]) is not None
    source = "def g():\n    for f in range(3):\n        print(f)\n"
    assert rewrite(python(source), Random(0), 1, ["for_to_while"]) is not None


def test_an_offer_that_is_no_python_does_not_end_the_others():
    source = "def f(x):\n    [] = x\n    y = []\n    return y\n"
    made = rewrite(python(source), Random(0), 1, ["literal_to_call"])
    assert made is not None and "y = list()" in made.program.source


@pytest.mark.parametrize("text", ["sum(xs)", "sorted(xs)", "max(xs)", "tuple(xs)", "x in xs"])
def test_what_may_use_an_iterator_up_is_not_repeatable(text):
    assert not is_repeatable(cst.parse_expression(text))


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("def f():\n    v = 0\n    v += 1\n", "int"),
        ("def f(xs):\n    v = len(xs)\n    v = v * 2\n", "int"),
        ("def f(x):\n    v = 0\n    v += x\n", "sum"),
        ("class A: pass\ndef f(x):\n    v = 0\n    v += x\n", None),
        ("def f(x: float):\n    v = x * 2\n", "number"),
        ("def f():\n    v = []\n    v.append(1)\n", "list"),
        ("def f(xs):\n    v = []\n    v = xs\n", None),
        ("def f(xs):\n    for v in xs:\n        pass\n", None),
        ("def f(xs: list[int]):\n    for v in xs:\n        pass\n", "int"),
        ("def f(s: str):\n    for v in s:\n        pass\n", "str"),
        ("def f(xs):\n    for v, x in enumerate(xs):\n        pass\n", "int"),
        ("def f(v: int = None):\n    pass\n", None),
        ("def f(v: 'int'):\n    pass\n", None),
        ("def f(*v):\n    pass\n", "tuple"),
        ("def f(xs):\n    with xs as v:\n        v = 1\n", None),
        ("def f():\n    v = 1\n    def g():\n        nonlocal v\n        v = ''\n", None),
        ("def len(x): return ''\ndef f(x):\n    v = len(x)\n", None),
        ("def f():\n    v, w = 0, 1\n    v, w = w, v + w\n", "int"),
        ("def f(x):\n    v = 'a'.join(x).split()\n", "list"),
        ("def f(a, b):\n    v = a == b\n", None),
        ("def f(a, b):\n    v = a in b\n", "bool"),
        ("def f(a: int):\n    v = a / 2\n", "number"),
        ("def f(a: int):\n    v = a ** a\n", None),
    ],
)
def test_a_type_is_known_where_all_that_binds_a_name_tells_it(source, kind):
    function = next(f for f in functions_of(cst.parse_module(source)) if f.node.name.value == "f")
    assert function.known_type("v") == kind
