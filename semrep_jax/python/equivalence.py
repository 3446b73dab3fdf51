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
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from random import Random
from typing import Any

from semrep_jax.languages import Answer, Finding
from semrep_jax.python import around, constants, hidden, inputs
from semrep_jax.python.arguments import Target
from semrep_jax.python.around import Around
from semrep_jax.python.behaviour import Behaviour
from semrep_jax.python.constants import caught
from semrep_jax.python.edges import Edges
from semrep_jax.python.inputs import Drawing
from semrep_jax.python.instances import Instances
from semrep_jax.python.neighbours import is_length
from semrep_jax.python.reach import Walk, followed
from semrep_jax.python.recurring import changed, lengthened
from semrep_jax.python.steps import gives, magnitude, with_few
from semrep_jax.python.surface import Class, Function, Parameter, Surface
from semrep_jax.python.trace import Step, Watch, own_probes
from semrep_jax.sandbox.pool import Sandbox

CALLS_WITH_OTHERS = 60  # drawn with the second program's constants
LONG_CALLS = 2  # with lists and texts of some hundred items
ALONE = 10  # times that a function without parameters is called
MIXED_SEQUENCES = 12
MIXED_STEPS = 8
RECURRING_STEPS = 16  # in which a few texts and numbers come again and again
MOST_THROWN = 8  # exceptions, by turns
TURNS = 8  # after which what is done with an iterator comes again
BEYOND = 40  # sequences with what no hint allows, of each function and class
SURROUNDED_SEQUENCES = 40
FURTHER_SEQUENCES = 3  # whose iterators are read on
FURTHER_ITEMS = 3000
_WITHOUT_END = ("count", "cycle", "repeat")
HIDDEN_SEQUENCES = 3  # of each function and class, for each value that one of the programs keeps to itself


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
        instances = Instances(self.drawing, self.watch.throws)
        self.classes: dict[str, Behaviour] = {}
        for name in names:
            if name in surface.classes:
                self._class(surface.classes[name], instances)
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

    def _class(self, one: Class, instances: Instances) -> None:
        """Sequences with instances of one class, where it has any. instances: makes them."""
        if one.abstract and not one.is_enum:
            below = any(one.name in c.bases for c in self.drawing.surface.classes.values())
            if not below and not one.protocol:
                self.missing.append(f"class {one.name} is abstract and not compared")
            return
        made = instances.of_members(one) if one.is_enum else instances.of(one)
        self._steps += [] if one.is_enum else [steps[0] for steps in made.sequences[:4]]
        called = [*one.methods.values(), *([] if one.is_enum else [one.constructor])]
        guessed = any(_guessed(function.parameters, self.drawing) for function in called)
        self.classes[one.name] = self._sequences(one.name, made.sequences, guessed, apart=made.apart)

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
            sequences.append(with_few(steps, rng, self.drawing.closed))
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
                fitting = [s for s in one.sequences if any(hidden.put(x[2], value, rng) != x[2] for x in s if gives(x))]
                for sequence in fitting[:HIDDEN_SEQUENCES]:
                    made.append([[*x[:2], hidden.put(x[2], value, rng)] if gives(x) else x for x in sequence])
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


def _guessed(parameters: Sequence[Parameter], drawing: Drawing) -> bool:
    """Whether some parameter has no hint that can be drawn."""
    return any(drawing.hints.drawer(p.annotation) is None for p in parameters)
