"""Functions of an installed package as programs that stand alone: the function, the helpers and constants it needs, pure imports.

    package = Package("toolz")                       # found, never imported
    for candidate in package.candidates(dropped): ...

What can't be cut out is counted by reason: a decorator, a generator, a name that can't be followed, a module that is not pure.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib.metadata
import importlib.util
import platform
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.core.errors import SemRepError
from semrep_jax.python.inputs import doctests

_PURE = """
    __future__ abc array binascii base64 bisect calendar cmath codecs collections collections.abc colorsys copy dataclasses datetime
    decimal difflib enum fnmatch fractions functools graphlib hashlib heapq hmac html html.entities html.parser ipaddress itertools json
    keyword math numbers operator posixpath re reprlib sched statistics string stringprep struct textwrap types typing unicodedata
    urllib.parse warnings xml.sax.saxutils zlib
"""
PURE = frozenset(_PURE.split())
STANDARD = "stdlib"
LONGEST, SHORTEST, MOST_PARTS, MOST_ITEMS, FILE_OF_DOCTESTS = 110, 2, 16, 200, 60_000
# Decorators that leave the function as it is; it is cut out without them.
NO_EFFECT = frozenset({"public", "doctest_depends_on", "export"})
_SKIPPED = {"test", "tests", "testing", "idlelib", "lib2to3", "ensurepip", "turtledemo", "site-packages", "dist-packages", "pydoc_data",
            "__pycache__", "_vendor", "vendor", "examples", "benchmarks", "conftest.py"}  # fmt: skip
_DOES = (ast.BinOp, ast.Compare, ast.For, ast.While, ast.If, ast.Call)
_KNOWN = set(dir(builtins)) | {"__name__", "__doc__", "__file__"}
_STATEFUL = {
    "print",
    "input",
    "open",
    "exec",
    "eval",
    "compile",
    "__import__",
    "globals",
    "locals",
    "vars",
    "id",
    "breakpoint",
    "exit",
}


class PackageError(SemRepError):
    """A package that was named can't be read."""


class NotMinable(Exception):
    """Why a function is left where it is."""


@dataclass(frozen=True)
class Candidate:
    """A function as a program of its own. `calls` are the arguments of its doctests' calls; `sha256` is of the file it came from."""

    package: str
    module: str
    entry: str
    source: str
    sha256: str
    calls: tuple[tuple[Any, ...], ...] = ()

    @property
    def id(self) -> str:
        """package/module:function."""
        return f"{self.module}:{self.entry}"


