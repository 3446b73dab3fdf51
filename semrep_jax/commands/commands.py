"""Commands for single files, each with its own --help: transform, verify, perturb, judge, time."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from semrep_jax.core.errors import SemRepError
from semrep_jax.languages import read_program
from semrep_jax.python import PYTHON
from semrep_jax.sandbox.pool import Sandbox


def guarded(command: Callable[[], int]) -> int:
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


def transform_parser() -> argparse.ArgumentParser:
    """The command line of `transform`."""
    command = argparse.ArgumentParser(
        prog="python -m semrep_jax.main transform",
        description="Change a Python file as told: samples programs, runs your tests on each, shows the best as a diff. Writes nothing "
        "without --in-place, and then only a program that passes every test given.",
        epilog="Exit code 0: a program is proposed (and passes the tests given); 1: none; 2: a mistake in the input.",
    )
    command.add_argument("file", type=Path, metavar="FILE", help="the Python file; the model reads all of it")
    command.add_argument(
        "--instruction", required=True, help='what to change, e.g. "Handle the empty list by returning None."'
    )
    command.add_argument(
        "--config",
        required=True,
        metavar="C",
        help="which model and how to sample, e.g. configs/smollm2_transform.yaml",
    )
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting; repeatable"
    )
    command.add_argument(
        "--tests", type=Path, metavar="T.py", help="your tests: test_* functions that import FILE's functions"
    )
    command.add_argument("--in-place", action="store_true", help="write the proposal into FILE")
    return command


def _transform(arguments: list[str]) -> int:
    from semrep_jax.jobs import config as configuration

    options = transform_parser().parse_args(arguments)
    config = configuration.load(options.config, options.set)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with Sandbox(config.sandbox.workers) as sandbox:
        from semrep_jax.commands import transform
        from semrep_jax.jobs import compare as jobs

        proposal = transform.propose(
            options.file, options.instruction, options.tests, jobs.policy(config), config, sandbox
        )
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
        "file",
        type=Path,
        metavar="FILE",
        nargs="?",
        help="CUDA with a line // launch: [...], or text with two fenced blocks",
    )
    command.add_argument("--task", required=True, metavar="NAME", help="e.g. softmax; a wrong name lists all")
    return command


def _judge(arguments: list[str], timed: bool = False) -> int:
    options = judge_parser(timed).parse_args(arguments)
    from semrep_jax.cuda.candidate.candidate import from_file
    from semrep_jax.cuda.gpu.gpu import Gpu
    from semrep_jax.cuda.judge import Judge
    from semrep_jax.tasks.kernels import catalogue

    task = catalogue.find(options.task)
    if options.file is None:
        print(task.source, end="")
        return 0
    text = from_file(options.file.read_text())
    with Judge(gpu=Gpu() if timed else None) as judge:
        judgement = judge.examine(task, text)
        verdict, candidate = judgement.verdict, judgement.candidate
        used = judge.resources(task, candidate) if verdict.compiled and candidate is not None else []
    where = "on the GPU" if "on_gpu" in verdict.facts else "in emulation"
    ran = f"{verdict.preserve.passed} of {verdict.preserve.total} executions right {where}"
    print(f"{task.name}: {verdict.status}, {ran}, {verdict.seconds:.1f} s")
    for line in [*verdict.feedback.splitlines(), *used]:
        print(line)
    return 0 if verdict.correct else 1


def verify_parser() -> argparse.ArgumentParser:
    """The command line of `verify`."""
    command = argparse.ArgumentParser(
        prog="python -m semrep_jax.main verify",
        description="Do two Python programs behave the same? Every function at the top of A (those without an underscore) is called with "
        "generated inputs, from its doctests, its type hints, or by trying what it takes, and B's function of the same name with the "
        "same: results by type and exactly, exception classes, changes to arguments, printed text. Both run contained.",
        epilog="Exit code 0: equivalent as far as seen; 1: different, with a small counterexample; 2: unknown, or a mistake in the input.",
    )
    command.add_argument("a", type=Path, metavar="A.py", help="the program that is to be matched")
    command.add_argument("b", type=Path, metavar="B.py", help="the program that is compared with it")
    command.add_argument(
        "--tests", type=Path, metavar="T.py", help="your tests too: test_* functions that import from A, by its name"
    )
    command.add_argument(
        "--prove", action="store_true", help="also follow every path of both with CrossHair (extra prove; up to 10 s)"
    )
    command.add_argument("--inputs", type=int, default=250, metavar="N", help="calls of each function (default 250)")
    command.add_argument("--seed", type=int, default=0, help="seed of the inputs (default 0)")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    return command


def _verify(arguments: list[str]) -> int:
    from semrep_jax.python import equivalence, usertests
    from semrep_jax.python.equivalence import Answer, Finding, Reference

    options = verify_parser().parse_args(arguments)
    a, b = (read_program(path, PYTHON).source for path in (options.a, options.b))
    tests = None if options.tests is None else usertests.read(options.tests)
    with Sandbox(2) as sandbox:
        reference = Reference(a, sandbox, options.inputs, options.seed)
        finding = reference.compare(b)
        if finding.answer is not Answer.DIFFERENT and tests is not None:
            first, second = (usertests.run(text, options.a.stem, tests, sandbox) for text in (a, b))
            failed = [y for x, y in zip(first, second, strict=True) if x.passed and not y.passed]
            if failed:
                finding = Finding(Answer.DIFFERENT, finding.calls, f"{failed[0].name}: {failed[0].message}")
        if finding.answer is not Answer.DIFFERENT and options.prove:
            finding = equivalence.prove(reference, b, finding)
    if options.json:
        print(json.dumps(finding.to_json()))
    else:
        how = "on every path (CrossHair)" if finding.proved else f"on {finding.calls} calls"
        print({Answer.EQUIVALENT: f"equivalent {how}", Answer.DIFFERENT: "different"}.get(finding.answer, "unknown"))
        print(finding.counterexample or finding.reason, end="\n" if finding.counterexample or finding.reason else "")
    return {Answer.EQUIVALENT: 0, Answer.DIFFERENT: 1, Answer.UNKNOWN: 2}[finding.answer]


def perturb_parser() -> argparse.ArgumentParser:
    """The command line of `perturb`."""
    from semrep_jax.python.rewrites import RULE_GROUPS

    command = argparse.ArgumentParser(
        prog="python -m semrep_jax.main perturb",
        description="Variants of a Python file that behave the same, by chains of one to four rewriting rules. Each is compared with the "
        "file on generated inputs, and printed only where no difference was found.",
        epilog="Exit code 0: as many as asked; 1: fewer (what was dropped is said); 2: a mistake in the input.",
    )
    command.add_argument("file", type=Path, metavar="FILE", help="the Python file")
    command.add_argument(
        "--kinds",
        nargs="+",
        metavar="KIND",
        help=f"rules, or groups of rules: {', '.join(RULE_GROUPS)} (default: all); a wrong name lists all",
    )
    command.add_argument("-n", type=int, default=1, metavar="N", help="how many (default 1)")
    command.add_argument("--seed", type=int, default=0, help="the same seed gives the same variants (default 0)")
    command.add_argument("--json", action="store_true", help="print one JSON object a variant: rules, source")
    return command


def _perturb(arguments: list[str]) -> int:
    from semrep_jax.perturb import perturb

    options = perturb_parser().parse_args(arguments)
    with Sandbox(2) as sandbox:
        found = perturb(read_program(options.file, PYTHON), sandbox, options.n, options.seed, options.kinds)
    for number, made in enumerate(found.kept, 1):
        if options.json:
            print(json.dumps({"rules": made.rules, "source": made.program.source}))
        else:
            print(f"# variant {number}: {', '.join(made.rules)}\n{made.program.source.rstrip()}\n")
    if len(found.kept) < options.n:
        print(f"{len(found.kept)} of {options.n}; of the other tries:", file=sys.stderr)
        for reason, count in found.dropped.most_common(12):
            print(f"  {count} {reason}", file=sys.stderr)
    return 0 if len(found.kept) == options.n else 1


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "transform": _transform,
    "verify": _verify,
    "perturb": _perturb,
    "judge": _judge,
    "time": lambda arguments: _judge(arguments, timed=True),
}
