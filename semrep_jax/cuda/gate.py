"""The discrimination gate: wrong answers that a weak judge lets pass, and which of them a task does not reject.

    undetected(task) == {RIGHT}                  # of a sound task: only the right answer passes

A task that zeros, a copy of an input or half precision can pass teaches a policy to write just that. (KernelBench's
inputs from [0, 1) make four of its activations the identity; its issue 165 passes with zeros.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from semrep_jax.cuda import numerics
from semrep_jax.cuda.candidate.expressions import evaluate
from semrep_jax.cuda.numerics import Difference
from semrep_jax.cuda.spec import DISTRIBUTIONS, DTYPES, Axes, KernelTask, sample_inputs

RIGHT = "the right answer"
Arrays = Mapping[str, np.ndarray]  # by the name of an input or an output
Answer = list[np.ndarray]  # an array for each output


def difference(task: KernelTask, axes: Axes, inputs: Arrays, outputs: Arrays) -> Difference | None:
    """How `outputs`, of any shape with the right number of elements, differ from the task's answer to `inputs`; None
    where they are right.

    axes: sizes by name. inputs: drawn at these axes (`sample_inputs`). outputs: an array for each of the task's.
    """
    wanted = task.oracle(inputs)
    scales = task.scale(inputs, wanted)
    length = float(evaluate(task.length, task.names(axes)))
    for array, want, scale in zip(task.outputs, wanted, scales, strict=True):
        size = array.size(axes)
        got = outputs[array.name].reshape(size)
        want, scale = np.broadcast_to(want, size), np.broadcast_to(scale, size)
        found = numerics.compare(array.name, array.dtype, got, want, scale, length)
        if found is not None:
            return found
    return None


def right_answer(task: KernelTask, axes: Axes, inputs: Arrays) -> Answer:
    """The oracle's answer, in the outputs' shapes and types.

    task: the operator. axes: sizes by name. inputs: arrays by name, drawn at these axes (`sample_inputs`).
    """
    wanted = zip(task.oracle(inputs), task.outputs, strict=True)
    return [np.broadcast_to(w, array.size(axes)).astype(DTYPES[array.dtype]) for w, array in wanted]


def wrong_answers(
    task: KernelTask, axes: Axes, inputs: Arrays, seed: int, right: Answer
) -> Iterator[tuple[str, Answer]]:
    """Wrong answers to `inputs`, each with its name. seed: that of the inputs. right: `right_answer` to them.

    task: whose inputs and outputs these are. axes: sizes by name. inputs: arrays by name, drawn at these axes.
    """
    yield "zeros", [np.zeros_like(r) for r in right]
    yield "ones", [np.ones_like(r) for r in right]
    for array in task.inputs:
        copied = inputs[array.name].ravel()
        yield f"a copy of {array.name}", [np.resize(copied, r.shape).astype(r.dtype) for r in right]
    other = task.oracle(sample_inputs(task, axes, seed + len(DISTRIBUTIONS)))  # the same distribution
    yield "another seed's answer", _cast(other, right)
    yield "the last row dropped", [_without_last_row(r) for r in right]
    yield "half precision", _cast(_in_half_precision(task, inputs), right)


def undetected(task: KernelTask) -> set[str]:
    """The names of the answers that no shape and seed of the task rejects, with RIGHT where the right one is not
    rejected: {RIGHT} for a sound task."""
    rejected, seen = set(), set()
    for seed, axes in enumerate((*task.small, *task.edge)):
        inputs = sample_inputs(task, axes, seed)
        right = right_answer(task, axes, inputs)
        for name, answer in [(RIGHT, right), *wrong_answers(task, axes, inputs, seed, right)]:
            outputs = {array.name: values for array, values in zip(task.outputs, answer, strict=True)}
            seen.add(name)
            if difference(task, axes, inputs, outputs) is not None:
                rejected.add(name)
    return seen - rejected


def _cast(answer: tuple[np.ndarray, ...], like: Answer) -> Answer:
    return [np.broadcast_to(a, to.shape).astype(to.dtype) for a, to in zip(answer, like, strict=True)]


def _without_last_row(array: np.ndarray) -> np.ndarray:
    cut = array.copy()
    row = cut.shape[-1] if cut.ndim > 1 else 1
    cut.reshape(-1)[-max(1, row) :] = 0
    return cut


def _in_half_precision(task: KernelTask, inputs: Arrays) -> tuple[np.ndarray, ...]:
    """What the reference gives where everything is computed in half precision."""
    half = {name: x if x.dtype.kind in "iu" else x.astype(np.float16) for name, x in inputs.items()}
    with np.errstate(all="ignore"):
        answer = task.reference(np, **half)
    return answer if isinstance(answer, tuple) else (answer,)