@dataclass
class Module:
    """A file of Python: its text, tree and the names bound at its top."""

    name: str
    path: Path
    is_package: bool
    names: dict[str, list[ast.stmt]] = field(default_factory=dict)
    trouble: str = ""

    @cached_property
    def text(self) -> str:
        """The file's text; empty where it is no UTF-8."""
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    @cached_property
    def tree(self) -> ast.Module:
        """Its tree; an empty one where it does not parse, and `trouble` says why."""
        try:
            tree = syntax.module(self.text)
        except (SyntaxError, ValueError, RecursionError) as error:
            self.trouble = f"{type(error).__name__} at line {getattr(error, 'lineno', '?')}"
            return ast.Module([], [])
        for node in tree.body:
            for name in () if _overload(node) else _bound(node):
                self.names.setdefault(name, []).append(node)
        return tree

    @property
    def sha256(self) -> str:
        """Hex digest of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def only(self, name: str) -> ast.stmt | None:
        """The one statement that binds a name at the top, or None."""
        _ = self.tree
        found = self.names.get(name, [])
        return found[0] if len(found) == 1 else None


class Package:
    """A package by its import name, or the standard library by `stdlib`. Raises PackageError where it is not installed."""

    def __init__(self, name: str):
        self.name = name
        self.roots = self._standard() if name == STANDARD else self._installed()
        self.modules = {m.name: m for root, prefix in self.roots for m in _modules(root, prefix)}

    def _standard(self) -> list[tuple[Path, str]]:
        base = Path(sysconfig.get_path("stdlib"))
        entries = sorted(p for p in base.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists())
        return [(p, p.stem) for p in entries if p.name not in _SKIPPED and not p.name.startswith("_")]

    def _installed(self) -> list[tuple[Path, str]]:
        try:
            spec = importlib.util.find_spec(self.name)
        except (ImportError, ValueError, AttributeError):
            spec = None
        if spec is None or spec.origin in (None, "built-in", "frozen"):
            raise PackageError(
                f"mine.packages: {self.name!r} is not installed here (pip install it, or take it off the list)"
            )
        origin = Path(str(spec.origin))
        return [(origin.parent if origin.name == "__init__.py" else origin, self.name)]

    @property
    def licence(self) -> str:
        """Its distribution's licence, as its metadata has it."""
        if self.name == STANDARD:
            return "PSF-2.0"
        try:
            metadata: Any = importlib.metadata.metadata(
                (importlib.metadata.packages_distributions().get(self.name) or [self.name])[0]
            )
        except importlib.metadata.PackageNotFoundError:
            return "unknown"
        named = metadata.get("License-Expression") or (metadata.get("License") or "").strip().splitlines()[:1]
        classified = [
            c.split("::")[-1].strip() for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")
        ]
        return (
            str(named if isinstance(named, str) else "")
            or ", ".join(classified)
            or (named[0][:80] if named else "unknown")
        )

    @property
    def version(self) -> str:
        """Its distribution's version; Python's own for the standard library."""
        try:
            if self.name == STANDARD:
                return platform.python_version()
            return importlib.metadata.version(
                (importlib.metadata.packages_distributions().get(self.name) or [self.name])[0]
            )
        except importlib.metadata.PackageNotFoundError:
            return "unknown"

    def candidates(self, module: Module, dropped: Counter[str]) -> Iterator[Candidate]:
        """Every function at the top of a module that can be cut out; the others are counted."""
        for node in module.tree.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not _overload(node):
                try:
                    yield self._cut(module, node)
                except NotMinable as left:
                    dropped[str(left)] += 1
        if module.trouble:
            dropped[f"file does not parse ({module.trouble})"] += 1

    def _cut(self, module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Candidate:
        _callable(node)
        assert isinstance(node, ast.FunctionDef)
        parts = _Parts(self)
        parts.add(module, node.name, node)
        source, entry = parts.text(), node.name
        if _generates(node):
            entry = f"{node.name}_list"
            arguments = ", ".join(a.arg for a in (*node.args.posonlyargs, *node.args.args))
            source += f"\n\ndef {entry}({arguments}):\n    return [item for _, item in zip(range({MOST_ITEMS}), {node.name}({arguments}))]\n"
        if source.count("\n") > LONGEST:
            raise NotMinable("too long with what it needs")
        calls = doctests(
            node.name, module.text if len(module.text) < FILE_OF_DOCTESTS else ast.get_docstring(node) or ""
        )
        return Candidate(self.name, module.name, entry, source, module.sha256, tuple(calls))

    def resolve(self, module: Module, node: ast.ImportFrom) -> Module | None:
        """The module of this package that a `from ... import` reads."""
        if node.level:
            base = module.name.split(".")
            base = base[: len(base) - node.level + (1 if module.is_package else 0)]
            wanted = ".".join([*base, *([node.module] if node.module else [])])
        else:
            wanted = node.module or ""
        return self.modules.get(wanted)


class _Parts:
    """The statements of a program to be: imports, constants, helpers, the function; each once, in the order of need."""

    def __init__(self, package: Package):
        self.package = package
        self.imports: dict[str, None] = {}
        self.bodies: dict[str, str] = {}
        self.order: list[str] = []
        self.owner: dict[str, str] = {}
        self.followed: set[tuple[str, str]] = set()

    def text(self) -> str:
        """The program."""
        head = "".join(f"{line}\n" for line in sorted(self.imports))
        functions = [self.bodies[name] for name in self.order]
        gap = "\n\n" if head else ""
        return head + gap + "\n\n".join(functions) + "\n"

    def add(self, module: Module, name: str, node: ast.stmt) -> None:
        """Add what binds `name` in `module`, and before it everything that it needs. Raises NotMinable."""
        where = f"{module.name}:{name}"
        if name in self.owner:
            if self.owner[name] != where:
                raise NotMinable("two different things of one name are needed")
            return
        if len(self.owner) >= MOST_PARTS:
            raise NotMinable("needs too much")
        self.owner[name] = where
        plain = isinstance(node, ast.FunctionDef) and not self._hints_resolve(module, node)
        if plain:
            assert isinstance(node, ast.FunctionDef)
            node = _without_hints(node)
        for needed in sorted(_free(node) - {name}):
            self._need(module, needed)
        self.bodies[name] = ast.unparse(_short(node)) if plain else _segment(module, node)
        self.order.append(name)

    def _need(self, module: Module, name: str) -> None:
        if name in _STATEFUL:
            raise NotMinable(f"uses {name}")
        node = module.only(name)
        if node is None:
            if name in _KNOWN and name not in module.names:
                return
            other = None if name in module.names else self._starred(module, name)
            if other is not None:
                self._follow(other, name)
                return
            raise NotMinable(
                "needs a name that is bound more than once"
                if name in module.names
                else "needs a name that is not at the top"
            )
        if isinstance(node, ast.Import):
            alias = next(a for a in node.names if (a.asname or a.name.split(".")[0]) == name)
            if alias.name not in PURE:
                raise NotMinable(f"needs module {alias.name.split('.')[0]}")
            self.imports[f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")] = None
        elif isinstance(node, ast.ImportFrom):
            self._imported(module, node, name)
        elif isinstance(node, ast.FunctionDef):
            if _changed(node):
                raise NotMinable("needs a decorated function")
            self.add(module, name, node)
        elif (isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None) or _plain_class(node):
            self.add(module, name, node)
        else:
            raise NotMinable(
                f"needs a {'large or decorated class' if isinstance(node, ast.ClassDef) else 'name bound under a condition'}"
            )

    def _imported(self, module: Module, node: ast.ImportFrom, name: str) -> None:
        alias = next(a for a in node.names if (a.asname or a.name) == name)
        if not node.level and node.module in PURE:
            self.imports[
                f"from {node.module} import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
            ] = None
            return
        other = self.package.resolve(module, node)
        if other is None:
            raise NotMinable(f"needs module {(node.module or '.').split('.')[0]}")
        self._follow(other, alias.name)
        if alias.asname and alias.asname != alias.name and alias.asname not in self.owner:
            self.owner[alias.asname] = f"{module.name}:{alias.asname}"
            self.bodies[alias.asname] = f"{alias.asname} = {alias.name}"
            self.order.append(alias.asname)

    def _follow(self, module: Module, name: str) -> None:
        """Add a name of another module of the package."""
        step = module.name, name
        if step in self.followed or (module.only(name) is None and self._starred(module, name) is None):
            raise NotMinable("needs a name that can't be followed")
        self.followed.add(step)
        self._need(module, name)
        self.followed.discard(step)

    def _starred(self, module: Module, name: str) -> Module | None:
        """The module of the package that gives a name through `from m import *`."""
        for node in module.names.get("*", []):
            other = self.package.resolve(module, node) if isinstance(node, ast.ImportFrom) else None
            if other is not None and other is not module and other.only(name) is not None:
                return other
        return None

    def _hints_resolve(self, module: Module, node: ast.FunctionDef) -> bool:
        """Whether every name of its type hints is a builtin or of a pure module."""
        hints = [a.annotation for a in ast.walk(node) if isinstance(a, ast.arg) and a.annotation is not None]
        hints += [node.returns] if node.returns is not None else []
        for hint in hints:
            for one in ast.walk(hint):
                if isinstance(one, ast.Name):
                    bound = module.only(one.id)
                    pure = isinstance(bound, ast.ImportFrom) and not bound.level and bound.module in PURE
                    pure = pure or (isinstance(bound, ast.Import) and all(a.name in PURE for a in bound.names))
                    if not pure and one.id not in _KNOWN:
                        return False
        return True


def _callable(node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    """Raises NotMinable for a function that can't be called alone with plain values, or has nothing to be changed."""
    inner = [n for n in ast.walk(node) if n is not node]
    required = [a for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d is None]
    reasons = {
        "is a coroutine": isinstance(node, ast.AsyncFunctionDef) or any(isinstance(n, ast.Await) for n in inner),
        "is decorated": _changed(node),
        "takes no positional argument": not node.args.args and not node.args.posonlyargs,
        "needs keyword arguments": bool(required),
        "binds names outside itself": any(isinstance(n, (ast.Global, ast.Nonlocal)) for n in inner),
        "imports inside what is not pure": any(
            (isinstance(n, ast.Import) and any(a.name not in PURE for a in n.names))
            or (isinstance(n, ast.ImportFrom) and (n.level or n.module not in PURE))
            for n in inner
        ),
        "is a test": node.name.startswith("test"),
        "has nothing in it": sum(isinstance(n, _DOES) for n in inner) < SHORTEST,
    }  # fmt: skip
    for reason, holds in reasons.items():
        if holds:
            raise NotMinable(reason)


def _overload(node: ast.stmt) -> bool:
    """Whether it is a signature for type checkers alone."""
    return isinstance(node, ast.FunctionDef) and any(
        ast.unparse(d).split(".")[-1] == "overload" for d in node.decorator_list
    )


def _generates(node: ast.FunctionDef) -> bool:
    """Whether a call gives an iterator: a yield of its own."""
    return any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in ast.walk(node))


def _changed(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a decorator may make another function of it."""
    names = {ast.unparse(d).split("(")[0].split(".")[-1] for d in node.decorator_list}
    return bool(names - NO_EFFECT)


def _plain_class(node: ast.stmt) -> bool:
    """Whether it is a small class without decorators: an exception, a record."""
    small = isinstance(node, ast.ClassDef) and (node.end_lineno or 0) - node.lineno < LONGEST // 2
    return small and isinstance(node, ast.ClassDef) and not node.decorator_list and not node.keywords


def _bound(node: ast.stmt) -> Iterator[str]:
    """Names that a statement at the top of a module binds."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from ((a.asname or a.name.split(".")[0]) for a in node.names)
    else:
        inner = list(ast.walk(node))
        yield from (n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        yield from (n.name for n in inner if isinstance(n, (ast.FunctionDef, ast.ClassDef)))
        yield from (
            (a.asname or a.name.split(".")[0])
            for n in inner
            if isinstance(n, (ast.Import, ast.ImportFrom))
            for a in n.names
        )


def _free(node: ast.stmt) -> set[str]:
    """Names that a statement reads and does not bind itself."""
    inner = list(ast.walk(node))
    mine = (
        {n.id for n in inner if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
        if isinstance(node, ast.FunctionDef)
        else set()
    )
    mine |= {n.arg for n in inner if isinstance(n, ast.arg)} | NO_EFFECT
    mine |= {n.name for n in inner if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n is not node}
    mine |= {n.name for n in inner if isinstance(n, ast.ExceptHandler) and n.name}
    mine |= {
        a.asname or a.name.split(".")[0] for n in inner if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names
    }
    targets = {n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return {n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)} - mine - targets


def _without_hints(node: ast.FunctionDef) -> ast.FunctionDef:
    """The function without type hints."""
    copied = syntax.module(ast.unparse(node)).body[0]
    assert isinstance(copied, ast.FunctionDef)
    copied.returns = None
    for n in ast.walk(copied):
        if isinstance(n, ast.arg):
            n.annotation = None
    return copied


def _short(node: ast.stmt) -> ast.stmt:
    """The function with the first line of its docstring alone."""
    first = getattr(node, "body", [None])[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        line = next((x.strip() for x in first.value.value.splitlines() if x.strip()), "")
        first.value = ast.Constant(line)
    return node


def _segment(module: Module, node: ast.stmt) -> str:
    """The statement's own text, comments and all, with the first line of its docstring alone."""
    lines = module.text.splitlines()
    start, end = node.lineno - 1, node.end_lineno or node.lineno
    first = node.body[0] if isinstance(node, ast.FunctionDef) else None
    if not (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    ):
        return "\n".join(lines[start:end])
    assert isinstance(node, ast.FunctionDef)
    line = (
        next((x.strip() for x in first.value.value.splitlines() if x.strip()), "").replace("\\", "").replace('"', "'")
    )
    alone = len(node.body) == 1 or first.lineno == node.lineno or node.body[1].lineno == first.end_lineno
    if alone:
        return "\n".join(lines[start:end])
    margin = " " * first.col_offset
    return "\n".join(
        [*lines[start : first.lineno - 1], f'{margin}"""{line}"""', *lines[first.end_lineno or first.lineno : end]]
    )


def _modules(root: Path, prefix: str) -> Iterator[Module]:
    """Every module under a file or folder, in order."""
    if root.is_file():
        yield Module(prefix, root, False)
        return
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if not set(inside.parts) & _SKIPPED and not inside.name.startswith("test_"):
            parts = [*inside.parts[:-1], *([] if inside.name == "__init__.py" else [inside.stem])]
            yield Module(".".join([prefix, *parts]), path, inside.name == "__init__.py")
