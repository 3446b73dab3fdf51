"""Functions of a package as programs that stand alone: the function, the helpers and constants it needs, pure imports.

    package, dropped = Package("toolz"), Counter()
    for candidate in candidates(package, package.modules["toolz.itertoolz"], dropped):
        candidate.source, candidate.entry

What can't be cut out is counted by reason: a decorator, a name that can't be followed, a module that is not pure.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.python.doctests import doctests
from semrep_jax.python.packages import Module, Package, imported_name, is_overload

_PURE = """
    __future__ abc array binascii base64 bisect calendar cmath codecs collections collections.abc colorsys copy
    dataclasses datetime decimal difflib enum fnmatch fractions functools graphlib hashlib heapq hmac html html.entities
    html.parser ipaddress itertools json keyword math numbers operator posixpath re reprlib sched statistics string
    stringprep struct textwrap types typing unicodedata urllib.parse warnings xml.sax.saxutils zlib
"""
PURE = frozenset(_PURE.split())  # modules that a program may import
_STATEFUL = "print input open exec eval compile __import__ globals locals vars id breakpoint exit"
STATEFUL = frozenset(_STATEFUL.split())  # builtins that a program may not use
# Methods that read the clock: what they answer is another thing tomorrow.
CLOCKS = frozenset({"now", "today", "utcnow"})
# Decorators that leave the function as it is; it is cut out without them.
NO_EFFECT = frozenset({"public", "doctest_depends_on", "export"})
KNOWN = frozenset({*dir(builtins), "__name__", "__doc__", "__file__"})
ACTIONS = (ast.BinOp, ast.Compare, ast.For, ast.While, ast.If, ast.Call)

MOST_LINES = 110  # of a program
MOST_CLASS_LINES = MOST_LINES // 2
MOST_PARTS = 16  # statements at the top of a program, imports aside
FEWEST_ACTIONS = 2
MOST_ITEMS = 200  # taken of a generator
LARGEST_FILE_OF_DOCTESTS = 60_000  # characters; of a larger one, the function's own docstring is read alone


class NotMinable(Exception):
    """Why a function is left where it is."""


@dataclass(frozen=True)
class Candidate:
    """A function as a program of its own.

    package, module: where it comes from. entry: the function to call. source: the program. sha256: of the file it came
    from. calls: the arguments of its doctests' calls.
    """

    package: str
    module: str
    entry: str
    source: str
    sha256: str
    calls: tuple[tuple[Any, ...], ...] = ()

    @property
    def id(self) -> str:
        """module:function."""
        return f"{self.module}:{self.entry}"


def candidates(package: Package, module: Module, dropped: Counter[str]) -> Iterator[Candidate]:
    """Every function at the top of a module that can be cut out.

    package: what `module` is of, and other modules are looked for in. dropped: counts the others by reason.
    """
    for node in module.tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not is_overload(node):
            try:
                yield _cut_out(package, module, node)
            except NotMinable as reason:
                dropped[str(reason)] += 1
    if module.trouble:
        dropped[f"file does not parse ({module.trouble})"] += 1


def _cut_out(package: Package, module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Candidate:
    """A function as a program. Raises NotMinable."""
    _require_callable(node)
    assert isinstance(node, ast.FunctionDef)
    excerpt = _Excerpt(package)
    excerpt.add(module, node.name, node)
    source, entry = excerpt.text(), node.name
    if _is_generator(node):
        entry = f"{node.name}_list"
        source += _listing(node, entry)
    if source.count("\n") > MOST_LINES:
        raise NotMinable("too long with what it needs")
    examples = module.text if len(module.text) < LARGEST_FILE_OF_DOCTESTS else ast.get_docstring(node) or ""
    return Candidate(package.name, module.name, entry, source, module.sha256, tuple(doctests(node.name, examples)))


def _listing(node: ast.FunctionDef, entry: str) -> str:
    """A function `entry` that lists the first items of what a generator function gives."""
    arguments = ", ".join(a.arg for a in (*node.args.posonlyargs, *node.args.args))
    items = f"[item for _, item in zip(range({MOST_ITEMS}), {node.name}({arguments}))]"
    return f"\n\ndef {entry}({arguments}):\n    return {items}\n"


class _Excerpt:
    """A program to be: imports, then constants, helpers and the function, each once, in the order of need.

    parts: a name with the text of what binds it. origins: a name with where that stands. following: the names of other
    modules that are being followed now, so that a circle is found.
    """

    def __init__(self, package: Package):
        self.package = package
        self.imports: set[str] = set()
        self.parts: dict[str, str] = {}
        self.origins: dict[str, str] = {}
        self.following: set[tuple[str, str]] = set()

    def text(self) -> str:
        """The program."""
        imports = "".join(f"{line}\n" for line in sorted(self.imports))
        return imports + ("\n\n" if imports else "") + "\n\n".join(self.parts.values()) + "\n"

    def add(self, module: Module, name: str, node: ast.stmt) -> None:
        """Add what binds `name` in `module`, and before it everything that it needs. Raises NotMinable."""
        origin = f"{module.name}:{name}"
        if name in self.origins:
            if self.origins[name] != origin:
                raise NotMinable("two different things of one name are needed")
            return
        if len(self.origins) >= MOST_PARTS:
            raise NotMinable("needs too much")
        self.origins[name] = origin
        if isinstance(node, ast.FunctionDef) and not _hints_resolve(module, node):
            node = _without_hints(node)
            self._add_needs(module, name, node)
            self.parts[name] = ast.unparse(_with_short_docstring(node))
        else:
            self._add_needs(module, name, node)
            self.parts[name] = _own_text(module, node)

    def _add_needs(self, module: Module, name: str, node: ast.stmt) -> None:
        if any(isinstance(part, ast.Attribute) and part.attr in CLOCKS for part in ast.walk(node)):
            raise NotMinable("reads the clock")
        for needed in sorted(free_names(node) - {name}):
            self._need(module, needed)

    def _need(self, module: Module, name: str) -> None:
        """Add what a name stands for in a module. Raises NotMinable."""
        if name in STATEFUL:
            raise NotMinable(f"uses {name}")
        node = module.only(name)
        match node:
            case None:
                self._need_unbound(module, name)
            case ast.Import():
                self._import(node, name)
            case ast.ImportFrom():
                self._import_from(module, node, name)
            case ast.FunctionDef() if _is_decorated(node):
                raise NotMinable("needs a decorated function")
            case ast.ClassDef() if not _is_plain_class(node):
                raise NotMinable("needs a large or decorated class")
            case ast.FunctionDef() | ast.ClassDef() | ast.Assign():
                self.add(module, name, node)
            case ast.AnnAssign() if node.value is not None:
                self.add(module, name, node)
            case _:
                raise NotMinable("needs a name bound under a condition")

    def _need_unbound(self, module: Module, name: str) -> None:
        """Add a name that no one statement of the module binds: a builtin, or what is imported with a star."""
        if name in module.names:
            raise NotMinable("needs a name that is bound more than once")
        if name in KNOWN:
            return
        starred = self._starred(module, name)
        if starred is None:
            raise NotMinable("needs a name that is not at the top")
        self._follow(starred, name)

    def _import(self, node: ast.Import, name: str) -> None:
        alias = next(a for a in node.names if imported_name(a) == name)
        if alias.name not in PURE:
            raise NotMinable(f"needs module {alias.name.split('.')[0]}")
        self.imports.add(f"import {ast.unparse(alias)}")

    def _import_from(self, module: Module, node: ast.ImportFrom, name: str) -> None:
        alias = next(a for a in node.names if (a.asname or a.name) == name)
        if _is_pure_import(node):
            self.imports.add(f"from {node.module} import {ast.unparse(alias)}")
            return
        other = self.package.resolve(module, node)
        if other is None:
            raise NotMinable(f"needs module {(node.module or '.').split('.')[0]}")
        self._follow(other, alias.name)
        if alias.asname and alias.asname != alias.name and alias.asname not in self.origins:
            self.origins[alias.asname] = f"{module.name}:{alias.asname}"
            self.parts[alias.asname] = f"{alias.asname} = {alias.name}"

    def _follow(self, module: Module, name: str) -> None:
        """Add a name of another module of the package."""
        step = module.name, name
        if step in self.following or (module.only(name) is None and self._starred(module, name) is None):
            raise NotMinable("needs a name that can't be followed")
        self.following.add(step)
        self._need(module, name)
        self.following.discard(step)

    def _starred(self, module: Module, name: str) -> Module | None:
        """The module of the package that gives a name through `from m import *`."""
        for node in module.names.get("*", []):
            other = self.package.resolve(module, node) if isinstance(node, ast.ImportFrom) else None
            if other is not None and other is not module and other.only(name) is not None:
                return other
        return None


def _require_callable(node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    """Raises NotMinable for a function that can't be called alone with plain values, or has nothing to be changed."""
    inner = [n for n in ast.walk(node) if n is not node]
    required = [a for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d is None]
    imports = [n for n in inner if isinstance(n, (ast.Import, ast.ImportFrom))]
    reasons = {
        "is a coroutine": isinstance(node, ast.AsyncFunctionDef) or any(isinstance(n, ast.Await) for n in inner),
        "is decorated": _is_decorated(node),
        "takes no positional argument": not node.args.args and not node.args.posonlyargs,
        "needs keyword arguments": bool(required),
        "binds names outside itself": any(isinstance(n, (ast.Global, ast.Nonlocal)) for n in inner),
        "imports inside what is not pure": not all(map(_is_pure_import, imports)),
        "is a test": node.name.startswith("test"),
        "has nothing in it": sum(isinstance(n, ACTIONS) for n in inner) < FEWEST_ACTIONS,
    }
    for reason, holds in reasons.items():
        if holds:
            raise NotMinable(reason)


