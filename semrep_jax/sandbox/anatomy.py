"""What an object is made of, seen without asking it anything: its attributes, what its class can be asked for, what it
holds as a builtin, what a function takes, how an error is called.

Nothing of the program's runs here. Loaded by path, so it imports only the standard library.
"""

import builtins
import sys
import types

FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType)
OBSERVERS = ("__str__", "__repr__", "__len__", "__bool__", "__iter__")
_CALLED = ("__call__", "__getitem__", "__contains__")
_IMMUTABLE = ("datetime", "decimal", "fractions", "uuid", "pathlib", "ipaddress", "zoneinfo", "re", "typing")
STARRED, COROUTINE = 0x04, 0x80  # of a code object's flags


def methods_of(own):
    """Names of what can be asked of an object: public methods and properties, and the common special ones."""
    names = {n for c in own for n, raw in vars(c).items() if not n.startswith("_") and _askable(raw)}
    written = {n for n in (*OBSERVERS, *_CALLED) for c in own if isinstance(vars(c).get(n), types.FunctionType)
               and getattr(vars(c)[n], "__module__", None) == c.__module__}  # fmt: skip
    return sorted(names | written)


def class_variables(kind, program):
    """The public variables of a class and of those above it in the program that are plain values; not what a dataclass
    gives its fields where they are left out."""
    found: dict = {}
    for c in reversed([c for c in kind.__mro__ if c.__module__ == program]):
        fields = vars(c).get("__dataclass_fields__", {})
        given = {n for n, one in fields.items() if one._field_type.name != "_FIELD_CLASSVAR"}
        found |= {
            n: x for n, x in vars(c).items() if (n[0] != "_" or n == "_fields") and n not in given and is_plain(x)
        }
    return found


def is_plain(v, depth=0):
    """Whether it is a value of Python's own types, or a container of such."""
    if type(v) in (list, tuple, set, frozenset, dict):
        return depth < 4 and all(is_plain(x, depth + 1) for x in ([*v, *v.values()] if type(v) is dict else v))
    return v is None or type(v) in (bool, int, float, complex, str, bytes)


def _askable(raw):
    return isinstance(raw, (types.FunctionType, property)) or type(raw).__name__ == "cached_property"


def state_of(v, t):
    """An object's attributes, whatever its class makes of access to them."""
    try:
        state = dict(object.__getattribute__(v, "__dict__"))
    except AttributeError:
        state = {}
    for c in t.__mro__:
        slots = vars(c).get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            try:
                state[name] = object.__getattribute__(v, name)
            except AttributeError:
                pass
    return {k: x for k, x in state.items() if k not in ("__dict__", "__weakref__")}


def as_builtin(v, base):
    """What an instance of a subclass of a builtin holds, as the builtin; none of its own methods is called."""
    if base is int:
        return int.__index__(v)
    if base is float:
        return float.__float__(v)
    if base is str:
        return str.__str__(v)
    if base is BaseException:
        return BaseException.__dict__["args"].__get__(v)
    if base is dict:
        return dict(dict.items(v))
    if base is complex:
        return complex.__complex__(v)
    if base is bytes or base is bytearray:
        return bytes(base.__getitem__(v, slice(None)))
    return base(base.__iter__(v))


def sorts_of(function):
    """Which sorts of probes the hints of a function's parameters allow; None for all."""
    hints = [h for n, h in function.__annotations__.items() if n != "return"]
    names = {h if isinstance(h, str) else getattr(h, "__name__", "") for h in hints}
    known = {"int": "int", "str": "str", "float": "float", "bool": "int", "list": "list"}
    return {known[n] for n in names} if len(names) == 1 and names <= set(known) else None


def calls_itself(function):
    """Whether a function may call itself: how deep that goes is the machine's affair."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_name in (*code.co_names, *code.co_freevars)


def is_mutable(v, program):
    """Whether it makes a difference that two places hold one object: it can change, or its class is the program's."""
    t = type(v)
    if t is list or t is dict or t is set:
        return True
    if isinstance(v, (type, types.ModuleType, str, bytes, int, float, tuple, frozenset, *FUNCTIONS)):
        return False
    if t.__module__ in _IMMUTABLE or t.__name__ in ("Callback", "range", "slice"):
        return False
    enum = sys.modules.get("enum")
    if enum is not None and isinstance(v, enum.Enum):
        return False
    return not getattr(getattr(t, "__dataclass_params__", None), "frozen", False)


def parameters_of(function):
    """How many positional arguments a function must be given, and may be: (fewest, most)."""
    bound = 0
    while True:
        if isinstance(function, types.MethodType):
            function, bound = function.__func__, bound + 1
        elif type(function) is not types.FunctionType and hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            break
    if type(function).__name__ == "partial":
        fewest, most = parameters_of(function.func)
        given = len(function.args)
        return max(0, fewest - given - len(function.keywords)), max(0, most - given - len(function.keywords))
    code = getattr(function, "__code__", None)
    if code is None:
        return 1, 1
    most = max(0, code.co_argcount - bound)
    fewest = max(0, most - len(function.__defaults__ or ()))
    return fewest, most if not code.co_flags & STARRED else most + 3


BUILTIN_ERRORS = {t: t.__name__ for t in vars(builtins).values() if type(t) is type}


def error_name(error, program):
    """Name of a built-in exception class; another is marked by its module."""
    t = type(error)
    if t in BUILTIN_ERRORS:
        return BUILTIN_ERRORS[t]
    module = type.__getattribute__(t, "__module__")
    return ("candidate" if module == program else str(module)) + "." + type.__getattribute__(t, "__name__")
