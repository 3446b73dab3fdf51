"""What a device can do at most: dense bfloat16 FLOP/s by the name that JAX gives it (`device_kind`).

    peak_flops("TPU v5 lite")               # 1.97e14
    peak_flops("NVIDIA H100 80GB HBM3")     # 9.89e14
    peak_flops("cpu")                       # None: not known, and no utilisation is made up

Of GPUs the datasheets' figures without sparsity; of TPUs those of `ahead.CHIPS`. Work in float32 is measured against
the same peak, and so looks worse than it is.
"""

from __future__ import annotations

import re

from semrep_jax.model.ahead import CHIPS

TPU_KINDS = {"TPU v4": "v4", "TPU v5 lite": "v5e", "TPU v5e": "v5e", "TPU v5": "v5p", "TPU v5p": "v5p"}
TPU_KINDS |= {"TPU v6 lite": "v6e", "TPU v6e": "v6e"}
# By the words of a GPU's name that tell it apart; of several keys that fit, the one of most words.
GPU_FLOPS = {
    "A10": 125e12,
    "A100": 312e12,
    "B200": 2250e12,
    "GH200": 989e12,
    "H100": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H200": 989e12,
    "L4": 121e12,
    "L40S": 362e12,
}


def peak_flops(device_kind: str) -> float | None:
    """FLOP/s of one device; None where it is not known."""
    if device_kind in TPU_KINDS:
        return CHIPS[TPU_KINDS[device_kind]].flops
    words = set(re.findall(r"\w+", device_kind))
    keys = [key for key in GPU_FLOPS if words.issuperset(key.split())]
    return GPU_FLOPS[max(keys, key=lambda key: len(key.split()))] if keys else None
