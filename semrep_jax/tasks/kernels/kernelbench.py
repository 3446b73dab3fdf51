"""KernelBench's own problem files as kernel tasks: the PyTorch text for the policy, the torch module as the oracle.

    for problem in read(Path("KernelBench"), levels=(1, 2)):      # a checkout of ScalingIntelligence/KernelBench
        print(problem.name, problem.sound, problem.reason)

A problem file is somebody's Python and is executed: use a checkout that you trust. Needs the extra `kernelbench`
(torch). Each problem is run at small sizes here (`shrink`). What is right at those is shape-generic; it is no
KernelBench score, which is measured at the file's own sizes on a GPU. Inputs are the file's own in two draws of five
and signed ones in the others, where the module stays finite on them; constant parameters (a norm's ones and zeros) are
made uneven.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from semrep_jax.core.errors import SemRepError
from semrep_jax.cuda.gate import RIGHT, undetected
from semrep_jax.cuda.spec import DTYPES, Array, Axes, KernelTask
from semrep_jax.tasks.kernels.shrink import MOST_ELEMENTS, SizedProblem, as_tuple, is_tensor, shrunk

CONSTANTS = {"zeros", "ones", "another seed's answer"}  # a task that takes one of these is no test of a kernel
INSTRUCTION = "Write CUDA kernels that compute what this PyTorch module computes, as fast as you can."
PUBLISHED_TOLERANCE = 1e-4  # KernelBench's, relative and absolute
ORDINARY_TERMS = 64  # in the longest sum, before the weights' fan-in and the inputs' reduction are counted


class KernelBenchError(SemRepError):
    """A problem file or checkout that can't be used."""


class Unusable(Exception):
    """This problem can't be judged here, and why."""


@dataclass(frozen=True)
class Problem:
    """One file: its text, and the task made of it, or the reason why there is none.

    `weak` names wrong answers that the problem's own computation lets pass (`cuda.gate`): some modules give a constant,
    whatever they read. What accepts zeros or another seed's answer is no test of a kernel.
    """

    name: str
    path: Path
    text: str
    task: KernelTask | None
    reason: str = ""
    weak: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether there is a task that tells a kernel from a constant."""
        return self.task is not None and CONSTANTS.isdisjoint(self.weak)


def read(checkout: Path, levels: Sequence[int] = (1, 2)) -> Iterator[Problem]:
    """The problems of a checkout by level and number. Raises KernelBenchError if there are none or torch is missing."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        install = 'pip install "semrep-jax[kernelbench]"'
        raise KernelBenchError(f"KernelBench's problems are PyTorch modules; {install}") from error
    root = checkout / "KernelBench" if (checkout / "KernelBench").is_dir() else checkout
    paths = [(level, p) for level in levels for p in sorted((root / f"level{level}").glob("*.py"), key=_number)]
    if not paths:
        wanted = " or ".join(map(str, levels))
        raise KernelBenchError(f"{checkout} holds no problem of level {wanted}; give a checkout of KernelBench")
    for level, path in paths:
        yield _problem(level, path)


def _problem(level: int, path: Path) -> Problem:
    name, text = f"kb{level}_{_number(path)}", path.read_text()
    try:
        task = build(name, level, text)
        return Problem(name, path, text, task, weak=tuple(sorted(undetected(task) - {RIGHT})))
    except Unusable as error:
        return Problem(name, path, text, None, str(error))


def _number(path: Path) -> int:
    match = re.match(r"\d+", path.name)
    return int(match[0]) if match else 0


def build(name: str, level: int, text: str) -> KernelTask:
    """The task of a problem's text. Raises Unusable with the reason.

    name: of the task, such as kb1_19. level: KernelBench's, from 1. text: the problem file's Python, which is run.
    """
    try:
        sized = shrunk(text, name)
    except SyntaxError as error:
        raise Unusable(f"the file is not Python: {error}") from error
    if not sized:
        raise Unusable(f"no sizes small enough for a CPU ({MOST_ELEMENTS} elements) were found that its module takes")
    return _TaskBuilder(name, level, text, sized).task()


