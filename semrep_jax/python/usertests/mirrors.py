"""Stand-ins for objects of the other process: functions, classes, instances, errors, generators, coroutines.

A class of the other side becomes a class here, with the same name and bases as far as both sides have them, so that
`isinstance`, `except` and `super()` work; its methods ask the owner (`operations`). An instance has no attributes here:
each is asked for. A class that is derived here from such a class gets a twin over there, whose methods ask back.

`STAND_INS` makes a stand-in of what `described` tells of an object. Loaded by path by `contained.py`.
"""

import abc
import collections.abc
import dataclasses
import inspect

import compared
import crossing
from crossing import Malformed
from described import COMPARISONS, FLAGS, FUNCTION, OWN_MEMBERS, SPECIAL, class_facts


def function_stand_in(bridge, number, facts):
    """A function that asks the owner of the real one.

    bridge: this side's. number: the real function's. facts: see `described.function_facts`.
    """

    def stand_in(*args, **kwargs):
        return bridge.call("call", stand_in, args=args, kwargs=kwargs)

    dress(bridge, stand_in, facts)
    bridge.keep(number, stand_in)
    bridge.watch(number, FUNCTION)
    return stand_in


def dress(bridge, stand_in, facts):
    """The same function, looking like the one that it stands in for.

    bridge: this side's, which decodes defaults and annotations. stand_in: changed in place. facts: see
    `described.function_facts`; where they are None, nothing is changed.
    """
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
            given = [p for p in signature.parameters.values() if p.default is not p.empty]
            by_name = {p.name: p.default for p in given if p.kind is p.KEYWORD_ONLY}
            stand_in.__defaults__ = tuple(p.default for p in given if p.name not in by_name) or None
            stand_in.__kwdefaults__ = by_name or None
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


held = type.__dict__["__dict__"].__get__  # what a class holds in this process


class Members(collections.abc.Mapping):
    """What a stand-in class shows as its `__dict__`: the methods here, what else the real class holds is asked for."""

    def __init__(self, cls):
        self.cls = cls

    def __getitem__(self, name):
        bridge, here = self.cls._bridge_, held(self.cls)
        there = bridge.request("member", self.cls, name)
        return here[name] if id(here.get(name)) in bridge.members else there

    def __iter__(self):
        return iter(self.cls._bridge_.request("members", self.cls))

    def __len__(self):
        return len(self.cls._bridge_.request("members", self.cls))


class Mirror(abc.ABCMeta):
    """The class of stand-in classes."""

    @property
    def __dict__(cls):
        bridge = held(cls).get("_bridge_")
        asked = "_origin_" in held(cls) and bridge.guarded and bridge.number(cls) is not None  # by the tests alone
        return Members(cls) if asked else held(cls)

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

    def __instancecheck__(cls, thing):
        return super().__instancecheck__(thing) or _asked(cls, "isinstance", thing)

    def __subclasscheck__(cls, other):
        return super().__subclasscheck__(other) or _asked(cls, "issubclass", other)

    def __bool__(cls):
        return True

    def __or__(cls, other):
        return cls._bridge_.request("or", nearest(cls), other)

    def __dir__(cls):
        return sorted({*super().__dir__(), *cls._bridge_.request("dir", nearest(cls))})


def _asked(cls, question, thing):
    """What the other side's class says of an instance or class, where it says so itself: protocols, what is
    registered with an abstract class."""
    return "_asked_" in held(cls) and bool(cls._bridge_.request(question, cls, thing))


def nearest(cls):
    """The first class of a stand-in's line that the other side has made."""
    return next((c for c in cls.__mro__ if "_origin_" in held(c)), None)


def class_stand_in(bridge, number, facts):
    """A class whose instances' every use asks the owner.

    bridge: this side's. number: the real class's, or a spare one (see `opaque_class`). facts: see
    `described.class_facts`.
    """
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
        "__reduce_ex__": _pickled,
        "_unpickled_": classmethod(_unpickled_),
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
    if facts["asked"]:
        namespace["_asked_"] = True
    if facts["awaitable"]:
        namespace["__await__"] = lambda self: bridge.awaited(self).__await__()
    if any(issubclass(b, BaseException) for b in bases):
        del namespace["__dict__"], namespace["__reduce_ex__"], namespace["_unpickled_"]
    try:
        cls = Mirror(facts["name"], tuple(bases), namespace)
    except TypeError:
        cls = Mirror(facts["name"], (), namespace)
    type.__setattr__(cls, "__abstractmethods__", frozenset())
    if "fields" in facts:
        type.__setattr__(cls, "__dataclass_fields__", {row[0]: local_field(*row) for row in facts["fields"]})
    return bridge.keep(number, cls)


def local_field(name, kind, init, shown, compare):
    """A dataclass's field as `dataclasses` wants to see it.

    name: the field's. kind: its type as a text. init, shown, compare: whether `__init__` takes it, the `repr` shows it,
    and comparisons look at it.
    """
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


def _pickled(self, protocol):
    """How `pickle` takes a stand-in: as what the owner of the object pickles, which the owner alone reads again."""
    bridge = type(self)._bridge_
    if not is_foreign(bridge, type(self)):
        return object.__reduce_ex__(self, protocol)
    return type(self)._unpickled_, (bridge.request("pickle", self, protocol),)


