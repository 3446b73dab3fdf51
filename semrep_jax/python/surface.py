"""What of a program can be used from outside: functions, classes with their methods, variables. Read, never run.

    surface = read(source)
    surface.functions["f"].parameters, surface.classes["Account"].methods, surface.variables

Public is what `__all__` lists, else what has no underscore in front; `functions` and `classes` hold all, as private
ones are needed to build arguments.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from semrep_jax.core import syntax
from semrep_jax.core.errors import SemRepError

Definition = ast.FunctionDef | ast.AsyncFunctionDef
_ENUMS = {"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"}
_BUILTIN_BASES = {"int", "str", "float", "list", "dict", "set", "tuple", "frozenset", "bytes"}
_NO_BASES = {"object", "ABC", "Generic", "Protocol", "NamedTuple", "TypedDict"}
_COMPARED = ["eq", "ne", "lt", "le", "gt", "ge"]
_SHIFTS = ["lshift", "rshift"]
_ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", *_SHIFTS]
_REFLECTED = [f"r{name}" for name in (*_ARITHMETIC, "divmod")]
_IN_PLACE = [f"i{name}" for name in _ARITHMETIC]
_BINARY = [*_COMPARED, *_ARITHMETIC, "divmod", *_REFLECTED, *_IN_PLACE]
_CONTAINER = ["len", "iter", "next", "getitem", "setitem", "delitem", "contains", "reversed", "missing", "length_hint"]
_NUMBER = ["neg", "pos", "abs", "invert", "int", "float", "complex", "index", "round", "trunc", "floor", "ceil"]
_UNARY = [*_CONTAINER, *_NUMBER, "str", "repr", "bytes", "bool", "call", "enter", "format", "fspath", "copy", "anext"]
SPECIAL = {f"__{name}__" for name in (*_BINARY, *_UNARY)}
_BINARY_SPECIAL = {f"__{name}__" for name in _BINARY}
_SHIFTED_BY = {f"__{sort}{name}__" for name in _SHIFTS for sort in ("", "r", "i")}
# Names of the data model that are no operations, or are asked of every instance.
_NO_OPERATIONS = {
    f"__{name}__" for name in ("slots", "match_args", "doc", "module", "qualname", "annotations", "hash", "eq")
}


class InputError(SemRepError):
    """The program does not parse, or has nothing that can be called with what we can draw."""


class Kind(Enum):
    """How a parameter is given."""

    POSITION = auto()
    EITHER = auto()
    STAR = auto()  # *args
    KEYWORD = auto()
    STARS = auto()  # **kwargs


@dataclass(frozen=True)
class Parameter:
    """One parameter; `default` is None where it must be given."""

    name: str
    kind: Kind
    annotation: ast.expr | None = None
    default: ast.expr | None = None

    @property
    def optional(self) -> bool:
        """Whether it can be left out."""
        return self.default is not None or self.kind in (Kind.STAR, Kind.STARS)


@dataclass(frozen=True)
class Function:
    """A function, method or lambda: its parameters (without self), and the node that its body is read from."""

    name: str
    parameters: tuple[Parameter, ...]
    node: ast.AST
    docstring: str = ""


@dataclass
class Class:
    """A class: how it is built, what its instances can be asked.

    members: of an Enum, which is not built. attributes: properties. settable: fields of a dataclass, descriptors and
    properties with a setter, with the hint of what they are set to. variables: public ones of the class itself, which
    no method sets for an instance. special: operations that its body gives a meaning. bound: those of them that an
    assignment gives. kept: attributes that hold what the constructor was given, with the name of that parameter. shown:
    `repr` writes the fields. ordered: instances are compared by < and its like. manages: they are used by `with`.
    looks_up: attributes are looked up by a method of its own. abstract: it can't be built. protocol: it only says what
    others have. declared: attributes that have a hint and no value. external: a base that is not in the program.
    """

    name: str
    constructor: Function
    methods: dict[str, Function] = field(default_factory=dict)
    attributes: list[str] = field(default_factory=list)
    settable: dict[str, ast.expr | None] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    variables: list[str] = field(default_factory=list)
    special: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    shown: bool = False
    ordered: bool = False
    manages: bool = False
    looks_up: bool = False
    members: list[str] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    is_enum: bool = False
    abstract: bool = False
    protocol: bool = False
    declared: dict[str, ast.expr | None] = field(default_factory=dict)
    external: str = ""
    builtin_base: str = ""
    own_constructor: bool = False


@dataclass
class Surface:
    """What stands at the top of a program. `public` names what others may use, in order."""

    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, Class] = field(default_factory=dict)
    variables: dict[str, ast.expr] = field(default_factory=dict)
    public: list[str] = field(default_factory=list)


def parsed(source: str) -> ast.Module:
    """The program's tree. Raises InputError where it does not parse."""
    try:
        return syntax.module(source)
    except SyntaxError as error:
        raise InputError(f"the program is not valid Python (line {error.lineno}: {error.msg})") from error


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements at the top, those under if, try and with too; not what runs only as a script."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and "__main__" not in ast.unparse(node.test):
            yield from statements(node.body + node.orelse)
        elif isinstance(node, ast.Try):
            inner = [s for handler in node.handlers for s in handler.body]
            yield from statements(node.body + inner + node.orelse + node.finalbody)
        elif isinstance(node, ast.With):
            yield from statements(node.body)


