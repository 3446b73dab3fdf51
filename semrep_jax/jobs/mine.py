"""`job: mine`: functions of installed packages made into tasks: tests, verified rewrites, bugs, in shards.

python -m semrep_jax.main --config configs/mine.yaml        # about an hour on 2 cores; stop it and go on at any time
"""

from __future__ import annotations

from semrep_jax.core.results import Results
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import Context, Job


def _run(config: Config, context: Context) -> Results:
    from semrep_jax.mining import pipeline

    return pipeline.run(config.mine, config.evaluate, context.work, context.stop)


JOB = Job(
    "mine",
    "functions of installed packages made into tasks: tests, verified rewrites, bugs, in shards",
    _run,
    settings=("job", "mine", "evaluate"),
    verifies=False,
)
