"""The command: read a config, run its job; or transform one file with a model.

python -m semrep_jax.main --config configs/quickstart.yaml
python -m semrep_jax.main transform FILE --instruction "..." --config configs/smollm2_transform.yaml
python -m semrep_jax.main --config configs/quickstart.yaml --set train.budget=40 --set work_dir=runs/longer
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from rich.console import Console

from semrep_jax import config as configuration
from semrep_jax import progress
from semrep_jax.config import Config, Job
from semrep_jax.peers import joined
from semrep_jax.programs import SemRepError
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.stop import Stop, Stopped
from semrep_jax.workdir import WorkDir

EPILOG = """
jobs
  compare    load a base, train SemRep (two stages) and fine-tuning only at the same budget, evaluate all three, write a report
  train      one arm: SemRep where train.alpha > 0, fine-tuning only where it is 0
  evaluate   a model on the held-out suites
  pretrain   warm-start a base from scratch on generated pairs
  plan       compile the training step and the rollout for a TPU topology without one: memory, FLOPs, collectives, does it fit

commands of their own (--help says more)
  transform FILE --instruction "..." --config C [--tests T.py] [--in-place]
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
    if arguments[:1] in (["judge"], ["time"]):
        timed = arguments[0] == "time"
        return _guarded(lambda: _judge(judge_parser(timed).parse_args(arguments[1:]), timed))
    if arguments[:1] == ["transform"]:
        return _guarded(lambda: _transform(transform_parser().parse_args(arguments[1:])))
    options = parser().parse_args(arguments)
    if options.list_settings:
        print(configuration.describe())
        return 0
    if options.config is None:
        parser().print_usage(sys.stderr)
        print("error: --config FILE is missing; try --config configs/quickstart.yaml", file=sys.stderr)
        return 2
    return _guarded(lambda: _with_config(options))


def _with_config(options: argparse.Namespace) -> int:
    config = configuration.load(options.config, options.set)
    if options.print_config:
        print(config.to_yaml(), end="")
        return 0
    return run(config)


def _guarded(command: Callable[[], int]) -> int:
    """The command's exit code; a mistake of the user's becomes one line."""
    try:
        return command()
    except SemRepError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(
            f"error: {error.filename or 'the work directory'}: {error.strerror or error}; free some disk or mend its permissions",
            file=sys.stderr,
        )
        return 2


def run(config: Config) -> int:
    """Run the job of `config`; the sandbox's zygotes start before JAX is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if config.job is Job.PLAN:
        return _plan(config, WorkDir(config))
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


def transform_parser() -> argparse.ArgumentParser:
    """The command line of `transform`."""
    command = argparse.ArgumentParser(
        prog="python -m semrep_jax.main transform",
        description="Change a Python file as told: samples programs, runs your tests on each, shows the best as a diff. Writes nothing "
        "without --in-place, and then only a program that passes every test given.",
        epilog="Exit code 0: a program is proposed (and passes the tests given); 1: none; 2: a mistake in the input.",
    )
    command.add_argument("file", type=Path, metavar="FILE", help="the Python file; the model reads all of it")
    command.add_argument("--instruction", required=True, help='what to change, e.g. "Handle the empty list by returning None."')
    command.add_argument("--config", required=True, metavar="C", help="which model and how to sample, e.g. configs/smollm2_transform.yaml")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting; repeatable")
    command.add_argument("--tests", type=Path, metavar="T.py", help="your tests: test_* functions that import FILE's functions")
    command.add_argument("--in-place", action="store_true", help="write the proposal into FILE")
    return command


def _transform(options: argparse.Namespace) -> int:
    config = configuration.load(options.config, options.set)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with Sandbox(config.sandbox.workers) as sandbox:
        from semrep_jax import transform
        from semrep_jax.evaluate import jobs

        proposal = transform.propose(options.file, options.instruction, options.tests, jobs.policy(config), config, sandbox)
    for reason, count in proposal.rejected.most_common():
        print(f"{count} of {proposal.samples} samples: {reason}")
    best = proposal.best
    if best is None:
        print("no sample held a program")
        return 1
    print(proposal.diff or "the best program is the file as it is", end="" if proposal.diff else "\n")
    print(f"{best.votes} of {proposal.samples} samples agree on it")
    for before, after in zip(proposal.tests_before, best.tests, strict=True):
        was = "passed" if before.passed else "failed"
        print(f"  {after.name}: {'passed' if after.passed else 'failed'} (before: {was})  {after.message}".rstrip())
    if not best.tests:
        print("no tests were given: whether it is right is not known")
    failed = not all(t.passed for t in best.tests)
    if options.in_place:
        transform.write(options.file, proposal)
        print(f"written to {options.file}")
    return 1 if failed else 0


def judge_parser(timed: bool) -> argparse.ArgumentParser:
    """The command line of `judge`, or of `time`."""
    what = "Whether a CUDA kernel computes what a task asks for: parsed, compiled by NVRTC, run on the CPU over shapes, distributions and "
    what += "thread schedules, compared with a float64 oracle. "
    if timed:
        what += "Then run on the GPU, and timed there beside the task's own program: new inputs, pointers and caches every time, in random "
        what += "order, every output compared."
    else:
        what += "What passes is right in emulation; nothing is timed."
    command = argparse.ArgumentParser(
        prog=f"python -m semrep_jax.main {'time' if timed else 'judge'}", description=what,
        epilog="Exit code 0: right; 1: not; 2: a mistake in the input. Without FILE the task's own program is printed, to start from.",
    )  # fmt: skip
    command.add_argument(
        "file", type=Path, metavar="FILE", nargs="?", help="CUDA with a line // launch: [...], or text with two fenced blocks"
    )
    command.add_argument("--task", required=True, metavar="NAME", help="e.g. softmax; a wrong name lists all")
    return command


def _judge(options: argparse.Namespace, timed: bool) -> int:
    from semrep_jax.kernels.candidate import from_file
    from semrep_jax.kernels.gpu import Gpu
    from semrep_jax.kernels.judge import Judge
    from semrep_jax.tasks.kernels import catalogue

    task = catalogue.find(options.task)
    if options.file is None:
        print(task.source, end="")
        return 0
    text = from_file(options.file.read_text())
    with Judge(gpu=Gpu() if timed else None) as judge:
        verdict = judge.judge(task, text)
        used = judge.resources(task, text) if verdict.compiled else []
    where = "on the GPU" if verdict.on_gpu is not None else "in emulation"
    ran = f"{verdict.preserve.passed} of {verdict.preserve.total} executions right {where}"
    print(f"{task.name}: {verdict.status}, {ran}, {verdict.seconds:.1f} s")
    for line in [*verdict.feedback.splitlines(), *used]:
        print(line)
    return 0 if verdict.correct else 1


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
