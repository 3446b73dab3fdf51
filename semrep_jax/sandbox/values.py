"""What Python programs take and return, as JSON: a wider form than `wire`'s, for comparing two programs.

Plain values are written as in `wire`, but a dict keeps its order (["D", [key, value], ...]). Beside them:

- ["i", hex] a large integer, ["u", text] a text with surrogates;
- ["x", type, content] a value of the standard library (date, Decimal, Counter, Path, range ...) or of numpy;
- ["o", class, content, attributes, uses] an instance of a class of the program: what it holds as a builtin, its
  attributes, what its methods give;
- ["e", class, member, value] a member of an Enum, ["class", name] a class; of one that stands inside a function also
  its public variables and what instances of it are;
- ["it", items, end] an iterator by what it yields, ["fn", [arguments, outcome], ...] a callable by what it gives.

An argument may also be ["new", class, args, kwargs] (built from the program's class), ["member", class, name],
["iter", kind, items], ["call", result], ["thing", attributes] and ["expr", text]: see `makers`.

Two values are the same where their wire forms are. What can't be written raises `Unreadable`: nothing is known of it.
Loaded by the zygote by path, so it imports only the standard library. `makers` makes arguments of these forms, in the
sandbox alone; the parent never does, it writes them down (`writing`).
"""

import builtins
import json
import re
import sys
import types
import zlib

NO_OUTCOME = ("slow", "skipped", "void", "unreadable")  # how a step may end without one (see `session`)
MAKERS = "makers"  # the module of what stands for objects and functions nobody described
MAX_NODES = 20_000
MAX_DEPTH = 40
MAX_INT_BITS = 1 << 20
PLAIN_INT_BITS = 13_000  # beyond it JSON's decimal digits would be refused
MAX_ITEMS = 60  # read of an iterator
MAX_USES = 12  # calls of a returned function
FEWER_USES = 4  # of one that a returned function returns
FUNCTIONS_GIVEN = 6  # to one that takes functions: what it does with one that raises shows too
INSTANCES_OF_CLASSES = 2  # that are made of a returned class
MAX_OBJECTS = (16, 6)  # whose methods are called, in one outcome and in what they give
USE_DEPTH = 2  # functions that return functions
STARRED, COROUTINE = 0x04, 0x80  # of a code object's flags
FILE = "<candidate>"  # of the program's code
_PLACES = re.compile(r'^  File "<candidate>", line \d+(?:, in .*)?\n(?:    .*\n)*', re.MULTILINE)
# Where an object lies: in the shape of a default `repr`, or a number as large as such places are.
_ADDRESS = re.compile(r"(\bobject|<function \S+|<lambda>| of \S+ object) at 0x[0-9a-fA-F]+|( at) 0x[0-9a-fA-F]{9,16}\b")
_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType)
_BUILTIN_BASES = (str, bytes, int, float, complex, list, tuple, dict, set, frozenset, bytearray, BaseException)
_OBSERVERS = ("__str__", "__repr__", "__len__", "__bool__", "__iter__")
_CALLED = ("__call__", "__getitem__", "__contains__")
_USED_SPECIAL = ("__enter__", "__aenter__", "__next__", "__eq__", "__lt__", "__add__", "__getattr__", "__aiter__")
REFUSALS = (TypeError, AttributeError)
_REFUSED = ("TypeError", "AttributeError")
_USES = {3: "send", 5: "close", 7: "throw"}  # of iterators, by turn
_TEXTS = ("message", "msg", "args")  # attributes of exceptions
TEXT = ["text"]  # in the place of an exception's text
MEMBERS, ARGUMENTS, CAUSE = "members", "arguments", "cause"  # of what exceptions hold
_GROUPS = getattr(builtins, "BaseExceptionGroup", ())
_WRITTEN_ERRORS = (LookupError, UnicodeError)
_SAYS_NOTHING = (object, Exception, BaseException)  # above a class of the program
_IMMUTABLE = ("datetime", "decimal", "fractions", "uuid", "pathlib", "ipaddress", "zoneinfo", "re", "typing")


