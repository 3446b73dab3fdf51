"""Chains of operators: two to five elementwise steps over matrices, and perhaps a reduction of each row.

    chain("chain_relu_bias_row_sum")            # C_src is one kernel
    chain("apart_relu_bias_row_sum")            # the same by a kernel for each step, with scratch buffers between

A chain's split is decided by its steps alone, so none is in both, in either form. Which chains are trained on is drawn
by `draws.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from textwrap import indent
from typing import Any, Literal

import numpy as np

from semrep_jax.core.errors import TaskError
from semrep_jax.cuda.spec import Array, KernelTask
from semrep_jax.tasks.kernels.naive import MATRIX, ROWS, XM, YM, Kernel, kernel_of, naive, program_of
from semrep_jax.tasks.kernels.operators.fragments import SIGMOID, SOFTPLUS, lines, sigmoid, softplus

Split = Literal["train", "test"]
TOGETHER, APART = "chain_", "apart_"  # how a chain's name begins: C_src is one kernel, or one for each step
PREFIXES = (TOGETHER, APART)
ROW_END = "_row_"
TEST_BYTES = 51  # of 256: a fifth of all chains is for tests


@dataclass(frozen=True)
class Step:
    """v -> v: its C, its reference and its description; `operand` is another array it reads, of x's size or a row."""

    name: str
    expression: str
    reference: Callable[..., Any]
    description: str
    operand: Array | None = None


@dataclass(frozen=True)
class RowEnd:
    """How a chain reduces each row: s begins as `start`, becomes `step` for each v, and `value` is the answer."""

    start: str
    step: str
    value: str
    reference: Callable[[Any, Any], Any]


B, R = Array("b", ("M", "N")), Array("r", ("N",))
SCALE, SHIFT = np.float32(1.7), np.float32(0.3)
STEPS = {
    step.name: step
    for step in (
        Step("relu", "fmaxf(v, 0.0f)", lambda xp, v: xp.maximum(v, 0), "max(v, 0)"),
        Step("tanh", "tanhf(v)", lambda xp, v: xp.tanh(v), "tanh(v)"),
        Step("sigmoid", SIGMOID, sigmoid, "sigmoid(v)"),
        Step("softplus", SOFTPLUS, softplus, "log(1 + exp(v))"),
        Step("abs", "fabsf(v)", lambda xp, v: xp.abs(v), "|v|"),
        Step("root", "sqrtf(fabsf(v) + 1.0f)", lambda xp, v: xp.sqrt(xp.abs(v) + 1), "sqrt(|v| + 1)"),
        Step("scale", "1.7f * v - 0.3f", lambda xp, v: SCALE * v - SHIFT, "1.7 v - 0.3"),
        Step("clip", "fminf(fmaxf(v, -1.5f), 1.5f)", lambda xp, v: xp.clip(v, -1.5, 1.5), "v clipped to [-1.5, 1.5]"),
        Step("add", "v + b[at]", lambda xp, v, b: v + b, "v + b", B),
        Step("multiply", "v * b[at]", lambda xp, v, b: v * b, "v b", B),
        Step("largest", "fmaxf(v, b[at])", lambda xp, v, b: xp.maximum(v, b), "max(v, b)", B),
        Step("bias", "v + r[j]", lambda xp, v, r: v + r, "v + r, r along rows", R),
        Step("weight", "v * r[j]", lambda xp, v, r: v * r, "v r, r along rows", R),
    )
}
ENDS = {
    "sum": RowEnd("0.0f", "s + v", "s", lambda xp, v: v.sum(-1)),
    "mean": RowEnd("0.0f", "s + v", "s / N", lambda xp, v: v.mean(-1)),
    "max": RowEnd("-INFINITY", "fmaxf(s, v)", "s", lambda xp, v: v.max(-1)),
}


