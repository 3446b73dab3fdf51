"""Models from elsewhere: shards, GGUF in every format we read, tokenizers, and each way a file can be wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import gguf
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import python
from flax import nnx
from safetensors.numpy import load_file, save_file

from semrep_jax.model import decoder, families, gguf_tensors, gguf_tokenizer, pretrained, sharding, tokenizer
from semrep_jax.model.decoder import ComputeConfig
from semrep_jax.model.gguf_tensors import GGUF
from semrep_jax.model.shape import ModelError, Shape, layout
from semrep_jax.model.tokenizer import TokenizerError
from semrep_jax.prompts import encode, transform

CHARACTERS = [chr(c) for c in range(33, 127)]


def random_model(**changes):
    sizes = {"vocab": 128, "dim": 64, "layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 16, "ffn": 64} | changes
    model = decoder.build(Shape(**sizes), sharding.build())
    return model, model.init(seed=4)


def write_gguf(path, model, params, kind, architecture="llama", pre="smollm", **options):
    """A GGUF file of our parameters, its matrices in format `kind`, by the package that llama.cpp's converters use."""
    s = model.shape
    writer = gguf.GGUFWriter(path, architecture, **options)
    writer.add_block_count(s.layers)
    writer.add_embedding_length(s.dim)
    writer.add_feed_forward_length(s.ffn)
    writer.add_head_count(s.heads)
    writer.add_head_count_kv(s.kv_heads)
    writer.add_layer_norm_rms_eps(s.norm_eps)
    writer.add_rope_freq_base(s.rope_theta)
    writer.add_context_length(512)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *CHARACTERS, "\u0120", "\u010a"]
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_token_merges([])
    writer.add_eos_token_id(2)
    writer.add_chat_template(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>"
    )
    stored = {}
    names = {v: k for k, v in gguf_tensors.GGUF_PARTS.items()}
    table = layout(s)
    for ours, leaf in nnx.to_pure_dict(params).items():
        for index, theirs in enumerate(families.of_shape(s).stored(ours, table[ours])):
            value = np.asarray(leaf[index] if table[ours].stacked else leaf, np.float32)
            value = value.reshape(theirs.size[::-1]).T if theirs.transposed else value.reshape(theirs.size)
            stored[theirs.name] = np.ascontiguousarray(value)
    for name, value in stored.items():
        if architecture == "llama" and name.endswith(
            ("q_proj.weight", "k_proj.weight")
        ):  # llama.cpp's order of rotary pairs
            heads = s.heads if "q_proj" in name else s.kv_heads
            value = value.reshape(heads, 2, -1, value.shape[-1]).swapaxes(1, 2).reshape(value.shape)
        parts = name.split(".")
        if parts[1] == "layers":
            theirs = f"blk.{parts[2]}.{names['.'.join(parts[3:-1])]}.{parts[-1]}"
        else:
            single = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
            theirs = single.get(name, "output.weight")
        form = kind if value.ndim == 2 else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(value, form)
        writer.add_tensor(theirs, data, raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return stored


@pytest.mark.parametrize(
    ("kind", "close"), [("F32", 0), ("F16", 1e-3), ("BF16", 1e-2), ("Q8_0", 1e-2), ("Q4_0", 0.2), ("Q4_1", 0.2)]
)
def test_a_gguf_file_loads_to_the_weights_it_was_made_of(tmp_path, kind, close):
    model, params = random_model()
    path = tmp_path / "m.gguf"
    write_gguf(path, model, params, gguf.GGMLQuantizationType[kind])
    loaded = pretrained.load(str(path), sharding.build())
    eps = float(np.float32(model.shape.norm_eps))  # as the file holds it
    assert loaded.model.shape == replace(model.shape, context=512, family="llama", norm_eps=eps)
    for name, want in nnx.to_pure_dict(params).items():
        got = nnx.to_pure_dict(loaded.params)[name]
        assert float(jnp.abs(got - want).max()) <= close * max(1e-9, float(jnp.abs(want).max())), name


@pytest.mark.parametrize("kind", ["Q4_K", "Q6_K"])
def test_k_quants_are_read_as_the_gguf_package_defines_them(tmp_path, kind):
    form = gguf.GGMLQuantizationType[kind]
    block, size = gguf.GGML_QUANT_SIZES[form]
    raw = np.random.default_rng(0).integers(0, 60, (8, size), dtype=np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "k.gguf", "qwen2")
    writer.add_tensor("blk.0.ffn_up.weight", raw, raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    got = GGUF(tmp_path / "k.gguf").read("model.layers.0.mlp.up_proj.weight")
    assert got.shape == (8, block)
    np.testing.assert_array_equal(got, gguf.quants.dequantize(raw, form))


def test_qwen2_biases_come_out_of_a_gguf_file(tmp_path):
    model, params = random_model(qkv_bias=True, tied=False)
    write_gguf(tmp_path / "q.gguf", model, params, gguf.GGMLQuantizationType.F32, "qwen2", "qwen2")
    loaded = pretrained.load(str(tmp_path / "q.gguf"), sharding.build())
    assert loaded.model.shape.qkv_bias and not loaded.model.shape.tied
    np.testing.assert_array_equal(nnx.to_pure_dict(loaded.params)["q_LDNH"], nnx.to_pure_dict(params)["q_LDNH"])


@pytest.mark.parametrize(
    ("pre", "text", "pieces"),
    [
        ("smollm", "a12  3", ["a", "1", "2", "\u0120\u0120", "3"]),
        ("qwen2", "We're 12 up\n\n x", ["We", "'re", "\u0120", "1", "2", "\u0120up", "\u010a\u010a", "\u0120x"]),
        ("llama-bpe", "x 1234 5", ["x", "\u0120", "123", "4", "\u0120", "5"]),
    ],
)
def test_each_pre_tokenizer_cuts_as_its_model_does(pre, text, pieces):
    characters = sorted({c for p in pieces for c in p} | set(CHARACTERS))
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": ["<|end|>", *characters],
        "tokenizer.ggml.token_type": [3] + [1] * len(characters),
        "tokenizer.ggml.merges": [],
        "tokenizer.ggml.eos_token_id": 0,
    }
    read = gguf_tokenizer.read_tokenizer(metadata, "test")
    cut = read.backend.pre_tokenizer.pre_tokenize_str(text)
    assert [piece for piece, _ in cut] == pieces
    assert read.decode(read.encode(text)) == text


def test_a_pre_tokenizer_we_do_not_know_is_refused():
    with pytest.raises(TokenizerError, match="gpt2/tekken is not supported"):
        gguf_tokenizer.read_tokenizer({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "tekken"}, "m.gguf")


def test_a_chat_model_is_asked_in_its_own_template_and_ends_at_any_of_its_ends(tmp_path):
    model, params = random_model()
    write_gguf(tmp_path / "m.gguf", model, params, gguf.GGMLQuantizationType.F32)
    chat = pretrained.load(str(tmp_path / "m.gguf"), sharding.build()).tokenizer
    text = chat.decode(encode(transform(python("def f(): pass"), "Do it."), chat))
    assert text.startswith("<|im_start|>system\n") and text.endswith("<|im_end|>\n<|im_start|>") and "Do it." in text
    assert chat.end_ids == (2, 0)


def test_a_hostile_chat_template_reaches_nothing():
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    hostile = tokenizer.Tokenizer(None, (0,), 0, template)
    with pytest.raises(TokenizerError, match="template fails"):
        hostile.chat([{"role": "user", "content": "x"}])


@pytest.fixture
def exported(tiny, tmp_path):
    pretrained.export(tmp_path, tiny.model, tiny.params, tiny.tokenizer)
    return tmp_path


def test_shards_with_an_index_load_like_one_file(exported, tiny):
    whole = load_file(exported / "model.safetensors")
    names = sorted(whole)
    half = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, group in half.items():
        save_file({n: whole[n] for n in group}, exported / file)
    (exported / "model.safetensors").unlink()
    index = {"weight_map": {n: file for file, group in half.items() for n in group}}
    (exported / "model.safetensors.index.json").write_text(json.dumps(index))
    loaded = pretrained.load(str(exported), sharding.build())
    assert all(map(np.array_equal, jax.tree.leaves(loaded.params), jax.tree.leaves(tiny.params)))
    (exported / "model-2.safetensors").write_bytes((exported / "model-2.safetensors").read_bytes()[:900])
    with pytest.raises(ModelError, match=r"model-2\.safetensors can't be read"):
        pretrained.load(str(exported), sharding.build())


def test_bfloat16_weights_are_kept_as_asked(exported):
    half = {k: v.astype(jnp.bfloat16) for k, v in load_file(exported / "model.safetensors").items()}
    save_file(half, exported / "model.safetensors")
    for kept in (jnp.float32, jnp.bfloat16):
        loaded = pretrained.load(str(exported), sharding.build(), ComputeConfig(weights=kept))
        assert {leaf.dtype for leaf in jax.tree.leaves(loaded.params)} == {jnp.dtype(kept)}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("nowhere/at/all", "does not exist"),
        ("no-such-owner/no-such-model", "the hub can't give it"),
        ("missing.gguf", "does not exist"),
    ],
)
def test_a_source_that_is_nowhere_is_refused_at_once_with_what_to_do(source, says, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=says):
        pretrained.resolve(source)


