"""Qwen2 and Qwen2.5 (Coder, QwQ): a Llama with biases on queries, keys and values."""

from __future__ import annotations

from semrep_jax.model.families.family import Family
from semrep_jax.model.families.llama import TENSORS

# Both speak of a sliding window, which `use_sliding_window` has to switch on.
WINDOW = frozenset(("sliding_window", "max_window_layers"))

QWEN2 = Family(
    name="qwen2",
    architecture="Qwen2ForCausalLM",
    gguf_architecture="qwen2",
    tensors=TENSORS
    | {
        "q_bias_LNH": "model.layers.{layer}.self_attn.q_proj.bias",
        "k_bias_LKH": "model.layers.{layer}.self_attn.k_proj.bias",
        "v_bias_LKH": "model.layers.{layer}.self_attn.v_proj.bias",
    },
    qkv_bias=True,
    computed={"attention_bias": (True, False)},  # its biases are there whatever this says
    harmless=WINDOW,
)
