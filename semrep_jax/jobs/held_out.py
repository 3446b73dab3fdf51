"""The held-out curve of an arm while it trains: what `train.curve` calls between steps, made of `evaluate`.

curve = held_out.curve(config, context, base)          # None where evaluate.every is 0
Trainer(..., curve=curve).run()
"""

from __future__ import annotations

from typing import Any

from semrep_jax.evaluate.intervals import mean
from semrep_jax.evaluate.measure import measure
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import Context
from semrep_jax.jobs.measuring import drawn, procedure
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.train.curve import Curve, Point

OTHER_SEED = 1  # added to evaluate.seed: the curve's tasks are not those that the arms are compared on


def curve(config: Config, context: Context, base: PretrainedModel) -> Curve | None:
    """The curve that `evaluate.every` and `evaluate.held_out` ask for: same tasks and same draws for every arm and
    step. None where none is asked for.

    config, context: of the run. base: whose model and tokenizer the points sample with, each with its own parameters.
    """
    if not config.evaluate.every:
        return None
    held_out = config.evaluate.held_out
    own = {"samples": held_out.samples, "tasks": held_out.tasks, "seed": config.evaluate.seed + OTHER_SEED}
    setting = config.evaluate.model_copy(update=own | {"batch": min(config.evaluate.batch, held_out.tasks)})
    suites = [drawn(config, context, name, setting) for name in dict.fromkeys(held_out.suites)]
    context.stop.peers.require_equal(" ".join(suite.sha256 for suite in suites), "the held-out set")
    how = procedure(config, setting)
    tasks = {"suites": {suite.name: suite.sha256 for suite in suites}, "turns": list(held_out.turns)}
    wanted = [(suite, turns) for suite in suites for turns in dict.fromkeys(held_out.turns)]

    def points(params: Any) -> list[Point]:
        policy = LocalPolicy.of(base, config.rollout, params)
        found = []
        for suite, turns in wanted:
            one = measure(policy, suite, turns, context.judges, how)
            share = mean(one.per_task, setting.resamples)
            found.append(Point(suite.name, turns, share.value, share.low, share.high, share.n))
        return found

    return Curve(
        config.evaluate.every,
        points,
        tuple(f"{suite.name}/T{turns}" for suite, turns in wanted),
        how.identity | tasks,
    )
