"""Settings of the model and of the devices it is spread over."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from semrep_jax.core.settings import Section


class Remat(StrEnum):
    """What the backward pass computes again instead of keeping."""

    NONE = "none"
    DOTS = "dots"
    FULL = "full"


class AttentionKind(StrEnum):
    """Who computes self-attention."""

    AUTO = "auto"
    XLA = "xla"
    CUDNN = "cudnn"
    PALLAS = "pallas"


class Quantise(StrEnum):
    """How the frozen projections under LoRA adapters are kept."""

    NONE = "none"
    NF4 = "nf4"
    INT4 = "int4"
    INT8 = "int8"


class ShapeConfig(Section):
    """Sizes of a decoder that is trained from scratch (`job: pretrain`) or only planned (`job: plan`)."""

    vocab: int = Field(768, ge=300, description="Most ids the tokenizer may have.")
    dim: int = Field(128, ge=8, description="Model width D.")
    layers: int = Field(5, ge=1, description="Number of blocks L.")
    heads: int = Field(4, ge=1, description="Query heads N.")
    kv_heads: int = Field(2, ge=1, description="Key/value heads K; divides heads.")
    head_dim: int = Field(32, ge=2, description="Width of a head H.")
    ffn: int = Field(448, ge=8, description="Width F of the feed-forward block.")
    rope_theta: float = Field(10_000.0, gt=0, description="Base of the rotary wavelengths.")
    tied: bool = Field(True, description="Use the embedding as the output projection.")
    qk_norm: bool = Field(False, description="Normalise queries and keys (Qwen3).")
    qkv_bias: bool = Field(False, description="Biases on queries, keys and values (Qwen2).")
    family: str | None = Field(
        None,
        description="Family an export is written as (llama, qwen2, qwen3, a plugin's); null: the one of these flags.",
    )


class DecodeWeights(StrEnum):
    """What the weights of matrix products are kept as while decoding: as they are computed with, or in fewer bits."""

    SAME = "same"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


class LoraConfig(Section):
    """LoRA and QLoRA: train adapters beside frozen weights; exports have them merged."""

    rank: int = Field(0, ge=0, description="Rank of the adapters; 0 for none.")
    alpha: float = Field(32.0, gt=0, description="The adapters' output is scaled by alpha / rank.")
    quantise: Quantise = Field(Quantise.NONE, description="Keep the frozen projections in 4 or 8 bits (QLoRA).")

    @model_validator(mode="after")
    def _something_trains(self) -> LoraConfig:
        if self.quantise is not Quantise.NONE and not self.rank:
            raise ValueError(
                "model.lora.quantise: quantised weights are frozen, so something beside them must train; "
                "set model.lora.rank"
            )
        return self


class ModelConfig(Section):
    """Which model, and how it computes."""

    source: str = Field(
        "nano", description="'nano' or 'gap' (shipped), a directory in Hugging Face layout, a .gguf file, or a hub id."
    )
    shape: ShapeConfig = Field(
        ShapeConfig(), description="Sizes for jobs pretrain and plan; a loaded model has its own."
    )
    compute: Literal["float32", "bfloat16"] = Field("float32", description="Type of activations and matrix products.")
    weights: Literal["float32", "bfloat16"] = Field(
        "float32", description="Type the weights are kept in; train float32 masters."
    )
    decode_weights: DecodeWeights = Field(
        DecodeWeights.SAME,
        description="On a CPU, keep the weights in fewer bits while decoding (bfloat16, int8): fewer bytes a token, "
        "and log-probs that differ from the trainer's (the metrics mismatch_* say by how much).",
    )
    remat: Remat = Field(
        Remat.DOTS, description="What the backward pass computes again: nothing, all but matrix products, everything."
    )
    attention: AttentionKind = Field(
        AttentionKind.AUTO, description="cudnn (NVIDIA, bfloat16), pallas (TPU), xla, or what fits the device."
    )
    lora: LoraConfig = Field(LoraConfig(), description="Low-rank adapters; rank 0 trains every weight.")


class MeshConfig(Section):
    """Devices along each named axis; the product may not exceed the devices at hand."""

    data: int = Field(1, ge=-1, description="Copies of the model that split the batch; -1 takes all devices left.")
    fsdp: int = Field(1, ge=1, description="Pieces each weight's model dimension is cut into.")
    tensor: int = Field(1, ge=1, description="Pieces heads, ffn and vocabulary are cut into.")
