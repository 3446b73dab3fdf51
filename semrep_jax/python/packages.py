"""An installed package as files of Python: found and parsed, never imported.

    package = Package("toolz")
    package.modules["toolz.itertoolz"].only("groupby")      # the one statement that binds a name at the top
    package.version, package.licence

The standard library is the package `stdlib`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import platform
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from semrep_jax.core import sources, syntax
from semrep_jax.core.errors import SemRepError

STANDARD = "stdlib"
_SKIPPED = """
    test tests testing idlelib lib2to3 ensurepip turtledemo site-packages dist-packages pydoc_data __pycache__ _vendor
    vendor examples benchmarks conftest.py
"""
SKIPPED = frozenset(_SKIPPED.split())  # files and folders
MOST_OF_LICENCE = 80  # characters


class PackageError(SemRepError):
    """A package that was named can't be read."""


@dataclass
class Module:
    """A file of Python: its text, its tree and the names bound at its top.

    name: as it is imported. path: the file. is_package: whether it is an `__init__.py`. names: each name with the
    statements that bind it; filled, as is `trouble`, when `tree` is first read. trouble: why the file does not parse.
    """

    name: str
    path: Path
    is_package: bool
    names: dict[str, list[ast.stmt]] = field(default_factory=dict)
    trouble: str = ""

    @cached_property
    def text(self) -> str:
        """The file's text; empty where it is not in the encoding that it states."""
        try:
            return sources.read(self.path)
        except (OSError, ValueError):
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
            for name in () if is_overload(node) else bound_names(node):
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
    """A package by its import name, or the standard library by STANDARD. Raises PackageError if it is not installed."""

    def __init__(self, name: str):
        self.name = name
        roots = _standard_library() if name == STANDARD else _installed(name)
        self.modules = {m.name: m for root, prefix in roots for m in _modules(root, prefix)}

    def resolve(self, module: Module, node: ast.ImportFrom) -> Module | None:
        """The module of this package that a `from ... import` in `module` reads."""
        if not node.level:
            return self.modules.get(node.module or "")
        parents = module.name.split(".")
        parents = parents[: len(parents) - node.level + (1 if module.is_package else 0)]
        return self.modules.get(".".join([*parents, *([node.module] if node.module else [])]))

    @property
    def licence(self) -> str:
        """Its distribution's licence, as its metadata has it."""
        if self.name == STANDARD:
            return "PSF-2.0"
        try:
            metadata: Any = importlib.metadata.metadata(self._distribution)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"
        if expression := metadata.get("License-Expression"):
            return str(expression)
        classifiers = [c for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
        if classifiers:
            return ", ".join(c.split("::")[-1].strip() for c in classifiers)
        first_line = (metadata.get("License") or "").strip().splitlines()[:1]
        return first_line[0][:MOST_OF_LICENCE] if first_line else "unknown"

    @property
    def version(self) -> str:
        """Its distribution's version; Python's own for the standard library."""
        if self.name == STANDARD:
            return platform.python_version()
        try:
            return importlib.metadata.version(self._distribution)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"

    @property
    def _distribution(self) -> str:
        return (_distributions(tuple(sys.path)).get(self.name) or [self.name])[0]


@cache
def _distributions(path: tuple[str, ...]) -> Mapping[str, list[str]]:
    """The distributions of each import name, where `sys.path` is `path`; all their lists of files are read for it."""
    return importlib.metadata.packages_distributions()


def _standard_library() -> list[tuple[Path, str]]:
    """Its files and folders, with the name that each is imported by."""
    base = Path(sysconfig.get_path("stdlib"))
    entries = sorted(p for p in base.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists())
    return [(p, p.stem) for p in entries if p.name not in SKIPPED and not p.name.startswith("_")]


def _installed(name: str) -> list[tuple[Path, str]]:
    """The file or folder of a package, with its name. Raises PackageError."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None or spec.origin in (None, "built-in", "frozen"):
        raise PackageError(f"mine.packages: {name!r} is not installed here (pip install it, or take it off the list)")
    origin = Path(str(spec.origin))
    return [(origin.parent if origin.name == "__init__.py" else origin, name)]


def _modules(root: Path, prefix: str) -> Iterator[Module]:
    """Every module under a file or folder, in order."""
    if root.is_file():
        yield Module(prefix, root, False)
        return
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if not set(inside.parts) & SKIPPED and not inside.name.startswith("test_"):
            is_package = inside.name == "__init__.py"
            parts = [*inside.parts[:-1], *([] if is_package else [inside.stem])]
            yield Module(".".join([prefix, *parts]), path, is_package)


def is_overload(node: ast.stmt) -> bool:
    """Whether it is a signature for type checkers alone."""
    return isinstance(node, ast.FunctionDef) and any(
        ast.unparse(d).split(".")[-1] == "overload" for d in node.decorator_list
    )


def imported_name(alias: ast.alias) -> str:
    """The name that one part of an import statement binds."""
    return alias.asname or alias.name.split(".")[0]


def bound_names(node: ast.stmt) -> Iterator[str]:
    """Names that a statement at the top of a module binds."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from map(imported_name, node.names)
    else:
        inner = list(ast.walk(node))
        yield from (n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        yield from (n.name for n in inner if isinstance(n, (ast.FunctionDef, ast.ClassDef)))
        for imported in inner:
            if isinstance(imported, (ast.Import, ast.ImportFrom)):
                yield from map(imported_name, imported.names)
