"""KernelBench's own problem files as kernel tasks: the PyTorch text for the policy, our candidate format, the torch module as the oracle.

    problems = list(read(Path("KernelBench"), levels=(1, 2)))       # a checkout of github.com/ScalingIntelligence/KernelBench

A problem file is somebody's Python and is executed: use a checkout that you trust. Needs the extra `kernelbench` (torch).
The files' sizes are made for large GPUs (gigabytes an input), so each is run at small ones here: integers at the top of the file and in
`get_inputs` shrink together, different ones to different sizes, until the module takes them. What is right at those is shape-generic;
it is no KernelBench score, which is measured at the file's own sizes on a GPU. Inputs are the file's own in two draws of five and signed
ones in the others, where the module stays finite on them; constant parameters (a norm's ones and zeros) are made uneven.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from semrep_jax.core import syntax
from semrep_jax.core.errors import SemRepError
from semrep_jax.cuda.gate import RIGHT, undetected
from semrep_jax.cuda.spec import DTYPES, Array, Axes, KernelTask

LIMITS, MOST_ELEMENTS = (4, 8, 12, 17, 24, 33, 48, 64, 96, 160), 60_000


class KernelBenchError(SemRepError):
    """A problem file or checkout that can't be used."""


class Unusable(Exception):
    """This problem can't be judged here, and why."""


@dataclass(frozen=True)
class Problem:
    """One file: its text, and the task made of it, or the reason why there is none.

    `weak` names wrong answers that the problem's own computation lets pass (`kernels.gate`): some modules give a constant, whatever
    they read. What accepts zeros or another seed's answer is no test of a kernel.
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
        return self.task is not None and {"zeros", "ones", "another seed's answer"}.isdisjoint(self.weak)


class Sized:
    """A problem at one set of sizes: the module's class, its arguments and its inputs."""

    def __init__(self, text: str, sizes: Mapping[int, int], origin: str):
        tree = syntax.module(text)
        space: dict[str, Any] = {"__name__": f"kernelbench_{origin}"}
        exec(compile(_Resize(sizes).visit(tree), origin, "exec"), space)
        self.make: Callable[..., Any] = space["Model"]
        self.arguments, self.draw = space["get_init_inputs"](), space["get_inputs"]
        self.names = _parameters(tree, "forward")
        self.init_names = _parameters(tree, "__init__")

    def module(self, seed: int) -> Any:
        """The module with the weights that `seed` gives it; constant ones uneven."""
        import torch

        torch.manual_seed(seed)
        module = self.make(*self.arguments)
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.numel() < 2 or parameter.std() == 0:
                    parameter += 0.5 * torch.randn_like(parameter)
        return module

    @cached_property
    def double(self) -> Any:
        """The module in float64, for the oracle; weights are given with each call."""
        return self.module(0).double()

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """One draw of the file's own inputs by name, as it gives them."""
        import torch

        torch.manual_seed(0)
        given = self.draw()
        return dict(zip(self.names, given, strict=True))


class _Resize(ast.NodeTransformer):
    """Replaces integers by `sizes` in assignments at the top of a file and in its two functions for inputs."""

    def __init__(self, sizes: Mapping[int, int]):
        self.sizes, self.inside = sizes, False

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        folded = _integer(node)
        return (
            self.visit(ast.copy_location(ast.Constant(folded), node))
            if folded is not None
            else self.generic_visit(node)
        )

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) is int and node.value in self.sizes:
            return ast.copy_location(ast.Constant(self.sizes[node.value]), node)
        return node


