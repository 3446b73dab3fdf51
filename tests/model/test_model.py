"""The decoder: its three ways agree, its files round-trip, its mesh refuses what does not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from semrep_jax.model import attention, decoder, pretrained, sharding
from semrep_jax.model.attention import AttentionError
from semrep_jax.model.decoder import ComputeConfig
from semrep_jax.model.logprobs import token_logprobs
from semrep_jax.model.rope import Dynamic, Yarn
from semrep_jax.model.settings import AttentionKind, Remat
from semrep_jax.model.shape import ModelError, Shape
from semrep_jax.model.sharding import ShardingError
from semrep_jax.model.tokenizer import TokenizerError
from semrep_jax.train import grpo
from semrep_jax.train.batch import RolloutBatch
from semrep_jax.train.settings import Layout

SHAPES = {
    "llama": Shape(vocab=64, dim=16, layers=2, heads=4, kv_heads=2, head_dim=8, ffn=24),
    "qwen3": Shape(vocab=64, dim=16, layers=2, heads=4, kv_heads=4, head_dim=4, ffn=24, qk_norm=True, tied=False),
    "qwen2": Shape(vocab=64, dim=16, layers=2, heads=2, kv_heads=1, head_dim=8, ffn=24, qkv_bias=True),
    "windows and yarn": Shape(
        vocab=64,
        dim=16,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=8,
        ffn=24,
        qkv_bias=True,
        windows=(3, None),
        rope_scaling=Yarn(factor=4.0, original=8, attention_factor=1.2),
    ),
}
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module", params=SHAPES)
def made(request):
    model = decoder.build(SHAPES[request.param], sharding.build())
    return model, model.init(seed=1)


def plain(bound, tokens):
    size = tokens.shape
    return bound.hidden(tokens, jnp.broadcast_to(jnp.arange(size[1]), size), jnp.ones(size, jnp.int32))


def logits(loaded, tokens):
    return jax.jit(lambda p: plain(loaded.model.bind(p), tokens))(loaded.params)


@pytest.mark.parametrize("name", ["llama", "windows and yarn"])
def test_the_shared_prompt_gives_the_loss_and_gradient_of_each_sequence_alone(name):
    model = decoder.build(SHAPES[name], sharding.build())
    params = model.init(seed=1)
    lengths, group, size = [5, 9], 3, 6
    prompt = jnp.array(RNG.integers(1, 64, (2, 12)))
    completion = jnp.array(RNG.integers(1, 64, (2, group, size)))
    weight = jnp.array(RNG.normal(size=(2, group, size)))

    def shared(p):
        bound = model.bind(p)
        hidden = bound.shared(prompt, jnp.array(lengths), completion)
        return jnp.sum(weight * token_logprobs(hidden, bound.head(), completion)[0])

    def separate(p):
        bound, total = model.bind(p), 0.0
        for b, length in enumerate(lengths):
            whole = jnp.concatenate([jnp.broadcast_to(prompt[b, :length], (group, length)), completion[b]], axis=1)
            hidden = plain(bound, whole)[:, length - 1 : -1]
            total += jnp.sum(weight[b] * token_logprobs(hidden, bound.head(), completion[b])[0])
        return total

    (a, ga), (b, gb) = jax.jit(jax.value_and_grad(shared))(params), jax.jit(jax.value_and_grad(separate))(params)
    assert float(a) == pytest.approx(float(b), rel=1e-5)
    for x, y in zip(jax.tree.leaves(ga), jax.tree.leaves(gb), strict=True):
        assert jnp.linalg.norm(x - y) <= 1e-4 * jnp.linalg.norm(y)


def test_the_plain_layout_of_the_config_is_the_shared_one_computed_the_long_way():
    model = decoder.build(SHAPES["qwen3"], sharding.build())
    params = model.init(seed=1)
    batch = RolloutBatch(
        prompt=jnp.array(RNG.integers(1, 64, (2, 12))),
        length=jnp.array([5, 9]),
        completion=jnp.array(RNG.integers(1, 64, (2, 3, 6))),
    )
    scores = {}
    for layout in Layout:
        total = jax.jit(jax.value_and_grad(lambda p, one=layout: grpo.score(model, p, batch, 1.0, one)[0].sum()))
        scores[layout] = total(params)
    (a, ga), (b, gb) = scores.values()
    assert float(a) == pytest.approx(float(b), rel=1e-5)
    for x, y in zip(jax.tree.leaves(ga), jax.tree.leaves(gb), strict=True):
        assert jnp.linalg.norm(x - y) <= 1e-4 * jnp.linalg.norm(y)


def test_cached_decoding_equals_the_full_forward(made):
    model, params = made
    prompt, lengths = jnp.array(RNG.integers(1, 64, (2, 8))), jnp.array([8, 5])
    completion = jnp.array(RNG.integers(1, 64, (2, 2, 4)))
    want = jax.jit(lambda p: model.bind(p).shared(prompt, lengths, completion))(params)
    last, prompts = jax.jit(lambda p: model.bind(p).prefill(prompt, lengths))(params)
    np.testing.assert_allclose(last, want[:, 0, 0], atol=1e-5)
    pieces = [tuple(cache[:, 0] for cache in empty_caches(model.shape, 2, 1, 8))] * model.shape.layers
    for start in (0, 4):
        hidden, pieces = jax.jit(lambda p, c, start=start: model.bind(p).extend(
            model.bind(p).layers(), prompt[:, start : start + 4], jnp.int32(start), c
        ))(params, pieces)  # fmt: skip
    np.testing.assert_allclose(hidden[0, 3], want[0, 0, 0], atol=1e-5)
    np.testing.assert_allclose(hidden[1, 0], want[1, 0, 0], atol=1e-5)  # its last token is the fifth
    for one, other in zip(jax.tree.leaves(pieces), jax.tree.leaves(prompts), strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=1e-5)
    caches = [empty_caches(model.shape, 2, 2, 4)] * model.shape.layers

    @jax.jit
    def step(t, token, caches):
        bound = model.bind(params)
        return bound.step(bound.layers(), token, t, lengths, prompts, caches)

    for t in range(3):
        hidden, caches = step(jnp.int32(t), completion[:, :, t], caches)
        np.testing.assert_allclose(hidden, want[:, :, t + 1], atol=1e-5)
    # each prompt's completions at a time of their own: the second one's last token once more, beside a new one
    ahead = jnp.stack([completion[0, :, 3], completion[1, :, 2]])
    hidden, _ = step(jnp.array([3, 2]), ahead, caches)
    np.testing.assert_allclose(hidden[1], want[1, :, 3], atol=1e-5)
    np.testing.assert_allclose(hidden[0], step(jnp.int32(3), completion[:, :, 3], caches)[0][0], atol=1e-5)


def empty_caches(shape, batch, group, size):
    """Keys and values of no token yet, of one layer."""
    values = jnp.zeros((batch, group, shape.kv_heads, size, shape.head_dim))
    return jnp.swapaxes(values, -1, -2), values


@pytest.mark.parametrize("group", [1, 3])
def test_attention_over_caches_is_the_same_by_elements_and_by_products(group):
    def drawn(*size):
        return jnp.asarray(RNG.normal(size=size), jnp.float32)

    q, masks = drawn(2, group, 6, 8), (jnp.arange(5) < jnp.array([[5], [3]]), jnp.arange(4) <= jnp.array([[0], [2]]))
    prompt, own = (drawn(2, 3, 8, 5), drawn(2, 3, 5, 8)), (drawn(2, group, 3, 8, 4), drawn(2, group, 3, 4, 8))
    by_elements, by_products = (
        attention.attend_cached(q, prompt, masks[0], own, masks[1], how) for how in (True, False)
    )
    shared = attention.attend_shared(
        q[:, :, None], jnp.swapaxes(prompt[0], -1, -2), prompt[1], masks[0], jnp.swapaxes(own[0], -1, -2), own[1],
        masks[1][1:],
    )  # fmt: skip
    np.testing.assert_allclose(by_elements, by_products, atol=1e-5)
    np.testing.assert_allclose(by_elements[1], shared[1, :, 0], atol=1e-5)


def test_a_token_out_of_every_layers_window_changes_nothing():
    shape = replace(SHAPES["windows and yarn"], windows=(3, 3))
    model = decoder.build(shape, sharding.build())
    params = model.init(seed=1)
    tokens = jnp.array(RNG.integers(1, 64, (1, 9)))
    run = jax.jit(lambda p, t: plain(model.bind(p), t))
    seen, other = run(params, tokens), run(params, tokens.at[0, 0].add(1))
    moved = np.abs(np.asarray(seen - other)).max(axis=-1)[0]
    assert (moved[:5] > 1e-6).all() and (moved[5:] == 0).all()  # two layers look back two tokens each


def test_dynamic_scaling_is_refused_past_the_context_in_every_way_through_the_model():
    shape = replace(SHAPES["llama"], rope_scaling=Dynamic(2.0), context=16)
    model = decoder.build(shape, sharding.build())
    params = model.init(seed=1)
    bound, short, long = model.bind(params), jnp.ones((1, 9), jnp.int32), jnp.ones((1, 17), jnp.int32)
    bare = decoder.build(SHAPES["llama"], sharding.build())
    np.testing.assert_array_equal(plain(bound, short), plain(bare.bind(params), short))
    said = "dynamic.* up to max_position_embeddings = 16 tokens, not for (17|18)"
    with pytest.raises(ModelError, match=said):
        plain(bound, long)
    with pytest.raises(ModelError, match=said):
        bound.prefill(long, jnp.array([17]))
    with pytest.raises(ModelError, match=said):
        bound.shared(short, jnp.array([9]), short[None])
    _, prompts = bound.prefill(short, jnp.array([9]))
    caches = [empty_caches(model.shape, 1, 1, 9)] * 2
    with pytest.raises(ModelError, match=said):
        bound.step(bound.layers(), jnp.ones((1, 1), int), jnp.int32(0), jnp.array([9]), prompts, caches)


def test_packed_segments_do_not_see_each_other(made):
    model, params = made
    a, b = jnp.array(RNG.integers(1, 64, (1, 5))), jnp.array(RNG.integers(1, 64, (1, 7)))
    tokens = jnp.concatenate([a, b, jnp.zeros((1, 3), jnp.int32)], axis=1)
    positions = jnp.array([[*range(5), *range(7), 0, 0, 0]])
    segments = jnp.array([[1] * 5 + [2] * 7 + [0] * 3])
    packed = jax.jit(lambda p: model.bind(p).hidden(tokens, positions, segments))(params)
    for part, alone in ((packed[:, :5], a), (packed[:, 5:12], b)):
        np.testing.assert_allclose(part, jax.jit(lambda p, t=alone: plain(model.bind(p), t))(params), atol=1e-5)


def test_remat_changes_nothing_but_memory():
    shape = SHAPES["llama"]
    tokens = jnp.array(RNG.integers(1, 64, (2, 6)))
    grads = []
    for remat in (Remat.NONE, Remat.DOTS, Remat.FULL):
        model = decoder.build(shape, sharding.build(), compute_config=ComputeConfig(remat=remat))
        params = model.init(seed=1)
        grads.append(jax.jit(jax.grad(lambda p, m=model: plain(m.bind(p), tokens).sum()))(params))
    for other in grads[1:]:
        for x, y in zip(jax.tree.leaves(grads[0]), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 5, 7, 100])
def test_chunked_logprobs_equal_the_whole_and_never_build_it(chunk):
    hidden, head = jnp.array(RNG.normal(size=(3, 7, 16))), jnp.array(RNG.normal(size=(64, 16)))
    targets = jnp.array(RNG.integers(0, 64, (3, 7)))
    logp, entropy = token_logprobs(hidden, head, targets, temperature=0.7, chunk=chunk)
    whole = jax.nn.log_softmax(hidden @ head.T / 0.7)
    np.testing.assert_allclose(logp, jnp.take_along_axis(whole, targets[..., None], -1)[..., 0], atol=1e-5)
    np.testing.assert_allclose(entropy, -(jnp.exp(whole) * whole).sum(-1), atol=1e-5)
    if chunk < 21:
        text = str(jax.make_jaxpr(lambda h: token_logprobs(h, head, targets, chunk=chunk))(hidden))
        assert "[3,7,64]" not in text and "[21,64]" not in text


def test_an_exported_model_loads_back_to_the_same_logits(tiny, nano, tmp_path):
    pretrained.export(tmp_path, tiny.model, tiny.params, tiny.tokenizer)
    again = pretrained.load(str(tmp_path), sharding.build())
    tokens = jnp.array(RNG.integers(1, 64, (1, 9)))
    np.testing.assert_array_equal(logits(tiny, tokens), logits(again, tokens))


def test_the_nano_base_is_small_enough_and_whole(nano):
    size = sum(x.size for x in jax.tree.leaves(nano.params))
    assert 1_000_000 <= size <= 3_000_000
    assert all(sum(p.stat().st_size for p in base.iterdir()) <= 8 << 20 for base in pretrained.SHIPPED.values())
    text = "def f(xs):\n    return [x for x in xs if x > 1]"
    assert nano.tokenizer.decode(nano.tokenizer.encode(text)) == text


@pytest.fixture
def broken(tiny, tmp_path):
    pretrained.export(tmp_path, tiny.model, tiny.params, tiny.tokenizer)
    return tmp_path


def test_a_directory_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json"):
        pretrained.load(str(tmp_path), sharding.build())


def test_a_truncated_safetensors_is_named(broken):
    path = broken / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model\.safetensors can't be read"):
        pretrained.load(str(broken), sharding.build())


def test_missing_extra_and_misshaped_tensors_are_named(broken):
    path = broken / "model.safetensors"
    tensors = load_file(path)
    whole = dict(tensors)
    moved = tensors.pop("model.norm.weight")
    save_file(tensors | {"stranger": moved}, path)
    with pytest.raises(ModelError, match=r"model\.norm\.weight.*stranger"):
        pretrained.load(str(broken), sharding.build())
    save_file(whole | {"model.norm.weight": moved[:3]}, path)
    with pytest.raises(ModelError, match=r"norm\.weight has shape"):
        pretrained.load(str(broken), sharding.build())


def test_another_architecture_and_an_embedding_without_the_end_token_are_refused(broken):
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(ModelError, match="gpt2"):
        pretrained.load(str(broken), sharding.build())
    (broken / "config.json").write_text(json.dumps(config | {"vocab_size": 1}))
    with pytest.raises(TokenizerError, match=r"end tokens \[1\] have no row in the embedding, which has 1"):
        pretrained.load(str(broken), sharding.build())


def test_a_tokenizer_without_our_markers_is_refused(broken):
    (broken / "tokenizer.json").write_text((broken / "tokenizer.json").read_text().replace("<|rewrite|>", "<|other|>"))
    with pytest.raises(TokenizerError, match="rewrite"):
        pretrained.load(str(broken), sharding.build())


def test_a_mesh_larger_than_the_machine_is_refused_with_the_fix():
    with pytest.raises(ShardingError, match=r"lower mesh\.data"):
        sharding.build(data=64)


def test_eight_devices_along_each_axis_and_along_all_give_the_loss_gradient_and_samples_of_one():
    code = """
