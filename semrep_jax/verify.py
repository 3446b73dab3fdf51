"""(task, programs) -> verdicts: what the trainer, the search and the evaluation call.

    with Verifier(Sandbox(workers=2)) as verifier:
        verdicts = verifier.verify(task, programs)

Each program goes to its language's judge, which starts with the first program of that language. One of Python is a few
milliseconds, one of CUDA about 0.2 s, so nothing is run that is known already: a program that stands twice in a call,
one that was judged before (by task and exact text), a copy of C_src where the caller says that copies count for
nothing. A judgement that failed by a fault of ours is made once more, alone and with more wall time; where that fails
too its verdict is `unjudged`, which is kept nowhere and says nothing about the program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from cachetools import LRUCache

from semrep_jax.core.peers import ALONE, Peers
from semrep_jax.core.programs import Duplicate, Program, Score, Status, Task, Verdict
from semrep_jax.core.settings import Section
from semrep_jax.languages import LANGUAGES, Judge, Resources, duplicate
from semrep_jax.rewards import DuplicateRule, repeats
from semrep_jax.sandbox.pool import MORE_PATIENCE, Sandbox, SandboxError

CACHED_VERDICTS = 50_000
EXECUTED = "executed"  # the fact that is false of a copy that was not run

Pair = tuple[Task, Program | str]  # a str in a program's place is the reason why there is none


@dataclass
class Saved:
    """Executions that were not needed, and what went wrong.

    copies: copies of C_src. repeats: programs that stood in one call already. known: programs that this process judged
    in an earlier call. again: judgements that failed by a fault of ours and were made once more.
    """

    copies: int = 0
    repeats: int = 0
    known: int = 0
    again: int = 0


class Verifier:
    """Judges programs; each process of a run its share.

    sandbox: where programs run; owned. peers: the processes of the run. seed: decides what judges draw.
    settings: sections of the settings by the language that they are of. `saved` counts over its life.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        peers: Peers = ALONE,
        seed: int = 0,
        settings: Mapping[str, Section] | None = None,
    ):
        self.sandbox, self.peers, self.seed, self.settings = sandbox, peers, seed, settings or {}
        self._judges: dict[str, Judge] = {}
        self._starting, self._lock = Lock(), Lock()
        self._verdicts: LRUCache[tuple[str, str], Verdict] = LRUCache(CACHED_VERDICTS)
        self.saved = Saved()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
        self.sandbox.close()

    def close(self) -> None:
        """End the judges; the sandbox goes on."""
        while self._judges:
            self._judges.popitem()[1].close()

    def judge_of(self, language: str) -> Judge:
        """A language's judge, started when it is first needed. Raises what it raises where it can't run."""
        with self._starting:
            if language not in self._judges:
                resources = Resources(self.sandbox, self.seed, self.settings.get(language))
                self._judges[language] = LANGUAGES[language].judge(resources)
            return self._judges[language]

    def verify(self, task: Task, programs: Sequence[Program]) -> list[Verdict]:
        """One verdict for each program on one task."""
        return self.verify_all([(task, program) for program in programs])

    def verify_all(self, pairs: Sequence[Pair], skip: DuplicateRule | None = None) -> list[Verdict]:
        """One verdict for each (task, program).

        pairs: a str in a program's place is the reason why there is none. skip: copies of C_src by this rule are not
        run (`not_run`); None runs them too, as one must where they can be right or earn something.
        """
        keys = [(task.sha256, program.sha256 if isinstance(program, Program) else program) for task, program in pairs]
        distinct = dict(zip(keys, pairs, strict=True))
        verdicts = dict(zip(distinct, self._share(list(distinct.values()), skip), strict=True))
        copies = {key for key, verdict in verdicts.items() if not verdict.facts.get(EXECUTED, True)}
        programs = [key for key, (_, program) in zip(keys, pairs, strict=True) if isinstance(program, Program)]
        run = [key for key in programs if key not in copies]
        self.saved.copies += len(programs) - len(run)
        self.saved.repeats += len(run) - len(set(run))
        return [verdicts[key] for key in keys]

    def _share(self, pairs: Sequence[Pair], skip: DuplicateRule | None) -> list[Verdict]:
        """Verdicts on different pairs: each process judges its part of them, and all get all."""
        mine = self.peers.partition(pairs)
        verdicts = list(self.sandbox.map(lambda pair: self._one(pair[0], pair[1], skip), mine))
        self.sandbox.patience = MORE_PATIENCE
        try:
            for index, verdict in enumerate(verdicts):
                if not verdict.judged:  # now that the others are done, and no sibling takes its processor
                    self.saved.again += 1
                    task, program = mine[index]
                    verdicts[index] = self._one(task, program, skip)
        finally:
            self.sandbox.patience = 1
        return self.peers.gather(verdicts)

    def _one(self, task: Task, program: Program | str, skip: DuplicateRule | None) -> Verdict:
        if isinstance(program, str):
            return unreadable(task, program)
        repeated = duplicate(task.source, program)
        if skip is not None and repeats(repeated, skip):
            return not_run(task, repeated)
        key = (task.sha256, program.sha256)
        with self._lock:
            if (known := self._verdicts.get(key)) is not None:
                self.saved.known += 1
                return known
        judge = self.judge_of(program.language)
        try:
            verdict = judge.judge(task, program, repeated)
        except SandboxError as error:  # it ran before, and so is no mistake of the user's
            return unjudged(task, repeated, str(error))
        if verdict.judged:
            with self._lock:
                self._verdicts[key] = verdict
        return verdict


def unreadable(task: Task, reason: str) -> Verdict:
    """The verdict on a completion that holds no program."""
    preserve, edit = Score(0, len(task.preserve)), Score(0, len(task.edit))
    return Verdict(Status.FORMAT, False, Duplicate.NONE, preserve, edit, feedback=reason)


def unjudged(task: Task, repeated: Duplicate, reason: str) -> Verdict:
    """The verdict where nothing is known of a program by a fault of ours.

    repeated: how far it merely repeats C_src. reason: the fault, one line.
    """
    preserve, edit = Score(0, len(task.preserve)), Score(0, len(task.edit))
    return Verdict(Status.UNJUDGED, False, repeated, preserve, edit, feedback=reason)


def not_run(task: Task, repeated: Duplicate) -> Verdict:
    """The verdict on a copy of C_src that nobody has run: by definition it compiles, passes U_sem as C_src does, and
    fails U_edit as C_src does."""
    preserve, edit = Score(len(task.preserve), len(task.preserve)), Score(0, len(task.edit))
    status = Status.WRONG if len(task.edit) else Status.OK
    return Verdict(status, True, repeated, preserve, edit, feedback="a copy of C_src, not run", facts={EXECUTED: False})