class _TaskBuilder:
    """Turns a problem at its sizes into a task: arrays and axes by name, oracle, sampler, prompt.

    It lives on in the task, whose `reference`, `sampler` and `published` are its methods. Weights are inputs like any
    other, under their names with "_" for "."; `weights` maps those to the module's.
    """

    def __init__(self, name: str, level: int, text: str, sizes: list[SizedProblem]):
        self.name, self.level, self.text = name, level, text
        first = sizes[0]
        self.inputs = [n for n, x in first.inputs.items() if is_tensor(x)]
        self.scalars = {n: float(x) for n, x in first.inputs.items() if isinstance(x, (int, float))}
        self.weights = {n.replace(".", "_"): n for n, _ in first.module(0).named_parameters()}
        self.outputs = ["out"] if len(first.outputs) == 1 else [f"out{i}" for i in range(len(first.outputs))]
        self.by_axes: dict[tuple[int, ...], tuple[SizedProblem, dict[str, int]]] = {}
        for sized in sizes:
            axes = self._axes(sized)
            self.by_axes.setdefault(tuple(axes.values()), (sized, axes))
        self.signed = all(self._finite_on_signed(sized) for sized, _ in self.by_axes.values())

    def task(self) -> KernelTask:
        """The task; Unusable where the module's answers are random or of a type that no candidate can write."""
        sized, axes = next(iter(self.by_axes.values()))
        self._check_answers(sized)
        values = self._arrays(sized)
        arrays = {n: Array(n, tuple(f"{n}_{i}" for i in range(x.ndim)), _short(x.dtype)) for n, x in values.items()}
        inputs = tuple(arrays[n] for n in (*self.inputs, *self.weights))
        outputs = tuple(arrays[n] for n in self.outputs)
        shapes = [axes for _, axes in self.by_axes.values()]
        return KernelTask(
            name=self.name,
            instruction=INSTRUCTION,
            inputs=inputs,
            outputs=outputs,
            reference=self.reference,
            source=self._prompt(inputs, outputs, axes),
            small=tuple(shapes[:2]),
            edge=tuple(shapes[2:]),
            bench=tuple(shapes[-1:]),
            flops="1",
            bytes=str(sum(x.nbytes for x in values.values())),
            length=str(self._longest_sum(values)),
            level=self.level,
            family=f"kernelbench {self.level}",
            scalars=self.scalars,
            sampler=self.sampler,
            published=self.published,
        )

    def reference(self, xp: Any, **given: np.ndarray) -> tuple[np.ndarray, ...]:
        """The module's answers, in float64 unless one of the arrays is of less; `xp` is not used."""
        narrow = any(x.dtype in (np.float16, np.float32) for x in given.values())
        return self._forward(self._at(given), given, np.float32 if narrow else np.float64)

    def sampler(self, axes: Axes, seed: int) -> dict[str, np.ndarray]:
        """Inputs and weights at known axes: the file's own in two draws of five, signed ones in the others."""
        sized, _ = self.by_axes[tuple(axes.values())]
        return self._sampled(sized, seed, signed=self.signed and seed % 5 not in (0, 1))

    def published(self, axes: Axes, given: Mapping[str, np.ndarray], answers: Mapping[str, np.ndarray]) -> bool:
        """Whether KernelBench's own tolerance takes these answers, beside the module in float32.

        axes: sizes by name. given: inputs and weights by name. answers: of a kernel, by output.
        """
        wanted = self._forward(self._at(given), given, np.float32)
        return all(
            np.allclose(answers[n].reshape(w.shape), w, rtol=PUBLISHED_TOLERANCE, atol=PUBLISHED_TOLERANCE)
            for n, w in zip(self.outputs, wanted, strict=True)
        )

    def _check_answers(self, sized: SizedProblem) -> None:
        """Raises Unusable."""
        once = self._forward(sized, self._sampled(sized, 0, signed=False), np.float64)
        first, second = (_answers_under(seed, sized) for seed in (7, 8))
        for a, b in zip(first, second, strict=True):
            if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
                raise Unusable("its module draws random numbers: there is no one right answer")
        if any(o.dtype.kind not in "fiub" for o in once):
            raise Unusable("its outputs are of a type that no kernel here can write")

    def _arrays(self, sized: SizedProblem) -> dict[str, np.ndarray]:
        """Inputs, weights and outputs at one set of sizes, as the file draws them."""
        given = {n: sized.inputs[n] for n in self.inputs}
        given |= self._weights_of(sized.module(0))
        given |= dict(zip(self.outputs, sized.outputs, strict=True))
        return {n: _numpy(x) for n, x in given.items()}

    def _weights_of(self, module: Any) -> dict[str, Any]:
        parameters = dict(module.named_parameters())
        return {short: parameters[full].detach() for short, full in self.weights.items()}

    def _axes(self, sized: SizedProblem) -> dict[str, int]:
        """Every dimension by name (x_0, x_1, ...), and the integers that the module is made with."""
        axes = {f"{n}_{i}": size for n, x in self._arrays(sized).items() for i, size in enumerate(x.shape)}
        made = dict(zip(sized.init_names, sized.arguments, strict=False))
        return axes | {n: v for n, v in made.items() if type(v) is int and n not in axes and v >= 0}

    def _at(self, arrays: Mapping[str, np.ndarray]) -> SizedProblem:
        """The problem at the sizes that these arrays have."""
        names = [*self.inputs, *self.weights]
        for sized, axes in self.by_axes.values():
            if all(tuple(axes[f"{n}_{i}"] for i in range(arrays[n].ndim)) == arrays[n].shape for n in names):
                return sized
        raise KernelBenchError(f"{self.name}: no known sizes fit arrays of {[arrays[n].shape for n in names]}")

    def _sampled(self, sized: SizedProblem, seed: int, signed: bool) -> dict[str, np.ndarray]:
        """Inputs and weights that `seed` draws; `signed` replaces the file's own floats by signed ones."""
        weights = self._weights_of(sized.module(seed))
        own = sized.sampled(seed + 1)
        sampled = {n: _numpy(own[n]) for n in self.inputs}
        if signed:
            rng = np.random.default_rng([seed, *self.name.encode()])
            sampled = {n: _signed(rng, x, seed) if x.dtype.kind == "f" else x for n, x in sampled.items()}
        return sampled | {n: _numpy(x) for n, x in weights.items()}

    def _finite_on_signed(self, sized: SizedProblem) -> bool:
        outputs = self._forward(sized, self._sampled(sized, 1, signed=True), np.float64)
        return all(np.isfinite(o).all() for o in outputs)

    def _forward(self, sized: SizedProblem, arrays: Mapping[str, np.ndarray], dtype: Any) -> tuple[np.ndarray, ...]:
        """The module's answers on `arrays` (inputs and weights) in float32 or float64."""
        import torch

        module = sized.double if dtype == np.float64 else sized.module(0)
        weights = {full: torch.tensor(np.asarray(arrays[n]).astype(dtype)) for n, full in self.weights.items()}
        inputs = tuple(self._input(n, sized.inputs[n], arrays, dtype) for n in sized.names)
        torch.manual_seed(0)
        with torch.no_grad():
            out = torch.func.functional_call(module, weights, inputs)
        return tuple(o.numpy() for o in as_tuple(out))

    def _input(self, name: str, like: Any, arrays: Mapping[str, np.ndarray], dtype: Any) -> Any:
        """An argument of forward: a number as it is; an array as a tensor, floats in `dtype`, others in their own."""
        import torch

        if name not in self.inputs:
            return like
        value = np.asarray(arrays[name])
        return torch.tensor(value.astype(dtype)) if like.is_floating_point() else torch.tensor(value).to(like.dtype)

    def _longest_sum(self, values: Mapping[str, np.ndarray]) -> int:
        """A guess at the number of terms behind an output, on the high side."""
        fan_in = sum(prod(values[n].shape[1:]) for n in self.weights if values[n].ndim > 1)
        reduced = max(values[n].size for n in self.inputs) / max(1, min(values[n].size for n in self.outputs))
        return int(ORDINARY_TERMS + 8 * fan_in + 4 * reduced)

    def _prompt(self, inputs: tuple[Array, ...], outputs: tuple[Array, ...], axes: Mapping[str, int]) -> str:
        """The file's own text, then the names that the launch list may use."""
        arrays = (*inputs, *outputs)
        shapes = "; ".join(f"{a.name}: {a.dtype}[{', '.join(a.shape)}]" for a in arrays)
        others = [n for n in axes if not any(n in a.shape for a in arrays)] + list(self.scalars)
        lines = [
            f"Buffers, with the names of their sizes: {shapes}.",
            f"Inputs and parameters come first; you write {', '.join(a.name for a in outputs)}.",
        ]
        if others:
            lines.append(f"Other numbers that an expression may name: {', '.join(others)}.")
        lines.append("All sizes vary: use their names, no constants.")
        return f"```python\n{self.text.strip()}\n```\n" + "\n".join(lines) + "\n"


