"""The Python side of an answer in the style of `load_inline`: that `forward` returns what the host function returns.

    class ModelNew(nn.Module):
        def forward(self, p, t):
            return op.squares(p, t).mean()

is refused: the mean is taken in Python, which nothing here reads, so that the kernel's output is not the answer. So is
`self.act(p, t)` where `self.act` is anything but the host function: names are followed to what the file makes them.

It is found in all fenced blocks of an answer, whatever their tags, or between the prose of one without blocks; where
something is Python by its looks and can't be read, the answer is refused.
"""

from __future__ import annotations

import ast
import re

from semrep_jax.core import syntax
from semrep_jax.cuda.candidate.source import MAX_CHARACTERS, InvalidCandidate
from semrep_jax.languages import fenced_blocks

LIBRARIES = frozenset(["torch", "F", "nn", "np", "numpy", "math", "super", "getattr", "eval", "triton", "tl"])
KEEPING = frozenset(["contiguous", "cuda", "float", "detach"])  # they leave a float32 tensor as it is
LOADERS = frozenset(["load", "load_inline"])
FORWARD = frozenset(["forward", "__call__"])
REPLACING = frozenset(
    ["setattr", "exec", "register_forward_hook", "register_forward_pre_hook"]
)  # they change `forward`
DECORATORS = frozenset(["torch", "staticmethod", "classmethod"])
MOST_STEPS = 16  # of names that stand for names
MOST_BEGINNINGS, MOST_ENDS = 4, 8  # of a file, that are tried
# Of Python, and not of C++. No `.*` before a word: a line may be as long as the text.
_LOOKS = re.compile(
    r"^[ \t]*(?:(?:async[ \t]+)?def[ \t]+\w+|class[ \t]+\w+[^\n{;]*:[ \t]*(?:#.*)?$|import[ \t]+\w"
    r"|from[ \t]+[\w.]+[ \t]+import\b)|\bload_inline\b|\b(?:forward|__call__)[ \t]*=(?!=)",
    re.MULTILINE,
)
_BEGINS = re.compile(r"(?:import|from|class|def)\b|@|\w+[ \t]*=|[rRuU]{0,2}(?:\"\"\"|\'\'\')")


