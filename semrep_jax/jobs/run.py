"""A config's job, from the sandbox's start to what is printed at the end."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, closing
from typing import Any

from rich.console import Console

from semrep_jax.core import progress
from semrep_jax.core.peers import joined
from semrep_jax.core.stop import Stop, Stopped
from semrep_jax.core.workdir import WorkDir
from semrep_jax.jobs.config import Config, Job
from semrep_jax.sandbox.pool import Limits, Sandbox


def run(config: Config) -> int:
    """Run the job of `config`; the sandbox's zygotes start before JAX is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if config.job is Job.PLAN:
        return _plan(config, WorkDir(config))
    if config.job is Job.MINE:
        return _mine(config, WorkDir(config))
    with ExitStack() as stack:
        sandbox = (
            None
            if config.job is Job.PRETRAIN
            else stack.enter_context(Sandbox(config.sandbox.workers, _limits(config)))
        )
        peers = stack.enter_context(joined(config.distributed))
        stop = stack.enter_context(Stop(peers))
        progress.console.quiet = not peers.leader
        work = peers.run_on_all(lambda: WorkDir(config, peers.leader))
        try:
            shown = _pretrain(config, work, stop) if sandbox is None else _measured(config, work, sandbox, stop)
        except Stopped as stopped:
            shown = [str(stopped)]
    if peers.leader:
        console = Console(width=None if sys.stdout.isatty() else 160)
        for part in shown:
            console.print(part, highlight=False, soft_wrap=isinstance(part, str))
    return 0


def _limits(config: Config) -> Limits:
    return Limits(config.sandbox.cpu_seconds, config.sandbox.wall_seconds, config.sandbox.memory_mb)


def _measured(config: Config, work: WorkDir, sandbox: Sandbox, stop: Stop) -> list[Any]:
    """The jobs that end in a table; what to print of them."""
    from semrep_jax.jobs import compare as jobs
    from semrep_jax.report import report
    from semrep_jax.verify import Verifier

    with closing(Verifier(sandbox, stop.peers, config.seed, {"cuda": config.cuda})) as verifier:
        result = jobs.run(config, work, verifier, stop)
    if not stop.peers.leader:
        return []
    path = report.write(work)
    return [*report.terminal_tables(work.read("results.json")), jobs.verdict(result), f"report: {path}"]


def _plan(config: Config, work: WorkDir) -> int:
    from semrep_jax.jobs import plan

    began = time.perf_counter()
    found = plan.run(config)
    arms = {
        name: {k: {"value": v, "low": v, "high": v, "n": 1} for k, v in figures.items()}
        for name, figures in found.items()
    }
    seconds = round(time.perf_counter() - began, 2)
    path = work.write("results.json", {"job": "plan", "config_sha256": config.sha256, "seconds": seconds, "arms": arms})
    plan.show(config, found, Console(width=None if sys.stdout.isatty() else 120))
    print(f"figures: {path}")
    return 0


def _mine(config: Config, work: WorkDir) -> int:
    from semrep_jax.mining.contamination import suite_functions
    from semrep_jax.mining.pipeline import mine

    with Stop() as stop:
        try:
            mined = mine(config.mine, suite_functions(config.evaluate.seed, config.evaluate.tasks), work.path, stop)
            arm = {
                name: {"value": float(v), "low": float(v), "high": float(v), "n": 1}
                for name, v in mined.figures.items()
            }
            results = {"job": "mine", "config_sha256": config.sha256, "seconds": mined.seconds, "arms": {"mined": arm}}
            work.write("results.json", results)
            shown = [*mined.tables, f"shards and manifest.json: {work.path}"]
        except Stopped as stopped:
            shown = [str(stopped)]
    console = Console(width=None if sys.stdout.isatty() else 160)
    for part in shown:
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))
    return 0


def _pretrain(config: Config, work: WorkDir, stop: Stop) -> list[Any]:
    from semrep_jax.train import supervised

    metrics = supervised.run(config, work.path, stop)
    final = {name: {"value": v, "low": v, "high": v, "n": 1} for name, v in metrics.items()}
    work.write(
        "results.json",
        {"job": "pretrain", "config_sha256": config.sha256, "seconds": metrics["seconds"], "arms": {"base": final}},
    )
    return [
        f"loss {metrics['loss']:.4f} after {metrics['seconds']:.0f} s; model: {work.path / config.supervised.export}"
    ]
