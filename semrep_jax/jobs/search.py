"""`job: search`: strategies of iterative inference at equal budget, on the tasks of suites or on a case study.

    python -m semrep_jax.main --config configs/search_nano.yaml
    python -m semrep_jax.main --config configs/search_circles.yaml

Every tree goes to trees/STRATEGY/TASK-sSEED.jsonl as it grows; a run that was killed goes on from there. What is
compared is a table of best@k against k, of the best against tokens, and of the compute that reaches the same score.
"""

from __future__ import annotations

from semrep_jax.core.results import Results
from semrep_jax.core.settings import ConfigError
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import TRAINING, Context, Job


def _run(config: Config, context: Context) -> Results:
    from semrep_jax.jobs.searching import search_all

    return search_all(config, context)


def _check(config: Config) -> None:
    from semrep_jax.search.strategies.strategy import STRATEGIES

    learning = [name for name in config.search.strategies if STRATEGIES[name].learns]
    if config.remote.url and learning:
        raise ConfigError(
            f"search.strategies: {learning[0]} updates the model, and that of remote.url can't be; leave it out"
        )
    if config.distributed.processes > 1:
        raise ConfigError("distributed.processes: job search runs in one process; leave the section out")
    if not config.search.case:
        blind = [name for name in config.search.strategies if not STRATEGIES[name].model]
        if blind:
            raise ConfigError(
                f"search.strategies: {blind[0]} draws programs of a case study; set search.case or leave it out"
            )


JOB = Job(
    "search",
    "strategies of iterative inference at equal budget, on suites or a case study",
    _run,
    settings=(*TRAINING, "remote", "search", "evaluate"),
    trains=False,
    check=_check,
)
