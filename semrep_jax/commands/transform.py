"""`python -m semrep_jax.main transform FILE --instruction "..." --config C`: change a person's own file, and show the
change."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from semrep_jax.commands import command
from semrep_jax.commands.command import Command
from semrep_jax.languages import read_program
from semrep_jax.python import PYTHON
from semrep_jax.python.usertests import Report
from semrep_jax.sandbox.pool import Sandbox


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = command.parser(
        "transform",
        "Change a Python file as told: samples programs, runs your tests on each, shows the best as a diff. Writes "
        "nothing without --in-place, and then only a program that passes every test of --tests.",
        "Exit code 0: a program is proposed (and passes the tests given); 1: none; 2: a mistake in the input.",
    )
    options.add_argument("file", type=Path, metavar="FILE", help="the Python file; the model reads all of it")
    options.add_argument(
        "--instruction", required=True, help='what to change, e.g. "Handle the empty list by returning None."'
    )
    options.add_argument(
        "--config",
        required=True,
        metavar="C",
        help="which model and how to sample, e.g. configs/smollm2_transform.yaml",
    )
    options.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting; repeatable"
    )
    options.add_argument(
        "--turns",
        type=int,
        default=1,
        help="1: write the edit directly (default); 2: write rewrites of the file first, and edit with them at hand; "
        "more: go on from the best",
    )
    options.add_argument(
        "--strategy",
        help="how the turns are spent, e.g. semrep (default at two turns), repair (needs --tests), direct, greedy",
    )
    options.add_argument(
        "--tests", type=Path, metavar="T.py", help="your tests of FILE, as for pytest; see the command test"
    )
    options.add_argument("--in-place", action="store_true", help="write the proposal into FILE")
    return options


def run(options: argparse.Namespace) -> int:
    """Propose a change of a file."""
    from semrep_jax.jobs import config as configuration
    from semrep_jax.jobs.run import limits

    config = configuration.load(options.config, options.set)
    _check(options)
    read_program(options.file, PYTHON)  # before a model is loaded
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with Sandbox(config.sandbox.workers, limits(config.sandbox)) as sandbox:
        from semrep_jax.commands import proposal
        from semrep_jax.inference.rewrite import Sampling
        from semrep_jax.jobs import arms
        from semrep_jax.search.budget import Limits

        sampling = Sampling(config.evaluate.samples, config.evaluate.temperature)
        request = proposal.Request(
            options.file,
            options.instruction,
            options.tests,
            sampling,
            options.turns,
            config.seed,
            config.search.beam,
            options.strategy,
            Limits(**config.search.budget.model_dump()),
        )
        found = proposal.propose(request, arms.policy(config), sandbox)
    for reason, count in found.rejected.most_common():
        print(f"{count} of {found.samples} samples: {reason}")
    if options.turns > 1:
        print(f"{found.rewrites} of {found.samples} samples had an accepted rewrite of the file before them")
    for place, one in enumerate(found.ranked, start=1):
        tests = "" if one.report is None else f", {one.passed} of {len(one.report.results)} tests passed"
        cost = f"{one.tokens} tokens, {one.seconds:.2f} s of testing"
        print(f"candidate {place}: {one.votes} of {found.samples} samples{tests}; it cost {cost}")
    print(f"all of it cost {found.tokens} tokens and {found.seconds:.2f} s of testing")
    best = found.best
    if best is None:
        print("no sample held a program")
        return 1
    print(found.diff or "the best program is the file as it is", end="" if found.diff else "\n")
    print(f"{best.votes} of {found.samples} samples agree on it")
    _print_tests(found.before, best.report)
    if options.in_place:
        proposal.write(options.file, found)
        print(f"written to {options.file}")
    return 0 if best.report is None or best.report.all_passed else 1


def _check(options: argparse.Namespace) -> None:
    """Refuse turns and strategies that there are not, an instruction of nothing, and to write what nothing has tested.
    Raises ConfigError."""
    from semrep_jax.core.settings import ConfigError
    from semrep_jax.search.strategies.strategy import STRATEGIES

    if not options.instruction.strip():
        raise ConfigError("--instruction is empty: say what to change")
    if options.in_place and options.tests is None:
        raise ConfigError("--in-place writes only what passes your tests; name them by --tests T.py")
    if options.turns < 1:
        raise ConfigError(f"--turns {options.turns}: one turn at least writes something")
    strategy = options.strategy
    if strategy is not None and (not STRATEGIES[strategy].model or STRATEGIES[strategy].learns):
        raise ConfigError(f"--strategy {strategy}: it writes nothing with the model as it is; choose another")


def _print_tests(before: Report | None, after: Report | None) -> None:
    """A line a test of the best program, with what became of it on the file as it was."""
    if before is None or after is None:
        print("no tests were given: whether it is right is not known")
        return
    was = {test.name: test.outcome for test in before.results}
    for test in after.results:
        print(f"  {test.name}: {test.outcome} (before: {was.get(test.name, 'not run')})  {test.message}".rstrip())
    if after.problem is not None:
        print(f"  the tests did not all run: {after.problem}")


COMMAND = Command('transform FILE --instruction "..." --config C', "change a Python file as told", parser, run)
