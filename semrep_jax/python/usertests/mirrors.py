"""Stand-ins for objects of the other process: functions, classes, instances, errors, generators, coroutines.

A class of the other side becomes a class here, with the same name and bases as far as both sides have them, so that
`isinstance`, `except` and `super()` work; its methods ask the owner. An instance has no attributes here: each is asked
for. A class that is derived here from such a class gets a twin over there, whose methods ask back.

`description` says what the other side needs to know of an object, `STAND_INS` makes a stand-in of that, `OPERATIONS`
is what the owner does when one is used. Loaded by path by `contained.py`.
"""

import abc
import collections.abc
import copy
import dataclasses
import inspect
import random
import string
import types

import values
from values import Malformed

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


def permitted(bridge, thing, name):
    """Refuse a program a name that leads out of the object that the tests gave it. Raises AttributeError."""
    if not bridge.guarded:
        return
    hidden = name.startswith("__") and name not in OPEN_DUNDERS
    if hidden or name.startswith(CLOSED_PREFIXES) or isinstance(thing, (types.ModuleType, types.FrameType)):
        raise AttributeError(f"{name!r} of an object of the tests is not for the program")


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


# What the other side is told


def description(bridge, number, v, t):
    """News of an object that stays here: [kind, number, ...]."""
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
    for base, row in values.CONTAINERS.items():
        if issubclass(t, base):
            bridge.watch(number, row)
            bridge.unfilled.append(number)
            return ["object", number, bridge.encode(t), row[0], row[1](v)]
    for base in values.IMMUTABLE_BASES:
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
        signature = inspect.signature(f, follow_wrapped=False)
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
    if base in values.CONTAINERS or base in values.IMMUTABLE_BASES or base in ABSTRACT:
        return True
    return issubclass(base, BaseException) and values.standard_name(base) is not None and base.__module__ != "__main__"


def own(bridge, cls):
    """Whether a class was made by the program or the tests."""
    named = values.standard_name(cls)
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


# Stand-ins


def function_stand_in(bridge, number, facts):
    """A function that asks the owner of the real one."""

    def stand_in(*args, **kwargs):
        return bridge.call("call", stand_in, args=args, kwargs=kwargs)

    dress(bridge, stand_in, facts)
    bridge.keep(number, stand_in)
    bridge.watch(number, FUNCTION)
    return stand_in


def dress(bridge, stand_in, facts):
    """The same function, looking like the one that it stands in for."""
    if facts is None:
        return stand_in
    stand_in.__name__, stand_in.__qualname__, stand_in.__module__ = facts["name"], facts["qualname"], facts["module"]
    stand_in.__doc__ = facts["doc"]
    code = stand_in.__code__
    flags = {"co_flags": code.co_flags | (facts["flags"] & FLAGS)}
    text = bridge.texts.get(facts["module"])
    if text is not None and type(facts["line"]) is int:
        flags |= {"co_filename": text, "co_firstlineno": max(1, facts["line"]), "co_name": facts["name"]}
    stand_in.__code__ = code.replace(**flags)
    if facts["parameters"] is not None:
        signature = signature_from(bridge, facts)
        if signature is not None:
            stand_in.__signature__ = signature
            notes = {p.name: p.annotation for p in signature.parameters.values() if p.annotation is not p.empty}
            if signature.return_annotation is not signature.empty:
                notes["return"] = signature.return_annotation
            stand_in.__annotations__ = notes
    return stand_in


def signature_from(bridge, facts):
    """The signature that a function's facts tell."""
    empty, parameters = inspect.Parameter.empty, []
    for name, kind, default, annotation in facts["parameters"]:
        default = bridge.decode(default[0]) if default else empty
        annotation = bridge.decode(annotation[0]) if annotation else empty
        parameters.append(
            inspect.Parameter(name, list(inspect._ParameterKind)[kind], default=default, annotation=annotation)
        )
    returns = facts.get("returns")
    try:
        return inspect.Signature(parameters, return_annotation=bridge.decode(returns[0]) if returns else empty)
    except ValueError:
        return None


