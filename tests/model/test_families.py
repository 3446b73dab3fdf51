"""Model families: the configs that people have load, what is unknown in one is refused, and a plugin adds one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file

from semrep_jax.core.plugins import PluginError, Registry
from semrep_jax.model import decoder, families, pretrained, sharding
from semrep_jax.model.adapters import Adapter
from semrep_jax.model.decoder import ComputeConfig, decay_mask
from semrep_jax.model.families import FAMILIES
from semrep_jax.model.rope import Llama3
from semrep_jax.model.shape import ModelError, Shape, layout

# Whole config.json files as they are on the hub, but for layers left out.
SMOLLM2 = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 576,
    "initializer_range": 0.041666666666666664,
    "intermediate_size": 1536,
    "is_llama_config": True,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "pad_token_id": 2,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_interleaved": False,
    "rope_scaling": None,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16", "fp16": "float16"}},
    "transformers_version": "4.42.3",
    "use_cache": True,
    "vocab_size": 49152,
}
LLAMA3 = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "initializer_range": 0.02,
    "intermediate_size": 8192,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 16,
    "num_key_value_heads": 8,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.45.0.dev0",
    "use_cache": True,
    "vocab_size": 128256,
}
QWEN25_CODER = {
    "architectures": ["Qwen2ForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "hidden_act": "silu",
    "hidden_size": 3584,
    "initializer_range": 0.02,
    "intermediate_size": 18944,
    "max_position_embeddings": 32768,
    "max_window_layers": 28,
    "model_type": "qwen2",
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 131072,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.44.0",
    "use_cache": True,
    "use_mrope": False,
    "use_sliding_window": False,
    "vocab_size": 152064,
}
QWEN3 = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 1024,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "max_position_embeddings": 40960,
    "max_window_layers": 28,
    "model_type": "qwen3",
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.51.0",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
CONFIGS = {"SmolLM2": SMOLLM2, "Llama 3": LLAMA3, "Qwen2.5-Coder": QWEN25_CODER, "Qwen3": QWEN3}
TINY = {"vocab": 64, "dim": 16, "layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 8, "ffn": 24}


def shape_of(config):
    return families.of_config(config, "m").shape(config, "m")


@pytest.mark.parametrize(
    ("name", "head_dim", "switches"),
    [
        ("SmolLM2", 64, {}),
        ("Llama 3", 64, {"rope_scaling": Llama3(32.0, 1.0, 4.0, 8192)}),
        ("Qwen2.5-Coder", 128, {"qkv_bias": True}),
        ("Qwen3", 128, {"qk_norm": True}),
    ],
)
def test_the_configs_that_people_have_load_with_their_family_and_switches(name, head_dim, switches):
    config = CONFIGS[name]
    shape = shape_of(config)
    assert shape.family == config["model_type"] and shape.head_dim == head_dim
    assert shape == replace(shape, **{"qk_norm": False, "qkv_bias": False, "rope_scaling": None} | switches)
    assert (shape.dim, shape.context, shape.tied) == tuple(
        config[key] for key in ("hidden_size", "max_position_embeddings", "tie_word_embeddings")
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_what_an_export_states_of_a_shape_reads_back_to_it(name):
    shape = shape_of(CONFIGS[name])
    again = families.of_shape(shape).config(shape, end_id=2, pad_id=0)
    assert shape_of(json.loads(json.dumps(again))) == shape


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"final_logit_softcapping": 30.0},
            "final_logit_softcapping = 30.0, which the family .* does not know; remove",
        ),
        ({"quantization_config": {"bits": 4}}, r"quantization_config = \{'bits': 4\}"),
        ({"num_experts": 8}, "num_experts = 8"),
        (
            {"layer_types": ["full_attention", "sliding_attention"]},
            "layer_types = 'sliding_attention' is not supported",
        ),
        ({"rope_interleaved": True}, "rope_interleaved = True is not supported; supported is False"),
        ({"rope_scaling": {"rope_type": "default", "mrope_section": [16, 24]}}, "mrope_section"),
        ({"rope_scaling": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "partial_rotary_factor = 0.5"),
    ],
)
def test_an_attribute_that_may_change_what_a_model_computes_is_refused_with_its_value(name, change, says):
    with pytest.raises(ModelError, match=says):
        shape_of(CONFIGS[name] | change)


def test_a_null_attribute_is_an_absent_one():
    assert shape_of(QWEN3 | {"final_logit_softcapping": None}) == shape_of(QWEN3)


def test_a_sliding_window_is_known_to_the_families_that_can_switch_it_off():
    assert shape_of(QWEN25_CODER).family == "qwen2"
    with pytest.raises(ModelError, match="sliding_window = 4096, which the family llama"):
        shape_of(SMOLLM2 | {"sliding_window": 4096})


def test_a_shape_that_states_a_family_must_have_its_switches():
    assert families.of_shape(Shape(**TINY, qk_norm=True)).name == "qwen3"  # sizes alone: by the switches
    with pytest.raises(ModelError, match=r"family qwen3 has .*'qk_norm': True"):
        decoder.build(Shape(**TINY, family="qwen3"), sharding.build())
    with pytest.raises(PluginError, match=r"model\.shape\.family: there is no model family 'gpt2'"):
        decoder.build(Shape(**TINY, family="gpt2"), sharding.build())
    with pytest.raises(ModelError, match="no family of llama, qwen2, qwen3 has"):
        families.of_shape(Shape(**TINY, qk_norm=True, qkv_bias=True))


@pytest.fixture
def registry(monkeypatch):
    """A registry of this test's own, with what ships."""
    mine = Registry(FAMILIES.what, FAMILIES.setting, dict(FAMILIES._shipped))
    monkeypatch.setattr(families, "FAMILIES", mine)
    return mine


