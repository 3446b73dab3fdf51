"""`job: mine`: functions of installed packages made into tasks: tests, verified rewrites, bugs, in shards.

python -m semrep_jax.main --config configs/mine.yaml        # hours on 2 cores; stop it and go on at any time
python -m semrep_jax.main --config configs/mine.yaml --set mine.share=0.05     # a look
"""

from __future__ import annotations

from semrep_jax.core.results import Results, exact
from semrep_jax.jobs import checks
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import Context, Job


def _run(config: Config, context: Context) -> Results:
    from semrep_jax.mining.contamination import suite_functions
    from semrep_jax.mining.pipeline import mine

    suites = suite_functions(config.evaluate.seed, config.evaluate.tasks)
    mined = mine(config.mine, suites, context.work.path, context.stop)
    figures = mined.figures
    counts = ", ".join(f"{figures[name]:,} {name}" for name in ("functions", "pairs", "fixes"))
    return Results(
        {"mined": {name: exact(value) for name, value in figures.items()}},
        mined.seconds,
        f"{counts}; shards and manifest.json: {context.work.address(context.work.path)}",
        tables=mined.tables,
    )


JOB = Job(
    "mine",
    "functions of installed packages made into tasks: tests, verified rewrites, bugs, in shards",
    _run,
    settings=("job", "mine", "evaluate"),
    verifies=False,
    trains=False,
    check=checks.alone_in_a_bucket,
)
