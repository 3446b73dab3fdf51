"""What a policy writes for a kernel task: one CUDA block, and one launch block that says how its kernels are started.

    ```cuda
    __global__ void scale(const float* x, float* y, int n) { ... }
    ```
    ```json
    {"scratch": {"partial": "f32[ceil_div(N, 256)]"},
     "launch": [{"kernel": "scale", "grid": ["ceil_div(N, 256)"], "block": [256], "args": ["x", "y", "i32:N"]}]}
    ```

    candidate = parse(text, task)                 # once; raises InvalidCandidate
    candidate.at({"N": 1000}).launches            # at any axes; raises ExpressionError

An argument is the name of an input, an output or a scratch buffer, or `type:expression` for a scalar; "shared" says how
many bytes of dynamic shared memory a launch takes. The harness allocates, launches and times; a candidate owns no host
code. A list of launches alone is taken too, and an answer in the style of `load_inline` whose host function is simple
enough to be read (`inline`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from semrep_jax.cuda.candidate import inline, python_side
from semrep_jax.cuda.candidate.blocks import is_code, is_launch_list
from semrep_jax.cuda.candidate.expressions import ExpressionError, evaluate, integer
from semrep_jax.cuda.candidate.launch_list import read_launch_list
from semrep_jax.cuda.candidate.launches import (
    BufferSize,
    Expression,
    Launch,
    ResolvedLaunch,
    Scalar,
    Scratch,
    TensorRef,
)
from semrep_jax.cuda.candidate.signatures import Environment, check_launch
from semrep_jax.cuda.candidate.source import Device, InvalidCandidate, clean
from semrep_jax.cuda.spec import DTYPES, Axes, KernelTask
from semrep_jax.languages import fenced_blocks

MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_BLOCK = (1024, 1024, 64)
MAX_THREADS = 1024
MAX_SHARED_BYTES = 227 << 10
MAX_SCRATCH_ELEMENTS = 1 << 30
_OF_CUDA = re.compile(  # names of mathematical functions that CUDA declares, and of some others
    r"(?:a?(?:sin|cos|tan)h?|exp(?:2|10|m1)?|log(?:2|10|1p|b)?|sqrt|rsqrt|cbrt|rcbrt|pow|fabs|abs|floor|ceil|round"
    r"|trunc|rint|fmod|fma|fmax|fmin|max|min|erf|erfc|erfinv|erfcx|tgamma|lgamma|hypot|norm|remainder|atan2|sinpi|cospi"
    r"|isnan|isinf|isfinite|signbit|copysign|nearbyint|ldexp|frexp|modf|logb|ilogb|scalbn|fdim|div|clock"
    r"|j[01n]|y[01n])f?"
)
_LAUNCH_LINE = re.compile(r"^//[ \t]*launch:(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Candidate:
    """A program that can be run: device code and its launches. `scalars` are its task's: expressions may name them."""

    device: Device
    launches: tuple[Launch, ...]
    scratch: Mapping[str, Scratch]
    scalars: Mapping[str, float]

    @cached_property
    def kernels(self) -> tuple[str, ...]:
        """The kernels that are launched, as written, templates with their arguments; each once."""
        return tuple(dict.fromkeys(launch.kernel for launch in self.launches))

    @cached_property
    def addresses(self) -> dict[str, str]:
        """A C++ expression for the address of each launched kernel: its name, and the types of its parameters where it
        has the name of a function of CUDA."""
        return {kernel: _address(kernel, self.device) for kernel in self.kernels}

    def at(self, axes: Axes) -> ResolvedCandidate:
        """The candidate at these axes."""
        return ResolvedCandidate(self, axes)


@dataclass(frozen=True)
class ResolvedCandidate:
    """A candidate at given axes. Each part is computed when it is asked for, and raises ExpressionError."""

    candidate: Candidate
    axes: Axes

    @cached_property
    def names(self) -> dict[str, int | float]:
        """What an expression may name: the axes and the task's scalars."""
        return dict(self.axes) | dict(self.candidate.scalars)

    @cached_property
    def launches(self) -> list[ResolvedLaunch]:
        """The launches. Raises ExpressionError where an expression has no value, or no GPU could start one."""
        found = []
        for index, launch in enumerate(self.candidate.launches):
            try:
                found.append(_resolved(launch, self.names))
            except ExpressionError as error:
                raise ExpressionError(f"launch {index + 1} ({launch.kernel}): {error}") from error
        return found

    @cached_property
    def scratch(self) -> dict[str, BufferSize]:
        """The scratch buffers by name."""
        found = {}
        for name, buffer in self.candidate.scratch.items():
            what = f"length of scratch {name!r}"
            elements = integer(buffer.length, self.names, what, 0, MAX_SCRATCH_ELEMENTS)
            found[name] = BufferSize(buffer.dtype, elements)
        return found


