"""What `transform` proposes for a person's file: programs searched for it, ranked by the person's tests, the best shown
as a diff, and what each of them cost.

At two turns there are rewrites of the file first, accepted where running finds that they behave as the file does.
Nothing is written but a program that passed every test given.
"""

from __future__ import annotations

import difflib
import stat
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import jax

from semrep_jax import prompts
from semrep_jax.commands.judging import PersonsTests, Tested
from semrep_jax.core import sources
from semrep_jax.core.errors import SemRepError, TaskError
from semrep_jax.core.programs import Program, Task, Tests
from semrep_jax.core.workdir import write_atomically
from semrep_jax.inference.rewrite import Sampling, accept_by_comparison
from semrep_jax.languages import LANGUAGES, Resources, read_program
from semrep_jax.python import PYTHON, usertests
from semrep_jax.python.usertests import Bench, Outcome, Report
from semrep_jax.rewards import DuplicateRule
from semrep_jax.rollout.policy import Policy
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.search.budget import Budget, Limits
from semrep_jax.search.node import Kind, Node
from semrep_jax.search.problem import Problem
from semrep_jax.search.run import Search
from semrep_jax.search.strategies.strategy import Plan
from semrep_jax.search.tree import Tree
from semrep_jax.train.fits import require_one_fits_policy

WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class TransformError(SemRepError):
    """The file can't be transformed as asked."""


@dataclass(frozen=True)
class Candidate:
    """One program written for the file.

    report: what the person's tests found, None where none were given. votes: samples that agree on it. tokens: that
    those samples took. seconds: of testing it (s).
    """

    program: Program
    report: Report | None
    votes: int
    tokens: int = 0
    seconds: float = 0.0

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
    """What came of a transformation.

    ranked: the candidates, best first. samples: programs asked for as the edit. rejected: why samples held no program.
    diff: of the best. before: what the tests found on the file. rewrites: samples that had an accepted rewrite of the
    file in their prompt. tokens, seconds: of everything that was written, rewrites too, and of judging it.
    """

    ranked: tuple[Candidate, ...]
    samples: int
    rejected: Counter[str]
    diff: str
    before: Report | None
    rewrites: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def best(self) -> Candidate | None:
        """The best candidate; None where no sample held a program."""
        return self.ranked[0] if self.ranked else None


@dataclass(frozen=True)
class Request:
    """What is asked.

    path: the file. instruction: the change in words. tests: the person's, or None. sampling: how many programs a turn
    writes, and how. turns: T. seed: of the draws. beam: b. strategy: by name; None for semrep, at one turn best of N.
    limits: the budget.
    """

    path: Path
    instruction: str
    tests: Path | None
    sampling: Sampling
    turns: int = 1
    seed: int = 0
    beam: int = 2
    strategy: str | None = None
    limits: Limits = field(default_factory=Limits)


def propose(request: Request, policy: Policy, sandbox: Sandbox) -> Proposal:
    """Search programs for the file and rank them: tests passed first, then how many samples agree. A program on which
    the tests can't run (it lacks what they import) passes none.

    request: the file, the change, the tests, how to sample. policy: writes. sandbox: where programs and tests run.
    Raises ProgramError for a file that is no Python, TaskError for tests that can't run, NothingFits for a file that is
    too long for the model's prompt.
    """
    source = read_program(request.path, PYTHON)
    require_one_fits_policy([prompts.transform(source, request.instruction)], policy, str(request.path))
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
        judge = _judge(request, source, before, tested, sandbox, stack)
        judge.reports[source.source] = before
        tree, budget = _searched(request, source, judge, policy)
        return _ranked(request, tree, budget, judge)


def _judge(
    request: Request, source: Program, before: Report | None, tested: Tested, sandbox: Sandbox, stack: ExitStack
) -> PersonsTests:
    """Who judges the programs of a request: the tests, and of rewrites what compares them with the file."""
    if request.turns == 1:
        return PersonsTests(tested, before, lambda pairs: [False] * len(pairs))
    comparer = stack.enter_context(closing(LANGUAGES[PYTHON].comparer(source, Resources(sandbox), None)))
    return PersonsTests(tested, before, accept_by_comparison(comparer, DuplicateRule.CANONICAL))


def _searched(request: Request, source: Program, judge: PersonsTests, policy: Policy) -> tuple[Tree, Budget]:
    task = Task(str(request.path), source, Tests(""), Tests(""), request.instruction)
    strategy = request.strategy or ("iid" if request.turns == 1 else "semrep")
    plan = Plan(request.turns, request.sampling.n, request.beam)
    key = jax.random.key(request.seed)
    search = Search(
        Problem(task, judge),
        strategy,
        plan,
        policy,
        key,
        request.seed,
        request.limits,
        request.sampling.temperature,
        source=judge.source(),
    )
    return search.run()


def _ranked(request: Request, tree: Tree, budget: Budget, judge: PersonsTests) -> Proposal:
    """The proposal of a tree: copies count as votes for the program that they repeat."""
    edits = [node for node in tree.nodes[1:] if node.kind is not Kind.REWRITE]
    groups: dict[int, list[Node]] = {}
    for node in edits:
        if node.program is not None:
            groups.setdefault(node.id if node.copy_of is None else node.copy_of, []).append(node)
    ranked = sorted((_candidate(tree, group, judge) for group in groups.values()), key=lambda c: c.rank, reverse=True)
    source = tree.program(0)
    return Proposal(
        tuple(ranked),
        len(edits),
        Counter(node.reason for node in edits if node.program is None),
        _diff(request.path, source, ranked[0].program if ranked else source),
        judge.before,
        sum(bool(node.guide) for node in edits),
        budget.spent.tokens,
        budget.spent.verifier_seconds,
    )


def _candidate(tree: Tree, group: list[Node], judge: PersonsTests) -> Candidate:
    program = tree.program(0) if group[0].copy_of == 0 else Program(PYTHON, group[0].program or "")
    tokens, seconds = sum(node.tokens for node in group), sum(node.seconds for node in group)
    return Candidate(program, judge.report(program), len(group), tokens, seconds)


def _diff(path: Path, source: Program, after: Program) -> str:
    new = after.source if after is source else after.source.rstrip("\n") + "\n"
    found = difflib.unified_diff(_lines(source.source), _lines(new), str(path), f"{path} (proposed)")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in found)


def _lines(text: str) -> list[str]:
    """Its lines as diff and patch take them: they end at newlines alone."""
    *whole, last = text.split("\n")
    return [f"{line}\n" for line in whole] + ([last] if last else [])


def write(path: Path, proposal: Proposal) -> None:
    """Replace the file by the proposed program, atomically and in the file's own form. Raises TransformError where a
    test given did not pass, or the file can't hold it."""
    best = proposal.best
    if best is None:
        raise TransformError(f"{path} is left as it was: no sample held a program")
    if best.report is not None and not best.report.all_passed:
        failed = [t.name for t in best.report.results if t.outcome is Outcome.FAILED]
        why = best.report.problem or (f"fails {', '.join(failed[:5])}" if failed else "passes no test")
        raise TransformError(f"{path} is left as it was: the best program {why}; sample more or say more")
    if not path.stat().st_mode & WRITABLE:
        raise TransformError(f"{path} is left as it was: it is read-only; chmod u+w it, or take the diff")
    file = path.resolve()  # of a link, what it leads to
    try:
        new = sources.written(best.program.source.rstrip("\n") + "\n", file.read_bytes())
    except ValueError as error:
        raise TransformError(
            f"{path} is left as it was: its encoding lacks a letter of the program ({error})"
        ) from error
    write_atomically(file, new)
