"""What samples of times say: a median speed-up with its interval, the roofline's floor, and when a time is too good.

A sample is (reference ms, candidate ms, SM clock in MHz or None) of one repeat, both programs on the same inputs, in random order.
The speed-up is the median of the paired ratios; samples taken while the clock was below 90 % of its median are dropped and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Sample = Sequence[float | None]
DROP, SLACK, RESAMPLES, FEWEST = 0.9, 0.9, 2000, 5
# bytes/s of memory, and the most multiplications and additions a second that can end in float32 accuracy (three TF32 products)
PEAKS = {
    "GH200": (4.0e12, 165e12), "H200": (4.8e12, 165e12), "H100": (3.35e12, 165e12), "A100": (2.04e12, 52e12), "L40S": (0.864e12, 92e12),
    "L4": (0.3e12, 30e12), "A10": (0.6e12, 31e12), "V100": (0.9e12, 15.7e12), "T4": (0.32e12, 8.1e12), "B200": (8.0e12, 80e12),
}  # fmt: skip


@dataclass(frozen=True)
class Timing:
    """Times of a candidate beside the reference's: medians (ms), the speed-up with its 95 % interval, samples kept and dropped.

    `roofline` is the share of the device's roofline that the candidate reaches, None for a device whose peaks are not known.
    """

    reference_ms: float
    candidate_ms: float
    speedup: float
    low: float
    high: float
    kept: int
    dropped: int
    roofline: float | None = None

    @property
    def suspect(self) -> bool:
        """Whether it is faster than the device can be."""
        return self.roofline is not None and self.roofline > 1.0 / SLACK

    def said(self, device: str) -> str:
        """One line for a person or a policy."""
        roofline = "" if self.roofline is None else f", {self.roofline:.0%} of the roofline"
        return (
            f"{self.candidate_ms:.4f} ms, C_src {self.reference_ms:.4f} ms: {self.speedup:.2f} times as fast "
            f"[{self.low:.2f}, {self.high:.2f}]{roofline} ({device}, median of {self.kept} runs, {self.dropped} dropped)"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(self).items()}


def summarise(samples: Sequence[Sample], seed: int = 0) -> Timing:
    """The timing of a candidate. Raises ValueError for fewer than 5 usable samples."""
    kept = steady(samples)
    if len(kept) < FEWEST:
        raise ValueError(
            f"{len(kept)} of {len(samples)} timed runs were at a steady clock; at least {FEWEST} are needed"
        )
    times = np.array([s[:2] for s in kept], float)
    ratios = times[:, 0] / times[:, 1]
    draws = np.random.default_rng(seed).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[draws], axis=1), [2.5, 97.5])
    reference, candidate = np.median(times, axis=0)
    return Timing(
        float(reference),
        float(candidate),
        float(np.median(ratios)),
        float(low),
        float(high),
        len(kept),
        len(samples) - len(kept),
    )


def steady(samples: Sequence[Sample]) -> list[Sample]:
    """The samples taken at 90 % or more of their median clock; all where no clock was read."""
    clocks = [s[2] for s in samples if s[2] is not None]
    if not clocks:
        return list(samples)
    least = DROP * float(np.median(clocks))
    return [s for s in samples if s[2] is None or s[2] >= least]


def share_of_roofline(device: str, work: tuple[float, float], milliseconds: float) -> float | None:
    """The least time that `work` (FLOPs, bytes) can take on the device over the time it took; None where its peaks are not known."""
    peaks = next((p for name, p in PEAKS.items() if name in device), None)
    if peaks is None:
        return None
    flops, size = work
    return max(size / peaks[0], flops / peaks[1]) / (milliseconds / 1e3)
