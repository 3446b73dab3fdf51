"""`job: compare`: base, SemRep and fine-tuning only, at one budget.

python -m semrep_jax.main --config configs/quickstart.yaml
"""

from __future__ import annotations

from semrep_jax.core.results import Results
from semrep_jax.core.settings import ConfigError
from semrep_jax.jobs import checks
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import Context, Job


def _run(config: Config, context: Context) -> Results:
    from semrep_jax.jobs.arms import run_arms
    from semrep_jax.train.arms import FINETUNE, SEMREP

    return run_arms(config, context, (SEMREP, FINETUNE))


def _check(config: Config) -> None:
    checks.local(config)
    if config.train.alpha == 0:
        raise ConfigError("train.alpha: 0 makes both arms of job compare the same; choose a value in (0, 1]")


JOB = Job(
    "compare",
    "load a base, train SemRep (two stages) and fine-tuning only at the same budget, evaluate all three",
    _run,
    check=_check,
)
