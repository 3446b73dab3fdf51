"""Intervals over seeds and tasks, their coverage, Holm's correction, and what a design can detect."""

from __future__ import annotations

import numpy as np
import pytest

from semrep_jax.evaluate.study import Spread, compared, detectable, holm

DESIGNS = [(5, 60, Spread(0.0, 0.2, 0.25)), (5, 60, Spread(0.05, 0.2, 0.25)), (3, 60, Spread(0.05, 0.1, 0.25))]


def drawn(seeds: int, tasks: int, spread: Spread, mean: float, draw: int) -> np.ndarray:
    """A table of differences of this spread about `mean`."""
    rng = np.random.default_rng(draw)
    of_seed, of_task = rng.normal(0, spread.seed, (seeds, 1)), rng.normal(0, spread.task, (1, tasks))
    return mean + of_seed + of_task + rng.normal(0, spread.noise, (seeds, tasks))


@pytest.mark.parametrize(("seeds", "tasks", "spread"), DESIGNS)
def test_the_interval_covers_the_truth_about_as_often_as_it_says(seeds, tasks, spread):
    found = [compared(drawn(seeds, tasks, spread, 0.1, draw), 800).estimate for draw in range(150)]
    assert 0.89 <= np.mean([one.low <= 0.1 <= one.high for one in found]) <= 0.995


@pytest.mark.parametrize(("seeds", "tasks", "spread"), DESIGNS[:2])
def test_a_difference_of_the_detectable_size_is_found_four_times_in_five(seeds, tasks, spread):
    size = detectable(spread, seeds, tasks)
    found = [compared(drawn(seeds, tasks, spread, size, draw), 800).p < 0.05 for draw in range(150)]
    assert 0.7 <= np.mean(found) <= 0.9


def test_an_interval_over_tasks_alone_is_too_sure_where_seeds_differ():
    values = drawn(5, 200, Spread(0.05, 0.1, 0.1), 0.05, 1)
    both, alone = compared(values).estimate, compared(values.mean(axis=0, keepdims=True)).estimate
    assert both.value == pytest.approx(alone.value) and both.high - both.low > 2 * (alone.high - alone.low)


def test_p_and_interval_agree_and_repeat():
    for draw in range(20):
        one = compared(drawn(4, 50, Spread(0.02, 0.2, 0.2), 0.06, draw), 2000)
        assert one.estimate.decided == (one.p < 0.05)
    assert one == compared(drawn(4, 50, Spread(0.02, 0.2, 0.2), 0.06, 19), 2000)


def test_the_parts_of_the_spread_are_found_again():
    found = compared(drawn(40, 2000, Spread(0.05, 0.2, 0.3), 0.0, 3), 100).spread
    assert found.seed == pytest.approx(0.05, abs=0.02)
    assert found.task == pytest.approx(0.2, abs=0.01) and found.noise == pytest.approx(0.3, abs=0.01)


def test_arms_that_never_differ_have_no_width_and_decide_nothing():
    one = compared(np.zeros((3, 10)))
    assert (one.estimate.low, one.estimate.high, one.p) == (0.0, 0.0, 1.0)
    always = compared(np.ones((3, 10)))
    assert always.estimate.decided and always.p == 0.0


def test_an_interval_does_not_leave_what_a_mean_can_be():
    one = compared(np.array([[1.0, 0.5]]), within=(0, 1)).estimate
    assert (one.low, one.high) == (0, 1) and compared(np.array([[1.0, 0.5]])).estimate.low < -1


def test_holm_multiplies_the_smallest_by_their_number_and_never_lets_a_larger_one_fall_below():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.5}) == pytest.approx(
        {"a": 0.04, "b": 0.09, "c": 0.09, "d": 0.5}
    )
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0} and holm({}) == {}


def test_the_detectable_difference_shrinks_with_seeds_and_tasks_and_is_the_formula_where_one_part_rules():
    spread = Spread(0.02, 0.2, 0.25)
    assert detectable(spread, 10, 600) < detectable(spread, 5, 600) < detectable(spread, 5, 100)
    # tasks alone, many of them: (1.960 + 0.842) standard errors
    assert detectable(Spread(0.0, 0.3, 0.0), 5, 4000) == pytest.approx(2.8016 * 0.3 / 4000**0.5, rel=2e-3)
