"""The held-out curve of an arm: when points are taken, which model is best, what a kill leaves."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from safetensors.numpy import load_file

from semrep_jax.train.curve import Curve, CurveFile, Point, Spent
from semrep_jax.train.metrics import Recorder

TOTAL = 7
# value after each step; steps 2 and 6 tie for the best
VALUES = {0: 0.1, 2: 1 / 3, 4: 0.2, 6: 1 / 3, 7: 0.25}


class Arm:
    """Weights that are the step's number, so that an export tells which step it is of."""

    def __init__(self, tiny, directory: Path, values: dict[int, float] = VALUES, identity: str = "a"):
        self.tiny, self.directory = tiny, directory
        self.measured: list[int] = []
        self.step, self.values = 0, values
        self.curve = Curve(2, self.measure, ("sums/T1", "sums/T2"), {"suite": identity})

    def measure(self, params) -> list[Point]:
        self.measured.append(self.step)
        value = self.values[self.step]
        return [Point("sums", 1, value, 0.0, 1.0, 5), Point("sums", 2, 1 - value, 0.0, 1.0, 5)]

    def run(self, begin: int, end: int) -> None:
        file = CurveFile(self.curve, self.directory, self.tiny, begin)
        recorder = Recorder(self.directory)
        for self.step in range(begin, end + 1):
            params = jax.tree.map(lambda x: jnp.full_like(x, self.step), self.tiny.params)
            file.take(Spent(self.step, 10 * self.step, 0.5), TOTAL, params, recorder)
        recorder.close()

    def rows(self) -> list[tuple[int, int, float]]:
        lines = (self.directory / "curve.jsonl").read_text().splitlines()
        return [(row["step"], row["turns"], row["value"]) for row in map(json.loads, lines)]

    def best(self) -> tuple[int, float]:
        """The step that best.json names, and the one that the exported weights are of."""
        named = json.loads((self.directory / "best.json").read_text())
        weights = load_file(self.directory / "best" / "model.safetensors")
        return named["step"], float(next(iter(weights.values())).flat[0])


@pytest.fixture
def whole(tiny, tmp_path) -> Arm:
    arm = Arm(tiny, tmp_path / "whole")
    arm.run(0, TOTAL)
    return arm


def test_points_are_taken_at_step_zero_at_each_multiple_and_at_the_end_and_a_tie_goes_to_the_earlier(whole):
    assert whole.measured == [0, 2, 4, 6, 7]
    assert [step for step, turns, _ in whole.rows() if turns == 1] == whole.measured
    assert whole.best() == (2, 2.0)
    row = json.loads((whole.directory / "curve.jsonl").read_text().splitlines()[2])
    assert row == {"step": 2, "tokens": 20, "seconds": 0.5, "suite": "sums", "turns": 1,
                   "value": 0.333333, "low": 0.0, "high": 1.0, "n": 5}  # fmt: skip


def test_the_board_shows_the_point_of_the_step_that_a_run_goes_on_from(whole, tiny):
    """TensorBoard drops what it has of that step and later ones when the run goes on."""
    shown = []
    file = CurveFile(whole.curve, whole.directory, tiny, 4)
    recorder = SimpleNamespace(board=SimpleNamespace(write=lambda step, values: shown.append((step, values))))
    for step in (4, 5):
        file.take(Spent(step, 10 * step, 0.5), TOTAL, tiny.params, recorder)
    assert shown == [(4, {"heldout/sums/T1": 0.2, "heldout/sums/T2": 0.8})]


@pytest.mark.parametrize("killed", [1, 3, 5, 6, 7])
@pytest.mark.parametrize("restored", [0, 1, 2, 4])
def test_a_run_killed_anywhere_and_gone_on_with_has_the_same_rows_and_the_same_best(
    whole, tiny, tmp_path, killed, restored
):
    arm = Arm(tiny, tmp_path / "killed")
    arm.run(0, killed)
    arm.run(min(restored, killed), TOTAL)
    assert (arm.rows(), arm.best()) == (whole.rows(), whole.best())


def test_a_point_cut_short_by_a_kill_is_taken_again_and_a_whole_one_is_not(whole, tiny):
    path = whole.directory / "curve.jsonl"
    path.write_text(path.read_text()[:-40])  # the second row of the last step is torn
    again = Arm(tiny, whole.directory)
    again.run(TOTAL, TOTAL)
    assert again.measured == [7] and again.rows()[-2:] == [(7, 1, 0.25), (7, 2, 0.75)]
    last = Arm(tiny, whole.directory)
    last.run(TOTAL, TOTAL)
    assert last.measured == []


@pytest.mark.parametrize("resumed", [None, 3, 6])
def test_a_batch_of_several_steps_that_passes_a_multiple_has_the_point_of_it(tiny, tmp_path, resumed):
    arm = Arm(tiny, tmp_path, dict.fromkeys(range(10), 0.1))
    arm.curve = Curve(4, arm.measure, arm.curve.names)
    recorder, file = Recorder(tmp_path), CurveFile(arm.curve, tmp_path, tiny, 0)
    for arm.step in (0, 3, 6, 9):
        if arm.step == resumed:
            file = CurveFile(arm.curve, tmp_path, tiny, arm.step)
        file.take(Spent(arm.step, 0, 0.0), 12, tiny.params, recorder)
    recorder.close()
    assert arm.measured == [0, 6, 9]


def test_a_curve_of_another_held_out_set_is_not_gone_on_from(whole, tiny):
    other = Arm(tiny, whole.directory, {4: 0.01, 6: 0.02, 7: 0.01}, identity="b")
    other.run(4, TOTAL)
    assert [step for step, turns, _ in other.rows() if turns == 1] == [4, 6, 7] and other.best() == (6, 6.0)
