"""`job: plan`: compile the training step and the rollout of a config for a TPU topology, and say whether they fit and
what bounds them.

pip install -e ".[tpu]"
python -m semrep_jax.main --config configs/plan/qwen25_coder_7b_v5e_64.yaml
"""

from __future__ import annotations

import time

from semrep_jax.core.results import Results, Table, exact
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import Context, Job

Figures = dict[str, float]
_IN_TITLE = ("chips", "parameters")


def _run(config: Config, context: Context) -> Results:
    from semrep_jax.jobs import planning

    began = time.perf_counter()
    found = planning.compile_programs(config)
    fit = [name for name, figures in found.items() if figures["fits"]]
    lines = planning.advice(config, found)
    fits = (
        "everything fits" if len(fit) == len(found) else f"{len(found) - len(fit)} of {len(found)} programs do not fit"
    )
    return Results(
        {name: {key: exact(value) for key, value in figures.items()} for name, figures in found.items()},
        time.perf_counter() - began,
        "; ".join([f"{config.plan.topology}: {fits}", *lines]),
        tables=(table(config.plan.topology, found),),
    )


def table(topology: str, found: dict[str, Figures]) -> Table:
    """The figures of each program, a column each."""
    parameters = next(iter(found.values()))["parameters"] / 1e9
    keys = dict.fromkeys(key for figures in found.values() for key in figures if key not in _IN_TITLE)
    rows = tuple((key, *(_cell(key, figures.get(key)) for figures in found.values())) for key in keys)
    return Table(f"{topology}: {parameters:.2f}e9 parameters, per chip and step", ("figure", *found), rows)


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return ""
    if key == "fits":
        return "yes" if value else "NO"
    return f"{value:.4g}"


JOB = Job(
    "plan",
    "compile the training step and the rollout for a TPU topology without one: memory, FLOPs, collectives, does it fit",
    _run,
    settings=("job", "plan", "model", "mesh", "rollout", "train"),
    verifies=False,
    trains=False,
)
