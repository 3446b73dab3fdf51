"""What `transform` proposes for a person's file: programs sampled for it, ranked by the person's tests, the best shown
as a diff.

At two turns each sample has a rewrite of the file first, accepted where running finds that it behaves as the file does.
Nothing is written but a program that passed every test given.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import jax

from semrep_jax.core.errors import SemRepError, TaskError
from semrep_jax.core.programs import Finish, Program, Task, Tests
from semrep_jax.inference.rewrite import Sampling, Written, accept_by_comparison
from semrep_jax.inference.turns import Attempt, infer
from semrep_jax.languages import LANGUAGES, Resources, canonical, read_program
from semrep_jax.python import PYTHON, usertests
from semrep_jax.python.usertests import Bench, Outcome, Report
from semrep_jax.rewards import DuplicateRule
from semrep_jax.rollout.policy import Policy
from semrep_jax.sandbox.pool import Sandbox


class TransformError(SemRepError):
    """The file can't be transformed as asked."""


@dataclass(frozen=True)
class Candidate:
    """One program written for the file, with what the person's tests found (None where none were given) and the number
    of samples that agree on it."""

    program: Program
    report: Report | None
    votes: int

    @property
    def passed(self) -> int:
        """Tests passed."""
        return 0 if self.report is None else sum(t.passed for t in self.report.results)

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Orders candidates: all tests passed, how many, how many samples agree."""
        return self.report is not None and self.report.all_passed, self.passed, self.votes


@dataclass(frozen=True)
class Proposal:
    """What came of a transformation: the best candidate or None, all reasons why samples held no program, a diff.

    rewrites: samples that had an accepted rewrite of the file in their prompt.
    """

    best: Candidate | None
    samples: int
    rejected: Counter[str]
    diff: str
    before: Report | None
    rewrites: int = 0


@dataclass(frozen=True)
class Request:
    """What is asked: the file, the change in words, the person's tests or None, how to sample, at how many turns, from
    which seed."""

    path: Path
    instruction: str
    tests: Path | None
    sampling: Sampling
    turns: int = 1
    seed: int = 0


def propose(request: Request, policy: Policy, sandbox: Sandbox) -> Proposal:
    """Sample programs for the file and rank them: tests passed first, then how many samples agree. A program on which
    the tests can't run (it lacks what they import) passes none.

    request: the file, the change, the tests, how to sample. policy: writes. sandbox: where programs and tests run.
    Raises ProgramError for a file that is no Python, TaskError for tests that can't run.
    """
    source = read_program(request.path, PYTHON)
    text = None if request.tests is None else usertests.read_tests(request.tests)

    with ExitStack() as stack:
        bench = None if text is None else stack.enter_context(Bench())

        def tested(program: Program) -> Report | None:
            if bench is None or text is None or request.tests is None:
                return None
            return usertests.run_tests(program.source, request.path.stem, text, bench, request.tests.stem)

        before = tested(source)
        if before is not None and before.problem is not None and not before.programs_fault:
            raise TaskError(f"the tests {request.tests} do not run: {before.problem}")
        return _ranked(request, source, before, tested, policy, sandbox)


def _ranked(
    request: Request,
    source: Program,
    before: Report | None,
    tested: Callable[[Program], Report | None],
    policy: Policy,
    sandbox: Sandbox,
) -> Proposal:
    """The proposal of a request.

    source: the file. before: what the tests found on it. tested: what they find on a program. policy, sandbox: as in
    `propose`.
    """
    attempts = _attempts(request, source, policy, sandbox)
    found: dict[str, Program] = {}
    votes, rejected = Counter[str](), Counter[str]()
    for attempt in attempts:
        program = attempt.program
        if isinstance(program, str):
            cut = attempt.completion.finish is not Finish.STOP and not attempt.completion.text
            rejected[attempt.completion.finish.value if cut else program] += 1
            continue
        form = canonical(program) or program.source
        found.setdefault(form, program)
        votes[form] += 1
    ranked = [Candidate(program, tested(program), votes[form]) for form, program in found.items()]
    best = max(ranked, key=lambda c: c.rank, default=None)
    diff = _diff(request.path, source, source if best is None else best.program)
    with_rewrite = sum(attempt.rewrite is not None for attempt in attempts)
    return Proposal(best, request.sampling.n, rejected, diff, before, with_rewrite)


def _attempts(request: Request, source: Program, policy: Policy, sandbox: Sandbox) -> list[Attempt]:
    task = Task(str(request.path), source, Tests(""), Tests(""), request.instruction)
    key = jax.random.key(request.seed)
    if request.turns == 1:
        return infer(policy, _accept_nothing, [task], 1, request.sampling, key)[0]
    with closing(LANGUAGES[PYTHON].comparer(source, Resources(sandbox), None)) as comparer:
        accept = accept_by_comparison(comparer, DuplicateRule.CANONICAL)
        return infer(policy, accept, [task], request.turns, request.sampling, key)[0]


def _accept_nothing(pairs: Sequence[tuple[Task, Written]]) -> list[bool]:
    return [False] * len(pairs)


def _diff(path: Path, source: Program, after: Program) -> str:
    new = after.source if after is source else after.source.rstrip("\n") + "\n"
    old_lines, new_lines = source.source.splitlines(True), new.splitlines(True)
    return "".join(difflib.unified_diff(old_lines, new_lines, str(path), f"{path} (proposed)"))


def write(path: Path, proposal: Proposal) -> None:
    """Replace the file by the proposed program, atomically. Raises TransformError where a test given did not pass."""
    best = proposal.best
    if best is None:
        raise TransformError(f"{path} is left as it was: no sample held a program")
    if best.report is not None and not best.report.all_passed:
        failed = [t.name for t in best.report.results if t.outcome is Outcome.FAILED]
        why = best.report.problem or f"fails {', '.join(failed[:5])}" if failed else "passes no test"
        raise TransformError(f"{path} is left as it was: the best program {why}; sample more or say more")
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(best.program.source.rstrip("\n") + "\n")
    temporary.chmod(path.stat().st_mode)
    os.replace(temporary, path)