def test_a_gguf_file_of_another_architecture_or_cut_short_is_named(tmp_path):
    model, params = random_model()
    write_gguf(tmp_path / "mamba.gguf", model, params, gguf.GGMLQuantizationType.F32, "mamba")
    with pytest.raises(ModelError, match="architecture 'mamba'; supported are llama, qwen2 and qwen3"):
        pretrained.load(str(tmp_path / "mamba.gguf"), sharding.build())
    write_gguf(tmp_path / "cut.gguf", model, params, gguf.GGMLQuantizationType.F32)
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "cut.gguf").read_bytes()[:40_000])
    with pytest.raises(ModelError, match=r"cut\.gguf is no whole GGUF file"):
        pretrained.load(str(tmp_path / "cut.gguf"), sharding.build())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rope_scaling": {"rope_type": "longrope"}}, "rope scaling 'longrope' is not supported"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "rope scaling 'yarn' lacks factor"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"use_sliding_window": True}, "use_sliding_window"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"attention_bias": True}, r"missing tensors .*q_proj\.bias|missing tensors .*k_proj\.bias"),
    ],
)
def test_what_we_do_not_compute_is_refused_by_name(exported, change, says):
    config = json.loads((exported / "config.json").read_text())
    (exported / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=says):
        pretrained.load(str(exported), sharding.build())


