"""From an operator's one-element body to a whole task: C_src is plain and correct, one thread for each output element.

naive("relu", "y = max(x, 0)", "y[i] = fmaxf(x[i], 0.0f);", lambda xp, x: xp.maximum(x, 0), VECTOR)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from semrep_jax.cuda.spec import DTYPES, Array, KernelTask

_C_TYPES = {"f32": "float", "i32": "int", "f16": "half", "f64": "double", "u8": "unsigned char"}


@dataclass(frozen=True)
class ArrayLayout:
    """Arrays over axes with shapes to try: `small` and `edge` on a CPU, `bench` on a GPU, each a tuple in the order of `axes`."""

    axes: tuple[str, ...]
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    small: tuple[tuple[int, ...], ...]
    edge: tuple[tuple[int, ...], ...]
    bench: tuple[int, ...]

    def taking(self, *inputs: Array) -> ArrayLayout:
        """The same with other inputs."""
        return ArrayLayout(self.axes, inputs, self.outputs, self.small, self.edge, self.bench)

    def giving(self, *outputs: Array) -> ArrayLayout:
        """The same with other outputs."""
        return ArrayLayout(self.axes, self.inputs, outputs, self.small, self.edge, self.bench)


def naive(
    name: str, instruction: str, body: str, reference: Callable[..., Any], form: ArrayLayout, *, flops: str, family: str, length: str = "1",
    terms: bool = False, level: int = 1, scalars: Mapping[str, float] | None = None,
) -> KernelTask:  # fmt: skip
    """The task whose C_src computes element `i` of the output by `body`."""
    scalars = scalars or {}
    count = " * ".join(f"({d})" for d in form.outputs[0].shape)
    parameters = [f"const {_C_TYPES[a.dtype]}* __restrict__ {a.name}" for a in form.inputs]
    parameters += [f"{_C_TYPES[a.dtype]}* __restrict__ {a.name}" for a in form.outputs]
    parameters += [f"int {a}" for a in form.axes] + [f"float {s}" for s in scalars]
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    code = (
        f"__global__ void {name}_kernel({', '.join(parameters)}) {{\n    int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
        f"    if (i >= {count.replace('//', '/')}) return;\n{lines}\n}}"
    )
    arguments = (
        [a.name for a in form.inputs + form.outputs] + [f"i32:{a}" for a in form.axes] + [f"f32:{s}" for s in scalars]
    )
    launch = {"kernel": f"{name}_kernel", "grid": [f"ceil_div({count}, 256)"], "block": [256], "args": arguments}
    source = f"```cuda\n{code}\n```\n```json\n{json.dumps({'launch': [launch]})}\n```\n"
    moved = " + ".join(
        f"{DTYPES[a.dtype].itemsize} * {' * '.join(f'({d})' for d in a.shape)}" for a in form.inputs + form.outputs
    )
    small, edge, bench = (
        tuple(dict(zip(form.axes, s, strict=True)) for s in g) for g in (form.small, form.edge, (form.bench,))
    )
    return KernelTask(
        name, f"Make it faster: {instruction}", form.inputs, form.outputs, reference, source, small, edge, bench, flops, moved, length,
        terms, level, family, scalars,
    )  # fmt: skip


X, Y = Array("x", ("N",)), Array("y", ("N",))
XM, YM = Array("x", ("M", "N")), Array("y", ("M", "N"))
VECTOR = ArrayLayout(("N",), (X,), (Y,), ((1000,), (4096,), (777,)), ((1,), (31,), (257,)), (1 << 26,))
MATRIX = ArrayLayout(
    ("M", "N"), (XM,), (YM,), ((24, 100), (16, 513), (33, 64)), ((1, 1), (7, 1), (2, 1031)), (8192, 8192)
)
ROWS = MATRIX.giving(Array("y", ("M",)))
