"""Curves of searches: the best so far at equal amounts, the compute that reaches the same score, honest where it is not
reached."""

from __future__ import annotations

import math

import numpy as np
import pytest

from semrep_jax.search import curves, figures
from semrep_jax.search.curves import Course, to_reach
from semrep_jax.search.node import Kind, Node


def node(number, right=False, value=None, **other):
    edit = (int(right), 1)
    fields = {"tokens": 10, "seconds": 0.5, "compiled": True, "status": "ok", "program": "x", "value": value} | other
    return Node(number, 0, Kind.TRANSFORM, preserve=(1, 1), edit=edit, **fields)


def steps(solved_at, tokens=10, count=10):
    """A search of `count` programs that solves its task with one of them, or none."""
    best = [float(solved_at is not None and i >= solved_at) for i in range(count + 1)]
    samples = np.arange(count + 1)
    return [Course(samples, tokens * samples, samples * 0.5, np.array(best))]


def test_a_course_counts_everything_but_what_lay_beyond_the_budget():
    copy, beyond = node(3, right=True, copy_of=2, seconds=0.0), node(4, right=True, beyond=True)
    nodes = [node(1), node(2, right=True), copy, beyond]
    one = curves.course(nodes, 0.0, measured=False)
    assert one.tokens.tolist() == [0, 10, 20, 30] and one.seconds.tolist() == [0, 0.5, 1.0, 1.0]
    assert one.best.tolist() == [0, 0, 1, 1]
    assert one.at("tokens", np.array([0, 19, 20, 99])).tolist() == [0, 0, 1, 1]


def test_a_measured_course_takes_the_best_value_of_right_programs_from_the_start_on():
    nodes = [node(1, value=9.0), node(2, right=True, value=1.5), node(3, right=True, value=1.2), node(4, right=True)]
    assert curves.course(nodes, 1.3, measured=True).best.tolist() == [1.3, 1.3, 1.5, 1.5, 1.5]


def test_compute_to_reach_the_same_score_is_a_ratio_of_tokens():
    fast, slow = [steps(3)] * 6, [steps(6)] * 6
    found = to_reach(fast, slow, "tokens", 200)
    assert found.value == found.low == found.high == pytest.approx(0.5, abs=0.01)
    assert to_reach(slow, fast, "tokens", 200).value == pytest.approx(2.0, abs=0.02)
    assert to_reach([steps(3, tokens=40)] * 6, slow, "tokens", 200).value == pytest.approx(2.0, abs=0.02)


def test_an_amount_that_was_not_counted_is_not_compared():
    courses = {"semrep": [steps(2, tokens=0)] * 4, "direct": [steps(4, tokens=0)] * 4}
    ratios = figures.compute(courses, 100)
    assert {axis for _, _, axis in ratios} == {"samples"}
    assert "told no tokens" in figures._sentence(ratios)


def test_what_is_not_reached_is_infinite_and_nothing_to_reach_is_no_number():
    some, all_of_them = [steps(2)] * 5 + [steps(None)] * 5, [steps(4)] * 10
    assert math.isinf(to_reach(some, all_of_them, "tokens", 200).value)
    assert math.isnan(to_reach(some, [steps(None)] * 10, "tokens", 200).value)
    nearly = to_reach([steps(2)] * 9 + [steps(None)], [steps(4)] * 9 + [steps(None)], "samples", 400)
    assert nearly.value == pytest.approx(0.5, abs=0.02)
    mixed = to_reach([steps(2), steps(None)] * 5, [steps(None), steps(4)] * 5, "samples", 400)
    assert math.isinf(mixed.high) and mixed.low < 1


def test_means_are_over_tasks_with_their_seeds_averaged_first_and_quartiles_over_seeds():
    tasks = [steps(1) + steps(None), steps(1) + steps(1)]
    (found,) = curves.mean_at(tasks, "samples", np.array([5]), 200)
    assert found.value == 0.75 and found.low == 0.5 and found.high == 1.0 and found.n == 2
    seeds = [Course(np.arange(2), np.arange(2), np.arange(2), np.array([0.0, value])) for value in (1, 2, 3, 4, 5)]
    (one,) = curves.quartiles_at(seeds, "samples", np.array([1]))
    assert (one.low, one.value, one.high) == (2, 3, 4)
