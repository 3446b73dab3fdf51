"""Models from strangers: values of a wrong kind, twins, and what no file says of itself are refused by name."""

from __future__ import annotations

import json

import pytest
from safetensors.numpy import load_file, save_file
from test_checkpoints import ASKED, CONFIG, TURN, exported, index_of, load, shape_of  # noqa: F401 (a fixture)

from semrep_jax.core.errors import SemRepError
from semrep_jax.model import chat_template, gguf_tensors, gguf_tokenizer, rope, tokenizer
from semrep_jax.model.added_tokens import TokenizerError
from semrep_jax.model.shape import ModelError

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}


@pytest.mark.parametrize("key", [*CONFIG, "rms_norm_eps", "rope_theta", "num_key_value_heads", "head_dim"])
@pytest.mark.parametrize("value", ["32", -1, [1], {"a": 1}, True, float("nan"), 1e400], ids=repr)
def test_a_setting_of_another_kind_is_refused_by_its_name(key, value):
    with pytest.raises(ModelError, match=key):
        shape_of(**{key: value})


@pytest.mark.parametrize("key", ["factor", "original_max_position_embeddings", "beta_fast", "truncate", "rope_type"])
@pytest.mark.parametrize("value", [0, [1], {}], ids=repr)
def test_a_rotary_setting_of_another_kind_is_refused_by_its_name(key, value):
    with pytest.raises(ModelError, match=key):
        shape_of(rope_scaling=YARN | {key: value})


def test_llama3_factors_in_the_wrong_order_are_refused_and_an_old_yarns_flag_is_not():
    factors = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 1.0}
    with pytest.raises(ModelError, match=r"low_freq_factor = 4\.0 has to be below"):
        shape_of(rope_scaling=factors | {"original_max_position_embeddings": 64})
    plain = shape_of(rope_scaling=YARN).rope_scaling
    assert isinstance(plain, rope.Yarn) and shape_of(rope_scaling=YARN | {"finetuned": True}).rope_scaling == plain


@pytest.mark.parametrize(
    "odd",
    [
        {"rope_theta": 1},
        {"rope_theta": 1e-300},
        {"rope_scaling": YARN | {"beta_fast": 1e308}},
        {"rope_scaling": {"type": "linear", "factor": 5e-324}},
    ],
    ids=repr,
)
def test_wavelengths_that_are_no_numbers_are_refused_with_the_base_and_what_stretches_it(odd):
    with pytest.raises(ModelError, match=r"rope_theta = .* with .*'factor'.* that are no numbers"):
        shape_of(**{"rope_scaling": YARN} | odd)
    assert shape_of(rope_theta=1).rope_theta == 1


def test_a_whole_number_that_no_float_holds_is_refused_by_its_key():
    with pytest.raises(ModelError, match="max_position_embeddings"):
        shape_of(max_position_embeddings=10**400)


def test_key_heads_that_are_not_stated_are_those_of_the_familys_config_class():
    many = {"num_attention_heads": 64, "hidden_size": 256}
    assert shape_of(**many).kv_heads == 32 and shape_of(**many, num_key_value_heads=None).kv_heads == 64