import jax, jax.numpy as jnp, numpy as np
from semrep_jax.train.settings import Layout, TrainConfig
from semrep_jax.model import decoder, sharding
from semrep_jax.rollout.local import decode
from semrep_jax.train import grpo
from semrep_jax.train.batch import RolloutBatch
shape = decoder.Shape(vocab=64, dim=16, layers=1, heads=4, kv_heads=2, head_dim=8, ffn=24)
rng = np.random.default_rng(0)
size = (8, 2, 4)
host = RolloutBatch(
    prompt=rng.integers(1, 64, (8, 6)),
    length=rng.integers(2, 7, 8),
    completion=rng.integers(1, 64, size),
    sampled=np.full(size, -4.0, np.float32),
    mask=rng.random(size) < 0.8,
    advantage=rng.normal(size=(8, 2)).astype(np.float32),
)
seen = {}
for data, fsdp, tensor in ((1, 1, 1), (8, 1, 1), (1, 8, 1), (4, 1, 2), (2, 2, 2)):
    sharded = sharding.build(data, fsdp, tensor)
    model = decoder.build(shape, sharded)
    params = model.init(2)
    batch = sharded.batch(host)
    loss = lambda p, b: grpo.loss(model, p, b, TrainConfig(), 1.0)[0]
    value, grads = jax.jit(jax.value_and_grad(loss))(params, batch)
    live, how = sharded.batch(np.ones(8, bool)), {"group": 2, "max_new": 4, "end_ids": (1,), "pad_id": 0}
    given = (params, batch.prompt, batch.length, live, jnp.float32(1.0), jax.random.key(0))
    tokens, logp = decode(*given, model=model, **how)
    seen[data, fsdp, tensor] = jax.device_get((value, jax.tree.leaves(grads), tokens, logp))
    whole = sum(x.size for x in jax.tree.leaves(params))
    local = sum(x.addressable_shards[0].data.size for x in jax.tree.leaves(params))
    assert local < whole / (fsdp * tensor) * 1.3, (fsdp, tensor, local, whole)
