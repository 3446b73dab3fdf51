"""Canonical forms of Python programs, the distance between them, and trees built by several threads."""

import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from semrep_jax.core import syntax
from semrep_jax.python.canonical import _postorder, canonical, distance

SOURCE = "def f(xs):\n    total = 0\n    for x in xs:\n        total += x\n    return total\n"


def test_renaming_comments_layout_and_docstrings_do_not_change_the_canonical_form():
    other = 'def f(items):\n  "sum"\n  acc = 0x0  # start\n  for i in items:\n     acc += (i)\n  return acc'
    assert canonical(SOURCE) == canonical(other)


def test_a_changed_constant_operator_or_free_name_changes_the_canonical_form():
    for old, new in (("0", "1"), ("+=", "-="), ("in xs", "in abs(xs)")):
        assert canonical(SOURCE) != canonical(SOURCE.replace(old, new))


def test_the_entry_point_and_globals_keep_their_names():
    assert "def f(" in canonical(SOURCE)
    assert canonical("def f():\n    global n\n    n = 1\n") != canonical("def f():\n    n = 1\n")


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
