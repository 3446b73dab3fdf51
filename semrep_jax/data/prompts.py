"""The stream of RL tasks: shuffled epochs over a fixed list, by Grain.

    batches = stream(tasks, batch=8, seed=0)
    [tasks[i] for i in next(batches)]

Its state (`get_state`) restores exactly, and goes into checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import grain
import numpy as np

from semrep_jax.core.errors import TaskError


def stream(tasks: Sequence[object], batch: int, seed: int) -> grain.DatasetIterator:
    """An endless iterator of index arrays (int64 [batch]) into `tasks`, each epoch in its own order.

    batch: tasks at a time. seed: decides the orders. Raises TaskError where there are no tasks.
    """
    if not tasks:
        raise TaskError(
            "the task set is empty: widen what tasks.source draws from (tasks.generated.families and .kinds), or raise "
            "tasks.train_size"
        )
    dataset = grain.MapDataset.range(len(tasks)).seed(seed).shuffle().repeat()
    # drop_remainder: there is none, and counting it overflows for batches of one
    batched = dataset.batch(batch, drop_remainder=True, batch_fn=lambda rows: np.asarray(rows, np.int64))
    return iter(batched.to_iter_dataset(grain.ReadOptions(num_threads=0)))
