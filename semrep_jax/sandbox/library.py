"""How the content of values of the standard library is written down, by module and name: `LIBRARY[name](encoder, value,
depth)` is a wire form (see `values`). Loaded by path, so it imports only the standard library.
"""


def _raw(function):
    """Content that is written as it is, a text or a list of texts and numbers."""
    return lambda encoder, value, depth: function(value)


def _inner(function):
    """Content that is written as the value that `function` gives."""
    return lambda encoder, value, depth: encoder.walk(function(value), depth + 1)


def _items(encoder, value, depth):
    return [encoder.walk(x, depth + 1) for x in value]


def _time_content(value):
    return [value.isoformat(), value.fold, str(value.tzinfo)]


def _stream(value):
    return ["closed"] if value.closed else [repr(value.getvalue()), value.tell()]


def _match(value):
    return [value.re.pattern if type(value.re.pattern) is str else repr(value.re.pattern), list(value.span())] + [
        repr(value.groups()),
        repr(value.groupdict()),
    ]


LIBRARY = {
    "datetime.date": _raw(lambda v: v.isoformat()),
    "datetime.datetime": _raw(_time_content),
    "datetime.time": _raw(_time_content),
    "datetime.timedelta": _raw(lambda v: [v.days, v.seconds, v.microseconds]),
    "datetime.timezone": _raw(repr),
    "zoneinfo.ZoneInfo": _raw(str),
    "decimal.Decimal": _raw(str),
    "fractions.Fraction": _inner(lambda v: (v.numerator, v.denominator)),
    "uuid.UUID": _raw(str),
    "pathlib.PosixPath": _raw(str),
    "pathlib.PurePosixPath": _raw(str),
    "pathlib.PureWindowsPath": _raw(str),
    "ipaddress.IPv4Address": _raw(str),
    "ipaddress.IPv6Address": _raw(str),
    "ipaddress.IPv4Network": _raw(str),
    "ipaddress.IPv6Network": _raw(str),
    "collections.deque": lambda e, v, d: [v.maxlen, *_items(e, v, d)],
    "collections.Counter": _inner(lambda v: dict(dict.items(v))),
    "collections.OrderedDict": _inner(lambda v: dict(v.items())),
    "collections.defaultdict": lambda e, v, d: [e.missing(v.default_factory, d), e.walk(dict(dict.items(v)), d + 1)],
    "collections.ChainMap": _inner(lambda v: list(v.maps)),
    "collections.UserDict": _inner(lambda v: v.data),
    "collections.UserList": _inner(lambda v: v.data),
    "builtins.range": _inner(lambda v: (v.start, v.stop, v.step)),
    "builtins.slice": _inner(lambda v: (v.start, v.stop, v.step)),
    "builtins.bytearray": _raw(lambda v: v.hex()),
    "builtins.memoryview": _raw(lambda v: v.tobytes().hex()),
    "builtins.dict_keys": _items,
    "builtins.dict_values": _items,
    "builtins.dict_items": _items,
    "builtins.mappingproxy": _inner(dict),
    "builtins.NotImplementedType": _raw(str),
    "builtins.ellipsis": _raw(str),
    "builtins.module": _raw(lambda v: v.__name__),
    "array.array": lambda e, v, d: [v.typecode, *_items(e, v, d)],
    "re.Pattern": _raw(lambda v: [repr(v.pattern), int(v.flags)]),
    "re.Match": _raw(_match),
    "io.StringIO": _raw(_stream),
    "io.BytesIO": _raw(_stream),
    "_io.StringIO": _raw(_stream),
    "_io.BytesIO": _raw(_stream),
    "types.SimpleNamespace": _inner(lambda v: dict(v.__dict__)),
    "types.GenericAlias": _raw(repr),
    "types.UnionType": _raw(repr),
    "time.struct_time": _inner(tuple),
    "argparse.Namespace": _inner(lambda v: dict(v.__dict__)),
    "logging.Logger": _raw(lambda v: v.name),
    "typing.TypeVar": _raw(str),
    "typing.NewType": _raw(lambda v: [str(v.__name__), repr(v.__supertype__)]),
}  # fmt: skip
