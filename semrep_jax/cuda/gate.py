"""The discrimination gate: wrong answers that a weak judge lets pass, and which of them a task does not reject.

A task that zeros, a copy of an input or half precision can pass teaches a policy to write just that. (KernelBench's inputs from [0, 1)
make four of its activations the identity; its issue 165 passes with zeros.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from semrep_jax.cuda import numerics
from semrep_jax.cuda.candidate.expressions import evaluate
from semrep_jax.cuda.numerics import Difference
from semrep_jax.cuda.spec import DISTRIBUTIONS, DTYPES, Axes, KernelTask, sample_inputs

RIGHT = "the right answer"


def difference(
    task: KernelTask, axes: Axes, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> Difference | None:
    """How `outputs` differ from the task's answer to `inputs`; None where they are right."""
    wanted = task.oracle(inputs)
    scales = task.scale(inputs, wanted)
    length = float(evaluate(task.length, task.names(axes)))
    for array, want, scale in zip(task.outputs, wanted, scales, strict=True):
        size = array.size(axes)
        got = outputs[array.name].reshape(size)
        found = numerics.compare(
            array.name, array.dtype, got, np.broadcast_to(want, size), np.broadcast_to(scale, size), length
        )
        if found is not None:
            return found
    return None


def fakes(
    task: KernelTask, axes: Axes, inputs: Mapping[str, np.ndarray], seed: int
) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The right answer, then wrong ones, by name: one array for each output."""
    right = [
        np.broadcast_to(w, a.size(axes)).astype(DTYPES[a.dtype])
        for w, a in zip(task.oracle(inputs), task.outputs, strict=True)
    ]
    yield RIGHT, right
    yield "zeros", [np.zeros_like(r) for r in right]
    yield "ones", [np.ones_like(r) for r in right]
    for array in task.inputs:
        yield f"a copy of {array.name}", [np.resize(inputs[array.name].ravel(), r.shape).astype(r.dtype) for r in right]
    other = task.oracle(sample_inputs(task, axes, seed + len(DISTRIBUTIONS)))
    yield (
        "another seed's answer",
        [np.broadcast_to(o, r.shape).astype(r.dtype) for o, r in zip(other, right, strict=True)],
    )
    cut = [r.copy() for r in right]
    for r in cut:
        r.reshape(-1)[-max(1, r.shape[-1] if r.ndim > 1 else 1) :] = 0
    yield "the last row dropped", cut
    half = {n: x if x.dtype.kind in "iu" else x.astype(np.float16) for n, x in inputs.items()}
    with np.errstate(all="ignore"):
        out = task.reference(np, **half)
    several = out if isinstance(out, tuple) else (out,)
    yield "half precision", [np.broadcast_to(o, r.shape).astype(r.dtype) for o, r in zip(several, right, strict=True)]


def accepted(task: KernelTask) -> set[str]:
    """The names of the answers that no shape and seed of the task rejects: {RIGHT} for a sound task."""
    rejected, seen = set(), set()
    for seed, axes in enumerate((*task.small, *task.edge)):
        inputs = sample_inputs(task, axes, seed)
        for name, outputs in fakes(task, axes, inputs, seed):
            seen.add(name)
            if (
                difference(task, axes, inputs, {a.name: o for a, o in zip(task.outputs, outputs, strict=True)})
                is not None
            ):
                rejected.add(name)
    return seen - rejected
