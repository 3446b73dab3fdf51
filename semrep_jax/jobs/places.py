"""Which cells a sweep has, and where each stands: planned from the config alone, before anything is loaded or trained.

plan = planned(config)                         # {Place("semrep", "default", 0): Cell, ...}
summaries(plan, Path(config.work_dir))         # cell.json of those that are finished
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semrep_jax.core.settings import flatten, overlay
from semrep_jax.core.workdir import read_kept
from semrep_jax.jobs import config as configuration
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.settings import Overlay
from semrep_jax.train.arms import ARMS, BASE

SUMMARY = "cell.json"
# Settings that a measurement of the base depends on; all others are of training.
_OF_BASE = ("model", "mesh", "evaluate", "inference", "rollout.max_prompt", "rollout.max_new", "rollout.bucket")
_OF_JUDGING = ("reward.duplicate", "reward.accept", "sandbox", "cuda")
_OF_OTHER_JOBS = ("job", "preset", "plugins", "sweep", "plan", "mine", "supervised", "remote")


@dataclass(frozen=True)
class Place:
    """Where a cell stands in the sweep. seed: None of the base, which has no training."""

    arm: str
    setting: str
    seed: int | None

    @property
    def name(self) -> str:
        """Of its directory."""
        return f"{self.arm}-{self.setting}" + ("" if self.seed is None else f"-s{self.seed}")


@dataclass(frozen=True)
class Cell:
    """A training and its measurements, or those of the base. place: its first one, where it stands in several. config:
    of `job: train`, resolved."""

    place: Place
    config: Config

    @property
    def name(self) -> str:
        """Of its directory."""
        return self.place.name

    def summary(self, sweep: Path) -> dict[str, Any] | None:
        """What it found, once it is finished. sweep: the work directory."""
        path = sweep / "cells" / self.name / SUMMARY
        found: dict[str, Any] | None = read_kept(path)
        return found if found and found.get("config_sha256") == self.config.sha256 else None


def planned(config: Config) -> dict[Place, Cell]:
    """The cell of each place, seed by seed, the base first. A cell that settings make no difference to is one, and
    stands in several places: fine-tuning only heeds no alpha. Raises ConfigError for a setting that is impossible."""
    found: dict[Place, Cell] = {}
    known: dict[str, Cell] = {}
    places = [Place(BASE, setting.name, None) for setting in config.sweep.settings]
    for seed in config.sweep.seeds:
        places += [Place(arm, s.name, seed) for s in config.sweep.settings for arm in config.sweep.arms]
    overlays = {setting.name: setting for setting in config.sweep.settings}
    for place in places:
        cell = Cell(place, _laid_over(config, overlays[place.setting], place))
        found[place] = known.setdefault(_identity(cell), cell)
    return found


def _laid_over(config: Config, setting: Overlay, place: Place) -> Config:
    """The config of one cell."""
    values: dict[str, Any] = {}
    for key, value in setting.values.items():
        *parents, last = key.split(".")
        tree: Any = {last: value}
        for parent in reversed(parents):
            tree = {parent: tree}
        values = overlay(values, tree)
    tree = config.model_dump(mode="json", exclude={"sweep"}) | {"job": "train"}
    tree = overlay(tree, values) | {"work_dir": f"{config.work_dir}/cells/{place.name}"}
    tree |= {"seed": config.sweep.seeds[0] if place.seed is None else place.seed}
    return configuration.build(tree, f"sweep.settings {setting.name}")


def _identity(cell: Cell) -> str:
    """Everything that decides what a cell finds."""
    arm, flat = cell.place.arm, flatten(cell.config.comparable())
    if arm == BASE:
        kept = {key: value for key, value in flat.items() if key.startswith((*_OF_BASE, *_OF_JUDGING))}
    else:
        heeded = (key for key in flat if key.split(".")[0] not in _OF_OTHER_JOBS and ARMS[arm].heeds(key))
        kept = {key: flat[key] for key in heeded}
    return json.dumps([arm, kept], sort_keys=True)


def summaries(plan: Mapping[Place, Cell], sweep: Path) -> dict[Place, dict[str, Any]]:
    """What the finished cells found, by place. sweep: the work directory."""
    found = {cell.name: cell.summary(sweep) for cell in plan.values()}
    return {place: summary for place, cell in plan.items() if (summary := found[cell.name]) is not None}
