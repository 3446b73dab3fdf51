"""How fast kernels were: the share that is p times as fast as C_src, and times against the roofline, from evaluation/.

Nothing here where nothing was timed: on a machine without a GPU there are no times, and none are made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from semrep_jax.report.labels import colours, label
from semrep_jax.report.panels import Panel, Series
from semrep_jax.report.reading import Measurement, Run

FACTORS = np.linspace(0.5, 4.0, 141)


@dataclass(frozen=True)
class Time:
    """The fastest correct kernel of one arm on one task.

    speedup: of C_src's time over its own; low, high: the 95 % interval. candidate_ms, reference_ms: medians. roofline:
    the least time that the device allows over the kernel's. device: its name. What was not recorded is None.
    """

    suite: str
    task: str
    arm: str
    turns: int
    speedup: float
    low: float | None = None
    high: float | None = None
    candidate_ms: float | None = None
    reference_ms: float | None = None
    roofline: float | None = None
    device: str | None = None

    @property
    def device_ms(self) -> float | None:
        """The least time that the device allows (ms)."""
        return None if self.roofline is None or self.candidate_ms is None else self.roofline * self.candidate_ms


def timed(run: Run) -> list[Measurement]:
    """The measurements that hold speed-ups."""
    return [one for one in run.measurements if one.content.get("speedups") is not None]


def times(run: Run) -> list[Time]:
    """The fastest kernel of every arm on every task that any arm was timed on, by task."""
    found = [time for one in timed(run) for time in _fastest(one)]
    return sorted(found, key=lambda time: (time.suite, time.task, time.turns, run.arms.index(time.arm)))


def _fastest(one: Measurement) -> list[Time]:
    found = []
    speedups, timings = one.content["speedups"], one.content.get("timings")
    for index, (task, row) in enumerate(zip(one.content["task_ids"], speedups, strict=True)):
        measured = [sample for sample, speedup in enumerate(row) if speedup is not None]
        if measured:
            best = max(measured, key=lambda sample: row[sample])
            more: dict[str, Any] = (timings[index][best] if timings else None) or {}
            fields = ("low", "high", "candidate_ms", "reference_ms", "roofline", "device")
            about = {name: more.get(name) for name in fields}
            found.append(Time(one.suite, task, one.arm, one.turns, row[best], **about))
    return found


def fast_p(run: Run) -> list[Panel]:
    """For each suite: the share of samples that are correct and more than p times as fast, over all tasks, against p
    (fast_p of KernelBench, arXiv 2502.10517)."""
    measured, colour = timed(run), colours(run.arms)
    found = []
    for suite in dict.fromkeys(one.suite for one in measured):
        lines = tuple(_share(one, colour[one.arm]) for one in measured if one.suite == suite)
        found.append(Panel(f"{suite}: fast_p", "p, times as fast as C_src", lines, ((1.0, "dim"),)))
    return found


def _share(one: Measurement, colour: str) -> Series:
    speedups = np.array([[np.nan if s is None else s for s in row] for row in one.content["speedups"]], float)
    shares = np.array([(speedups > p).mean(axis=1).mean() for p in FACTORS])
    return Series(f"{label(one.arm)}, T={one.turns}", colour, FACTORS, shares, dashed=one.turns > 1)
