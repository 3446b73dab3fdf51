"""Llama: SmolLM2, Llama 3, the nano base, and what else states `model_type: llama`."""

from __future__ import annotations

from semrep_jax.model.families.family import Family

TENSORS = {
    "embed_VD": "model.embed_tokens.weight",
    "final_norm_D": "model.norm.weight",
    "head_VD": "lm_head.weight",
    "attn_norm_LD": "model.layers.{layer}.input_layernorm.weight",
    "q_LDNH": "model.layers.{layer}.self_attn.q_proj.weight",
    "k_LDKH": "model.layers.{layer}.self_attn.k_proj.weight",
    "v_LDKH": "model.layers.{layer}.self_attn.v_proj.weight",
    "o_LNHD": "model.layers.{layer}.self_attn.o_proj.weight",
    "ffn_norm_LD": "model.layers.{layer}.post_attention_layernorm.weight",
    "gate_LDF": "model.layers.{layer}.mlp.gate_proj.weight",
    "up_LDF": "model.layers.{layer}.mlp.up_proj.weight",
    "down_LFD": "model.layers.{layer}.mlp.down_proj.weight",
}
QKV_BIASES = {
    "q_bias_LNH": "model.layers.{layer}.self_attn.q_proj.bias",
    "k_bias_LKH": "model.layers.{layer}.self_attn.k_proj.bias",
    "v_bias_LKH": "model.layers.{layer}.self_attn.v_proj.bias",
}
ATTENTION_BIASES = QKV_BIASES | {"o_bias_LD": "model.layers.{layer}.self_attn.o_proj.bias"}

LLAMA = Family(
    name="llama",
    architecture="LlamaForCausalLM",
    gguf_architecture="llama",
    tensors=TENSORS | ATTENTION_BIASES,
    attention_bias=True,
    defaults={"max_position_embeddings": 2048},
    gguf_interleaves_rotary=True,
)
