"""Where a pretrained model's tensors come from: safetensors (one file or shards with an index) or a GGUF file.

Both give one tensor at a time under its Hugging Face name and in its Hugging Face layout, so that a model never lies
whole in host memory. GGUF weights come dequantised (F32, F16, BF16, Q4_0, Q4_1, Q4_K, Q5_K, Q6_K, Q8_0 through the
`gguf` package).
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import gguf
import numpy as np
from safetensors import SafetensorError, safe_open

from semrep_jax.model import families, gguf_tokenizer
from semrep_jax.model import tokenizer as tokenizers
from semrep_jax.model.shape import ModelError
from semrep_jax.model.tokenizer import Tokenizer

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
ROPE_FACTORS = "rope_freqs.weight"
# Of every Llama 3, and not in its GGUF files.
LLAMA3_LOW_FACTOR = 1.0
LLAMA3_HIGH_FACTOR = 4.0
LLAMA3_ORIGINAL_CONTEXT = 8192


class Source(Protocol):
    """A pretrained model on disk."""

    origin: str

    @property
    def settings(self) -> dict[str, Any]:
        """The model's `config.json`."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's shape by name."""

    def read(self, name: str) -> np.ndarray:
        """One tensor, float32 or its stored float type."""

    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""


class Directory:
    """A directory in Hugging Face layout."""

    def __init__(self, path: Path):
        self.path, self.origin = path, str(path)
        self._open: dict[str, Any] = {}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """config.json, parsed."""
        path = self.path / "config.json"
        try:
            return json.loads(path.read_text())
        except FileNotFoundError as error:
            raise ModelError(f"{self.path} is no model directory: it holds no config.json") from error
        except ValueError as error:
            raise ModelError(f"{path} is not JSON ({error}); download or export the model again") from error

    @cached_property
    def _files(self) -> dict[str, str]:
        """Tensor name -> file name."""
        index, single = self.path / "model.safetensors.index.json", "model.safetensors"
        if index.is_file():
            try:
                return dict(json.loads(index.read_text())["weight_map"])
            except (ValueError, KeyError) as error:
                raise ModelError(f"{index} is not an index of shards ({error}); download the model again") from error
        if not (self.path / single).is_file():
            raise ModelError(
                f"{self.path} holds no {single} and no {index.name}; only safetensors are read, convert the weights"
            )
        return dict.fromkeys(self._file(single).keys(), single)

    def _file(self, name: str) -> Any:
        if name not in self._open:
            path = self.path / name
            try:
                self._open[name] = safe_open(path, framework="numpy")
            except (SafetensorError, OSError) as error:
                raise ModelError(
                    f"{path} can't be read ({error}); it is missing or cut short, download or export it again"
                ) from error
        return self._open[name]

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's shape by name, from the files' headers."""
        found = {}
        for name, file in self._files.items():
            try:
                found[name] = tuple(self._file(file).get_slice(name).get_shape())
            except SafetensorError as error:
                raise ModelError(
                    f"{self.path / file} lacks {name}, which the index names; download it again"
                ) from error
        return found

    def read(self, name: str) -> np.ndarray:
        """One tensor in its stored type."""
        return self._file(self._files[name]).get_tensor(name)

    def tokenizer(self) -> Tokenizer:
        """tokenizer.json and what lies beside it."""
        return tokenizers.load(self.path)


class GGUF:
    """A GGUF file of an architecture that one of `families` has."""

    def __init__(self, path: Path):
        self.path, self.origin = path, str(path)
        try:
            reader = gguf.GGUFReader(path)
            self.metadata = {name: field.contents() for name, field in reader.fields.items()}
            self._tensors = {self._name(t.name): t for t in reader.tensors}
        except (ValueError, IndexError, KeyError, OSError, OverflowError) as error:
            raise ModelError(f"{path} is no whole GGUF file ({error}); download it again") from error
        self.architecture = str(self.metadata.get("general.architecture"))
        self.family = families.of_gguf(self.architecture, self.origin)

    @staticmethod
    def _name(theirs: str) -> str:
        match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", theirs)
        if match and match[2] in GGUF_PARTS:
            return f"model.layers.{match[1]}.{GGUF_PARTS[match[2]]}.{match[3]}"
        return GGUF_NAMES.get(theirs, theirs)

    def _get(self, key: str, default: Any = None) -> Any:
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        if value is None:
            raise ModelError(f"{self.path} lacks {self.architecture}.{key}; convert the model again")
        return value

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The metadata as a Hugging Face config.json."""
        heads, width = self._get("attention.head_count"), self._get("embedding_length")
        settings = {
            "model_type": self.family.name,
            "vocab_size": self._shape("model.embed_tokens.weight")[0],
            "hidden_size": width,
            "num_hidden_layers": self._get("block_count"),
            "num_attention_heads": heads,
            "num_key_value_heads": self._get("attention.head_count_kv", heads),
            "head_dim": self._get("attention.key_length", width // heads),
            "intermediate_size": self._get("feed_forward_length"),
            "rope_theta": self._get("rope.freq_base", 10_000.0),
            "rms_norm_eps": self._get("attention.layer_norm_rms_epsilon"),
            "max_position_embeddings": self._get("context_length", 4096),
            "tie_word_embeddings": "lm_head.weight" not in self._tensors,
        }
        if ROPE_FACTORS in self._tensors:
            settings["rope_scaling"] = self._rope_scaling(self._dequantised(ROPE_FACTORS))
        kind = self._get("rope.scaling.type", "none")
        if kind not in ("none", "linear") or self._get("rope.scaling.factor", 1.0) != 1.0:
            raise ModelError(f"{self.path}: rope scaling {kind!r} is not supported; use a file without it")
        return settings

    def _rope_scaling(self, factors: np.ndarray) -> dict[str, Any]:
        """Llama 3's scaling from its table of factors, the largest of which is the factor."""
        return {
            "rope_type": "llama3",
            "factor": float(factors.max()),
            "low_freq_factor": LLAMA3_LOW_FACTOR,
            "high_freq_factor": LLAMA3_HIGH_FACTOR,
            "original_max_position_embeddings": LLAMA3_ORIGINAL_CONTEXT,
        }

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
        """The number of heads in every tensor of queries or keys."""
        heads = {"q_LDNH": "num_attention_heads", "k_LDKH": "num_key_value_heads"}
        layers = range(self.settings["num_hidden_layers"])
        return {
            self.family.tensors[ours].format(layer=layer): self.settings[key]
            for ours, key in heads.items()
            for layer in layers
        }

    def tokenizer(self) -> Tokenizer:
        """The tokenizer in the metadata."""
        return gguf_tokenizer.read_tokenizer(self.metadata, self.origin)


def _halves_apart(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows [heads * H, D] with rotary pairs side by side, as Hugging Face has them: first halves, then second."""
    return rows.reshape(heads, -1, 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)