class Mirror(abc.ABCMeta):
    """The class of stand-in classes."""

    def __call__(cls, *args, **kwargs):
        bridge = cls._bridge_
        if bridge.number(cls) is not None and not bridge.mine(bridge.number(cls)):
            return bridge.call("call", cls, args=args, kwargs=kwargs)
        return derived_instance(bridge, cls, args, kwargs)

    def __getattr__(cls, name):
        origin = nearest(cls)
        if name.startswith("_abc_") or name in ("__wrapped__", "__signature__", "__text_signature__") or origin is None:
            raise AttributeError(name)
        return origin._bridge_.request("getattr", origin, name)

    def __setattr__(cls, name, value):
        bridge = cls._bridge_
        if name.startswith(("_abc_", "__abstract")) or nearest(cls) is not cls:
            return super().__setattr__(name, value)
        return bridge.request("setattr", cls, name, value)

    def __delattr__(cls, name):
        if nearest(cls) is not cls:
            return super().__delattr__(name)
        return cls._bridge_.request("delattr", cls, name)

    def __iter__(cls):
        return cls._bridge_.request("iter", nearest(cls))

    def __len__(cls):
        return cls._bridge_.request("len", nearest(cls))

    def __getitem__(cls, item):
        return cls._bridge_.request("getitem", nearest(cls), item)

    def __contains__(cls, item):
        return cls._bridge_.request("contains", nearest(cls), item)

    def __bool__(cls):
        return True

    def __or__(cls, other):
        return cls._bridge_.request("or", nearest(cls), other)

    def __dir__(cls):
        return sorted({*super().__dir__(), *cls._bridge_.request("dir", nearest(cls))})


def nearest(cls):
    """The first class of a stand-in's line that the other side has made."""
    return next((c for c in cls.__mro__ if "_origin_" in vars(c)), None)


def class_stand_in(bridge, number, facts):
    """A class whose instances' every use asks the owner."""
    bases = []
    for base in facts["bases"]:
        base = bridge.decode(base)
        if isinstance(base, type) and not any(issubclass(b, base) for b in bases):
            bases.append(base)
    namespace = {
        "__module__": facts["module"],
        "__qualname__": facts["qualname"],
        "__doc__": facts["doc"],
        "_bridge_": bridge,
        "_origin_": number,
        "__getattr__": _get_attribute,
        "__setattr__": _set_attribute,
        "__delattr__": _delete_attribute,
        "__copy__": lambda self: bridge.request("copy", self),
        "__deepcopy__": lambda self, memo: bridge.request("deepcopy", self),
        "__dict__": property(lambda self: bridge.request("getattr", self, "__dict__")),
        "__init_subclass__": _derived,
    }
    for name, (kind, known) in facts["members"].items():
        if name in OWN_MEMBERS or (name in namespace and name not in ("__copy__", "__deepcopy__")):
            continue
        if kind == "none":
            namespace[name] = None
            continue
        if kind == "special" and name in SPECIAL:
            namespace[name] = dress(bridge, special(bridge, name), known)
        elif kind == "method":
            namespace[name] = dress(bridge, method(bridge, name, facts), known)
        elif kind == "property":
            namespace[name] = forwarded_property(name)
        if name in namespace:
            bridge.members[id(namespace[name])] = (number, name)
    if facts["awaitable"]:
        namespace["__await__"] = lambda self: bridge.awaited(self).__await__()
    if any(issubclass(b, BaseException) for b in bases):
        del namespace["__dict__"]
    try:
        cls = Mirror(facts["name"], tuple(bases), namespace)
    except TypeError:
        cls = Mirror(facts["name"], (), namespace)
    type.__setattr__(cls, "__abstractmethods__", frozenset())
    if "fields" in facts:
        type.__setattr__(cls, "__dataclass_fields__", {row[0]: local_field(*row) for row in facts["fields"]})
    return bridge.keep(number, cls)


