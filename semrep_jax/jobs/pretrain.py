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
    from semrep_jax.jobs import replicas
    from semrep_jax.model import sharding
    from semrep_jax.train import supervised
    from semrep_jax.train.monitoring import Monitoring
    from semrep_jax.train.supervised import WarmStart

    work = context.work.path
    monitoring = Monitoring(config.profile, config.logging, work.name, work / "profile")
    recipe = WarmStart(config.seed, config.model, config.supervised, config.comparable(SETTINGS), monitoring)
    mesh = sharding.build(**config.mesh.model_dump())
    replicas.warn({"supervised.rows": config.supervised.rows}, mesh.size("batch"))
    figures = supervised.run(recipe, mesh, work, context.stop, context.work.bucket)
    model = context.work.address(work / config.supervised.export)
    return Results(
        {"base": {name: exact(value) for name, value in figures.items()}},
        figures["seconds"],
        f"loss {figures['loss']:.4f} after {figures['seconds']:.0f} s; model: {model}",
        rows=tuple(Row(name, name.replace("_", " ")) for name in figures),
    )


JOB = Job(
    "pretrain",
    "train a base on generated and mined pairs, from scratch or further",
    _run,
    settings=SETTINGS,
    verifies=False,
    check=checks.alone_in_a_bucket,
)
