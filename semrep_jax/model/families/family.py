"""What a family of models says of itself, and the reading and writing of its config.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from semrep_jax.model import rope
from semrep_jax.model.shape import ModelError, Parameter, Shape
from semrep_jax.model.values import COUNT, NOT_NEGATIVE, POSITIVE, SWITCH, WHOLE, Kind, require

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
ORIGINAL_CONTEXT = "original_max_position_embeddings"
ROPE = ("rope_scaling", "rope_parameters", ORIGINAL_CONTEXT)
READ = frozenset(("model_type", *ROPE, *SIZES))
# What the values that are computed with have to be.
KINDS: dict[str, Kind] = dict.fromkeys((*SIZES, ORIGINAL_CONTEXT), WHOLE) | {
    "rope_theta": POSITIVE,
    "rms_norm_eps": NOT_NEGATIVE,
    "tie_word_embeddings": SWITCH,
}
# What an absent attribute means in every family, as in the config classes of transformers.
DEFAULTS: dict[str, Any] = {"rms_norm_eps": 1e-6, "tie_word_embeddings": False}
DEFAULT_THETA = 10_000.0
# Sizes that follow from others where a config does not state them.
DERIVED = ("rope_theta", "num_key_value_heads", "head_dim")
# Attributes that say how the weights are quantised.
QUANTISED = ("quantization_config", "compression_config", "quantization")
# What lists the kind of each layer, and the kinds.
LAYERS = "layer_types"
FULL, SLIDING = "full_attention", "sliding_attention"

# What changes nothing of what is computed from given weights and tokens, whatever its value.
HARMLESS = frozenset((
    "_attn_implementation", "_attn_implementation_autoset", "_commit_hash", "_flash_attn_2_enabled", "_name_or_path",
    "architectures", "attention_dropout", "bos_token_id", "chunk_size_feed_forward", "decoder_start_token_id", "dtype",
    "eos_token_id", "finetuning_task", "gradient_checkpointing", "id2label", "initializer_range", "is_llama_config",
    "label2id", "max_length", "num_labels", "output_attentions", "output_hidden_states", "pad_token_id",
    "pretraining_tp", "problem_type", "return_dict", "sep_token_id", "task_specific_params", "tokenizer_class",
    "torch_dtype", "torchscript", "transformers.js_config", "transformers_version", "unsloth_fixed", "unsloth_version",
    "use_bfloat16", "use_cache",
))  # fmt: skip

# What the decoder computes in one way only: the values it has then, the usual one first.
COMPUTED: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "use_sliding_window": (False,),
    LAYERS: (FULL,),
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
    there is one for each layer. qk_norm, qkv_bias: the decoder's switches. attention_bias: whether a config may switch
    on biases of queries, keys, values and output by this name. sliding_window: whether it may have layers that see a
    window only. head_dim: what a config means that states none; None for hidden_size divided by heads. kv_heads: the
    same, at most the heads there are; None for as many as heads, which a null one always means. defaults: what other
    absent attributes mean, beside DEFAULTS. computed: attribute of the config -> the values we compute, beside
    COMPUTED. harmless: attributes that may have any value, beside HARMLESS. gguf_interleaves_rotary: GGUF files hold
    the rows of queries and keys with the two halves of each rotary pair side by side.
    """

    name: str
    architecture: str
    gguf_architecture: str
    tensors: Mapping[str, str]
    qk_norm: bool = False
    qkv_bias: bool = False
    attention_bias: bool = False
    sliding_window: bool = False
    head_dim: int | None = None
    kv_heads: int | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    computed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    harmless: frozenset[str] = frozenset()
    gguf_interleaves_rotary: bool = False

    @property
    def switches(self) -> tuple[dict[str, bool], ...]:
        """The decoder's switches by the names that `Shape` has for them: each set that the family may have."""
        plain = {"qk_norm": self.qk_norm, "qkv_bias": self.qkv_bias, "out_bias": False}
        return (plain, plain | {"qkv_bias": True, "out_bias": True}) if self.attention_bias else (plain,)

    def check(self, config: Mapping[str, Any], origin: str) -> None:
        """Refuse what we don't compute, and every attribute that we don't know: it may change what the model computes.

        config: the parsed config.json; an attribute that is null is taken as absent. origin: where it lies, for
        messages. Raises ModelError with the attribute, its value and what to do.
        """
        computed = COMPUTED | dict(self.computed)
        if self.attention_bias:
            computed["attention_bias"] = (False, True)
        if self.sliding_window:
            computed |= {"use_sliding_window": (False, True), LAYERS: (FULL, SLIDING)}
        for key, value in config.items():
            if value is None or key in READ | HARMLESS | self.harmless:
                continue
            if key in QUANTISED:
                method = value.get("quant_method", "method not stated") if isinstance(value, Mapping) else value
                raise ModelError(
                    f"{origin}: config.json has {key} = {value!r:.120}: the weights are quantised ({method}), which is "
                    "not supported; name the model they were made of, or a GGUF file (if the weights are plain numbers "
                    f"after all, remove {key})"
                )
            if key not in computed:
                raise ModelError(
                    f"{origin}: config.json has {key} = {value!r}, which the family {self.name} does not know; remove "
                    "it if it changes nothing of what the model computes, otherwise this model is not supported"
                )
            accepted = computed[key]
            for one in value if key == LAYERS and isinstance(value, list) else [value]:
                if one not in accepted:
                    raise ModelError(f"{origin}: {key} = {one!r} is not supported; supported is {accepted[0]!r}")
        for key, kind in KINDS.items():
            if config.get(key) is not None:
                require(kind, key, config[key], origin)

    def shape(self, config: Mapping[str, Any], origin: str) -> Shape:
        """The decoder's shape from a parsed config.json; `origin` says where it lies. Raises ModelError."""
        self.check(config, origin)
        given = DEFAULTS | dict(self.defaults) | {key: value for key, value in config.items() if value is not None}
        scaled = _rope(given, origin)
        given["rope_theta"] = float(require(POSITIVE, "rope_theta", scaled["rope_theta"], origin))
        missing = [theirs for theirs in SIZES if theirs not in (*given, *DERIVED)]
        if missing:
            raise ModelError(f"{origin}: config.json lacks {', '.join(missing)}; download or export the model again")
        heads = given["num_attention_heads"]
        absent = self.kv_heads if "num_key_value_heads" not in config else None
        given.setdefault("num_key_value_heads", min(absent or heads, heads))
        given.setdefault("head_dim", self.head_dim or given["hidden_size"] // heads)
        biased = bool(self.attention_bias and given.get("attention_bias"))
        shape = Shape(
            **{ours: given[theirs] for theirs, ours in SIZES.items()},
            qk_norm=self.qk_norm,
            qkv_bias=self.qkv_bias or biased,
            out_bias=biased,
            rope_scaling=rope.read(scaled, given["max_position_embeddings"], origin),
            windows=self._windows(dict(self.defaults) | dict(config), origin),
            family=self.name,
        )
        try:
            rope.frequencies(shape.rope_theta, shape.head_dim, shape.rope_scaling)
        except ModelError as error:
            raise ModelError(f"{origin}: {error}") from error
        return shape

    def _windows(self, given: Mapping[str, Any], origin: str) -> tuple[int | None, ...]:
        """The sliding window of each layer, as `Shape` has them."""
        layers, window = given["num_hidden_layers"], given.get("sliding_window")
        slides = self.sliding_window and given.get("use_sliding_window") and window is not None
        if slides:
            require(WHOLE, "sliding_window", window, origin)
            require(COUNT, "max_window_layers", given["max_window_layers"], origin)
        first = given["max_window_layers"] if slides else layers
        kinds = given.get(LAYERS) or [FULL] * min(first, layers) + [SLIDING] * (layers - first)
        if SLIDING in kinds and not slides:
            raise ModelError(
                f"{origin}: layer_types = {SLIDING!r} is not supported without use_sliding_window and sliding_window; "
                "state the window, or the layers as full_attention"
            )
        if len(kinds) != layers:
            raise ModelError(f"{origin}: layer_types has {len(kinds)} entries, num_hidden_layers is {layers}")
        if SLIDING not in kinds:
            return ()
        return tuple(window if kind == SLIDING else None for kind in kinds)

    def config(self, shape: Shape, end_id: int, pad_id: int) -> dict[str, Any]:
        """The config.json of an export, as `transformers` reads it.

        shape: the decoder's sizes. end_id, pad_id: ids of the tokens that end a completion and that fill what is empty.
        """
        sizes = {theirs: getattr(shape, ours) for theirs, ours in SIZES.items()}
        context = sizes.pop("max_position_embeddings")
        config = {
            "architectures": [self.architecture],
            "model_type": self.name,
            **sizes,
            "hidden_act": "silu",
            "attention_bias": shape.qkv_bias,
            "mlp_bias": False,
            "max_position_embeddings": context,
            "torch_dtype": "float32",
            "bos_token_id": None,
            "eos_token_id": end_id,
            "pad_token_id": pad_id,
        }
        if shape.rope_scaling is not None:
            config["rope_scaling"] = rope.write(shape.rope_scaling)
        if shape.windows:
            config["use_sliding_window"] = True
            config["sliding_window"] = next(window for window in shape.windows if window is not None)
            config[LAYERS] = kinds = [FULL if window is None else SLIDING for window in shape.windows]
            config["max_window_layers"] = kinds.index(SLIDING)  # what transformers read before layer_types
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


def _rope(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The rotary settings of a config.json as one dict, rope_theta included, with the precedence of transformers.

    `rope_scaling` stands for all of `rope_parameters` where both are there; a base that this would change silently is
    refused.
    """
    scaling, parameters = config.get("rope_scaling") or {}, config.get("rope_parameters") or {}
    for key, value in {"rope_scaling": scaling, "rope_parameters": parameters}.items():
        if not isinstance(value, Mapping):
            raise ModelError(f"{origin}: config.json has {key} = {value!r}, which is no dict of settings; mend it")
    chosen = {key: value for key, value in (scaling or parameters).items() if value is not None or key == "factor"}
    stated = chosen.get("rope_theta", config.get("rope_theta"))
    hidden = parameters.get("rope_theta") if scaling and stated is None else None
    if hidden is not None and require(POSITIVE, "rope_theta", hidden, origin) != DEFAULT_THETA:
        raise ModelError(
            f"{origin}: config.json has rope_scaling, which stands for all of rope_parameters, and so loses its "
            f"rope_theta = {hidden!r}; state rope_theta in rope_scaling too"
        )
    chosen["rope_theta"] = DEFAULT_THETA if stated is None else stated
    if config.get(ORIGINAL_CONTEXT) is not None and chosen.get("rope_type", chosen.get("type")) in rope.STRETCHES_FROM:
        chosen[ORIGINAL_CONTEXT] = config[ORIGINAL_CONTEXT]
    return chosen
