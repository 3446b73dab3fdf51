"""Schedules of the learning rate over B and across the stages' seam; what becomes of AdamW's moments there."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest

from semrep_jax.train.optimiser import at_step, initial_state, rate, without_moments
from semrep_jax.train.settings import Schedule, TrainConfig
from semrep_jax.train.update import optimiser_of

STEPS, WARMUP, SEAM = 20, 2, 8


def rates(kind: Schedule) -> np.ndarray:
    of_step = rate(kind, 1.0, STEPS, WARMUP, SEAM)
    return np.array([float(of_step(step)) for step in range(STEPS + 1)])


@pytest.mark.parametrize("kind", list(Schedule))
def test_every_schedule_warms_up_to_its_peak(kind):
    assert rates(kind)[:3] == pytest.approx([0.5, 0.75, 1.0])


def test_a_schedule_over_the_whole_budget_does_not_see_the_seam_and_one_of_stages_begins_anew_there():
    assert rates(Schedule.CONSTANT)[WARMUP:] == pytest.approx(1.0)
    for kind in (Schedule.COSINE, Schedule.LINEAR):
        assert (np.diff(rates(kind)[WARMUP:]) < 0).all() and rates(kind)[-1] == pytest.approx(0.1)
    stages = rates(Schedule.STAGE)
    assert stages[SEAM - 1] < 0.4 and stages[SEAM : SEAM + 3] == pytest.approx([0.5, 0.75, 1.0])
    assert np.diff(rates(Schedule.LINEAR)[WARMUP:]) == pytest.approx(-0.05, abs=1e-6)


def parts(tree, kind) -> list:
    nodes = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, kind))
    return [node for node in nodes if isinstance(node, kind)]


def test_a_state_can_be_put_at_any_step_of_its_schedule_and_keeps_its_moments(tiny):
    optimiser = optimiser_of(TrainConfig(budget=STEPS))
    before = initial_state(tiny.model, optimiser, tiny.params)["optimiser"]
    after = at_step(before, 7)
    (schedule,), (moments,) = parts(after, optax.ScaleByScheduleState), parts(after, optax.ScaleByAdamState)
    assert (int(schedule.count), int(moments.count)) == (7, 0)
    assert schedule.count.sharding == parts(before, optax.ScaleByScheduleState)[0].count.sharding


def test_moments_that_are_reset_are_those_of_step_zero_and_the_schedule_goes_on(tiny):
    optimiser = optimiser_of(TrainConfig(budget=STEPS))
    state = initial_state(tiny.model, optimiser, tiny.params)
    fresh = jax.device_get(state["optimiser"])
    grads = jax.tree.map(np.ones_like, state["params"])
    for _ in range(3):
        _, state["optimiser"] = optimiser.update(grads, state["optimiser"], state["params"])
    reset = without_moments(tiny.model, optimiser, state)["optimiser"]

    (schedule,), (moments,) = parts(reset, optax.ScaleByScheduleState), parts(reset, optax.ScaleByAdamState)
    (before,) = parts(fresh, optax.ScaleByAdamState)
    assert (int(schedule.count), int(moments.count)) == (3, 0)
    for a, b in zip(*map(jax.tree.leaves, ((moments.mu, moments.nu), (before.mu, before.nu))), strict=True):
        np.testing.assert_array_equal(a, b)
