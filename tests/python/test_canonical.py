"""Canonical forms of Python programs, the distance between them, and trees built by several threads."""

import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from semrep_jax.core import syntax
from semrep_jax.python.canonical import _postorder, canonical, distance, repeats, split_form

SOURCE = "def f(xs):\n    total = 0\n    for x in xs:\n        total += x\n    return total\n"


def test_renaming_comments_layout_and_docstrings_do_not_change_the_canonical_form():
    other = 'def f(xs):\n  "sum"\n  acc = 0x0  # start\n  for i in xs:\n     acc += (i)\n  return acc'
    assert canonical(SOURCE) == canonical(other)


def test_a_changed_constant_operator_or_free_name_changes_the_canonical_form():
    for old, new in (("0", "1"), ("+=", "-="), ("in xs", "in abs(xs)")):
        assert canonical(SOURCE) != canonical(SOURCE.replace(old, new))


def test_the_entry_point_and_globals_keep_their_names():
    assert "def f(" in canonical(SOURCE)
    assert canonical("def f():\n    global n\n    n = 1\n") != canonical("def f():\n    n = 1\n")


# Pairs that are one program to whoever uses them.
COPIES = {
    "a helper with an underscore": (
        "def _h(a): return a\ndef f(x): return _h(x)",
        "def _g(b): return b\ndef f(x): return _g(x)",
    ),
    "a helper that f calls": ("def h(a): return a\ndef f(x): return h(x)", "def g(a): return a\ndef f(x): return g(x)"),
    "a nested function": (
        "def f(x):\n def g(y): return y\n return g(x)",
        "def f(x):\n def h(z): return z\n return h(x)",
    ),
    "a helper called by keyword": (
        "def _h(a, b): return a - b\ndef f(x): return _h(b=x, a=1)",
        "def _h(p, q): return p - q\ndef f(x): return _h(q=x, p=1)",
    ),
    "a private class": ("class _A: pass\ndef f(x): return _A()", "class _B: pass\ndef f(x): return _B()"),
    "a constant that f reads": ("SIZE = 3\ndef f(x): return x + SIZE", "WIDTH = 3\ndef f(x): return x + WIDTH"),
    "a module's other name": (
        "import math\ndef f(x): return math.sin(x)",
        "import math as m\ndef f(x): return m.sin(x)",
    ),
    "an import's other name": (
        "from math import sin\ndef f(x): return sin(x)",
        "from math import sin as s\ndef f(x): return s(x)",
    ),
    "a name of two functions": (
        "def f(x):\n y = x\n return y\ndef g(x):\n y = x\n return y",
        "def f(x):\n z = x\n return z\ndef g(x):\n y = x\n return y",
    ),
    "a name that an error gets": (
        "def f(x):\n try: return 1 / x\n except ZeroDivisionError as e: return str(e)",
        "def f(x):\n try: return 1 / x\n except ZeroDivisionError as error: return str(error)",
    ),
    "a name that a pattern binds": (
        "def f(x):\n match x:\n  case [a, *b]: return a, b",
        "def f(x):\n match x:\n  case [c, *d]: return c, d",
    ),
    "starred parameters": ("def f(*a, **b): return a, b", "def f(*p, **q): return p, q"),
    "parameters by position only": ("def f(a, /): return a", "def f(b, /): return b"),
    "pass": ("def f(x):\n return x", "def f(x):\n pass\n return x"),
    "pass in a branch": ("def f(x):\n if x: x = 1\n return x", "def f(x):\n if x:\n  x = 1\n  pass\n return x"),
    "a branch that does nothing": (
        "def f(x):\n if x: x = 1\n return x",
        "def f(x):\n if x: x = 1\n else: pass\n return x",
    ),
    "an ellipsis": ("def f(x):\n return x", "def f(x):\n ...\n return x"),
    "a hint of a variable": ("def f(x):\n y = x\n return y", "def f(x):\n y: int = x\n return y"),
    "a return at the end": ("def f(x):\n x.append(1)", "def f(x):\n x.append(1)\n return None"),
}
# Pairs that someone outside can tell apart.
DIFFERENT = {
    "called by keyword": ("def f(a, b): return a - b", "def f(b, a): return b - a"),
    "a parameter's name": ("def f(a): return a", "def f(b): return b"),
    "a method's parameter": (
        "class A:\n def m(self, a): return a",
        "class A:\n def m(self, b): return b",
    ),
    "a returned function's parameter": (
        "def f():\n def g(a): return a\n return g",
        "def f():\n def g(b): return b\n return g",
    ),
    "keywords handed on": (
        "def _h(a=1, b=2): return a\ndef f(**k): return _h(**k)",
        "def _h(b=1, a=2): return b\ndef f(**k): return _h(**k)",
    ),
    "a public function": ("def f(x): return x", "def g(x): return x"),
    "an attribute": ("class A:\n size = 1", "class A:\n width = 1"),
    "an error's class": (
        "class _Bad(Exception): pass\ndef f(x): raise _Bad",
        "class _Worse(Exception): pass\ndef f(x): raise _Worse",
    ),
    "what is exported": (
        "__all__ = ['h', 'f']\ndef h(x): return x\ndef f(x): return h(x)",
        "__all__ = ['g', 'f']\ndef g(x): return x\ndef f(x): return g(x)",
    ),
    "a constant for others": ("SIZE = 3\ndef f(x): return x", "WIDTH = 3\ndef f(x): return x"),
    "names that are looked at": ("def f(x):\n y = x\n return locals()", "def f(x):\n z = x\n return locals()"),
    "a variable of the loop or of the function": (
        "def f(x):\n y = [x for x in x]\n return x",
        "def f(x):\n y = [x for z in x]\n return x",
    ),
}


