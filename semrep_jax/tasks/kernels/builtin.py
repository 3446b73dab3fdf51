"""The operators of KernelBench's levels 1 and 2 as 92 tasks of ours: plain CUDA to be made faster.

TASKS["softmax"]          # a KernelTask, by name; `operators/` holds them by class
named("softmx")           # TaskError: did you mean softmax?
"""

from __future__ import annotations

from difflib import get_close_matches

from semrep_jax.core.errors import TaskError
from semrep_jax.cuda.spec import KernelTask
from semrep_jax.tasks.kernels.operators import beyond, maps, products, reductions, rows, windows

GROUPS = (
    maps.ACTIVATIONS,
    maps.ELEMENTWISE,
    reductions.REDUCTIONS,
    reductions.LOSSES,
    rows.ROWWISE,
    rows.SCANS,
    rows.MOVES,
    windows.POOLING,
    windows.CONVOLUTIONS,
    products.PRODUCTS,
    products.ATTENTION,
)
HELD_OUT: dict[str, KernelTask] = {task.name: task for group in GROUPS for task in group}  # the suite's: never more
TASKS = HELD_OUT | {task.name: task for task in beyond.BEYOND}


def named(name: str) -> KernelTask:
    """The task of this name. Raises TaskError with the nearest names, or all."""
    if name in TASKS:
        return TASKS[name]
    near = get_close_matches(name, TASKS, 3)
    hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(TASKS)}"
    raise TaskError(f"no kernel task {name!r}; {hint}")
