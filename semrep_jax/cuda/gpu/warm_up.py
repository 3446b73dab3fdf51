"""What a fresh worker is asked before any candidate: a run and a timing of a kernel that does nothing.

CuPy compiles its own kernels (fills, comparisons, sums) where they are first called, and on a busy machine those that a
run needs took more than its 20 seconds: time that the first candidate was charged with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

BYTES = 64  # of an array; a timing reads them as two draws of half as many
DTYPES = ("f32", "f16", "bf16", "f64", "i32")  # each is compared by kernels of its own
BOUNDS = {"rounding": 0.0, "length": 1.0, "norm": 0.0, "tiny": 1e-38, "largest": 1e38}


def requests(program: dict[str, Any], data: Path, answer: Path) -> list[dict[str, Any]]:
    """The requests, in order.

    program: as a request has it, with launches that take no arguments. data, answer: the files of inputs and outputs,
    which are written here.
    """
    data.write_bytes(bytes(BYTES))
    answer.write_bytes(bytes(BYTES * len(DTYPES)))
    inputs = [{"name": "x", "offset": 0, "size": BYTES, "row": 4, "size_of_sign": 4}]
    outputs = [
        {"name": f"y_{dtype}", "dtype": dtype, "offset": BYTES * i, "size": BYTES, **BOUNDS}
        for i, dtype in enumerate(DTYPES)
    ]
    run = {"program": program, "inputs": inputs, "outputs": outputs}
    timing = {
        "op": "time",
        "data": str(data),
        "inputs": inputs,
        "outputs": outputs,
        "reference": program,
        "candidate": program,
        "fewest": 2,
        "most": 2,
        "seconds": 0.0,
        "limit": float("inf"),  # the parent gives it up
    }
    return [
        {"op": "probe", "program": program},
        {"op": "run", "program": program, "data": str(data), "answer": str(answer), "runs": [run]},
        *(timing | {"terms": terms} for terms in (False, True)),
    ]