@pytest.mark.parametrize("pair", COPIES)
def test_what_nobody_outside_can_tell_apart_has_one_canonical_form(pair):
    first, second = COPIES[pair]
    assert canonical(first) == canonical(second) is not None


@pytest.mark.parametrize("pair", DIFFERENT)
def test_what_someone_outside_can_tell_apart_has_two_canonical_forms(pair):
    first, second = DIFFERENT[pair]
    assert canonical(first) != canonical(second)


def test_a_canonical_form_is_a_program_that_does_the_same_and_its_own_canonical_form():
    source = (
        "from math import floor as low\nv0 = 5\n_K = 2\ndef _h(a, *, b=1):\n    return low(a) * b + _K\n"
        "def f(v1, xs=()):\n    ys = [(lambda q: q + i)(v1) for i in xs]\n    if (n := len(ys)) > 1:\n        n += v0\n"
        "    def g():\n        nonlocal n\n        n += 1\n        return _h(n, b=v1)\n    return g(), ys, n\n"
    )
    form = canonical(source)
    exec(source, first := {})
    exec(form, second := {})
    for args in ((3,), (3, [1, 2]), (2, [5])):
        assert first["f"](*args) == second["f"](*args)
    assert first["f"](v1=1, xs=[1]) == second["f"](v1=1, xs=[1]) and canonical(form) == form


def test_the_form_that_decides_splits_stays_as_it_is():
    source = (
        'def h(a: int) -> int:\n    "doc"\n    pass\n    return a\ndef f(x, *, y=1):\n    a = [b for b in h(a=x)]\n'
        "    try:\n        return a\n    except ValueError as e:\n        return None\n"
    )
    assert split_form(source) == (
        "def h(v0):\n    pass\n    return v0\n\ndef f(v1, *, v2=1):\n    v0 = [v3 for v3 in h(a=v1)]\n"
        "    try:\n        return v0\n    except ValueError as v4:\n        return None"
    )


def test_text_that_does_not_parse_has_no_canonical_form():
    assert canonical("def f(:") is None
    assert canonical("x = " + "(" * 5000 + ")" * 5000) is None
    assert canonical("a\0b") is None


def test_distance_is_zero_for_equal_symmetric_and_grows_with_the_change():
    a = canonical(SOURCE)
    b = canonical(SOURCE.replace("+=", "-="))
    c = canonical("def f(xs):\n    return sum(xs)\n")
    assert distance(a, a) == 0.0
    assert distance(a, b) == distance(b, a)
    assert 0 < distance(a, b) < distance(a, c) <= 1.0


def test_distance_of_one_relabelled_node_is_one_over_the_tree_size():
    a, b = "x + 1", "x + 2"
    size = len(_postorder(a).labels)
    assert distance(a, b) == 1 / size


@pytest.mark.parametrize(
    ("second", "repeated"),
    [
        ("def f(b, c): return b - c", False),  # b is another parameter now
        ("def f(b, a): return b - a", False),
        ("def f(p, q): return p - q", True),
        ("def f(a, q): return a - q", True),
        ("def f(a, b): return b - a", False),
        ("def f(p, q): return q - p", False),
        ("def f(a, b): return a - b", True),
    ],
)
def test_new_names_for_parameters_repeat_a_program_and_swapped_names_do_not(second, repeated):
    assert repeats(canonical("def f(a, b): return a - b"), canonical(second)) is repeated


def test_names_that_every_call_needs_are_part_of_the_program():
    assert not repeats(canonical("def f(*, a): return a"), canonical("def f(*, b): return b"))


def test_distance_looks_through_the_names_of_parameters():
    assert distance(canonical(SOURCE), canonical(SOURCE.replace("xs", "items"))) == 0.0


def test_threads_that_parse_at_once_get_whole_trees():
    flat, deep = "x = 1\n" * 200, "x = " + "(" * 60 + "1" + " + 1)" * 60 + "\n"
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()

    def noted(phase, info):  # Python code while a tree is being built: another thread may take over here
        threading.get_ident()

    gc.callbacks.append(noted)
    gc.set_threshold(5)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as threads:
            trees = list(threads.map(syntax.module, [flat, deep] * 30))
    finally:
        gc.callbacks.remove(noted)
        gc.set_threshold(*threshold)
        sys.setswitchinterval(interval)
    assert [len(t.body) for t in trees] == [200, 1] * 30