def test_a_hub_models_directory_of_which_something_is_missing_is_downloaded(exported, tmp_path, monkeypatch):
    cached = tmp_path / "cached"
    cached.mkdir()
    (cached / "config.json").write_text((exported / "config.json").read_text())  # as AutoTokenizer leaves it
    asked = []

    def snapshot(repository: str, local_files_only: bool = False, **_: object) -> str:
        asked.append(local_files_only)
        return str(cached if local_files_only else exported)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert pretrained.resolve("somebody/model").origin == str(exported) and asked == [True, False]
    cached = exported
    assert pretrained.resolve("somebody/model").origin == str(exported) and asked == [True, False, True]


def test_a_models_digest_is_of_its_weights_its_shape_and_its_tokenizer_and_of_nothing_else(exported, tiny):
    assert pretrained.load(str(exported), sharding.build(), ComputeConfig(weights=jnp.bfloat16)).digest == tiny.digest
    weights = load_file(exported / "model.safetensors")
    name = "model.layers.1.mlp.down_proj.weight"
    save_file(weights | {name: weights[name] * 1.001}, exported / "model.safetensors")
    assert pretrained.load(str(exported), sharding.build()).digest != tiny.digest
    save_file(weights, exported / "model.safetensors")
    text = (exported / "tokenizer.json").read_text()
    (exported / "tokenizer.json").write_text(text.replace('"ignore_merges": false', '"ignore_merges": true'))
    assert pretrained.load(str(exported), sharding.build()).digest != tiny.digest
    (exported / "tokenizer.json").write_text(text)
    config = json.loads((exported / "config.json").read_text())
    (exported / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    assert pretrained.load(str(exported), sharding.build()).digest != tiny.digest
