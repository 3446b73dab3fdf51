"""Inputs for a function that nobody has described: from its doctests, its type hints, or by trying what it takes.

    calls = generate(source, "f", sandbox, count=200, seed=0)      # calls in wire form
    Drawing(source, sandbox, seed).calls(function, target, 200)    # the same for methods and constructors

Values come from `strategies`; the program's own constants, and the neighbours of what its doctests give, are among
them, and instances of its own classes, which only the sandbox builds. Where a parameter has no hint, one call with each
combination of likely types is run contained, and those that end in TypeError or AttributeError are not drawn from
again. Optional arguments are given and left out, by place and by name. The same seed gives the same calls.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Collection, Sequence
from functools import partial
from random import Random
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.python import around
from semrep_jax.python import surface as surfaces
from semrep_jax.python.arguments import Arguments, Target, related
from semrep_jax.python.constants import (
    Pieces,
    compared_with_none,
    imported,
    keys_read,
    large_constants,
    literals,
    program_constants,
    reads_files,
    told_apart,
    words,
)
from semrep_jax.python.doctests import Call, doctests
from semrep_jax.python.draws import Draw, TooDeep, chosen, is_too_deep, one_of, several, ventured
from semrep_jax.python.edges import Edges, edges
from semrep_jax.python.formats import examples
from semrep_jax.python.guesses import (
    BUILTIN_ATTRIBUTES,
    calls_what_is_kept,
    combinations,
    kind_of_default,
    kinds,
    recorded,
    usages,
    without_truth_values,
)
from semrep_jax.python.hints import Hints
from semrep_jax.python.neighbours import composed, neighbour, with_constant
from semrep_jax.python.nodes import Role, attributes
from semrep_jax.python.recurring import changed, is_nested, leaves, recurring, told
from semrep_jax.python.strategies import (
    FILES,
    values,
)
from semrep_jax.python.surface import Class, Function, InputError, Kind, Parameter, Surface
from semrep_jax.python.trace import Limits, trace
from semrep_jax.sandbox.pool import Sandbox

TRIAL = Limits(cpu_seconds=2.0, wall_seconds=6.0, step_seconds=0.05)  # of combinations of types
KEPT_COMBINATIONS = 4  # drawn from
DRAWS_PER_CALL = 3  # draws repeat each other
NEIGHBOURS_OF_EXAMPLES = 3  # one call in so many, where there are examples
LEFT_OUT = 0.4  # how often an optional argument is
BY_NAME = 0.05  # how often arguments from one on are given by name
COMPOSED = 0.2  # how often a text is put together of the program's own, of numbers and words
RELATED = 0.15  # how often an argument hangs on another one
RECURRING = 0.1  # how often the same texts and numbers come again in a call with many of them
RECURRING_IN_NESTED = 0.4  # and in one with containers of containers: graphs, tables, groups
FEWEST_TO_RECUR = 4
ASKED_FOR = 0.2  # how often most texts of a call are ones that the program compares with
NOTHING = 0.08  # how often None stands in the place of what is compared with it and has no hint
MOST_STARRED = 3

_READERS = ("int(", "float(", "Decimal(")  # of numbers in texts
_TYPES = {"bool", "dict", "tuple", "set", "bytes", "float", "str", "list"}
_DUNDERS = {"__init__", "__new__", "__call__"}
_NAMES = ("a", "key", "b", "name", "x")
_COMMAND_LINES = ("argv", "args", "arguments", "cmdline")  # parameters that hold the words of one


def generate(
    source: str, entry: str, sandbox: Sandbox, count: int = 200, seed: int = 0, examples: Sequence[Call] = ()
) -> list[Any]:
    """Different calls of a function in wire form: examples, their neighbours, then draws and theirs.

    source: the program. entry: the function's name. sandbox: where it is tried what the function takes. count: at
    most so many. seed: decides all draws. examples: calls that come first, before those of the function's doctests.
    The neighbours of examples are a third; the program's own texts and numbers take part in the rest. Raises
    InputError.
    """
    drawing = Drawing(source, sandbox, seed)
    if entry not in drawing.surface.functions:
        known = ", ".join(drawing.surface.functions) or "none"
        raise InputError(f"there is no function {entry!r} at the top of the program; there are {known}")
    return drawing.calls(drawing.surface.functions[entry], Target("call", entry), count, examples)


class Drawing:
    """Draws calls for what is in one program.

    source: the program. sandbox: where it is tried what parameters without a hint take. seed: decides all. more:
    constants beside the program's own. told: types that are told apart beside those that it tells apart. Raises
    InputError where it does not parse.
    """

    def __init__(
        self, source: str, sandbox: Sandbox, seed: int = 0, more: Sequence[Any] = (), told: Collection[str] = ()
    ):
        self.source, self.sandbox, self.seed = source, sandbox, seed
        self.surface: Surface = surfaces.read(source)
        members = [m for c in self.surface.classes.values() for m in c.members]
        self.around = around.read(source)
        self.pieces = Pieces.of(source)
        files = FILES[:4] if reads_files(source) else ()
        self.constants = list(dict.fromkeys([*more, *program_constants(source), *members, *files, *examples(source)]))
        self.numbers = [c for c in [*self.constants, *large_constants(source)] if type(c) is int]
        # The order of a set that holds a NaN hangs on where it lies in memory.
        self.makes_sets = any(map(_is_set, ast.walk(syntax.module(source))))
        # Types that the program names, and those by which it tells what it was given.
        self.mentioned = {n.id for n in ast.walk(syntax.module(source)) if isinstance(n, ast.Name)} & _TYPES
        self.told = told_apart(syntax.module(source)) | set(told)
        self.closed = literals(source)  # nothing else stands in their place
        self.kept = [*self.closed, *keys_read(source)]  # nor in that of keys, when values come again
        # Functions that the program itself calls by name; of private ones it alone decides.
        calls = [n for n in ast.walk(syntax.module(source)) if isinstance(n, ast.Call) and n.keywords]
        self.called_by_name = {n.func.id for n in calls if isinstance(n.func, ast.Name)} | _DUNDERS
        # Names that are no objects of the callers'.
        self.outside = {*dir(builtins), *imported(source), *self.surface.functions, *self.surface.classes}
        self.calls_what_is_kept = calls_what_is_kept(syntax.module(source))
        # Attributes that lead from one instance to others of its class.
        self.links = attributes(syntax.module(source), self.outside, BUILTIN_ATTRIBUTES)
        self.hints = Hints(source, self.surface, self.constants, self.told, self._constructor)

    def calls(self, function: Function, target: Target, count: int, examples: Sequence[Call] = ()) -> list[Any]:
        """At most so many different calls in wire form; see `generate`.

        function: what is called; without parameters it has one call. target: the step that a call makes, and those
        before it, to try out what the function takes. count: the most that come back. examples: calls as tuples of
        Python values; they come first, then those of the function's doctests.
        """
        if not function.parameters:
            return [["t"]]
        rng, coming_again = Random(self.seed), Random(self.seed)
        known = [Arguments(list(call)) for call in (*examples, *doctests(function.name, function.docstring))]
        first = [call.form() for call in known]
        if known:
            telling = [*self.constants, *words(function.docstring)]
            for _ in range(count // NEIGHBOURS_OF_EXAMPLES):
                near = rng.choice(known)
                near = related(near, rng) if rng.random() < 2 * RELATED else near
                first.append(near.changed(lambda x: neighbour(x, rng, telling), rng).form())
                first.append(near.form())
        plans = self.plans(function, target)
        found: dict[str, Any] = {repr(call): call for call in first}
        for n in range(DRAWS_PER_CALL * count):
            if len(found) >= count:
                break
            try:
                drawn = self.draw(function, plans[n % len(plans)], rng)
            except TooDeep:
                continue
            if n % 2:
                drawn = drawn.changed(lambda x: neighbour(x, rng, self.constants), rng)
            if rng.random() < RELATED:
                drawn = related(drawn, rng)
            if self.constants and rng.random() < 1 / 3:
                constant = rng.choice(self.constants)
                drawn = drawn.changed(partial(with_constant, constant=constant, rng=rng), rng)
            if self.pieces.own and rng.random() < COMPOSED:
                drawn = drawn.changed(partial(composed, pieces=self.pieces, rng=rng), rng)
            call = _without_nan(drawn.form()) if self.makes_sets else drawn.form()
            share = RECURRING_IN_NESTED if is_nested(call) else RECURRING
            if coming_again.random() < share and leaves(call) >= FEWEST_TO_RECUR:
                (call,) = recurring([call], coming_again, self.kept)
            elif self.pieces.asked and coming_again.random() < ASKED_FOR:
                call = changed(call, partial(told, self.pieces.asked, coming_again, self.kept))
            found.setdefault(repr(call), call)
        return list(found.values())[:count]

    def edges(self, function: Function, calls: Sequence[Any], only: Collection[int] | None = None) -> Edges:
        """Calls of a function beside those that were drawn: with large numbers, many items, one object twice.

        calls: those that were drawn, in wire form. only: the numbers that are asked for, and nothing else; the
        program's own where None.
        """
        numbers = self.numbers if only is None else list(only)
        in_texts = any(reader in self.source for reader in _READERS)
        return edges(
            function,
            calls,
            numbers,
            self.pieces,
            self.seed,
            fixed=self.closed,
            in_texts=in_texts,
            mixed=bool(self.told & {"int", "float"}),
            only_numbers=only is not None,
        )

    def draw(self, function: Function, plan: dict[str, Draw], rng: Random) -> Arguments:
        """One call: optional arguments given or left out, by place or by name.

        function: whose parameters are filled. plan: what draws a value for each of them, by name. rng: decides the
        values, what is left out and what goes by name.
        """
        drawn, by_name, closed = Arguments(), False, False
        nameable = not function.name.startswith("_") or function.name in self.called_by_name
        for p in function.parameters:
            draw = plan[p.name]
            if p.kind is Kind.STAR:
                if not by_name and not closed:
                    drawn.args += [draw(rng) for _ in range(rng.randint(0, MOST_STARRED))]
            elif p.kind is Kind.STARS:
                names = [c for c in self.constants if type(c) is str and c.isidentifier()][:5] + list(_NAMES)
                taken = {q.name for q in function.parameters}
                free = [n for n in names if n not in taken]
                drawn.kwargs |= {n: draw(rng) for n in rng.sample(free, rng.randint(0, MOST_STARRED))}
            elif p.optional and (rng.random() < LEFT_OUT or (self.hints.builders and is_too_deep(draw, rng))):
                by_name, closed = True, True
            elif p.kind is Kind.POSITION:
                if not closed:
                    drawn.args.append(draw(rng))
            else:
                if not nameable and p.kind is Kind.EITHER:
                    drawn.args += [] if closed else [draw(rng)]
                    continue
                by_name = by_name or p.kind is Kind.KEYWORD or rng.random() < BY_NAME
                if by_name:
                    drawn.kwargs[p.name] = draw(rng)
                else:
                    drawn.args.append(draw(rng))
        return drawn

    def plans(self, function: Function, target: Target) -> list[dict[str, Draw]]:
        """Combinations of what draws each parameter, which the function takes.

        Parameters with a hint that can be drawn keep it; for the others, combinations of GUESSES are tried, one
        contained call each. Those that return come before those that raise; where the trial says nothing, every other
        parameter is an int.
        """
        within = target.name if target.what == "new" and target.name in self.surface.classes else ""
        fixed = {p.name: draw for p in function.parameters if (draw := self._known(p, within)) is not None}
        unknown = [p for p in function.parameters if p.name not in fixed]
        read = {} if within else recorded(function, self.outside, self.constants)
        fixed |= {n: mixed for n in fixed if n in read and (mixed := one_of([fixed[n], read[n].draw])) is not None}
        if not unknown:
            return [fixed]
        used = usages(self._read_of(within) if within else function.node)
        shape = attributes(function.node, self.outside, BUILTIN_ATTRIBUTES)
        own = {} if within else self.hints.own_kinds()
        every_kind = [
            ({"record": read[p.name]} if p.name in read else {})
            | kinds(used.get(p.name), shape, self.calls_what_is_kept)
            | own
            for p in unknown
        ]
        guesses = combinations([list(k) for k in every_kind], Random(self.seed))
        samples = {p.name: fixed[p.name](Random(0)) for p in function.parameters if p.name in fixed}
        steps = []
        for guess in guesses:
            tried = {p.name: kind[g].example for p, kind, g in zip(unknown, every_kind, guess, strict=True)}
            given = Arguments()
            for p in function.parameters:
                if p.optional:
                    continue
                if p.kind is Kind.KEYWORD:
                    given.kwargs[p.name] = (samples | tried)[p.name]
                else:
                    given.args.append((samples | tried)[p.name])
            steps.append(target.step(given.form()))
        outcomes = trace(self.sandbox, self.source, [[*target.before, *steps]], TRIAL)
        default = tuple(next(iter(k)) for k in every_kind)
        chosen = [default]
        if outcomes is not None and outcomes.sequences:
            seen = outcomes.sequences[0].steps[len(target.before) :]
            taken = [(g, s.ending) for g, s in zip(guesses, seen, strict=True) if not s.refused and s.how != "void"]
            returned = [g for g, how in taken if how in ("returned", "unreadable")]
            every = returned or [g for g, _ in taken] or [default]
            every = every if {"bool"} & {*self.told, *self.mentioned} else without_truth_values(every)
            named = [g for g in every[KEPT_COMBINATIONS:] if self.mentioned & {k.partition("[")[0] for k in g}]
            chosen = every[:KEPT_COMBINATIONS] + named[:KEPT_COMBINATIONS]
        missing = compared_with_none(function.node)

        def drawn(p: Parameter, draw: Draw) -> Draw:
            one: Draw = ventured(draw)
            return (lambda rng: None if rng.random() < NOTHING else one(rng)) if p.name in missing else one

        return [
            fixed | {p.name: drawn(p, kind[g].draw) for p, kind, g in zip(unknown, every_kind, guess, strict=True)}
            for guess in chosen
        ]

    def _constructor(self, one: Class) -> Callable[[Random], Arguments]:
        """What draws the arguments of a class's constructor."""
        plans = self.plans(one.constructor, Target("new", one.name))
        return lambda rng: self.draw(one.constructor, rng.choice(plans), rng)

    def _read_of(self, name: str) -> ast.AST:
        """A class with the names of its constructor's parameters in the place of the attributes that keep them."""
        tree = syntax.module(self.source)
        one = next((n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == name), None)
        if one is None:  # it is made by a call
            return self.surface.classes[name].constructor.node
        kept = {}
        for node in ast.walk(one):
            match node:
                case ast.Assign(
                    targets=[ast.Attribute(value=ast.Name(id="self"), attr=attr)], value=ast.Name(id=given)
                ):
                    kept[attr] = given
        for parent in ast.walk(one):
            for field, child in ast.iter_fields(parent):
                match child:
                    case ast.Attribute(value=ast.Name(id="self"), attr=attr, ctx=ast.Load()) if attr in kept:
                        setattr(parent, field, ast.Name(id=kept[attr], ctx=ast.Load()))
        return one

    def _known(self, p: Parameter, within: str) -> Draw | None:
        """What draws a parameter by its hint, its default or its kind; None where it must be tried. within: the class
        whose instances are built, if any."""
        draw = self.hints.drawer(p.annotation)
        if self.around.options and p.name in _COMMAND_LINES:
            none = p.default is not None and ast.unparse(p.default) == "None"
            return one_of([*[self.around.words] * 4, (lambda rng: None) if none else draw])
        if draw is not None:
            return draw
        role = self.links.get(p.name, Role.PLAIN)
        if within and p.default is not None and ast.unparse(p.default) == "None" and role is not Role.PLAIN:
            one = self.hints.builder(within)
            return one_of([lambda rng: None, one and several(one, list) if role is Role.MANY else one, one])
        if p.default is not None:
            kind = kind_of_default(p.default)
            mixed = ("int", "str", "list[int]", "list[str]", "dict[str, int]") if kind is None else (kind,)
            return lambda rng: rng.choice(values(rng.choice(mixed)))
        if p.kind in (Kind.STAR, Kind.STARS):
            return chosen("int")
        return None


def _is_set(node: ast.AST) -> bool:
    named = isinstance(node, ast.Name) and node.id in ("set", "frozenset")
    return named or isinstance(node, ast.Set | ast.SetComp)


def _without_nan(wire: Any) -> Any:
    """A wire form with another number in the place of NaN."""
    if type(wire) is not list:
        return wire
    return ["f", "2.5"] if wire == ["f", "nan"] else [_without_nan(x) for x in wire]