def _integer(node: ast.expr) -> int | None:
    """The value of an expression of integer constants, else None."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv)):
        a, b = _integer(node.left), _integer(node.right)
        if a is not None and b is not None:
            kinds: dict[type, Callable[[int, int], int]] = {
                ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b, ast.FloorDiv: lambda a, b: a // b,
            }  # fmt: skip
            return kinds[type(node.op)](a, b)
    return None


def _integers(text: str) -> list[int]:
    """The integers that `_Resize` may replace, ascending."""
    found: set[int] = set()

    class Collect(_Resize):
        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            if type(node.value) is int:
                found.add(node.value)
            return node

    Collect({}).visit(syntax.module(text))
    return sorted(found)


def _parameters(tree: ast.Module, function: str) -> list[str]:
    model = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Model")
    found = next((n for n in model.body if isinstance(n, ast.FunctionDef) and n.name == function), None)
    return [a.arg for a in found.args.args[1:]] if found else []


def read(checkout: Path, levels: Sequence[int] = (1, 2)) -> Iterator[Problem]:
    """The problems of a checkout by level and number. Raises KernelBenchError where there are none or torch is missing."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise KernelBenchError(
            'KernelBench\'s problems are PyTorch modules; pip install "semrep-jax[kernelbench]"'
        ) from error
    root = checkout / "KernelBench" if (checkout / "KernelBench").is_dir() else checkout
    paths = [(level, p) for level in levels for p in sorted((root / f"level{level}").glob("*.py"), key=_number)]
    if not paths:
        raise KernelBenchError(
            f"{checkout} holds no problem of level {' or '.join(map(str, levels))}; give a checkout of KernelBench"
        )
    for level, path in paths:
        name, text = f"kb{level}_{_number(path)}", path.read_text()
        try:
            task = build(name, level, text)
            yield Problem(name, path, text, task, weak=tuple(sorted(undetected(task) - {RIGHT})))
        except Unusable as error:
            yield Problem(name, path, text, None, str(error))


def _number(path: Path) -> int:
    match = re.match(r"\d+", path.name)
    return int(match[0]) if match else 0


def build(name: str, level: int, text: str) -> KernelTask:
    """The task of a problem's text. Raises Unusable with the reason."""
    try:
        found = _small(text, name)
    except SyntaxError as error:
        raise Unusable(f"the file is not Python: {error}") from error
    if not found:
        raise Unusable(f"no sizes small enough for a CPU ({MOST_ELEMENTS} elements) were found that its module takes")
    return _Maker(name, level, text, found).task()


