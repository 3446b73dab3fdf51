"""(task, programs) -> verdicts: what the trainer, the search and the evaluation call.

    with Verifier(Sandbox(workers=2)) as verifier:
        verdicts = verifier.verify(task, programs)

Each program goes to its language's judge, which starts with the first program of that language. Verdicts are cached by
task and exact text; one of Python is a few milliseconds, one of CUDA about 0.2 s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

from cachetools import LRUCache

from semrep_jax.core.peers import ALONE, Peers
from semrep_jax.core.programs import Duplicate, Program, Score, Status, Task, Verdict
from semrep_jax.core.settings import Section
from semrep_jax.languages import LANGUAGES, Judge, Resources, duplicate
from semrep_jax.sandbox.pool import Sandbox

CACHED_VERDICTS = 50_000


class Verifier:
    """Judges programs; each process of a run its share.

    sandbox: where programs run; owned. peers: the processes of the run. seed: decides what judges draw.
    settings: sections of the settings by the language that they are of.
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
        self.hits = 0

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

    def verify_all(self, pairs: Sequence[tuple[Task, Program | str]]) -> list[Verdict]:
        """One verdict for each (task, program); a str in a program's place is the reason why there is none."""
        return self.peers.gather(list(self.sandbox.map(lambda pair: self._one(*pair), self.peers.partition(pairs))))

    def _one(self, task: Task, program: Program | str) -> Verdict:
        if isinstance(program, str):
            return unreadable(task, program)
        key = (task.sha256, program.sha256)
        with self._lock:
            if (known := self._verdicts.get(key)) is not None:
                self.hits += 1
                return known
        verdict = self.judge_of(program.language).judge(task, program, duplicate(task.source, program))
        with self._lock:
            self._verdicts[key] = verdict
        return verdict


def unreadable(task: Task, reason: str) -> Verdict:
    """The verdict on a completion that holds no program."""
    preserve, edit = Score(0, len(task.preserve)), Score(0, len(task.edit))
    return Verdict(Status.FORMAT, False, Duplicate.NONE, preserve, edit, feedback=reason)
