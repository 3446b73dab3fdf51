"""Launches of one dimension, and arithmetic on expressions of a launch list: ceil_div(N, 256), min(..., 132)."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tree_sitter import Node

from semrep_jax.core import syntax
from semrep_jax.cuda.rewrites.nodes import is_binary, operands, operator
from semrep_jax.cuda.rewrites.program import CudaProgram
from semrep_jax.cuda.syntax import Function, node_text


@dataclass(frozen=True)
class CeilDiv:
    """ceil_div(total, by), with a number `by`."""

    total: str
    by: int


@dataclass(frozen=True)
class Launch:
    """A launch of one dimension.

    position: in the launch list. grid: as it is written. block: a number. arguments: what it passes for each parameter.
    """

    position: int
    grid: str
    block: int
    arguments: Mapping[str, str]

    def expression(self, node: Node) -> str | None:
        """An expression of the kernel's code as the launch list has it; None where it is no arithmetic of integers."""
        text = node_text(node)
        if node.type == "parenthesized_expression":
            inner = self.expression(node.named_children[0])
            return None if inner is None else f"({inner})"
        if node.type == "number_literal":
            return text if text.isdigit() else None
        if node.type == "identifier":
            type_, _, expression = self.arguments.get(text, "").partition(":")
            if type_ not in ("i32", "i64") or not expression:
                return None
            return expression if expression.isidentifier() else f"({expression})"
        if not is_binary(node, "+", "-", "*", "/", "%"):
            return None
        left, right = map(self.expression, operands(node))
        return None if left is None or right is None else f"{left} {operator(node).replace('/', '//')} {right}"

    def with_grid(self, grid: str) -> Launch:
        """The same launch of another grid."""
        return replace(self, grid=grid)

    def coarser(self, factor: int) -> Launch:
        """The launch for blocks that each do `factor` times the work."""
        quotient = as_ceil_div(self.grid) or CeilDiv(self.grid, 1)
        return self.with_grid(f"ceil_div({quotient.total}, {quotient.by * factor})")

    def finer(self, factor: int) -> Launch:
        """The launch for blocks that each do a `factor`-th of the work."""
        quotient = as_ceil_div(self.grid)
        if quotient is not None and quotient.by == self.block * factor:
            return self.with_grid(f"ceil_div({quotient.total}, {self.block})")
        return self.with_grid(f"({self.grid}) * {factor}")


def one_dimensional(program: CudaProgram, kernel: Function) -> tuple[Launch, ...]:
    """The kernel's launches, where all have one dimension, a number as block, and no shared memory; else none."""
    found = []
    for position in program.launches_of(kernel):
        launch = program.launch_list["launch"][position]
        grid, block = _only_dimension(launch.get("grid")), _only_dimension(launch.get("block"))
        if grid is None or block is None or not block.isdigit() or launch.get("shared") or launch.get("smem"):
            return ()
        found.append(Launch(position, grid, int(block), program.arguments(kernel, position)))
    return tuple(found)


def _only_dimension(value: Any) -> str | None:
    dimensions = value if isinstance(value, list) else [value]
    return str(dimensions[0]) if dimensions and all(str(d) == "1" for d in dimensions[1:]) else None


def relaunched(program: CudaProgram, launches: Iterable[Launch]) -> dict[str, Any]:
    """The launch list with these launches' grids and blocks."""
    changes: dict[int, dict[str, Any]] = {}
    for launch in launches:
        grid = int(launch.grid) if launch.grid.isdigit() else launch.grid
        changes[launch.position] = {"grid": [grid], "block": [launch.block]}
    return program.with_launches(changes)


def as_ceil_div(grid: str) -> CeilDiv | None:
    """The quotient that ceil_div(total, by) with a number `by` rounds up, else None."""
    match _parsed(grid):
        case ast.Call(func=ast.Name(id="ceil_div"), args=[total, ast.Constant(value=int() as by)]):
            return CeilDiv(_first_argument(grid, "ceil_div", total), by)
    return None


def uncapped(grid: str) -> str | None:
    """The G of min(G, number), else None."""
    match _parsed(grid):
        case ast.Call(func=ast.Name(id="min"), args=[inner, ast.Constant()]):
            return _first_argument(grid, "min", inner)
    return None


def _parsed(text: str) -> ast.expr | None:
    try:
        return syntax.expression(text.strip()).body
    except SyntaxError:
        return None


def _first_argument(call: str, function: str, argument: ast.expr) -> str:
    """The text of the first of a call's two arguments, as it is written where that is clear."""
    written = call.strip().removeprefix(f"{function}(").rpartition(",")[0].strip()
    return written if same_expression(written, ast.unparse(argument)) else ast.unparse(argument)


def same_expression(a: str, b: str) -> bool:
    """Whether two expressions of a launch list are the same but for layout and parentheses."""
    first, second = _parsed(a), _parsed(b)
    return first is not None and second is not None and ast.dump(first) == ast.dump(second)
