"""What reads, through assignments, private functions and variables, something that a statement has bound.

    readings("def f(n):\\n    limit = 7\\n    if n > limit:\\n        return 1", {2})      # {(3, 11)}

Two programs may share `if n > limit` and differ in what the limit is. Followed are names as Python's scopes give them,
private attributes and those of classes, arguments of private functions and what these give; not which condition a
statement stands under. What else is public is asked for itself.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from semrep_jax.core import syntax
from semrep_jax.python import scopes

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_PLAIN = (ast.Constant, ast.UnaryOp, ast.Tuple, ast.List, ast.Dict)  # defaults that anybody can read
Key = int | str  # what a name means, or an attribute
Place = tuple[int, int]  # line and column


@dataclass
class _Held:
    """A statement without those in it: what it binds and reads, its calls, the functions that it is in."""

    line: int
    outside: bool
    within: tuple[ast.AST, ...]
    binds: set[Key] = field(default_factory=set)
    reads: list[tuple[Key, Place]] = field(default_factory=list)
    calls: list[tuple[Key, ast.Call]] = field(default_factory=list)


def readings(source: str, lines: Collection[int], same: Collection[str] = ()) -> frozenset[Place]:
    """Where names and attributes are read that hang on what the statements on these lines bind.

    source: a program with each statement on a line of its own. lines: of those statements. same: variables of the
    module whose value is known to be as it should, whatever gives it. Raises what `syntax.module` does.
    """
    return frozenset(_Followed(syntax.module(source), lines, same).places())


class _Followed:
    def __init__(self, tree: ast.Module, lines: Collection[int], same: Collection[str]):
        reader = scopes.Reader(tree)
        self.lines = lines
        self.meant = {id(o.node): v for o in reader.occurrences if o.field == "id" and (v := o.scope.find(o.name))}
        every = [v for scope in reader.scopes.values() for v in scope.variables.values()]
        self.bound = {id(node): v for v in every for node in v.binders}
        self.local = {id(v): v.scope.node for v in every}  # where each variable lives
        self.of_classes = {
            n for s in reader.scopes.values() if isinstance(s.node, ast.ClassDef) for n in _shared(s.node)
        }
        self.same = {id(reader.module.variables[name]) for name in same if name in reader.module.variables}
        self.keys: dict[int, Key] = {}  # of the functions and classes that nobody outside can use
        self.functions: dict[Key, list[ast.FunctionDef | ast.AsyncFunctionDef]] = {}  # those functions
        self.statements: list[_Held] = []
        self._block(tree, ())
        self.found = set[Key]()

    def places(self) -> set[Place]:
        """All of them: again and again, until nothing comes to them."""
        before = -1
        while before != len(self.found):
            before = len(self.found)
            for statement in self.statements:
                self._spread(statement)
        return {place for s in self.statements for key, place in s.reads if key in self.found}

    def _spread(self, held: _Held) -> None:
        """Add what a statement hands on."""
        differs = held.line in self.lines
        read = {key for key, _ in held.reads if key in self.found}
        if not differs and not read:
            return
        self.found |= held.binds - self.same if held.outside else held.binds
        for one in held.within:
            own = {key for key in read if isinstance(key, int) and self.local.get(key) is one}
            if id(one) in self.keys and (differs or read - own):
                self.found.add(self.keys[id(one)])
        for key, call in held.calls:
            for function in self.functions.get(key, ()):
                self.found |= {id(self.bound[id(a)]) for a, x in _given(function, call) if self._hangs(x, differs)}

    def _hangs(self, given: ast.expr, differs: bool) -> bool:
        """Whether an argument may be another one: what a differing statement gives is, unless it is a mere name."""
        names = [self._key(node) for node in ast.walk(given)]
        return any(key in self.found for key in names) or (differs and not isinstance(given, ast.Name))

    def _key(self, node: ast.AST) -> Key | None:
        """What a name or attribute stands for, where that is followed."""
        if isinstance(node, ast.Name) and id(node) in self.meant:
            return id(self.meant[id(node)])
        if isinstance(node, ast.Attribute) and (_is_hidden(node.attr) or node.attr in self.of_classes):
            return node.attr
        return None

    def _block(self, parent: ast.AST, within: tuple[ast.AST, ...]) -> None:
        """Take up the statements of a module, function or class."""
        for node in _statements(parent):
            outside = not any(isinstance(one, _FUNCTIONS) for one in within)
            held = _Held(node.lineno, outside, within)
            self.statements.append(held)
            if isinstance(node, _FUNCTIONS):
                self._function(node, held, parent)
            elif not isinstance(node, ast.ClassDef):
                self._own(node, held)
            elif _is_hidden(node.name):
                self.keys[id(node)] = id(self.bound[id(node)])
            if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                self._block(node, (*within, node))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, held: _Held, parent: ast.AST) -> None:
        """Its defaults are what its parameters are bound to; it is a helper where nobody outside can call it."""
        arguments = [*node.args.posonlyargs, *node.args.args]
        defaults = [*zip(arguments[::-1], node.args.defaults[::-1], strict=False)]
        defaults += [(a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d]
        held.binds = {id(self.bound[id(a)]) for a, d in defaults if not isinstance(d, _PLAIN)}
        for _, default in defaults:
            self._read(default, held)
        if _is_hidden(node.name) or isinstance(parent, _FUNCTIONS):
            key = self.keys[id(node)] = node.name if isinstance(parent, ast.ClassDef) else id(self.bound[id(node)])
            self.functions.setdefault(key, []).append(node)

    def _own(self, node: ast.stmt, held: _Held) -> None:
        """What a statement binds and reads itself."""
        for part in header(node):
            self._read(part, held, walk=False)
            match part:
                case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
                    root = _root(part)
                    held.binds |= {key for one in (part, root) if (key := self._key(one)) is not None}
                case _ if id(part) in self.bound:
                    variable = self.bound[id(part)]
                    of_class = isinstance(variable.scope.node, ast.ClassDef)
                    held.binds.add(variable.name if of_class else id(variable))
        match node:
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=value))) if key := self._key(_root(value)):
                held.binds.add(key)  # `xs.append(x)`

    def _read(self, node: ast.AST, held: _Held, walk: bool = True) -> None:
        for part in ast.walk(node) if walk else [node]:
            key = self._key(part)
            if isinstance(part, ast.Name | ast.Attribute) and key is not None and isinstance(part.ctx, ast.Load):
                held.reads.append((key, (part.lineno, part.col_offset)))
            if isinstance(part, ast.Call):
                called = self._key(part.func)
                held.calls += [(called, part)] if called is not None else []


def _given(function: ast.FunctionDef | ast.AsyncFunctionDef, call: ast.Call) -> Iterator[tuple[ast.arg, ast.expr]]:
    """The parameters of a function with what a call gives them; all with what comes behind a star."""
    every = [*function.args.posonlyargs, *function.args.args]
    places = every[1:] if isinstance(call.func, ast.Attribute) and every else every
    for number, given in enumerate(call.args):
        if isinstance(given, ast.Starred):
            yield from ((a, given.value) for a in places[number:])
        elif number < len(places):
            yield places[number], given
    for keyword in call.keywords:
        named = scopes.parameters(function.args)
        yield from ((a, keyword.value) for a in named if keyword.arg in (None, a.arg))


def _statements(parent: ast.AST) -> Iterator[ast.stmt]:
    """The statements of a block and of those in it, but for those in functions and classes."""
    for child in ast.iter_child_nodes(parent):
        if isinstance(child, ast.stmt):
            yield child
        opens = isinstance(child, (*_FUNCTIONS, ast.ClassDef))
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case) and not opens:
            yield from _statements(child)


def header(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement without those of the statements in it."""
    todo = [node]
    while todo:
        part = todo.pop()
        yield part
        todo += [child for child in ast.iter_child_nodes(part) if not isinstance(child, ast.stmt)]


def _shared(node: ast.ClassDef) -> set[str]:
    """The attributes that a class gives its instances to share."""
    targets = [target for statement in node.body if isinstance(statement, ast.Assign) for target in statement.targets]
    return {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}


def _root(node: ast.expr) -> ast.expr:
    """The name that an attribute or item is taken of, or the private attribute: `xs` of `xs[0].a`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(node, ast.Attribute) and _is_hidden(node.attr):
            return node
        node = node.func if isinstance(node, ast.Call) else node.value
    return node


def _is_hidden(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")
