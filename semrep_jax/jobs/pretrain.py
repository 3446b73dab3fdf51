"""`job: pretrain`: a base from scratch, warm-started on generated and stored pairs.

python -m semrep_jax.main --config configs/pretrain_nano.yaml
"""

from __future__ import annotations

from semrep_jax.core.results import Results, Row, exact
from semrep_jax.jobs import checks
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import Context, Job

SETTINGS = ("job", "seed", "model", "mesh", "supervised")


def _run(config: Config, context: Context) -> Results:
    from semrep_jax.model import sharding
    from semrep_jax.train import supervised
    from semrep_jax.train.supervised import WarmStart

    recipe = WarmStart(config.seed, config.model, config.supervised, config.comparable(SETTINGS))
    mesh = sharding.build(**config.mesh.model_dump())
    figures = supervised.run(recipe, mesh, context.work.path, context.stop, context.work.bucket)
    model = context.work.address(context.work.path / config.supervised.export)
    return Results(
        {"base": {name: exact(value) for name, value in figures.items()}},
        figures["seconds"],
        f"loss {figures['loss']:.4f} after {figures['seconds']:.0f} s; model: {model}",
        rows=tuple(Row(name, name.replace("_", " ")) for name in figures),
    )


JOB = Job(
    "pretrain",
    "warm-start a base from scratch on generated and mined pairs",
    _run,
    settings=SETTINGS,
    verifies=False,
    check=checks.alone_in_a_bucket,
)
