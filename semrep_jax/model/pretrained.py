"""A model directory in Hugging Face layout: `config.json`, `model.safetensors`, `tokenizer.json`; in and out.

Names and shapes are those of transformers' LlamaForCausalLM (Qwen3's with q/k norm), so `transformers` loads what we write.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from semrep_jax.model import decoder, tokenizer
from semrep_jax.model.decoder import Model, ModelError, Shape
from semrep_jax.model.sharding import Sharding
from semrep_jax.model.tokenizer import Tokenizer

NANO = Path(__file__).parent / "nano"


@dataclass(frozen=True)
class Loaded:
    """A model, its parameters and its tokenizer."""

    model: Model
    params: Any
    tokenizer: Tokenizer
    directory: Path


def resolve(source: str) -> Path:
    """The directory that `model.source` names."""
    path = NANO if source == "nano" else Path(source)
    if not (path / "config.json").is_file():
        raise ModelError(f"model.source {source!r}: {path} holds no config.json; name 'nano' or a model directory")
    return path


def load(source: str, sharding: Sharding, compute: Any = jnp.float32, remat: bool = False) -> Loaded:
    """Load a model directory onto the mesh. Raises ModelError naming the file or tensor at fault."""
    directory = resolve(source)
    shape = read_shape(directory)
    words = tokenizer.load(directory)
    if words.vocab_size > shape.vocab:
        raise ModelError(f"{directory}: the tokenizer has {words.vocab_size} ids and the embedding {shape.vocab} rows")
    model = decoder.build(shape, sharding, compute, remat)
    abstract = model.abstract()
    params, places = nnx.to_pure_dict(abstract), nnx.to_pure_dict(model.shardings())
    path = directory / "model.safetensors"
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            wanted = {ours: [theirs for theirs, _ in _sources(ours, shape)] for ours in params}
            expected = {n for group in wanted.values() for n in group}
            if names != expected:
                missing, extra = sorted(expected - names), sorted(names - expected)
                raise ModelError(f"{path}: missing tensors {missing[:4]}, unexpected tensors {extra[:4]}; export the model again")
            for ours, leaf in params.items():
                value = _gather(file, ours, shape)
                if value.shape != leaf.shape:
                    raise ModelError(f"{path}: {ours} has shape {value.shape}, config.json says {leaf.shape}")
                params[ours] = jax.device_put(value, places[ours])
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} can't be read ({error}); export the model again") from error
    nnx.replace_by_pure_dict(abstract, params)
    return Loaded(model, abstract, words, directory)


def read_shape(directory: Path) -> Shape:
    """The decoder's shape from config.json."""
    path = directory / "config.json"
    try:
        c = json.loads(path.read_text())
        kind = c["model_type"]
        if kind not in ("llama", "qwen3"):
            raise ModelError(f"{path}: model_type {kind!r} is not supported; supported are llama and qwen3")
        return Shape(
            vocab=c["vocab_size"], dim=c["hidden_size"], layers=c["num_hidden_layers"], heads=c["num_attention_heads"],
            kv_heads=c["num_key_value_heads"], head_dim=c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"],
            ffn=c["intermediate_size"], rope_theta=float(c["rope_theta"]), norm_eps=c["rms_norm_eps"],
            tied=c["tie_word_embeddings"], qk_norm=kind == "qwen3",
        )  # fmt: skip
    except KeyError as error:
        raise ModelError(f"{path} lacks {error.args[0]!r}; export the model again") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}); export the model again") from error


def export(directory: Path, model: Model, params: Any, words: Tokenizer) -> None:
    """Write `params` as a model directory (float32)."""
    directory.mkdir(parents=True, exist_ok=True)
    shape = model.shape
    tensors: dict[str, np.ndarray] = {}
    for ours, leaf in nnx.to_pure_dict(params).items():
        value = np.asarray(jax.device_get(leaf), np.float32)
        for index, (theirs, turn) in enumerate(_sources(ours, shape)):
            one = value[index] if "_L" in ours else value
            tensors[theirs] = np.ascontiguousarray(turn(one) if turn else one)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    settings = {
        "architectures": ["Qwen3ForCausalLM" if shape.qk_norm else "LlamaForCausalLM"],
        "model_type": "qwen3" if shape.qk_norm else "llama",
        "vocab_size": shape.vocab, "hidden_size": shape.dim, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads, "head_dim": shape.head_dim,
        "intermediate_size": shape.ffn, "rope_theta": shape.rope_theta, "rms_norm_eps": shape.norm_eps,
        "tie_word_embeddings": shape.tied, "hidden_act": "silu", "attention_bias": False, "mlp_bias": False,
        "max_position_embeddings": 4096, "torch_dtype": "float32",
        "bos_token_id": None, "eos_token_id": words.end_id, "pad_token_id": words.pad_id,
    }  # fmt: skip
    (directory / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
    words.backend.save(str(directory / "tokenizer.json"))


_NAMES = {
    "attn_norm_LD": "input_layernorm", "q_LDNH": "self_attn.q_proj", "k_LDKH": "self_attn.k_proj",
    "v_LDKH": "self_attn.v_proj", "o_LNHD": "self_attn.o_proj", "ffn_norm_LD": "post_attention_layernorm",
    "gate_LDF": "mlp.gate_proj", "up_LDF": "mlp.up_proj", "down_LFD": "mlp.down_proj",
    "q_norm_LH": "self_attn.q_norm", "k_norm_LH": "self_attn.k_norm",
}  # fmt: skip


def _sources(ours: str, shape: Shape) -> list[tuple[str, Any]]:
    """The Hugging Face tensors that make up our parameter, each with the turn from our layout to theirs."""
    single = {"embed_VD": "model.embed_tokens.weight", "final_norm_D": "model.norm.weight", "head_DV": "lm_head.weight"}
    if ours in single:
        return [(single[ours], np.transpose if ours == "head_DV" else None)]
    turns = {
        "q_LDNH": lambda w: w.reshape(shape.dim, -1).T, "k_LDKH": lambda w: w.reshape(shape.dim, -1).T,
        "v_LDKH": lambda w: w.reshape(shape.dim, -1).T, "o_LNHD": lambda w: w.reshape(-1, shape.dim).T,
        "gate_LDF": np.transpose, "up_LDF": np.transpose, "down_LFD": np.transpose,
    }  # fmt: skip
    return [(f"model.layers.{i}.{_NAMES[ours]}.weight", turns.get(ours)) for i in range(shape.layers)]


def _gather(file: Any, ours: str, shape: Shape) -> np.ndarray:
    target = decoder.layout(shape)[ours][0]
    sources = _sources(ours, shape)
    pieces = [file.get_tensor(name).astype(np.float32) for name, _ in sources]
    pieces = [p.T if turn else p for p, (_, turn) in zip(pieces, sources, strict=True)]
    whole = np.stack(pieces) if "_L" in ours else pieces[0]
    return whole.reshape(target) if whole.size == np.prod(target) else whole
