"""Qwen2 and Qwen2.5 (Coder, QwQ): a Llama with biases on queries, keys and values."""

from __future__ import annotations

from semrep_jax.model.families.family import Family
from semrep_jax.model.families.llama import QKV_BIASES, TENSORS

# Both speak of a sliding window, which `use_sliding_window` has to switch on.
WINDOW = frozenset(("sliding_window", "max_window_layers"))
DEFAULTS = {"max_position_embeddings": 32768, "sliding_window": 4096, "max_window_layers": 28}

QWEN2 = Family(
    name="qwen2",
    architecture="Qwen2ForCausalLM",
    gguf_architecture="qwen2",
    tensors=TENSORS | QKV_BIASES,
    qkv_bias=True,
    sliding_window=True,
    kv_heads=32,
    defaults=DEFAULTS,
    computed={"attention_bias": (True, False)},  # its biases are there whatever this says
    harmless=WINDOW,
)
