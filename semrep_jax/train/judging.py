"""Verdicts on groups while other groups are still being written.

    with Judging(verifier.verify_all, groups, stage.skip, pieces=8) as judging:
        policy.sample(..., finished=judging.finished)
        judging.wait()                     # for what is left; every group has its verdicts

Groups are judged in their order, a piece at a time, by one thread: the judge's calls are the same whenever completions
end, and so is all that it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from semrep_jax.core.programs import Completion, Verdict
from semrep_jax.inference.rewrite import program_of
from semrep_jax.train.batch import Group


class Judging:
    """Judges each piece of `groups` once it is written.

    verify_all: the judge, called with pairs and `skip`. pieces: how many there are at most; one is judged by whoever
    waits, and by no thread.
    """

    def __init__(self, verify_all: Callable[..., list[Verdict]], groups: Sequence[Group], skip: Any, pieces: int):
        self.verify_all, self.skip = verify_all, skip
        size = -(-len(groups) // pieces)
        self._pieces = [groups[start : start + size] for start in range(0, len(groups), size)]
        self._groups, self._begun = groups, 0
        self._futures: list[Future[None]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judging")

    def __enter__(self) -> Judging:
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def finished(self, place: int, completions: list[Completion]) -> None:
        """Group `place` is written."""
        group = self._groups[place]
        group.completions = completions
        while self._begun < len(self._pieces) > 1 and all(g.completions for g in self._pieces[self._begun]):
            self._futures.append(self._thread.submit(self._judge, self._pieces[self._begun]))
            self._begun += 1

    def wait(self) -> None:
        """Until all are judged. Raises what the judge raised."""
        for future in self._futures:
            future.result()
        for piece in self._pieces[self._begun :]:
            self._judge(piece)

    def _judge(self, groups: Sequence[Group]) -> None:
        for group in groups:
            language = group.task.source.language
            group.programs = [program_of(completion, language) for completion in group.completions]
        pairs = [(group.task, program) for group in groups for program in group.programs]
        following = iter(self.verify_all(pairs, self.skip))
        for group in groups:
            group.verdicts = [next(following) for _ in group.programs]
