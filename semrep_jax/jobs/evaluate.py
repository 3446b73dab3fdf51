"""`job: evaluate`: a model, or an OpenAI-compatible endpoint, on the held-out suites."""

from __future__ import annotations

from semrep_jax.core.results import Results
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import Context, Job


def _run(config: Config, context: Context) -> Results:
    from semrep_jax.jobs.arms import run_arms

    return run_arms(config, context, ())


JOB = Job(
    "evaluate",
    "a model on the held-out suites",
    _run,
    settings=("job", "seed", "model", "mesh", "remote", "rollout", "sandbox", "cuda"),
    trains=False,
)