def check(answer: str, exposed: frozenset[str]) -> None:
    """Refuse an answer whose `forward` does more than to hand its arguments over. Raises InvalidCandidate.

    answer: the whole of it. One without Python, or without a `forward`, has nothing to refuse. exposed: the names by
    which Python may call the host function that launches.
    """
    if len(answer) > MAX_CHARACTERS:
        raise InvalidCandidate(f"the answer has {len(answer)} characters; at most {MAX_CHARACTERS} are taken")
    tree = ast.Module([], [])
    for part in [block.body for block in fenced_blocks(answer)] or [_without_prose(answer)]:
        found = _parsed(part)
        if isinstance(found, ast.Module):
            tree.body += found.body
        elif looks := _LOOKS.search(part):
            line = part[part.rfind("\n", 0, looks.start() + 1) + 1 :].strip().partition("\n")[0]
            raise InvalidCandidate(
                f"the Python side can't be read, from {line[:80]!r} on; write one ```python block with nothing else"
            )
    side = _PythonSide(tree, exposed)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in REPLACING:
            raise _too_much(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in FORWARD:
            if not isinstance(node, ast.FunctionDef):
                raise _too_much(node)
            side.check_function(node, skip=1)


def _parsed(text: str) -> ast.Module | int:
    """A text as Python; the number of the line (from 0) that it fails at where it is none, the last if nobody knows."""
    try:
        return syntax.module(text)
    except SyntaxError as error:
        return (error.lineno or 1) - 1
    except (ValueError, RecursionError, MemoryError):
        return text.count("\n")


def _without_prose(text: str) -> str:
    """The lines of a text from the first that can be at the top of a Python file to the last before prose that follows;
    the whole text where those are not all of the Python in it."""
    lines = text.splitlines()
    begins = [number for number, line in enumerate(lines) if _BEGINS.match(line)]
    for first in begins[:MOST_BEGINNINGS]:
        end = len(lines)
        for _ in range(MOST_ENDS):
            part = "\n".join(lines[first:end])
            found = _parsed(part)
            if isinstance(found, ast.Module):
                rest = "\n".join([*lines[:first], *lines[end:]])
                return text if _LOOKS.search(rest) else part
            end = min(first + found, end - 1)
            if end <= first:
                break
    return text


class _PythonSide:
    """A file's names: what it assigns outside of `forward`, its functions and methods, and what it imports."""

    def __init__(self, tree: ast.Module, exposed: frozenset[str]):
        self.exposed = exposed
        self.functions: dict[str, ast.FunctionDef] = {}
        self.methods: dict[str, ast.FunctionDef] = {}
        self.classes: set[str] = set()
        self.libraries = set(LIBRARIES)
        self.assigned: dict[str, list[ast.expr]] = {}  # by dotted name
        self.under_check: list[ast.FunctionDef] = []
        self._read(tree.body, self.functions)

    def _read(self, body: list[ast.stmt], functions: dict[str, ast.FunctionDef]) -> None:
        for node in body:
            match node:
                case ast.FunctionDef(name=name):
                    functions[name] = node
                    if name == "__init__":
                        self._read(node.body, {})
                case ast.ClassDef(name=name):
                    self.classes.add(name)
                    self._read(node.body, self.methods)
                case ast.ImportFrom(module=module) if (module or "").partition(".")[0] in self.libraries:
                    self.libraries |= {alias.asname or alias.name for alias in node.names}
                case ast.Import():
                    self.libraries |= {a.asname for a in node.names if a.asname and a.name.split(".")[0] in LIBRARIES}
                case ast.Assign(targets=[target], value=value):
                    self._assign(node, target, value)
                case ast.If(body=inside, orelse=other) | ast.Try(body=inside, orelse=other):
                    self._read([*inside, *other], functions)

    def _assign(self, statement: ast.stmt, target: ast.expr, value: ast.expr) -> None:
        path = _path(target)
        if path is None:
            return
        if path[-1] in FORWARD:
            raise _too_much(statement)
        self.assigned.setdefault(".".join(path), []).append(value)

    def check_function(self, function: ast.FunctionDef, skip: int) -> None:
        """That a function returns the host function's answer to its parameters but the first `skip`."""
        for decorator in function.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if (_path(called) or [""])[0] not in DECORATORS:
                raise _too_much(decorator)
        if function in self.under_check:
            raise _too_much(function)
        self.under_check.append(function)
        names: dict[str, ast.expr] = {}  # what was assigned to them
        parameters = [argument.arg for argument in function.args.args[skip:]]
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
                    returned = names.get(value.id, value) if isinstance(value, ast.Name) else value
                    self._check_returned(returned, parameters, names)
                    break
                case _:
                    raise _too_much(statement)
        self.under_check.pop()

    def _check_returned(self, value: ast.expr, parameters: list[str], names: dict[str, ast.expr]) -> None:
        """That a value is a call of the extension with the parameters, in their order."""
        path = _path(value.func) if isinstance(value, ast.Call) else None
        if not isinstance(value, ast.Call) or path is None or path[0] in parameters or value.keywords:
            raise _too_much(value)
        if not self._is_host_function(path, names):
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
        if order != sorted(set(order)):
            raise _too_much(value)

    def _is_host_function(self, path: list[str], names: dict[str, ast.expr]) -> bool:
        """Whether a dotted name is the host function, or a function of the file that does no more than to call it."""
        for _ in range(MOST_STEPS):
            bound, rest = self._bound(path, names)
            if bound is None:
                break
            bound, rest = _without_attributes(bound, rest)
            if isinstance(bound, ast.Call):
                return self._loads(bound) and len(rest) == 1 and rest[0] in self.exposed
            longer = _path(bound)
            if longer is None or [*longer, *rest] == path:
                return False
            path = [*longer, *rest]
        if path[0] in self.libraries:
            return False
        called, skip = None, 0
        if len(path) == 1:
            called = self.functions.get(path[0])
        elif path[0] == "self" and len(path) == 2:
            called, skip = self.methods.get(path[1]), 1
        if called is not None:
            self.check_function(called, skip)
            return True
        if path[0] in self.classes:  # of an autograd function; every `forward` is looked at
            return path[1:] == ["apply"]
        return path[-1] in self.exposed

    def _loads(self, call: ast.Call) -> bool:
        """Whether a call gives the extension: of PyTorch's loader, or of a function of the file that calls it."""
        called = _path(call.func)
        if called is None or called[-1] in LOADERS:
            return called is not None
        function = self.functions.get(called[0]) if len(called) == 1 else None
        calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call)) if function else ()
        return any((path := _path(inner)) is not None and path[-1] in LOADERS for inner in calls)

    def _bound(self, path: list[str], names: dict[str, ast.expr]) -> tuple[ast.expr | None, list[str]]:
        """What the file assigned to the longest beginning of a dotted name, and the rest of the name."""
        for length in range(len(path), 0, -1):
            name = ".".join(path[:length])
            values = [names[name]] if name in names else self.assigned.get(name, [])
            if len({ast.dump(value) for value in values}) > 1:
                raise _too_much(values[-1])
            if values:
                return values[0], path[length:]
        return None, path


def _without_attributes(value: ast.expr, rest: list[str]) -> tuple[ast.expr, list[str]]:
    """A call and the attributes that are taken of it, in front of `rest`; anything else as it is."""
    inner, taken = value, list(rest)
    while isinstance(inner, ast.Attribute):
        taken.insert(0, inner.attr)
        inner = inner.value
    return (inner, taken) if isinstance(inner, ast.Call) else (value, rest)


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
