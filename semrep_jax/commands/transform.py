"""`python -m semrep_jax.main transform FILE --instruction "..." --config C`: change a person's own file, and show the change.

Samples a few programs, runs the person's tests on each where given, and shows the best as a diff: tests passed first, then how many
samples agree on it. Nothing is written without --in-place, and then only a program that passed every test given.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import jax

from semrep_jax import prompts
from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Program
from semrep_jax.jobs.config import Config
from semrep_jax.languages import canonical, read_program
from semrep_jax.python import PYTHON, usertests
from semrep_jax.python.usertests import TestResult
from semrep_jax.rollout.policy import Policy
from semrep_jax.sandbox.pool import Sandbox


class TransformError(SemRepError):
    """The file can't be transformed as asked."""


@dataclass(frozen=True)
class Candidate:
    """One program written for the file, with the results of the person's tests and the number of samples that agree on it."""

    program: Program
    tests: tuple[TestResult, ...]
    votes: int

    @property
    def passed(self) -> int:
        """Tests passed."""
        return sum(t.passed for t in self.tests)


@dataclass(frozen=True)
class Proposal:
    """What came of a transformation: the best candidate or None, all reasons why samples held no program, a diff."""

    best: Candidate | None
    samples: int
    rejected: Counter[str]
    diff: str
    tests_before: tuple[TestResult, ...]


def propose(
    path: Path, instruction: str, tests: Path | None, policy: Policy, config: Config, sandbox: Sandbox
) -> Proposal:
    """Sample `evaluate.samples` programs for the file at T=2 (a rewrite of each first) or directly, and rank them."""
    source = read_program(path, PYTHON).source
    text = None if tests is None else usertests.read_tests(tests)
    before = () if text is None else tuple(usertests.run_tests(source, path.stem, text, sandbox))
    key, setting = jax.random.key(config.seed), config.evaluate
    asked = prompts.transform(Program(PYTHON, source), instruction)
    (completions,) = policy.sample([asked], setting.samples, setting.temperature, key)
    found: dict[str, Program] = {}
    votes, rejected = Counter[str](), Counter[str]()
    for completion in completions:
        program, why = prompts.extract(completion.text, PYTHON)
        if program is None:
            rejected[completion.finish.value if completion.finish != "stop" and not completion.text else why] += 1
            continue
        form = canonical(program) or program.source
        found.setdefault(form, program)
        votes[form] += 1
    ranked = [
        Candidate(
            program,
            () if text is None else tuple(usertests.run_tests(program.source, path.stem, text, sandbox)),
            votes[form],
        )
        for form, program in found.items()
    ]
    best = max(ranked, key=lambda c: (c.passed, c.votes), default=None)
    after = source if best is None else best.program.source.rstrip("\n") + "\n"
    diff = difflib.unified_diff(source.splitlines(True), after.splitlines(True), str(path), f"{path} (proposed)")
    return Proposal(best, setting.samples, rejected, "".join(diff), before)


def write(path: Path, proposal: Proposal) -> None:
    """Replace the file by the proposed program, atomically. Raises TransformError where a test given did not pass."""
    best = proposal.best
    if best is None:
        raise TransformError(f"{path} is left as it was: no sample held a program")
    failed = [t.name for t in best.tests if not t.passed]
    if failed:
        raise TransformError(
            f"{path} is left as it was: the best program fails {', '.join(failed[:5])}; sample more or say more"
        )
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(best.program.source.rstrip("\n") + "\n")
    temporary.chmod(path.stat().st_mode)
    os.replace(temporary, path)
