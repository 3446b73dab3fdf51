"""`job: headroom`: how much a rewrite at hand could help the untrained base, suite by suite.

    python -m semrep_jax.main --config configs/headroom_gap.yaml

Four measurements of each suite: the edit with nothing at hand (T1), with a rewrite of the policy's own (T2), with a
copy of C_src in the place of C_rep, and with the right C_rep where the tasks know one. Headroom is the right one minus
nothing. `job: sweep` asks `without_headroom` first where `sweep.headroom` names suites, and trains nothing without it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from semrep_jax.core.results import Estimate, Results, Table
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import Context, Job
from semrep_jax.train.arms import BASE

if TYPE_CHECKING:
    from semrep_jax.evaluate.headroom import Help
    from semrep_jax.evaluate.measure import Measured
    from semrep_jax.rollout.policy import Policy
    from semrep_jax.tasks.suite import DrawnSuite

Found = dict[str, "dict[Help, Measured]"]  # measurements of each suite, by its name
TITLES = {
    "nothing": "nothing at hand (T1)",
    "own": "own rewrites (T2)",
    "copy": "a copy of C_src",
    "right": "the right C_rep",
}
COLUMNS = ("suite", "tasks", *TITLES.values(), "headroom", "T2 - T1", "copy - T1", "rewrites accepted")
UNKNOWN = "-"


def measured(config: Config, context: Context, policy: Policy, suites: Sequence[DrawnSuite]) -> Found:
    """The four measurements of each suite; those that the work directory holds are not made again. Raises Stopped.

    config, context: of the run. policy: untrained. suites: drawn.
    """
    from semrep_jax.core.progress import bar
    from semrep_jax.core.stop import Stopped
    from semrep_jax.evaluate import headroom
    from semrep_jax.jobs.arms import kept, require_fitting
    from semrep_jax.jobs.measuring import procedure

    require_fitting(suites, policy)
    how = procedure(config)
    same = how.identity | {"model": config.model.source, "remote": config.remote.url}
    wanted = [(suite, help) for suite in suites for help in headroom.helps_of(suite)]
    found: Found = {suite.name: {} for suite in suites}
    with bar("headroom", len(wanted)) as progress:
        for suite, help in wanted:
            name = f"headroom/{suite.name}-{help}.json"
            one = kept(context, name, suite, same)
            if one is None:
                one = headroom.measure_with(policy, suite, help, context.judges, how)
                one = replace(one, identity=same)
                context.work.write(name, one.to_json())
            found[suite.name][help] = one
            progress.advance(f"{suite.name}, {help}: {one.per_task.mean():.2f}")
            if context.stop.wanted:
                raise Stopped("stopped while measuring headroom; the same command goes on from there")
    return found


def without_headroom(config: Config, context: Context, policy: Policy, suites: Sequence[DrawnSuite]) -> list[str]:
    """Names of the suites on which no right C_rep is known to help this policy: the interval reaches down to zero, or
    the tasks know no right one.

    config, context: of the run, which keeps what is measured. policy: asked with and without help. suites: to look at.
    """
    from semrep_jax.evaluate.headroom import has_headroom

    found = measured(config, context, policy, suites)
    return [name for name, ones in found.items() if not has_headroom(ones, config.evaluate.resamples)]


def _run(config: Config, context: Context) -> Results:
    from semrep_jax.jobs.arms import drawn_suites, policy

    began = time.perf_counter()
    suites = drawn_suites(config, context)
    found = measured(config, context, policy(config, context.work), suites)
    shares, gains = dict(_shares(found, config)), dict(_gains(found, config))
    return Results(
        {BASE: shares},
        max(sum(one.seconds for ones in found.values() for one in ones.values()), time.perf_counter() - began),
        _verdict(found, gains),
        differences=gains,
        tables=(_table(found, shares, gains),),
        about={"suites": {s.name: {"tasks": len(s.tasks), "sha256": s.sha256} for s in suites}},
    )


def _shares(found: Found, config: Config) -> Iterator[tuple[str, Estimate]]:
    """Success with each thing at hand, as SUITE/HELP, and the share of own rewrites that were accepted."""
    from semrep_jax.core.results import exact
    from semrep_jax.evaluate.headroom import Help
    from semrep_jax.evaluate.intervals import mean

    for suite, ones in found.items():
        for help, one in ones.items():
            yield f"{suite}/{help}", mean(one.per_task, config.evaluate.resamples)
        yield f"{suite}/accepted", exact(ones[Help.OWN].rewrites_accepted)


def _gains(found: Found, config: Config) -> Iterator[tuple[str, Estimate]]:
    """Success with each thing at hand minus success with nothing, as SUITE/HELP."""
    from semrep_jax.evaluate.headroom import Help, gain

    for suite, ones in found.items():
        for help in ones:
            if help is not Help.NOTHING:
                yield f"{suite}/{help}", gain(ones, help, config.evaluate.resamples)


def _table(found: Found, shares: dict[str, Estimate], gains: dict[str, Estimate]) -> Table:
    def share(key: str) -> str:
        return str(shares[key]) if key in shares else UNKNOWN

    def gain(key: str) -> str:
        one = gains.get(key)
        return UNKNOWN if one is None else one.signed

    rows = []
    for suite, ones in found.items():
        tasks = len(next(iter(ones.values())).task_ids)
        cells = [share(f"{suite}/{help}") for help in TITLES]
        cells += [gain(f"{suite}/{help}") for help in ("right", "own", "copy")]
        rows.append((suite, str(tasks), *cells, f"{shares[f'{suite}/accepted'].value:.3f}"))
    return Table("success of the untrained base by what it has at hand", COLUMNS, tuple(rows))


def _verdict(found: Found, gains: dict[str, Estimate]) -> str:
    """One sentence on where a right rewrite helps."""
    room = {suite: gains.get(f"{suite}/right") for suite in found}
    some = [f"{suite} ({one.value:+.3f})" for suite, one in room.items() if one is not None and one.low > 0]
    none = [suite for suite, one in room.items() if one is not None and one.low <= 0]
    unknown = [suite for suite, one in room.items() if one is None]
    parts = [f"there is headroom on {', '.join(some)}" if some else "no headroom was seen"]
    if none and some:
        parts.append(f"none was seen on {', '.join(none)}")
    if unknown:
        parts.append(f"{', '.join(unknown)}: no right C_rep is known")
    return "; ".join(parts) + "."


JOB = Job(
    "headroom",
    "how much a right rewrite at hand helps the untrained base",
    _run,
    settings=("job", "seed", "model", "mesh", "remote", "rollout", "sandbox", "cuda"),
    trains=False,
)
