"""What the owner of an object does when the other side uses its stand-in. Loaded by path by `contained.py`."""

import copy
import inspect
import pickle
import types

import crossing
from crossing import Malformed
from described import CLOSED_PREFIXES, COMPARISONS, OPEN_DUNDERS, SPECIAL


def permitted(bridge, thing, name):
    """Refuse a program a name that leads out of the object that the tests gave it. Raises AttributeError.

    bridge: this side's; only the tests' side is guarded, and the other refuses nothing. thing: the object. name: of the
    attribute or method that is asked for.
    """
    if not bridge.guarded:
        return
    hidden = name.startswith("__") and name not in OPEN_DUNDERS
    if hidden or name.startswith(CLOSED_PREFIXES) or isinstance(thing, (types.ModuleType, types.FrameType)):
        raise AttributeError(f"{name!r} of an object of the tests is not for the program")


def derive(bridge, origin, twin_of, hooks, args, kwargs):
    """An instance, not yet initialised, of a class derived here whose methods ask the other side.

    bridge: this side's. origin: the class of this side that the other has derived from. twin_of: the stand-in of the
    derived class. hooks: names of the methods that it overrides. args: passed to `__new__` where the class has its own.
    kwargs: not used here, as the other side calls `__init__` itself.
    """
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


def _member(bridge, cls, name):
    if bridge.guarded:
        raise Malformed("not for the program")
    return vars(cls)[name]


def _members(bridge, cls):
    if bridge.guarded:
        raise Malformed("not for the program")
    return list(vars(cls))


def _pickle(bridge, thing, protocol):
    if bridge.guarded:  # it would tell the program what it may not ask for
        raise TypeError(f"cannot pickle {type(thing).__name__!r} object")
    return pickle.dumps(thing, protocol)


def _unpickle(bridge, data):
    if bridge.guarded:
        raise Malformed("not for the program")
    return pickle.loads(data)


def _compare(bridge, thing, name, args, kwargs):
    if name not in COMPARISONS:
        raise Malformed(name)
    (value,) = args
    return _special(bridge, thing, name, [value], {})


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
    thing = crossing.standard(module, name)
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
    "member": _member,
    "members": _members,
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
    "isinstance": lambda bridge, cls, thing: isinstance(thing, cls),
    "issubclass": lambda bridge, cls, other: issubclass(other, cls),
    "or": lambda bridge, thing, other: thing | other,
    "dir": lambda bridge, thing: dir(thing) if not bridge.guarded else [],
    "copy": lambda bridge, thing: copy.copy(thing),
    "deepcopy": lambda bridge, thing: copy.deepcopy(thing),
    "pickle": _pickle,
    "unpickle": _unpickle,
}
TAKE_ARGUMENTS = frozenset("call method special exact overridden compare generator derive".split())
