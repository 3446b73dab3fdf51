"""Qwen3, dense: a Llama that normalises queries and keys."""

from __future__ import annotations

from semrep_jax.model.families.family import Family
from semrep_jax.model.families.llama import TENSORS
from semrep_jax.model.families.qwen2 import WINDOW

QWEN3 = Family(
    name="qwen3",
    architecture="Qwen3ForCausalLM",
    gguf_architecture="qwen3",
    tensors=TENSORS
    | {
        "q_norm_LH": "model.layers.{layer}.self_attn.q_norm.weight",
        "k_norm_LH": "model.layers.{layer}.self_attn.k_norm.weight",
    },
    qk_norm=True,
    head_dim=128,
    harmless=WINDOW,
)
