"""The command: read a config, run its job; or one of the commands for single files (`commands`).

python -m semrep_jax.main --config configs/quickstart.yaml
python -m semrep_jax.main transform FILE --instruction "..." --config configs/smollm2_transform.yaml
python -m semrep_jax.main --config configs/quickstart.yaml --set train.budget=40 --set work_dir=runs/longer
"""

from __future__ import annotations

import argparse
import sys

from semrep_jax.commands import commands
from semrep_jax.commands.commands import guarded

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
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override one setting, e.g. train.alpha=0.3; repeatable",
    )
    command.add_argument("--print-config", action="store_true", help="print the resolved settings and end")
    command.add_argument(
        "--list-settings", action="store_true", help="print every setting with its default and meaning and end"
    )
    return command


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in commands.COMMANDS:
        return guarded(lambda: commands.COMMANDS[arguments[0]](arguments[1:]))
    options = parser().parse_args(arguments)
    if options.list_settings:
        from semrep_jax.jobs import config as configuration

        print(configuration.describe())
        return 0
    if options.config is None:
        parser().print_usage(sys.stderr)
        print("error: --config FILE is missing; try --config configs/quickstart.yaml", file=sys.stderr)
        return 2
    return guarded(lambda: _with_config(options))


def _with_config(options: argparse.Namespace) -> int:
    from semrep_jax.jobs import config as configuration
    from semrep_jax.jobs.run import run

    config = configuration.load(options.config, options.set)
    if options.print_config:
        print(config.to_yaml(), end="")
        return 0
    return run(config)


if __name__ == "__main__":
    sys.exit(main())
