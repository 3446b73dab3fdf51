"""The decode loop's own kernels on a CPU: what they compute is what XLA computes, and a row's bits are its own."""

from __future__ import annotations

import functools
import logging
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semrep_jax.model import decoder, sharding
from semrep_jax.model.attention import attend_cached
from semrep_jax.model.cpu import cached, library, panels
from semrep_jax.model.decoder import ComputeConfig
from semrep_jax.model.settings import DecodeWeights, Remat
from semrep_jax.model.shape import ModelError, Shape
from semrep_jax.rollout.local import decode

SHAPE = Shape(vocab=70, dim=24, layers=2, heads=4, kv_heads=2, head_dim=8, ffn=40)
HOW = {"group": 3, "max_new": 12, "end_ids": (-1,), "pad_id": 0}
EPSILON = np.finfo(np.float32).eps
pytestmark = pytest.mark.skipif(not library.usable(), reason="g++ can't build the kernels here")


def normal(seed, *size):
    return jnp.array(np.random.default_rng(seed).normal(size=size), jnp.float32)


def sampled(model, params, **how):
    rng = np.random.default_rng(0)
    prompts, lengths = rng.integers(1, SHAPE.vocab, (2, 16)).astype(np.int32), np.array([16, 5], np.int32)
    how = HOW | how
    return decode(params, prompts, lengths, np.ones(2, bool), jnp.float32(1.0), jax.random.key(0), model=model, **how)


@pytest.fixture
def unbuilt(monkeypatch, tmp_path):
    """The module as it is before anything is built, with a directory of its own. A process registers kernels once: a
    test may build them anew with `_library`, not with `usable`."""
    for name in ("usable", "_library"):
        monkeypatch.setattr(library, name, functools.cache(getattr(library, name).__wrapped__))
    monkeypatch.setattr(library, "DIRECTORY", tmp_path / "kernels")
    return tmp_path / "kernels"


