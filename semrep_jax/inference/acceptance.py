"""What a rewrite must do to count as one: pass U_sem, as in the paper, or do all that C_src does.

    judge = RewriteJudge(verifier, AcceptBy.BEHAVIOUR)
    verdicts = judge.verify_all(pairs)           # as the verifier's, and `rewards.accepted` knows what was found
    judge.comparisons.refused                    # rewrites that pass U_sem and behave otherwise

On a task with an edit, U_sem is only where C_src and the edit agree, so a rewrite may pass it and do something else
elsewhere. `behaviour` runs those that pass beside C_src on generated calls. Of what can't be compared nothing more is
known, and U_sem decides; so it does where the language's judge draws tests of its own (`Task.details`), and where a
fault of ours kept the two from being run, which is remembered nowhere.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from cachetools import LRUCache

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Duplicate, Program, Task, Verdict
from semrep_jax.languages import LANGUAGES, Answer, Comparer, Resources
from semrep_jax.rewards import BEHAVES, AcceptBy
from semrep_jax.sandbox.pool import SandboxError
from semrep_jax.verify import EXECUTED, Pair, Verifier

THREADS = 2  # sources compared side by side
KEPT_ANSWERS = 50_000

Compared = tuple[str, int, float]  # an `Answer`, the calls that were compared, and the seconds that it took
UNSEEN: Compared = (Answer.UNKNOWN, -1, 0.0)  # by a fault of ours


@dataclass
class Comparisons:
    """What `behaviour` cost and did, added up.

    compared: rewrites that passed U_sem and were to be run beside C_src. refused: of these, those that behave
    otherwise. unknown: of these, those of which nothing was found out. calls: compared. seconds: wall time.
    """

    compared: int = 0
    refused: int = 0
    unknown: int = 0
    calls: int = 0
    seconds: float = 0.0


class RewriteJudge:
    """Judges rewrites by a verifier, and those that pass by what C_src does where `accept` says so."""

    def __init__(self, verifier: Verifier, accept: AcceptBy):
        self.verifier, self.accept = verifier, accept
        self.comparisons = Comparisons()
        self._answers: LRUCache[tuple[str, str], Compared] = LRUCache(KEPT_ANSWERS)

    def verify_all(self, pairs: Sequence[Pair], *how: Any) -> list[Verdict]:
        """The verifier's verdicts (`how` is passed on). Those of rewrites that were compared hold the seconds of that,
        now or at the first time, and the fact BEHAVES where something was found out."""
        verdicts = self.verifier.verify_all(pairs, *how)
        if self.accept is AcceptBy.U_SEM:
            return verdicts
        began = time.perf_counter()
        asked = {
            index: (task, program)
            for index, ((task, program), verdict) in enumerate(zip(pairs, verdicts, strict=True))
            if isinstance(program, Program) and _is_open(task, verdict)
        }
        answers = dict(zip(asked, self._compared(list(asked.values())), strict=True))
        for index, (answer, calls, took) in answers.items():
            verdicts[index] = replace(verdicts[index], seconds=verdicts[index].seconds + took)
            self.comparisons.compared += 1
            self.comparisons.calls += max(calls, 0)
            if answer == Answer.UNKNOWN:
                self.comparisons.unknown += 1
                continue
            behaves = answer == Answer.EQUIVALENT
            self.comparisons.refused += not behaves
            verdicts[index] = replace(verdicts[index], facts=verdicts[index].facts | {BEHAVES: behaves})
        self.comparisons.seconds += time.perf_counter() - began
        return verdicts

    def metrics(self) -> dict[str, float]:
        """What comparing cost and did since the last time, for a step's metrics; nothing where nothing is compared."""
        if self.accept is AcceptBy.U_SEM:
            return {}
        found, self.comparisons = asdict(self.comparisons), Comparisons()
        return {"times/accept": found.pop("seconds")} | {f"accept/{name}": value for name, value in found.items()}

    def _compared(self, asked: Sequence[tuple[Task, Program]]) -> list[Compared]:
        """What comparing each rewrite with its C_src found; each process of the run compares its share."""
        by_source: dict[str, dict[str, tuple[Task, Program]]] = {}
        for task, program in asked:
            if _key(task, program) not in self._answers:
                by_source.setdefault(task.source.sha256, {})[program.sha256] = (task, program)
        peers = self.verifier.peers
        groups = [list(group.values()) for group in by_source.values()]
        mine = peers.partition(groups)
        with ThreadPoolExecutor(THREADS, thread_name_prefix="acceptance") as threads:
            found = peers.gather(list(threads.map(self._of_one_source, mine)))
        answers = {
            _key(*pair): one
            for group, ones in zip(groups, found, strict=True)
            for pair, one in zip(group, ones, strict=True)
        }
        self._answers.update({key: answer for key, answer in answers.items() if answer != UNSEEN})
        return [answers[key] if key in answers else self._answers[key] for key in (_key(*pair) for pair in asked)]

    def _of_one_source(self, group: list[tuple[Task, Program]]) -> list[Compared]:
        """What comparing rewrites of one C_src with it found."""
        task = group[0][0]
        language = task.source.language
        resources = Resources(self.verifier.sandbox, self.verifier.seed, self.verifier.settings.get(language))
        try:
            comparer = LANGUAGES[language].comparer(task.source, resources, task)
        except SandboxError:
            return [UNSEEN] * len(group)
        except SemRepError:  # C_src can't be called, or the language compares nothing
            return [(Answer.UNKNOWN, 0, 0.0)] * len(group)
        with closing(comparer):
            return [_finding(comparer, program) for _, program in group]


def _finding(comparer: Comparer, program: Program) -> Compared:
    began = time.perf_counter()
    try:
        finding = comparer.compare(program.source)
    except SandboxError:
        return UNSEEN
    return finding.answer, finding.calls, time.perf_counter() - began


def _is_open(task: Task, verdict: Verdict) -> bool:
    """Whether a rewrite may still turn out to behave otherwise."""
    run = verdict.facts.get(EXECUTED, True)
    return run and verdict.equivalent and verdict.duplicate is not Duplicate.EXACT and task.details is None


def _key(task: Task, program: Program) -> tuple[str, str]:
    return task.source.sha256, program.sha256
