"""Checkpoints as people bring them: each loads to what transformers makes of it, or is refused by its true reason."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from semrep_jax.model import chat_template, families, gguf_tokenizer, pretrained, rope, sharding, tokenizer
from semrep_jax.model.added_tokens import TokenizerError
from semrep_jax.model.shape import ModelError

HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
CONFIG = {
    "model_type": "qwen2",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}
TURN = "{% for m in messages %}[{{ m.role }}|{{ m.content }}]{% endfor %}"
ASKED = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]


def shape_of(**changes):
    config = CONFIG | changes
    return families.of_config(config, "m").shape(config, "m")


@pytest.fixture
def exported(tiny, tmp_path):
    pretrained.export(tmp_path, tiny.model, tiny.params, tiny.tokenizer)
    return tmp_path


def load(path):
    return pretrained.load(str(path), sharding.build())


def rewrite(path, change, **config):
    save_file(change(load_file(path / "model.safetensors")), path / "model.safetensors")
    stated = json.loads((path / "config.json").read_text()) | config
    (path / "config.json").write_text(json.dumps(stated))


def same_weights(one, other):
    return all(map(np.array_equal, jax.tree.leaves(one.params), jax.tree.leaves(other.params)))


def test_rope_scaling_stands_for_rope_parameters_and_loses_no_base_in_silence():
    yarn = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}
    shape = shape_of(rope_parameters={"rope_type": "default", "rope_theta": 1e4}, rope_scaling=yarn)
    assert isinstance(shape.rope_scaling, rope.Yarn) and shape.rope_scaling.original == 128
    with pytest.raises(ModelError, match=r"loses its rope_theta = 1000000\.0; state rope_theta in rope_scaling"):
        shape_of(rope_parameters={"rope_type": "default", "rope_theta": 1e6}, rope_scaling=yarn)
    assert shape_of(rope_parameters={"rope_theta": 1e6}, rope_scaling=yarn | {"rope_theta": 5e5}).rope_theta == 5e5


def test_a_scaling_without_its_type_or_with_what_its_type_does_not_know_is_refused():
    for scaling, says in (
        ({"factor": 4.0}, "'default' has factor = 4.0"),
        ({"type": "linear", "factor": 2.0, "beta_fast": 8}, "'linear' has beta_fast = 8"),
        ({"type": "dynamic", "factor": "2"}, "factor of rope scaling 'dynamic' = '2' has to be a number above 0"),
        ({"type": "proportional", "factor": 2.0}, "'proportional' is not supported"),
    ):
        with pytest.raises(ModelError, match=says):
            shape_of(rope_scaling=scaling)


@pytest.mark.parametrize(
    "scaling",
    [
        {"type": "yarn", "factor": None, "original_max_position_embeddings": 128},
        {"type": "yarn", "factor": 2.0, "attention_factor": 0.9, "truncate": False, "beta_fast": 16},
        {"type": "linear", "factor": 2.0},
        {"type": "dynamic", "factor": 2.0},
    ],
)
def test_an_export_states_its_scaling_windows_and_biases_so_that_they_read_back(scaling):
    for config in (
        {"rope_scaling": scaling},
        {"use_sliding_window": True, "sliding_window": 50, "max_window_layers": 1},
        {"model_type": "llama", "attention_bias": True},
        {"model_type": "qwen3", "attention_bias": True},
    ):
        shape = shape_of(**config)
        again = families.of_shape(shape).config(shape, end_id=2, pad_id=0)
        assert families.of_config(again, "m").shape(json.loads(json.dumps(again)), "m") == shape


def test_a_stretched_wavelength_is_a_known_multiple_of_the_plain_one():
    plain = rope.frequencies(1e4, 64, None)
    assert np.allclose(rope.frequencies(1e4, 64, rope.Linear(4.0)), plain / 4)
    yarn = rope.read({"type": "yarn", "factor": 4.0}, 2048, "m")
    ratio = plain / rope.frequencies(1e4, 64, yarn)
    assert ratio[0] == pytest.approx(1) and ratio[-1] == pytest.approx(4) and (np.diff(ratio) > -1e-5).all()
    assert yarn.attention_factor == pytest.approx(0.1 * np.log(4) + 1)


def test_what_a_config_does_not_state_is_what_transformers_takes():
    shape = shape_of()
    assert (shape.rope_theta, shape.norm_eps, shape.kv_heads, shape.tied) == (1e4, 1e-6, 4, False)
    assert shape_of(sliding_window=None, use_sliding_window=True, max_window_layers=0).windows == ()
    assert shape_of(use_sliding_window=True, max_window_layers=3).windows == (None, None, None, 4096)


def test_a_head_that_is_not_the_embedding_is_used_whatever_the_config_says(exported, tiny):
    rewrite(exported, lambda t: t | {HEAD: t[EMBEDDING]}, tie_word_embeddings=True)
    assert load(exported).model.shape.tied
    rewrite(exported, lambda t: t | {HEAD: t[EMBEDDING] + 1})
    loaded = load(exported)
    assert not loaded.model.shape.tied
    np.testing.assert_array_equal(loaded.model.bind(loaded.params).head(), tiny.params["embed_VD"][...] + 1)


def test_names_without_the_model_prefix_or_under_the_heads_name_load(exported, tiny):
    whole = load_file(exported / "model.safetensors")
    rewrite(exported, lambda t: {name.removeprefix("model."): value for name, value in t.items()})
    assert same_weights(load(exported), tiny)
    rewrite(exported, lambda t: {HEAD if name == EMBEDDING else name: value for name, value in whole.items()})
    assert same_weights(load(exported), tiny)
    rewrite(exported, lambda t: {"_orig_mod." + name: value for name, value in whole.items()})
    with pytest.raises(ModelError, match=r"names begin with '_orig_mod\.'"):
        load(exported)


def index_of(path, file):
    names = load_file(path / "model.safetensors")
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict.fromkeys(names, file)}))


def test_two_sets_of_weights_are_refused_and_an_index_of_nothing_is_passed_over(exported, tiny):
    index_of(exported, "model-1.safetensors")
    assert same_weights(load(exported), tiny)
    save_file(load_file(exported / "model.safetensors"), exported / "model-1.safetensors")
    with pytest.raises(ModelError, match=r"two sets of weights.*remove one"):
        load(exported)
    pretrained.export(exported, tiny.model, tiny.params, tiny.tokenizer)  # leaves no index of other weights
    assert same_weights(load(exported), tiny)


def test_missing_shards_and_other_layouts_are_said_as_they_are(exported):
    index_of(exported, "model-1.safetensors")
    (exported / "model.safetensors").rename(exported / "model-00001-of-00001.safetensors")
    with pytest.raises(ModelError, match=r"1 of the 1 shards .* model-1\.safetensors first; finish the download"):
        load(exported)
    (exported / "model.safetensors.index.json").unlink()
    with pytest.raises(ModelError, match="shards without their index"):
        load(exported)
    (exported / "config.json").unlink()
    (exported / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="it is an adapter: merge it"):
        load(exported)


@pytest.mark.parametrize(
    ("part", "dtype", "says"),
    [
        ("weight", ml_dtypes.float8_e4m3fn, "F8_E4M3"),
        ("weight", np.int8, "I8"),
        ("qweight", np.int32, "GPTQ or AWQ"),
        ("weight_scale_inv", np.float32, "FP8"),
        ("weight.absmax", np.float32, "bitsandbytes"),
    ],
)
def test_quantised_weights_are_called_so_whatever_the_config_says(exported, part, dtype, says):
    name = f"model.layers.0.self_attn.q_proj.{part}"
    rewrite(exported, lambda t: t | {name: np.ones((16, 32)).astype(dtype)})
    with pytest.raises(ModelError, match=f"weights are quantised .{says}"):
        load(exported)
    stated = json.loads((exported / "config.json").read_text()) | {"quantization_config": {"quant_method": "awq"}}
    (exported / "config.json").write_text(json.dumps(stated))
    with pytest.raises(ModelError, match=r"weights are quantised \(awq\), which is not supported"):
        load(exported)


def directory(path, specials=(), **settings):
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        ["def f(x)"],
        trainers.BpeTrainer(special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False),
    )
    backend.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    return backend.get_vocab_size()


def test_added_tokens_are_one_id_each_from_every_file_that_may_list_them(tmp_path):
    size = directory(tmp_path, eos_token="<e>", additional_special_tokens=["<s>"])
    assert len(tokenizer.load(tmp_path).encode("<s><e>")) == 2
    stated = {str(size): {"content": "<s>", "special": True}, str(size + 1): {"content": "<e>", "special": True}}
    directory(tmp_path, eos_token="<e>", added_tokens_decoder=stated)
    assert tokenizer.load(tmp_path).encode("a<s><e>")[1:] == [size, size + 1]
    directory(tmp_path, eos_token="<e>")
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<s>": size, "<e>": size + 1}))
    assert tokenizer.load(tmp_path).encode("a<s><e>")[1:] == [size, size + 1]
    directory(tmp_path, added_tokens_decoder={str(size + 9): {"content": "<s>"}}, eos_token="<s>")
    with pytest.raises(TokenizerError, match=f"id {size + 9} for '<s>', which tokenizer.json makes {size}"):
        tokenizer.load(tmp_path)


def test_the_end_tokens_of_all_files_end_a_completion_the_tokenizers_own_first(tmp_path):
    directory(tmp_path, ["<a>", "<b>", "<c>"], eos_token="<c>")
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 2]}))
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 1, "pad_token_id": -1}))
    assert tokenizer.load(tmp_path).end_ids == (2, 0, 1) and tokenizer.load(tmp_path).pad_id == 2


def test_an_id_without_a_row_is_an_error_only_where_it_is_used(tmp_path):
    size = directory(tmp_path, ["<e>"], eos_token="<e>", pad_token="<p>")
    fits = tokenizer.load(tmp_path).within(size, "m")
    assert fits.pad_id == 0 and fits.encode("f(x)") == fits.encode_all(["f(x)"])[0]
    for encode in (fits.encode, lambda text: fits.encode_all([text])):
        with pytest.raises(TokenizerError, match=f"'<p>' has the id {size} and the model's embedding {size} rows"):
            encode("f<p>")


def test_a_template_may_use_what_transformers_offers_it():
    text = "{% generation %}{{ 1 }}{% endgeneration %}{{ strftime_now('%%') }}{% if tools is not none %}!{% endif %}"
    assert chat_template.render(text + "{{ {'b': 1}|tojson(separators=(',', ':')) }}", ASKED, {}) == '1%{"b":1}'


def test_a_system_message_goes_to_the_user_where_the_template_refuses_it_and_other_refusals_are_told():
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TURN
    assert chat_template.render(refuses, ASKED, {}) == "[user|S\n\nU]"
    assert chat_template.render(TURN, ASKED, {}) == "[system|S][user|U]"
    today = "{{ strftime_now('%d %b %Y') }}"  # a prompt is the same whenever a run goes on
    assert chat_template.render(today, ASKED, {}) == "26 Jul 2024"
    for template in ("{{ raise_exception('never') }}", "{{ none + 1 }}"):
        with pytest.raises(TokenizerError, match=r"fails on \['system', 'user'\] messages"):
            tokenizer.Tokenizer(None, (0,), 0, template).chat(ASKED)


def test_the_distilled_qwen_of_deepseek_is_cut_as_qwen2():
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": ["<e>", *"ab12 "],
        "tokenizer.ggml.token_type": [3, 1, 1, 1, 1, 1],
        "tokenizer.ggml.eos_token_id": 0,
    }
    cuts = []
    for pre in ("qwen2", "deepseek-r1-qwen"):
        read = gguf_tokenizer.read_tokenizer(metadata | {"tokenizer.ggml.pre": pre}, "m")
        cuts.append(read.backend.pre_tokenizer.pre_tokenize_str("ab 12"))
    assert cuts[0] == cuts[1]


def test_a_gguf_model_in_parts_loads_from_any_part_and_names_the_one_that_is_gone(tmp_path):
    from test_pretrained import gguf, random_model, write_gguf

    model, params = random_model()
    kind = gguf.GGMLQuantizationType.F32
    write_gguf(tmp_path / "m.gguf", model, params, kind, split_max_tensors=9)
    parts = sorted(tmp_path.glob("m-*.gguf"))
    assert len(parts) == 3
    for part in parts:
        loaded = load(part)
        assert jnp.array_equal(loaded.params["q_LDNH"][...], params["q_LDNH"][...])
    parts[1].rename(tmp_path / "other.gguf")
    with pytest.raises(ModelError, match=r"one of 3 parts and m-00002-of-00003\.gguf is not beside it"):
        load(parts[0])
    parts[0].rename(tmp_path / "first.gguf")
    with pytest.raises(ModelError, match="is one of 3 parts, and its name does not tell"):
        load(tmp_path / "first.gguf")
