"""What a case study is, and which there are. A new one is one file.

A candidate's own text, which is what a policy reads and writes, is a short function; the case's frame stands below it
and makes of its values what is judged. So the space of programs is one that a small policy can move in, and the judge
knows nothing of either: it takes whole programs, also those that a large model writes from scratch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from semrep_jax.core.errors import TaskError
from semrep_jax.core.plugins import Registry
from semrep_jax.core.programs import Duplicate, Objective, Program, Score, Status, Task, Tests, Verdict
from semrep_jax.python import PYTHON
from semrep_jax.python.surface import InputError, functions
from semrep_jax.sandbox.pool import Observation, Sandbox
from semrep_jax.search.problem import Assessed, Optimise, Problem


@dataclass(frozen=True)
class Evaluation:
    """What the judge of a case study says of a whole program.

    valid: whether its answer is one at all. value: the case's figure, more is better; None where it is not valid.
    feedback: one line. status: as of a verdict. seconds: of processor time, running and judging (s). judged: false
    where a fault of ours kept anybody from seeing what the program does. low, high: 95 % interval of a value that was
    measured.
    """

    valid: bool
    value: float | None
    feedback: str
    status: str
    seconds: float
    judged: bool = True
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Case:
    """A case study.

    title: how tables call it. figure: what its value is. entry: the function that a whole program has to have, which
    `signature` spells out. seed: the candidate's text that a search begins with. instruction: what is asked of a model
    that needs no moves. whole: a candidate's text with the case's frame around it. evaluate: the judge. held_out:
    measures the best of a search anew, where its value was measured and chosen for; None where it was computed, which
    also says that candidates may be judged side by side. draw, perturb, move, optimise: as of a `Problem`.
    """

    title: str
    figure: str
    entry: str
    signature: str
    seed: str
    instruction: str
    whole: Callable[[str], str]
    evaluate: Callable[[str, Sandbox], Evaluation]
    draw: Callable[[Random], str]
    perturb: Callable[[str, Random], str]
    move: Callable[[str, Random], str]
    held_out: Callable[[str, Sandbox], Evaluation] | None = None
    optimise: Optimise | None = None

    def program(self, text: str) -> str:
        """A candidate's text as a whole program: as it is where it has the function `entry`, else with the frame."""
        try:
            return text if self.entry in functions(text) else self.whole(text)
        except InputError:  # it does not parse; whoever runs it says so
            return self.whole(text)

    def task(self, name: str, instruction: str) -> Task:
        """The seed program as a task: U_sem is that the answer is valid, U_edit that it is better than the seed's."""
        none = Tests("make")
        return Task(name, Program(PYTHON, self.seed), none, none, instruction, Objective.SPEED)

    def problem(self, name: str, sandbox: Sandbox, moves: bool = True) -> Problem:
        """The case as something to search on; without `moves` every prompt has the one instruction, which also says
        how a whole program has to look.

        name: of the case in CASES. sandbox: where candidates run.
        """
        whole = f"{self.instruction} Or write a whole program in its place, with {self.signature}."
        task, assessor = self.task(name, self.instruction if moves else whole), CaseAssessor(self, sandbox)
        return Problem(task, assessor, self.move if moves else None, self.draw, self.perturb, self.optimise)


@dataclass
class CaseAssessor:
    """Judges candidates' texts by a case's judge."""

    case: Case
    sandbox: Sandbox
    bar: float | None = None

    def assess(self, task: Task, programs: Sequence[Program], rewrites: Sequence[bool]) -> list[Assessed]:
        """A verdict on each: U_sem one test, a valid answer; U_edit one test, a better one than the seed's.

        task: with the seed as C_src. programs: candidates. rewrites: as in every assessor; here all are judged alike.
        """
        if self.bar is None:
            self.source()
        texts = [program.source for program in programs]
        return list((map if self.case.held_out else self.sandbox.map)(self._assessed, texts))

    def source(self) -> Assessed:
        """What is known of the seed program; its value is the bar from now on. A measured one is 1 by definition: so
        many times as fast as itself."""
        found = self._evaluated(self.case.seed)
        if self.case.held_out is not None and found.value is not None:
            found = replace(found, value=1.0)
        self.bar = found.value
        return _verdict(found, None)

    def _assessed(self, text: str) -> Assessed:
        return _verdict(self._evaluated(text), self.bar)

    def _evaluated(self, text: str) -> Evaluation:
        """What the case's judge says. Raises TaskError where that is no Evaluation."""
        found: object = self.case.evaluate(self.case.program(text), self.sandbox)
        if not isinstance(found, Evaluation):
            raise TaskError(
                f"case study {self.case.title}: evaluate returned {found!r:.60}, and has to return an Evaluation"
            )
        return found


def _verdict(found: Evaluation, bar: float | None) -> Assessed:
    better = found.value is not None and bar is not None and found.value > bar
    verdict = Verdict(
        found.status,
        compiled=found.status != Status.COMPILE and found.judged,
        duplicate=Duplicate.NONE,
        preserve=Score(int(found.valid), 1),
        edit=Score(int(better), 1),
        feedback=found.feedback,
        seconds=found.seconds,
    )
    if found.valid and not better and bar is not None:
        verdict = replace(verdict, feedback=f"{found.feedback}, not above the {bar:.6g} of the program it started from")
    return Assessed(verdict, found.value if found.valid else None, found.seconds)


def failed(observation: Observation) -> Evaluation | None:
    """The evaluation of a program that gave no answer; None where it gave one."""
    seconds = observation.cpu_seconds
    if observation.fault is not None:
        return Evaluation(False, None, observation.fault, Status.UNJUDGED, seconds, judged=False)
    if observation.load_error is not None:
        return Evaluation(False, None, observation.load_error, Status.COMPILE, seconds)
    if observation.died is not None:
        status = Status.TIMEOUT if observation.died == "timeout" else Status.CRASH
        return Evaluation(False, None, f"the process ended early: {observation.died}", status, seconds)
    for outcome, message in zip(observation.outcomes, observation.messages, strict=True):
        if outcome.error is not None:
            return Evaluation(False, None, message or outcome.error, Status.WRONG, seconds)
    return None


CASES: Registry[Case] = Registry(
    "case study",
    "search.case",
    {"circles": "semrep_jax.search.cases.circles:CASE", "mst": "semrep_jax.search.cases.mst:CASE"},
)
