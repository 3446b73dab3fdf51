"""Many tasks in little memory: each is kept packed, and made again where it is read.

    tasks = Kept(islice(source.transform(request), 100_000), "edits", 100_000)
    tasks[7]                                    # as it was drawn

A drawn task takes about 7 kB as objects and 1 kB packed; to read one takes some 50 µs.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Sequence
from typing import overload

from semrep_jax.core.programs import Task
from semrep_jax.core.progress import bar

LONG = 3000  # tasks whose drawing takes long enough for a progress bar


class Kept(Sequence[Task]):
    """Tasks in the order in which they are drawn.

    tasks: drawn one by one. name, count: what is drawn and how many there may be, for the progress bar. A task with
    details is kept as it is: only its language knows what they hold.
    """

    def __init__(self, tasks: Iterable[Task], name: str, count: int):
        self._kept: list[bytes | Task] = []
        if count < LONG:
            self._kept += map(_packed, tasks)
            return
        with bar(f"drawing {name}", count) as progress:
            for task in tasks:
                self._kept.append(_packed(task))
                progress.advance()

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        if isinstance(index, slice):
            return [_unpacked(one) for one in self._kept[index]]
        return _unpacked(self._kept[index])


def _packed(task: Task) -> bytes | Task:
    return task if task.details is not None else zlib.compress(pickle.dumps(task), level=1)


def _unpacked(one: bytes | Task) -> Task:
    return pickle.loads(zlib.decompress(one)) if isinstance(one, bytes) else one
