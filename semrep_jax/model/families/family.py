"""What a family of models says of itself, and the reading and writing of its config.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from semrep_jax.model.shape import ModelError, Parameter, RopeScaling, Shape

DEFAULT_CONTEXT = 4096

# config.json's name of a size -> the one in `Shape`, in the order of an export.
SIZES = {
    "vocab_size": "vocab",
    "hidden_size": "dim",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "head_dim": "head_dim",
    "intermediate_size": "ffn",
    "rope_theta": "rope_theta",
    "rms_norm_eps": "norm_eps",
    "tie_word_embeddings": "tied",
    "max_position_embeddings": "context",
}
ROPE_SCALING = {
    "factor": "factor",
    "low_freq_factor": "low",
    "high_freq_factor": "high",
    "original_max_position_embeddings": "original",
}
READ = frozenset(("model_type", "rope_scaling", "rope_parameters", *SIZES))
READ_OF_ROPE = frozenset(("rope_theta", "rope_type", "type", *ROPE_SCALING))

# What changes nothing of what is computed from given weights and tokens, whatever its value.
HARMLESS = frozenset((
    "_attn_implementation_autoset", "_name_or_path", "architectures", "attention_dropout", "bos_token_id", "dtype",
    "eos_token_id", "gradient_checkpointing", "initializer_range", "is_llama_config", "pad_token_id", "pretraining_tp",
    "tokenizer_class", "torch_dtype", "transformers.js_config", "transformers_version", "unsloth_fixed",
    "unsloth_version", "use_cache",
))  # fmt: skip

# What the decoder computes in one way only: the values it has then, the usual one first.
COMPUTED: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "use_sliding_window": (False,),
    "layer_types": ("full_attention",),
    "partial_rotary_factor": (1.0,),
    "rope_interleaved": (False,),
    "use_mrope": (False,),
}


@dataclass(frozen=True)
class StoredTensor:
    """A checkpoint's tensor: its name, its shape, and whether it is our matrix transposed ([out, in] for [in, out])."""

    name: str
    size: tuple[int, ...]
    transposed: bool


@dataclass(frozen=True)
class Family:
    """A family of models that the decoder computes.

    name: config.json's `model_type`. architecture: the class of `transformers` that loads an export.
    gguf_architecture: its name in GGUF files. tensors: our parameter -> the checkpoint's tensor, with {layer} where
    there is one for each layer. qk_norm, qkv_bias: the decoder's switches. head_dim: what a config means that states
    none; None for hidden_size divided by heads. computed: attribute of the config -> the values we compute, beside
    COMPUTED. harmless: attributes that may have any value, beside HARMLESS. gguf_interleaves_rotary: GGUF files hold
    the rows of queries and keys with the two halves of each rotary pair side by side.
    """

    name: str
    architecture: str
    gguf_architecture: str
    tensors: Mapping[str, str]
    qk_norm: bool = False
    qkv_bias: bool = False
    head_dim: int | None = None
    computed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    harmless: frozenset[str] = frozenset()
    gguf_interleaves_rotary: bool = False

    @property
    def switches(self) -> dict[str, bool]:
        """The decoder's switches by the names that `Shape` has for them."""
        return {"qk_norm": self.qk_norm, "qkv_bias": self.qkv_bias}

    def check(self, config: Mapping[str, Any], origin: str, read: frozenset[str] = READ) -> None:
        """Refuse what we don't compute, and every attribute that we don't know: it may change what the model computes.

        config: the parsed config.json, or a part of it; an attribute that is null is taken as absent. origin: where
        it lies, for messages. read: the attributes that are read elsewhere. Raises ModelError with the attribute, its
        value and what to do.
        """
        computed = COMPUTED | dict(self.computed)
        for key, value in config.items():
            if value is None or key in read | HARMLESS | self.harmless:
                continue
            if key not in computed:
                raise ModelError(
                    f"{origin}: config.json has {key} = {value!r}, which the family {self.name} does not know; remove "
                    "it if it changes nothing of what the model computes, otherwise this model is not supported"
                )
            accepted = computed[key]
            for one in value if isinstance(value, list) else [value]:
                if one not in accepted:
                    raise ModelError(f"{origin}: {key} = {one!r} is not supported; supported is {accepted[0]!r}")

    def shape(self, config: Mapping[str, Any], origin: str) -> Shape:
        """The decoder's shape from a parsed config.json; `origin` says where it lies. Raises ModelError."""
        self.check(config, origin)
        given = {key: value for key, value in config.items() if value is not None}
        rope = given.get("rope_parameters") or given.get("rope_scaling") or {}
        try:
            heads = given["num_attention_heads"]
            absent = {
                "num_key_value_heads": heads,
                "head_dim": self.head_dim or given["hidden_size"] // heads,
                "tie_word_embeddings": False,
                "max_position_embeddings": DEFAULT_CONTEXT,
            }
            given = absent | given
            given["rope_theta"] = float(rope.get("rope_theta") or given["rope_theta"])
            sizes = {ours: given[theirs] for theirs, ours in SIZES.items()}
            return Shape(**sizes, **self.switches, rope_scaling=self._rope_scaling(rope, origin), family=self.name)
        except KeyError as error:
            raise ModelError(
                f"{origin}: config.json lacks {error.args[0]!r}; download or export the model again"
            ) from error

    def _rope_scaling(self, rope: Mapping[str, Any], origin: str) -> RopeScaling | None:
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind not in ("default", "llama3"):
            raise ModelError(f"{origin}: rope scaling {kind!r} is not supported; supported are none and llama3")
        self.check(rope, origin, READ_OF_ROPE)
        if kind == "default":
            return None
        return RopeScaling(
            factor=float(rope["factor"]),
            low=float(rope["low_freq_factor"]),
            high=float(rope["high_freq_factor"]),
            original=int(rope["original_max_position_embeddings"]),
        )

    def config(self, shape: Shape, end_id: int, pad_id: int) -> dict[str, Any]:
        """The config.json of an export, as `transformers` reads it."""
        sizes = {theirs: getattr(shape, ours) for theirs, ours in SIZES.items()}
        context = sizes.pop("max_position_embeddings")
        config = {
            "architectures": [self.architecture],
            "model_type": self.name,
            **sizes,
            "hidden_act": "silu",
            "attention_bias": self.qkv_bias,
            "mlp_bias": False,
            "max_position_embeddings": context,
            "torch_dtype": "float32",
            "bos_token_id": None,
            "eos_token_id": end_id,
            "pad_token_id": pad_id,
        }
        if shape.rope_scaling is not None:
            scaling = {theirs: getattr(shape.rope_scaling, ours) for theirs, ours in ROPE_SCALING.items()}
            config["rope_scaling"] = {"rope_type": "llama3"} | scaling
        return config

    def stored(self, name: str, parameter: Parameter) -> list[StoredTensor]:
        """The checkpoint's tensors that make up our parameter `name`: one for each layer, or the one there is."""
        size, inputs = parameter.layer_size, parameter.inputs
        if inputs:
            size = (math.prod(size[inputs:]), math.prod(size[:inputs]))
        elif parameter.stacked:
            size = (math.prod(size),)
        layers = range(parameter.size[0]) if parameter.stacked else range(1)
        return [StoredTensor(self.tensors[name].format(layer=layer), size, bool(inputs)) for layer in layers]
