"""Whether a GPU can start every launch of a candidate: what its compiled kernels take, beside the blocks it asks for.

    require_startable(task, candidate, compiler)        # ExpressionError, with the first launch that none can

Asked at every shape that is checked and at the one that is timed, of a candidate that is right otherwise.
"""

from __future__ import annotations

import math

from semrep_jax.cuda.candidate.candidate import Candidate
from semrep_jax.cuda.candidate.expressions import ExpressionError, evaluate
from semrep_jax.cuda.candidate.launches import ResolvedLaunch
from semrep_jax.cuda.gpu.nvrtc import Compiler
from semrep_jax.cuda.gpu.resources import REGISTERS, Resources
from semrep_jax.cuda.spec import KernelTask

MOST_REGISTERS = 255  # of a thread


def require_startable(task: KernelTask, candidate: Candidate, compiler: Compiler) -> None:
    """Nothing where a GPU can start all of it. Raises ExpressionError.

    task: whose shapes count. candidate: one that compiles. compiler: that has compiled it before.
    """
    shapes = (*task.small, *task.edge, *task.bench[:1])
    launches = {launch for axes in shapes for launch in candidate.at(axes).launches}
    crowded = any(math.prod(launch.block) * MOST_REGISTERS > REGISTERS for launch in launches)
    # registers are those of the program as a GPU would run it; without a large block they can't be too many
    used = dict(compiler.compile(candidate, full=crowded).resources)
    for launch in launches:
        bound = _launch_bound(candidate, launch)
        threads = math.prod(launch.block)
        if bound is not None and threads > bound:
            raise ExpressionError(f"{launch.kernel} has __launch_bounds__({bound}), and its blocks {threads} threads")
        resources = used.get(launch.kernel)
        if resources is not None and not resources.occupancy(threads, launch.shared):
            raise ExpressionError(_too_large(launch, threads, resources))


def _launch_bound(candidate: Candidate, launch: ResolvedLaunch) -> int | None:
    """What a kernel's `__launch_bounds__` says; None where it says nothing, or names what only a compiler knows."""
    kernel = candidate.device.kernel(launch.kernel)
    if kernel is None or kernel.launch_bound is None:
        return None
    try:
        return int(evaluate(kernel.launch_bound, {}))
    except ExpressionError:
        return None


def _too_large(launch: ResolvedLaunch, threads: int, used: Resources) -> str:
    needs = f"{threads} threads of {used.registers} registers and {used.shared + launch.shared} bytes of shared memory"
    return f"no multiprocessor can hold a block of {launch.kernel}: {needs}"
