"""The cells of a sweep: one training of one arm in one setting from one seed, measured, each in a directory of its own.

    sweep/cells/semrep-default-s0/   config.yaml, arms/semrep/ (metrics, checkpoints, model), evaluation/, cell.json
    sweep/cells/base-default/        the base, measured once

`cell.json` is written last and is small: how many samples of each task were right, and what it cost. A cell that has
one is never touched again. A cell is held by a lock that dies with its process, so several processes may work on one
sweep, and one that was killed leaves nothing behind but a cell to go on with. About 35 MB a cell of the nano base.
"""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from semrep_jax.core.workdir import InUse, WorkDir
from semrep_jax.evaluate import summary as metric
from semrep_jax.evaluate.measure import Measured
from semrep_jax.jobs import held_out
from semrep_jax.jobs.arms import (
    costs,
    drawn_suites,
    load_model,
    measure_all,
    require_fitting,
    shortfalls,
    train_arm,
    warn_of_replicas,
)
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import TRAINING, Context
from semrep_jax.jobs.places import SUMMARY, Cell
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.tasks.suite import SUITES, DrawnSuite
from semrep_jax.train.arms import ARMS, BASE
from semrep_jax.train.trainer import Trained

CURVE = "curve.jsonl"  # points of a held-out curve: {"step", "tokens", "suite", "turns", "value", ...}


class Bench:
    """What the cells of a sweep share in one process: bases and suites, each made once for settings that are equal."""

    def __init__(self, context: Context):
        self.context = context
        self._bases: dict[str, PretrainedModel] = {}
        self._suites: dict[str, list[DrawnSuite]] = {}

    def base(self, config: Config) -> PretrainedModel:
        """The model that a cell starts from."""
        sections = ("model", "mesh") if not config.model.lora.rank else ("model", "mesh", "seed")
        key = json.dumps(config.comparable(sections), sort_keys=True)
        if key not in self._bases:
            self._bases.clear()
            self._bases[key] = load_model(config, self.context.work)
            warn_of_replicas(config, self._bases[key])
        return self._bases[key]

    def drawn(self, config: Config) -> list[DrawnSuite]:
        """The suites of a cell, whether or not its model has room for their prompts."""
        key = json.dumps(config.comparable(("evaluate",)), sort_keys=True)
        if key not in self._suites:
            self._suites[key] = drawn_suites(config, self.context)
        return self._suites[key]

    def suites(self, config: Config) -> list[DrawnSuite]:
        """The suites that a cell is measured on."""
        drawn = self.drawn(config)
        require_fitting(drawn, LocalPolicy.of(self.base(config), config.rollout))
        return drawn

    def run(self, cell: Cell) -> bool:
        """Go on with a cell to its end. False where another process holds it. Raises Stopped."""
        config, around = cell.config, self.context
        try:
            work = WorkDir(around.work.path / "cells" / cell.name, config.comparable(TRAINING))
        except InUse:
            return False
        with closing(work):
            if cell.summary(around.work.path) is not None:
                return True
            work.write("config.yaml", config.to_yaml())
            context = Context(work, around.stop, around.verifier, around.work)
            base, suites, arm = self.base(config), self.suites(config), cell.place.arm
            trained = None
            if arm != BASE:
                trained = train_arm(config, context, ARMS[arm], base, held_out.curve(config, context, base))
            params = base.params if trained is None else trained.params
            policy = partial(LocalPolicy.of, base, config.rollout, params)
            steps = {} if trained is None else {arm: trained.budget.used}
            measured = measure_all(config, context, {arm: policy}, suites, steps)[arm]
            curve = work.path / "arms" / arm / CURVE
            lines = curve.read_text().splitlines() if curve.exists() else []
            rows = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
            work.write(SUMMARY, _summary(cell, suites, measured, trained) | {"curve": rows})
        return True


def _summary(cell: Cell, suites: list[DrawnSuite], measured: list[Measured], trained: Trained | None) -> dict[str, Any]:
    """What cell.json holds."""
    place = cell.place
    return {
        "arm": place.arm,
        "setting": place.setting,
        "seed": place.seed,
        "config_sha256": cell.config.sha256,
        "suites": {suite.name: {"tasks": len(suite.tasks), "sha256": suite.sha256} for suite in suites},
        "costs": {name: value.value for name, value in costs(trained).items()},
        "measured": _measured(measured),
        "notes": list(shortfalls({place.name: measured})),
    }


def _measured(measured: list[Measured]) -> dict[str, dict[str, Any]]:
    """By METRIC/TURNS: how many samples of each task are right, of how many, and what sampling cost."""
    known = metric.by_suite(measured)
    found: dict[str, dict[str, Any]] = {}
    for m in measured:
        samples = len(m.correct[0])
        found[f"{m.suite}/T{m.turns}"] = {
            "correct": [sum(row) for row in m.correct],
            "samples": samples,
            "rollouts": m.rollouts,
            "tokens": m.tokens,
            "seconds": m.seconds,
        } | ({"rewrites_accepted": round(m.rewrites_accepted, 6)} if m.turns > 1 else {})
        pairing = SUITES[m.suite].paired_with
        if pairing is not None and (pairing.suite, m.turns) in known:
            for key, share in zip(
                (pairing.both, pairing.agree), metric.robustness(known[pairing.suite, m.turns], m), strict=True
            ):
                counts = np.rint(share * samples).astype(int)
                found[f"{key}/T{m.turns}"] = {"correct": counts.tolist(), "samples": samples}
    return found
