"""Canonical forms and the distance between them."""

from semrep_jax.forms import python as forms

SOURCE = "def f(xs):\n    total = 0\n    for x in xs:\n        total += x\n    return total\n"


def test_renaming_comments_layout_and_docstrings_do_not_change_the_canonical_form():
    other = 'def f(items):\n  "sum"\n  acc = 0x0  # start\n  for i in items:\n     acc += (i)\n  return acc'
    assert forms.canonical(SOURCE) == forms.canonical(other)


def test_a_changed_constant_operator_or_free_name_changes_the_canonical_form():
    for old, new in (("0", "1"), ("+=", "-="), ("in xs", "in abs(xs)")):
        assert forms.canonical(SOURCE) != forms.canonical(SOURCE.replace(old, new))


def test_the_entry_point_and_globals_keep_their_names():
    assert "def f(" in forms.canonical(SOURCE)
    assert forms.canonical("def f():\n    global n\n    n = 1\n") != forms.canonical("def f():\n    n = 1\n")


def test_text_that_does_not_parse_has_no_canonical_form():
    assert forms.canonical("def f(:") is None
    assert forms.canonical("x = " + "(" * 5000 + ")" * 5000) is None
    assert forms.canonical("a\0b") is None


def test_distance_is_zero_for_equal_symmetric_and_grows_with_the_change():
    a = forms.canonical(SOURCE)
    b = forms.canonical(SOURCE.replace("+=", "-="))
    c = forms.canonical("def f(xs):\n    return sum(xs)\n")
    assert forms.distance(a, a) == 0.0
    assert forms.distance(a, b) == forms.distance(b, a)
    assert 0 < forms.distance(a, b) < forms.distance(a, c) <= 1.0


def test_distance_of_one_relabelled_node_is_one_over_the_tree_size():
    a, b = "x + 1", "x + 2"
    size = len(forms._postorder(a)[0])
    assert forms.distance(a, b) == 1 / size
