"""The processes of one run, one a host: who I am, and how what a host alone knows reaches the others.

    python -m semrep_jax.main --config C --set distributed.coordinator=HOST:PORT ...
        --set distributed.processes=2 --set distributed.process=0

Every process takes the same steps on the same tasks; the model's arrays are split over all their devices. What differs
is small and passes through here: the verdicts of the programs that each host ran, a signal that one of them got. Alone,
all of it is the identity.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from semrep_jax.core.errors import SemRepError, first_line
from semrep_jax.core.settings import DistributedConfig

T = TypeVar("T")


class PeersError(SemRepError):
    """The processes of a run did not find each other, or one of them can't go on."""


@dataclass(frozen=True)
class Peers:
    """This process among `count`; `leader` (rank 0) is the one that writes files and talks to the terminal."""

    rank: int = 0
    count: int = 1

    @property
    def leader(self) -> bool:
        """Whether this process writes what others read."""
        return self.rank == 0

    def partition(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of a list that all hold: a contiguous block, so that it follows the batch over the
        devices."""
        start, stop = (len(items) * r // self.count for r in (self.rank, self.rank + 1))
        return items[start:stop]

    def gather(self, mine: Sequence[T]) -> list[T]:
        """The lists of all processes, one after the other in the order of their ranks.

        **All processes must call it, at the same point.** The trap: `if peers.leader: peers.gather(mine)` waits for
        ever, for the others never come. The same holds for everything below that is made of it.
        """
        if self.count == 1:
            return list(mine)
        import numpy as np
        from jax.experimental import multihost_utils

        content = np.frombuffer(pickle.dumps(list(mine)), np.uint8)
        sizes = multihost_utils.process_allgather(np.int32(content.size)).reshape(-1)
        padded = np.zeros(1 << int(sizes.max() - 1).bit_length(), np.uint8)  # few sizes, few compiled programs
        padded[: content.size] = content
        rows = multihost_utils.process_allgather(padded).reshape(self.count, -1)
        return [item for row, size in zip(rows, sizes, strict=True) for item in pickle.loads(row[:size].tobytes())]

    def any_process(self, flag: bool) -> bool:
        """Whether the flag is set anywhere. All must call it."""
        return any(self.gather([flag]))

    def require_equal(self, value: str, what: str) -> None:
        """Raise PeersError where the processes hold different values."""
        values = self.gather([value])
        if len(set(values)) > 1:
            held = ", ".join(v[:16] for v in values)
            raise PeersError(f"the processes disagree about {what} ({held}); give all the same code and files")

    def run_on_all(self, action: Callable[[], T]) -> T:
        """`action()` on every process; where it fails on one, the others end too instead of waiting for it."""
        error: Exception | None = None
        try:
            result = action()
        except Exception as raised:
            error = raised
        failed = self.gather([f"process {self.rank}: {error}"] if error else [])
        if error is not None:
            raise error
        if failed:
            raise PeersError(failed[0])
        return result


ALONE = Peers()


@contextmanager
def joined(setting: DistributedConfig) -> Iterator[Peers]:
    """The peers that a config names, found; let go of at the end. Must come before JAX is used. Raises PeersError."""
    if setting.coordinator is None:
        yield ALONE
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import jax

    named: dict[str, Any] = {}
    if setting.coordinator != "auto":
        named = {
            "coordinator_address": setting.coordinator,
            "num_processes": setting.processes,
            "process_id": setting.process,
        }
    try:
        jax.distributed.initialize(**named, initialization_timeout=setting.timeout, shutdown_timeout_seconds=60)
    except (RuntimeError, ValueError) as error:
        raise PeersError(
            f"distributed.coordinator {setting.coordinator}: process {setting.process} of {setting.processes} found no "
            f"peers ({first_line(error)}); start every process with the same coordinator and "
            "count, within distributed.timeout"
        ) from error
    yield Peers(jax.process_index(), jax.process_count())
    jax.distributed.shutdown()  # after a fault it would only wait for the others; they notice by themselves
