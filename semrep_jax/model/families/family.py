"""What a family of models says of itself, and the reading and writing of its config.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from semrep_jax.model.shape import ModelError, Parameter, RopeScaling, Shape

# What `Family.shape` reads of a config.json, and of the description of rotary embeddings in it.
READ = frozenset(
    (
        "model_type",
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "intermediate_size",
        "rms_norm_eps",
        "tie_word_embeddings",
        "max_position_embeddings",
        "rope_theta",
        "rope_scaling",
        "rope_parameters",
    )
)
READ_OF_ROPE = frozenset(
    (
        "rope_theta",
        "rope_type",
        "type",
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    )
)

# What changes nothing of what is computed from given weights and tokens, whatever its value.
HARMLESS = frozenset(
    (
        "_attn_implementation_autoset",
        "_name_or_path",
        "architectures",
        "attention_dropout",
        "bos_token_id",
        "dtype",
        "eos_token_id",
        "gradient_checkpointing",
        "initializer_range",
        "is_llama_config",
        "pad_token_id",
        "pretraining_tp",
        "tokenizer_class",
        "torch_dtype",
        "transformers.js_config",
        "transformers_version",
        "unsloth_fixed",
        "unsloth_version",
        "use_cache",
    )
)

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
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        try:
            heads = config["num_attention_heads"]
            return Shape(
                vocab=config["vocab_size"],
                dim=config["hidden_size"],
                layers=config["num_hidden_layers"],
                heads=heads,
                kv_heads=config.get("num_key_value_heads") or heads,
                head_dim=config.get("head_dim") or self.head_dim or config["hidden_size"] // heads,
                ffn=config["intermediate_size"],
                rope_theta=float(rope.get("rope_theta") or config["rope_theta"]),
                norm_eps=config["rms_norm_eps"],
                tied=config.get("tie_word_embeddings", False),
                **self.switches,
                rope_scaling=self._rope_scaling(rope, origin),
                context=config.get("max_position_embeddings", 4096),
                family=self.name,
            )
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
            float(rope["factor"]),
            float(rope["low_freq_factor"]),
            float(rope["high_freq_factor"]),
            int(rope["original_max_position_embeddings"]),
        )

    def config(self, shape: Shape, end_id: int, pad_id: int) -> dict[str, Any]:
        """The config.json of an export, as `transformers` reads it."""
        config = {
            "architectures": [self.architecture],
            "model_type": self.name,
            "vocab_size": shape.vocab,
            "hidden_size": shape.dim,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "head_dim": shape.head_dim,
            "intermediate_size": shape.ffn,
            "rope_theta": shape.rope_theta,
            "rms_norm_eps": shape.norm_eps,
            "tie_word_embeddings": shape.tied,
            "hidden_act": "silu",
            "attention_bias": self.qkv_bias,
            "mlp_bias": False,
            "max_position_embeddings": shape.context,
            "torch_dtype": "float32",
            "bos_token_id": None,
            "eos_token_id": end_id,
            "pad_token_id": pad_id,
        }
        if shape.rope_scaling is not None:
            config["rope_scaling"] = {
                "rope_type": "llama3",
                "factor": shape.rope_scaling.factor,
                "low_freq_factor": shape.rope_scaling.low,
                "high_freq_factor": shape.rope_scaling.high,
                "original_max_position_embeddings": shape.rope_scaling.original,
            }
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
