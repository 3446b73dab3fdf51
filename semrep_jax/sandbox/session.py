"""In the child: make sequences of steps with a program, and write down what each does.

A sequence starts with the program loaded afresh and shares its state. A step is one of

    ["call", function, call]               a function at the program's top
    ["new", class, call]                   an instance; later steps of the sequence are made with it
    ["member", Enum, call]                 the member that the call's one argument names; it is asked as instances are
    ["ask", method, call], ["get", name]   a method of that instance (special ones too), an attribute or property
    ["set", name, call]                    an attribute or property, to the call's one argument
    ["op", operator, call]                 a function of `operator` with the instance and the call's arguments
    ["hash", class, call]                  whether it has a hash, and that of an equal one built by the call
    ["with", "", call]                     what entering it gives, and whether it ends the call's exception, if any
    ["env", name, call]                    an environment variable, to the call's one argument
    ["argv", "", call]                     the command line, to the call's arguments

A call is ["t", *args] or ["call*", args, [[name, value], ...]], in the forms of `values`. Coroutines are awaited. A
fourth part of a step is its turn (see `values.Encoder`), which else hangs on the step. Steps with "env" and "argv" at
the beginning of a sequence are made before the program is loaded.
With "reach" in the request, what comes back beside is where control went in the program (see `moves`).
What comes back for each step: [how, value, after, output, errors, shared, message, files, unseen]. `how` is
"returned", an exception's name, or one of `marks.NO_OUTCOME`: "slow", "skipped" (after many slow ones), "void" (an
argument could not be made), "unreadable". `value` is what was returned, or what an exception holds. `after` are the
arguments afterwards where they could change, `shared` where an object stands twice, in the result of an earlier step
too. `files` are those that changed (see `surroundings`), `unseen` is what `values.Encoder.unseen` says. The first
outcome of a sequence is the loading, the last the program's public variables and those of its public classes, whether
random numbers were used, and the instance.
"""

import builtins
import importlib
import itertools
import json
import operator
import os
import signal
import sys
import types
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
anatomy = importlib.import_module("anatomy")
marks = importlib.import_module("marks")
values = importlib.import_module("values")
makers = importlib.import_module("makers")
surroundings = importlib.import_module("surroundings")
coroutines = importlib.import_module("coroutines")
Clock = importlib.import_module("clock").Clock
Reach = importlib.import_module("moves").Reach
del sys.path[0]

PROGRAM = "candidate"
SKIPPED = ["skipped", None, None, "", "", [], None]
ENVIRONMENT = dict(os.environ)


