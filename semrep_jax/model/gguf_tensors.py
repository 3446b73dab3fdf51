"""A GGUF file, or one in parts, as a source of tensors: Hugging Face's names and layout, weights dequantised.

What the `gguf` package can dequantise is read: F32, F16, BF16, MXFP4, all Q, IQ and TQ types but Q8_K. Of a model in
parts (`m-00001-of-00003.gguf`) any part may be named; the others lie beside it.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np

from semrep_jax.model import families, gguf_tokenizer, rope
from semrep_jax.model.added_tokens import lfs_hint
from semrep_jax.model.shape import ModelError
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.model.values import WHOLE, require

# GGUF's names of tensors, and of the parts of a block, as Hugging Face's.
GGUF_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
GGUF_PARTS = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
FIRST_BIAS = "model.layers.0.self_attn.q_proj.bias"
# What may stand of an architecture, beside SCALING: what is read, and what changes nothing.
KNOWN = frozenset((
    "attention.causal", "attention.head_count", "attention.head_count_kv", "attention.key_length",
    "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon", "attention.sliding_window",
    "attention.value_length", "block_count", "context_length", "embedding_length", "feed_forward_length",
    "pooling_type", "rope.dimension_count", "rope.freq_base", "tensor_data_layout", "vocab_size",
))  # fmt: skip
BOTH_WAYS = ("attention.causal", False)  # an encoder's attention
PART_COUNT, TENSOR_COUNT = "split.count", "split.tensors.count"
ROTARY_HEADS = {
    "q_LDNH": "num_attention_heads",
    "k_LDKH": "num_key_value_heads",
    "q_bias_LNH": "num_attention_heads",
    "k_bias_LKH": "num_key_value_heads",
}
# What is read of {architecture}.rope -> its name in a config's rope_scaling; None where the code says how.
SCALING = {
    "scaling.type": None,
    "scaling.factor": None,
    "scaling.finetuned": None,
    "scale_linear": None,
    "scaling.original_context_length": "original_max_position_embeddings",
    "scaling.yarn_beta_fast": "beta_fast",
    "scaling.yarn_beta_slow": "beta_slow",
}
ROPE_FACTORS = "rope_freqs.weight"
# Of every Llama 3, and not in its GGUF files.
LLAMA3_LOW_FACTOR = 1.0
LLAMA3_HIGH_FACTOR = 4.0
LLAMA3_ORIGINAL_CONTEXT = 8192


class GGUF:
    """A GGUF file, or all parts of one, of an architecture that one of `families` has."""

    described_by = "its metadata"

    def __init__(self, path: Path):
        self.path, self.origin = path, str(path)
        parts = [_opened(part) for part in _parts(path)]
        self.metadata = parts[0].metadata
        self._tensors = {self._name(tensor.name): tensor for part in parts for tensor in part.tensors}
        self._check_parts(len(parts))
        self.architecture = str(self.metadata.get("general.architecture"))
        self.family = families.of_gguf(self.architecture, self.origin)

    def _check_parts(self, parts: int) -> None:
        """Refuse a model that is not all here."""
        count, tensors = self.metadata.get(PART_COUNT, 1), self.metadata.get(TENSOR_COUNT, len(self._tensors))
        if count not in (parts, 0):
            raise ModelError(
                f"{self.path} is one of {count} parts, and its name does not tell the others' (m-00001-of-00003.gguf "
                "does); download all of them under their own names"
            )
        if tensors != len(self._tensors):
            raise ModelError(
                f"{self.path}: its {parts} parts hold {len(self._tensors)} tensors of {tensors}; download them again"
            )

    @staticmethod
    def _name(theirs: str) -> str:
        match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", theirs)
        if match and match[2] in GGUF_PARTS:
            return f"model.layers.{match[1]}.{GGUF_PARTS[match[2]]}.{match[3]}"
        return GGUF_NAMES.get(theirs, theirs)

    def _get(self, key: str, default: Any = None, required: bool = True) -> Any:
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        if value is None and required:
            raise ModelError(f"{self.path} lacks {self.architecture}.{key}; convert the model again")
        return value

    def _whole(self, key: str) -> int:
        return int(require(WHOLE, f"{self.architecture}.{key}", self._get(key), self.origin))

    def _check_known(self) -> None:
        """Refuse what the metadata say of the architecture and we don't read: it may change what the model computes."""
        kind = self.metadata.get("general.type", "model")
        if kind != "model":
            raise ModelError(f"{self.path} holds no model but general.type = {kind!r}; name the model's own file")
        prefix = f"{self.architecture}."
        for name, value in self.metadata.items():
            key = name.removeprefix(prefix)
            known = key in KNOWN or key.removeprefix("rope.") in SCALING or value in (0, False, "")
            if name != key and (not known or (key, value) == BOTH_WAYS):
                raise ModelError(
                    f"{self.path}: {name} = {value!r:.80} is not supported; name the model's Hugging Face directory"
                )

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The metadata as a Hugging Face config.json."""
        heads, width = self._whole("attention.head_count"), self._whole("embedding_length")
        self._check_known()
        head_dim = self._get("attention.key_length", width // heads)
        if self._get("attention.value_length", head_dim) != head_dim:
            raise ModelError(f"{self.path}: values of another width than keys ({head_dim}) are not supported")
        settings = {
            "model_type": self.family.name,
            "vocab_size": self._shape("model.embed_tokens.weight")[0],
            "hidden_size": width,
            "num_hidden_layers": self._get("block_count"),
            "num_attention_heads": heads,
            "num_key_value_heads": self._get("attention.head_count_kv", heads),
            "head_dim": head_dim,
            "intermediate_size": self._get("feed_forward_length"),
            "rope_theta": self._get("rope.freq_base", 10_000.0),
            "rms_norm_eps": self._get("attention.layer_norm_rms_epsilon"),
            "max_position_embeddings": self._get("context_length", 4096),
            "tie_word_embeddings": "lm_head.weight" not in self._tensors,
        }
        if self.family.attention_bias:
            settings["attention_bias"] = FIRST_BIAS in self._tensors
        window = self._get("attention.sliding_window", 0)
        if window and window < settings["max_position_embeddings"]:
            raise ModelError(
                f"{self.path}: {self.architecture}.attention.sliding_window = {window} is not supported in a GGUF "
                "file; name the model's Hugging Face directory"
            )
        if scaling := self._rope_scaling(settings):
            settings["rope_scaling"] = scaling
        return settings

    def _rope_scaling(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The rotary scaling as a config.json has it; empty for none. Raises ModelError for one we don't compute."""
        rotated = self._get("rope.dimension_count", settings["head_dim"])
        if rotated != settings["head_dim"]:
            raise ModelError(
                f"{self.path}: {self.architecture}.rope.dimension_count = {rotated!r} is not supported; name the "
                "model's Hugging Face directory"
            )
        linear = self._get("rope.scale_linear", 1.0)
        kind = self._get("rope.scaling.type", "linear" if linear != 1.0 else "none")
        factor = self._get("rope.scaling.factor", linear)
        scaled = kind != "none" and not (kind == "linear" and factor in (0.0, 1.0))
        if ROPE_FACTORS in self._tensors:
            if scaled:
                raise ModelError(f"{self.path} has both {ROPE_FACTORS} and rope scaling {kind!r}: not supported")
            return self._llama3(self._dequantised(ROPE_FACTORS), settings)
        if not scaled:
            return {}
        scaling = {theirs: self._get(f"rope.{ours}", None, False) for ours, theirs in SCALING.items() if theirs}
        stated = {key: value for key, value in scaling.items() if value is not None}
        return stated | {"rope_type": kind, "factor": factor}

    def _llama3(self, factors: np.ndarray, settings: dict[str, Any]) -> dict[str, Any]:
        """Llama 3's scaling from its table of factors, the largest of which is the factor."""
        scaling = {
            "rope_type": "llama3",
            "factor": float(factors.max()),
            "low_freq_factor": LLAMA3_LOW_FACTOR,
            "high_freq_factor": LLAMA3_HIGH_FACTOR,
            "original_max_position_embeddings": LLAMA3_ORIGINAL_CONTEXT,
        }
        theta, size, context = (settings[key] for key in ("rope_theta", "head_dim", "max_position_embeddings"))
        stretched = rope.frequencies(theta, size, rope.read(scaling, context, self.origin))
        table = rope.frequencies(theta, size, None) / stretched
        if table.shape != factors.shape or not np.allclose(table, factors, rtol=1e-3):
            raise ModelError(
                f"{self.path}: {ROPE_FACTORS} is not the table of a Llama 3, which alone is supported; name the "
                "model's Hugging Face directory"
            )
        return scaling

    def _shape(self, name: str) -> tuple[int, ...]:
        if name not in self._tensors:
            raise ModelError(f"{self.path} lacks the tensor {name}; download it again")
        return tuple(int(n) for n in reversed(self._tensors[name].shape))

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's shape by its Hugging Face name."""
        return {name: self._shape(name) for name in self._tensors if name != ROPE_FACTORS}

    def read(self, name: str) -> np.ndarray:
        """One tensor, dequantised to float32, in Hugging Face's order of rows."""
        value = self._dequantised(name)
        if self.family.gguf_interleaves_rotary and name in self._rotary_heads:
            return _halves_apart(value, self._rotary_heads[name])
        return value

    def _dequantised(self, name: str) -> np.ndarray:
        tensor = self._tensors[name]
        try:
            return gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(self._shape(name))
        except (NotImplementedError, ValueError) as error:
            raise ModelError(
                f"{self.path}: {name} of type {tensor.tensor_type.name} can't be read ({error})"
            ) from error

    @cached_property
    def _rotary_heads(self) -> dict[str, int]:
        """The number of heads in every tensor of queries or keys, biases included."""
        layers = range(self.settings["num_hidden_layers"])
        return {
            self.family.tensors[ours].format(layer=layer): self.settings[key]
            for ours, key in ROTARY_HEADS.items()
            if ours in self.family.tensors
            for layer in layers
        }

    def tokenizer(self) -> Tokenizer:
        """The tokenizer in the metadata."""
        return gguf_tokenizer.read_tokenizer(self.metadata, self.origin)


