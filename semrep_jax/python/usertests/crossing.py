"""Plain values, containers and names of the standard library as JSON, for the two processes of a person's tests.

None, bool, str, float and small integers are themselves; all else is a list that begins with a tag. Loaded by path by
`contained.py`, so it imports only the standard library.
"""

import collections
import datetime
import decimal
import enum
import fractions
import pathlib
import re
import sys
import types
import uuid
import zoneinfo

LARGEST_PLAIN = 1 << 62
# What a program may hand to the tests as their own: all else of the standard library stays in the program's process and
# is used from afar, so that no test can be brought to start a process or to compile code.
SHARED_CLASSES = frozenset(
    "builtins abc collections collections.abc copy dataclasses datetime decimal enum fractions functools itertools "
    "json json.decoder numbers pathlib re string typing types uuid zoneinfo queue contextlib numpy io _io".split()
)
PRIVATE_CLASSES = frozenset(["CodeType", "FunctionType", "FrameType", "FileIO", "ModuleType", "code", "function"])
SHARED_FUNCTIONS = {
    "builtins": "abs all any ascii bin callable chr divmod format hash hex id isinstance issubclass iter len max min "
    "next oct ord pow repr round sorted sum".split(),
    "math": None,
    "_operator": "add sub mul truediv floordiv mod neg not_ and_ or_ xor eq ne lt le gt ge concat contains".split(),
}
# An exception of these modules would decide about a test: a program's becomes another.
VERDICTS = ("_pytest", "pytest", "unittest", "pluggy")


class Malformed(Exception):
    """The other side has sent what its own half of the bridge never sends."""