@pytest.mark.parametrize("rows, inputs, outputs", [(1, 64, 96), (7, 13, 5), (32, 700, 48), (131, 321, 70)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_product_is_the_product_whatever_the_sizes(rows, inputs, outputs, turned):
    x, w = normal(0, rows, inputs), normal(1, inputs, outputs)
    kept = panels.pack(w.T if turned else w, DecodeWeights.SAME, turned)
    bound = 2 * inputs * EPSILON * np.abs(np.asarray(x)) @ np.abs(np.asarray(w))
    assert np.all(np.abs(panels.product(x, kept) - np.asarray(x, float) @ np.asarray(w, float)) <= bound)


def test_a_row_of_a_product_has_the_same_bits_alone_and_among_others():
    x, kept = normal(0, 131, 700), panels.pack(normal(1, 700, 70), DecodeWeights.SAME)
    together = np.asarray(panels.product(x, kept))
    for row in range(131):
        np.testing.assert_array_equal(panels.product(x[row : row + 1], kept)[0], together[row])


@pytest.mark.parametrize("kind", DecodeWeights)
@pytest.mark.parametrize("rows", [1, 6, 131])
def test_rows_that_do_not_count_come_out_zero_and_change_no_bit_of_the_others(rows, kind):
    x, kept = normal(0, rows, 700), panels.pack(normal(1, 700, 70), kind)
    whole = np.asarray(panels.product(x, kept))
    for live in (np.zeros(rows, bool), np.arange(rows) % 3 == 0, np.ones(rows, bool)):
        seen = np.asarray(panels.product(x, kept.of_rows(jnp.array(live))))
        np.testing.assert_array_equal(seen, np.where(live[:, None], whole, 0))


def test_completions_that_have_ended_change_no_bit_of_the_attention_of_others():
    q, shown = normal(0, 3, 5, 4, 8), (normal(1, 3, 2, 8, 20), normal(2, 3, 2, 20, 8))
    drawn = normal(3, 3, 5, 2, 8, 7), normal(4, 3, 5, 2, 7, 8)
    seen, own_seen = jnp.ones((3, 20), bool), jnp.ones((3, 7), bool)
    live = np.array([[0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [1, 1, 1, 1, 1]], bool)
    whole = np.asarray(cached.attend(q, shown, seen, drawn, own_seen))
    some = np.asarray(cached.attend(q, shown, seen, drawn, own_seen, jnp.array(live)))
    np.testing.assert_array_equal(some, np.where(live[:, :, None, None], whole, 0))


def test_a_completion_is_the_same_whether_those_beside_it_have_ended_or_not():
    model = decoder.build(SHAPE, sharding.build())
    params = model.init(seed=0)
    tokens, logprobs = map(np.asarray, sampled(model, params))
    ends = tuple(range(0, SHAPE.vocab, 9))
    stopped, less = map(np.asarray, sampled(model, params, end_ids=ends))
    before = np.cumsum(np.isin(tokens, ends), axis=2) - np.isin(tokens, ends) == 0
    assert before.any() and not before.all()
    np.testing.assert_array_equal(stopped, np.where(before, tokens, HOW["pad_id"]))
    np.testing.assert_array_equal(less, np.where(before, logprobs, 0))


def test_no_rows_give_no_rows():
    kept = panels.pack(normal(1, 8, 5), DecodeWeights.SAME)
    assert panels.product(jnp.zeros((0, 8)), kept).shape == (0, 5)


@pytest.mark.parametrize("kind, share", [(DecodeWeights.BFLOAT16, 2**-8), (DecodeWeights.INT8, 0.5 / 127)])
def test_fewer_bits_round_each_weight_by_no_more_than_they_must(kind, share):
    w = normal(1, 33, 40).at[:, 3].set(0.0)
    seen = np.asarray(panels.product(jnp.eye(33), panels.pack(w, kind)))
    largest = np.abs(w).max(axis=0) if kind is DecodeWeights.INT8 else np.abs(w)
    assert np.all(np.abs(seen - w) <= share * largest * (1 + 1e-5))
    assert not np.array_equal(seen, w)


def test_panels_of_another_matrix_are_refused_instead_of_read_past():
    kept = panels.pack(normal(1, 8, 5), DecodeWeights.SAME)
    with pytest.raises(jax.errors.JaxRuntimeError, match="don't fit"):
        jax.block_until_ready(panels.product(jnp.ones((2, 9)), kept))
    with pytest.raises(jax.errors.JaxRuntimeError, match="another length"):
        jax.block_until_ready(panels.product(jnp.ones((2, 8)), kept.of_rows(jnp.ones(1, bool))))


@pytest.mark.parametrize(
    "batch, group, heads, kv_heads, size, prompt, own",
    [(4, 8, 9, 3, 64, 128, 64), (2, 3, 4, 2, 8, 12, 7), (5, 1, 4, 2, 32, 400, 80), (1, 70, 6, 1, 20, 33, 9)],
)
def test_attention_is_the_attention_of_xla_whatever_the_sizes_and_masks(
    batch, group, heads, kv_heads, size, prompt, own
):
    q = 3 * normal(0, batch, group, heads, size)
    shown = normal(1, batch, kv_heads, size, prompt), normal(2, batch, kv_heads, prompt, size)
    drawn = normal(3, batch, group, kv_heads, size, own), normal(4, batch, group, kv_heads, own, size)
    rng = np.random.default_rng(5)
    places, length = jnp.arange(prompt), rng.integers(1, prompt + 1, batch)[:, None]
    near = (places < length) & (places >= length - 5)  # a window
    seen = jnp.arange(own) <= rng.integers(0, own, batch)[:, None]
    theirs = attend_cached(q, shown, near, drawn, seen, False)
    np.testing.assert_allclose(cached.attend(q, shown, near, drawn, seen), theirs, rtol=0, atol=2e-5)


def test_scores_that_are_all_far_below_zero_are_no_masked_ones():
    q, keys = jnp.full((1, 1, 1, 8), -1e4), jnp.full((1, 1, 8, 4), 1e4)
    values = normal(0, 1, 1, 4, 8)
    all_seen, own = jnp.ones((1, 4), bool), (jnp.zeros((1, 1, 1, 8, 1)), jnp.zeros((1, 1, 1, 1, 8)))
    out = cached.attend(q, (keys, values), all_seen, own, jnp.zeros((1, 1), bool))
    np.testing.assert_allclose(out[0, 0, 0], values[0, 0].mean(axis=0), atol=1e-6)


def test_a_query_that_is_not_a_number_gives_what_is_not_a_number():
    q = jnp.full((1, 1, 1, 8), jnp.nan)
    prompt, own = (
        (jnp.ones((1, 1, 8, 4)), jnp.ones((1, 1, 4, 8))),
        (jnp.ones((1, 1, 1, 8, 3)), jnp.ones((1, 1, 1, 3, 8))),
    )
    assert jnp.isnan(cached.attend(q, prompt, jnp.ones((1, 4), bool), own, jnp.ones((1, 3), bool))).all()


def test_without_a_compiler_decoding_says_so_once_and_draws_the_same_tokens(unbuilt, monkeypatch, caplog):
    params = decoder.build(SHAPE, sharding.build()).init(seed=0)
    with monkeypatch.context() as patch:
        patch.setattr(library, "usable", lambda: True)
        ours = sampled(decoder.build(SHAPE, sharding.build()), params)
    monkeypatch.setenv("PATH", "")
    other = ComputeConfig(remat=Remat.NONE)  # the same while decoding, and another program for jit
    with caplog.at_level(logging.WARNING):
        theirs = sampled(decoder.build(SHAPE, sharding.build(), other), params)
    assert [record.getMessage() for record in caplog.records if record.name == library.__name__] == [
        "decoding by XLA's matrix products and attention, which are slower here: "
        "g++ is not here; install it (e.g. apt install g++)"
    ]
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-5)


def test_a_compiler_that_is_too_old_is_said_with_its_first_complaint(unbuilt, monkeypatch, caplog):
    monkeypatch.setattr(library, "FLAGS", (*library.FLAGS, "-std=c++98"))
    with caplog.at_level(logging.WARNING):
        assert not library.usable()
    assert "g++ can't build kernels.cpp (" in caplog.text
    assert "it needs C++20" in caplog.text


def test_the_kernels_are_built_once_and_again_where_the_file_is_no_library(unbuilt, monkeypatch):
    assert library._library()
    (built,) = unbuilt.iterdir()
    library._library.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(library, "_built", None)  # nothing is built
        assert library._library()
    other = unbuilt.with_name("other")
    other.mkdir()
    (other / built.name).write_bytes(b"no library")
    monkeypatch.setattr(library, "DIRECTORY", other)
    library._library.cache_clear()
    assert library._library()
    assert (other / built.name).read_bytes() == built.read_bytes()


def test_where_nothing_can_be_kept_the_kernels_are_built_for_this_process(unbuilt):
    unbuilt.write_text("in the way")
    assert library._library().semrep_panel() == library.columns()
    assert unbuilt.read_text() == "in the way"


def test_decoding_in_eight_bits_draws_from_nearly_the_same_distribution():
    exact = decoder.build(SHAPE, sharding.build())
    params = exact.init(seed=0)
    rounded = decoder.build(SHAPE, sharding.build(), ComputeConfig(decode_weights=DecodeWeights.INT8))
    ours, theirs = sampled(exact, params), sampled(rounded, params)
    first = np.abs(ours[1][:, :, 0] - theirs[1][:, :, 0])[ours[0][:, :, 0] == theirs[0][:, :, 0]]
    assert first.size and 0 < first.max() < 0.02


def test_fewer_bits_are_refused_where_the_kernels_are_not(monkeypatch):
    monkeypatch.setattr(library, "usable", lambda: False)
    with pytest.raises(ModelError, match=r"model\.decode_weights: int8 is for one CPU device"):
        decoder.build(SHAPE, sharding.build(), ComputeConfig(decode_weights=DecodeWeights.INT8))


def test_the_source_compiles_without_a_warning_for_processors_of_other_widths():
    for flag in ("-mno-avx", "-mavx512f"):
        command = ["g++", "-O1", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", flag]
        done = subprocess.run(
            [*command, "-isystem", jax.ffi.include_dir(), str(library.SOURCE)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
