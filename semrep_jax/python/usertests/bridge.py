"""Objects of two processes used as though they were in one: calls, attributes and contents cross a pipe as JSON.

Each side has one `Bridge`. What is immutable and plain crosses by value. A list, dictionary, set or other container
exists on both sides: whenever a message is sent, what has changed in those that both sides still use goes with it, so
identity, aliasing and mutation are as in one process. Everything else (functions, classes, instances, generators) stays
where it was made, and the other side has a stand-in (`mirrors`) whose every use is a request to the owner. Only one
side runs at a time, and while one waits it answers the other's requests, so calls nest both ways.

An object has the same number on both sides, even for those first sent by one side, odd for the other's. A number is
released when one side has no other use for its object. A message is [kind, payload, news, changes, released, aside]:
news describes objects sent for the first time.

The tests' side is guarded: a request of the program's may not use a name that leads out of the object it was given
(`operations.permitted`), and a message that is not well-formed ends the program. Loaded by path by `contained.py`.
"""

import asyncio
import enum
import json
import operator
import os
import struct
import sys
import threading
import types

import crossing
import described
import mirrors
import operations
from crossing import Malformed

MAX_MESSAGE = 64 << 20  # bytes
SCALARS = {type(None), bool, int, float, str}
FEW = 256  # objects, until which no stand-in is looked at for release
POLL_SECONDS = 0.001  # between two looks at a coroutine of the other side


class ProgramEnded(BaseException):
    """The other process is gone, or speaks no sense."""


class TookTooLong(BaseException):
    """A call ran into its time limit."""


def _unreferenced(holder):
    return sys.getrefcount(holder[0])


UNUSED = _unreferenced([[]])  # references to an object that only its entry holds


class Entry(list):
    """[object], and of a container what both sides last agreed that it holds."""

    __slots__ = ("agreed", "container", "releasable")

    def __init__(self, thing, releasable):
        super().__init__([thing])
        self.releasable = releasable  # whether it may go when only this entry holds it
        self.container = None  # its row of crossing.CONTAINERS
        self.agreed = None


