"""Sequences of steps with the instances of a class, and with the members of an Enum: what a comparison asks of them.

    made = Instances(drawing, throws=("ValueError",)).of(one)
    made.sequences, made.apart              # lists of steps; those apart are run in a process of their own

Instances are built, their methods called and attributes read in sequences, by turns at random and with a few texts and
numbers that come again and again; they are compared with others, some of which differ in one parameter, hashed, entered
and changed.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from semrep_jax.python import strategies
from semrep_jax.python.arguments import Target
from semrep_jax.python.behaviour import LIMITS
from semrep_jax.python.inputs import Drawing
from semrep_jax.python.recurring import changed
from semrep_jax.python.steps import given, giving, parts, with_call, with_few
from semrep_jax.python.surface import Class
from semrep_jax.python.trace import Step, trace

SEQUENCES = 24
STEPS = 6
EDGES = 6  # calls of a method that are hardly drawn, each in a sequence of its own
RECURRING_SEQUENCES = 48  # longer ones, in which a few texts and numbers come again and again
RECURRING_STEPS = 16
CALLS_OF_MEMBERS = 4  # of each method, of a member of an Enum
MOST_MEMBERS = 40
MOST_NEAR = 8  # parameters in which instances differ
ORDERS = ("lt", "le", "gt", "ge")


@dataclass
class Made:
    """Sequences of steps. apart: those that may take too long or need too much, which says nothing of a program."""

    sequences: list[list[Step]] = field(default_factory=list)
    apart: list[list[Step]] = field(default_factory=list)


class Instances:
    """Makes sequences with the classes of a program.

    drawing: of its arguments, with its seed. throws: names of exceptions that leave a `with`.
    """

    def __init__(self, drawing: Drawing, throws: Sequence[str]):
        self.drawing, self.throws, self.seed = drawing, throws, drawing.seed

    def of(self, one: Class) -> Made:
        """Sequences with the instances of a class that can be built."""
        rng = Random(self.seed)
        drawn = self.drawing.calls(one.constructor, Target("new", one.name), 4 * SEQUENCES)
        small = sorted(drawn, key=_length)[: SEQUENCES // 3]  # edges are small
        built = (drawn[: SEQUENCES - len(small)] + small) if len(drawn) > SEQUENCES else drawn
        accepted = self._accepted(one, built)
        methods, at_edges = self._methods(one, ["new", one.name, accepted[0]])
        asked = methods + self._uses(one, accepted[:6])
        made = Made(apart=at_edges.apart)
        made.sequences += self._by_turns(one, built, asked, rng)
        made.sequences += self._recurring(one, built, methods, asked, rng)
        made.sequences += self._near(one, accepted[:2], drawn) + at_edges.sequences
        edges = self.drawing.edges(one.constructor, drawn)
        for found, calls in ((made.sequences, edges.near[:EDGES]), (made.apart, edges.apart)):
            uses = [rng.choice(kind) for kind in asked[: STEPS - 1]]
            found += [[["new", one.name, call], *uses] for call in calls]
        return made

    def _accepted(self, one: Class, built: list[Any]) -> list[Any]:
        """The calls that build an instance, all if none is seen to."""
        seen = trace(self.drawing.sandbox, self.drawing.source, [[["new", one.name, call] for call in built]], LIMITS)
        outcomes = seen.sequences[0].steps if seen is not None and seen.sequences else ()
        return [call for call, outcome in zip(built, outcomes, strict=False) if outcome.how == "returned"] or built

    def _methods(self, one: Class, new: Step) -> tuple[list[list[Step]], Made]:
        """Steps with each method and property, and sequences with calls at edges. new: builds an instance for them."""
        asked, at_edges = list[list[Step]](), Made()
        for method in one.methods.values():
            place = Target("ask", method.name, (new,))
            drawn = self.drawing.calls(method, place, 2 * SEQUENCES)
            asked.append([place.step(call) for call in drawn])
            edges = self.drawing.edges(method, drawn)
            at_edges.sequences += [[new, place.step(call)] for call in edges.near[:EDGES]]
            at_edges.apart += [[new, place.step(call)] for call in edges.apart]
        return asked + [[["get", name]] for name in one.attributes], at_edges

    def _by_turns(self, one: Class, built: list[Any], asked: list[list[Step]], rng: Random) -> list[list[Step]]:
        """Sequences of a few steps of all kinds.

        built: calls of the constructor. asked: steps by kind. rng: decides which come.
        """
        found = []
        barest, kin = min(built, key=_length), self._kin(one)
        for n in range(SEQUENCES):
            call = barest if n % 6 == 5 else built[n % len(built)]
            steps: list[Step] = [["new", one.name, call]]
            steps += [["op", "eq", ["t", ["new", name, *parts(call)]]] for name in kin[:2] if n % 4 == 0]
            for k in range(STEPS):
                if n % 3 == 2 and k == STEPS - 2:  # what another instance has left for this one
                    steps.append(["new", one.name, call])
                choices = asked[(n + k) % len(asked)] if k % 2 else rng.choice(asked)
                steps.append(rng.choice(choices))
            found.append(steps)
        return found

    def _recurring(
        self, one: Class, built: list[Any], methods: list[list[Step]], asked: list[list[Step]], rng: Random
    ) -> list[list[Step]]:
        """Longer sequences, in which a few texts and numbers come again and again.

        built: calls of the constructor. methods: steps with methods and properties, by kind. asked: steps of all kinds.
        rng: decides which come.
        """
        found = []
        for n in range(RECURRING_SEQUENCES if methods else 0):
            more = [rng.choice(rng.choice(methods if k % 4 else asked)) for k in range(RECURRING_STEPS)]
            steps = with_few([["new", one.name, built[n % len(built)]], *more], rng, self.drawing.closed)
            if n % 2:  # what a size or limit holds back shows where it is small; what time does, where all numbers are
                smaller = partial(changed, change=partial(_small, rng, self.drawing.closed))
                most = len(steps) if n % 4 == 3 else 1
                steps = [*(with_call(step, smaller) for step in steps[:most]), *steps[most:]]
            found.append(steps)
        return found

    def _near(self, one: Class, built: list[Any], drawn: list[Any]) -> list[list[Step]]:
        """Sequences with an instance beside one that a single parameter tells from it: are they equal, have they one
        hash, which comes first?

        built: calls of the constructor. drawn: calls with other arguments.
        """
        found: list[list[Step]] = []
        orders = ("lt", "ge") if one.ordered else ()
        for parameter in one.constructor.parameters[:MOST_NEAR]:
            values = [x for call in drawn if (x := given(one.constructor, parameter.name, call)) is not None]
            for call in built:
                own = given(one.constructor, parameter.name, call)
                value = next((x for x in values if x != own), None)
                near = None if value is None else giving(one.constructor, parameter, call, value)
                if near is not None:
                    other = ["t", ["new", one.name, *parts(near)]]
                    more: list[Step] = [["op", name, other] for name in ("eq", *orders)]
                    found.append([["new", one.name, call], *more, ["hash", one.name, near]])
        return found

    def _uses(self, one: Class, built: list[Any]) -> list[list[Step]]:
        """What instances are used for beside their methods: comparisons, hashes, `with`, attributes that are set.

        built: calls of the constructor, for other instances.
        """
        others: list[Any] = [["new", one.name, *parts(call)] for call in built]
        asked: list[list[Step]] = [[["op", "eq", ["t", x]] for x in [*others, 3]]]
        asked.append([["op", "truth", ["t"]]])
        asked.append([["hash", one.name, call] for call in built])
        if one.ordered:
            asked += [[["op", name, ["t", x]] for x in [*others, 3]] for name in ORDERS]
        item = one.methods.get("__getitem__")
        if item is not None and any(p.annotation is None for p in item.parameters):
            asked.append([["ask", "__getitem__", ["t", strategies.form(x)]] for x in strategies.values("slice")])
        if one.manages:
            errors = dict.fromkeys(["ValueError", "KeyError", "IndexError", *self.throws])
            asked.append([["with", "", ["t", *error]] for error in ([], [], *([e] for e in errors))])
        if one.looks_up:
            names = [c for c in self.drawing.constants if type(c) is str and c.isidentifier()]
            asked.append([["get", name] for name in [*names, "a", "name", "x", "missing"][:8]])
        for name, annotation in one.settable.items():
            draw = self.drawing.hints.drawer(annotation) or self.drawing.hints.drawer(ast.Name(id="int"))
            rng = Random(self.seed)
            if draw is not None:
                asked.append([["set", name, ["t", strategies.form(draw(rng))]] for _ in range(8)])
        for name, parameter in one.kept.items():
            fitting = [x for call in built if (x := given(one.constructor, parameter, call)) is not None]
            asked += [[["set", name, ["t", x]] for x in fitting]] if fitting and name not in one.settable else []
        asked.append([["set", "added", ["t", 1]]])  # an attribute that the class knows nothing of
        asked += [[["ask", "__repr__", ["t"]]]] if one.shown else []
        return asked

    def _kin(self, one: Class) -> list[str]:
        """Classes of the program that are below or above a class, and can be built."""
        every = self.drawing.surface.classes.values()
        kin = [c for c in every if one.name in c.bases or c.name in one.bases]
        return [c.name for c in kin if not c.abstract and not c.is_enum]

    def of_members(self, one: Class) -> Made:
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
            asked += [["op", name, ["t", x]] for x in [*others, 1] for name in ORDERS]
        written = [n.value for n in ast.walk(one.constructor.node) if isinstance(n, ast.Constant)]
        tried = [x for x in dict.fromkeys([*written, 0, 3, 99, -1, "missing"]) if type(x) in (int, float, str)]
        sequences: list[list[Step]] = [[["call", f"{one.name}.__members__.copy", ["t"]]]]
        sequences += [[["member", one.name, ["t", n]], *asked] for n in one.members[:MOST_MEMBERS]]
        sequences.append([["call", one.name, ["t", strategies.form(x)]] for x in tried[:MOST_MEMBERS]])
        sequences.append([["member", one.name, ["t", "missing"]]])
        return Made(sequences)


def _length(call: Any) -> int:
    return len(repr(call))


def _small(rng: Random, fixed: Sequence[Any], leaf: Any) -> Any:
    """A small number in the place of an integer that may be another one."""
    return rng.randint(1, 3) if type(leaf) is int and leaf not in fixed else leaf
