"""`job: train`: one arm, SemRep where train.alpha is above 0 and fine-tuning only where it is 0, beside its base."""

from __future__ import annotations

from semrep_jax.core.results import Results
from semrep_jax.jobs import checks
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import Context, Job


def _run(config: Config, context: Context) -> Results:
    from semrep_jax.jobs.arms import run_arms
    from semrep_jax.train.arms import FINETUNE, SEMREP

    name = SEMREP if config.train.alpha > 0 else FINETUNE
    return run_arms(config, context, (name,))


JOB = Job("train", "one arm: SemRep where train.alpha > 0, fine-tuning only where it is 0", _run, check=checks.local)
