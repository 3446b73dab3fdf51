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
import importlib
import json
import os
import re
import sys
import types
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
anatomy = importlib.import_module("anatomy")
library = importlib.import_module("library")
marks = importlib.import_module("marks")
del sys.path[0]

MAKERS = "makers"  # the module of what stands for objects and functions nobody described
MAX_NODES = 20_000
MAX_DEPTH = 40
MAX_INT_BITS = 1 << 20
PLAIN_INT_BITS = 13_000  # beyond it JSON's decimal digits would be refused
MAX_USES = 12  # calls of a returned function
FEWER_USES = 4  # of one that a returned function returns
FUNCTIONS_GIVEN = 6  # to one that takes functions: what it does with one that raises shows too
INSTANCES_OF_CLASSES = 2  # that are made of a returned class
MAX_OBJECTS = (16, 6)  # whose methods are called, in one outcome and in what they give
USE_DEPTH = 2  # functions that return functions
FILE = "<candidate>"  # of the program's code
_PLACES = re.compile(r'^  File "<candidate>", line \d+(?:, in .*)?\n(?:    .*\n)*', re.MULTILINE)
# Where an object lies: in the shape of a default `repr`, or a number as large as such places are.
_ADDRESS = re.compile(r"(\bobject|<function \S+|<lambda>| of \S+ object) at 0x[0-9a-fA-F]+|( at) 0x[0-9a-fA-F]{9,16}\b")
_BUILTIN_BASES = (str, bytes, int, float, complex, list, tuple, dict, set, frozenset, bytearray, BaseException)
_USED_SPECIAL = ("__enter__", "__aenter__", "__next__", "__eq__", "__lt__", "__add__", "__getattr__", "__aiter__")
REFUSALS = (TypeError, AttributeError)
_REFUSED = ("TypeError", "AttributeError")
_USES = {3: "send", 5: "close", 7: "throw"}  # of iterators, by turn
_TEXTS = ("message", "msg", "args")  # attributes of exceptions
_GROUPS = getattr(builtins, "BaseExceptionGroup", ())
_WRITTEN_ERRORS = (LookupError, UnicodeError)
_SAYS_NOTHING = (object, Exception, BaseException)  # above a class of the program


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


class Encoder:
    """Writes values down. One for each outcome.

    program: the name that the program's module has. probes: argument tuples (Python values, fresh for each use) by
    number of arguments, to call returned functions with. turn: decides how iterators and context
    managers are used: to their end, closed, with an exception thrown in; with something sent where `sends`. asked: by
    class, what alone is asked of its instances. thrown: gives the exception of a turn, which is thrown in. items: at
    most so many are read of an iterator that lies in none; past `marks.MAX_ITEMS` only a number that hangs on them is
    kept.
    """

    def __init__(self, program, probes, turn=0, asked=None, sends=False, thrown=None, items=marks.MAX_ITEMS):
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
        elif anatomy.is_mutable(v, self.program):
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
        if name in library.LIBRARY and t.__module__ != self.program:
            return ["x", name, library.LIBRARY[name](self, v, depth)]
        if name.startswith("numpy."):
            return self._numpy(v, name)
        enum = sys.modules.get("enum")
        if enum is not None and isinstance(v, enum.Enum):
            return ["e", t.__qualname__, str(v._name_), self.walk(v._value_, depth + 1)]
        if isinstance(v, anatomy.FUNCTIONS) or name in ("functools.partial", "functools._lru_cache_wrapper"):
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
        variables = [[k, self.walk(x, depth + 1)] for k, x in sorted(anatomy.class_variables(v, self.program).items())]
        self.depth_of_uses += 1
        try:
            written = isinstance(v.__init__, types.FunctionType)
            fewest, most = anatomy.parameters_of(v.__init__ if written else v.__new__)
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
                state = sorted(anatomy.state_of(error, type(error)).items())
                held += [[k, self.walk(x, 1)] for k, x in state if k[0] != "_" and k not in _TEXTS]
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
            members = [["t", anatomy.error_name(one, self.program), self.held(one)] for one in error.exceptions]
            found.append([marks.MEMBERS, ["t", *members]])
        elif not (isinstance(error, _WRITTEN_ERRORS) and type(error) in anatomy.BUILTIN_ERRORS):
            args = [self.onlooker().text_or(x) for x in anatomy.as_builtin(error, BaseException)]
            found += [[marks.ARGUMENTS, ["t", *args]]] if any(x != marks.TEXT for x in args) else []
        if error.__cause__ is not None:
            found.append([marks.CAUSE, anatomy.error_name(error.__cause__, self.program)])
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
        most, self.items = self.items, marks.MAX_ITEMS
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
                return ["it", items, anatomy.error_name(error, self.program), None, *([beyond] if beyond else [])]
            if n < marks.MAX_ITEMS:
                items.append(self.walk(item, depth + 1))
                continue
            budget = self.budget
            text = text_of(self.walk(item, depth + 1)).encode()
            self.budget, beyond = budget, [n + 1 - marks.MAX_ITEMS, zlib.crc32(text, *beyond[1:])]
        return ["it", items, "more", None, *([beyond] if beyond else [])]

    def _used(self, use, depth):
        """What a use of a value gives: [error, value]."""
        try:
            value = use()
        except Exception as error:
            return [anatomy.error_name(error, self.program), None]
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
        sorts = anatomy.sorts_of(v) if type(v) is types.FunctionType else None
        most = MAX_USES if self.depth_of_uses == 1 else FEWER_USES
        counts = anatomy.parameters_of(v)
        plain = self.probes(counts, sorts)[:most]
        if self.depth_of_uses == 1 and not anatomy.calls_itself(v):
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
                uses.append([given, anatomy.error_name(error, self.program), None])
                continue
            budget = self.budget
            try:
                uses.append([given, None, self.walk(result, 1)])
                self.answers += not isinstance(result, anatomy.FUNCTIONS)
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
        content = None if base is None else self.walk(anatomy.as_builtin(v, base), depth + 1)
        name = anatomy.error_name(v, self.program) if base is BaseException else t.__qualname__
        state = anatomy.state_of(v, t)
        public = {k: x for k, x in state.items() if not k.startswith("_")}
        methods = anatomy.methods_of(own)
        if t.__name__ in self.asked:
            methods = [name for name in methods if name in self.asked[t.__name__]]
        usable = methods or any(n in vars(c) for c in own for n in _USED_SPECIAL)
        shown = public if usable or len(public) == len(state) else state
        shown = {k: x for k, x in shown.items() if k not in methods}  # a cached property
        if own and t.__qualname__ not in self.asked:
            shown = {**anatomy.class_variables(t, self.program), **shown}
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
            if name in anatomy.OBSERVERS:
                found.append([name, self._used(lambda name=name: getattr(t, name)(v), depth)])
                continue
            if isinstance(raw, types.FunctionType) and not raw.__code__.co_flags & anatomy.COROUTINE:
                bound = types.MethodType(raw, v)
                for args in self.probes(anatomy.parameters_of(bound), anatomy.sorts_of(raw))[:3]:
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
            return marks.TEXT if isinstance(value, (str, bytes)) else self.walk(value, 1)
        except Unreadable:
            return marks.TEXT

    def _iterator(self, v, depth):
        raise Unreadable("an iterator that is not read")

    def _used(self, use, depth):
        raise Unreadable("a value that is not used")


def _entered(manager, error):
    with manager as value:
        if error is not None:
            raise error
        return value
    return "ended"