class Unreadable(Exception):
    """The value is of a type, a size or a depth that can't be written down."""


class TakesNothing(Unreadable):
    """The value is a function that refuses all it was tried with."""


def text_of(wire):
    """One text for a wire form; equal where the forms are, types included."""
    return json.dumps(wire)


def without_places(text):
    """A text without the places in the program that a traceback in it names: lines move when it is rewritten."""
    return _PLACES.sub("", text) if FILE in text else text


def _in_order(wires):
    return sorted(wires, key=text_of)


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


# Types of the standard library by module and name: how their content is written.
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


class Encoder:
    """Writes values down. One for each outcome.

    program: the name that the program's module has. probes: argument tuples (Python values, fresh for each use) by
    number of arguments, to call returned functions with. turn: decides how iterators and context
    managers are used: to their end, closed, with an exception thrown in; with something sent where `sends`. asked: by
    class, what alone is asked of its instances. thrown: gives the exception of a turn, which is thrown in. items:
    at most so many are read of an iterator that lies in none; past MAX_ITEMS only a number that hangs on them is kept.
    """

    def __init__(self, program, probes, turn=0, asked=None, sends=False, thrown=None, items=MAX_ITEMS):
        self.program, self.probes, self.budget, self.turn = program, probes, MAX_NODES, turn
        self.asked, self.sends, self.thrown, self.items = asked or {}, sends, thrown, items
        self.numbers = {}  # of mutable objects, by identity, in the order in which they are met
        self.kept = []  # so that no identity is used twice
        self.count, self.shared = 0, []
        self.stack = []
        self.objects = [0] * USE_DEPTH  # that were asked, in a result itself and in what those gave
        self.depth_of_uses = 0
        self.aside = None  # what looks at objects that are not asked
        self.unasked = []  # their private state
        self.functions = self.answers = 0  # written, and what they gave
        self.given = False  # whether arguments are written, as a call has left them

    def encode(self, value):
        """The wire form; raises Unreadable. `shared` tells afterwards which objects were met again."""
        return self.walk(value, 0)

    def walk(self, v, depth):
        """The wire form of a part that lies `depth` levels down in the value; raises Unreadable past the limits."""
        self.budget -= 1
        if self.budget < 0 or depth > MAX_DEPTH:
            raise Unreadable("a value too large or nested too deeply")
        t = type(v)
        if v is None or t is bool:
            return v
        if t is int:
            return self._int(v)
        if t is str:
            return self._text(v)
        if t is float:
            return ["f", repr(v)]
        if t is bytes:
            return ["b", v.hex()]
        if t is complex:
            return ["c", repr(v.real), repr(v.imag)]
        if t is tuple:
            return ["t", *[self.walk(x, depth + 1) for x in v]]
        if t is frozenset:
            return ["z", *_in_order([self.walk(x, depth + 1) for x in v])]
        if id(v) in self.stack:
            return ["cycle", len(self.stack) - self.stack.index(id(v))]
        self._meet(v)
        self.stack.append(id(v))
        try:
            return self._mutable(v, t, depth)
        finally:
            self.stack.pop()

    def _meet(self, v):
        """Number the object; note where one of those before it is met again."""
        known = self.numbers.get(id(v))
        if known is None:
            self.numbers[id(v)] = self.count
            self.kept.append(v)
        elif is_mutable(v, self.program):
            self.shared.append([known, self.count])
        self.count += 1

    def _int(self, v):
        bits = v.bit_length()
        if bits > MAX_INT_BITS:
            raise Unreadable("an integer too large")
        return v if bits <= PLAIN_INT_BITS else ["i", hex(v)]

    def _text(self, v):
        self.budget -= len(v) // 16
        if " at 0x" in v:
            v = _ADDRESS.sub(r"\1\2 0x", v)
        v = without_places(v)
        try:
            v.encode()
        except UnicodeEncodeError:
            return ["u", v.encode("unicode_escape").decode()]
        return v

    def _mutable(self, v, t, depth):
        if t is list:
            return ["l", *[self.walk(x, depth + 1) for x in v]]
        if t is dict:
            return ["D", *[[self.walk(k, depth + 1), self.walk(x, depth + 1)] for k, x in v.items()]]
        if t is set:
            return ["s", *_in_order([self.walk(x, depth + 1) for x in v])]
        if isinstance(v, type):
            return self._class(v, depth)
        name = f"{t.__module__}.{t.__qualname__}"
        if name in LIBRARY and t.__module__ != self.program:
            return ["x", name, LIBRARY[name](self, v, depth)]
        if name.startswith("numpy."):
            return self._numpy(v, name)
        enum = sys.modules.get("enum")
        if enum is not None and isinstance(v, enum.Enum):
            return ["e", t.__qualname__, str(v._name_), self.walk(v._value_, depth + 1)]
        if isinstance(v, _FUNCTIONS) or name in ("functools.partial", "functools._lru_cache_wrapper"):
            return self._function(v)
        if isinstance(v, (types.CoroutineType, types.AsyncGeneratorType)):
            if self.given:
                return ["x", name, None]
            raise Unreadable(f"a value of type {name}")
        if name == "contextlib._GeneratorContextManager":
            error = self.thrown(self.turn // 3) if self.turn % 3 == 2 else None
            return ["with", self._used(lambda: _entered(v, error), depth)]
        if type(v).__name__ == "Thing" and t.__module__ == MAKERS:
            return ["o", "object", None, self.walk(dict(v.__dict__), depth + 1), []]
        if type(v).__name__ == "Callback" and t.__module__ == MAKERS:
            return ["x", "callback", [self.walk(list(v.__dict__["calls"]), depth + 1)]]
        if hasattr(t, "__next__") and hasattr(t, "__iter__"):
            return self._iterator(v, depth)
        return self._instance(v, t, depth)

    def _numpy(self, v, name):
        if name == "numpy.ndarray" and v.dtype.kind in "biufcSUmM":
            return ["x", name, [str(v.dtype), list(v.shape), v.tobytes().hex()]]
        if hasattr(v, "dtype") and hasattr(v, "item"):
            return ["x", name, [str(v.dtype), repr(v)]]
        raise Unreadable(f"a value of type {name}")

    def _class(self, v, depth):
        """A class by its name; one that no name at the top gives by its variables and two instances too."""
        wire = ["class", f"{v.__module__}.{v.__qualname__}"]
        if v.__module__ != self.program or v.__qualname__ in self.asked or self.depth_of_uses >= USE_DEPTH:
            return wire
        variables = [[k, self.walk(x, depth + 1)] for k, x in sorted(class_variables(v, self.program).items())]
        self.depth_of_uses += 1
        try:
            fewest, most = parameters_of(v.__init__ if isinstance(v.__init__, types.FunctionType) else v.__new__)
            given = self.probes((max(0, fewest - 1), max(0, most - 1)))[:INSTANCES_OF_CLASSES]
            return [*wire, ["D", *variables], [self._used(lambda args=args: v(*args), depth) for args in given]]
        finally:
            self.depth_of_uses -= 1

    def missing(self, factory, depth):
        """What a defaultdict gives for a key that it lacks: [error, value]; None where it gives nothing."""
        if factory is None or self.depth_of_uses >= USE_DEPTH:
            return None
        self.depth_of_uses += 1
        try:
            return self._used(factory, depth)
        finally:
            self.depth_of_uses -= 1

    def held(self, error):
        """What an exception holds beside its text: a code, arguments that are no texts, the members of a group, the
        class of its cause; of one of the program's classes what else catches it, and the attributes that its class
        gives it. Where two programs raise one, texts and what one of them lacks say nothing (`python.trace.Seen`)."""
        try:
            if isinstance(error, SystemExit):
                return self.walk(error.code, 1)
            held = self._given(error)
            if type(error).__module__ == self.program:
                state = {k: x for k, x in _state(error, type(error)).items() if k[0] != "_" and k not in _TEXTS}
                held += [[k, self.walk(x, 1)] for k, x in sorted(state.items())]
                if above := self.ancestors(type(error)):
                    held.insert(0, ["is a", ["t", *above]])
            return ["D", *held] if held else None
        except Unreadable:
            return None

    def _given(self, error):
        """What an exception was given beside texts. The key that a dict lacks and the place of what can't be decoded
        are as good as texts: the interpreter writes them."""
        found = []
        if isinstance(error, _GROUPS):
            members = [["t", error_name(one, self.program), self.held(one)] for one in error.exceptions]
            found.append([MEMBERS, ["t", *members]])
        elif not (isinstance(error, _WRITTEN_ERRORS) and type(error) in _BUILTIN_ERRORS):
            args = [self.onlooker().text_or(x) for x in _as_builtin(error, BaseException)]
            found += [[ARGUMENTS, ["t", *args]]] if any(x != TEXT for x in args) else []
        if error.__cause__ is not None:
            found.append([CAUSE, error_name(error.__cause__, self.program)])
        return found

    def onlooker(self):
        """What writes down values beside the outcome, and uses none of them."""
        self.aside = self.aside or Onlooker(self.program, self.probes, asked=self.asked)
        return self.aside

    def unseen(self):
        """What of the outcome nobody has seen: a number that hangs on the private state of objects that were not asked
        (None where there is none), and whether its functions never gave anything."""
        number = zlib.crc32(text_of(self.unasked).encode()) if self.unasked else None
        return [number, self.functions > 0 and not self.answers]

    def ancestors(self, kind):
        """Names of the classes above a class that others can know: public ones of the first program, and those of the
        library that say something."""
        above = [c for c in kind.__mro__[1:] if c.__module__ not in ("typing", "abc") and c not in _SAYS_NOTHING]
        own = [c.__name__ for c in above if c.__module__ == self.program]
        known = [name for name in own if name in self.asked and name[0] != "_"]
        return sorted(known + [c.__name__ for c in above if c.__module__ != self.program])

    def _iterator(self, v, depth):
        """An iterator by what it yields; on some turns something is sent to it, or it is ended after one item."""
        most, self.items = self.items, MAX_ITEMS
        try:
            return self._read(v, depth, most)
        finally:
            self.items = most

    def _read(self, v, depth, most):
        use = "next" if self.given else _USES.get(self.turn % 8, "next")
        use = "next" if use == "send" and not self.sends else use
        items: list = []
        beyond: list = []
        for n in range(most):
            try:
                if n and use == "close" and hasattr(v, "close"):
                    v.close()
                if n and use == "throw" and hasattr(v, "throw"):
                    item = v.throw(self.thrown(self.turn // 8))
                elif n and use in ("close", "throw"):
                    return ["it", items, "closed" if use == "close" else "ValueError", None]
                else:
                    item = v.send(n) if n and use == "send" and hasattr(v, "send") else next(v)
            except StopIteration as end:
                return ["it", items, "end", self.walk(end.value, depth + 1), *([beyond] if beyond else [])]
            except Exception as error:
                return ["it", items, error_name(error, self.program), None, *([beyond] if beyond else [])]
            if n < MAX_ITEMS:
                items.append(self.walk(item, depth + 1))
                continue
            budget = self.budget
            text = text_of(self.walk(item, depth + 1)).encode()
            self.budget, beyond = budget, [n + 1 - MAX_ITEMS, zlib.crc32(text, *beyond[1:])]
        return ["it", items, "more", None, *([beyond] if beyond else [])]

    def _used(self, use, depth):
        """What a use of a value gives: [error, value]."""
        try:
            value = use()
        except Exception as error:
            return [error_name(error, self.program), None]
        return [None, self.walk(value, depth + 1)]

    def _function(self, v):
        """A callable by what it gives to the probes."""
        own = getattr(v, "__self__", None)
        if isinstance(v, (types.BuiltinFunctionType, types.MethodWrapperType)):
            bound = None if own is None or isinstance(own, types.ModuleType) else self.walk(own, 1)
            return ["x", "function", [v.__qualname__, bound]]
        if self.depth_of_uses >= USE_DEPTH:
            raise Unreadable("functions that return functions that return functions")
        if type(v) is types.FunctionType and v.__globals__.get("__name__") != self.program:
            return ["x", "function", [f"{v.__module__}.{v.__qualname__}"]]
        self.depth_of_uses += 1
        try:
            return self._function_uses(v)
        finally:
            self.depth_of_uses -= 1

    def _function_uses(self, v):
        uses, known = [], False
        sorts = _sorts(v) if type(v) is types.FunctionType else None
        most = MAX_USES if self.depth_of_uses == 1 else FEWER_USES
        counts = parameters_of(v)
        plain = self.probes(counts, sorts)[:most]
        if self.depth_of_uses == 1 and not _calls_itself(v):
            plain = plain + self.probes(counts, sorts, own=True)
        functions = self.probes(counts, {"call"})[:FUNCTIONS_GIVEN]
        self.functions += 1
        for number, args in enumerate([*plain, *functions]):
            if number == len(plain) and known:
                break  # what takes plain values is not given functions
            given = Encoder(self.program, self.probes).encode(args)
            try:
                result = v(*args)
            except Exception as error:
                known = known or not isinstance(error, REFUSALS)
                self.answers += not isinstance(error, (*REFUSALS, LookupError))
                uses.append([given, error_name(error, self.program), None])
                continue
            budget = self.budget
            try:
                uses.append([given, None, self.walk(result, 1)])
                self.answers += not isinstance(result, _FUNCTIONS)
                known = True
            except TakesNothing:
                uses.append([given, "a function that takes nothing", None])
            except Unreadable:
                if number < most:
                    raise
                self.budget = budget
                uses.append([given, "too large", None])  # what is made of the program's own numbers may be
        if not known:
            raise TakesNothing("a function that takes nothing it was tried with")
        return ["fn", *uses]

    def _instance(self, v, t, depth):
        """An instance of a class of the program, or of one that derives from it; anything else is unreadable."""
        if t is object:
            return ["o", "object", None, ["D"], []]
        own = [c for c in t.__mro__ if c.__module__ == self.program]
        if not own and not isinstance(v, BaseException):
            raise Unreadable(f"a value of type {t.__module__}.{t.__qualname__}")
        base = next((c for c in _BUILTIN_BASES if issubclass(t, c)), None)
        content = None if base is None else self.walk(_as_builtin(v, base), depth + 1)
        name = error_name(v, self.program) if base is BaseException else t.__qualname__
        state = _state(v, t)
        public = {k: x for k, x in state.items() if not k.startswith("_")}
        methods = _methods(own)
        if t.__name__ in self.asked:
            methods = [name for name in methods if name in self.asked[t.__name__]]
        usable = methods or any(n in vars(c) for c in own for n in _USED_SPECIAL)
        shown = public if usable or len(public) == len(state) else state
        shown = {k: x for k, x in shown.items() if k not in methods}  # a cached property
        if own and t.__qualname__ not in self.asked:
            shown = {**class_variables(t, self.program), **shown}
        attributes = ["D", *[[k, self.walk(x, depth + 1)] for k, x in sorted(shown.items())]]
        uses, level = [], self.depth_of_uses
        if base is not BaseException and level < USE_DEPTH and self.objects[level] < MAX_OBJECTS[level]:
            self.objects[level] += 1
            self.depth_of_uses += 1
            try:
                uses = self._uses(v, t, own, methods, depth)
            finally:
                self.depth_of_uses -= 1
        elif base is not BaseException and level == 0 and len(public) < len(state):
            private = [self.onlooker().text_or(x) for k, x in state.items() if k not in public]
            self.unasked.append(_in_order(private))
        return ["o", name, content, attributes, uses]

    def _uses(self, v, t, own, methods, depth):
        """What an object's properties and methods give, each called a little; state goes from one to the next."""
        found = []
        for name in methods:
            raw = next(vars(c)[name] for c in own if name in vars(c))
            if isinstance(raw, property) or type(raw).__name__ == "cached_property":
                found.append([name, self._used(lambda name=name: getattr(v, name), depth)])
                continue
            if name in _OBSERVERS:
                found.append([name, self._used(lambda name=name: getattr(t, name)(v), depth)])
                continue
            if isinstance(raw, types.FunctionType) and not raw.__code__.co_flags & COROUTINE:
                bound = types.MethodType(raw, v)
                for args in self.probes(parameters_of(bound), _sorts(raw))[:3]:
                    found.append([name, self._used(lambda bound=bound, args=args: bound(*args), depth)])
                    if found[-1][1][0] in _REFUSED and len(args):
                        return found  # what does not fit may have changed half of something
        return found


class Onlooker(Encoder):
    """Writes values down without using them: no function is called, no iterator goes on."""

    def __init__(self, program, probes, asked=None):
        super().__init__(program, probes, asked=asked)
        self.depth_of_uses = USE_DEPTH

    def text_or(self, value):
        """The wire form of a value; that of a text where it is one, or can't be read."""
        try:
            return TEXT if isinstance(value, (str, bytes)) else self.walk(value, 1)
        except Unreadable:
            return TEXT

    def _iterator(self, v, depth):
        raise Unreadable("an iterator that is not read")

    def _used(self, use, depth):
        raise Unreadable("a value that is not used")


def _calls_itself(function):
    """Whether a function may call itself: how deep that goes is the machine's affair."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_name in (*code.co_names, *code.co_freevars)


def _methods(own):
    """Names of what can be asked of an object: public methods and properties, and the common special ones."""
    names = {n for c in own for n, raw in vars(c).items() if not n.startswith("_") and _askable(raw)}
    written = {n for n in (*_OBSERVERS, *_CALLED) for c in own if isinstance(vars(c).get(n), types.FunctionType)
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


def _state(v, t):
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


def _as_builtin(v, base):
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


def _sorts(function):
    """Which sorts of probes the hints of a function's parameters allow; None for all."""
    hints = [h for n, h in function.__annotations__.items() if n != "return"]
    names = {h if isinstance(h, str) else getattr(h, "__name__", "") for h in hints}
    known = {"int": "int", "str": "str", "float": "float", "bool": "int", "list": "list"}
    return {known[n] for n in names} if len(names) == 1 and names <= set(known) else None


def _entered(manager, error):
    with manager as value:
        if error is not None:
            raise error
        return value
    return "ended"


def is_mutable(v, program):
    """Whether it makes a difference that two places hold one object: it can change, or its class is the program's."""
    t = type(v)
    if t is list or t is dict or t is set:
        return True
    if isinstance(v, (type, types.ModuleType, str, bytes, int, float, tuple, frozenset, *_FUNCTIONS)):
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


_BUILTIN_ERRORS = {t: t.__name__ for t in vars(builtins).values() if type(t) is type}


def error_name(error, program):
    """Name of a built-in exception class; another is marked by its module."""
    t = type(error)
    if t in _BUILTIN_ERRORS:
        return _BUILTIN_ERRORS[t]
    module = type.__getattribute__(t, "__module__")
    return ("candidate" if module == program else str(module)) + "." + type.__getattribute__(t, "__name__")
