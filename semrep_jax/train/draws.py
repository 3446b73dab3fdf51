"""Which tasks a stage's batches are made of: the shuffled stream, what comes before it, and a bounded buffer of tasks
that come back.

    draws = Draws(stream(tasks, batch=8, seed=0), batch=8, most_waiting=64)
    indices = draws.take()             # 8 of them, at most half of them from the buffer
    draws.put_back(indices[:2])

Its state is JSON and restores exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grain

from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Task

HARD = 0.5  # tasks of which fewer are right than this come back
DIFFICULTY = "difficulty"  # the tag in which a source says how hard a task is, as a number


def hardest(indices: Sequence[int], shares: Sequence[float]) -> list[int]:
    """The tasks of a batch that are worth another visit soon, the hardest first.

    indices: of the tasks. shares: of the completions of each that were right. Fewer than half, but not none: of a task
    that nobody solves, nothing is learnt by asking again. As put back ones fill at most half of a batch, and only so
    many wait, the rest of the tasks go on being seen.
    """
    found = [(share, index) for index, share in zip(indices, shares, strict=True) if 0 < share < HARD]
    return [index for _, index in sorted(found)]


def easiest(tasks: Sequence[Task]) -> list[int]:
    """The indices of all tasks, the easiest first, those of one difficulty in their order. Raises TaskError where a
    task does not say how hard it is."""
    for task in tasks:
        if DIFFICULTY not in task.tags:
            raise TaskError(
                f"train.order: easy_first: {task.id} does not say how hard it is (tag {DIFFICULTY!r}); set "
                "tasks.source to kernels, or train.order to shuffled or hard_first"
            )
    levels = [float(task.tags[DIFFICULTY]) for task in tasks]
    return sorted(range(len(levels)), key=lambda index: levels[index])


class Draws:
    """Batches of indices into a stage's tasks.

    stream: index arrays of the batch's size, without end. batch: indices at a time. most_waiting: of those that were
    put back; older ones go for newer ones. first: indices that come before the stream.
    """

    def __init__(self, stream: grain.DatasetIterator, batch: int, most_waiting: int, first: Sequence[int] = ()):
        self.stream, self.batch, self.most_waiting = stream, batch, most_waiting
        self.waiting: list[int] = []  # put back, the oldest first
        self.fresh = True  # whether nothing in the last batch had been put back
        self.left_over = list(first)  # and of the stream, where put back ones took their places

    def take(self) -> list[int]:
        """The next batch."""
        share = self.batch // 2 or int(self.fresh)  # of batches of one, every other one
        again, self.waiting = self.waiting[:share], self.waiting[share:]
        self.fresh = not again
        missing = self.batch - len(again)
        while len(self.left_over) < missing:
            self.left_over += map(int, next(self.stream))
        fresh, self.left_over = self.left_over[:missing], self.left_over[missing:]
        return again + fresh

    def put_back(self, indices: Sequence[int]) -> None:
        """Let these come back, once each."""
        self.waiting = list(dict.fromkeys([*self.waiting, *indices]))[-self.most_waiting :]

    def get_state(self) -> dict[str, Any]:
        """Everything that decides the next batches, as it is now."""
        held = {"waiting": list(self.waiting), "left_over": list(self.left_over), "fresh": self.fresh}
        return {"stream": self.stream.get_state()} | held

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from where `get_state` was called."""
        self.stream.set_state(state["stream"])
        self.waiting, self.left_over = list(state["waiting"]), list(state["left_over"])
        self.fresh = state.get("fresh", True)
