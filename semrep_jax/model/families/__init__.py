"""Model families, one file each: what their checkpoints look like, and which switches of the decoder they set.

    family = of_config(config, origin)             # by config.json's model_type
    family.shape(config, origin)                   # -> Shape; what is unknown in the config is refused
    FAMILIES.add("mistral", Family(...))           # what a plugin does

A family that the decoder can compute is one file like `qwen3.py`, named below or added by a plugin.
"""

from __future__ import annotations

from typing import Any

from semrep_jax.core.plugins import Registry
from semrep_jax.model.families.family import Family
from semrep_jax.model.shape import ModelError, Shape
from semrep_jax.model.values import TEXT, require

__all__ = ["FAMILIES", "Family", "of_config", "of_gguf", "of_shape"]

FAMILIES: Registry[Family] = Registry(
    "model family",
    "model.shape.family",
    {
        "llama": "semrep_jax.model.families.llama:LLAMA",
        "qwen2": "semrep_jax.model.families.qwen2:QWEN2",
        "qwen3": "semrep_jax.model.families.qwen3:QWEN3",
    },
)


def of_config(config: dict[str, Any], origin: str) -> Family:
    """The family that a config.json names. Raises ModelError."""
    name = config.get("model_type")
    if name is None:
        raise ModelError(f"{origin}: config.json lacks 'model_type'; download or export the model again")
    if require(TEXT, "model_type", name, origin) not in FAMILIES:
        raise ModelError(f"{origin}: model_type {name!r} is not supported; supported are {', '.join(FAMILIES)}")
    return FAMILIES[name]


def of_gguf(architecture: str, origin: str) -> Family:
    """The family whose GGUF files state this architecture. Raises ModelError."""
    by_architecture = {FAMILIES[name].gguf_architecture: FAMILIES[name] for name in FAMILIES}
    if architecture not in by_architecture:
        *others, last = by_architecture
        known = f"{', '.join(others)} and {last}"
        raise ModelError(f"{origin} holds architecture {architecture!r}; supported are {known}")
    return by_architecture[architecture]


def of_shape(shape: Shape) -> Family:
    """The family that a shape states, or the first with its switches. Raises ModelError where the two don't agree."""
    switches = {"qk_norm": shape.qk_norm, "qkv_bias": shape.qkv_bias, "out_bias": shape.out_bias}
    if shape.family is not None:
        family = FAMILIES[shape.family]
        if switches not in family.switches:
            has = " or ".join(map(str, family.switches))
            raise ModelError(f"model.shape: the family {shape.family} has {has}, not {switches}; set these")
        return family
    for name in FAMILIES:
        if switches in FAMILIES[name].switches and (FAMILIES[name].sliding_window or not shape.windows):
            return FAMILIES[name]
    raise ModelError(f"model.shape: no family of {', '.join(FAMILIES)} has {switches}; change one of them")
