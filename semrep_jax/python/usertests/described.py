"""What the other side is told of an object that stays here. Loaded by path by `contained.py`."""

import collections.abc
import dataclasses
import inspect
import types

import crossing

COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__contains__")
_ARITHMETIC = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or".split()
SPECIAL = frozenset(
    [f"__{side}{name}__" for name in _ARITHMETIC for side in ("", "r", "i")]
    + [
        f"__{name}__"
        for name in (
            "neg pos abs invert complex int float round trunc floor ceil index hash bool len length_hint iter next "
            "reversed getitem setitem delitem missing enter exit aenter aexit aiter anext call str repr format bytes "
            "fspath copy deepcopy dir await get set delete eq ne lt le gt ge contains sizeof instancecheck".split()
        )
    ]
) - {"__idivmod__"}
# Names beyond these that begin with two underscores are not for a program to ask of an object of the tests.
OPEN_DUNDERS = SPECIAL | {"__name__", "__qualname__", "__doc__", "__module__", "__init__", "__cause__", "__notes__"}
CLOSED_PREFIXES = ("gi_", "cr_", "ag_", "f_", "tb_", "co_", "func_")
# What a class may be derived from on both sides.
ABSTRACT = tuple(vars(collections.abc)[name] for name in collections.abc.__all__)
# Members of a class that its stand-in has of its own.
OWN_MEMBERS = frozenset(
    "__class__ __new__ __getattribute__ __getattr__ __setattr__ __delattr__ __del__ __dict__ __weakref__ __slots__ "
    "__init_subclass__ __subclasshook__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __module__ __qualname__ "
    "__doc__ __mro_entries__ __set_name__ __prepare__ __await__".split()
)


def _attributes(function):
    hidden = ("__signature__", "__wrapped__") if "__signature__" in vars(function) else ()
    return [x for pair in vars(function).items() if pair[0] not in hidden for x in pair]


def _set_attributes(function, parts):
    own = {k: v for k, v in vars(function).items() if k == "__signature__"}
    vars(function).clear()
    vars(function).update(own)
    vars(function).update(zip(parts[::2], parts[1::2], strict=True))


# A function's attributes are kept the same on both sides, as a container's contents are.
FUNCTION = ("function", None, None, _attributes, _set_attributes)


# What `inspect` reads off a function's code: that calling it makes a generator or a coroutine.
FLAGS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def description(bridge, number, v, t):
    """News of an object that stays here: [kind, number, ...].

    bridge: this side's, which encodes what `v` refers to. number: the one that `v` has been given. v: the object. t:
    its type. The kinds are the keys of `mirrors.STAND_INS`.
    """
    if t is types.FunctionType:
        bridge.watch(number, FUNCTION)
        bridge.unfilled.append(number)
        return ["function", number, function_facts(bridge, v)]
    if isinstance(v, type):
        return ["class", number, class_facts(bridge, number, v)]
    if isinstance(v, BaseException):
        return ["error", number, bridge.encode(t), *error_facts(bridge, v)]
    if t is types.GeneratorType:
        return ["generator", number, v.__name__]
    if t is types.CoroutineType:
        return ["coroutine", number, v.__name__]
    if t in (types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType):
        return ["function", number, function_facts(bridge, v)]
    for base, row in crossing.CONTAINERS.items():
        if issubclass(t, base):
            bridge.watch(number, row)
            bridge.unfilled.append(number)
            return ["object", number, bridge.encode(t), row[0], row[1](v)]
    for base in crossing.IMMUTABLE_BASES:
        if issubclass(t, base):
            return ["object", number, bridge.encode(t), base.__name__, [bridge.encode(x) for x in underlying(base, v)]]
    return ["object", number, bridge.encode(t), None, None]


def underlying(base, v):
    """What an instance of a class derived from an immutable builtin holds, as arguments for making the builtin."""
    if base in (tuple, frozenset):
        return base.__iter__(v)
    if base is complex:
        return complex.__getnewargs__(v)
    return base.__getnewargs__(v)