def test_what_every_model_has_in_its_config_is_let_pass():
    assert shape_of(output_attentions=False, id2label={"0": "a"}, torchscript=False, max_length=20) == shape_of()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("tokenizer_config.json", '{"added_tokens_decoder": [1]}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": {"content": "y"}}}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"5": {"content": "y", "lstrip": "no"}}}'),
        ("tokenizer_config.json", '{"eos_token": "<e>", "chat_template": [1]}'),
        ("tokenizer_config.json", "[" * 5000),
        ("added_tokens.json", '{"<q>": "x"}'),
        ("generation_config.json", '{"eos_token_id": "2"}'),
        ("generation_config.json", '{"eos_token_id": [[1]]}'),
        ("config.json", '{"eos_token_id": {}}'),
        ("chat_template.jinja", "\udcff"),
        ("config.json", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
    ],
)
def test_a_tokenizers_file_that_is_none_is_named(tmp_path, file, text):
    backend = tokenizer.train(["a b"], 300).backend.to_str().replace("<|end|>", "<e>")
    (tmp_path / "tokenizer.json").write_text(backend)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<e>"}')
    assert tokenizer.load(tmp_path).end_ids
    (tmp_path / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(TokenizerError, match=file) as raised:
        tokenizer.load(tmp_path)
    assert ("git lfs pull" in str(raised.value)) == text.startswith("version")


def test_a_tokenizer_in_another_layout_is_said_with_what_makes_ours_of_it(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(b"\n")
    with pytest.raises(TokenizerError, match=r"one of tokenizer\.model: AutoTokenizer"):
        tokenizer.load(tmp_path)


def test_templates_by_name_take_the_default_and_one_that_nests_too_deeply_is_an_answer(tmp_path):
    (tmp_path / "tokenizer.json").write_text(tokenizer.train(["a b"], 300).backend.to_str().replace("<|end|>", "<e>"))
    settings = {"eos_token": "<e>", "chat_template": {"default": TURN, "tool_use": "T"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert tokenizer.load(tmp_path).chat(ASKED) == "[system|S][user|U]"
    with pytest.raises(chat_template.TemplateError, match="nests too deeply"):
        chat_template.render("{% if 1 %}" * 400 + "{% endif %}" * 400, ASKED, {})


def test_a_tensor_in_two_shards_and_an_index_that_names_one_twice_are_refused(exported):  # noqa: F811
    tensors = load_file(exported / "model.safetensors")
    index_of(exported, "a.safetensors")
    (exported / "model.safetensors").rename(exported / "a.safetensors")
    index = exported / "model.safetensors.index.json"
    stated = json.loads(index.read_text())["weight_map"]
    save_file({"model.norm.weight": tensors["model.norm.weight"] * 0}, exported / "b.safetensors")
    index.write_text(json.dumps({"weight_map": stated | {"model.norm.weight": "b.safetensors"}}))
    with pytest.raises(ModelError, match=r"model\.norm\.weight lies in two shards, a\.safetensors and b\.safetensors"):
        load(exported)
    text = json.dumps({"weight_map": stated})
    index.write_text(text[:-2] + ', "model.norm.weight": "b.safetensors"}}')
    with pytest.raises(ModelError, match=r"it has model\.norm\.weight twice"):
        load(exported)


METADATA = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "qwen2",
    "tokenizer.ggml.tokens": ["<e>", "a", "b", "ab"],
    "tokenizer.ggml.token_type": [3, 1, 1, 1],
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.eos_token_id": 0,
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tokens", 7),
        ("tokens", ["<e>", "a", "b", "b"]),
        ("token_type", [3]),
        ("merges", ["a c"]),
        ("merges", [1]),
        ("eos_token_id", 9),
        ("padding_token_id", "x"),
    ],
)
def test_a_gguf_tokenizer_that_contradicts_itself_is_refused_by_its_key(key, value):
    assert gguf_tokenizer.read_tokenizer(METADATA, "m").encode("ab") == [3]
    with pytest.raises(TokenizerError, match=key):
        gguf_tokenizer.read_tokenizer(METADATA | {f"tokenizer.ggml.{key}": value}, "m")


def test_a_pre_tokenizer_by_another_of_its_names_cuts_the_same():
    def cut(name):
        read = gguf_tokenizer.read_tokenizer(METADATA | {"tokenizer.ggml.pre": name}, "m")
        return read.backend.pre_tokenizer.pre_tokenize_str("it's 1234 x")

    assert cut("falcon3") == cut("llama-bpe") and cut("mellum") == cut("gpt-2") and cut("starcoder") == cut("smollm")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"llama.logit_scale": 0.5}, "logit_scale = 0.5 is not supported"),
        ({"llama.expert_count": 8}, "expert_count = 8 is not supported"),
        ({"llama.expert_count": 0}, None),
        ({"llama.attention.value_length": 8}, "values of another width"),
        ({"llama.attention.head_count": [4, 2]}, r"head_count = \[4, 2\] has to be a whole number"),
        ({"llama.attention.head_count": 0}, "head_count = 0 has to be a whole number"),
        ({"general.type": "adapter"}, "no model but general.type = 'adapter'"),
    ],
)
def test_metadata_that_would_change_what_a_gguf_model_computes_are_refused(tmp_path, change, says):
    from test_pretrained import gguf, random_model, write_gguf

    model, params = random_model()
    write_gguf(tmp_path / "m.gguf", model, params, gguf.GGMLQuantizationType.F32)
    source = gguf_tensors.GGUF(tmp_path / "m.gguf")
    source.metadata |= change
    if says is None:
        assert source.settings["hidden_size"] == model.shape.dim
        return
    with pytest.raises(ModelError, match=says):
        _ = source.settings


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda raw: b"PK\3\4" + raw[4:], "is no GGUF file"),
        (lambda raw: raw[:4] + b"\1\0\0\0" + raw[8:], "of GGUF version 1, and 2 and 3 are read"),
        (lambda raw: raw[: len(raw) // 2], "no whole GGUF file"),
    ],
    ids=["zip", "version 1", "half"],
)
def test_a_file_that_is_no_gguf_or_of_another_version_is_called_what_it_is(tmp_path, spoil, says):
    from test_pretrained import gguf, random_model, write_gguf

    model, params = random_model()
    write_gguf(tmp_path / "m.gguf", model, params, gguf.GGMLQuantizationType.F32)
    (tmp_path / "m.gguf").write_bytes(spoil((tmp_path / "m.gguf").read_bytes()))
    with pytest.raises(SemRepError, match=says):
        gguf_tensors.GGUF(tmp_path / "m.gguf")
