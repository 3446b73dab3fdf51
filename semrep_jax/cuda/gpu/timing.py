"""What samples of times say: a median speed-up with its interval, the roofline's floor, and when a time is too good.

    timing = summarise([(2.0, 1.0, 1980.0), ...])     # reference ms, candidate ms, SM clock in MHz or None
    timing.speedup, timing.low, timing.high           # 2.0 and its 95 % interval

A sample is one repeat of both programs on the same inputs, in random order. The speed-up is the median of the paired
ratios; samples taken while the clock was below 90 % of its median are dropped and counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

Sample = Sequence[float | None]
STEADY_CLOCK = 0.9  # of the median clock: samples below it are dropped
ROOFLINE_SLACK = 0.9  # of the roofline's least time: what takes less is suspect
FEWEST_SAMPLES = 5
RESAMPLES = 2000
INTERVAL = (2.5, 97.5)  # percentiles


class UnsteadyClock(Exception):
    """Too few runs were at a steady clock to say anything."""


class Peaks(NamedTuple):
    """Of a device: bytes/s of memory, and multiplications and additions a second that can end in float32 accuracy.

    The latter are tensor cores' by three TF32 products where there are any.
    """

    bandwidth: float
    flops: float


# By the words of a device's name that tell it apart; of several keys that fit, the one of most words.
PEAKS = {
    "GH200": Peaks(4.0e12, 165e12),
    "GH200 HBM3e": Peaks(4.9e12, 165e12),
    "H200": Peaks(4.8e12, 165e12),
    "H100": Peaks(3.35e12, 165e12),
    "H100 NVL": Peaks(3.94e12, 165e12),
    "H100 PCIe": Peaks(2.04e12, 126e12),
    "A100": Peaks(2.04e12, 52e12),
    "A100 40GB": Peaks(1.56e12, 52e12),
    "L40S": Peaks(0.864e12, 92e12),
    "L40": Peaks(0.864e12, 91e12),
    "L4": Peaks(0.3e12, 30e12),
    "A10": Peaks(0.6e12, 31e12),
    "A10G": Peaks(0.6e12, 31e12),
    "V100": Peaks(0.9e12, 15.7e12),
    "V100S": Peaks(1.13e12, 16.4e12),
    "T4": Peaks(0.32e12, 8.1e12),
    "B200": Peaks(8.0e12, 375e12),
    "GB200": Peaks(8.0e12, 417e12),
}


@dataclass(frozen=True)
class Timing:
    """Times of a candidate beside the reference's: medians (ms), the speed-up with its 95 % interval, sample counts.

    `roofline` is the share of the device's roofline that the candidate reaches, None where its peaks are not known;
    `device` is the device's name, as the driver gives it.
    Launches are plain ones; `graph_ms`, `reference_graph_ms` and `graph_speedup` are of each program as one CUDA graph,
    None where both have one launch only.
    """

    reference_ms: float
    candidate_ms: float
    speedup: float
    low: float
    high: float
    kept: int
    dropped: int
    roofline: float | None = None
    device: str = ""
    graph_ms: float | None = None
    reference_graph_ms: float | None = None
    graph_speedup: float | None = None

    @property
    def suspect(self) -> bool:
        """Whether it is faster than the device can be."""
        return self.roofline is not None and self.roofline > 1.0 / ROOFLINE_SLACK

    def summary(self, device: str) -> str:
        """One line for a person or a policy."""
        roofline = "" if self.roofline is None else f", {self.roofline:.0%} of the roofline"
        if self.graph_ms is not None:
            roofline += f"; as one CUDA graph {self.graph_ms:.4f} ms, {self.graph_speedup:.2f} times as fast,"
        return (
            f"{self.candidate_ms:.4f} ms, C_src {self.reference_ms:.4f} ms: {self.speedup:.2f} times as fast "
            f"[{self.low:.2f}, {self.high:.2f}]{roofline} "
            f"({device}, median of {self.kept} runs, {self.dropped} dropped)"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, rounded."""
        return {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(self).items()}


def summarise(samples: Sequence[Sample], graph_samples: Sequence[Sample] = (), seed: int = 0) -> Timing:
    """The timing of a candidate.

    samples: by plain launches. graph_samples: as CUDA graphs, if any were taken. seed: draws the bootstrap. Raises
    UnsteadyClock for fewer than 5 usable samples.
    """
    kept = steady(samples)
    if len(kept) < FEWEST_SAMPLES:
        usable = f"{len(kept)} of {len(samples)} timed runs were at a steady clock"
        raise UnsteadyClock(f"{usable}; at least {FEWEST_SAMPLES} are needed")
    times = np.array([sample[:2] for sample in kept], float)
    ratios = times[:, 0] / times[:, 1]
    resampled = np.random.default_rng(seed).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[resampled], axis=1), INTERVAL)
    reference, candidate = np.median(times, axis=0)
    of_graph: tuple[float | None, ...] = (None, None, None)
    if graph_samples:
        graphs = np.array([sample[:2] for sample in steady(graph_samples)], float)
        medians = np.median(graphs, axis=0)
        of_graph = (float(medians[1]), float(medians[0]), float(np.median(graphs[:, 0] / graphs[:, 1])))
    return Timing(
        reference_ms=float(reference),
        candidate_ms=float(candidate),
        speedup=float(np.median(ratios)),
        low=float(low),
        high=float(high),
        kept=len(kept),
        dropped=len(samples) - len(kept),
        graph_ms=of_graph[0],
        reference_graph_ms=of_graph[1],
        graph_speedup=of_graph[2],
    )


def steady(samples: Sequence[Sample]) -> list[Sample]:
    """The samples taken at 90 % or more of their median clock; all where no clock was read."""
    clocks = [sample[2] for sample in samples if sample[2] is not None]
    if not clocks:
        return list(samples)
    least = STEADY_CLOCK * float(np.median(clocks))
    return [sample for sample in samples if sample[2] is None or sample[2] >= least]


def peaks_of(device: str) -> Peaks | None:
    """The peaks of a device by its name, as the driver gives it; None where they are not known."""
    words = set(re.findall(r"\w+", device))
    keys = [key for key in PEAKS if words.issuperset(key.split())]
    return PEAKS[max(keys, key=lambda key: len(key.split()))] if keys else None


def share_of_roofline(device: str, work: tuple[float, float], milliseconds: float) -> float | None:
    """The least time that `work` can take on a device over the time it took.

    device: its name, as the driver gives it. work: FLOPs and bytes. None where the device's peaks are not known.
    """
    peaks = peaks_of(device)
    if peaks is None:
        return None
    flops, size = work
    return max(size / peaks.bandwidth, flops / peaks.flops) / (milliseconds / 1e3)