def _small(text: str, origin: str) -> list[Sized]:
    """Three sets of small sizes at most: the largest that a CPU should run (more than one block of threads), one between, the smallest."""
    found: list[Sized] = []
    for limit in LIMITS:
        large = [n for n in _integers(text) if n > limit]
        for step in (limit, 8, 0):
            sizes = {n: limit + i * step for i, n in enumerate(large)}
            sized = _runs(text, sizes, origin)
            if sized is not None:
                found.append(sized)
                break
        if not large:
            break
    return [found[i] for i in sorted({0, len(found) // 2, len(found) - 1}, reverse=True)] if found else []


def _runs(text: str, sizes: Mapping[int, int], origin: str) -> Sized | None:
    """The problem at these sizes, or None where its module does not take them or they are too many elements."""
    import torch

    try:
        sized = Sized(text, sizes, origin)
        tensors = [x for x in sized.inputs.values() if isinstance(x, torch.Tensor)]
        if sum(x.numel() for x in tensors) > MOST_ELEMENTS:
            return None
        module = sized.module(0)
        if sum(p.numel() for p in module.parameters()) > MOST_ELEMENTS:
            return None
        with torch.no_grad():
            out = module(*sized.inputs.values())
    except Exception:  # any of torch's refusals: other sizes may do
        return None
    several = out if isinstance(out, tuple) else (out,)
    fits = all(isinstance(o, torch.Tensor) and 0 < o.numel() <= MOST_ELEMENTS for o in several)
    return sized if fits else None


class _Maker:
    """Turns a problem at its sizes into a task: arrays and axes by name, oracle, sampler, prompt."""

    def __init__(self, name: str, level: int, text: str, shapes: list[Sized]):
        self.name, self.level, self.text = name, level, text
        first = shapes[0]
        self.inputs = [n for n, x in first.inputs.items() if _is_tensor(x)]
        self.scalars = {n: float(x) for n, x in first.inputs.items() if isinstance(x, (int, float))}
        self.weights = {n.replace(".", "_"): n for n, _ in first.module(0).named_parameters()}
        self.by_axes: dict[tuple[int, ...], tuple[Sized, dict[str, int]]] = {}
        for sized in shapes:
            axes = self._axes(sized)
            self.by_axes.setdefault(tuple(axes.values()), (sized, axes))
        self.signed = all(self._finite(sized) for sized, _ in self.by_axes.values())

    def _arrays(self, sized: Sized) -> dict[str, np.ndarray]:
        """Inputs and weights at one set of sizes, as the file draws them."""
        import torch

        module = sized.module(0)
        given = {n: sized.inputs[n] for n in self.inputs}
        given |= {short: dict(module.named_parameters())[full].detach() for short, full in self.weights.items()}
        with torch.no_grad():
            out = module(*sized.inputs.values())
        outputs = out if isinstance(out, tuple) else (out,)
        given |= {f"out{i}" if len(outputs) > 1 else "out": o for i, o in enumerate(outputs)}
        return {n: _numpy(x) for n, x in given.items()}

    def _axes(self, sized: Sized) -> dict[str, int]:
        """Every dimension by name (x_0, x_1, ...), and the integers that the module is made with."""
        axes = {f"{n}_{i}": size for n, x in self._arrays(sized).items() for i, size in enumerate(x.shape)}
        made = dict(zip(sized.init_names, sized.arguments, strict=False))
        return axes | {n: v for n, v in made.items() if type(v) is int and n not in axes and v >= 0}

    def _array(self, name: str, value: np.ndarray) -> Array:
        return Array(name, tuple(f"{name}_{i}" for i in range(value.ndim)), _short(value.dtype))

    def _finite(self, sized: Sized) -> bool:
        """Whether the module stays finite on signed inputs."""
        found = self._draw(sized, 1, True)
        return all(np.isfinite(o).all() for o in self._forward(sized, found, np.float64))

    def _draw(self, sized: Sized, seed: int, signed: bool) -> dict[str, np.ndarray]:
        import torch

        module, rng = sized.module(seed), np.random.default_rng([seed, *self.name.encode()])
        torch.manual_seed(seed + 1)
        own = dict(zip(sized.names, sized.draw(), strict=True))
        drawn = {n: _numpy(own[n]) for n in self.inputs}
        if signed:
            drawn = {n: _signed(rng, x, seed) if x.dtype.kind == "f" else x for n, x in drawn.items()}
        return drawn | {
            short: _numpy(dict(module.named_parameters())[full].detach()) for short, full in self.weights.items()
        }

    def _forward(self, sized: Sized, arrays: Mapping[str, np.ndarray], dtype: Any) -> tuple[np.ndarray, ...]:
        import torch

        module = sized.double if dtype == np.float64 else sized.module(0)
        state = {full: torch.tensor(np.asarray(arrays[short]).astype(dtype)) for short, full in self.weights.items()}
        given = [self._tensor(n, sized.inputs[n], arrays, dtype) for n in sized.names]
        torch.manual_seed(0)
        with torch.no_grad():
            out = torch.func.functional_call(module, state, tuple(given))
        return tuple(o.numpy() for o in (out if isinstance(out, tuple) else (out,)))

    def _tensor(self, name: str, like: Any, arrays: Mapping[str, np.ndarray], dtype: Any) -> Any:
        import torch

        if name not in self.inputs:
            return like
        value = np.asarray(arrays[name])
        return torch.tensor(value.astype(dtype)) if like.is_floating_point() else torch.tensor(value).to(like.dtype)

    def _at(self, arrays: Mapping[str, np.ndarray]) -> Sized:
        """The sizes that these arrays have."""
        names = [*self.inputs, *self.weights]
        for sized, axes in self.by_axes.values():
            if all(tuple(axes[f"{n}_{i}"] for i in range(arrays[n].ndim)) == arrays[n].shape for n in names):
                return sized
        raise KernelBenchError(f"{self.name}: no known sizes fit arrays of {[arrays[n].shape for n in names]}")

    def task(self) -> KernelTask:
        """The task; Unusable where the module's answers are random or of a type that no candidate can write."""
        sized, axes = next(iter(self.by_axes.values()))
        values = self._arrays(sized)
        arrays = {n: self._array(n, x) for n, x in values.items()}
        outputs = tuple(a for n, a in arrays.items() if n not in self.inputs and n not in self.weights)
        inputs = tuple(arrays[n] for n in (*self.inputs, *self.weights))
        drawn = self._draw(sized, 0, False)
        once, again = self._forward(sized, drawn, np.float64), _seeded(7, lambda: sized.double(*_wide(sized)))
        if not _same(again, _seeded(8, lambda: sized.double(*_wide(sized)))):
            raise Unusable("its module draws random numbers: there is no one right answer")
        if any(o.dtype.kind not in "fiub" for o in once):
            raise Unusable("its outputs are of a type that no kernel here can write")

        def reference(xp: Any, **given: np.ndarray) -> Any:
            dtype = np.float32 if any(x.dtype in (np.float16, np.float32) for x in given.values()) else np.float64
            return self._forward(self._at(given), given, dtype)

        def sampler(axes: Axes, seed: int) -> dict[str, np.ndarray]:
            at, _ = self.by_axes[tuple(axes.values())]
            return self._draw(at, seed, self.signed and seed % 5 not in (0, 1))

        def published(axes: Axes, given: Mapping[str, np.ndarray], answers: Mapping[str, np.ndarray]) -> bool:
            wanted = self._forward(self._at(given), given, np.float32)
            return all(
                np.allclose(answers[a.name].reshape(w.shape), w, rtol=1e-4, atol=1e-4)
                for a, w in zip(outputs, wanted, strict=True)
            )

        shapes = [a for _, a in self.by_axes.values()]
        fan_in = sum(prod(values[n].shape[1:]) for n in self.weights if values[n].ndim > 1)
        reduced = max(values[n].size for n in self.inputs) / max(1, min(values[o.name].size for o in outputs))
        moved = sum(v.nbytes for v in values.values())
        return KernelTask(
            self.name, "Write CUDA kernels that compute what this PyTorch module computes, as fast as you can.", inputs, outputs, reference,
            self._prompt(inputs, outputs, axes), tuple(shapes[:2]), tuple(shapes[2:]), tuple(shapes[-1:]), flops="1", bytes=str(moved),
            length=str(int(64 + 8 * fan_in + 4 * reduced)), level=self.level, family=f"kernelbench {self.level}", scalars=self.scalars,
            sampler=sampler, published=published,
        )  # fmt: skip

    def _prompt(self, inputs: tuple[Array, ...], outputs: tuple[Array, ...], axes: Mapping[str, int]) -> str:
        """The file's own text, then the names that the launch list may use."""
        told = [f"{a.name}: {a.dtype}[{', '.join(a.shape)}]" for a in (*inputs, *outputs)]
        others = [n for n in axes if not any(n in a.shape for a in (*inputs, *outputs))] + list(self.scalars)
        lines = [f"Buffers, with the names of their sizes: {'; '.join(told)}.", "Inputs and parameters come first; you write " + ", ".join(
            a.name for a in outputs) + "."]  # fmt: skip
        if others:
            lines.append(f"Other numbers that an expression may name: {', '.join(others)}.")
        lines.append("All sizes vary: use their names, no constants.")
        return f"```python\n{self.text.strip()}\n```\n" + "\n".join(lines) + "\n"


def _seeded(seed: int, run: Callable[[], Any]) -> tuple[np.ndarray, ...]:
    import torch

    torch.manual_seed(seed)
    with torch.no_grad():
        out = run()
    return tuple(o.numpy() for o in (out if isinstance(out, tuple) else (out,)))


def _wide(sized: Sized) -> list[Any]:
    return [x.double() if _is_tensor(x) and x.is_floating_point() else x for x in sized.inputs.values()]


def _same(a: tuple[np.ndarray, ...], b: tuple[np.ndarray, ...]) -> bool:
    return all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a, b, strict=True))


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


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
    normal = rng.standard_normal(like.shape)
    if seed % 5 == 2:
        normal = normal * 8.0
    if seed % 5 == 3:
        normal = normal * np.exp2(rng.uniform(-6.0, 3.0, like.shape))
    if seed % 5 == 4:
        normal = np.where(rng.random(like.shape) < 0.5, 0.1, normal * 2)
    return normal.astype(like.dtype)