def _address(kernel: str, device: Device) -> str:
    function = device.kernel(kernel)
    if function is None:
        return kernel
    _, bracket, arguments = kernel.partition("<")
    if function.template is not None or not _OF_CUDA.fullmatch(function.qualified):
        return function.qualified + bracket + arguments
    types = [f"{'const ' if p.const else ''}{p.type}{'*' if p.is_buffer else ''}" for p in function.parameters]
    return f"(void (*)({', '.join(types)})){function.qualified}"


def _resolved(launch: Launch, names: Mapping[str, int | float]) -> ResolvedLaunch:
    grid = _extent(launch.grid, names, "grid", MAX_GRID)
    block = _extent(launch.block, names, "block", MAX_BLOCK)
    shared = integer(launch.shared, names, "shared", 0, MAX_SHARED_BYTES)
    args = tuple(a.name if isinstance(a, TensorRef) else (a.dtype, _number(a, names)) for a in launch.args)
    if block[0] * block[1] * block[2] > MAX_THREADS:
        size = " x ".join(map(str, block))
        raise ExpressionError(f"a block of {size} threads; at most {MAX_THREADS} are allowed")
    return ResolvedLaunch(launch.kernel, grid, block, shared, args)


def _number(scalar: Scalar, names: Mapping[str, int | float]) -> int | float:
    """A scalar argument's value. Raises ExpressionError where its type has no such number."""
    value, dtype = evaluate(scalar.expression, names), DTYPES[scalar.dtype]
    if dtype.kind not in "iu":
        return value
    if not float(value).is_integer():
        raise ExpressionError(f"{scalar} is {value}, no whole number; write // for a division")
    limits = np.iinfo(dtype)
    if not limits.min <= value <= limits.max:
        raise ExpressionError(f"{scalar} is {value}, and {scalar.dtype} holds {limits.min} to {limits.max}")
    return value


def _extent(
    dims: tuple[Expression, ...], names: Mapping[str, int | float], what: str, limits: tuple[int, int, int]
) -> tuple[int, int, int]:
    """The extent in x, y and z of a grid or a block; what is not written is 1."""
    x, y, z = [integer(d, names, what, 1, limit) for d, limit in zip(dims, limits, strict=False)] + [1] * (
        3 - len(dims)
    )
    return x, y, z


def from_file(text: str) -> str:
    """The completion in a file: its text where that has fenced blocks or host launches, else CUDA with a line
    `// launch: [...]`. Raises InvalidCandidate where there is no such line."""
    launch = _LAUNCH_LINE.search(text)
    if "```" in text or (launch is None and "<<<" in text):
        return text
    if launch is None:
        raise InvalidCandidate(
            "the file has no launch list; put one into a line like "
            '// launch: [{"kernel": ..., "grid": ..., "block": ..., "args": ...}]'
        )
    return f"```cuda\n{text}\n```\n```json\n{launch[1].strip()}\n```\n"


def parse(text: str, task: KernelTask) -> Candidate:
    """The candidate in a completion. Raises InvalidCandidate with what is wrong and how to write it."""
    blocks = fenced_blocks(text)
    codes = [block.body for block in blocks if is_code(block)]
    empty = [block.body for block in blocks if not block.tag and not block.body.strip()]
    lists = [block.body for block in blocks if is_launch_list(block)] + empty  # a fence too many is no answer
    if len(codes) == 1 and len(lists) == 1:
        device = clean(codes[0])
        launches, scratch = read_launch_list(lists[0], {a.name for a in task.arrays})
    elif not lists and (with_host := inline.code_of(codes[0] if len(codes) == 1 else text)) is not None:
        python_side.check(text, inline.exposed(text, with_host))
        device, launches, scratch = inline.convert(with_host, task)
    else:
        raise InvalidCandidate(
            f"write exactly one ```cuda block and one ```json launch block; found {len(codes)} and {len(lists)}. "
            'The launch block looks like {"launch": [{"kernel": "name", "grid": ["ceil_div(N, 256)"], "block": [256], '
            '"args": ["x", "y", "i32:N"]}]}'
        )
    environment = Environment.of(task, scratch)
    for index, launch in enumerate(launches):
        check_launch(launch, device, environment, f"launch {index + 1}")
    return Candidate(device, launches, scratch, task.scalars)
