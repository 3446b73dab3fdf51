"""The command: read a config, run its job; or one of the commands for single files (`commands`).

python -m semrep_jax.main --config configs/quickstart.yaml
python -m semrep_jax.main transform FILE --instruction "..." --config configs/smollm2_transform.yaml
python -m semrep_jax.main --config configs/quickstart.yaml --set train.budget=40 --set work_dir=runs/longer
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack, closing
from typing import Any

from rich.console import Console

from semrep_jax import commands, progress
from semrep_jax import config as configuration
from semrep_jax.commands import guarded
from semrep_jax.config import Config, Job
from semrep_jax.peers import joined
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.stop import Stop, Stopped
from semrep_jax.workdir import WorkDir

EPILOG = """
jobs
  compare    load a base, train SemRep (two stages) and fine-tuning only at the same budget, evaluate all three, write a report
  train      one arm: SemRep where train.alpha > 0, fine-tuning only where it is 0
  evaluate   a model on the held-out suites
  pretrain   warm-start a base from scratch on generated pairs
  mine       functions of installed packages made into tasks: tests, verified rewrites, bugs, in shards
  plan       compile the training step and the rollout for a TPU topology without one: memory, FLOPs, collectives, does it fit

commands of their own (--help says more)
  transform FILE --instruction "..." --config C [--tests T.py] [--in-place]
  verify A.py B.py           do two programs behave the same? run on generated inputs; a counterexample where not
  perturb FILE -n 5          variants of a program that behave the same
  judge FILE --task NAME     is a CUDA kernel right? compiled by NVRTC, run on the CPU (needs the extra nvrtc, g++, and no GPU)
  time FILE --task NAME      the same, then run and timed on a GPU beside the task's own program (needs the extra cuda13 or cuda12)

examples
  python -m semrep_jax.main --config configs/quickstart.yaml
  python -m semrep_jax.main --config configs/quickstart.yaml --set seed=1 --set work_dir=runs/seed1
  python -m semrep_jax.main --config configs/quickstart.yaml --print-config
  python -m semrep_jax.main --list-settings

A run that was stopped or killed goes on when the same command is given again. Exit code 0: done (or stopped by SIGTERM with
everything saved); 2: a mistake in the config or the input; 1: a fault of ours.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m semrep_jax.main", description="Train and evaluate language models that transform code (SemRep in JAX).",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_argument("--config", metavar="FILE", help="YAML settings; configs/ holds some to start from")
    command.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting, e.g. train.alpha=0.3; repeatable"
    )
    command.add_argument("--print-config", action="store_true", help="print the resolved settings and end")
    command.add_argument("--list-settings", action="store_true", help="print every setting with its default and meaning and end")
    return command


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in commands.COMMANDS:
        return guarded(lambda: commands.COMMANDS[arguments[0]](arguments[1:]))
    options = parser().parse_args(arguments)
    if options.list_settings:
        print(configuration.describe())
        return 0
    if options.config is None:
        parser().print_usage(sys.stderr)
        print("error: --config FILE is missing; try --config configs/quickstart.yaml", file=sys.stderr)
        return 2
    return guarded(lambda: _with_config(options))


def _with_config(options: argparse.Namespace) -> int:
    config = configuration.load(options.config, options.set)
    if options.print_config:
        print(config.to_yaml(), end="")
        return 0
    return run(config)


def run(config: Config) -> int:
    """Run the job of `config`; the sandbox's zygotes start before JAX is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if config.job is Job.PLAN:
        return _plan(config, WorkDir(config))
    if config.job is Job.MINE:
        return _mine(config, WorkDir(config))
    with ExitStack() as stack:
        sandbox = None if config.job is Job.PRETRAIN else stack.enter_context(Sandbox(config.sandbox.workers, _limits(config)))
        peers = stack.enter_context(joined(config.distributed))
        stop = stack.enter_context(Stop(peers))
        progress.console.quiet = not peers.leader
        work = peers.together(lambda: WorkDir(config, peers.leader))
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
    from semrep_jax import report
    from semrep_jax.evaluate import jobs
    from semrep_jax.verify import Verifier

    with closing(Verifier(sandbox, stop.peers, config.seed, config.kernels.gpu)) as verifier:
        result = jobs.run(config, work, verifier, stop)
    if not stop.peers.leader:
        return []
    path = report.write(work)
    return [*report.terminal_tables(work.read("results.json")), jobs.verdict(result), f"report: {path}"]


def _plan(config: Config, work: WorkDir) -> int:
    from semrep_jax.train import plan

    began = time.perf_counter()
    found = plan.run(config)
    arms = {name: {k: {"value": v, "low": v, "high": v, "n": 1} for k, v in figures.items()} for name, figures in found.items()}
    seconds = round(time.perf_counter() - began, 2)
    path = work.write("results.json", {"job": "plan", "config_sha256": config.sha256, "seconds": seconds, "arms": arms})
    plan.show(config, found, Console(width=None if sys.stdout.isatty() else 120))
    print(f"figures: {path}")
    return 0


def _mine(config: Config, work: WorkDir) -> int:
    from semrep_jax.mine import job

    with Stop() as stop:
        try:
            shown = job.run(config, work, stop)
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
    return [f"loss {metrics['loss']:.4f} after {metrics['seconds']:.0f} s; model: {work.path / config.supervised.export}"]


if __name__ == "__main__":
    sys.exit(main())
