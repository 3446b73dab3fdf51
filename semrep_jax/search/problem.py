"""What a search searches on: a task, who judges its candidates, and how it is told what to do.

    problem = Problem(task, VerifierAssessor(judge))        # a task of a suite: the verifier judges, I is the task's

A case study brings a judge of its own, moves (instructions drawn for each sample, as one instruction alone would be
answered the same way again and again by a small policy), and what a search without a model draws its programs from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from semrep_jax.core.programs import Program, Task, Verdict
from semrep_jax.inference.acceptance import RewriteJudge
from semrep_jax.rewards import AcceptBy


@dataclass(frozen=True)
class Assessed:
    """What is known of a candidate.

    verdict: on U_sem and U_edit. value: what was measured, more is better, or None. seconds: of judging (s).
    """

    verdict: Verdict
    value: float | None
    seconds: float


class Assessor(Protocol):
    """Judges candidates of a task."""

    def assess(self, task: Task, programs: Sequence[Program], rewrites: Sequence[bool]) -> list[Assessed]:
        """What is known of each program.

        task: what they were written for. programs: candidates. rewrites: of each, whether it was asked for as an
        equivalent of C_src.
        """


@dataclass(frozen=True)
class VerifierAssessor:
    """Judges by the language's verifier, and equivalents by what accepts them (`reward.accept`)."""

    judge: RewriteJudge

    def assess(self, task: Task, programs: Sequence[Program], rewrites: Sequence[bool]) -> list[Assessed]:
        """Verdicts of the verifier, with the seconds that comparing with C_src took.

        task: with its tests. programs: candidates. rewrites: which of them are to be equivalents.
        """
        verdicts: dict[int, Verdict] = {}
        for rewriting in (True, False):
            asked = [i for i, rewrite in enumerate(rewrites) if rewrite is rewriting]
            verifier = self.judge if rewriting and self.judge.accept is not AcceptBy.U_SEM else self.judge.verifier
            found = verifier.verify_all([(task, programs[i]) for i in asked])
            verdicts |= dict(zip(asked, found, strict=True))
        ordered = [verdicts[i] for i in range(len(programs))]
        return [Assessed(verdict, verdict.speedup, verdict.seconds) for verdict in ordered]


Move = Callable[[str, Random], str]  # the text of a program -> an instruction to change it
Draw = Callable[[Random], str]  # the text of a program drawn from the space
Perturb = Callable[[str, Random], str]  # the text of a program -> one near it
Optimise = Callable[[str, Random], tuple[str, float]]  # the text of a program -> a better one, processor seconds


@dataclass(frozen=True)
class Problem:
    """A task to search on.

    task: C_src, I and the tests. assessor: judges. move: an instruction for each sample; None where I is the task's.
    draw, perturb: a program from the space, and one near another; None where only a model can write one. optimise: a
    local optimum near a program's answer by numbers alone, and what it took; None where there is no such thing.
    """

    task: Task
    assessor: Assessor
    move: Move | None = None
    draw: Draw | None = None
    perturb: Perturb | None = None
    optimise: Optimise | None = None