one = seen.pop((1, 1, 1))
for mesh, (value, grads, tokens, logp) in seen.items():
    assert abs(value - one[0]) < 1e-5, (mesh, value, one[0])
    for a, b in zip(grads, one[1], strict=True):
        assert np.abs(a - b).max() <= 1e-4 * max(1e-3, np.abs(b).max()), mesh
    assert (tokens == one[2]).all() and np.abs(logp - one[3]).max() < 1e-4, mesh
try:
    decoder.build(shape, sharding.build(1, 1, 8)).init(0)
except sharding.ShardingError as error:
    assert "heads" in str(error), error
else:
    raise SystemExit("a mesh that does not divide was accepted")
"""
    flags = {"XLA_FLAGS": os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | flags, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("segmented", [False, True])
def test_the_pallas_kernel_computes_what_xla_does(segmented):
    from semrep_jax.model.attention import attend

    mesh = sharding.build().mesh
    q, k, v = (jnp.array(RNG.normal(size=(2, 256, heads, 128)), jnp.float32) for heads in (4, 2, 2))
    segments = jnp.array(np.repeat([[1, 2]], 128, axis=1).repeat(2, 0)) if segmented else None
    got, want = (attend(q, k, v, segments, kind, mesh) for kind in (AttentionKind.PALLAS, AttentionKind.XLA))
    np.testing.assert_allclose(got, want, atol=2e-5)
    with pytest.raises(AttentionError, match="multiples of 128"):
        attend(q[:, :100], k[:, :100], v[:, :100], None, AttentionKind.PALLAS, mesh)
    with pytest.raises(AttentionError, match="sliding window"):
        attend(q, k, v, segments, AttentionKind.PALLAS, mesh, window=8)
    with pytest.raises(AttentionError, match="cudnn computes bfloat16 and float16 on NVIDIA GPUs"):
        attend(q, k, v, segments, AttentionKind.CUDNN, mesh)
