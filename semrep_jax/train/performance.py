"""What training takes of the machine: tokens a second, model FLOPs utilisation, peak memory.

    work = Work.of([Texts(120, [30, 41])])
    train_flops(model, work) / (seconds * peak)        # MFU

The FLOPs are the model's, not the machine's: what padding, a repeated prompt, rematerialisation and groups that count
for nothing take is not counted, and so lowers the MFU. N parameters of the projections, V x D of the output head, A of
adapters, L layers of H heads of size h:

    forward  = 2 (N + A) tokens + 2 V D predicted + 4 H h sum over layers of pairs
    training = 3 forward = 6 (N + A) tokens + ...               where every weight is trained
             = 2 forward + 2 A tokens + attention's forward     where adapters are, as no other weight has a gradient

`tokens` are all, `predicted` those whose probability is asked, `pairs` the keys that each token sees, itself included.
PaLM (arXiv 2204.02311, appendix B) has the same model with N for all parameters; embedding look-ups and norms are none.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from semrep_jax.model import adapters
from semrep_jax.model.decoder import Model
from semrep_jax.model.peaks import peak_flops
from semrep_jax.model.shape import layout

GIB = 2**30


@dataclass(frozen=True)
class Texts:
    """Tokens of a prompt and of each completion of it that an update learns from."""

    prompt: int
    completions: Sequence[int]


@dataclass(frozen=True)
class Work:
    """The real tokens of one pass. places: of each, from 0 in its own text. predicted: how many are predicted."""

    places: np.ndarray
    predicted: int

    @classmethod
    def of(cls, groups: Sequence[Texts]) -> Work:
        """Of groups whose prompt is computed once, each completion behind it."""
        parts = [np.arange(group.prompt) for group in groups]
        parts += [group.prompt + np.arange(size) for group in groups for size in group.completions]
        return cls(np.concatenate([np.arange(0), *parts]), sum(sum(group.completions) for group in groups))

    @property
    def tokens(self) -> int:
        """How many there are."""
        return len(self.places)


@dataclass(frozen=True)
class _Flops:
    """Of a forward pass: of weights that are multiplied with, of adapters among them, of attention."""

    weights: float
    adapters: float
    attention: float

    @property
    def total(self) -> float:
        return self.weights + self.attention


def _forward(model: Model, work: Work) -> _Flops:
    shape = model.shape
    table = layout(shape)
    projections = sum(math.prod(p.size) for p in table.values() if p.inputs)
    low_rank = sum(math.prod(p.size) for p in adapters.layout(table, model.compute_config.adapter).values())
    weights = 2.0 * (projections + low_rank) * work.tokens + 2.0 * shape.vocab * shape.dim * work.predicted
    windows = shape.windows or (None,) * shape.layers
    pairs = sum(float(np.minimum(work.places + 1, w or np.inf).sum()) for w in windows)
    return _Flops(weights, 2.0 * low_rank * work.tokens, 4.0 * shape.heads * shape.head_dim * pairs)


def forward_flops(model: Model, work: Work) -> float:
    """FLOPs of a forward pass, of the whole model on all devices together."""
    return _forward(model, work).total


def train_flops(model: Model, work: Work) -> float:
    """FLOPs of a forward and a backward pass, of the whole model on all devices together."""
    forward = _forward(model, work)
    gradients = forward.weights if model.compute_config.adapter is None else forward.adapters
    return 2.0 * forward.total + gradients + forward.attention


def utilisation(model: Model, flops: float, seconds: float) -> dict[str, float]:
    """perf/mfu: the share of what the devices could have done; nothing where their peak is not known.

    model: on its devices. flops: done in `seconds` by all of them.
    """
    devices = model.sharding.mesh.devices
    peak = peak_flops(devices.flat[0].device_kind)
    return {} if peak is None else {"perf/mfu": flops / (seconds * peak * devices.size)}


def peak_memory() -> dict[str, float]:
    """The most memory that this process has held so far (GiB): of the host, and of the fullest of its devices where the
    devices say."""
    found = {"perf/peak_host_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB}
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [of_device["peak_bytes_in_use"] for of_device in stats if "peak_bytes_in_use" in of_device]
    return found | ({"perf/peak_device_gib": max(peaks) / GIB} if peaks else {})
