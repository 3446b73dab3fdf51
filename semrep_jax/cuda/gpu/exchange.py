"""Files by which arrays go to the GPU's worker and come back: where each array lies, and which files are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from cachetools import LRUCache

from semrep_jax.cuda.spec import DTYPES, Array, Axes, KernelTask

ALIGNMENT = 256  # of an array in a file


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


def input_spans(task: KernelTask, axes: Axes) -> list[dict[str, Any]]:
    """Where each input lies in its file, how many bytes stay together when it is rolled (a row or an element), and how
    many a number with a sign bit takes, 0 where they are integers."""
    layout = FileLayout()
    spans = []
    for array in task.inputs:
        elements = max(1, array.size(axes)[-1]) if len(array.shape) > 1 else 1
        itemsize = DTYPES[array.dtype].itemsize
        sizes = {"row": elements * itemsize, "size_of_sign": 0 if DTYPES[array.dtype].kind in "iu" else itemsize}
        spans.append(layout.add(array.name, bytes_of(array, axes)) | sizes)
    return spans
