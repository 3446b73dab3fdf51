"""From an operator's one-element body to a whole task: C_src is plain and correct, one thread for each output element.

naive("relu", "y = max(x, 0)", "y[i] = fmaxf(x[i], 0.0f);", lambda xp, x: xp.maximum(x, 0), VECTOR,
      flops="N", family="activation")
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from semrep_jax.cuda.spec import DTYPES, Array, Axes, KernelTask

C_TYPES = {"f32": "float", "i32": "int", "f16": "half", "f64": "double", "u8": "unsigned char"}
BLOCK = 256
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class ArrayLayout:
    """Arrays over axes, and sizes to try in the order of `axes`: `small` and `edge` on a CPU, `bench` on a GPU."""

    axes: tuple[str, ...]
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    small: tuple[Sizes, ...]
    edge: tuple[Sizes, ...]
    bench: Sizes

    def taking(self, *inputs: Array) -> ArrayLayout:
        """The same with other inputs."""
        return replace(self, inputs=inputs)

    def giving(self, *outputs: Array) -> ArrayLayout:
        """The same with other outputs."""
        return replace(self, outputs=outputs)

    def at(self, sizes: Sequence[Sizes]) -> tuple[Axes, ...]:
        """Axes by name."""
        return tuple(dict(zip(self.axes, one, strict=True)) for one in sizes)


def naive(
    name: str,
    instruction: str,
    body: str,
    reference: Callable[..., Any],
    layout: ArrayLayout,
    *,
    flops: str,
    family: str,
    length: str = "1",
    terms: bool = False,
    level: int = 1,
    scalars: Mapping[str, float] | None = None,
    least_bytes: str | None = None,
) -> KernelTask:
    """The task whose C_src computes element `i` of the first output by `body`.

    `body` is C over the layout's arrays, axes and `scalars` by name; `reference(xp, **inputs)` is the same in NumPy;
    `instruction` follows "Make it faster: ". As in `KernelTask` are `flops` and `length`, expressions, `terms`, the
    `level` of KernelBench, and `family`, the class that tables group tasks by. least_bytes: that any program has to
    move, where that is less than every input read and every output written once.
    """
    scalars = scalars or {}
    return KernelTask(
        name=name,
        instruction=f"Make it faster: {instruction}",
        inputs=layout.inputs,
        outputs=layout.outputs,
        reference=reference,
        source=program_of([kernel_of(name, body, layout, list(scalars))]),
        small=layout.at(layout.small),
        edge=layout.at(layout.edge),
        bench=layout.at((layout.bench,)),
        flops=flops,
        bytes=least_bytes or _bytes_moved(layout),
        length=length,
        terms=terms,
        level=level,
        family=family,
        scalars=scalars,
    )


class Kernel(NamedTuple):
    """A kernel's code, and its entry of the launch list."""

    code: str
    launch: dict[str, Any]


def kernel_of(name: str, body: str, layout: ArrayLayout, scalars: Sequence[str] = ()) -> Kernel:
    """The kernel `name`_kernel that computes element `i` of the layout's first output by `body`.

    body: C over the layout's arrays, axes and `scalars` by name.
    """
    count = _product(layout.outputs[0])
    parameters = [f"const {C_TYPES[a.dtype]}* __restrict__ {a.name}" for a in layout.inputs]
    parameters += [f"{C_TYPES[a.dtype]}* __restrict__ {a.name}" for a in layout.outputs]
    parameters += [f"int {a}" for a in layout.axes] + [f"float {s}" for s in scalars]
    lines = [
        f"__global__ void {name}_kernel({', '.join(parameters)}) {{",
        "    int i = blockIdx.x * blockDim.x + threadIdx.x;",
        f"    if (i >= {count.replace('//', '/')}) return;",
        *[f"    {line}" for line in body.splitlines()],
        "}",
    ]
    arguments = [a.name for a in layout.inputs + layout.outputs]
    arguments += [f"i32:{a}" for a in layout.axes] + [f"f32:{s}" for s in scalars]
    launch = {
        "kernel": f"{name}_kernel",
        "grid": [f"ceil_div({count}, {BLOCK})"],
        "block": [BLOCK],
        "args": arguments,
    }
    return Kernel("\n".join(lines), launch)


def program_of(kernels: Sequence[Kernel], scratch: Sequence[Array] = ()) -> str:
    """The candidate text that launches these one after the other. scratch: float buffers between them."""
    block: dict[str, Any] = {"scratch": {a.name: f"{a.dtype}[{_product(a)}]" for a in scratch}} if scratch else {}
    block["launch"] = [kernel.launch for kernel in kernels]
    code = "\n\n".join(kernel.code for kernel in kernels)
    return f"```cuda\n{code}\n```\n```json\n{json.dumps(block)}\n```\n"


def _product(array: Array) -> str:
    """An array's number of elements, as an expression."""
    return " * ".join(f"({d})" for d in array.shape)


def _bytes_moved(layout: ArrayLayout) -> str:
    """Every input read and every output written once, as an expression."""
    arrays = layout.inputs + layout.outputs
    return " + ".join(f"{DTYPES[a.dtype].itemsize} * {_product(a)}" for a in arrays)


X, Y = Array("x", ("N",)), Array("y", ("N",))
XM, YM = Array("x", ("M", "N")), Array("y", ("M", "N"))
VECTOR = ArrayLayout(
    ("N",),
    (X,),
    (Y,),
    small=((1000,), (4096,), (777,)),
    edge=((1,), (31,), (257,)),
    bench=(1 << 26,),
)
MATRIX = ArrayLayout(
    ("M", "N"),
    (XM,),
    (YM,),
    small=((24, 100), (16, 513), (33, 64)),
    edge=((1, 1), (7, 1), (2, 1031)),
    bench=(8192, 8192),
)
ROWS = MATRIX.giving(Array("y", ("M",)))
