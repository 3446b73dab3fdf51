"""Fused chains: as many tasks as one wants, each two to five elementwise steps over matrices, and perhaps a reduction of each row.

    tasks = list(itertools.islice(chains("train"), 500))

A chain's split is decided by its steps, so no chain is in both; one that the discrimination gate finds wanting is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from semrep_jax.core.errors import TaskError
from semrep_jax.cuda.gate import RIGHT, undetected
from semrep_jax.cuda.spec import Array, KernelTask
from semrep_jax.tasks.kernels.naive import MATRIX, XM, naive

Split = Literal["train", "test"]
PREFIX = "chain_"


@dataclass(frozen=True)
class Step:
    """v -> v: its C expression, its reference, in words; `operand` is another array that it reads, of x's size or a row."""

    name: str
    c: str
    reference: Callable[..., Any]
    words: str
    operand: Array | None = None


_B, _ROW = Array("b", ("M", "N")), Array("r", ("N",))
STEPS = (
    Step("relu", "fmaxf(v, 0.0f)", lambda xp, v: xp.maximum(v, 0), "max(v, 0)"),
    Step("tanh", "tanhf(v)", lambda xp, v: xp.tanh(v), "tanh(v)"),
    Step("sigmoid", "1.0f / (1.0f + expf(-v))", lambda xp, v: 1 / (1 + xp.exp(-v)), "sigmoid(v)"),
    Step("softplus", "fmaxf(v, 0.0f) + log1pf(expf(-fabsf(v)))", lambda xp, v: xp.maximum(v, 0) + xp.log1p(xp.exp(-xp.abs(v))),
         "log(1 + exp(v))"),
    Step("abs", "fabsf(v)", lambda xp, v: xp.abs(v), "|v|"),
    Step("root", "sqrtf(fabsf(v) + 1.0f)", lambda xp, v: xp.sqrt(xp.abs(v) + 1), "sqrt(|v| + 1)"),
    Step("scale", "1.7f * v - 0.3f", lambda xp, v: np.float32(1.7) * v - np.float32(0.3), "1.7 v - 0.3"),
    Step("clip", "fminf(fmaxf(v, -1.5f), 1.5f)", lambda xp, v: xp.clip(v, -1.5, 1.5), "v clipped to [-1.5, 1.5]"),
    Step("add", "v + b[at]", lambda xp, v, b: v + b, "v + b", _B),
    Step("multiply", "v * b[at]", lambda xp, v, b: v * b, "v b", _B),
    Step("largest", "fmaxf(v, b[at])", lambda xp, v, b: xp.maximum(v, b), "max(v, b)", _B),
    Step("bias", "v + r[j]", lambda xp, v, r: v + r, "v + r, r along rows", _ROW),
    Step("weight", "v * r[j]", lambda xp, v, r: v * r, "v r, r along rows", _ROW),
)  # fmt: skip
ENDS: dict[str, tuple[str, str, str, Callable[..., Any]]] = {
    "sum": ("0.0f", "s + v", "s", lambda xp, v: v.sum(-1)),
    "mean": ("0.0f", "s + v", "s / N", lambda xp, v: v.mean(-1)),
    "max": ("-INFINITY", "fmaxf(s, v)", "s", lambda xp, v: v.max(-1)),
}


def chains(split: Split, seed: int = 0) -> Iterator[KernelTask]:
    """An endless stream of different sound tasks of one split, the same for the same seed."""
    rng, seen = np.random.default_rng([seed, split == "test"]), set()
    while True:
        steps = [STEPS[i] for i in rng.permutation(len(STEPS))[: rng.integers(2, 6)]]
        end = [None, *ENDS][rng.integers(0, 1 + len(ENDS))]
        name = PREFIX + "_".join([s.name for s in steps] + ([f"row_{end}"] if end else []))
        if name in seen or split_of(name) != split:
            continue
        seen.add(name)
        task = chain(name)
        if undetected(task) == {RIGHT}:
            yield task


def split_of(name: str) -> Split:
    """A fifth of all chains is for tests, decided by the steps alone."""
    return "test" if hashlib.sha256(name.encode()).digest()[0] < 51 else "train"


def chain(name: str) -> KernelTask:
    """The chain of this name: its steps, and `row_END` where each row is reduced. Raises TaskError where it names none."""
    names, _, end = name.removeprefix(PREFIX).partition("_row_")
    by_name = {s.name: s for s in STEPS}
    unknown = [n for n in names.split("_") if n not in by_name] + ([end] if end and end not in ENDS else [])
    if unknown or not name.startswith(PREFIX):
        raise TaskError(
            f"no chain {name!r}: {unknown} is no step; steps are {', '.join(by_name)}, ends are {', '.join(ENDS)}"
        )
    return _task(name, [by_name[n] for n in names.split("_")], end or None)


def _task(name: str, steps: list[Step], end: str | None) -> KernelTask:
    operands = tuple(dict.fromkeys(s.operand for s in steps if s.operand is not None))
    lines = "\n".join(f"v = {s.c};" for s in steps)
    words = "; ".join(f"v = {s.words}" for s in steps)

    def reference(xp: Any, x: Any, **others: Any) -> Any:
        v = x
        for step in steps:
            v = step.reference(xp, v, *([others[step.operand.name]] if step.operand else []))
        return ENDS[end][3](xp, v) if end else v

    if end is None:
        body = f"int at = i, j = i % N;\nfloat v = x[at];\n{lines}\ny[i] = v;"
        form, length, says = MATRIX.taking(XM, *operands), "64", f"from v = x: {words}; y = v"
    else:
        start, step, value, _ = ENDS[end]
        inner = "\n".join(
            f"    {line}" for line in f"int at = i * N + j;\nfloat v = x[at];\n{lines}\ns = {step};".splitlines()
        )
        body = f"float s = {start};\nfor (int j = 0; j < N; j++) {{\n{inner}\n}}\ny[i] = {value};"
        form = MATRIX.taking(XM, *operands).giving(Array("y", ("M",)))
        length, says = "64 + N", f"from v = x: {words}; y is the {end} of each row"
    return naive(
        name, says, body, reference, form, flops=f"{4 * len(steps)} * M * N", family="chain", length=length, level=2
    )
