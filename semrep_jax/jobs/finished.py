"""The finished cells of a sweep, as numbers that pair by seed and by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semrep_jax.jobs.config import Config
from semrep_jax.jobs.places import Cell, Place
from semrep_jax.tasks.suite import axes
from semrep_jax.train.arms import BASE


@dataclass(frozen=True)
class Study:
    """The finished cells of a sweep.

    found: cell.json of each place that has one.
    """

    config: Config
    plan: Mapping[Place, Cell]
    found: Mapping[Place, dict[str, Any]]

    def column(self, arm: str, setting: str) -> str:
        """How the results call an arm in a setting."""
        return arm if len(self.config.sweep.settings) == 1 else f"{arm}/{setting}"

    def first(self, *arms: str, setting: str) -> bool:
        """Whether these arms' cells of a setting are not all those of an earlier one, which says it all already."""
        names = [one.name for one in self.config.sweep.settings]
        cells = [
            {self.plan[place].name for place in self.plan if place.arm in arms and place.setting == name}
            for name in names[: names.index(setting) + 1]
        ]
        return cells[-1] not in cells[:-1]

    def seeds(self, arm: str, setting: str) -> list[int]:
        """The seeds of which an arm's cell is finished; of the base, which has none, all."""
        if arm == BASE:
            return list(self.config.sweep.seeds) if Place(BASE, setting, None) in self.found else []
        return [seed for seed in self.config.sweep.seeds if Place(arm, setting, seed) in self.found]

    def summaries(self, arm: str, setting: str) -> list[dict[str, Any]]:
        """What the finished cells of an arm found."""
        if arm == BASE:
            return [self.found[p] for p in (Place(BASE, setting, None),) if p in self.found]
        return [self.found[Place(arm, setting, seed)] for seed in self.seeds(arm, setting)]

    def values(self, arm: str, setting: str, key: str, seeds: Sequence[int]) -> np.ndarray:
        """The share of samples that are right, [seeds, tasks]. key: METRIC/T1 or METRIC/T2.

        arm, setting: of the cells. seeds: in this order.
        """
        rows = []
        for seed in seeds:
            one = self.found[Place(arm, setting, None if arm == BASE else seed)]["measured"][key]
            rows.append(np.asarray(one["correct"], float) / one["samples"])
        return np.stack(rows)

    def same_tasks(self, arm: str, setting: str, other: str) -> bool:
        """Whether an arm was measured on the same tasks in two settings.

        arm: of the study, or the base. setting, other: names; where one has no finished cell the answer is no.
        """
        one, another = self.summaries(arm, setting)[:1], self.summaries(arm, other)[:1]
        return bool(one and another) and one[0]["suites"] == another[0]["suites"]

    @property
    def axes(self) -> list[str]:
        """What arms are compared by."""
        return axes(self.config.evaluate.suites)