def functions(source: str) -> dict[str, Definition]:
    """The functions at the top of a program. Raises InputError where it does not parse."""
    return {node.name: node for node in statements(parsed(source).body) if isinstance(node, Definition)}


def read(source: str) -> Surface:
    """The surface of a program. Raises InputError where it does not parse."""
    surface, listed = Surface(), None
    body = parsed(source).body
    descriptors = _descriptors(body)
    for node in statements(body):
        if isinstance(node, Definition):
            surface.functions[node.name] = _function(node)
        elif isinstance(node, ast.ClassDef):
            surface.classes[node.name] = _class(node, descriptors)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for name in _assigned(node):
                if name == "__all__" and isinstance(node.value, ast.List | ast.Tuple):
                    listed = [e.value for e in node.value.elts if isinstance(e, ast.Constant)]
                elif isinstance(node.value, ast.Lambda):
                    surface.functions[name] = Function(name, _parameters(node.value.args), node.value)
                elif (made := _made_class(node.value)) is not None:
                    surface.classes[name] = made
                else:
                    surface.variables[name] = node.value
    for one in surface.classes.values():
        _inherit(one, surface)
    every = [*surface.functions, *surface.classes, *surface.variables]
    surface.public = [n for n in every if (n in listed if listed is not None else not n.startswith("_"))]
    return surface