def _answers_under(seed: int, sized: SizedProblem) -> tuple[np.ndarray, ...]:
    """The float64 module's answers to the usual inputs when torch's generator begins at `seed`."""
    import torch

    floats = [x.double() if is_tensor(x) and x.is_floating_point() else x for x in sized.inputs.values()]
    torch.manual_seed(seed)
    with torch.no_grad():
        return tuple(o.numpy() for o in as_tuple(sized.double(*floats)))


def _numpy(tensor: Any) -> np.ndarray:
    """A copy as NumPy; booleans as bytes."""
    value = tensor.detach().contiguous().numpy()
    return value.astype(np.uint8) if value.dtype == np.bool_ else value.copy()


def _short(dtype: np.dtype) -> str:
    found = next((n for n, d in DTYPES.items() if d == dtype), None)
    if found is None:
        raise Unusable(f"arrays of {dtype} have no place in a launch list")
    return found


def _signed(rng: np.random.Generator, like: np.ndarray, seed: int) -> np.ndarray:
    """Values of an array's shape and type, from a distribution that `seed` chooses."""
    normal = rng.standard_normal(like.shape)
    match seed % 5:
        case 2:
            normal = normal * 8.0
        case 3:
            normal = normal * np.exp2(rng.uniform(-6.0, 3.0, like.shape))
        case 4:
            normal = np.where(rng.random(like.shape) < 0.5, 0.1, normal * 2)
    return normal.astype(like.dtype)
