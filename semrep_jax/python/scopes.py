"""Which names of a program mean the same thing, and new names for those that nobody outside can use.

    tree = syntax.module("def f(xs): n = 0; return n")
    rename(tree)                              # in place: def f(xs): v0 = 0; return v0

Python's own rules of scope decide what a name means, so that a name in two functions is two variables. A name stays
where it is part of what the program offers: see `_Renaming.stays`.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LOOKS_AT_NAMES = {"locals", "globals", "vars", "eval", "exec", "dir"}
_CALLED_BY_NAME = {"__init__", "__new__", "__call__"}  # special methods that calls reach with keywords


@dataclass(eq=False)
class Variable:
    """What a name means in a scope: all that binds it there."""

    name: str
    scope: Scope
    binders: list[ast.AST] = field(default_factory=list)


@dataclass(eq=False)
class Scope:
    """A module, a function, a class or a comprehension, with the variables that it binds."""

    node: ast.AST
    parent: Scope | None = None
    variables: dict[str, Variable] = field(default_factory=dict)
    elsewhere: dict[str, Scope] = field(default_factory=dict)  # names declared global or nonlocal

    def find(self, name: str) -> Variable | None:
        """What a name means here; None for a builtin, and for what nothing binds."""
        scope: Scope | None = self.elsewhere.get(name, self)
        start = scope
        while scope is not None:
            hidden = isinstance(scope.node, ast.ClassDef) and scope is not start
            if name in scope.variables and not hidden:
                return scope.variables[name]
            scope = scope.parent
        return None


@dataclass
class Occurrence:
    """A place where a name is spelled: a field of a node, or an item of that field."""

    name: str
    scope: Scope
    node: ast.AST
    field: str
    item: int | None = None

    def write(self, name: str) -> None:
        """Spell it otherwise."""
        if self.item is None:
            setattr(self.node, self.field, name)
        else:
            getattr(self.node, self.field)[self.item] = name


class Reader:
    """Walks a program once: its scopes, where names are spelled, its calls, and the names that it returns."""

    def __init__(self, tree: ast.Module):
        self.module = Scope(tree)
        self.scopes: dict[ast.AST, Scope] = {tree: self.module}
        self.occurrences: list[Occurrence] = []
        self.calls: list[tuple[ast.Call, Scope]] = []
        self.returned: list[tuple[str, Scope]] = []
        for node in tree.body:
            self._visit(node, self.module)

    def _bind(self, name: str, scope: Scope, binder: ast.AST, place: str, item: int | None = None) -> None:
        owner = scope.elsewhere.get(name, scope)
        owner.variables.setdefault(name, Variable(name, owner)).binders.append(binder)
        self.occurrences.append(Occurrence(name, scope, binder, place, item))

    def _visit(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            self._function(node, scope)
        elif isinstance(node, ast.ClassDef):
            self._bind(node.name, scope, node, "name")
            self._all([*node.decorator_list, *node.bases, *node.keywords], scope)
            self._all(node.body, self._inner(node, scope))
        elif isinstance(node, _COMPREHENSIONS):
            self._comprehension(node, scope)
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                self.occurrences.append(Occurrence(node.id, scope, node, "id"))
            else:
                self._bind(node.id, scope, node, "id")
        elif isinstance(node, ast.NamedExpr):
            owner = scope
            while isinstance(owner.node, _COMPREHENSIONS) and owner.parent is not None:
                owner = owner.parent
            self._visit(node.target, owner)
            self._visit(node.value, scope)
        else:
            self._plain(node, scope)

    def _plain(self, node: ast.AST, scope: Scope) -> None:
        """A node that opens no scope and is no name itself, but may hold a name as a text."""
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            for i, name in enumerate(node.names):
                found = scope.parent.find(name) if isinstance(node, ast.Nonlocal) and scope.parent else None
                scope.elsewhere[name] = found.scope if found else self.module
                self._bind(name, scope, node, "names", i)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            self._bind(node.name, scope, node, "name")
        elif isinstance(node, ast.MatchMapping) and node.rest:
            self._bind(node.rest, scope, node, "rest")
        elif isinstance(node, ast.alias) and node.name != "*":
            self._bind(node.asname or node.name.split(".")[0], scope, node, "asname")
        elif isinstance(node, ast.Call):
            self.calls.append((node, scope))
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Name):
            self.returned.append((node.value.id, scope))
        self._all(ast.iter_child_nodes(node), scope)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope) -> None:
        body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
        if not isinstance(node, ast.Lambda):
            self._bind(node.name, scope, node, "name")
            self._all(node.decorator_list, scope)
        self._all([*node.args.defaults, *(d for d in node.args.kw_defaults if d)], scope)
        inner = self._inner(node, scope)
        for argument in parameters(node.args):
            self._bind(argument.arg, inner, argument, "arg")
        self._all(body, inner)

    def _comprehension(self, node: ast.AST, scope: Scope) -> None:
        inner = self._inner(node, scope)
        generators = getattr(node, "generators", [])
        for i, each in enumerate(generators):
            self._visit(each.iter, inner if i else scope)
            self._all([each.target, *each.ifs], inner)
        self._all((child for child in ast.iter_child_nodes(node) if child not in generators), inner)

    def _inner(self, node: ast.AST, scope: Scope) -> Scope:
        self.scopes[node] = Scope(node, scope)
        return self.scopes[node]

    def _all(self, nodes: Iterator[ast.AST] | list[ast.AST] | list[ast.expr] | list[ast.stmt], scope: Scope) -> None:
        for node in nodes:
            self._visit(node, scope)


def parameters(arguments: ast.arguments) -> list[ast.arg]:
    """All parameters in order, those with a star too."""
    stars = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *stars]


class _Renaming:
    """Decides which names stay."""

    def __init__(self, reader: Reader, tree: ast.Module, parameters_too: bool):
        self.reader, self.parameters_too = reader, parameters_too
        names = {o.name for o in reader.occurrences}
        attributes = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        self.all_stay = bool(names & _LOOKS_AT_NAMES)
        self.definitions_stay = bool(attributes & {"__name__", "__qualname__"})
        self.exported = {
            n.value
            for statement in tree.body
            if isinstance(statement, (ast.Assign, ast.AugAssign)) and "__all__" in ast.unparse(statement)
            for n in ast.walk(statement)
            if isinstance(n, ast.Constant)
        }
        functions = [n for n in tree.body if isinstance(n, _FUNCTIONS)]
        self.last = functions[-1] if functions else None
        self.read_inside = {
            id(found)
            for o in reader.occurrences
            if (top := _top(o.scope)) is not reader.module and o.field == "id"
            if (found := o.scope.find(o.name)) is not None and top.node not in found.binders
        }
        self.handed_out = {id(scope.find(name)) for name, scope in reader.returned}
        self.keywords: set[str] = set()
        self.any_keyword = False
        for call, scope in reader.calls:
            self._read_keywords(call, scope)

    def _read_keywords(self, call: ast.Call, scope: Scope) -> None:
        """Keywords of a call to a function of the program are spelled as its parameters are; others must stay."""
        callee = scope.find(call.func.id) if isinstance(call.func, ast.Name) else None
        if callee is None and isinstance(call.func, ast.Name) and hasattr(builtins, call.func.id):
            return
        function = callee.binders[0] if callee is not None and len(callee.binders) == 1 else None
        named: dict[str, ast.arg] = {}
        if isinstance(function, _FUNCTIONS):
            named = {a.arg: a for a in (*function.args.args, *function.args.kwonlyargs)}
        for keyword in call.keywords:
            if keyword.arg is None:
                self.any_keyword = True
            elif keyword.arg in named and function is not None:
                inner = self.reader.scopes[function]
                self.reader.occurrences.append(Occurrence(keyword.arg, inner, keyword, "arg"))
            else:
                self.keywords.add(keyword.arg)

    def stays(self, variable: Variable) -> bool:
        """Whether a name is part of what the program offers, or can be seen while it runs.

        Those are: attributes of classes; parameters of public functions and methods, unless by position only or
        starred; classes that are decorated or have bases (errors and records show their names), or have no
        underscore; functions of the module without an underscore that no other function reads, and the last one;
        variables of the module that no function reads; what `__all__` names; and everything where a program looks at
        its own names.
        """
        if self.all_stay or isinstance(variable.scope.node, ast.ClassDef):
            return True
        if variable.scope is self.reader.module and (variable.name in self.exported or _special(variable.name)):
            return True
        return any(self._stays_as(binder, variable) for binder in variable.binders)

    def _stays_as(self, binder: ast.AST, variable: Variable) -> bool:
        if isinstance(binder, ast.arg):
            return self._parameter_stays(binder, variable.scope)
        if isinstance(binder, ast.alias):
            return binder.asname is None and "." in binder.name
        at_top = variable.scope is self.reader.module
        public = at_top and not variable.name.startswith("_")
        if isinstance(binder, ast.ClassDef):
            return public or self.definitions_stay or bool(binder.bases or binder.keywords or binder.decorator_list)
        if isinstance(binder, _FUNCTIONS):
            wanted = binder is self.last or id(variable) not in self.read_inside
            return self.definitions_stay or (public and wanted)
        return public and id(variable) not in self.read_inside

    def _parameter_stays(self, argument: ast.arg, scope: Scope) -> bool:
        function, outer = scope.node, scope.parent
        assert isinstance(function, (*_FUNCTIONS, ast.Lambda)) and outer is not None
        if argument not in (*function.args.args, *function.args.kwonlyargs):
            return False
        if self.any_keyword or argument.arg in self.keywords:
            return True
        if isinstance(function, ast.Lambda) or (self.parameters_too and argument in function.args.args):
            return False
        variable = outer.find(function.name)
        if isinstance(outer.node, ast.ClassDef):
            is_self = argument is (*function.args.posonlyargs, *function.args.args, None)[0]
            if is_self and not any("static" in ast.unparse(d) for d in function.decorator_list):
                return False
            private = function.name.startswith("_") and function.name not in _CALLED_BY_NAME
            owner = outer.parent.find(outer.node.name) if outer.parent is not None else None
            return not private and (owner is None or self.stays(owner))
        return variable is not None and (self.stays(variable) or id(variable) in self.handed_out)


def _special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _top(scope: Scope) -> Scope:
    """The outermost function or class around a scope; the module itself where there is none."""
    while scope.parent is not None and scope.parent.parent is not None:
        scope = scope.parent
    return scope


def rename(tree: ast.Module, parameters_too: bool = False) -> None:
    """Rename, in place, every variable that need not stay to v0, v1, ... in the order of first appearance.

    parameters_too: also the parameters of public functions that calls need not name.
    """
    reader = Reader(tree)
    renaming = _Renaming(reader, tree, parameters_too)
    meant = [(o, o.scope.find(o.name)) for o in reader.occurrences]
    keeps = {id(v): renaming.stays(v) for _, v in meant if v is not None}
    taken = {o.name for o, v in meant if v is None or keeps[id(v)]}
    numbers = (name for i in range(len(meant) + len(taken)) if (name := f"v{i}") not in taken)
    fresh: dict[int, str] = {}
    for occurrence, variable in meant:
        if variable is not None and not keeps[id(variable)]:
            occurrence.write(fresh.get(id(variable)) or fresh.setdefault(id(variable), next(numbers)))
