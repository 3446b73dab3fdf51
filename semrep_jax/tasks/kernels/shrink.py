"""A KernelBench problem at sizes that a CPU can run: the integers that its file writes down, made smaller.

    for sized in shrunk(text, "kb1_1"):        # at most three, the largest first
        sized.module(seed=0)(*sized.inputs.values())

The files' sizes are made for large GPUs (gigabytes an input). Integers at the top of the file and in `get_inputs`
shrink together, different ones to different sizes, until the module takes them. Needs torch, and executes the file.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from semrep_jax.core import syntax

LIMITS = (4, 8, 12, 17, 24, 33, 48, 64, 96, 160)  # what an integer may be at most, and is left alone up to
STEPS = (8, 0)  # between the new values of two integers, where steps as large as the limit do not work
MOST_ELEMENTS = 60_000  # of all inputs, of all weights, of an output
OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


class SizedProblem:
    """A problem's module class, its arguments and its inputs, with integers replaced by `sizes`.

    text: of the problem's file. origin: what tracebacks call it. Raises whatever the file raises when it is executed.
    """

    def __init__(self, text: str, sizes: Mapping[int, int], origin: str):
        tree = syntax.module(text)
        space: dict[str, Any] = {"__name__": f"kernelbench_{origin}"}
        exec(compile(_Resize(sizes).visit(tree), origin, "exec"), space)
        self.make: Callable[..., Any] = space["Model"]
        self.arguments: list[Any] = space["get_init_inputs"]()
        self.get_inputs: Callable[[], list[Any]] = space["get_inputs"]
        self.names = _parameters(tree, "forward")
        self.init_names = _parameters(tree, "__init__")

    def module(self, seed: int) -> Any:
        """The module with the weights that `seed` gives it; constant ones (a norm's ones and zeros) made uneven."""
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

    def sampled(self, seed: int) -> dict[str, Any]:
        """The file's own inputs by name, as `seed` draws them."""
        import torch

        torch.manual_seed(seed)
        return dict(zip(self.names, self.get_inputs(), strict=True))

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """One draw of the inputs."""
        return self.sampled(0)

    @cached_property
    def outputs(self) -> tuple[Any, ...]:
        """What the module makes of `inputs`, in its own precision."""
        import torch

        with torch.no_grad():
            return as_tuple(self.module(0)(*self.inputs.values()))


def as_tuple(out: Any) -> tuple[Any, ...]:
    """What a module returns, one tensor or several."""
    return out if isinstance(out, tuple) else (out,)


def is_tensor(value: Any) -> bool:
    """Whether it is a torch tensor."""
    import torch

    return isinstance(value, torch.Tensor)


def shrunk(text: str, origin: str) -> list[SizedProblem]:
    """Three sets of sizes at most: the largest a CPU should run (several blocks of threads), one between, the smallest.

    Raises SyntaxError where the file is not Python.
    """
    integers = _integers(text)
    found: list[SizedProblem] = []
    for limit in LIMITS:
        large = [n for n in integers if n > limit]
        for step in (limit, *STEPS):
            sized = _fitting(text, {n: limit + i * step for i, n in enumerate(large)}, origin)
            if sized is not None:
                found.append(sized)
                break
        if not large:
            break
    chosen = {0, len(found) // 2, len(found) - 1} if found else set()
    return [found[i] for i in sorted(chosen, reverse=True)]


def _fitting(text: str, sizes: Mapping[int, int], origin: str) -> SizedProblem | None:
    """The problem at these sizes, or None where its module does not take them or they are too many elements."""
    try:
        sized = SizedProblem(text, sizes, origin)
        if sum(x.numel() for x in sized.inputs.values() if is_tensor(x)) > MOST_ELEMENTS:
            return None
        if sum(p.numel() for p in sized.module(0).parameters()) > MOST_ELEMENTS:
            return None
        outputs = sized.outputs
    except Exception:  # any of torch's refusals: other sizes may do
        return None
    fits = all(is_tensor(o) and 0 < o.numel() <= MOST_ELEMENTS for o in outputs)
    return sized if fits else None


class _Resize(ast.NodeTransformer):
    """Replaces integers by `sizes` outside of classes: at the top of a file and in its two functions for inputs."""

    def __init__(self, sizes: Mapping[int, int]):
        self.sizes = sizes
        self.seen: set[int] = set()

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        folded = _integer(node)
        if folded is None:
            return self.generic_visit(node)
        return self.visit(ast.copy_location(ast.Constant(folded), node))

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) is not int:
            return node
        self.seen.add(node.value)
        return ast.copy_location(ast.Constant(self.sizes.get(node.value, node.value)), node)


def _integer(node: ast.expr) -> int | None:
    """The value of an expression of integer constants, else None."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = _integer(node.left), _integer(node.right)
        if left is not None and right is not None:
            return OPERATORS[type(node.op)](left, right)
    return None


def _integers(text: str) -> list[int]:
    """The integers that may be replaced, ascending."""
    collect = _Resize({})
    collect.visit(syntax.module(text))
    return sorted(collect.seen)


def _parameters(tree: ast.Module, function: str) -> list[str]:
    """The parameters of a method of the class Model, without self."""
    model = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Model")
    found = next((n for n in model.body if isinstance(n, ast.FunctionDef) and n.name == function), None)
    return [a.arg for a in found.args.args[1:]] if found else []
