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
        ("tokenizer_config.json", '{"eos_token": "<e>", "split_special_tokens": true}'),
        ("tokenizer_config.json", '{"eos_token": {"content": "<f>", "lstrip": "no"}}'),
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


def test_a_special_token_is_cut_as_its_file_says_and_a_template_may_name_those_of_a_dict(tmp_path):
    (tmp_path / "tokenizer.json").write_text(tokenizer.train(["a b"], 300).backend.to_str().replace("<|end|>", "<e>"))
    settings = {"eos_token": "<e>", "chat_template": "{{ x_token }}", "extra_special_tokens": {"x_token": "<x>"}}
    settings["additional_special_tokens"] = [{"content": "<y>", "lstrip": True}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    loaded = tokenizer.load(tmp_path)
    assert loaded.chat(ASKED) == "<x>" and len(loaded.encode("<x>")) == 1
    assert loaded.encode("a  <y>") == loaded.encode("a<y>")


def test_a_text_that_no_file_can_hold_is_refused_and_not_a_fault(tiny):
    for encode in (tiny.tokenizer.encode, lambda text: tiny.tokenizer.encode_all(["a", text])):
        with pytest.raises(TokenizerError, match="half of a surrogate pair"):
            encode("x = '\ud800'")


def test_an_adapter_beside_a_model_is_refused_as_it_may_be_meant(exported):  # noqa: F811
    (exported / "adapter_config.json").write_text("{}")
    assert load(exported)
    (exported / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"a model and an adapter of it .*remove adapter_config\.json"):
        load(exported)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("model.layers.0.self_attn.q_proj.lora_A.default.weight", "an adapter that isn't merged"),
        ("model.layers.0.self_attn.q_proj.base_layer.weight", "an adapter that isn't merged"),
        ("v_head.summary.weight", "a head that scores texts"),
        ("score.weight", "a head that scores texts"),
        ("model.layers.0.self_attn.k_proj.k_scale", "of quantised weights"),
        ("model.layers.0.self_attn.k_proj.weight_mask", "a parametrisation of torch"),
        ("model.layers.7.self_attn.k_proj.weight", "describes another model"),
    ],
)
def test_tensors_that_a_plain_model_has_none_of_are_said_as_what_they_are(exported, name, says):  # noqa: F811
    tensors = load_file(exported / "model.safetensors")
    save_file(tensors | {name: tensors["model.norm.weight"]}, exported / "model.safetensors")
    with pytest.raises(ModelError, match=says) as raised:
        load(exported)
    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ("model.fp16.safetensors", r"safetensors by another name: call the one file model\.safetensors"),
        (None, "a link to a file that is gone"),
        ("checkpoint-7/model.safetensors", "it holds checkpoints: name one of them"),
        ("snapshots/a1b2/model.safetensors", "name the directory in its snapshots"),
    ],
)
def test_a_directory_whose_weights_lie_elsewhere_says_what_to_name(exported, other, says):  # noqa: F811
    weights = exported / "model.safetensors"
    if other is None:
        weights.unlink()
        weights.symlink_to(exported / "gone")
    else:
        (exported / other).parent.mkdir(parents=True, exist_ok=True)
        weights.rename(exported / other)
        if "/" in other:
            (exported / "config.json").rename((exported / other).with_name("config.json"))
    with pytest.raises(ModelError, match=says):
        load(exported)


@pytest.mark.parametrize(
    ("rotary", "says"),
    [
        ({"rope_theta": 1e4, "partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5, and .* is not supported"),
        ({"full_attention": {"rope_theta": 1e6}}, "for each kind of layer is not supported"),
    ],
    ids=repr,
)
def test_what_would_change_the_model_is_not_advised_to_be_removed(rotary, says):
    with pytest.raises(ModelError, match=says) as raised:
        shape_of(rope_parameters=rotary)
    assert "remove" not in str(raised.value)


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
        ("merges", []),
        ("eos_token_id", 9),
        ("eot_token_id", 9),
        ("padding_token_id", "x"),
    ],
)
def test_a_gguf_tokenizer_that_contradicts_itself_is_refused_by_its_key(key, value):
    assert gguf_tokenizer.read_tokenizer(METADATA, "m").encode("ab") == [3]
    with pytest.raises(TokenizerError, match=key):
        gguf_tokenizer.read_tokenizer(METADATA | {f"tokenizer.ggml.{key}": value}, "m")


def test_all_ends_that_a_gguf_file_names_end_a_completion():
    named = METADATA | {"tokenizer.ggml.eot_token_id": 1, "tokenizer.ggml.eom_token_id": 2}
    assert gguf_tokenizer.read_tokenizer(named, "m").end_ids == (0, 1, 2)


def test_a_gguf_file_without_a_tokenizer_is_said_to_have_none():
    with pytest.raises(TokenizerError, match=r"m lacks tokenizer\.ggml\.model; convert"):
        gguf_tokenizer.read_tokenizer({}, "m")


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
        ({"llama.attention.causal": False}, "attention.causal = False is not supported"),
        ({"llama.attention.causal": True}, None),
        ({"llama.rope.dimension_sections": [1, 2]}, r"rope.dimension_sections = \[1, 2\] is not supported"),
        ({"llama.rope.scaling.attn_factor": 0.5}, "rope.scaling.attn_factor = 0.5 is not supported"),
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


def test_a_gguf_file_with_its_bytes_the_other_way_round_is_refused(tmp_path):
    from test_pretrained import gguf, random_model, write_gguf

    model, params = random_model()
    kind, order = gguf.GGMLQuantizationType.F32, gguf.GGUFEndian.BIG
    write_gguf(tmp_path / "m.gguf", model, params, kind, endianess=order)
    with pytest.raises(ModelError, match=r"is big-endian, which is not supported; gguf-convert-endian .* little"):
        gguf_tensors.GGUF(tmp_path / "m.gguf")