def local_field(name, kind, init, shown, compare):
    """A dataclass's field as `dataclasses` wants to see it."""
    field = dataclasses.field(init=init, repr=shown, compare=compare)
    field.name, field.type, field._field_type = name, kind, dataclasses._FIELD
    return field


def _get_attribute(self, name):
    bridge = type(self)._bridge_
    if name.startswith("_bridge_") or bridge.number(self) is None:
        raise AttributeError(name)
    return bridge.request("getattr", self, name)


def _set_attribute(self, name, value):
    bridge = type(self)._bridge_
    if (name.startswith("__") and name != "__dict__") or bridge.number(self) is None:
        return object.__setattr__(self, name, value)
    return bridge.request("setattr", self, name, value)


def _delete_attribute(self, name):
    return type(self)._bridge_.request("delattr", self, name)


def _derived(cls, **kwargs):
    """A class derived here from a stand-in class: nothing to do until it is used."""


def special(bridge, name):
    """A special method of a stand-in class."""

    if name in COMPARISONS:

        def stand_in(self, other):
            return compared(bridge, name, self, other)

    elif name == "__call__":

        def stand_in(self, *args, **kwargs):
            return bridge.call("call", self, args=args, kwargs=kwargs)

    else:

        def stand_in(self, *args):
            if not is_foreign(bridge, type(self)):
                return bridge.call("exact", nearest(type(self)), name, self, args=args)
            return bridge.call("special", self, name, args=args)

    stand_in.__name__ = name
    return stand_in


def is_foreign(bridge, cls):
    """Whether a class is a stand-in and not one derived from a stand-in."""
    number = bridge.number(cls)
    return number is not None and not bridge.mine(number)


def method(bridge, name, class_facts_):
    """A method of a stand-in class."""

    def invoke(args, kwargs):
        self, *rest = args
        if is_foreign(bridge, type(self)) and name != "__init__":
            return bridge.call("method", self, name, args=rest, kwargs=kwargs)
        origin = next(c for c in type(self).__mro__ if "_origin_" in vars(c) and name in vars(c))
        return bridge.call("exact", origin, name, self, args=rest, kwargs=kwargs)

    def stand_in(*args, **kwargs):
        return invoke(args, kwargs)

    stand_in.__name__, stand_in.__module__ = name, class_facts_["module"]
    stand_in.__qualname__ = f"{class_facts_['qualname']}.{name}"
    return stand_in


def forwarded_property(name):
    """A property, slot or other data descriptor of a stand-in class."""
    return property(
        lambda self: type(self)._bridge_.request("getattr", self, name),
        lambda self, value: type(self)._bridge_.request("setattr", self, name, value),
        lambda self: type(self)._bridge_.request("delattr", self, name),
    )


# Comparisons with plain values. An object of the program that says that it equals whatever a test expects has not been
# seen to equal anything: it is asked about others like it in the same breath, and must tell them apart.


class Untruthful(AssertionError):
    """An object of the program claims to equal (or to be above, below, ...) every value."""


def compared(bridge, name, self, other):
    """What a special method of comparison gives; on the tests' side, with decoys among the values."""
    if not bridge.guarded or isinstance(type(other), Mirror) or isinstance(other, Mirror):
        return bridge.call("special", self, name, args=(other,))
    if not plain(other):
        return NotImplemented if name != "__contains__" else bridge.call("special", self, name, args=(other,))
    candidates = [other, *decoys(other, name)]
    order = list(range(len(candidates)))
    _shuffler.shuffle(order)
    answers = bridge.call("compare", self, name, args=[candidates[i] for i in order])
    if type(answers) is not list or len(answers) != len(order):
        raise Malformed("comparisons")
    said = dict(zip(order, answers, strict=True))
    claims = [a is not NotImplemented and bool(a) is (name != "__ne__") for _, a in sorted(said.items())]
    if claims[0] and any(claims[1:]):
        raise Untruthful(f"the program's {type(self).__name__} answers {said[0]!r} to {name} with any value")
    return said[0]


