"""What types the names and expressions of a function surely have: from hints, literals and builtins.

    read = TypeReader(function_tree, is_builtin, is_plain)
    read.names["total"]                  # "int" after `total = 0; total += len(xs)`, None where nothing tells
    read.expression(node)

A type is the name of a builtin; `number` for an int, a float or a bool; or `sum` for what an int and something unknown
add up to, which is no real number perhaps (it may be complex), but never changes in place. All that binds a name must
agree. Hints are believed; that a loop goes over a value, or an operator is applied to it, tells nothing. `is_plain`
says that the file has no class, and imports none, with operators of its own: without it there is no `sum`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial

Type = str | None
NUMBERS = {"int", "float", "bool", "number"}
INTEGERS = {"int", "bool"}
SEQUENCES = {"list", "tuple", "str"}
SCALARS = NUMBERS | {"str", "NoneType"}
SUM = "sum"
IMMUTABLE = NUMBERS | {"str", "tuple", "bytes", "range", "NoneType", SUM}
HINTS = {"int", "float", "bool", "str", "bytes", "list", "tuple", "dict", "set", "List", "Tuple", "Dict", "Set"}

_UNSEEN = "unseen"  # of a name that nothing is known to bind yet
_DISPLAYS: dict[type[ast.expr], str] = {
    ast.JoinedStr: "str",
    ast.List: "list",
    ast.ListComp: "list",
    ast.Dict: "dict",
    ast.DictComp: "dict",
    ast.Set: "set",
    ast.SetComp: "set",
    ast.Tuple: "tuple",
}
_CALLS = {
    **dict.fromkeys(("len", "ord", "int"), "int"),
    **dict.fromkeys(("str", "repr", "chr", "hex", "bin", "oct", "ascii", "format"), "str"),
    **dict.fromkeys(("bool", "isinstance", "issubclass", "any", "all", "callable", "hasattr"), "bool"),
    **dict.fromkeys(("list", "sorted"), "list"),
    **{name: name for name in ("float", "tuple", "dict", "set", "range")},
}
_STRING_METHODS = {
    **dict.fromkeys(("upper", "lower", "strip", "lstrip", "rstrip", "replace", "join", "title", "zfill"), "str"),
    **dict.fromkeys(("format", "capitalize", "swapcase", "casefold", "ljust", "rjust", "center"), "str"),
    **dict.fromkeys(("split", "rsplit", "splitlines"), "list"),
    **dict.fromkeys(("find", "rfind", "index", "rindex", "count"), "int"),
    **dict.fromkeys(("startswith", "endswith", "isdigit", "isalpha", "isalnum", "isupper", "islower"), "bool"),
}
_CLOSED = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)  # of two integers they make an integer
_BITS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift, ast.RShift)


class TypeReader:
    """The types in one function. `names`: of each name that it binds; None where nothing tells."""

    def __init__(self, function: ast.FunctionDef, is_builtin: Callable[[str], bool], is_plain: bool):
        self.is_builtin, self.is_plain = is_builtin, is_plain
        self.hints: dict[str, ast.expr] = {}
        self.values: dict[str, list[ast.expr]] = {}
        self._sources: dict[str, list[Callable[[], Type]]] = {}
        self._read(function)
        self.names: dict[str, Type] = dict.fromkeys(self._sources, _UNSEEN)
        changed = True
        while changed:  # types only grow from unseen over one type to none: this ends
            new = {name: self._joined(name, sources) for name, sources in self._sources.items()}
            changed, self.names = new != self.names, new
        self.names = {name: None if kind == _UNSEEN else kind for name, kind in self.names.items()}

    def _joined(self, name: str, sources: list[Callable[[], Type]]) -> Type:
        joined = self.names[name]
        for source in sources:
            joined = _join(joined, source())
        return joined

    def _read(self, function: ast.FunctionDef) -> None:
        """Collects what binds each name."""
        arguments = function.args
        positional = [*arguments.posonlyargs, *arguments.args]
        defaults = dict(zip((a.arg for a in positional[::-1]), arguments.defaults[::-1], strict=False))
        defaults |= {a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d}
        for argument in (*positional, *arguments.kwonlyargs):
            hint, default = argument.annotation, defaults.get(argument.arg)
            self._bind(argument.arg, partial(self.hinted, hint))
            if hint is not None:
                self.hints[argument.arg] = hint
            if default is not None:
                self._bind(argument.arg, partial(self.expression, default))
        if arguments.vararg is not None:
            self._bind(arguments.vararg.arg, lambda: "tuple")
        if arguments.kwarg is not None:
            self._bind(arguments.kwarg.arg, lambda: "dict")
        for statement in function.body:
            for node in ast.walk(statement):
                self._read_binder(node)

    def _read_binder(self, node: ast.AST) -> None:
        match node:
            case ast.Assign():
                for target in node.targets:
                    self._assign(target, node.value)
            case ast.AnnAssign(target=ast.Name(id=name)):
                self._bind(
                    name, lambda: self.hinted(node.annotation) if node.value is None else self.expression(node.value)
                )
            case ast.NamedExpr(target=ast.Name(id=name)):
                self._bind(name, lambda: self.expression(node.value))
            case ast.AugAssign(target=ast.Name(id=name)):
                self._bind(name, lambda: self.operation(self.names[name], node.op, self.expression(node.value)))
            case ast.For() | ast.comprehension(is_async=0):
                self._loop(node.target, node.iter)
            case ast.withitem(optional_vars=ast.expr() as target):
                self._forget(target)
            case ast.Delete():
                for target in node.targets:
                    self._forget(target)
            case ast.AsyncFor() | ast.comprehension():
                self._forget(node.target)
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                self._bind(name, lambda: None)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                self._bind(name, lambda: None)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                self._bind(name, lambda: None)
            case ast.alias():
                self._bind(node.asname or node.name.split(".")[0], lambda: None)
            case ast.Global() | ast.Nonlocal():
                for name in node.names:
                    self._bind(name, lambda: None)

    def _bind(self, name: str, source: Callable[[], Type]) -> None:
        self._sources.setdefault(name, []).append(source)

    def _forget(self, target: ast.expr) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                self._bind(node.id, lambda: None)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id, lambda: self.expression(value))
            self.values.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            if any(isinstance(e, ast.Starred) for e in (*target.elts, *value.elts)):
                self._forget(target)
                return
            for one, its_value in zip(target.elts, value.elts, strict=True):
                self._assign(one, its_value)
        else:
            self._forget(target)

    def _loop(self, target: ast.expr, over: ast.expr) -> None:
        called = over.func.id if isinstance(over, ast.Call) and isinstance(over.func, ast.Name) else ""
        if isinstance(target, ast.Name):
            self._bind(target.id, lambda: self.item(over))
        elif isinstance(target, ast.Tuple) and called == "enumerate" and len(target.elts) == 2:
            index, inner = target.elts
            assert isinstance(over, ast.Call)
            if isinstance(index, ast.Name) and len(over.args) == 1 and not over.keywords:
                self._bind(index.id, lambda: "int" if self.is_builtin("enumerate") else None)
                self._loop(inner, over.args[0])
            else:
                self._forget(target)
        else:
            self._forget(target)

    def hinted(self, hint: ast.expr | None) -> Type:
        """The type that a hint promises. A `float` may be an int too."""
        if isinstance(hint, ast.Constant):
            return "NoneType" if hint.value is None else None
        if isinstance(hint, ast.Subscript):
            return self.hinted(hint.value)
        if not isinstance(hint, ast.Name) or hint.id not in HINTS:
            return None
        if hint.id[0].islower() and not self.is_builtin(hint.id):
            return None
        return "number" if hint.id == "float" else hint.id.lower()

    def length(self, name: str) -> int | None:
        """How many members a name's tuple has, by its hint or the literal that it is set to; else None."""
        if len(self._sources.get(name, ())) != 1:
            return None
        hint = self.hints.get(name)
        if isinstance(hint, ast.Subscript) and self.hinted(hint) == "tuple":
            members = hint.slice.elts if isinstance(hint.slice, ast.Tuple) else [hint.slice]
            variadic = any(isinstance(m, ast.Constant) and m.value is Ellipsis for m in members)
            return None if variadic else len(members)
        for value in self.values.get(name, ()):
            if isinstance(value, ast.Tuple) and not any(isinstance(e, ast.Starred) for e in value.elts):
                return len(value.elts)
        return None

    def item(self, over: ast.expr) -> Type:
        """The type of the items of an iterable."""
        kind = self.expression(over)
        if kind == _UNSEEN:
            return _UNSEEN
        if kind in ("range", "str"):
            return "int" if kind == "range" else "str"
        if isinstance(over, ast.Name) and kind is not None and len(self._sources.get(over.id, ())) == 1:
            hint = self.hints.get(over.id)
            if isinstance(hint, ast.Subscript) and not isinstance(hint.slice, ast.Tuple):
                return self.hinted(hint.slice)
        return None

    def expression(self, node: ast.expr) -> Type:
        """The type of an expression."""
        match node:
            case ast.Constant():
                return type(node.value).__name__
            case ast.Name():
                return self.names.get(node.id)
            case ast.NamedExpr():
                return self.expression(node.value)
            case ast.UnaryOp(op=ast.Not()):
                return "bool"
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                kind = self.expression(node.operand)
                return "int" if kind == "bool" else kind if kind in NUMBERS or kind == _UNSEEN else None
            case ast.BinOp():
                return self.operation(self.expression(node.left), node.op, self.expression(node.right))
            case ast.BoolOp():
                return _join(*(self.expression(value) for value in node.values))
            case ast.IfExp():
                return _join(self.expression(node.body), self.expression(node.orelse))
            case ast.Compare():
                return self._comparison(node)
            case ast.Call():
                return self._call(node)
            case ast.Subscript():
                kind = self.expression(node.value)
                if kind == "str" or (kind in ("list", "tuple", "bytes", "range") and isinstance(node.slice, ast.Slice)):
                    return kind
                return (
                    _UNSEEN if kind == _UNSEEN else None if isinstance(node.slice, ast.Slice) else self.item(node.value)
                )
            case _:
                return _DISPLAYS.get(type(node))

    def operation(self, left: Type, operator: ast.operator, right: Type) -> Type:
        """The type of what an operator makes of two types.

        left, right: the operands' types, None where unknown. operator: Python's own node of it, such as `ast.Add()`.
        None comes back where nothing tells.
        """
        if _UNSEEN in (left, right):
            return _UNSEEN
        if left in NUMBERS and right in NUMBERS:
            return self._arithmetic(left, operator, right)
        if left == "str" and isinstance(operator, (ast.Mod, ast.Mult)):
            return "str"
        if left in ("str", "list", "tuple") and isinstance(operator, ast.Add):
            return left if right == left or (right is None and self.is_plain) else None
        if left in ("list", "tuple") and isinstance(operator, ast.Mult):
            return left if right in NUMBERS else None
        added = {left, right} & (NUMBERS | {SUM}) and {left, right} <= NUMBERS | {SUM, None}
        return SUM if self.is_plain and added and isinstance(operator, (ast.Add, ast.Sub)) else None

    def _arithmetic(self, left: Type, operator: ast.operator, right: Type) -> Type:
        if isinstance(operator, _BITS):
            return "int" if left in INTEGERS and right in INTEGERS else None
        if isinstance(operator, ast.Pow):
            return None
        if left in INTEGERS and right in INTEGERS and isinstance(operator, _CLOSED):
            return "int"
        return "float" if "float" in (left, right) else "number"

    def _comparison(self, node: ast.Compare) -> Type:
        exact = all(isinstance(op, (ast.In, ast.NotIn, ast.Is, ast.IsNot)) for op in node.ops)
        kinds = [self.expression(side) for side in (node.left, *node.comparators)]
        return "bool" if exact or None not in kinds else None

    def _call(self, node: ast.Call) -> Type:
        if isinstance(node.func, ast.Attribute):
            on_string = self.expression(node.func.value) == "str"
            return _STRING_METHODS.get(node.func.attr) if on_string else None
        if not isinstance(node.func, ast.Name) or not self.is_builtin(node.func.id):
            return None
        kinds = [self.expression(argument) for argument in node.args]
        if node.func.id in ("max", "min") and len(kinds) > 1 and not node.keywords:
            return _join(*kinds)
        if node.func.id == "abs" and len(kinds) == 1 and kinds[0] in NUMBERS:
            return "int" if kinds[0] == "bool" else kinds[0]
        return _CALLS.get(node.func.id)


def _join(*kinds: Type) -> Type:
    """The type of what is of one of these types."""
    seen = {kind for kind in kinds if kind != _UNSEEN}
    if not seen:
        return _UNSEEN
    if len(seen) == 1:
        return seen.pop()
    if seen <= INTEGERS:
        return "int"
    if seen <= NUMBERS:
        return "number"
    return SUM if seen <= NUMBERS | {SUM} else None