class Session:
    """One sequence with one program. reach: where it is noted which lines run, or None."""

    def __init__(self, code, request, clock, around, reach=None):
        self.code, self.request, self.clock, self.around, self.reach = code, request, clock, around, reach
        self.module = types.ModuleType(PROGRAM)
        self.scope = self.module.__dict__
        self.scope["__builtins__"] = __builtins__
        self.decoder = makers.Decoder(self.scope)
        self.instance = None
        self.awaited = False  # whether the last step's result was a coroutine's
        self.counts = {}  # of equal steps before
        self.results = {}  # the numbers of the steps whose results held an object, by its identity
        self.kept = []  # those objects, so that no identity is used twice
        self.names = set()  # of the module's variables once it is loaded
        self.argv = ["program"]
        self.dice = None  # the state of the generator that all who use `random` share, before the program is loaded

    def encoder(self, turn=0):
        """What writes down one outcome's values. turn: see `values.Encoder`."""
        asked, sends = self.request.get("uses", {}), self.request.get("sends", False)
        items = self.request.get("items", marks.MAX_ITEMS)
        return values.Encoder(PROGRAM, self.probes, turn, asked, sends, self.thrown, items)

    def thrown(self, number):
        """The exception that is thrown into iterators and contexts on a turn, one after the other."""
        names = self.request.get("throws") or ["ValueError"]
        return self.error(names[number % len(names)])

    def error(self, name):
        """An exception of a class that the program or Python has under a name; ValueError where it can't be made."""
        try:
            made = self.scope.get(name, getattr(builtins, name, None))("thrown in")
            return made if isinstance(made, Exception) else ValueError("thrown in")
        except Exception:
            return ValueError("thrown in")

    def probes(self, counts, sorts=None, own=False):
        """Argument tuples for a function that takes from so many to so many, made of the request's probes.

        sorts: the sorts of probes that its hints allow, by name (int, str, list, float, call); None for all values.
        own: whether each holds one of the values that the program's text names.
        """
        fewest, most = counts
        if own:
            return self._own_probes(max(1, fewest), sorts) if most else []
        if most == 0:
            return [(), (), ()]
        counts_given = [max(1, fewest)] if most < fewest + 3 else [max(1, fewest) + n for n in range(3)]
        plain = [sort for sort in self.request["probes"] if sort != "call"]
        kinds = [kind for sort, kind in self.request["probes"].items() if sort in (plain if sorts is None else sorts)]
        rows = []
        for row in range(8):
            for kind in kinds:
                rows.append((kind, row))
        made = []
        for n, (kind, row) in enumerate(rows[: values.MAX_USES]):
            count = counts_given[n // len(kinds) % len(counts_given)]
            made.append(tuple(self.decoder.make(kind[(row + i) % len(kind)]) for i in range(count)))
        return ([()] if fewest == 0 else []) + made

    def _own_probes(self, count, sorts):
        found = []
        for sort, wire in self.request.get("own", ()):
            if sorts is None or sort in sorts:
                place, fill = len(found) % count, self.request["probes"][sort if sorts else "int"]
                args = [wire if i == place else fill[i % len(fill)] for i in range(count)]
                found.append(tuple(self.decoder.all(args)))
        return found

    def load(self, first=()):
        """Execute the program; returns the outcome. first: steps that set its surroundings."""
        if dict(os.environ) != ENVIRONMENT:
            os.environ.clear()
            os.environ.update(ENVIRONMENT)
        sys.argv = list(self.argv)
        for what, name, call in first:
            try:
                self.do(what, name, self.arguments(call)[0], {})
            except (Skipped, ValueError):
                pass
        sys.modules[PROGRAM] = self.module
        if "random" in sys.modules:
            sys.modules["random"].seed(self.request["seed"])
            self.dice = sys.modules["random"].getstate()
        self.around.afresh()
        outcome = self.outcome(lambda: exec(self.code, self.scope), [])
        self.names = set(self.scope)
        return outcome

    def step(self, step):
        """Make one step; returns the outcome."""
        what, name, *call = step
        try:
            args, kwargs = self.arguments(call[0]) if call else ([], {})
        except Exception as error:
            return ["void", None, None, "", "", [], anatomy.error_name(error, PROGRAM)]
        text = json.dumps(step)
        count = self.counts[text] = self.counts.get(text, -1) + 1
        turn = call[1] if call[1:] else zlib.crc32(text.encode()) + count
        return self.outcome(lambda: self.do(what, name, args, kwargs), [args, kwargs], turn, step=True)

    def arguments(self, call):
        """The arguments of a call, fresh: a list by place and a dict by name. Raises what making one raises."""
        if call[0] == "t":
            return self.decoder.all(call[1:]), {}
        return self.decoder.all(call[1]), {k: self.decoder.make(x) for k, x in call[2]}

    def do(self, what, name, args, kwargs):
        """What a step gives; see the module.

        what: the kind of step. name: the function (dotted for what lies in a class), class, method or attribute. args,
        kwargs: the call's. Raises what the program raises, and Skipped where the instance was not made.
        """
        if what == "call":
            target = self.scope
            for part in name.split("."):
                target = target[part] if target is self.scope else getattr(target, part)
            return self.result(target(*args, **kwargs))
        if what == "env":
            os.environ[name] = args[0] if args else ""
            raise Skipped  # it says nothing
        if what == "argv":
            self.argv = ["program", *args]
            sys.argv = list(self.argv)
            raise Skipped
        if what == "new":
            self.instance = self.scope[name](*args, **kwargs)
            return None
        if what == "member":
            self.instance = self.scope[name][args[0]]
            return self.instance
        if self.instance is None:
            raise Skipped
        if what == "ask":
            return self.result(getattr(self.instance, name)(*args, **kwargs))
        if what == "get":
            return getattr(self.instance, name)
        if what == "set":
            return setattr(self.instance, name, args[0])
        if what == "op":
            return getattr(operator, name)(self.instance, *args)
        if what == "hash":
            return self.hashes(self.scope[name](*args, **kwargs))
        return self.result(self.entered(*args))

    def result(self, given):
        """What a call gave, or what a coroutine gives in the end."""
        self.awaited = isinstance(given, types.CoroutineType)
        return coroutines.awaited(given, self.request.get("items", marks.MAX_ITEMS))

    def hashes(self, other):
        """Whether the instance has a hash, equals another one, and then has its hash."""
        try:
            own = hash(self.instance)
        except TypeError:
            return "unhashable"
        equal = self.instance == other
        return [equal, hash(other) == own] if equal else [equal]

    def entered(self, error=None):
        """What `with` and the instance give: the value that entering gives, and whether it ends an exception.

        error: the name of the exception, or None. Asynchronous where the instance is.
        """
        raised = None if error is None else self.error(error)
        if hasattr(type(self.instance), "__aenter__"):
            return coroutines.within(self.instance, raised)
        with self.instance as value:
            if raised is not None:
                raise raised
            return [value is self.instance or value, None]
        return ["ended", error]

    def outcome(self, action, arguments, turn=0, step=False):
        """Run an action and write down what it gives. turn: see `values.Encoder`. step: whether it is one."""
        self.around.begin(turn)
        encoder = self.encoder(turn)
        how, value, after, message, shared = "returned", None, None, None, []
        self.clock.start()
        try:
            if self.reach is not None:
                sys.settrace(self.reach.begin)
            try:
                result = action()
            except Skipped:
                how = "void"
            except (Exception, SystemExit) as error:
                how, message = anatomy.error_name(error, PROGRAM), _described(error)
                value = encoder.held(error)
            else:
                value = encoder.encode(result)
                value = ["aw", value] if step and self.awaited else value
                shared = self.seen_before(encoder) if step else []
            if any(map(_can_change, arguments)):
                encoder.given = True
                after = encoder.encode(arguments)
        except values.Unreadable as error:
            how, value, after, message = "unreadable", None, None, str(error)
        except BaseException as error:
            how, value, after, message = anatomy.error_name(error, PROGRAM), None, None, _described(error)
        finally:
            self.clock.stop()
            sys.settrace(None)
        self.awaited = False
        if self.clock.rang:
            self.clock.slow += 1
            return ["slow", None, None, "", "", [], None]
        out, err, files = self.around.output.text(), self.around.errors.text(), self.around.files()
        return [how, value, after, out, err, encoder.shared + shared, message, files, encoder.unseen()]

    def seen_before(self, encoder):
        """Which objects of a result stood in the result of an earlier step: [their number, "step", its number]."""
        found = []
        for v in encoder.kept:
            if anatomy.is_mutable(v, PROGRAM):
                key = id(v)
                if key in self.results:
                    found.append([encoder.numbers[key], "step", self.results[key]])
                else:
                    self.results[key] = len(self.kept)
                    self.kept.append(v)
        return found

    def held(self, name):
        """The variables of a class that are looked at, where they are plain values."""
        found = {}
        for variable in self.request.get("held", {}).get(name, ()):
            raw = [vars(c)[variable] for c in self.scope[name].__mro__ if variable in vars(c)]
            found |= {variable: raw[0]} if raw and anatomy.is_plain(raw[0]) else {}
        return found

    def state(self):
        """The program's public variables, new ones too, whether it has used the random numbers that all share, what it
        has changed of its process, and the instance."""
        found = {n: self.scope.get(n) for n in self.request["globals"]}
        names = [n for n in self.request.get("uses", {}) if n[0] != "_" and isinstance(self.scope.get(n), type)]
        found |= {f"{n}.{name}": x for n in names for name, x in self.held(n).items()}
        above = {n: tuple(self.encoder().ancestors(self.scope[n])) for n in names}
        found |= {f"classes above {n}": classes for n, classes in above.items() if classes}
        dice = self.dice and sys.modules["random"].getstate()
        if dice != self.dice:  # the same in each run only where the program has seeded them
            found["the shared random numbers"] = f"left in state {zlib.crc32(repr(dice).encode())}"
        new = {n: value for n, value in self.scope.items() if n not in self.names and n[0] != "_"}
        found |= {f"new {n}": value for n, value in new.items() if not isinstance(value, types.ModuleType)}
        found |= self.around.process.changed()
        if sys.argv != self.argv:
            found["sys.argv"] = sys.argv
        return self.outcome(lambda: [found, self.instance], [])


class Skipped(Exception):
    """A step with an instance that was not made, or one that only changes the surroundings."""


def _can_change(argument):
    if type(argument) in (list, tuple, dict):
        inner = argument.values() if type(argument) is dict else argument
        return any(type(x) not in _FIXED and (type(x) is not tuple or _can_change(x)) for x in inner)
    return False


_FIXED = (bool, int, float, str, bytes, complex, type(None))


def _described(error):
    try:
        return f"{anatomy.error_name(error, PROGRAM)}: {error}"[:400].encode("utf-8", "backslashreplace").decode()
    except BaseException:
        return None


def run(request):
    """{"load": error or None, "sequences": [[outcome, ...], ...], "moves": [[line, line], ...]} of a request.

    source, sequences, probes (values by sort, to use returned functions with), globals (names of public variables),
    held, items, uses, sends, throws and own (see `python.trace.Watch`), seed (of `random`), step_seconds and
    total_seconds (of processor time); reach: whether moves are noted, and with "parts" lines in comprehensions and
    lambdas. Where the program finds itself (`elsewhere`) is settled before.
    """
    try:
        code = compile(request["source"], values.FILE, "exec", dont_inherit=True)
    except Exception as error:
        return {"load": _described(error), "sequences": []}
    clock = Clock(request["step_seconds"], request["total_seconds"])
    around = surroundings.Surroundings(request["source"])
    reach = Reach(request["reach"] == "parts") if request.get("reach") else None
    found = []
    for sequence in request["sequences"]:
        if clock.over():
            found.append([SKIPPED] * (len(sequence) + 2))
            continue
        session = Session(code, request, clock, around, reach)
        first = itertools.takewhile(lambda step: step[0] in ("env", "argv"), sequence)
        outcomes = [session.load(list(first))]
        if outcomes[0][0] != "returned":
            return {"load": str(outcomes[0][6] or outcomes[0][0]), "sequences": []}
        for step in sequence:
            outcomes.append(SKIPPED if clock.over() else session.step(step))
        outcomes.append(SKIPPED if clock.over() else session.state())
        found.append(outcomes)
    return {"load": None, "sequences": found, "moves": sorted(reach.moves) if reach else []}


def warm_up(source, entry, calls, rounds):
    """Run a program of ours in the zygote, so that children inherit what a run warms.

    source: the program's text. entry: its function. calls: in the form of a step's. rounds: how often all the calls are
    made.
    """
    request = {"source": source, "sequences": [[["call", entry, call] for call in calls]], "probes": {}, "globals": [],
               "seed": 0, "step_seconds": 9.0, "total_seconds": 99.0}  # fmt: skip
    for _ in range(rounds):
        run(request)
    sys.modules.pop(PROGRAM, None)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
