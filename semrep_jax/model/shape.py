"""The sizes and switches of a decoder, and the table of its parameters.

    shape = Shape(vocab=768, dim=128, layers=5, heads=4, kv_heads=2, head_dim=32, ffn=448)
    layout(shape)["q_LDNH"].size           # (5, 128, 4, 32)

Everything that is to be known of a parameter stands in `PARAMETERS`: its axes, how it starts, whether weight decay
applies. No other file reads anything out of a parameter's name. Axis letters in names: V vocabulary, D model, N
heads, K kv heads, H head size, F ffn, L layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from semrep_jax.core.errors import SemRepError

if TYPE_CHECKING:
    from semrep_jax.model.rope import RopeScaling

EMBEDDING_STD = 0.02


class ModelError(SemRepError):
    """A model's shape, files or inputs do not fit."""


@dataclass(frozen=True)
class Shape:
    """Sizes and switches of a decoder, under the field's names (Hugging Face's are in `families`).

    rope_theta: base of the rotary wavelengths. tied: the embedding is the output projection. qk_norm: queries and
    keys are normalised. qkv_bias: queries, keys and values have biases; out_bias: what attention gives has one.
    rope_scaling: what stretches the wavelengths. context: the longest text it was made for, in tokens. family: its
    name in `families.FAMILIES`; None for sizes alone, which are then written as the first family with these switches.
    windows: of each layer, how many tokens back a query sees, itself included; None where it sees all; () where all
    layers do. Raises ModelError for sizes that do not fit together.
    """

    vocab: int
    dim: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-6
    tied: bool = True
    qk_norm: bool = False
    qkv_bias: bool = False
    rope_scaling: RopeScaling | None = None
    context: int = 4096
    family: str | None = None
    out_bias: bool = False
    windows: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ModelError(f"heads {self.heads} is no multiple of kv_heads {self.kv_heads}: change one of them")
        if self.head_dim % 2:
            raise ModelError(f"head_dim {self.head_dim} must be even for rotary embeddings")
        if self.windows and len(self.windows) != self.layers:
            raise ModelError(f"{len(self.windows)} layers have a stated window and there are {self.layers} layers")

    @property
    def untied(self) -> bool:
        """Whether the output projection is a parameter of its own."""
        return not self.tied

    def length(self, axis: str) -> int:
        """The length of a logical axis (one of `sharding.RULES`): they have our names but for the model's width."""
        return int(getattr(self, "dim" if axis == "embed" else axis))


@dataclass(frozen=True)
class Parameter:
    """One array of parameters.

    size, axes: its shape and the logical axis of each dimension (None: replicated). std: the standard deviation that
    it is drawn with, or None where it starts at one. inputs: how many of a projection's axes, after the layers, are
    inputs; 0 for what is no projection.
    """

    size: tuple[int, ...]
    axes: tuple[str | None, ...]
    std: float | None
    inputs: int = 0

    @property
    def stacked(self) -> bool:
        """Whether its first axis runs over the layers."""
        return self.axes[0] == "layers"

    @property
    def layer_size(self) -> tuple[int, ...]:
        """The shape of one layer's part of it, or of the whole where it isn't stacked."""
        return self.size[1:] if self.stacked else self.size


class Kind(Enum):
    """What a parameter is in the decoder: this decides how it starts, and whether it decays."""

    EMBEDDING = "embedding"
    HEAD = "head"
    NORM = "norm"
    BIAS = "bias"
    PROJECTION = "projection"
    RESIDUAL = "residual"  # a projection whose result is added to the residual stream


class Declaration(NamedTuple):
    """A parameter of any shape. inputs: as in `Parameter`. switch: of the shapes that have it; None where all do."""

    kind: Kind
    axes: tuple[str, ...]
    inputs: int = 0
    switch: str | None = None

    @property
    def decays(self) -> bool:
        """Whether weight decay applies."""
        return self.kind not in (Kind.NORM, Kind.BIAS)


# In the order in which random starts are drawn.
PARAMETERS = {
    "embed_VD": Declaration(Kind.EMBEDDING, ("vocab", "embed")),
    "final_norm_D": Declaration(Kind.NORM, ("embed",)),
    "attn_norm_LD": Declaration(Kind.NORM, ("layers", "embed")),
    "q_LDNH": Declaration(Kind.PROJECTION, ("layers", "embed", "heads", "head_dim"), inputs=1),
    "k_LDKH": Declaration(Kind.PROJECTION, ("layers", "embed", "kv_heads", "head_dim"), inputs=1),
    "v_LDKH": Declaration(Kind.PROJECTION, ("layers", "embed", "kv_heads", "head_dim"), inputs=1),
    "o_LNHD": Declaration(Kind.RESIDUAL, ("layers", "heads", "head_dim", "embed"), inputs=2),
    "ffn_norm_LD": Declaration(Kind.NORM, ("layers", "embed")),
    "gate_LDF": Declaration(Kind.PROJECTION, ("layers", "embed", "ffn"), inputs=1),
    "up_LDF": Declaration(Kind.PROJECTION, ("layers", "embed", "ffn"), inputs=1),
    "down_LFD": Declaration(Kind.RESIDUAL, ("layers", "ffn", "embed"), inputs=1),
    "head_VD": Declaration(Kind.HEAD, ("vocab", "embed"), switch="untied"),
    "q_norm_LH": Declaration(Kind.NORM, ("layers", "head_dim"), switch="qk_norm"),
    "k_norm_LH": Declaration(Kind.NORM, ("layers", "head_dim"), switch="qk_norm"),
    "q_bias_LNH": Declaration(Kind.BIAS, ("layers", "heads", "head_dim"), switch="qkv_bias"),
    "k_bias_LKH": Declaration(Kind.BIAS, ("layers", "kv_heads", "head_dim"), switch="qkv_bias"),
    "v_bias_LKH": Declaration(Kind.BIAS, ("layers", "kv_heads", "head_dim"), switch="qkv_bias"),
    "o_bias_LD": Declaration(Kind.BIAS, ("layers", "embed"), switch="out_bias"),
}


def layout(shape: Shape) -> dict[str, Parameter]:
    """Every parameter of a decoder by name."""
    table = {}
    for name, declared in PARAMETERS.items():
        if declared.switch is None or getattr(shape, declared.switch):
            size = tuple(shape.length(axis) for axis in declared.axes)
            std = _std(declared, size, shape)
            table[name] = Parameter(size, declared.axes, std, declared.inputs)
    return table


def _std(declared: Declaration, size: tuple[int, ...], shape: Shape) -> float | None:
    """Projections keep the variance of their inputs; into the residual stream they are smaller, as 2 L add up."""
    fan_in = math.prod(size[1 : 1 + declared.inputs])
    match declared.kind:
        case Kind.NORM:
            return None
        case Kind.BIAS:
            return 0.0
        case Kind.EMBEDDING:
            return EMBEDDING_STD
        case Kind.HEAD:
            return shape.dim**-0.5
        case Kind.PROJECTION:
            return fan_in**-0.5
        case Kind.RESIDUAL:
            return fan_in**-0.5 * (2 * shape.layers) ** -0.5