def split_of(name: str) -> Split:
    """The split of a chain, decided by its steps alone."""
    together = TOGETHER + name.removeprefix(TOGETHER).removeprefix(APART)
    return "test" if hashlib.sha256(together.encode()).digest()[0] < TEST_BYTES else "train"


def chain(name: str) -> KernelTask:
    """The chain of this name: steps, then `row_END` if each row is reduced. Raises TaskError where it names none."""
    prefix = next((p for p in PREFIXES if name.startswith(p)), "")
    written, _, end = name.removeprefix(prefix).partition(ROW_END)
    unknown = [step for step in written.split("_") if step not in STEPS]
    if end and end not in ENDS:
        unknown.append(end)
    if unknown or not prefix:
        known = f"steps are {', '.join(STEPS)}, ends are {', '.join(ENDS)}"
        raise TaskError(f"no chain {name!r}: {unknown} is no step; {known}")
    steps = [STEPS[step] for step in written.split("_")]
    task = _task(name, steps, end or None)
    return task if prefix == TOGETHER else replace(task, source=_apart(steps, end or None))


def _task(name: str, steps: list[Step], end: str | None) -> KernelTask:
    """The task of these steps; `end` names how rows are reduced, None where they are not."""
    operands = tuple(dict.fromkeys(s.operand for s in steps if s.operand is not None))
    layout = MATRIX.taking(XM, *operands)
    code = lines("float v = x[at];", *[f"v = {s.expression};" for s in steps])
    says = f"from v = x: {'; '.join(f'v = {s.description}' for s in steps)}; "

    def mapped(xp: Any, x: Any, **operands: Any) -> Any:
        v = x
        for step in steps:
            v = step.reference(xp, v, *([operands[step.operand.name]] if step.operand else []))
        return v

    flops = f"{4 * len(steps)} * M * N"
    if end is None:
        body = lines("int at = i, j = i % N;", code, "y[i] = v;")
        return naive(name, f"{says}y = v", body, mapped, layout, flops=flops, family="chain", length="64", level=2)

    fold = ENDS[end]

    def reduced(xp: Any, x: Any, **operands: Any) -> Any:
        return fold.reference(xp, mapped(xp, x, **operands))

    inner = lines("int at = i * N + j;", code, f"s = {fold.step};")
    loop = lines("for (int j = 0; j < N; j++) {", indent(inner, "    "), "}")
    body = lines(f"float s = {fold.start};", loop, f"y[i] = {fold.value};")
    return naive(
        name,
        f"{says}y is the {end} of each row",
        body,
        reduced,
        layout.giving(*ROWS.outputs),
        flops=flops,
        family="chain",
        length="64 + N",
        level=2,
    )


def _apart(steps: list[Step], end: str | None) -> str:
    """The program with a kernel for each step, and one for the reduction if there is one."""
    buffers = [Array(f"t{number}", ("M", "N")) for number in range(1, len(steps) + (end is not None))]
    given, made = [XM, *buffers], [*buffers, YM]
    kernels = [
        _alone(f"step_{number}_{step.name}", step, given[number - 1], made[number - 1])
        for number, step in enumerate(steps, 1)
    ]
    if end is not None:
        fold, of = ENDS[end], given[len(steps)]
        loop = f"for (int j = 0; j < N; j++) {{ float v = {of.name}[i * N + j]; s = {fold.step}; }}"
        body = lines(f"float s = {fold.start};", loop, f"y[i] = {fold.value};")
        kernels.append(kernel_of(f"row_{end}", body, ROWS.taking(of)))
    return program_of(kernels, buffers)


def _alone(name: str, step: Step, given: Array, made: Array) -> Kernel:
    """The kernel of one elementwise step, from one matrix to another."""
    expression = step.expression.replace("[at]", "[i]").replace("[j]", "[i % N]")
    body = lines(f"float v = {given.name}[i];", f"{made.name}[i] = {expression};")
    operands = () if step.operand is None else (step.operand,)
    return kernel_of(name, body, MATRIX.taking(given, *operands).giving(made))
