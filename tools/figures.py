"""What every benchmark here prints: one line a figure with its bar, then one JSON object as the last line.

report("kernels", "cpu, 2 cores", {"compile_per_s": 66.1}, {"compile_per_s": Bar(25)}, ["cuda-core"])
# compile_per_s                             66.100   bar at least 25: met
# {"bench": "kernels", "device": "cpu, 2 cores", "versions": {...}, "figures": {"compile_per_s": 66.1}}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)

from semrep_jax.core.versions import versions

DIGITS = 4


@dataclass(frozen=True)
class Bar:
    """What a figure has to reach: at least `value`, or at most."""

    value: float
    at_most: bool = False

    def verdict(self, figure: float) -> str:
        """The bar, and whether `figure` meets it."""
        met = figure <= self.value if self.at_most else figure >= self.value
        return f"bar {'at most' if self.at_most else 'at least'} {self.value:g}: {'met' if met else 'MISSED'}"


def report(
    bench: str,
    device: str,
    figures: Mapping[str, float],
    bars: Mapping[str, Bar],
    packages: Iterable[str],
    **other: Any,
) -> None:
    """Print the figures.

    bench: the script's name. device: what it ran on. bars: for some of the figures. packages: whose versions matter.
    other: more keys of the JSON object.
    """
    for name, value in figures.items():
        bar = f"   {bars[name].verdict(value)}" if name in bars else ""
        print(f"{name:34s} {value:14,.3f}{bar}")
    rounded = {name: round(value, DIGITS) for name, value in figures.items()}
    result = {"bench": bench, "device": device, "versions": versions(("semrep-jax", *packages)), "figures": rounded}
    print(json.dumps(result | other))
