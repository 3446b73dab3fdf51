"""The command: read a config, run its job; or one of the commands for single files (`commands`).

python -m semrep_jax.main --config configs/quickstart.yaml
python -m semrep_jax.main transform FILE --instruction "..." --config configs/smollm2_transform.yaml
python -m semrep_jax.main --config configs/quickstart.yaml --set train.budget=40 --set work_dir=runs/longer
"""

from __future__ import annotations

import argparse
import sys
from io import TextIOWrapper

from semrep_jax.commands.command import COMMANDS, guarded
from semrep_jax.core.compiled import keep_compiled

EXAMPLES = """
examples
  python -m semrep_jax.main --config configs/quickstart.yaml
  python -m semrep_jax.main --config configs/quickstart.yaml --set seed=1 --set work_dir=runs/seed1
  python -m semrep_jax.main --config configs/quickstart.yaml --print-config
  python -m semrep_jax.main --list-settings

A run that was stopped or killed goes on when the same command is given again. Exit code 0: done (or stopped by SIGTERM
with everything saved); 2: a mistake in the config or the input; 1: a fault of ours.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m semrep_jax.main",
        description="Train and evaluate language models that transform code (SemRep in JAX).",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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


def _epilog() -> str:
    """What the jobs and the commands say of themselves."""
    from semrep_jax.jobs.job import JOBS

    jobs = [f"  {JOBS[name].name:<10} {JOBS[name].summary}" for name in JOBS]
    usages = [(COMMANDS[name].usage, COMMANDS[name].summary) for name in COMMANDS]
    commands = [f"  {usage}\n      {summary}" for usage, summary in usages]
    return "\n".join(["jobs", *jobs, "", "commands of their own (--help says more)", *commands, EXAMPLES])


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a character that the terminal does not have is no reason to end
            stream.reconfigure(errors="backslashreplace")
    keep_compiled()
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]].main(arguments[1:])
    options = parser().parse_args(arguments)
    if options.list_settings:
        from semrep_jax.jobs import config as configuration

        return guarded(lambda: print(configuration.describe()) or 0)
    if options.config is None:
        parser().print_usage(sys.stderr)
        print("error: --config FILE is missing; try --config configs/quickstart.yaml", file=sys.stderr)
        return 2
    return guarded(lambda: _with_config(options))


def _with_config(options: argparse.Namespace) -> int:
    from semrep_jax.jobs import config as configuration

    config = configuration.load(options.config, options.set)
    if options.print_config:
        print(config.to_yaml(), end="")
        return 0
    from semrep_jax.jobs.run import run

    return run(config)


if __name__ == "__main__":
    sys.exit(main())