def _is_generator(node: ast.FunctionDef) -> bool:
    """Whether a call gives an iterator: a yield of its own."""
    return any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in ast.walk(node))


def _is_decorated(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a decorator may make another function of it."""
    names = {ast.unparse(d).split("(")[0].split(".")[-1] for d in node.decorator_list}
    return bool(names - NO_EFFECT)


def _is_plain_class(node: ast.ClassDef) -> bool:
    """Whether it is a small class without decorators: an exception, a record."""
    small = (node.end_lineno or 0) - node.lineno < MOST_CLASS_LINES
    return small and not node.decorator_list and not node.keywords


def _is_pure_import(node: ast.stmt | None) -> bool:
    """Whether it imports from pure modules alone."""
    if isinstance(node, ast.Import):
        return all(a.name in PURE for a in node.names)
    return isinstance(node, ast.ImportFrom) and not node.level and node.module in PURE


def free_names(node: ast.stmt) -> set[str]:
    """Names that a statement reads and does not bind itself."""
    read, bound = set[str](), set(NO_EFFECT)
    for n in ast.walk(node):
        match n:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                bound.add(name)
            case ast.Name(id=name) if isinstance(node, ast.FunctionDef):  # `del`
                bound.add(name)
            case ast.arg(arg=name):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) if n is not node:
                bound.add(name)
            case ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                bound.update(map(imported_name, aliases))
    return read - bound


def _hints_resolve(module: Module, node: ast.FunctionDef) -> bool:
    """Whether every name of its type hints is a builtin or of a pure module."""
    hints = [a.annotation for a in ast.walk(node) if isinstance(a, ast.arg) and a.annotation is not None]
    hints += [node.returns] if node.returns is not None else []
    names = {n.id for hint in hints for n in ast.walk(hint) if isinstance(n, ast.Name)}
    return all(name in KNOWN or _is_pure_import(module.only(name)) for name in names)


def _without_hints(node: ast.FunctionDef) -> ast.FunctionDef:
    """The function without type hints."""
    copied = syntax.module(ast.unparse(node)).body[0]
    assert isinstance(copied, ast.FunctionDef)
    copied.returns = None
    for n in ast.walk(copied):
        if isinstance(n, ast.arg):
            n.annotation = None
    return copied


def _docstring(node: ast.stmt) -> ast.Expr | None:
    """The statement that is a function's docstring."""
    first = node.body[0] if isinstance(node, ast.FunctionDef) else None
    value = first.value if isinstance(first, ast.Expr) else None
    is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return first if isinstance(first, ast.Expr) and is_text else None


def _first_line(docstring: ast.Expr) -> str:
    """The first line of a docstring that is not empty."""
    assert isinstance(docstring.value, ast.Constant)
    return next((line.strip() for line in str(docstring.value.value).splitlines() if line.strip()), "")


def _with_short_docstring(node: ast.FunctionDef) -> ast.FunctionDef:
    """The function, changed in place, with the first line of its docstring alone."""
    docstring = _docstring(node)
    if docstring is not None:
        docstring.value = ast.Constant(_first_line(docstring))
    return node


def _own_text(module: Module, node: ast.stmt) -> str:
    """The statement's own text, comments and all, with the first line of its docstring alone."""
    lines = module.text.splitlines()
    start, end = node.lineno - 1, node.end_lineno or node.lineno
    docstring = _docstring(node)
    if docstring is None:
        return "\n".join(lines[start:end])
    assert isinstance(node, ast.FunctionDef)
    last = docstring.end_lineno or docstring.lineno
    if len(node.body) == 1 or docstring.lineno == node.lineno or node.body[1].lineno == last:
        return "\n".join(lines[start:end])  # it shares a line with code
    summary = _first_line(docstring).replace("\\", "").replace('"', "'")
    shortened = " " * docstring.col_offset + f'"""{summary}"""'
    return "\n".join([*lines[start : docstring.lineno - 1], shortened, *lines[last:end]])
