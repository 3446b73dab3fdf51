"""`python -m semrep_jax.main verify A.py B.py`: do two Python programs behave the same?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from semrep_jax.commands import command
from semrep_jax.commands.command import Command
from semrep_jax.languages import Answer, Finding, read_program
from semrep_jax.python import PYTHON
from semrep_jax.sandbox.pool import Sandbox

EXIT_CODES = {Answer.EQUIVALENT: 0, Answer.DIFFERENT: 1, Answer.UNKNOWN: 2}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = command.parser(
        "verify",
        "Do two Python programs behave the same? What is public at the top of A is used with generated inputs, from "
        "doctests, type hints, or by trying what is taken, and B's of the same name with the same: functions are "
        "called, classes built and their methods called in sequences, functions called by turns. Compared are results "
        "by type and exactly, exception classes, changes to arguments, state, printed text, shared references. Both "
        "run contained. What the answer rests on is printed with it.",
        "Exit code 0: equivalent as far as seen; 1: different, with a small counterexample; 2: unknown, or a mistake "
        "in the input.",
    )
    options.add_argument("a", type=Path, metavar="A.py", help="the program that is to be matched")
    options.add_argument("b", type=Path, metavar="B.py", help="the program that is compared with it")
    options.add_argument(
        "--tests", type=Path, metavar="T.py", help="your tests too: test_* functions that import from A, by its name"
    )
    options.add_argument(
        "--prove", action="store_true", help="also follow every path of both with CrossHair (extra prove; up to 10 s)"
    )
    options.add_argument(
        "--inputs", type=command.at_least(1), default=250, metavar="N", help="calls of each function (default 250)"
    )
    options.add_argument("--seed", type=int, default=0, help="seed of the inputs (default 0)")
    options.add_argument(
        "--ignore-sharing", action="store_true", help="two places that hold one object are no difference to two objects"
    )
    options.add_argument("--json", action="store_true", help="print one JSON object")
    return options


def run(options: argparse.Namespace) -> int:
    """Compare two files."""
    from semrep_jax.python import proof, usertests
    from semrep_jax.python.equivalence import Reference

    a, b = (read_program(path, PYTHON).source for path in (options.a, options.b))
    tests = None if options.tests is None else usertests.read_tests(options.tests)
    with Sandbox(1) as sandbox:  # and its twin
        reference = Reference(a, sandbox, options.inputs, options.seed, sharing=not options.ignore_sharing)
        finding = reference.compare(b)
        if finding.answer is not Answer.DIFFERENT and tests is not None:
            told_apart = usertests.told_apart(a, b, options.a.stem, tests)
            if told_apart is not None:
                finding = replace(finding, answer=Answer.DIFFERENT, counterexample=told_apart)
        if finding.answer is not Answer.DIFFERENT and options.prove:
            finding = proof.prove(reference, b, finding)
    sharing = "ignored" if options.ignore_sharing else "compared"
    print(
        json.dumps(finding.to_json() | {"shared_references": sharing}) if options.json else _summary(finding, sharing)
    )
    return EXIT_CODES[finding.answer]


def _summary(finding: Finding, sharing: str) -> str:
    """The answer; why, or on what it rests."""
    how = "on every path (CrossHair)" if finding.proved else f"on {finding.calls} calls"
    first = f"equivalent {how}" if finding.answer is Answer.EQUIVALENT else str(finding.answer)
    lines = [first, finding.counterexample, finding.reason, finding.certificate]
    if finding.answer is not Answer.DIFFERENT and finding.calls:
        lines += [_evidence(name, counts) for name, counts in finding.evidence.items()]
        if finding.answer is Answer.EQUIVALENT and not finding.proved:
            counts = " and ".join(f"{count} of the {name} program" for name, count in finding.differing.items())
            lines.append(f"statements that differ: {counts}; all of them ran")
        lines.append(f"shared references: {sharing}")
    return "\n".join(filter(None, lines))


def _evidence(name: str, counts: Mapping[str, int]) -> str:
    """One line about what was seen of one thing in the first program."""
    said = {
        "returned": "returned",
        "raised": "raised",
        "refused": "refused their arguments",
        "unreadable": "gave what can't be compared",
        "unsteady": "gave no steady answer in time",
    }
    calls = [f"{counts[key]} {text}" for key, text in said.items() if counts[key]]
    return f"{name}: {', '.join(calls) or 'no calls'}; {counts['distinct']} different outcomes"


COMMAND = Command(
    "verify A.py B.py",
    "do two programs behave the same? run on generated inputs; a counterexample where not",
    parser,
    run,
)
