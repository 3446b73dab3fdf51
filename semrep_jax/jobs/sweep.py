"""`job: sweep`: arms x settings x seeds at equal budget, resumable at any point, by one process or several.

    python -m semrep_jax.main --config configs/replicate/nano.yaml
    python -m semrep_jax.main --config configs/replicate/nano.yaml --set 'sweep.only=["*-s0"]'   # a part of it

Before anything is trained the primary contrast and the smallest difference that the design can detect are printed and
written to `design.json`; a later run with another design is refused there. Every process with the same command takes
the cells that no other one holds, seed by seed, and tells at its end what all finished cells say, and which are
missing. Kill it, and give the same command: it goes on, to the same bits (`jobs.cells`).
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any

from semrep_jax.core.bucket import scheme
from semrep_jax.core.progress import console
from semrep_jax.core.results import Results
from semrep_jax.core.settings import ConfigError, flatten
from semrep_jax.core.workdir import WorkDirError, describe_changes
from semrep_jax.jobs import checks
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import TRAINING, Context, Job
from semrep_jax.jobs.places import Cell, planned, summaries
from semrep_jax.tasks.suite import axes

if TYPE_CHECKING:
    from semrep_jax.jobs.cells import Bench

DESIGN = "design.json"
SAID = {"statement": ""}  # follows from the rest of a design
OF_THE_JUDGE = ("sandbox", "cuda")  # sections that decide how cells are judged
NOTHING = "none"  # as `sweep.only`: the tables alone, nothing is trained


def _run(config: Config, context: Context) -> Results:
    from semrep_jax.jobs import cells, studies
    from semrep_jax.jobs.design import design, tasks_behind

    plan = planned(config)
    bench = cells.Bench(context)
    written = _written(context)
    tasks = written["compared"] if written else tasks_behind(config.sweep.primary.metric, bench.drawn(config))
    settled = design(config, tasks)
    _settle(settled, written, context)
    distinct = {cell.name: cell for cell in plan.values()}
    mine = [distinct[name] for name in _chosen(list(distinct), config.sweep.only)]
    if mine and config.sweep.headroom:
        _require_headroom(config, context, bench)
    for number, cell in enumerate(mine, 1):
        if cell.summary(context.work.path) is None:
            console.print(f"cell {number} of {len(mine)}: {cell.name}", highlight=False)
            if not bench.run(cell):
                console.print(f"{cell.name} is in the hands of another process", highlight=False)
    context.work.alone()  # two processes that end at one time: the second sees all that the first did
    return studies.results(config, plan, summaries(plan, context.work.path), settled)


def _require_headroom(config: Config, context: Context, bench: Bench) -> None:
    """Refuse a world in which no right C_rep is known to help the base. Raises ConfigError."""
    from semrep_jax.jobs.headroom import without_headroom
    from semrep_jax.rollout.local import LocalPolicy

    base = bench.base(config)
    policy = LocalPolicy.of(base, config.rollout)
    suites = [suite for suite in bench.suites(config) if suite.name in config.sweep.headroom]
    lacking = without_headroom(config, context, policy, suites)
    if lacking:
        raise ConfigError(
            f"sweep.headroom: on {', '.join(lacking)} the right C_rep is not seen to help {config.model.source}, so "
            "there is nothing for stage 1 to win; take another model.source or suite, raise evaluate.tasks, or "
            "leave it out"
        )


def _chosen(names: list[str], patterns: list[str]) -> list[str]:
    """The cells that this process works on, in order. Raises ConfigError for a pattern that is of none."""
    if not patterns:
        return names
    if patterns == [NOTHING]:
        return []
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise ConfigError(f"sweep.only: {pattern!r} is the pattern of no cell; there are {', '.join(names)}")
    return [name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]


def _written(context: Context) -> dict[str, Any] | None:
    """The directory's design, where it has one. Older ones took all tasks for such as the primary contrast is over."""
    theirs = context.work.read(DESIGN)
    return None if theirs is None else {"compared": theirs["tasks"]} | theirs


def _settle(settled: dict[str, Any], theirs: dict[str, Any] | None, context: Context) -> None:
    """Write the design down and say it; refuse another one than the directory's. Raises WorkDirError.

    settled: the config's. theirs: the directory's, where it has one.
    """
    if theirs is None:
        context.work.write(DESIGN, settled)
    elif changes := describe_changes(flatten(theirs | SAID), flatten(settled | SAID)):
        raise WorkDirError(
            f"{context.work.path / DESIGN} was written before the study began, and the design is another now: "
            f"{changes}; a study keeps its design: use another work_dir"
        )
    console.print(settled["statement"], highlight=False, soft_wrap=True)


def _check(config: Config) -> None:
    for cell in {cell.name: cell for cell in planned(config).values()}.values():
        _check_cell(config, cell)
    if config.distributed.processes > 1 or config.distributed.coordinator is not None:
        raise ConfigError(
            "distributed.coordinator: the processes of a sweep share out its cells and know nothing of each other; "
            "set it to null and give the same command on each host, with a work_dir that all share"
        )
    if scheme(config.work_dir):
        raise ConfigError(
            f"work_dir: {config.work_dir} is in a bucket, where processes can't share out cells; choose a directory"
        )
    names = axes(config.evaluate.suites)
    if config.sweep.primary.metric not in names:
        raise ConfigError(
            f"sweep.primary.metric: {config.sweep.primary.metric!r} is not measured; evaluate.suites gives "
            f"{', '.join(names)}"
        )
    for name in config.sweep.headroom:
        if name not in config.evaluate.suites:
            raise ConfigError(f"sweep.headroom: {name!r} is not among evaluate.suites {config.evaluate.suites}; add it")


def _check_cell(config: Config, cell: Cell) -> None:
    """Refuse a setting that no cell can be trained or compared in. Raises ConfigError."""
    own, at = cell.config, f"setting {cell.place.setting}"
    checks.local(own)
    for section in OF_THE_JUDGE:
        if own.comparable((section,)) != config.comparable((section,)):
            raise ConfigError(
                f"sweep.settings: {at} changes {section}, and all cells are judged by one verifier; set it for the "
                "whole sweep, or make a sweep of each"
            )
    if own.evaluate.suites != config.evaluate.suites:
        raise ConfigError(
            f"sweep.settings: {at} measures {own.evaluate.suites}, and the sweep compares by evaluate.suites "
            f"{config.evaluate.suites}; settings can't change them"
        )
    forms, prompts = own.tasks.variants, own.rollout.prompts
    if cell.place.arm == "variants_pooled" and prompts % forms:
        raise ConfigError(
            f"rollout.prompts: {prompts} prompts can't hold tasks of tasks.variants = {forms} forms each ({at}); "
            f"choose a multiple of {forms}"
        )


JOB = Job(
    "sweep",
    "arms x settings x seeds at equal budget, with statistics over tasks and seeds",
    _run,
    settings=(*TRAINING, "evaluate"),
    shares=True,
    check=_check,
)
