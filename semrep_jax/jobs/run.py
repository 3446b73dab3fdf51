"""A config's job, from the sandbox's start to what is printed at the end; the one place that writes `results.json` and
`report.html`."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing

from rich.console import Console

from semrep_jax.core import bucket, progress
from semrep_jax.core.peers import joined
from semrep_jax.core.results import Results
from semrep_jax.core.stop import Stop, Stopped
from semrep_jax.core.workdir import WorkDir
from semrep_jax.jobs import checks
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import JOBS, MAY_CHANGE, Context
from semrep_jax.report import html, terminal
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.sandbox.settings import SandboxConfig
from semrep_jax.verify import Verifier

# Exit code of every process of a run that was stopped with everything saved; a cluster's launcher sets it to tell such
# an end from one that is done, and gives the command again.
EXIT_WHEN_STOPPED = "SEMREP_EXIT_WHEN_STOPPED"


def run(config: Config) -> int:
    """Run the job of `config`; returns the exit code. The sandbox's zygotes start before JAX is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    job = JOBS[config.job]
    checks.services(config)
    job.check(config)
    bucket.require_usable(config.work_dir, several=config.distributed.coordinator is not None)
    console = terminal.console()
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(config.sandbox.workers, limits(config.sandbox))) if job.verifies else None
        peers = stack.enter_context(joined(config.distributed))
        stop = stack.enter_context(Stop(peers))
        progress.console.quiet = not peers.leader
        work = peers.run_on_all(
            lambda: WorkDir(config.work_dir, config.comparable(job.settings), peers.leader, MAY_CHANGE, job.shares)
        )
        stack.enter_context(closing(work))
        work.write("config.yaml", config.to_yaml())
        verifier = None
        if sandbox is not None:
            verifier = Verifier(sandbox, peers, config.seed, config.of_languages())
            stack.enter_context(closing(verifier))
        try:
            results = job.run(config, Context(work, stop, verifier))
        except Stopped as stopped:
            work.copy()
            if peers.leader:
                console.print(str(stopped), highlight=False, soft_wrap=True)
            return int(os.environ.get(EXIT_WHEN_STOPPED, "0"))
        if peers.leader:
            _finish(config, work, results, console)
    return 0


def limits(setting: SandboxConfig) -> Limits:
    """The limits on a candidate that the settings name."""
    return Limits(setting.cpu_seconds, setting.wall_seconds, setting.memory_mb)


def _finish(config: Config, work: WorkDir, results: Results, console: Console) -> None:
    """Write the envelope and the page, and print what they say."""
    envelope = results.to_json(config.job, config.sha256, config.seed)
    work.write("results.json", envelope)
    path = html.write(work.path)
    work.copy()
    for table in terminal.tables(envelope):
        console.print(table, highlight=False)
    for line in (*results.notes, results.verdict, f"report: {work.address(path)}"):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
