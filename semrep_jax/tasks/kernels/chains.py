"""Fused chains: as many tasks as one wants, each two to five elementwise steps over matrices, and perhaps a reduction.

    tasks = list(itertools.islice(chains("train"), 500))

A chain's split is decided by its steps, so no chain is in both; one whose answer the discrimination gate can't tell
from a wrong one is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from textwrap import indent
from typing import Any, Literal

import numpy as np

from semrep_jax.core.errors import TaskError
from semrep_jax.cuda.gate import RIGHT, undetected
from semrep_jax.cuda.spec import Array, KernelTask
from semrep_jax.tasks.kernels.naive import MATRIX, ROWS, XM, naive
from semrep_jax.tasks.kernels.operators.fragments import SIGMOID, SOFTPLUS, lines, sigmoid, softplus

Split = Literal["train", "test"]
PREFIX = "chain_"
ROW_END = "_row_"
FEWEST_STEPS, MOST_STEPS = 2, 5
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


def chains(split: Split, seed: int = 0) -> Iterator[KernelTask]:
    """An endless stream of different sound tasks of one split, the same for the same seed."""
    rng = np.random.default_rng([seed, split == "test"])
    steps, ends, seen = list(STEPS), [None, *ENDS], set()
    while True:
        drawn = [steps[i] for i in rng.permutation(len(steps))[: rng.integers(FEWEST_STEPS, MOST_STEPS + 1)]]
        end = ends[rng.integers(0, len(ends))]
        name = PREFIX + "_".join(drawn) + (f"{ROW_END}{end}" if end else "")
        if name in seen or split_of(name) != split:
            continue
        seen.add(name)
        task = chain(name)
        if undetected(task) == {RIGHT}:
            yield task


def split_of(name: str) -> Split:
    """The split of a chain, decided by its steps alone."""
    return "test" if hashlib.sha256(name.encode()).digest()[0] < TEST_BYTES else "train"


def chain(name: str) -> KernelTask:
    """The chain of this name: steps, then `row_END` if each row is reduced. Raises TaskError where it names none."""
    steps, _, end = name.removeprefix(PREFIX).partition(ROW_END)
    unknown = [step for step in steps.split("_") if step not in STEPS]
    if end and end not in ENDS:
        unknown.append(end)
    if unknown or not name.startswith(PREFIX):
        known = f"steps are {', '.join(STEPS)}, ends are {', '.join(ENDS)}"
        raise TaskError(f"no chain {name!r}: {unknown} is no step; {known}")
    return _task(name, [STEPS[step] for step in steps.split("_")], end or None)


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
