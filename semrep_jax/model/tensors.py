"""Where a pretrained model's tensors come from: safetensors (one file or shards with an index) or a GGUF file.

Both give one tensor at a time under its Hugging Face name and in its Hugging Face layout, so that a model never lies whole
in host memory. GGUF weights come dequantised (F32, F16, BF16, Q4_0, Q4_1, Q4_K, Q5_K, Q6_K, Q8_0 through the `gguf` package).
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

from semrep_jax.model.decoder import ModelError
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.model.tokenizer import from_gguf as gguf_tokenizer
from semrep_jax.model.tokenizer import load as directory_tokenizer


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
        return directory_tokenizer(self.path)


_GGUF_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight",
}  # fmt: skip
_GGUF_PARTS = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
_ROPE_FACTORS = "rope_freqs.weight"


class GGUF:
    """A GGUF file of the llama, qwen2 or qwen3 architecture."""

    def __init__(self, path: Path):
        self.path, self.origin = path, str(path)
        try:
            reader = gguf.GGUFReader(path)
            self.metadata = {name: field.contents() for name, field in reader.fields.items()}
            self._tensors = {self._name(t.name): t for t in reader.tensors}
        except (ValueError, IndexError, KeyError, OSError, OverflowError) as error:
            raise ModelError(f"{path} is no whole GGUF file ({error}); download it again") from error
        self.architecture = str(self.metadata.get("general.architecture"))
        if self.architecture not in ("llama", "qwen2", "qwen3"):
            raise ModelError(f"{path} holds architecture {self.architecture!r}; supported are llama, qwen2 and qwen3")

    @staticmethod
    def _name(theirs: str) -> str:
        match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", theirs)
        if match and match[2] in _GGUF_PARTS:
            return f"model.layers.{match[1]}.{_GGUF_PARTS[match[2]]}.{match[3]}"
        return _GGUF_NAMES.get(theirs, theirs)

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
            "model_type": self.architecture, "vocab_size": self._shape("model.embed_tokens.weight")[0], "hidden_size": width,
            "num_hidden_layers": self._get("block_count"), "num_attention_heads": heads,
            "num_key_value_heads": self._get("attention.head_count_kv", heads),
            "head_dim": self._get("attention.key_length", width // heads), "intermediate_size": self._get("feed_forward_length"),
            "rope_theta": self._get("rope.freq_base", 10_000.0), "rms_norm_eps": self._get("attention.layer_norm_rms_epsilon"),
            "max_position_embeddings": self._get("context_length", 4096), "tie_word_embeddings": "lm_head.weight" not in self._tensors,
        }  # fmt: skip
        if _ROPE_FACTORS in self._tensors:
            settings["rope_scaling"] = self._scaling(self.read(_ROPE_FACTORS))
        kind = self.metadata.get(f"{self.architecture}.rope.scaling.type", "none")
        if kind not in ("none", "linear") or self.metadata.get(f"{self.architecture}.rope.scaling.factor", 1.0) != 1.0:
            raise ModelError(f"{self.path}: rope scaling {kind!r} is not supported; use a file without it")
        return settings

    def _scaling(self, factors: np.ndarray) -> dict[str, Any]:
        """Llama 3's scaling from its table of factors: the largest is the factor, the other numbers are those of every Llama 3."""
        return {
            "rope_type": "llama3", "factor": float(factors.max()), "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }  # fmt: skip

    def _shape(self, name: str) -> tuple[int, ...]:
        if name not in self._tensors:
            raise ModelError(f"{self.path} lacks the tensor {name}; download it again")
        return tuple(int(n) for n in reversed(self._tensors[name].shape))

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's shape by its Hugging Face name."""
        return {name: self._shape(name) for name in self._tensors if name != _ROPE_FACTORS}

    def read(self, name: str) -> np.ndarray:
        """One tensor, dequantised to float32. Llama's query and key rows are put back from GGUF's rotary order."""
        tensor = self._tensors[name]
        try:
            value = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(self._shape(name))
        except (NotImplementedError, ValueError) as error:
            raise ModelError(
                f"{self.path}: {name} of type {tensor.tensor_type.name} can't be read ({error})"
            ) from error
        if self.architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = self.settings["num_attention_heads" if "q_proj" in name else "num_key_value_heads"]
            value = value.reshape(heads, -1, 2, value.shape[-1]).swapaxes(1, 2).reshape(value.shape)
        return value

    def tokenizer(self) -> Tokenizer:
        """The tokenizer in the metadata."""
        return gguf_tokenizer(self.metadata, self.origin)
