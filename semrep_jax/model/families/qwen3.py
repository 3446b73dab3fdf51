"""Qwen3, dense: a Llama that normalises queries and keys."""

from __future__ import annotations

from semrep_jax.model.families.family import Family
from semrep_jax.model.families.llama import ATTENTION_BIASES, TENSORS
from semrep_jax.model.families.qwen2 import DEFAULTS, WINDOW

QWEN3 = Family(
    name="qwen3",
    architecture="Qwen3ForCausalLM",
    gguf_architecture="qwen3",
    tensors=TENSORS
    | ATTENTION_BIASES
    | {
        "q_norm_LH": "model.layers.{layer}.self_attn.q_norm.weight",
        "k_norm_LH": "model.layers.{layer}.self_attn.k_norm.weight",
    },
    qk_norm=True,
    attention_bias=True,
    sliding_window=True,
    kv_heads=32,
    defaults=DEFAULTS,
    head_dim=128,
    harmless=WINDOW,
)
