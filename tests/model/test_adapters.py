"""LoRA and QLoRA: what is trained, what is kept in few bits, and what an export merges."""

from __future__ import annotations

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import python
from flax import nnx

from semrep_jax.model import adapters, pretrained, sharding
from semrep_jax.model.adapters import Adapter
from semrep_jax.model.decoder import ComputeConfig
from semrep_jax.model.settings import Quantise
from semrep_jax.prompts import encode
from semrep_jax.train.batch import RolloutBatch
from semrep_jax.train.optimiser import initial_state
from semrep_jax.train.settings import TrainConfig
from semrep_jax.train.update import compiled_update, optimiser_of

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def directory(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("base")
    pretrained.export(path, tiny.model, tiny.params, tiny.tokenizer)
    return path


def load(directory, quantise=Quantise.NONE):
    return pretrained.load(
        str(directory), sharding.build(), ComputeConfig(adapter=Adapter(rank=4, alpha=8.0, quantise=quantise))
    )


def logits(loaded, params=None):
    tokens = jnp.array(np.random.default_rng(1).integers(1, 64, (2, 9)))

    @jax.jit
    def forward(params):
        bound = loaded.model.bind(params)
        hidden = bound.hidden(tokens, jnp.broadcast_to(jnp.arange(9), (2, 9)), jnp.ones((2, 9), jnp.int32))
        return hidden @ bound.head().T

    return forward(loaded.params if params is None else params)


def trained(loaded):
    """One update on a random batch."""
    setting = TrainConfig(learning_rate=1e-2, warmup=0)
    state = initial_state(loaded.model, optimiser_of(setting), loaded.params)
    _, frozen = loaded.model.split(loaded.params)
    shape = (2, 3, 5)
    batch = RolloutBatch(
        prompt=jnp.array(RNG.integers(1, 64, (2, 8))),
        length=jnp.array([8, 6]),
        completion=jnp.array(RNG.integers(1, 64, shape)),
        sampled=jnp.full(shape, -3.0),
        mask=jnp.ones(shape, bool),
        advantage=jnp.array(RNG.normal(size=(2, 3)), jnp.float32),
    )
    before = jax.tree.map(np.asarray, state["params"])
    state, _ = compiled_update(loaded.model, setting, 1.0)(state, frozen, batch)
    return before, state, loaded.model.join(state["params"], frozen)


@pytest.fixture(scope="module", params=[Quantise.NONE, Quantise.NF4])
def arm(request, directory):
    """(loaded, trained part before, state after, all parameters after) of one update."""
    loaded = load(directory, request.param)
    return loaded, *trained(loaded)


def test_new_adapters_change_nothing(tiny, directory):
    np.testing.assert_allclose(logits(load(directory)), logits(tiny), atol=1e-5)


def test_only_adapters_are_trained_and_carry_optimiser_state(arm):
    loaded, before, state, after = arm
    names = set(nnx.to_pure_dict(state["params"]))
    assert names and all(name.endswith((adapters.LORA_A, adapters.LORA_B)) for name in names)
    moved = {
        n
        for n, old in nnx.to_pure_dict(before).items()
        if not np.array_equal(old, nnx.to_pure_dict(state["params"])[n])
    }
    assert any(n.endswith(adapters.LORA_B) for n in moved)
    whole, base = nnx.to_pure_dict(after), nnx.to_pure_dict(loaded.params)
    assert all(np.array_equal(whole[n], base[n]) for n in base if n not in names)


def test_an_export_has_the_adapters_merged(arm, tmp_path):
    loaded, _, _, params = arm
    pretrained.export(tmp_path, loaded.model, params, loaded.tokenizer)
    plain = pretrained.load(str(tmp_path), sharding.build())
    assert plain.model.compute_config.adapter is None
    np.testing.assert_allclose(logits(plain), logits(loaded, params), atol=2e-4)
    assert not np.allclose(logits(plain), logits(loaded), atol=1e-4)


@pytest.mark.parametrize(
    ("quantise", "bits", "error"), [(Quantise.NF4, 4, 0.15), (Quantise.INT4, 4, 0.15), (Quantise.INT8, 8, 0.01)]
)
def test_quantised_projections_take_few_bits_and_stay_close(tiny, directory, quantise, bits, error):
    kept = nnx.to_pure_dict(load(directory, quantise).params)
    original = nnx.to_pure_dict(tiny.params)
    for name in adapters.PROJECTIONS:
        assert name not in kept and jnp.iinfo(kept[name + adapters.CODES].dtype).bits == bits
    back = adapters.dequantise(kept, Adapter(quantise=quantise))
    for name in adapters.PROJECTIONS:
        gap = jnp.abs(back[name] - original[name]).mean() / jnp.abs(original[name]).mean()
        assert float(gap) < error, name


def test_decoding_with_merged_adapters_samples_what_the_update_scores(arm, rollout):
    from semrep_jax.prompts import rewrite
    from semrep_jax.rollout.local import LocalPolicy, pad_prompts
    from semrep_jax.train import grpo
    from semrep_jax.train.settings import Layout

    loaded, _, _, params = arm
    policy = LocalPolicy(loaded.model, params, loaded.tokenizer, rollout)
    prompts = [rewrite(python("def f(x):\n    return x"))]
    (group,) = policy.sample(prompts, 3, 1.0, jax.random.key(0))
    ids, logp = np.zeros((1, 3, rollout.max_new), np.int32), np.zeros((1, 3, rollout.max_new), np.float32)
    for g, completion in enumerate(group):
        ids[0, g, : len(completion.token_ids)], logp[0, g, : len(completion.token_ids)] = (
            completion.token_ids,
            completion.logprobs,
        )
    prompt, length = pad_prompts([encode(p, loaded.tokenizer) for p in prompts], 0, 1, 96)
    batch = RolloutBatch(jnp.array(prompt), jnp.array(length), jnp.array(ids))
    want, _ = grpo.score(loaded.model, params, batch, 1.0, Layout.SHARED)
    np.testing.assert_allclose(np.asarray(want)[logp != 0], logp[logp != 0], atol=1e-3)


def test_nf4_adapters_update_alike_on_one_device_and_split_over_fsdp_and_tensor():
    code = """
import numpy as np
from semrep_jax.model import decoder, sharding
from semrep_jax.model.adapters import Adapter
from semrep_jax.model.settings import Quantise
from semrep_jax.train.batch import RolloutBatch
from semrep_jax.train.optimiser import initial_state
from semrep_jax.train.settings import TrainConfig
from semrep_jax.train.update import compiled_update, optimiser_of
shape = decoder.Shape(vocab=128, dim=64, layers=1, heads=4, kv_heads=2, head_dim=16, ffn=128)
compute = decoder.ComputeConfig(adapter=Adapter(4, 8.0, Quantise.NF4))
rng, size, setting = np.random.default_rng(0), (4, 2, 5), TrainConfig(learning_rate=1e-2, warmup=0)
host = RolloutBatch(
    prompt=rng.integers(1, 64, (4, 6)),
    length=np.full(4, 6),
    completion=rng.integers(1, 64, size),
    mask=np.ones(size, bool),
    sampled=np.full(size, -4.0, np.float32),
    advantage=rng.normal(size=(4, 2)).astype(np.float32),
)
seen = []
for mesh in ((1, 1, 1), (1, 2, 2)):
    sharded = sharding.build(*mesh)
    model = decoder.build(shape, sharded, compute)
    params = model.init(1)
    state, frozen = initial_state(model, optimiser_of(setting), params), model.split(params)[1]
    _, out = compiled_update(model, setting, 1.0)(state, frozen, sharded.batch(host))
    seen.append([float(out[name]) for name in ("loss", "grad_norm", "update_norm")])
assert np.allclose(*seen, rtol=1e-4, atol=1e-6), seen
"""
    flags = {"XLA_FLAGS": os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | flags, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1500:]