def _assigned(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [n for t in targets for n in (t.elts if isinstance(t, ast.Tuple | ast.List) else [t])]
    return [n.id for n in names if isinstance(n, ast.Name)]


def _function(node: Definition, skip: int = 0) -> Function:
    return Function(node.name, _parameters(node.args)[skip:], node, ast.get_docstring(node) or "")


def _parameters(arguments: ast.arguments) -> tuple[Parameter, ...]:
    """The parameters in the order in which they are written."""
    plain = [(a, Kind.POSITION) for a in arguments.posonlyargs] + [(a, Kind.EITHER) for a in arguments.args]
    missing: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    defaults = missing + list(arguments.defaults)
    found = [Parameter(a.arg, kind, a.annotation, d) for (a, kind), d in zip(plain, defaults, strict=True)]
    if arguments.vararg is not None:
        found.append(Parameter(arguments.vararg.arg, Kind.STAR, arguments.vararg.annotation))
    for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(Parameter(a.arg, Kind.KEYWORD, a.annotation, d))
    if arguments.kwarg is not None:
        found.append(Parameter(arguments.kwarg.arg, Kind.STARS, arguments.kwarg.annotation))
    return tuple(found)


def _name(node: ast.expr) -> str:
    """The last name of a dotted one, called or subscripted."""
    if isinstance(node, ast.Call):
        return _name(node.func)
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_operation(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name not in _NO_OPERATIONS


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _variables(node: ast.Assign | ast.AnnAssign, dataclass: bool, bases: Collection[str]) -> list[str]:
    """The public variables that a statement of a class's body gives it; fields are none."""
    hint = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
    is_field = hint and "ClassVar" not in hint and (dataclass or {"NamedTuple", "TypedDict"} & set(bases))
    return [n for n in _assigned(node) if not is_field and (n[0] != "_" or n == "__match_args__")]


def _descriptors(body: list[ast.stmt]) -> set[str]:
    """The classes at a program's top whose instances say what an attribute gives or takes."""
    classes = [n for n in statements(body) if isinstance(n, ast.ClassDef)]
    return {c.name for c in classes for s in c.body if isinstance(s, Definition) and s.name in ("__get__", "__set__")}


def _class(node: ast.ClassDef, descriptors: Collection[str]) -> Class:
    bases, decorators = [_name(b) for b in node.bases], {_name(d) for d in node.decorator_list}
    one = Class(node.name, Function(node.name, (), node), bases=bases, is_enum=bool(_ENUMS & set(bases)))
    if one.is_enum:
        values = [s for s in node.body if isinstance(s, ast.Assign) and not isinstance(s.value, ast.Lambda)]
        one.members = [n for s in values for n in _assigned(s) if n[0] != "_"]
    elif "dataclass" in decorators or {"NamedTuple", "TypedDict"} & set(bases):
        one.constructor, one.own_constructor = Function(node.name, tuple(_fields(node)), node), True
        one.shown = "TypedDict" not in bases
        if one.shown:
            one.settable = {p.name: p.annotation for p in one.constructor.parameters}
    one.ordered = "total_ordering" in decorators or any("order=True" in ast.unparse(d) for d in node.decorator_list)
    one.ordered = one.ordered or "dataclass" in decorators
    defined: dict[str, Definition] = {}
    for inner in node.body:
        match inner:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                defined[inner.name] = inner
                _add_method(one, inner)
            case ast.AnnAssign(target=ast.Name(id=name), value=None):
                one.declared[name] = inner.annotation
            case ast.Assign(value=ast.Name(id=other)) if other in defined:  # one method under two names
                for name in _assigned(inner):
                    _add_method(one, defined[other], name)
            case ast.Assign(value=ast.Lambda() as value):
                for name in (n for n in _assigned(inner) if not n.startswith("_") or n in SPECIAL):
                    one.methods[name] = Function(name, _parameters(value.args)[1:], value)
            case ast.Assign(value=ast.Call(func=ast.Name(id=name))) if name == "property" or name in descriptors:
                for attribute in (n for n in _assigned(inner) if not n.startswith("_")):
                    one.attributes.append(attribute)
                    one.settable[attribute] = None
            case ast.Assign() | ast.AnnAssign(value=ast.expr()) if not one.is_enum:
                one.variables += _variables(inner, "dataclass" in decorators, bases)
        if isinstance(inner, ast.Assign) and ast.unparse(inner) != "__str__ = __repr__":
            one.bound |= {n for n in _assigned(inner) if _is_operation(n)}
    one.special = {n for n in defined if _is_operation(n)} | one.bound
    set_later = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and _is_self(n.value)
                 and isinstance(n.ctx, ast.Store)}  # fmt: skip
    one.variables = [n for n in one.variables if n not in set_later]
    one.protocol = "Protocol" in bases
    one.abstract = one.abstract or one.protocol
    return one


def _made_class(call: ast.expr) -> Class | None:
    """The class that a call makes: `namedtuple("P", "x y")`, `Enum("Color", "RED BLUE")`; None where it makes none."""
    match call:
        case ast.Call(args=[ast.Constant(value=str(name)), listed]) if _name(call) in _ENUMS | {"namedtuple"}:
            names = _listed(listed)
        case ast.Call(args=[ast.Constant(value=str(name)), ast.List() as listed]) if _name(call) == "NamedTuple":
            names = _listed(listed)
        case _:
            return None
    if not names:
        return None
    if _name(call) in _ENUMS:
        bases = [_name(call)]
        return Class(name, Function(name, (), call), members=list(names), bases=bases, is_enum=True)
    defaults = next((k.value for k in call.keywords if k.arg == "defaults"), None)
    given = defaults.elts if isinstance(defaults, ast.List | ast.Tuple) else []
    needed = [None] * (len(names) - len(given))
    fields = zip(names.items(), [*needed, *given], strict=False)
    parameters = tuple(Parameter(n, Kind.EITHER, hint, default) for (n, hint), default in fields)
    return Class(name, Function(name, parameters, call), bases=["NamedTuple"], own_constructor=True)


def _listed(listed: ast.expr) -> dict[str, ast.expr | None]:
    """The names that such a call is given, each with its hint if there is one; {} where they can't be read."""
    pairs: list[tuple[ast.expr | None, ast.expr | None]] = []
    match listed:
        case ast.Constant(value=str(text)):
            return dict.fromkeys(text.replace(",", " ").split())
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            for part in parts:
                match part:
                    case ast.Tuple(elts=[first, hint]):
                        pairs.append((first, hint))
                    case _:
                        pairs.append((part, None))
        case ast.Dict(keys=keys, values=hints):
            pairs = list(zip(keys, hints, strict=True))
    named = {one.value: hint for one, hint in pairs if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return named if len(named) == len(pairs) else {}


def _fields(node: ast.ClassDef) -> Iterator[Parameter]:
    """The fields of a dataclass or of a named tuple, as parameters."""
    keyword_only = any("kw_only=True" in ast.unparse(d) for d in node.decorator_list)
    typed_dict = any(_name(b) == "TypedDict" for b in node.bases)
    total = not any(k.arg == "total" and ast.unparse(k.value) == "False" for k in node.keywords)
    for s in node.body:
        if not isinstance(s, ast.AnnAssign) or not isinstance(s.target, ast.Name):
            continue
        if "ClassVar" in ast.unparse(s.annotation):
            continue
        if ast.unparse(s.annotation) in ("KW_ONLY", "dataclasses.KW_ONLY"):
            keyword_only = True
            continue
        default = s.value
        if isinstance(default, ast.Call) and _name(default) == "field":
            options = {k.arg: k.value for k in default.keywords}
            if isinstance(options.get("init"), ast.Constant) and ast.unparse(options["init"]) == "False":
                continue
            default = options.get("default") or options.get("default_factory")
        if typed_dict:
            default = ast.Constant(None) if _may_be_missing(s.annotation, total) else None
        by_name = keyword_only or typed_dict
        yield Parameter(s.target.id, Kind.KEYWORD if by_name else Kind.EITHER, s.annotation, default)


def _may_be_missing(annotation: ast.expr, total: bool) -> bool:
    """Whether a typed dictionary may lack a key. total: what its class says of keys that say nothing."""
    said = _name(annotation)
    return said == "NotRequired" or (not total and said != "Required")


# Methods that a class has of its builtin base, with the hints of their arguments.
_OF_BUILTINS = {
    "dict": {"__getitem__": ["str"], "get": ["str"], "__setitem__": ["str", "int"], "setdefault": ["str", "int"],
             "pop": ["str", "int"], "update": ["dict[str, int]"], "__contains__": ["str"]},
    "list": {"__getitem__": ["int"], "append": ["int"], "extend": ["list[int]"], "pop": [], "insert": ["int", "int"],
             "__contains__": ["int"], "sort": []},
    "set": {"add": ["int"], "discard": ["int"], "update": ["list[int]"], "__contains__": ["int"]},
    "str": {"upper": [], "__getitem__": ["int"], "__contains__": ["str"], "__add__": ["str"]},
    "int": {"__add__": ["int"], "__mul__": ["int"]},
    "float": {"__add__": ["float"], "__mul__": ["float"]},
    "tuple": {"__getitem__": ["int"], "__contains__": ["int"]},
}  # fmt: skip


def _of_builtin(name: str, node: ast.AST) -> dict[str, Function]:
    """Methods of a builtin as a class inherits them."""
    return {
        method: Function(
            method,
            tuple(Parameter(f"x{n}", Kind.POSITION, syntax.expression(hint).body) for n, hint in enumerate(hints)),
            node,
        )
        for method, hints in _OF_BUILTINS.get(name, {}).items()
    }


def _add_method(one: Class, node: Definition, alias: str = "") -> None:
    """Note what a method of a class is. alias: the name that it has, if another one than it is written with."""
    if alias:
        node = copy.copy(node)
        node.name = alias
    decorators = {_name(d) for d in node.decorator_list}
    named = [d.attr for d in node.decorator_list if isinstance(d, ast.Attribute)]
    changing = [name for name in named if name in ("setter", "deleter")]
    if changing:
        if changing == ["setter"] and not node.name.startswith("_") and len(node.args.args) > 1:
            one.settable[node.name] = node.args.args[1].annotation
        return
    one.ordered = one.ordered or node.name in ("__lt__", "__le__", "__gt__", "__ge__")
    one.manages = one.manages or node.name in ("__exit__", "__aexit__")
    one.looks_up = one.looks_up or node.name in ("__getattr__", "__getattribute__")
    if "abstractmethod" in decorators:
        one.abstract = True
    if node.name == "__init__":
        one.constructor, one.own_constructor = _function(node, 1), True
        one.kept = dict(_kept(node))
    elif decorators & {"property", "cached_property"}:
        if not node.name.startswith("_"):
            one.attributes.append(node.name)
    elif not node.name.startswith("_") or node.name in SPECIAL:
        method = _function(node, 0 if "staticmethod" in decorators else 1)
        if node.name in _BINARY_SPECIAL:
            itself = ast.Name(id="int" if node.name in _SHIFTED_BY else one.name)
            given = tuple(Parameter(p.name, p.kind, p.annotation or itself, p.default) for p in method.parameters)
            method = Function(method.name, given, method.node, method.docstring)
        one.methods[node.name] = method


def _kept(constructor: Definition) -> Iterator[tuple[str, str]]:
    """The public attributes in which a constructor keeps a parameter as it was given, each with that one's name."""
    given = {p.name for p in _parameters(constructor.args) if p.kind not in (Kind.STAR, Kind.STARS)}
    for node in constructor.body:
        match node:
            case (
                ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=ast.Name(id=parameter))
                | ast.AnnAssign(
                    target=ast.Attribute(value=ast.Name(id="self"), attr=name), value=ast.Name(id=parameter)
                )
            ) if parameter in given and not name.startswith("_"):
                yield name, parameter


def _inherit(one: Class, surface: Surface, depth: int = 0) -> None:
    """Give a class what its bases in the program have, and note a base that is elsewhere."""
    for name in one.bases:
        if name in surface.classes and depth < 10 and name != one.name:
            base = surface.classes[name]
            _inherit(base, surface, depth + 1)
            one.methods = {**base.methods, **one.methods}
            one.attributes = list(dict.fromkeys([*base.attributes, *one.attributes]))
            one.settable = {**base.settable, **one.settable}
            one.declared = {**base.declared, **one.declared}
            one.shown = one.shown or base.shown
            one.ordered, one.manages = one.ordered or base.ordered, one.manages or base.manages
            one.looks_up = one.looks_up or base.looks_up
            one.variables = list(dict.fromkeys([*base.variables, *one.variables]))
            one.special, one.bound = one.special | base.special, one.bound | base.bound
            if not one.own_constructor:
                one.constructor, one.own_constructor = base.constructor, base.own_constructor
                one.kept = base.kept
            one.builtin_base, one.external = one.builtin_base or base.builtin_base, one.external or base.external
            one.is_enum = one.is_enum or base.is_enum
        elif name in _BUILTIN_BASES and not one.own_constructor:
            one.builtin_base = name
            one.methods = {**_of_builtin(name, one.constructor.node), **one.methods}
            content = Parameter("content", Kind.POSITION, ast.Name(id=name), ast.Constant(None))
            one.constructor, one.own_constructor = Function(one.name, (content,), one.constructor.node), True
        elif name.endswith(("Error", "Exception", "Warning")):
            one.builtin_base = "BaseException"
            if not one.own_constructor:
                text = Parameter("args", Kind.STAR, ast.Name(id="str"))
                one.constructor, one.own_constructor = Function(one.name, (text,), one.constructor.node), True
        elif name not in _NO_BASES | _ENUMS | _BUILTIN_BASES and name not in surface.classes:
            one.external = name
