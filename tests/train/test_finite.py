"""NaN and infinity: found by the tensor's name, before a training and in a step of it."""

from __future__ import annotations

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semrep_jax.model import pretrained, sharding
from semrep_jax.train import supervised
from semrep_jax.train.batch import RolloutBatch
from semrep_jax.train.finite import MOST_SKIPPED, NonFiniteError, Watch, broken_tensors, require_finite
from semrep_jax.train.metrics import Recorder
from semrep_jax.train.optimiser import initial_state
from semrep_jax.train.settings import NonFinite, TrainConfig
from semrep_jax.train.update import compiled_update, optimiser_of


def spoilt(tiny, name: str, layer: int):
    """The tiny model's parameters with a NaN in one layer of a tensor."""

    def spoil(path, leaf):
        return leaf.at[layer].set(jnp.nan) if name in jax.tree_util.keystr(path) else leaf

    return jax.tree_util.tree_map_with_path(spoil, tiny.params)


def test_a_base_with_a_nan_is_refused_by_the_name_of_the_tensor(tiny):
    name = next(
        jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(tiny.params) if "down" in str(p)
    )
    assert broken_tensors(tiny.model, tiny.params) == []
    broken = spoilt(tiny, name, 1)
    assert broken_tensors(tiny.model, broken) == ["model.layers.1.mlp.down_proj.weight"]
    with pytest.raises(NonFiniteError, match=r"base: model\.layers\.1\.mlp\.down_proj\.weight holds NaN"):
        require_finite(tiny.model, broken, "base")


@pytest.fixture
def batch() -> RolloutBatch:
    rng = np.random.default_rng(0)
    return RolloutBatch(
        prompt=rng.integers(7, 60, (2, 8)),
        length=np.array([8, 5]),
        completion=rng.integers(7, 60, (2, 3, 6)),
        sampled=np.full((2, 3, 6), -3, np.float32),
        mask=np.ones((2, 3, 6), bool),
        advantage=rng.normal(size=(2, 3)).astype(np.float32),
    )


def one_step(tiny, batch, setting):
    state = initial_state(tiny.model, optimiser_of(setting), tiny.params)
    before = jax.device_get(state)
    _, frozen = tiny.model.split(tiny.params)
    state, metrics = compiled_update(tiny.model, setting, 1.0)(state, frozen, batch)
    return before, state, jax.device_get(metrics)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda b: replace(b, sampled=b.sampled * np.nan), "the loss is nan, the gradient of"),
        (lambda b: replace(b, advantage=b.advantage * np.inf), "loss"),
    ],
)
def test_a_step_that_comes_to_nan_ends_the_run_or_moves_nothing(tiny, batch, spoil, says):
    stop, skip = (TrainConfig(warmup=0, non_finite=rule) for rule in NonFinite)
    _, state, metrics = one_step(tiny, spoil(batch), stop)
    with pytest.raises(NonFiniteError, match=rf"step 5: .*{says}.*non_finite: skip"):
        Watch(tiny.model, NonFinite.STOP)(5, metrics, state["params"])
    with pytest.raises(NonFiniteError, match=rf"step 5: .*{says}[^;]*; lower supervised\.learning_rate$"):
        Watch(tiny.model, NonFinite.STOP, supervised.FIX)(5, metrics, state["params"])
    before, state, metrics = one_step(tiny, spoil(batch), skip)
    jax.tree.map(np.testing.assert_array_equal, before, jax.device_get(state))
    watch = Watch(tiny.model, NonFinite.SKIP)
    for step in range(MOST_SKIPPED - 1):
        watch(step, metrics, state["params"])
        assert watch.skipped == step + 1
    with pytest.raises(NonFiniteError, match="in a row"):
        watch(9, metrics, state["params"])


def test_a_step_size_that_overflows_is_seen_in_the_step_itself(tiny, batch):
    setting = TrainConfig(learning_rate=3e38, warmup=0)
    _, state, metrics = one_step(tiny, batch, setting)
    with pytest.raises(NonFiniteError, match=r"the update of .*infinite|weights"):
        Watch(tiny.model, NonFinite.STOP)(0, metrics, state["params"])


def test_an_ordinary_step_is_let_pass(tiny, batch):
    _, state, metrics = one_step(tiny, batch, TrainConfig())
    watch = Watch(tiny.model, NonFinite.STOP)
    watch(0, metrics, state["params"])
    assert watch.skipped == 0


def test_a_metric_that_is_no_number_is_null_in_the_file(tmp_path):
    recorder = Recorder(tmp_path)
    recorder.write(0, {"loss": float("nan"), "norm": float("inf"), "reward": 0.25})
    recorder.close()
    line = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(line, parse_constant=lambda name: pytest.fail(name)) == {
        "step": 0,
        "loss": None,
        "norm": None,
        "reward": 0.25,
    }


@pytest.mark.parametrize("spoilt", [b"\xff\xfe{", b"[1]\n", b'{"step": 1, "lo'], ids=["bytes", "list", "cut"])
def test_rows_that_are_damaged_are_lost_and_said_to_be_and_the_rest_goes_on(tmp_path, spoilt, capsys):
    rows = b"".join(b'{"step": %d}\n' % step for step in range(5))
    (tmp_path / "metrics.jsonl").write_bytes(rows[:24] + spoilt + rows[36:])
    recorder = Recorder(tmp_path, before=5)
    recorder.write(5, {"loss": 1.0})
    recorder.close()
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [0, 1, 5]
    assert "steps 2 to 4 are lost" in " ".join(capsys.readouterr().err.split())


def test_a_row_that_stands_for_several_steps_is_no_gap(tmp_path, capsys):
    (tmp_path / "metrics.jsonl").write_text("".join(f'{{"step": {step}}}\n' for step in (0, 2, 4)))
    Recorder(tmp_path, before=6).close()
    assert not capsys.readouterr().err


def test_the_model_that_ships_is_finite():
    nano = pretrained.load("nano", sharding.build())
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(nano.params))
    require_finite(nano.model, nano.params, "nano")  # and says nothing
