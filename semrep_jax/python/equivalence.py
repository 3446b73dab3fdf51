"""Do two programs behave the same? By running both on generated inputs: equivalent, different, or unknown.

    reference = Reference(a, sandbox)        # what is public in A, called and called again
    finding = reference.compare(b)           # as often as one likes
    finding.answer, finding.counterexample, finding.evidence

Functions are called, classes built and their methods called in sequences, functions of one module called by turns.
Results are compared by type and exactly: floats (the sign of zero, NaN), the order of a dict, instances by their state
and by what their methods give, iterators by what they yield, functions by what they return; exceptions' classes,
changes to arguments, printed text and shared references. A call says something where it returned, or raised something
else than TypeError and AttributeError where these say only that the input does not fit. Where nothing was said, a
result can't be read, or a statement that stands in one of the two alone, or hangs on such, never ran (`python.reach`),
the answer is unknown, and why. Equivalent says that nothing was found on so many calls; it is no proof
(`python.proof` has one).
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cached_property, partial
from random import Random
from typing import Any

from semrep_jax.languages import Answer, Finding
from semrep_jax.python import around, constants, hidden, inputs, strategies
from semrep_jax.python.arguments import Target
from semrep_jax.python.around import Around
from semrep_jax.python.behaviour import LIMITS, Behaviour, magnitude
from semrep_jax.python.constants import caught
from semrep_jax.python.edges import Edges
from semrep_jax.python.inputs import Drawing
from semrep_jax.python.neighbours import is_length
from semrep_jax.python.reach import Walk
from semrep_jax.python.recurring import changed, lengthened, recurring
from semrep_jax.python.surface import Class, Function, Kind, Parameter, Surface
from semrep_jax.python.trace import Step, Watch, own_probes, trace
from semrep_jax.sandbox.pool import Sandbox

CALLS_WITH_OTHERS = 60  # drawn with the second program's constants
LONG_CALLS = 2  # with lists and texts of some hundred items
ALONE = 10  # times that a function without parameters is called
CLASS_SEQUENCES = 24
CLASS_STEPS = 6
CLASS_EDGES = 6  # calls of a method that are hardly drawn, each in a sequence of its own
MIXED_SEQUENCES = 12
MIXED_STEPS = 8
RECURRING_SEQUENCES = 48  # longer ones, in which a few texts and numbers come again and again
RECURRING_STEPS = 16
MOST_THROWN = 8  # exceptions, by turns
TURNS = 8  # after which what is done with an iterator comes again
BEYOND = 40  # sequences with what no hint allows, of each function and class
SURROUNDED_SEQUENCES = 40
FURTHER_SEQUENCES = 3  # whose iterators are read on
FURTHER_ITEMS = 3000
CALLS_OF_MEMBERS = 4  # of each method, of a member of an Enum
MOST_MEMBERS = 40
MOST_NEAR = 8  # parameters in which instances differ
_WITHOUT_END = ("count", "cycle", "repeat")
HIDDEN_SEQUENCES = 3  # of each function and class, for each value that one of the programs keeps to itself
_CALLS = ("call", "new", "ask", "op")  # steps that give arguments


class Reference:
    """What program A does: its public functions, classes and variables.

    source: A. sandbox: where programs run. count: calls of each function. seed: decides the calls. sharing: whether
    shared references count (two places of a result, or a result and an argument, that hold one object). Raises
    InputError where A does not parse or has nothing that can be called.
    """

    def __init__(self, source: str, sandbox: Sandbox, count: int = 200, seed: int = 0, sharing: bool = True):
        self.source, self.sandbox, self.count, self.seed, self.sharing = source, sandbox, count, seed, sharing
        self.drawing = Drawing(source, sandbox, seed)
        surface = self.drawing.surface
        known = {**surface.functions, **surface.classes}
        names = [n for n in surface.public if n in known] or list(known)
        if not names:
            raise inputs.InputError("the program has no function at its top; nothing can be called")
        self.variables = [n for n in surface.public if n in surface.variables]
        uses = {c.name: [*c.methods, *c.attributes] for c in surface.classes.values()}
        own = own_probes(constants.program_constants(source), constants.keys_read(source))
        held = {n: surface.classes[n].variables for n in names if n in surface.classes}
        self.watch = Watch(
            tuple(self.variables), uses, held, sends=_receives(source), throws=self._thrown(), own=own
        )  # fmt: skip
        self.missing: list[str] = []  # what is not compared, and why
        self.behaviours: dict[str, Behaviour] = {}
        self._steps: list[Step] = []
        for name in names:
            if name in surface.functions:
                self.behaviours[name] = self._function(surface.functions[name])
        self.names = names
        self.classes: dict[str, Behaviour] = {}
        for name in names:
            if name in surface.classes:
                self._class(surface.classes[name])
        self.mixed = self._mixed()
        self.surrounded = self._surrounded(around.read(source))
        more = [one for one in (self.mixed, self.surrounded) if one is not None]
        self.every = [*self.behaviours.values(), *self.classes.values(), *more]
        self.further = [(one, further) for one in self.every if (further := self._further(one)) is not None]

    @cached_property
    def walk(self) -> Walk:
        """Where control goes in A."""
        return Walk(self.source, self.sandbox, [steps for one in self.every for steps in one.sequences])

    def _further(self, one: Behaviour) -> Behaviour | None:
        """Some sequences whose iterators were broken off, with more items read; None where there are none."""
        sequences = one.broken_off[:FURTHER_SEQUENCES]
        watch = replace(self.watch, items=FURTHER_ITEMS)
        return self._sequences(one.entry, sequences, one.lenient, watch) if sequences else None

    def _unread(self, other: str) -> str:
        """Why what iterators yield in the end was not seen; empty where it was, or where both programs write some that
        have no end."""
        lost = [one.entry for one, further in self.further if "end" not in one.ends | further.ends]
        if not lost or (_endless(self.source) and _endless(other)):
            return ""
        return f"{lost[0]}: no iterator was read to its end; what comes after {FURTHER_ITEMS} items is not compared"

    @cached_property
    def hidden(self) -> dict[str, Any]:
        """What A keeps to itself."""
        return hidden.read(self.source, self.sandbox)

    def close(self) -> None:
        """Nothing was started; the sandbox is whose it was."""

    def _function(self, function: Function) -> Behaviour:
        """Calls of one function."""
        calls = self.drawing.calls(function, Target("call", function.name), self.count)
        self._steps += [["call", function.name, call] for call in sorted(calls, key=magnitude)[:40]]
        return self._of_calls(function, calls, self.drawing.edges(function, calls))

    def _thrown(self) -> tuple[str, ...]:
        """The exceptions that are thrown into iterators and contexts: those that the program names, one that stands
        above each and those below, and public ones of its own."""
        named = caught(self.source)
        kin = [c for name in named for c in _kindred(getattr(builtins, name))]
        classes = self.drawing.surface.classes.values()
        own = [c.name for c in classes if c.builtin_base == "BaseException" and not c.name.startswith("_")]
        return tuple(dict.fromkeys(["ValueError", *named, *own, *kin]))[:MOST_THROWN]

    def _of_calls(self, function: Function, calls: list[Any], more: Edges, watch: Watch | None = None) -> Behaviour:
        """Calls of one function, and those at edges."""
        alone = not function.parameters and "yield" in self.source
        every = [*calls, *more.near]
        return Behaviour(
            self.source,
            function.name,
            every * ALONE if len(every) == 1 else every,
            self.sandbox,
            long=[*lengthened(sorted(calls, key=magnitude), LONG_CALLS), *more.long],
            apart=[[["call", function.name, call]] for call in sorted(more.apart, key=magnitude)],
            watch=watch or self.watch,
            lenient=_guessed(function.parameters, self.drawing),
            sharing=self.sharing,
            turns=TURNS * len(self.watch.throws) if alone else 0,
        )

    def _class(self, one: Class) -> None:
        """Sequences with instances of one class."""
        if one.is_enum:
            guessed = any(_guessed(f.parameters, self.drawing) for f in one.methods.values())
            self.classes[one.name] = self._sequences(one.name, self._of_members(one), guessed)
            return
        if one.abstract:
            below = any(one.name in c.bases for c in self.drawing.surface.classes.values())
            if not below and not one.protocol:
                self.missing.append(f"class {one.name} is abstract and not compared")
            return
        rng = Random(self.seed)
        target = Target("new", one.name)
        drawn = self.drawing.calls(one.constructor, target, 4 * CLASS_SEQUENCES)
        small = sorted(drawn, key=lambda call: len(repr(call)))[: CLASS_SEQUENCES // 3]  # edges are small
        built = (drawn[: CLASS_SEQUENCES - len(small)] + small) if len(drawn) > CLASS_SEQUENCES else drawn
        accepted = self._accepted(one, built)
        before = (["new", one.name, accepted[0]],)
        asked: list[list[Step]] = []
        near, apart = list[list[Step]](), list[list[Step]]()
        for method in one.methods.values():
            place = Target("ask", method.name, before)
            drawn_calls = self.drawing.calls(method, place, 2 * CLASS_SEQUENCES)
            asked.append([place.step(c) for c in drawn_calls])
            edges = self.drawing.edges(method, drawn_calls)
            near += [[*before, place.step(c)] for c in edges.near[:CLASS_EDGES]]
            apart += [[*before, place.step(c)] for c in edges.apart]
        asked += [[["get", name]] for name in one.attributes]
        own = list(asked)
        asked += self._uses(one, accepted[:6])
        sequences = []
        barest, kin = min(built, key=lambda call: len(repr(call))), self._kin(one)
        for n in range(CLASS_SEQUENCES):
            call = barest if n % 6 == 5 else built[n % len(built)]
            steps: list[Step] = [["new", one.name, call]]
            steps += [["op", "eq", ["t", ["new", name, *_parts(call)]]] for name in kin[:2] if n % 4 == 0]
            for k in range(CLASS_STEPS):
                if n % 3 == 2 and k == CLASS_STEPS - 2:  # what another instance has left for this one
                    steps.append(["new", one.name, call])
                choices = asked[(n + k) % len(asked)] if k % 2 else rng.choice(asked)
                steps.append(rng.choice(choices))
            sequences.append(steps)
        for n in range(RECURRING_SEQUENCES if own else 0):
            more = [rng.choice(rng.choice(own if k % 4 else asked)) for k in range(RECURRING_STEPS)]
            steps = self._recurring([["new", one.name, built[n % len(built)]], *more], rng)
            if n % 2:  # what a size or limit holds back shows where it is small; what time does, where all numbers are
                smaller = partial(changed, change=partial(_small, rng, self.drawing.closed))
                most = len(steps) if n % 4 == 3 else 1
                steps = [*(_with(step, smaller) for step in steps[:most]), *steps[most:]]
            sequences.append(steps)
        sequences += self._near(one, accepted[:2], drawn)
        edges = self.drawing.edges(one.constructor, drawn)
        for found, calls in ((near, edges.near[:CLASS_EDGES]), (apart, edges.apart)):
            uses = [rng.choice(kind) for kind in asked[: CLASS_STEPS - 1]]
            found += [[["new", one.name, call], *uses] for call in calls]
        self._steps += [s for steps in sequences[:4] for s in steps[:1]]
        guessed = any(_guessed(f.parameters, self.drawing) for f in (one.constructor, *one.methods.values()))
        self.classes[one.name] = self._sequences(one.name, [*sequences, *near], guessed, apart=apart)

    def _of_members(self, one: Class) -> list[list[Step]]:
        """Sequences with the members of an Enum: each is asked everything; known and unknown values are looked up."""
        asked: list[Step] = [
            ["get", "name"],
            ["get", "value"],
            ["ask", "__str__", ["t"]],
            ["ask", "__format__", ["t", ""]],
        ]
        for method in one.methods.values():
            place = Target("ask", method.name, tuple(["member", one.name, ["t", n]] for n in one.members[:1]))
            asked += [place.step(call) for call in self.drawing.calls(method, place, CALLS_OF_MEMBERS)]
        asked += [["get", name] for name in one.attributes]
        if one.ordered:
            others = [["member", one.name, n] for n in one.members[:3]]
            asked += [["op", name, ["t", x]] for x in [*others, 1] for name in ("lt", "le", "gt", "ge")]
        written = [n.value for n in ast.walk(one.constructor.node) if isinstance(n, ast.Constant)]
        tried = [x for x in dict.fromkeys([*written, 0, 3, 99, -1, "missing"]) if type(x) in (int, float, str)]
        sequences: list[list[Step]] = [[["call", f"{one.name}.__members__.copy", ["t"]]]]
        sequences += [[["member", one.name, ["t", n]], *asked] for n in one.members[:MOST_MEMBERS]]
        sequences.append([["call", one.name, ["t", strategies.form(x)]] for x in tried[:MOST_MEMBERS]])
        sequences.append([["member", one.name, ["t", "missing"]]])
        return sequences

    def _near(self, one: Class, built: list[Any], drawn: list[Any]) -> list[list[Step]]:
        """Sequences with an instance beside one that a single parameter tells from it: are they equal, have they one
        hash, which comes first? built: calls of the constructor. drawn: calls with other arguments."""
        found: list[list[Step]] = []
        for parameter in one.constructor.parameters[:MOST_NEAR]:
            values = [given for call in drawn if (given := _given(one.constructor, parameter.name, call)) is not None]
            for call in built:
                own = _given(one.constructor, parameter.name, call)
                value = next((x for x in values if x != own), None)
                near = None if value is None else _giving(one.constructor, parameter, call, value)
                if near is not None:
                    other = ["t", ["new", one.name, *_parts(near)]]
                    orders = ("lt", "ge") if one.ordered else ()
                    more: list[Step] = [["op", name, other] for name in ("eq", *orders)]
                    found.append([["new", one.name, call], *more, ["hash", one.name, near]])
        return found

    def _recurring(self, steps: list[Step], rng: Random) -> list[Step]:
        """Steps with a few texts and numbers in the place of all."""
        places = [i for i, step in enumerate(steps) if _calls(step)]
        calls = recurring([steps[i][2] for i in places], rng, self.drawing.closed)
        new = dict(zip(places, calls, strict=True))
        return [[*step[:2], new[i]] if i in new else step for i, step in enumerate(steps)]

    def _uses(self, one: Class, built: list[Any]) -> list[list[Step]]:
        """What instances are used for beside their methods: comparisons, hashes, `with`, attributes that are set.

        built: calls of the constructor, for other instances.
        """
        others: list[Any] = [["new", one.name, *_parts(call)] for call in built]
        asked: list[list[Step]] = [[["op", "eq", ["t", x]] for x in [*others, 3]]]
        asked.append([["op", "truth", ["t"]]])
        asked.append([["hash", one.name, call] for call in built])
        if one.ordered:
            asked += [[["op", name, ["t", x]] for x in [*others, 3]] for name in ("lt", "le", "gt", "ge")]
        if one.manages:
            errors = dict.fromkeys(["ValueError", "KeyError", "IndexError", *self.watch.throws])
            asked.append([["with", "", ["t", *error]] for error in ([], [], *([e] for e in errors))])
        if one.looks_up:
            names = [c for c in self.drawing.constants if type(c) is str and c.isidentifier()]
            asked.append([["get", name] for name in [*names, "a", "name", "x", "missing"][:8]])
        for name, annotation in one.settable.items():
            draw = self.drawing.drawer(annotation) or self.drawing.drawer(ast.Name(id="int"))
            rng = Random(self.seed)
            if draw is not None:
                asked.append([["set", name, ["t", strategies.form(draw(rng))]] for _ in range(8)])
        for name, parameter in one.kept.items():
            fitting = [given for call in built if (given := _given(one.constructor, parameter, call)) is not None]
            asked += [[["set", name, ["t", x]] for x in fitting]] if fitting and name not in one.settable else []
        asked.append([["set", "added", ["t", 1]]])  # an attribute that the class knows nothing of
        asked += [[["ask", "__repr__", ["t"]]]] if one.shown else []
        return asked

    def _kin(self, one: Class) -> list[str]:
        """Classes of the program that are below or above a class, and can be built."""
        every = self.drawing.surface.classes.values()
        kin = [c for c in every if one.name in c.bases or c.name in one.bases]
        return [c.name for c in kin if not c.abstract and not c.is_enum]

    def _accepted(self, one: Class, built: list[Any]) -> list[Any]:
        """The calls that build an instance, all if none is seen to."""
        seen = trace(self.sandbox, self.source, [[["new", one.name, call] for call in built]], LIMITS)
        outcomes = seen.sequences[0].steps if seen is not None and seen.sequences else ()
        return [call for call, outcome in zip(built, outcomes, strict=False) if outcome.how == "returned"] or built

    def _sequences(
        self,
        name: str,
        sequences: list[list[Step]],
        lenient: bool = False,
        watch: Watch | None = None,
        apart: Sequence[list[Step]] = (),
    ) -> Behaviour:
        return Behaviour(
            self.source, name, (), self.sandbox, sequences=sequences, watch=watch or self.watch, lenient=lenient,
            sharing=self.sharing, apart=apart,
        )  # fmt: skip

    def _mixed(self) -> Behaviour | None:
        """Sequences of calls of different functions, which may share a state; None where there is but one."""
        if len(self.behaviours) < 2:
            return None
        rng = Random(self.seed)
        by_name: dict[str, list[Step]] = {}
        for step in self._steps:
            by_name.setdefault(step[1], []).append(step)
        names = list(by_name)
        sequences = [
            [rng.choice(by_name[rng.choice(names)]) for _ in range(MIXED_STEPS)] for _ in range(MIXED_SEQUENCES)
        ]
        for _ in range(MIXED_SEQUENCES):
            steps = [rng.choice(by_name[rng.choice(names)]) for _ in range(RECURRING_STEPS)]
            sequences.append(self._recurring(steps, rng))
        guessed = any(b.lenient for b in self.behaviours.values())
        return self._sequences("the functions by turns", sequences, guessed)

    def _surrounded(self, read: Around) -> Behaviour | None:
        """Sequences of calls with environment variables and a command line; None where nothing reads them."""
        if not read or not self._steps:
            return None
        rng = Random(self.seed)
        sequences = []
        for n in range(SURROUNDED_SEQUENCES):
            calls = [rng.choice(self._steps) for _ in range(2)]
            steps = [*read.steps(rng), *calls]
            sequences.append(steps if n % 2 else [*steps, *read.steps(rng), *calls])
        guessed = any(b.lenient for b in self.behaviours.values())
        return self._sequences("the functions in other surroundings", sequences, guessed)

    def compare(self, other: str) -> Finding:
        """Compare another program with A; the counterexample is the first that was found, made smaller."""
        theirs = inputs.surfaces.read(other)
        for name in self.names:
            if name not in {**theirs.functions, **theirs.classes, **theirs.variables}:
                kind = "function" if name in self.behaviours else "class"
                if not _bound(other, name):
                    return Finding(Answer.DIFFERENT, 0, f"the second program has no {kind} {name!r}")
        for name in self.variables:
            if name not in {**theirs.functions, **theirs.classes, **theirs.variables} and not _bound(other, name):
                return Finding(Answer.DIFFERENT, 0, f"the second program has no variable {name!r}")
        compared, reason = 0, "; ".join(self.missing)
        evidence = {b.entry: vars(b.evidence) for b in self.every}
        for behaviour in self.every:
            found = behaviour.compare(other)
            compared += found.calls
            if found.answer is Answer.DIFFERENT:
                return Finding(Answer.DIFFERENT, compared, found.counterexample, evidence=evidence)
            if behaviour not in (self.mixed, self.surrounded):
                reason = reason or found.reason
        for _, behaviour in self.further:
            found = behaviour.compare(other)
            compared += found.calls
            if found.answer is Answer.DIFFERENT:
                return Finding(Answer.DIFFERENT, compared, found.counterexample, evidence=evidence)
        found = self._with_constants_of(other)
        compared += found.calls
        surrounded = around.read(self.source, other)
        if found.answer is not Answer.DIFFERENT and surrounded != around.read(self.source):
            otherwise = self._surrounded(surrounded)
            found = otherwise.compare(other) if otherwise is not None else found
            compared += found.calls
        if found.answer is Answer.DIFFERENT:
            return Finding(Answer.DIFFERENT, compared, found.counterexample, evidence=evidence)
        theirs_hidden = hidden.read(other, self.sandbox)
        found, more = self._with_hidden(other, theirs_hidden)
        compared += found.calls
        if found.answer is Answer.DIFFERENT:
            return Finding(Answer.DIFFERENT, compared, found.counterexample, evidence=evidence)
        differing: dict[str, int] = {}
        reason = reason or self._unread(other) or _never_asked(self.drawing.surface, theirs, self.classes)
        if not reason:
            one, two = hidden.same(self.hidden, theirs_hidden), hidden.same(theirs_hidden, self.hidden)
            same = one.union(self.variables), two.union(self.variables)
            reason, differing = followed(self, other, more, same)
            beyond = self._beyond(other) if reason else []
            if beyond:
                reason, differing = followed(self, other, [*beyond, *more], same)
        answer = Answer.UNKNOWN if reason else Answer.EQUIVALENT
        return Finding(answer, compared, reason=reason, evidence=evidence, differing=differing)

    def _with_hidden(self, other: str, theirs: dict[str, Any]) -> tuple[Finding, list[list[Step]]]:
        """Calls with what the two programs keep to themselves, where that differs: there one may do otherwise. Beside
        what was found the sequences. theirs: what the other program keeps to itself."""
        values = hidden.differing(self.hidden, theirs)
        rng, calls, every = Random(self.seed), 0, list[list[Step]]()
        for one in self.every if values else ():
            made = []
            for value in values:
                fitting = [
                    s for s in one.sequences if any(hidden.put(x[2], value, rng) != x[2] for x in s if _calls(x))
                ]
                for sequence in fitting[:HIDDEN_SEQUENCES]:
                    made.append([[*x[:2], hidden.put(x[2], value, rng)] if _calls(x) else x for x in sequence])
            found = self._sequences(one.entry, made, one.lenient).compare(other) if made else None
            calls, every = calls + (found.calls if found else 0), every + made
            if found is not None and found.answer is Answer.DIFFERENT:
                return replace(found, calls=calls), every
        return Finding(Answer.EQUIVALENT, calls), every

    def _beyond(self, other: str) -> list[list[Step]]:
        """Sequences with None in the place of members of an Enum and of instances that are told apart, other texts in
        that of a Literal's, in which both programs do the same: what runs with no value that a hint allows is tried
        with one that it does not.

        Where they do not do the same, that says nothing.
        """
        literal = [x for x in self.drawing.closed if type(x) is str]
        found = []
        for one in self.every:
            outside = [[_outside(step, literal, self.drawing.told) for step in steps] for steps in one.sequences]
            told = [steps for steps, before in zip(outside, one.sequences, strict=True) if steps != before][:BEYOND]
            if told:
                behaviour = self._sequences(one.entry, told)
                if behaviour.evidence.answers and behaviour.compare(other, False).answer is not Answer.DIFFERENT:
                    found += told
        return found

    def _with_constants_of(self, other: str) -> Finding:
        """Calls with constants that the other program alone has, and of types that it alone tells apart: there it may
        do otherwise."""
        new = [c for c in constants.program_constants(other) if c not in self.drawing.constants]
        numbers = [c for c in [*new, *constants.large_constants(other)] if type(c) is int]
        numbers = [c for c in numbers if c not in self.drawing.numbers]
        told = constants.told_apart(inputs.surfaces.parsed(other)) - self.drawing.told
        calls, found = 0, Finding(Answer.EQUIVALENT, 0)
        if not new and not told and not numbers:
            return found
        drawing = Drawing(self.source, self.sandbox, self.seed + 1, new, told)
        watch = replace(self.watch, own=own_probes(new, constants.keys_read(other)))
        for name in self.behaviours:
            function = drawing.surface.functions[name]
            drawn = drawing.calls(function, Target("call", name), CALLS_WITH_OTHERS)
            telling = [call for call in drawn if told or any(holds(call, c) for c in new)]
            more = drawing.edges(function, drawn, numbers)
            if telling or more.near or more.apart or more.long:
                found = self._of_calls(function, telling, more, watch).compare(other)
                calls += found.calls
            if found.answer is Answer.DIFFERENT:
                break
        return replace(found, calls=calls)


def holds(wire: Any, constant: Any) -> bool:
    """Whether a constant, a text with it, or one about as long as it says, stands in a call in wire form."""
    measured = type(constant) is int and is_length(constant) and type(wire) in (str, list)
    if measured and abs(len(wire) - (type(wire) is list) - constant) <= 1:
        return True
    if type(wire) is list:
        return any(holds(x, constant) for x in wire)
    return wire == constant or (type(wire) is type(constant) is str and constant in wire)


def _outside(step: Step, literal: Sequence[str], told: Collection[str]) -> Step:
    """A step with a value that no hint allows in the place of each member of an Enum, texts of a Literal, and arguments
    that are instances of classes which are told apart."""
    if len(step) < 3 or step[0] == "with":
        return step
    call = changed(_without_members(step[2]), lambda leaf: f"{leaf} no more" if leaf in literal else leaf)
    if call[0] == "t":
        call = [None if type(x) is list and x[0] == "new" and x[1] in told else x for x in call]
    return [*step[:2], call]


def _without_members(wire: Any) -> Any:
    """A wire form with None in the place of each member of an Enum."""
    match wire:
        case ["member" | "flags", str(), str() | list()]:
            return None
        case list():
            return [_without_members(x) for x in wire]
    return wire


def _small(rng: Random, fixed: Sequence[Any], leaf: Any) -> Any:
    """A small number in the place of an integer that may be another one."""
    return rng.randint(1, 3) if type(leaf) is int and leaf not in fixed else leaf


def followed(
    compared: Reference | Behaviour,
    other: str,
    more: Sequence[Sequence[Step]] = (),
    same: tuple[Collection[str], Collection[str]] = ((), ()),
) -> tuple[str, dict[str, int]]:
    """What stands in one of two programs alone, or hangs on such, and never ran while they were compared, as a reason;
    empty where all of it did. Beside it how many statements stand in each program alone. more: sequences beside those
    of the comparison. same: variables of the first and of the second program whose values the other has too."""
    try:
        mine = compared.walk
        if more:
            mine = Walk(compared.source, compared.sandbox, [*more, *mine.sequences])
        theirs = Walk(other, compared.sandbox, mine.sequences)
        pairs = [
            ("first", mine, theirs, mine.hanging(theirs, same[0])),
            ("second", theirs, mine, theirs.hanging(mine, same[1])),
        ]
    except RecursionError:
        return "a program nests too deeply for its statements to be followed", {}
    counts = {"first": len(mine.alone(theirs.statements)), "second": len(theirs.alone(mine.statements))}
    for name, one, others, hanging in pairs:
        untried = one.untried(others.statements, hanging)
        if untried:
            what = "never runs to its end" if untried[0].then is None else "is never tried in all its ways"
            others_too = f" (nor do {len(untried) - 1} others)" if len(untried) > 1 else ""
            return f"what differs was not tried: in the {name} program, {untried[0].text!r} {what}{others_too}", counts
    for name, one, others, hanging in pairs:
        parts = one.untried_parts(others, hanging)
        if parts:
            what = "was never both true and false" if parts[0].ways > 1 else "never ran"
            return f"what differs was not tried: in the {name} program, {parts[0].text!r} {what}", counts
    return "", counts


def _kindred(error: type[BaseException]) -> list[str]:
    """The names of the exception above a built-in one, if it says anything, and of two below it."""
    above = [c for c in error.__mro__[1:2] if c not in (Exception, BaseException)]
    return [c.__name__ for c in (*above, *error.__subclasses__()) if c.__module__ == "builtins"][:3]


def _receives(source: str) -> bool:
    """Whether some generator of a program does something with what is sent to it."""
    tree = inputs.surfaces.parsed(source)
    dropped = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    return any(isinstance(n, ast.Yield) and id(n) not in dropped for n in ast.walk(tree))


def _bound(source: str, name: str) -> bool:
    """Whether an import or a loop at the program's top gives the name."""
    tree = inputs.surfaces.parsed(source)
    for node in inputs.surfaces.statements(tree.body):
        if hasattr(node, "names") and any((a.asname or a.name.partition(".")[0]) == name for a in node.names):
            return True
    return False