class Bridge:
    """One side. reader, writer: descriptors of pipes. first: 0 or 1, its own numbers' parity. guarded: see above.
    aside: what else goes along with messages, with `collect()` and `apply(facts)`. foreign: names of modules whose
    functions and classes are never the standard library's."""

    def __init__(self, reader, writer, first, guarded, aside, foreign):
        self.reader, self.writer = reader, writer
        self.unread = bytearray()
        self.first, self.guarded, self.aside, self.foreign = first, guarded, aside, foreign
        self.next = first + 2
        self.entries, self.numbers = {}, {}
        self.containers = {}
        self.news, self.unfilled = [], []
        self.many = FEW
        self.broken = None  # why no more can be asked
        self.lock = threading.RLock()
        self.busy = False  # whether a message is on its way: cut off there, the two sides would no longer understand
        self.receiving, self.released = 0, []  # what the other side released meanwhile goes after all is entered
        self.filling = set()  # containers that are given contents: hashing what goes into one may ask the other side
        self.depth = 0  # of the other side's requests that wait for this one's answers
        self.tasks, self.loop = {}, None
        self.operations = {}  # beside those of operations.OPERATIONS
        self.texts = {}  # module: the file name under which linecache has its text
        self.opaque, self.unshared, self.aliases = {}, {}, {}  # see mirrors.opaque_class and mirrors.unshared
        self.spare = -2 if first else -1
        self.members, self.originals = {}, {}  # of stand-in classes, and of the classes themselves
        self.twins = {}  # see operations.derive

    # Values

    def mine(self, number):
        """Whether an object is this side's own."""
        return number % 2 == self.first

    def number(self, thing):
        """The number of an object that has one, else None."""
        return self.numbers.get(id(thing))

    def keep(self, number, thing, shared=False):
        """Enter an object under its number. shared: both sides have one of their own.

        number: the one that it has on both sides. thing: this side's own object, or its stand-in for the other's; it
        comes back.
        """
        self.entries[number] = Entry(thing, shared or not self.mine(number))
        self.numbers[id(thing)] = number
        return thing

    def watch(self, number, row):
        """Keep the contents of an object the same on both sides. row: of `crossing.CONTAINERS`."""
        entry = self.containers[number] = self.entries[number]
        entry.container = row

    def drop(self, number):
        """Forget an object."""
        entry = self.entries.pop(number, None)
        if entry is not None:
            self.numbers.pop(id(entry[0]), None)
            self.containers.pop(number, None)

    def new_number(self, thing, shared=False):
        """Give an object a number of this side's."""
        self.next += 2
        self.keep(self.next, thing, shared)
        return self.next

    def encode(self, v):
        """Wire form of anything."""
        t = type(v)
        if v is None or t is bool or t is str or t is float:
            return v
        if t is int:
            return v if -crossing.LARGEST_PLAIN < v < crossing.LARGEST_PLAIN else ["int", hex(v)]
        known = self.numbers.get(id(v))
        if known is not None:
            return ["@", known] if known > 0 else self.aliases[known]
        if id(v) in self.members:
            return ["member", *self.members[id(v)]]
        if t is types.TracebackType or t is types.FrameType:
            return None  # the way to all that a process holds
        if t in crossing.BY_VALUE:
            tag, parts, _ = crossing.BY_VALUE[t]
            return [tag, *map(self.encode, parts(v))]
        return self.introduce(v, t)

    def introduce(self, v, t):
        """Wire form of an object that the other side has not met."""
        if t in crossing.CONTAINERS:
            row = crossing.CONTAINERS[t]
            number = self.new_number(v, shared=True)
            self.watch(number, row)
            self.news.append(["container", number, row[0], *row[1](v)])
            self.unfilled.append(number)
            return ["@", number]
        if t is tuple or t is frozenset:
            items = [self.encode(x) for x in v]
            number = self.new_number(v, shared=True)
            self.news.append([t.__name__, number, items])
            return ["@", number]
        if issubclass(t, enum.Enum):
            named = crossing.standard_name(t)
            if named is not None and named[0] not in self.foreign and getattr(t, str(v.name), None) is v:
                return ["standard", named[0], f"{named[1]}.{v.name}"]
        if isinstance(v, types.ModuleType):
            name = v.__name__
            return ["module", name] if sys.modules.get(name) is v else self.describe(v, t)
        if isinstance(v, (type, types.FunctionType, types.BuiltinFunctionType)):
            named = crossing.standard_name(v)
            if named is not None and named[0] not in self.foreign:
                return ["standard", *named]
        return self.describe(v, t)

    def describe(self, v, t):
        """Wire form of an object that stays here."""
        number = self.new_number(v)
        news = described.description(self, number, v, t)
        self.news.append(news)
        return ["@", number]

    def decode(self, w):
        """The value of a wire form. Raises Malformed."""
        if type(w) is not list:
            return w
        tag = w[0]
        if tag == "@":
            return self.entries[w[1]][0]
        if tag == "int":
            return int(w[1], 16)
        if tag == "standard":
            found = crossing.standard(w[1], w[2])
            if found is None or (self.guarded and not crossing.may_share(found, w[1])):
                return mirrors.unshared(self, w[1], w[2])
            return found
        if tag == "module":
            return self.module(w[1])
        if tag == "member":
            return self.originals[w[1], w[2]]
        return crossing.FROM_PARTS[tag](*map(self.decode, w[1:]))

    def module(self, name):
        """A module by its name."""
        if name not in sys.modules or (self.guarded and name.startswith(crossing.VERDICTS)):
            raise Malformed(f"no module {name}")
        return sys.modules[name]

    def learn(self, news):
        """Enter objects of the other side's; containers first, as making others may ask the other side something."""
        for kind, number, *rest in news:
            if self.mine(number) or number in self.entries:
                raise Malformed("a number that is not theirs to give")
            if kind == "container":
                row = crossing.CONTAINER_TAGS[rest[0]]
                self.keep(number, row[2](*rest[1:]), shared=True)
                self.watch(number, row)
        for kind, number, *rest in news:
            if kind == "container":
                continue
            if kind == "tuple":
                self.keep(number, tuple([self.decode(x) for x in rest[0]]))
            elif kind == "frozenset":
                self.keep(number, frozenset([self.decode(x) for x in rest[0]]))
            else:
                mirrors.STAND_INS[kind](self, number, *rest)

    # Contents of containers

    def contents(self, entry):
        """What a container holds, to compare with `agreed`: the objects themselves where all are scalars, else their
        wire forms; and whether it is the first."""
        parts = entry.container[3](entry[0])
        if SCALARS.issuperset(map(type, parts)):
            return parts, True
        return [self.encode(x) for x in parts], False

    def changes(self):
        """[number, contents] of each container that holds something else than was agreed."""
        found = []
        for number, entry in list(self.containers.items()):
            if number in self.filling:
                continue
            parts, plain = self.contents(entry)
            agreed = entry.agreed
            if agreed is not None and len(agreed[0]) == len(parts) and plain == agreed[1]:
                if plain and all(map(operator.is_, parts, agreed[0])):
                    continue
                if not plain and parts == agreed[0]:
                    continue
            elif agreed is None and not parts:
                entry.agreed = parts, plain
                continue
            entry.agreed = parts, plain
            found.append([number, self.encode_plain(parts) if plain else parts])
        return found

    def encode_plain(self, parts):
        """Wire forms of scalars."""
        small = all(-crossing.LARGEST_PLAIN < x < crossing.LARGEST_PLAIN for x in parts if type(x) is int)
        return parts if small else [self.encode(x) for x in parts]

    def fill(self, changes):
        """Give containers the contents that they have on the other side."""
        before, self.filling = self.filling, self.filling | {number for number, _ in changes}
        try:
            for number, parts in changes:
                entry = self.containers[number]
                if list in set(map(type, parts)):
                    parts = [self.decode(x) for x in parts]
                entry.container[4](entry[0], parts)
        finally:
            self.filling = before
        for number, _ in changes:
            entry = self.containers[number]
            entry.agreed = self.contents(entry)

    def release(self):
        """Numbers of objects that nothing here uses but this bridge; none while a message is still being entered."""
        released, found = [], not self.receiving
        while found:
            found = self.forget_unused(self.containers)
            released += found
        if len(self.entries) > self.many and not self.receiving:
            released += self.forget_unused(self.entries)
            self.many = max(FEW, 2 * len(self.entries))
        return released

    def forget_unused(self, entries):
        """Drop those of these objects that only their entries hold; their numbers."""
        unused = [n for n, entry in entries.items() if sys.getrefcount(entry[0]) <= UNUSED and entry.releasable]
        for number in unused:
            self.drop(number)
        return unused

    # Messages

    def send(self, kind, payload):
        """Send a message with all that has changed here."""
        self.busy = True
        try:
            self._send(kind, payload)
        finally:
            self.busy = False

    def _send(self, kind, payload):
        changes = []
        while True:
            self.unfilled = []
            more = self.changes()
            seen = {n for n, _ in more}
            changes = [c for c in changes if c[0] not in seen] + more
            if not self.unfilled:
                break
        news, self.news = self.news, []
        message = [kind, payload, news, changes, self.release(), self.aside.collect()]
        data = json.dumps(message, separators=(",", ":")).encode()
        if len(data) > MAX_MESSAGE:
            raise ValueError(f"values of {len(data)} bytes do not cross; at most {MAX_MESSAGE}")
        view = memoryview(struct.pack("!I", len(data)) + data)
        try:
            while view:
                view = view[os.write(self.writer, view) :]
        except OSError as error:
            raise self.end("the program's process ended") from error

    def end(self, why):
        """The error of a bridge that has fallen, to raise."""
        self.broken = self.broken or why
        return ProgramEnded(self.broken)

    def read(self, size):
        """So many bytes from the other side."""
        while len(self.unread) < size:
            part = os.read(self.reader, 1 << 20)
            if not part:
                raise self.end("the program's process ended")
            self.unread += part
        data = bytes(self.unread[:size])
        del self.unread[:size]
        return data

    def receive(self):
        """The next message's kind and payload, after its changes are made here."""
        self.busy = True
        try:
            return self._receive()
        finally:
            self.busy = False

    def _receive(self):
        (size,) = struct.unpack("!I", self.read(4))
        if size > MAX_MESSAGE:
            raise self.end("the program's process sent something too large")
        data = self.read(size)
        try:
            kind, payload, news, changes, released, aside = json.loads(data)
            self.released += released
            self.receiving += 1
            try:
                self.learn(news)
                self.fill(changes)
            finally:
                self.receiving -= 1
            self.aside.apply(aside)
            return kind, payload
        except (ProgramEnded, TookTooLong):
            raise
        except Exception as error:
            raise self.end(
                f"the program's process sent something malformed ({type(error).__name__}: {error})"
            ) from error

    def settle(self):
        """Forget what the other side has released, once all that it has sent is entered and its payload decoded."""
        if not self.receiving:
            released, self.released = self.released, []
            for number in released:
                self.drop(number)

    def request(self, operation, *parts):
        """What the other side gives for an operation on objects. Raises what it raises."""
        with self.lock:
            if self.broken:
                raise ProgramEnded(self.broken)
            self.send("ask", [operation, *[self.encode(p) for p in parts]])
            return self.wait()

    def call(self, operation, thing, *rest, args=(), kwargs=None):
        """`request` of an operation that takes a call's arguments.

        operation: one of `operations.TAKE_ARGUMENTS`. thing: what it is done with (of a generator, its number). rest:
        what the operation takes beside, such as a method's name. args, kwargs: the call's arguments. Raises what the
        other side raises, and ProgramEnded.
        """
        with self.lock:
            if self.broken:
                raise ProgramEnded(self.broken)
            parts = [self.encode(p) for p in (thing, *rest)]
            arguments = [self.encode(a) for a in args]
            named = [[k, self.encode(v)] for k, v in (kwargs or {}).items()]
            self.send("ask", [operation, *parts, ["arguments", arguments, named]])
            del args, kwargs
            return self.wait()

    def wait(self):
        """The answer to the last request; answers the other side's own meanwhile."""
        while True:
            kind, payload = self.receive()
            if kind == "ask":
                self.depth += 1
                try:
                    self.answer(payload)
                finally:
                    self.depth -= 1
            elif kind == "late":
                raise TookTooLong("the program ran into the test's time limit")
            else:
                value = self.decode_checked(payload)
                self.settle()
                if kind == "give":
                    return value
                if kind == "raise" and isinstance(value, BaseException):
                    try:
                        raise value
                    finally:
                        del value
                raise self.end("the program's process sent something malformed")

    def decode_checked(self, payload):
        """`decode` of a payload; what is none ends the bridge."""
        try:
            return self.decode(payload)
        except (ProgramEnded, TookTooLong):
            raise
        except Exception as error:
            raise self.end("the program's process sent something malformed") from error

    def answer(self, payload):
        """Do what the other side asks and send what comes of it."""
        try:
            value = self.perform(payload)
        except ProgramEnded:
            raise
        except TookTooLong:
            raise
        except BaseException as error:
            error.__traceback__ = None
            self.reply("raise", error)
            return
        self.reply("give", value)

    def reply(self, kind, value):
        """Send an answer; where it can't be sent, why."""
        with self.lock:
            try:
                self.send(kind, self.encode(value))
            except (ProgramEnded, TookTooLong):
                raise
            except Exception as error:
                self.news = []
                self.send("raise", self.encode(RuntimeError(f"this value can't cross: {error}")))

    def perform(self, payload):
        """Carry out one request."""
        operation, *parts = payload
        arguments, named = (), {}
        if parts and type(parts[-1]) is list and parts[-1][:1] == ["arguments"]:
            _, given, given_names = parts.pop()
            arguments = [self.decode(a) for a in given]
            named = {str(k): self.decode(v) for k, v in given_names}
        parts = [self.decode(p) for p in parts]
        self.settle()
        handler = self.operations.get(operation) or operations.OPERATIONS.get(operation)
        if handler is None:
            raise Malformed(f"no operation {operation!r}")
        return handler(self, *parts, *([arguments, named] if operation in operations.TAKE_ARGUMENTS else []))

    # Coroutines

    def spawn(self, awaitable):
        """Start awaiting something of this side's; a number to poll."""

        async def run():
            return await awaitable

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = self.loop = self.loop or asyncio.new_event_loop()
        key = max(self.tasks, default=0) + 1
        self.tasks[key] = loop.create_task(run())
        return key

    def poll(self, key):
        """(whether it is done, what it gave); raises what it raised."""
        if self.loop is not None and not self.loop.is_running():
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                self.loop.call_soon(self.loop.stop)
                self.loop.run_forever()
        task = self.tasks[key]
        if not task.done():
            return False, None
        del self.tasks[key]
        return True, task.result()

    def cancel(self, key):
        """Cancel what was spawned."""
        task = self.tasks.get(key)
        if task is not None:
            task.cancel()

    async def awaited(self, thing):
        """What awaiting an object of the other side gives."""
        key = self.request("spawn", thing)
        while True:
            done, value = self.request("poll", key)
            if done:
                return value
            try:
                await asyncio.sleep(POLL_SECONDS)
            except asyncio.CancelledError:
                self.request("cancel", key)  # the next polls tell what becomes of it
