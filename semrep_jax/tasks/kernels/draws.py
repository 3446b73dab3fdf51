"""Which chains there are to train on: every operator as often as any other, at levels of difficulty.

    tasks = list(itertools.islice(even("train", seed=0, levels=(1, 2, 3)), 500))
    held_out = list(itertools.islice(free("test"), 11))

A chain whose answer the discrimination gate can't tell from a wrong one is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle

import numpy as np

from semrep_jax.core.errors import TaskError
from semrep_jax.cuda.gate import RIGHT, undetected
from semrep_jax.cuda.spec import KernelTask
from semrep_jax.tasks.kernels.chains import APART, ENDS, ROW_END, STEPS, TOGETHER, Split, chain, split_of

FEWEST_STEPS, MOST_STEPS = 2, 5
REDUCED = 0.75  # share of chains that reduce each row, where a level has both kinds
TRIES = 2000  # chains drawn until one is new, of the split, and sound


@dataclass(frozen=True)
class Level:
    """How hard chains are: how many elementwise steps, whether rows are reduced (None: some), how C_src is written."""

    fewest: int
    most: int
    reduced: bool | None
    prefix: str = TOGETHER


LEVELS = {
    1: Level(2, 3, reduced=False),
    2: Level(2, 3, reduced=True),
    3: Level(4, 5, reduced=None),
    4: Level(2, 3, reduced=None, prefix=APART),
    5: Level(4, 5, reduced=None, prefix=APART),
}


def difficulty(name: str) -> int:
    """The level of a chain."""
    steps, _, end = name.removeprefix(TOGETHER).removeprefix(APART).partition(ROW_END)
    many = len(steps.split("_")) > LEVELS[1].most
    if name.startswith(APART):
        return 5 if many else 4
    return 3 if many else 2 if end else 1


class Deck:
    """Names dealt in rounds: no name comes again before every other one has come as often."""

    def __init__(self, names: Iterable[str]):
        self.names = list(names)
        self.left = list(self.names)  # of this round

    def hand(self, size: int, rng: np.random.Generator) -> list[str]:
        """So many different names in random order that may be dealt next, at most as many as there are. Nothing is
        dealt yet: see `deal`."""
        drawn = [self.left[i] for i in rng.permutation(len(self.left))[:size]]
        others = [name for name in self.names if name not in self.left]  # of the next round
        drawn += [others[i] for i in rng.permutation(len(others))[: size - len(drawn)]]
        return [drawn[i] for i in rng.permutation(size)]

    def deal(self, hand: Sequence[str]) -> None:
        """The names of a `hand` are dealt."""
        early = [name for name in hand if name not in self.left]
        left = [name for name in self.left if name not in hand]
        self.left = left or [name for name in self.names if name not in early]


def even(split: Split, seed: int, levels: Sequence[int]) -> Iterator[KernelTask]:
    """Different sound chains of one split, of these levels in turn, without end.

    seed: decides them; the chain at an index depends on seed, levels and index alone. levels: keys of LEVELS. Up to any
    index the numbers of times that two elementwise steps occur differ by one at most, and so do those of two row ends.
    Raises TaskError where a level has no more chains.
    """
    steps, ends = Deck(STEPS), Deck(ENDS)
    seen: set[str] = set()  # given, or found not to be sound
    for index, number in zip(count(), cycle(levels), strict=True):
        level, rng = LEVELS[number], np.random.default_rng([seed, split == "test", index])
        for _ in range(TRIES):
            hand = steps.hand(int(rng.integers(level.fewest, level.most + 1)), rng)
            reduced = rng.random() < REDUCED if level.reduced is None else level.reduced
            end = ends.hand(1, rng) if reduced else []
            name = level.prefix + "_".join(hand) + "".join(ROW_END + one for one in end)
            if name in seen or split_of(name) != split:
                continue
            seen.add(name)
            task = chain(name)
            if undetected(task) == {RIGHT}:
                break
        else:
            raise TaskError(
                f"tasks.kernels.difficulty: level {number} has no new chain after {index} tasks of levels "
                f"{list(levels)}; lower tasks.train_size, or add a level"
            )
        steps.deal(hand)
        ends.deal(end)
        yield task


def free(split: Split) -> Iterator[KernelTask]:
    """Different sound chains in one kernel, each step drawn with equal chance, without end. The held-out chains are the
    first of the test split: to draw them otherwise would make another suite.
    """
    rng = np.random.default_rng([0, split == "test"])
    steps, ends, seen = list(STEPS), [None, *ENDS], set()
    while True:
        drawn = [steps[i] for i in rng.permutation(len(steps))[: rng.integers(FEWEST_STEPS, MOST_STEPS + 1)]]
        end = ends[rng.integers(0, len(ends))]
        name = TOGETHER + "_".join(drawn) + (f"{ROW_END}{end}" if end else "")
        if name in seen or split_of(name) != split:
            continue
        seen.add(name)
        task = chain(name)
        if undetected(task) == {RIGHT}:
            yield task