def function_facts(bridge, f):
    """What is known of a function: its names, signature, where its text is."""
    code = getattr(f, "__code__", None)
    facts = {
        "name": str(getattr(f, "__name__", "function")),
        "qualname": str(getattr(f, "__qualname__", "function")),
        "module": str(getattr(f, "__module__", "")),
        "doc": getattr(f, "__doc__", None) if type(getattr(f, "__doc__", None)) is str else None,
        "flags": code.co_flags & FLAGS if code is not None else 0,
        "line": code.co_firstlineno if code is not None else None,
        "parameters": None,
    }
    try:
        signature = inspect.signature(f)
    except (ValueError, TypeError):
        return facts
    empty = inspect.Parameter.empty
    facts["parameters"] = [
        [p.name, int(p.kind), *[[bridge.encode(x)] if x is not empty else [] for x in (p.default, note(p.annotation))]]
        for p in signature.parameters.values()
    ]
    returns = signature.return_annotation
    facts["returns"] = [bridge.encode(note(returns))] if returns is not empty else []
    return facts


def note(annotation):
    """An annotation as it can cross: a class, text or alias, or else its text."""
    if annotation is None or isinstance(annotation, (type, str, types.GenericAlias)):
        return annotation
    return inspect.formatannotation(annotation) if annotation is not inspect.Parameter.empty else annotation


def both_have(base):
    """Whether a base class is the same on both sides, so that a stand-in can be derived from it."""
    if base in crossing.CONTAINERS or base in crossing.IMMUTABLE_BASES or base in ABSTRACT:
        return True
    return (
        issubclass(base, BaseException) and crossing.standard_name(base) is not None and base.__module__ != "__main__"
    )


def own(bridge, cls):
    """Whether a class was made by the program or the tests."""
    named = crossing.standard_name(cls)
    return named is None or named[0] in bridge.foreign


def class_facts(bridge, number, cls):
    """What is known of a class: names, bases, members by kind. A base that is not on both sides is left out, and its
    members are taken for the class's own."""
    bases = [b for b in cls.__mro__[1:] if b is not object and (own(bridge, b) or both_have(b))]
    bases = [b for b in bases if not any(b in other.__mro__[1:] for other in bases)]
    told = {b for base in bases for b in base.__mro__}
    members = {}
    for base in cls.__mro__:
        if base is not object and base not in told:
            for name, member in vars(base).items():
                if name not in OWN_MEMBERS and name not in members:
                    kind = member_kind(name, member)
                    known = function_facts(bridge, member) if isinstance(member, types.FunctionType) else None
                    members[name] = kind and [kind, known]
                    if number is not None:
                        bridge.originals[number, name] = member
    facts = {
        "name": cls.__name__,
        "qualname": cls.__qualname__,
        "module": str(cls.__module__),
        "doc": cls.__doc__ if type(cls.__doc__) is str else None,
        "bases": [bridge.encode(b) for b in bases],
        "members": {name: kind for name, kind in members.items() if kind is not None},
        "awaitable": hasattr(cls, "__await__"),
        "asked": type(cls).__instancecheck__ is not type.__instancecheck__,  # who is an instance, its class decides
    }
    if type(vars(cls).get("__dataclass_fields__")) is dict:
        facts["fields"] = [
            [
                f.name,
                f.type if type(f.type) is str else getattr(f.type, "__name__", ""),
                f.init,
                f.repr,
                bool(f.compare),
            ]
            for f in dataclasses.fields(cls)
        ]
    return facts


def member_kind(name, member):
    """How a stand-in's class has a member: "special", "method", "property", "none"; None where it is only asked for."""
    if name in SPECIAL:
        return "none" if member is None else "special"
    if isinstance(member, types.FunctionType):
        return "method" if not name.startswith("__") or name == "__init__" else None
    if isinstance(member, (property, types.MemberDescriptorType, types.GetSetDescriptorType)):
        return "property"
    if isinstance(member, (types.MethodDescriptorType,)):
        return "method"
    return None


def error_facts(bridge, error):
    """[arguments, attributes, cause] of an exception."""
    arguments = BaseException.args.__get__(error)
    state = BaseException.__getattribute__(error, "__dict__")
    attributes = dict(state) if type(state) is dict else {}
    if isinstance(error, OSError) and len(arguments) == 2 and error.filename is not None:
        arguments = (*arguments, error.filename, None, error.filename2)
    if isinstance(error, BaseExceptionGroup) and len(arguments) == 2:
        arguments = (arguments[0], error.exceptions)
    for kind, names in ((ImportError, ("name", "path")), (NameError, ("name",)), (AttributeError, ("name",))):
        if type(error) is kind or type(error).__base__ is kind:
            attributes |= {name: getattr(error, name) for name in names}
    cause = error.__cause__
    return [
        [bridge.encode(x) for x in arguments],
        [[str(k), bridge.encode(v)] for k, v in attributes.items()],
        bridge.encode(cause if isinstance(cause, BaseException) else None),
    ]