def _halves_apart(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows [heads * H, ...] with rotary pairs side by side, as Hugging Face has them: first halves, then second."""
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def _parts(path: Path) -> list[Path]:
    """Every part of the model that `path` is a part of, the first first; `path` alone where its name is no part's."""
    match = re.fullmatch(r"(.*)-\d{5}-of-(\d{5})\.gguf", path.name)
    if match is None:
        return [path]
    count = int(match[2])
    parts = [path.with_name(f"{match[1]}-{i:05d}-of-{count:05d}.gguf") for i in range(1, count + 1)]
    gone = [part.name for part in parts if not part.is_file()]
    if gone:
        raise ModelError(f"{path} is one of {count} parts and {', '.join(gone)} is not beside it; download all of them")
    return parts


class _Part(NamedTuple):
    """One file: what it says, and the tensors that lie in it."""

    metadata: dict[str, Any]
    tensors: list[gguf.ReaderTensor]


def _opened(path: Path) -> _Part:
    try:
        reader = gguf.GGUFReader(path)
        if reader.endianess is gguf.GGUFEndian.BIG:  # the package would read its numbers' bytes the other way round
            raise ModelError(f"{path} is big-endian, which is not supported; gguf-convert-endian {path} little")
        return _Part({name: field.contents() for name, field in reader.fields.items()}, reader.tensors)
    except (ValueError, IndexError, KeyError, OSError, OverflowError) as error:
        raise ModelError(_why_unread(path, str(error))) from error


def _why_unread(path: Path, said: str) -> str:
    """Why the gguf package can't read a file, and what to do; `said` is its own word."""
    if "magic" in said:
        return f"{path} is no GGUF file; name a .gguf file or a model directory{lfs_hint(path)}"
    if "GGMLQuantizationType" in said:
        return f"{path} holds a tensor of a type that the installed gguf does not know ({said}); pip install -U gguf"
    if "version" in said:
        with path.open("rb") as file:
            version = int.from_bytes(file.read(8)[4:], "little")
        read = " and ".join(map(str, gguf.gguf_reader.READER_SUPPORTED_VERSIONS))
        return f"{path} is of GGUF version {version}, and {read} are read; convert the model again"
    return f"{path} is no whole GGUF file ({said}); download it again"
