"""`python -m semrep_jax.main perturb FILE -n 5`: variants of a program that behave the same."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from semrep_jax.commands import command
from semrep_jax.commands.command import Command
from semrep_jax.core import sources
from semrep_jax.core.programs import Program, Task
from semrep_jax.languages import language_of, read_program
from semrep_jax.sandbox.pool import Sandbox

MOST_REASONS = 12


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = command.parser(
        "perturb",
        "Variants of a Python or CUDA file that behave the same, by chains of one to four rewriting rules. Each is "
        "compared with the file by running both (Python on generated inputs, a kernel in the emulator over its "
        "operator's shapes, inputs and schedules), and printed only where no difference was found.",
        "Exit code 0: as many as asked; 1: fewer (what was dropped is said); 2: a mistake in the input.",
    )
    options.add_argument("file", type=Path, metavar="FILE", help="the program: .py or .cu")
    options.add_argument(
        "--task", metavar="NAME", help="of a CUDA file, the operator it computes, e.g. softmax; a wrong name lists all"
    )
    options.add_argument(
        "--kinds", nargs="+", metavar="KIND", help="rules, or groups of rules (default: all); a wrong name lists all"
    )
    options.add_argument("-n", type=command.at_least(1), default=1, metavar="N", help="how many (default 1)")
    options.add_argument("--seed", type=int, default=0, help="the same seed gives the same variants (default 0)")
    options.add_argument("--json", action="store_true", help="print one JSON object a variant: rules, source")
    return options


def run(options: argparse.Namespace) -> int:
    """Perturb a file."""
    from semrep_jax.perturb import perturb

    program, task = _read(options.file, options.task)
    with Sandbox(2) as sandbox:
        found = perturb(program, sandbox, options.n, options.seed, options.kinds, task)
    for number, made in enumerate(found.kept, 1):
        if options.json:
            print(json.dumps({"rules": made.rules, "source": made.program.source}))
        else:
            comment = "//" if task is not None else "#"
            print(f"{comment} variant {number}: {', '.join(made.rules)}\n{made.program.source.rstrip()}\n")
    if len(found.kept) < options.n:
        print(f"{len(found.kept)} of {options.n}; of the other tries:", file=sys.stderr)
        for reason, count in found.dropped.most_common(MOST_REASONS):
            print(f"  {count} {reason}", file=sys.stderr)
    return 0 if len(found.kept) == options.n else 1


def _read(path: Path, task: str | None) -> tuple[Program, Task | None]:
    """The file as a program, and the task that --task names."""
    program = read_program(path, language_of(path))
    if task is None:
        return Program(program.language, sources.in_utf8(program.source)), None
    from semrep_jax.cuda.candidate.candidate import from_file
    from semrep_jax.tasks.kernels import catalogue

    kernel = catalogue.task(catalogue.find(task), "test")
    return Program(program.language, from_file(program.source)), kernel


COMMAND = Command(
    "perturb FILE -n 5", "variants of a program that behave the same, Python or CUDA (--task NAME)", parser, run
)
