"""The gradient piece by piece is the gradient of the whole batch, whatever the reduction."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semrep_jax.train import accumulate
from semrep_jax.train.batch import RolloutBatch, padded, piece_by_piece
from semrep_jax.train.settings import KL, Reduction, TrainConfig

GROUPS, MEMBERS, PROMPT, NEW = 5, 3, 8, 6
KEEP = np.array([False, True, False, True, True])


def arranged(places: list[int | None]) -> RolloutBatch:
    """The same five groups, of which three count, at these rows."""
    rng = np.random.default_rng(0)
    ids = rng.integers(2, 200, (GROUPS, MEMBERS, NEW)).astype(np.int32)
    lengths = rng.integers(1, NEW + 1, (GROUPS, MEMBERS, 1))
    mask = (np.arange(NEW) < lengths) & KEEP[:, None, None]
    logps = rng.normal(-4, 1, (2, GROUPS, MEMBERS, NEW)).astype(np.float32)
    host = RolloutBatch(
        prompt=rng.integers(2, 200, (GROUPS, PROMPT)).astype(np.int32),
        length=rng.integers(1, PROMPT, GROUPS).astype(np.int32),
        completion=ids,
        mask=mask,
        sampled=logps[0],
        advantage=rng.normal(size=(GROUPS, MEMBERS)).astype(np.float32),
        reference=logps[1],
    )

    def take(x: np.ndarray) -> np.ndarray:
        filler = np.ones_like(x[0]) if x is host.length else np.zeros_like(x[0])
        return np.stack([filler if b is None else x[b] for b in places])

    return jax.tree.map(take, host)


@pytest.mark.parametrize("reduction", list(Reduction))
def test_pieces_give_the_gradient_and_the_metrics_of_the_whole_batch(tiny, reduction):
    setting = TrainConfig(reduction=reduction, kl=KL.K3, kl_weight=0.5)
    trained, frozen = tiny.model.split(tiny.params)

    def found(batch: RolloutBatch, micro_batch: int):
        config = setting.model_copy(update={"micro_batch": micro_batch})
        return jax.jit(lambda t: accumulate.gradient(tiny.model, t, frozen, batch, config, 1.0))(trained)

    whole, metrics = found(arranged(list(range(GROUPS))), 0)
    pieces, same = found(arranged(piece_by_piece(KEEP, 2)), 2)
    for one, other in zip(*map(jax.tree.leaves, (whole, pieces)), strict=True):
        scale = float(jnp.abs(one).max()) or 1.0
        np.testing.assert_allclose(other, one, atol=2e-5 * scale)
    assert any(float(jnp.abs(leaf).max()) > 1e-3 for leaf in jax.tree.leaves(pieces))
    assert {k: float(v) for k, v in same.items()} == pytest.approx({k: float(v) for k, v in metrics.items()}, rel=1e-4)


def test_a_batch_in_which_nothing_counts_has_no_gradient(tiny):
    trained, frozen = tiny.model.split(tiny.params)
    batch = arranged(piece_by_piece(KEEP, 2))
    batch = replace(batch, mask=np.zeros_like(batch.mask))
    grads, metrics = accumulate.gradient(tiny.model, trained, frozen, batch, TrainConfig(micro_batch=2), 1.0)
    assert not any(jnp.any(leaf) for leaf in jax.tree.leaves(grads)) and float(metrics["loss"]) == 0


def test_groups_that_count_come_into_the_first_pieces_and_all_groups_are_there():
    rows = piece_by_piece(KEEP, 2)
    assert len(rows) == padded(GROUPS, 2) == 6
    pieces = [rows[i::3] for i in range(3)]
    assert pieces == [[1, 3], [4, 0], [2, None]]
    assert piece_by_piece(KEEP, 0) == [0, 1, 2, 3, 4] and padded(GROUPS, 0) == 5