def test_a_plugin_adds_a_family_with_names_of_its_own_that_loads_and_exports(registry, tiny, tmp_path):
    toy = replace(
        FAMILIES["llama"],
        name="toy",
        architecture="ToyForCausalLM",
        gguf_architecture="toy",
        tensors={ours: theirs.replace("model.", "toy.") for ours, theirs in FAMILIES["llama"].tensors.items()},
        harmless=frozenset(("motto",)),
    )
    registry.add("toy", toy)
    model = decoder.build(replace(tiny.model.shape, family="toy"), sharding.build())
    pretrained.export(tmp_path, model, tiny.params, tiny.tokenizer)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["ToyForCausalLM"] and "toy.norm.weight" in load_file(
        tmp_path / "model.safetensors"
    )
    (tmp_path / "config.json").write_text(json.dumps(config | {"motto": "any"}))
    loaded = pretrained.load(str(tmp_path), sharding.build())
    assert loaded.model.shape.family == "toy"
    assert all(map(np.array_equal, jax.tree.leaves(loaded.params), jax.tree.leaves(tiny.params)))


@pytest.mark.parametrize("switches", [{}, {"qk_norm": True, "tied": False}, {"qkv_bias": True}])
def test_norms_and_biases_do_not_decay_and_all_else_does(switches):
    model = decoder.build(Shape(**TINY, **switches), sharding.build(), ComputeConfig(adapter=Adapter(rank=2)))
    mask = nnx.to_pure_dict(decay_mask(model.abstract()))
    assert {name for name, decays in mask.items() if not decays} == {
        name for name in mask if "norm" in name or "bias" in name
    }


def test_exactly_what_is_said_once_a_layer_is_stacked():
    for name, parameter in layout(Shape(**TINY, qk_norm=True, qkv_bias=True, tied=False)).items():
        assert parameter.stacked == ("_L" in name) == (parameter.size[0] == TINY["layers"])
        assert len(parameter.axes) == len(parameter.size) == len(name.rpartition("_")[2])


def test_every_family_is_one_file_with_a_name_for_each_parameter_of_its_shapes():
    for name in FAMILIES:
        family = FAMILIES[name]
        assert (Path(families.__file__).parent / f"{name}.py").is_file() and family.name == name
        shapes = [Shape(**TINY, tied=False, **switches) for switches in family.switches]
        assert family.tensors.keys() == {parameter for shape in shapes for parameter in layout(shape)}