_shuffler = random.Random()


def plain(value):
    """Whether a value of the tests is one that crosses as it is."""
    t = type(value)
    return value is None or t in PLAIN or t in values.BY_VALUE or t in values.CONTAINERS


PLAIN = (bool, int, float, str, tuple, frozenset)


def decoys(value, name):
    """Values like this one that nothing which equals it equals."""
    rng, letters = _shuffler, string.ascii_lowercase
    if name in ("__lt__", "__le__"):
        return [-(10.0**30), -(10**25)] if isinstance(value, (int, float)) else [""] if type(value) is str else []
    if name in ("__gt__", "__ge__"):
        return [10.0**30, 10**25] if isinstance(value, (int, float)) else ["\U0010ffff"] if type(value) is str else []
    if type(value) is bool:
        return [not value]
    if type(value) is int:
        return [value + n for n in (-2, -1, 1, 2, rng.randint(3, 9), -rng.randint(3, 9 + abs(value)))]
    if type(value) is float:
        return [value + n * (1 + abs(value)) for n in (-0.02, 0.02, rng.uniform(0.1, 1.0), -rng.uniform(0.1, 1.0))]
    if type(value) is str:
        return [value + rng.choice(letters), value + value + "?", "".join(rng.choice(letters) for _ in range(9))]
    if type(value) in (list, tuple):
        rest, make = list(value), type(value)
        return [make([*rest, rng.randint(0, 99)]), make([rng.randint(100, 999), *rest[1:]]), make([*rest, *rest, "x"])]
    if type(value) is dict:
        return [{**value, "".join(rng.choice(letters) for _ in range(9)): 1}]
    if type(value) in (set, frozenset):
        return [type(value)([*value, rng.randint(10**6, 10**7)])]
    return [rng.randint(1000, 9999), "".join(rng.choice(letters) for _ in range(9))]


def instance_stand_in(bridge, number, cls, base, plain):
    """An instance of a stand-in class, with the value or contents of the builtin that it is derived from."""
    cls = bridge.decode(cls)
    if not isinstance(cls, Mirror):
        cls = opaque_class(bridge, cls)
    if base is None:
        return bridge.keep(number, object.__new__(cls))
    if base in values.CONTAINER_TAGS:
        row = values.CONTAINER_TAGS[base]
        kind = next(k for k, r in values.CONTAINERS.items() if r is row)
        if not issubclass(cls, kind):
            raise Malformed("contents without a container")
        thing = bridge.keep(number, kind.__new__(cls))
        bridge.watch(number, row)
        return thing
    kind = next(k for k in values.IMMUTABLE_BASES if k.__name__ == base)
    if not issubclass(cls, kind):
        raise Malformed("a value of another class")
    parts = [bridge.decode(x) for x in plain]
    return bridge.keep(number, kind.__new__(cls, parts) if kind in (tuple, frozenset) else kind.__new__(cls, *parts))


def opaque_class(bridge, cls):
    """A stand-in class for instances of a class that both sides have, but which stay on the other."""
    known = bridge.opaque.get(cls)
    if known is None:
        bridge.spare -= 2
        known = bridge.opaque[cls] = class_stand_in(bridge, bridge.spare, class_facts(bridge, None, cls))
        bridge.aliases[bridge.spare] = ["standard", cls.__module__, cls.__qualname__]
    return known