def _calls(step: Step) -> bool:
    """Whether a step gives arguments."""
    return step[0] in _CALLS


def _parts(call: Any) -> list[Any]:
    """Arguments by place and by name of a call."""
    return [call[1:], []] if call[0] == "t" else call[1:]


def _with(step: Step, change: Callable[[Any], Any]) -> Step:
    """A step with its call changed, if it has one."""
    return [*step[:2], change(step[2])] if _calls(step) else step


def _giving(function: Function, parameter: Parameter, call: Any, value: Any) -> Any | None:
    """A call with another value for one parameter; None where it can't be given one."""
    by_place, by_name = _parts(call)
    places = [p.name for p in function.parameters if p.kind in (Kind.POSITION, Kind.EITHER)]
    if parameter.name in places[: len(by_place)]:
        place = places.index(parameter.name)
        return ["call*", [*by_place[:place], value, *by_place[place + 1 :]], by_name]
    if parameter.kind not in (Kind.EITHER, Kind.KEYWORD):
        return None
    return ["call*", by_place, [*([k, x] for k, x in by_name if k != parameter.name), [parameter.name, value]]]


def _never_asked(mine: Surface, theirs: Surface, names: Collection[str]) -> str:
    """An operation that an assignment in the body of a class gives it, in one program alone, and that no step asks for,
    as a reason; empty where there is none."""
    for name in (n for n in names if n in theirs.classes):
        one, other = mine.classes[name], theirs.classes[name]
        for which, lost in (
            ("first", one.bound - other.special - {*one.methods}),
            ("second", other.bound - one.special),
        ):
            if lost:
                return f"class {name}: {min(lost)} is bound in the {which} program alone, and was not asked for"
    return ""


def _endless(source: str) -> bool:
    """Whether a program writes an iterator that has no end."""
    for node in ast.walk(inputs.surfaces.parsed(source)):
        match node:
            case ast.While(test=ast.Constant(value=value)) if value:
                return True
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="itertools"), attr=name) if name in _WITHOUT_END:
                return True
    return False


def _given(function: Function, name: str, call: Any) -> Any:
    """What a call gives a parameter, in wire form; None where it is left out."""
    by_place, by_name = _parts(call)
    places = [p.name for p in function.parameters if p.kind in (Kind.POSITION, Kind.EITHER)]
    return (dict(zip(places, by_place, strict=False)) | dict(by_name)).get(name)


def _guessed(parameters: Sequence[Parameter], drawing: Drawing) -> bool:
    """Whether some parameter has no hint that can be drawn."""
    return any(drawing.drawer(p.annotation) is None for p in parameters)