def standard(module, qualname):
    """What a name of a loaded module stands for; None where there is no such thing."""
    found = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def standard_name(thing):
    """(module, qualname) of a class or function of the standard library; None for any other."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if type(module) is str and type(name) is str and standard(module, name) is thing:
        return module, name
    return None


def may_share(thing, module):
    """Whether a program may hand over this class, function or enum's member of the standard library as the tests'."""
    name = getattr(thing, "__qualname__", "")
    if isinstance(thing, enum.Enum):
        return True
    if isinstance(thing, type):
        if issubclass(thing, BaseException):
            return not module.startswith(VERDICTS)
        return module in SHARED_CLASSES and name not in PRIVATE_CLASSES
    names = SHARED_FUNCTIONS.get(module, ())
    return names is None or name in names


def _date(value):
    return [value.year, value.month, value.day]


def _clock(value):
    return [value.hour, value.minute, value.second, value.microsecond, value.tzinfo, value.fold]


def _time(*parts):
    return datetime.time(*parts[:-1], fold=parts[-1])


def _moment(*parts):
    return datetime.datetime(*parts[:-1], fold=parts[-1])


def _pattern(value):
    implied = re.UNICODE if type(value.pattern) is str else 0
    return [value.pattern, int(value.flags & ~implied)]


# type: (tag, its parts, the value of those parts). Parts are encoded in turn.
BY_VALUE = {
    bytes: ("bytes", lambda v: [v.hex()], bytes.fromhex),
    complex: ("complex", lambda v: [v.real, v.imag], complex),
    datetime.date: ("date", _date, datetime.date),
    datetime.time: ("time", _clock, _time),
    datetime.datetime: ("datetime", lambda v: _date(v) + _clock(v), _moment),
    datetime.timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds], datetime.timedelta),
    datetime.timezone: ("timezone", lambda v: [*v.__getinitargs__()], datetime.timezone),
    zoneinfo.ZoneInfo: ("zone", lambda v: [v.key], zoneinfo.ZoneInfo),
    decimal.Decimal: ("decimal", lambda v: [str(v)], decimal.Decimal),
    fractions.Fraction: ("fraction", lambda v: [v.numerator, v.denominator], fractions.Fraction),
    pathlib.PosixPath: ("path", lambda v: [str(v)], pathlib.PosixPath),
    pathlib.PurePosixPath: ("pure path", lambda v: [str(v)], pathlib.PurePosixPath),
    uuid.UUID: ("uuid", lambda v: [v.hex], uuid.UUID),
    range: ("range", lambda v: [v.start, v.stop, v.step], range),
    slice: ("slice", lambda v: [v.start, v.stop, v.step], slice),
    re.Pattern: ("pattern", _pattern, re.compile),
    type(...): ("ellipsis", lambda v: [], lambda: ...),
    type(NotImplemented): ("not implemented", lambda v: [], lambda: NotImplemented),
    types.GenericAlias: ("alias", lambda v: [v.__origin__, v.__args__], types.GenericAlias),
}
FROM_PARTS = {tag: make for tag, _, make in BY_VALUE.values()}


def _pairs(v):
    return [x for pair in dict.items(v) for x in pair]


def _set_pairs(v, parts):
    items = list(zip(parts[::2], parts[1::2], strict=True))
    dict.clear(v)
    for key, value in items:
        dict.__setitem__(v, key, value)


def _ordered_pairs(v):
    return [x for pair in collections.OrderedDict.items(v) for x in pair]


def _set_ordered(v, parts):
    collections.OrderedDict.clear(v)
    for key, value in zip(parts[::2], parts[1::2], strict=True):
        collections.OrderedDict.__setitem__(v, key, value)


def _set_default(v, parts):
    v.default_factory = parts[0]
    _set_pairs(v, parts[1:])


def _set_set(v, parts):
    set.clear(v)
    set.update(v, parts)


def _set_deque(v, parts):
    collections.deque.clear(v)
    collections.deque.extend(v, parts)


def _nothing(v):
    return []


# Containers of which both processes have one: before each step the contents of one are made those of the other.
# type: (tag, what an empty one is made of, making it, its contents, giving it contents)
CONTAINERS = {
    list: (
        "list",
        _nothing,
        list,
        lambda v: list.__getitem__(v, slice(None)),
        lambda v, p: list.__setitem__(v, slice(None), p),
    ),
    dict: ("dict", _nothing, dict, _pairs, _set_pairs),
    set: ("set", _nothing, set, lambda v: list(set.__iter__(v)), _set_set),
    bytearray: (
        "bytearray",
        _nothing,
        bytearray,
        lambda v: [bytearray.hex(v)],
        lambda v, p: bytearray.__setitem__(v, slice(None), bytes.fromhex(p[0])),
    ),
    collections.deque: (
        "deque",
        lambda v: [v.maxlen],
        lambda maxlen: collections.deque(maxlen=maxlen),
        lambda v: list(collections.deque.__iter__(v)),
        _set_deque,
    ),
    collections.OrderedDict: ("ordered", _nothing, collections.OrderedDict, _ordered_pairs, _set_ordered),
    collections.defaultdict: (
        "default",
        _nothing,
        collections.defaultdict,
        lambda v: [v.default_factory, *_pairs(v)],
        _set_default,
    ),
    collections.Counter: ("counter", _nothing, collections.Counter, _pairs, _set_pairs),
}
CONTAINER_TAGS = {row[0]: row for row in CONTAINERS.values()}
# Immutable builtins that a class may be derived from: an instance crosses with its value.
IMMUTABLE_BASES = (int, float, str, bytes, complex, tuple, frozenset)


def share_arrays():
    """Let NumPy's arrays, numbers and types cross, where it is loaded."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return

    def empty(dtype, shape):
        return numpy.zeros([int(n) for n in shape.split(",") if n], dtype)

    def contents(v):
        return v.ravel().tolist() if v.dtype.hasobject else [v.tobytes().hex()]

    def fill(v, parts):
        if v.dtype.hasobject:
            v.ravel()[...] = parts
        else:
            v[...] = numpy.frombuffer(bytes.fromhex(parts[0]), dtype=v.dtype).reshape(v.shape)

    def number(dtype, text):
        return numpy.frombuffer(bytes.fromhex(text), dtype=dtype)[0]

    def described(v):
        return [v.dtype.str, ",".join(map(str, v.shape))]

    CONTAINERS[numpy.ndarray] = CONTAINER_TAGS["array"] = ("array", described, empty, contents, fill)
    for letter in "?bhilqBHILQefdFD":
        dtype = numpy.dtype(letter)
        BY_VALUE[dtype.type] = ("number", lambda v: [v.dtype.str, v.tobytes().hex()], number)
        BY_VALUE[type(dtype)] = ("dtype", lambda v: [v.str], numpy.dtype)
    FROM_PARTS["number"], FROM_PARTS["dtype"] = number, numpy.dtype
