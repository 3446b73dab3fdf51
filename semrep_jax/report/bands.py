"""Lines out of noisy steps, and the bands around them.

One run: at each step the mean of the steps around it, and the 95 % interval of that mean (Student's t, the steps taken
as independent). Several seeds: each seed's line made so, then their mean and its 95 % bootstrap interval over seeds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

RESAMPLES = 1000
SHORTEST, LONGEST = 5, 51  # steps of a window; between them a tenth of the run


class Band(NamedTuple):
    """A line and its band, [points] each; no band where there is nothing to make it of."""

    middle: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None


def window(steps: int) -> int:
    """How many steps the mean at a step is taken over; odd."""
    return min(max(steps // 10, SHORTEST), LONGEST) | 1


def around(values: np.ndarray, width: int) -> Band:
    """The running mean and its interval.

    values: [steps], NaN where there is none. width: steps, centred; fewer at both ends.
    """
    half = width // 2
    pieces = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    kept = [piece[np.isfinite(piece)] for piece in pieces]
    middle = np.array([piece.mean() if piece.size else np.nan for piece in kept])
    reach = np.array([_reach(piece) for piece in kept])
    return Band(middle, middle - reach, middle + reach)


def _reach(values: np.ndarray) -> float:
    n = values.size
    return float(stdtrit(n - 1, 0.975) * values.std(ddof=1) / np.sqrt(n)) if n > 2 else 0.0


def over_seeds(lines: np.ndarray) -> Band:
    """The mean over seeds and its interval.

    lines: [seeds, points].
    """
    if len(lines) == 1:
        return Band(lines[0], None, None)
    draws = np.random.default_rng(0).integers(0, len(lines), (RESAMPLES, len(lines)))
    low, high = np.percentile(lines[draws].mean(axis=1), [2.5, 97.5], axis=0)
    return Band(lines.mean(axis=0), low, high)