def error_stand_in(bridge, number, cls, arguments, attributes, cause):
    """An exception: a real one where its class is on both sides, else an instance of a stand-in class."""
    cls = bridge.decode(cls)
    arguments = [bridge.decode(x) for x in arguments]
    if not (isinstance(cls, type) and issubclass(cls, BaseException)):
        raise Malformed("an error of no class of errors")
    if isinstance(cls, Mirror):
        error = cls.__new__(cls, *arguments)
        BaseException.args.__set__(error, tuple(arguments))
    else:
        error = standard_error(cls, arguments)
        for name, value in attributes:
            if not name.startswith("__") or name == "__notes__":
                setattr(error, name, bridge.decode(value))
    bridge.keep(number, error)
    cause = bridge.decode(cause)
    if isinstance(cause, BaseException):
        error.__cause__ = cause
    return error


def standard_error(cls, arguments):
    """An exception of the standard library with these arguments, whatever its class takes."""
    try:
        error = cls(*arguments)
    except Exception:
        error = cls.__new__(cls, *arguments)
    if not isinstance(error, OSError):
        error.args = tuple(arguments)
    return error


class _Steps:
    """A generator of the other side, as `yield from` wants it."""

    def __init__(self, bridge, number):
        self.bridge, self.number = bridge, number

    def ask(self, name, *args):
        return self.bridge.call("generator", self.number, name, args=args)

    def __iter__(self):
        return self

    def __next__(self):
        return self.ask("__next__")

    def send(self, value):
        return self.ask("send", value)

    def throw(self, error):
        return self.ask("throw", error)

    def close(self):
        if self.number in self.bridge.entries and not self.bridge.broken:
            self.ask("close")


def generator_stand_in(bridge, number, name):
    """A generator that takes each step at the owner's."""

    def steps():
        return (yield from _Steps(bridge, number))

    generator = steps()
    generator.__name__ = name
    return bridge.keep(number, generator)


def coroutine_stand_in(bridge, number, name):
    """A coroutine that is awaited at the owner's."""

    async def wait():
        return await bridge.awaited(number)

    coroutine = wait()
    coroutine.__name__ = name
    return bridge.keep(number, coroutine)


def unshared(bridge, module, name):
    """A class or function of the standard library that stays on the other side."""
    key = (module, name)
    if key not in bridge.unshared:
        thing = values.standard(module, name)
        if isinstance(thing, type) and issubclass(thing, BaseException):
            bridge.unshared[key] = type(name, (Exception,), {"__module__": module})
        else:
            bridge.unshared[key] = bridge.request("stay", module, name)
    return bridge.unshared[key]


STAND_INS = {
    "function": function_stand_in,
    "class": class_stand_in,
    "object": instance_stand_in,
    "error": error_stand_in,
    "generator": generator_stand_in,
    "coroutine": coroutine_stand_in,
}


# Classes derived here from stand-in classes


def derived_instance(bridge, cls, args, kwargs):
    """An instance of a class that was derived here from a class of the other side's."""
    origin = nearest(cls)
    hooks = [
        name
        for c in cls.__mro__
        if "_origin_" not in vars(c) and isinstance(c, Mirror)
        for name, member in vars(c).items()
        if callable(member) and (not name.startswith("__") or name in SPECIAL or name == "__init__")
    ]
    self = bridge.call("derive", origin, cls, sorted(set(hooks)), args=args, kwargs=kwargs)
    if not isinstance(self, cls):
        raise Malformed("an instance of another class")
    self.__init__(*args, **kwargs)
    return self


def derive(bridge, origin, twin_of, hooks, args, kwargs):
    """An instance, not yet initialised, of a class derived here whose methods ask the other side."""
    key = bridge.number(twin_of)
    if key not in bridge.twins:
        namespace = {"__module__": twin_of.__module__, "__qualname__": twin_of.__qualname__}
        for name in hooks:
            if name != "__init__":
                namespace[name] = hook(bridge, name)
        namespace["__init__"] = hook(bridge, "__init__")
        bridge.twins[key] = type(origin)(twin_of.__name__, (origin,), namespace)
        bridge.numbers[id(bridge.twins[key])] = key
    cls = bridge.twins[key]
    return cls.__new__(cls, *(args if cls.__new__ is not object.__new__ else ()))


