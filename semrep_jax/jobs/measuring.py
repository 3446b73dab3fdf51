"""What the settings say of every measurement: how it is made, and on which tasks."""

from __future__ import annotations

from semrep_jax.evaluate.procedure import Procedure
from semrep_jax.evaluate.settings import EvaluateConfig
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import Context
from semrep_jax.tasks.suite import DrawnSuite, SuiteRequest, draw


def procedure(config: Config, setting: EvaluateConfig | None = None) -> Procedure:
    """How the policies of a run are measured. setting: another than `evaluate`."""
    chosen = config.evaluate if setting is None else setting
    return Procedure(chosen, config.reward.duplicate, config.reward.accept, config.inference.choose)


def drawn(config: Config, context: Context, name: str, setting: EvaluateConfig) -> DrawnSuite:
    """The tasks of a suite.

    config: has the suite's own section. context: its judges verify what is drawn. name: of the suite. setting: how many
    tasks, and of which seed.
    """
    return draw(name, SuiteRequest(setting.tasks, setting.seed, context.judges, config.of_suite(name)))
