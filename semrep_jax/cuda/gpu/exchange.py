"""Files by which arrays go to the GPU's worker and come back: where each array lies, and which files are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from cachetools import LRUCache

from semrep_jax.cuda.spec import DTYPES, Array, Axes, KernelTask, Values, sample_inputs

ALIGNMENT = 256  # of an array in a file
DRAWS = 2  # of each input of a timing


class Files(LRUCache[str, Path]):
    """The files used last; one that is dropped is removed."""

    def popitem(self) -> tuple[str, Path]:
        """Drop the file that was not used for longest, and remove it."""
        key, path = super().popitem()
        path.unlink(missing_ok=True)
        return key, path


class FileLayout:
    """Where arrays lie in a file."""

    def __init__(self) -> None:
        self.end = 0

    def add(self, name: str, size: int) -> dict[str, Any]:
        """The span of the next array, of `size` bytes."""
        offset = -(-self.end // ALIGNMENT) * ALIGNMENT
        self.end = offset + size
        return {"name": name, "offset": offset, "size": size}


def write(path: Path, arrays: Iterable[tuple[str, np.ndarray]]) -> list[dict[str, Any]]:
    """Write arrays one after the other; where each lies."""
    layout = FileLayout()
    spans = []
    with path.open("wb") as file:
        for name, array in arrays:
            span = layout.add(name, array.nbytes)
            file.seek(span["offset"])
            file.write(np.ascontiguousarray(array).tobytes())
            spans.append(span)
    return spans


def size_of(arrays: Mapping[str, np.ndarray]) -> int:
    """The bytes of arrays, as a file holds them."""
    return sum(array.nbytes + ALIGNMENT for array in arrays.values())


def bytes_of(array: Array, axes: Axes) -> int:
    """The bytes of an array at these axes."""
    return array.count(axes) * DTYPES[array.dtype].itemsize


def timed_inputs(task: KernelTask, axes: Axes, seed: int) -> dict[str, np.ndarray]:
    """The inputs of a timing by name, DRAWS of each one after the other: a repeat is given a stretch of them.

    Signed and positive values are of another distribution in each draw, or the mean of a long stretch would hardly
    depend on where it begins. task, axes: whose inputs, at which shape. seed: decides them.
    """
    draws = [sample_inputs(task, axes, seed + i) for i in range(DRAWS)]
    return {array.name: np.stack([draw.pop(array.name) for draw in draws]) for array in task.inputs}


def timed_spans(task: KernelTask, axes: Axes) -> list[dict[str, Any]]:
    """Where the draws of each input of a timing lie in their file, how many bytes stay together ("row": an element or,
    where values have to fit together, a row of the last axis), and how many a number with a sign bit takes, 0 where
    they are integers."""
    layout = FileLayout()
    spans = []
    for array in task.inputs:
        together = task.sampler is not None or array.values is Values.PROBABILITIES
        elements = max(1, array.size(axes)[-1]) if together and array.shape else 1
        itemsize = DTYPES[array.dtype].itemsize
        sizes = {"row": elements * itemsize, "size_of_sign": 0 if DTYPES[array.dtype].kind in "iu" else itemsize}
        spans.append(layout.add(array.name, DRAWS * bytes_of(array, axes)) | sizes)
    return spans
