"""The Python side of an answer in the style of `load_inline`: that `forward` returns what the host function returns.

    class ModelNew(nn.Module):
        def forward(self, p, t):
            return op.squares(p, t).mean()

is refused: the mean is taken in Python, which nothing here reads, so that the kernel's output is not the answer.
"""

from __future__ import annotations

import ast

from semrep_jax.cuda.candidate.source import InvalidCandidate

LIBRARIES = frozenset(["torch", "F", "nn", "np", "numpy", "math"])
KEEPING = frozenset(["contiguous", "cuda", "float", "detach"])  # they leave a float32 tensor as it is


def check(text: str) -> None:
    """Refuse a Python file whose `forward` does more than to hand its arguments over. Raises InvalidCandidate.

    text: the file. One that is no Python, or has no `forward`, is not looked at.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "forward":
            _check_forward(node)


def _check_forward(function: ast.FunctionDef) -> None:
    names: dict[str, ast.expr] = {}  # what was assigned to them
    parameters = [argument.arg for argument in function.args.args[1:]]
    for statement in function.body:
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Assert():
                continue
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if name in parameters and _kept(value) != name:
                    raise _too_much(statement)
                if name not in parameters:
                    names[name] = value
            case ast.Return(value=ast.expr() as value):
                _check_returned(names.get(value.id, value) if isinstance(value, ast.Name) else value, parameters, names)
                return
            case _:
                raise _too_much(statement)


def _check_returned(value: ast.expr, parameters: list[str], names: dict[str, ast.expr]) -> None:
    """That a value is a call of the extension with the parameters, in their order."""
    path = _path(value.func) if isinstance(value, ast.Call) else None
    if not isinstance(value, ast.Call) or path is None or path[0] in LIBRARIES or path[0] in parameters:
        raise _too_much(value)
    order = []
    for argument in value.args:
        given = argument
        while isinstance(given, ast.Name) and given.id in names:
            given = names[given.id]
        name = _kept(given)
        if name is None and _path(given) is None:  # neither a parameter nor a weight
            raise _too_much(argument)
        if name in parameters:
            order.append(parameters.index(name))
    if order != sorted(order):
        raise _too_much(value)


def _kept(value: ast.expr) -> str | None:
    """The name of a tensor that `value` is, unchanged."""
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in KEEPING:
        if value.args or value.keywords:
            return None
        value = value.func.value
    return value.id if isinstance(value, ast.Name) else None


def _path(value: ast.expr) -> list[str] | None:
    """The parts of a dotted name; None where it is more than that."""
    parts: list[str] = []
    while isinstance(value, ast.Attribute):
        parts.insert(0, value.attr)
        value = value.value
    return [value.id, *parts] if isinstance(value, ast.Name) else None


def _too_much(node: ast.stmt | ast.expr) -> InvalidCandidate:
    shown = ast.unparse(node).splitlines()[0][:80]
    return InvalidCandidate(
        f"this line of the Python side can't be converted: {shown!r}; `forward` must return what the CUDA code "
        "returns, or write a ```json launch block instead"
    )