def hook(bridge, name):
    """A method that the other side has overridden."""

    def overridden(self, *args, **kwargs):
        return bridge.call("overridden", self, name, args=args, kwargs=kwargs)

    overridden.__name__ = name
    return overridden


# What the owner does


def _getattr(bridge, thing, name):
    permitted(bridge, thing, name)
    return getattr(thing, name)


def _setattr(bridge, thing, name, value):
    permitted(bridge, thing, name)
    if bridge.guarded and name.startswith("__"):
        raise AttributeError(name)
    setattr(thing, name, value)


def _delattr(bridge, thing, name):
    permitted(bridge, thing, name)
    delattr(thing, name)


def _method(bridge, thing, name, args, kwargs):
    permitted(bridge, thing, name)
    return getattr(thing, name)(*args, **kwargs)


def _special(bridge, thing, name, args, kwargs):
    if name not in SPECIAL:
        raise Malformed(f"no special method {name!r}")
    if name == "__eq__" and type(thing).__eq__ is object.__eq__:
        return NotImplemented
    return getattr(type(thing), name)(thing, *args)


def _exact(bridge, cls, name, thing, args, kwargs):
    if bridge.guarded:
        raise Malformed("not for the program")
    found = inspect.getattr_static(cls, name)
    return found.__get__(thing, type(thing))(*args, **kwargs)


def _overridden(bridge, thing, name, args, kwargs):
    permitted(bridge, thing, name)
    return getattr(thing, name)(*args, **kwargs)


def _compare(bridge, thing, name, args, kwargs):
    if name not in COMPARISONS:
        raise Malformed(name)
    answers = []
    for value in args:
        try:
            answers.append(_special(bridge, thing, name, [value], {}))
        except Exception as error:
            if len(args) == 1:
                raise
            answers.append(NotImplemented if not isinstance(error, RecursionError) else None)
    return answers


def _generator(bridge, number, name, args, kwargs):
    generator = bridge.entries[number][0]
    if name not in ("__next__", "send", "throw", "close") or not isinstance(generator, types.GeneratorType):
        raise Malformed("no generator")
    return getattr(generator, name)(*args)


def _call(bridge, thing, args, kwargs):
    return thing(*args, **kwargs)


def _spawn(bridge, thing):
    return bridge.spawn(bridge.entries[thing][0] if type(thing) is int else thing)


def _stay(bridge, module, name):
    thing = values.standard(module, name)
    if bridge.guarded or thing is None:
        raise Malformed("no such thing")
    if bridge.number(thing) is None:
        bridge.describe(thing, type(thing))
    return thing


OPERATIONS = {
    "call": _call,
    "getattr": _getattr,
    "setattr": _setattr,
    "delattr": _delattr,
    "method": _method,
    "special": _special,
    "exact": _exact,
    "overridden": _overridden,
    "compare": _compare,
    "generator": _generator,
    "derive": derive,
    "spawn": _spawn,
    "poll": lambda bridge, key: bridge.poll(key),
    "cancel": lambda bridge, key: bridge.cancel(key),
    "stay": _stay,
    "iter": lambda bridge, thing: iter(thing),
    "len": lambda bridge, thing: len(thing),
    "getitem": lambda bridge, thing, item: thing[item],
    "contains": lambda bridge, thing, item: item in thing,
    "or": lambda bridge, thing, other: thing | other,
    "dir": lambda bridge, thing: dir(thing) if not bridge.guarded else [],
    "copy": lambda bridge, thing: copy.copy(thing),
    "deepcopy": lambda bridge, thing: copy.deepcopy(thing),
}
TAKE_ARGUMENTS = frozenset("call method special exact overridden compare generator derive".split())
