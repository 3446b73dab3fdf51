"""The design of a sweep, settled before it is run: the one contrast that it is about, and what it can detect.

{"primary": ..., "seeds": [...], "detectable": 0.04, "statement": "primary contrast: ..."}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from semrep_jax.evaluate.study import LEVEL, POWER, Spread, detectable
from semrep_jax.jobs.config import Config
from semrep_jax.tasks.suite import SUITES, DrawnSuite, axes, base_of
from semrep_jax.train.arms import GUIDED


def supposed(config: Config) -> Spread:
    """The spread of a difference that the design supposes: `sweep.spread`, and the noise of two arms' samples."""
    spread = config.sweep.spread
    return Spread(spread.seed, spread.task, spread.sample * math.sqrt(2 / config.evaluate.samples))


def tasks_behind(metric: str, suites: Sequence[DrawnSuite]) -> int:
    """How many tasks an axis is over; of one over pairs, those that have another form."""
    for suite in suites:
        pairing = SUITES[suite.name].paired_with
        if metric == suite.name or (pairing and metric == pairing.both):
            return len({base_of(task.id) for task in suite.tasks})
    raise KeyError(f"{metric} is an axis of none of the suites {[suite.name for suite in suites]}")


def design(config: Config, tasks: int) -> dict[str, Any]:
    """What design.json holds: nothing in it depends on what is found. tasks: that the primary contrast is over."""
    setting, sweep = config.evaluate, config.sweep
    spread = supposed(config)
    smallest = detectable(spread, len(sweep.seeds), tasks)
    primary = sweep.primary
    contrast = (
        f"{primary.metric}, {primary.ours} T={primary.our_turns} - {primary.theirs} T={primary.their_turns}, "
        f"setting {sweep.settings[0].name}"
    )
    guided = "guided only, " if GUIDED in sweep.arms else ""
    size = f"{len(sweep.seeds)} seed{'s' * (len(sweep.seeds) != 1)} x {tasks} tasks x {setting.samples} samples"
    return {
        "primary": primary.model_dump(mode="json") | {"setting": sweep.settings[0].name},
        "axes": axes(setting.suites),
        "arms": list(sweep.arms),
        "settings": [one.model_dump(mode="json") for one in sweep.settings],
        "seeds": list(sweep.seeds),
        "budget": config.train.budget,
        "tasks": setting.tasks,
        "compared": tasks,
        "samples": setting.samples,
        "level": LEVEL,
        "power": POWER,
        "spread": spread.to_json(),
        "detectable": round(smallest, 4),
        "statement": (
            f"primary contrast: {contrast}; {size} detect a difference of {smallest:.3f} with {POWER:.0%} power at "
            f"level {LEVEL:g} (supposed standard deviations: seeds {spread.seed:.3f}, tasks {spread.task:.3f}, noise "
            f"{spread.noise:.3f}); beside it: T2 - T2, {guided}tokens"
        ),
    }