def _unpickled_(cls, data):
    """The stand-in of what the owner reads; `pickle` finds it by this name, in the class that it finds by its own."""
    return cls._bridge_.request("unpickle", data)


def _derived(cls, **kwargs):
    """A class derived here from a stand-in class: nothing to do until it is used."""


def special(bridge, name):
    """A special method of a stand-in class."""

    if name in COMPARISONS:

        def stand_in(self, other):
            foreign = isinstance(type(other), Mirror) or isinstance(other, Mirror)
            return compared.compared(bridge, name, self, other, foreign)

    elif name == "__call__":

        def stand_in(self, *args, **kwargs):
            return bridge.call("call", self, args=args, kwargs=kwargs)

    else:

        def stand_in(self, *args):
            if not is_foreign(bridge, type(self)):
                return bridge.call("exact", nearest(type(self)), name, self, args=args)
            found = bridge.call("special", self, name, args=args)
            if name in compared.DISTANCES:
                compared.require_distance(bridge, name, self, args, found)
            return found

    stand_in.__name__ = name
    return stand_in


def is_foreign(bridge, cls):
    """Whether a class is a stand-in and not one derived from a stand-in."""
    number = bridge.number(cls)
    return number is not None and not bridge.mine(number)


def method(bridge, name, class_facts_):
    """A method of a stand-in class.

    bridge: this side's. name: the method's. class_facts_: of its class (`described.class_facts`), for its module and
    qualified name.
    """

    def invoke(args, kwargs):
        self, *rest = args
        if is_foreign(bridge, type(self)) and name != "__init__":
            return bridge.call("method", self, name, args=rest, kwargs=kwargs)
        origin = next(c for c in type(self).__mro__ if "_origin_" in held(c) and name in held(c))
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


def instance_stand_in(bridge, number, cls, base, plain):
    """An instance of a stand-in class, with the value or contents of the builtin that it is derived from.

    bridge: this side's. number: the real instance's. cls: its class in wire form. base: the builtin that the class is
    derived from, as a tag of `crossing.CONTAINER_TAGS` or the name of an immutable one; None where it is derived from
    neither. plain: the value of an immutable one, as wire forms of what makes it; a container's contents come with a
    later message's changes. Raises Malformed where the class is not derived from `base`.
    """
    cls = bridge.decode(cls)
    if not isinstance(cls, Mirror):
        cls = opaque_class(bridge, cls)
    if base is None:
        return bridge.keep(number, object.__new__(cls))
    if base in crossing.CONTAINER_TAGS:
        row = crossing.CONTAINER_TAGS[base]
        kind = next(k for k, r in crossing.CONTAINERS.items() if r is row)
        if not issubclass(cls, kind):
            raise Malformed("contents without a container")
        thing = bridge.keep(number, kind.__new__(cls))
        bridge.watch(number, row)
        return thing
    kind = next(k for k in crossing.IMMUTABLE_BASES if k.__name__ == base)
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
    """An exception: a real one where its class is on both sides, else an instance of a stand-in class.

    bridge: this side's. number: the real exception's. cls: its class in wire form. arguments: its `args`, a wire form
    each. attributes: [name, wire form] of each; they are set on a real exception alone. cause: what it was raised from,
    in wire form. Raises Malformed where the class is no class of exceptions.
    """
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
    """A generator that takes each step at the owner's.

    bridge: this side's. number: the real generator's. name: its `__name__`.
    """

    def steps():
        return (yield from _Steps(bridge, number))

    generator = steps()
    generator.__name__ = name
    return bridge.keep(number, generator)


def coroutine_stand_in(bridge, number, name):
    """A coroutine that is awaited at the owner's.

    bridge: this side's. number: the real coroutine's. name: its `__name__`.
    """

    async def wait():
        return await bridge.awaited(number)

    coroutine = wait()
    coroutine.__name__ = name
    return bridge.keep(number, coroutine)


def unshared(bridge, module, name):
    """A class or function of the standard library that stays on the other side.

    bridge: this side's. module, name: where the standard library has it (`name` is the qualified one). An exception's
    class is made here instead, as an Exception of that name.
    """
    key = (module, name)
    if key not in bridge.unshared:
        thing = crossing.standard(module, name)
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


def derived_instance(bridge, cls, args, kwargs):
    """An instance of a class that was derived here from a class of the other side's.

    bridge: this side's. cls: the class derived here. args, kwargs: of the call that makes the instance: first its
    twin over there, then `__init__` is called with them. Raises Malformed where the other side gives an instance of
    another class.
    """
    origin = nearest(cls)
    hooks = [
        name
        for c in cls.__mro__
        if "_origin_" not in held(c) and isinstance(c, Mirror)
        for name, member in held(c).items()
        if callable(member) and (not name.startswith("__") or name in SPECIAL or name == "__init__")
    ]
    self = bridge.call("derive", origin, cls, sorted(set(hooks)), args=args, kwargs=kwargs)
    if not isinstance(self, cls):
        raise Malformed("an instance of another class")
    self.__init__(*args, **kwargs)
    return self
