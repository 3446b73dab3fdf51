"""What draws values of a type hint, the program's own classes among them, which only the sandbox builds.

    hints = Hints(source, surface, constants, told, arguments)
    hints.drawer(annotation), hints.builder("Point")       # None where nothing draws them

Instances are built of drawn arguments, members of an Enum are chosen, and for a protocol that no class of the program
has, objects with its methods stand. Classes that hold instances of their own are built to a depth.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
from collections.abc import Callable, Collection, Sequence
from random import Random
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.python.arguments import Arguments
from semrep_jax.python.constants import program_constants
from semrep_jax.python.draws import Draw, TooDeep, as_iterable, chosen, is_too_deep, one_of, several
from semrep_jax.python.guesses import Guess
from semrep_jax.python.strategies import CALLBACK_RESULTS, Made, can_draw, form, iterator, values
from semrep_jax.python.surface import Class, Function, Surface

FROM_BELOW = 0.25  # how often an instance is of a class below the one that is asked for
MOST_STANDING = 20  # different objects that stand for what a protocol describes
DEEPEST_BUILD = 3  # instances that hold instances of other classes
MOST_OWN_CLASSES = 3  # of which instances are tried where there is no hint
DEEPEST_CHAIN = 4  # instances that hold instances of their own class

_BARE = {"object", "Any", "tuple", "Tuple", "list", "List", "dict", "Dict"}
# A type, and one below it: instances of the second are drawn for the first where the program tells them apart.
_BELOW = {"int": ["bool"], "date": ["datetime"], "dict": ["OrderedDict", "Counter"], "Dict": ["OrderedDict"]}


class Hints:
    """Draws values of the hints in one program.

    source: the program. surface: what is public in it. constants: its own and those that are asked for beside. told:
    names of types that are told apart. arguments: what draws a constructor's, by its class.
    """

    def __init__(
        self,
        source: str,
        surface: Surface,
        constants: Sequence[Any],
        told: Collection[str],
        arguments: Callable[[Class], Callable[[Random], Arguments]],
    ):
        self.source, self.surface, self.constants, self.told = source, surface, constants, told
        self.arguments = arguments
        self.builders: dict[str, Draw | None] = {}  # of classes that were asked for
        self._building: list[str] = []
        self._depth = 0  # of instances in instances of one class

    def drawer(self, annotation: ast.expr | None, depth: int = 0) -> Draw | None:
        """What draws values of a hint, the program's own classes among them; None where nothing does."""
        if annotation is None or depth > 8:
            return None
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                return self.drawer(syntax.expression(annotation.value).body, depth + 1)
            except SyntaxError:
                return None
        own = {n.id for n in ast.walk(annotation) if isinstance(n, ast.Name)} | {
            n.value for n in ast.walk(annotation) if isinstance(n, ast.Constant) and isinstance(n.value, str)
        }
        if not own & (set(self.surface.classes) | set(self.surface.variables)):
            kind = ast.unparse(annotation)
            if kind in _BARE and self.constants:
                return self._with_constants(kind)
            base, subscripted, inside = kind.partition("[")
            for below in _BELOW.get(base, ()):
                if below in self.told and can_draw(below + subscripted + inside):
                    return one_of([*[chosen(kind)] * 3, chosen(below + subscripted + inside)])
            return chosen(kind) if can_draw(kind) else None
        return self._own_drawer(annotation, depth)

    def _with_constants(self, kind: str) -> Draw:
        """Values of a hint that says little (`tuple`, `dict`), some of them put together of the program's constants."""
        own = set(program_constants(self.source))
        keys = [c for c in self.constants if type(c) is str and c in own] or self.constants

        def draw(rng: Random) -> Any:
            if rng.random() < 0.5:
                return rng.choice(values(kind))
            of = rng.choice(["tuple", "list", "dict", "constant"]) if kind in ("object", "Any") else kind.lower()
            sort = rng.choice(["Any", "int", "float", "str"])
            anything = [rng.choice(values(sort)) for _ in range(rng.randint(0, 3))]
            if of == "dict":
                found = rng.sample(keys, min(len(keys), rng.randint(1, 5)))
                return {key: rng.choice(values("Any")) for key in found}
            if of == "constant":
                return rng.choice(self.constants)
            items = [rng.choice(keys if rng.random() < 0.75 else self.constants), *anything]
            return tuple(items) if of == "tuple" else items

        return draw

    def _own_drawer(self, annotation: ast.expr, depth: int) -> Draw | None:
        """What draws values of a hint with classes or other names of the program in it."""
        match annotation:
            case ast.Name(id=name) if name in self.surface.classes:
                return self.builder(name)
            case ast.Name(id=name) if name in self.surface.variables:
                return self._alias(name, depth)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return one_of([self.drawer(left, depth + 1), self.drawer(right, depth + 1)])
            case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
                parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                return self._own_subscripted(name, parts, depth)
        return None

    def _alias(self, name: str, depth: int) -> Draw | None:
        """A name that stands for a hint: an alias, a TypeVar, a NewType."""
        value = self.surface.variables[name]
        if isinstance(value, ast.Call):
            called = ast.unparse(value.func).rpartition(".")[2]
            if called == "NewType":
                return self.drawer(value.args[1], depth + 1)
            if called == "TypeVar":
                bound = {k.arg: k.value for k in value.keywords}.get("bound")
                choices = value.args[1:] or ([bound] if bound is not None else [ast.Name(id="int")])
                return self.drawer(choices[0], depth + 1)
        return self.drawer(value, depth + 1)

    def _own_subscripted(self, name: str, parts: list[ast.expr], depth: int) -> Draw | None:
        variadic = len(parts) == 2 and isinstance(parts[1], ast.Constant) and parts[1].value is Ellipsis
        inner = [self.drawer(p, depth + 1) for p in (parts[:1] if variadic else parts)]
        draws = [d for d in inner if d is not None]
        if len(draws) != len(inner):
            return None
        one = draws[0]
        match name.lower():
            case "set" | "frozenset":
                kind = set if name.lower() == "set" else frozenset
                return several(one, kind, 4)
            case "list" | "mutablesequence":
                return several(one, list)
            case "sequence" | "collection":
                return one_of([several(one, list), several(one, list), several(one, list), several(one, tuple)])
            case "iterable":
                return lambda rng: as_iterable(several(one, list)(rng), rng)
            case "iterator" | "generator":
                return lambda rng: iterator("generator", several(one, list)(rng))
            case "dict" | "mapping" if len(draws) == 2:
                return lambda rng: dict(several(lambda rng: (one(rng), draws[1](rng)), list, 4)(rng))
            case "tuple" if variadic:
                return several(one, tuple, 4)
            case "tuple":
                return lambda rng: tuple(draw(rng) for draw in draws)
            case "optional":
                return one_of([one, lambda rng: None])
            case "union":
                return one_of(inner)
            case "annotated" | "final" | "classvar":
                return one
        return self.builder(name) if name in self.surface.classes else None

    def builder(self, name: str) -> Draw | None:
        """What draws instances of a class of the program, or members of its Enum; None where it can't be built."""
        if name in self._building:
            return self._again(name)
        if name not in self.builders:
            if len(self._building) >= DEEPEST_BUILD:
                return None
            self._building.append(name)
            try:
                draw = self._builder(self.surface.classes[name])
                self.builders[name] = draw if draw is not None and not self._has_no_end(name, draw) else None
            finally:
                self._building.pop()
        return self.builders[name]

    def _standing_for(self, one: Class) -> Draw | None:
        """What draws objects that have the methods and attributes which a protocol names, or the function that it
        describes; None where it asks for others."""
        results = {name: _result(method) for name, method in one.methods.items()}
        held = {name: self.drawer(annotation) for name, annotation in one.declared.items()}
        if None in held.values() or None in results.values() or one.attributes or not (results or held):
            return None
        if set(results) == {"__call__"}:
            return lambda rng: Made(["call", results["__call__"], None, 0, rng.randint(1, MOST_STANDING)])
        if any(name.startswith("__") for name in results):
            return None

        def draw(rng: Random) -> Any:
            number = rng.randint(1, MOST_STANDING)
            methods = [[name, ["call", result, None, 0, number]] for name, result in results.items()]
            return Made(["thing", [*methods, *([n, form(d(rng))] for n, d in held.items() if d is not None)]])

        return draw

    def _again(self, name: str) -> Draw:
        """What draws instances of a class within another one, down to DEEPEST_CHAIN of them."""

        def draw(rng: Random) -> Any:
            builder = self.builders.get(name)  # None too while it is still looked for what builds one
            if builder is None or self._depth >= DEEPEST_CHAIN or rng.random() < self._depth / 8:
                raise TooDeep
            self._depth += 1
            try:
                return builder(rng)
            finally:
                self._depth -= 1

        return draw

    def _has_no_end(self, name: str, draw: Draw) -> bool:
        """Whether each instance of a class needs another one."""
        self.builders[name] = draw
        return all(is_too_deep(draw, Random(seed)) for seed in range(5))

    def _builder(self, one: Class) -> Draw | None:
        if one.is_enum:
            members = [Made(["member", one.name, m]) for m in one.members]
            if {"Flag", "IntFlag"} & set(one.bases):
                several = itertools.product((False, True), repeat=min(4, len(one.members)))
                members += [
                    Made(["flags", one.name, [m for m, there in zip(one.members, mask, strict=False) if there]])
                    for mask in several
                ]
            return (lambda rng: rng.choice(members)) if members else None
        if one.abstract:
            every = [c for c in self.surface.classes.values() if not c.abstract]
            fitting = [c for c in every if one.name in c.bases or (one.protocol and set(one.methods) <= set(c.methods))]
            below = [self.builder(c.name) for c in fitting]
            return one_of(below) or (self._standing_for(one) if one.protocol else None)
        arguments = self.arguments(one)
        kin = [c.name for c in self.surface.classes.values() if one.name in c.bases and not c.abstract]
        derived = [found for found in (self.builder(c) for c in kin if c[0] != "_") if found is not None]

        def draw(rng: Random) -> Any:
            if derived and rng.random() < FROM_BELOW:
                with contextlib.suppress(TooDeep):
                    return rng.choice(derived)(rng)
            given = arguments(rng)
            return Made(
                ["new", one.name, [form(x) for x in given.args], [[k, form(x)] for k, x in given.kwargs.items()]]
            )

        return draw

    def own_kinds(self) -> dict[str, Guess]:
        """Instances of the program's public classes, and lists of them, for parameters without a hint."""
        found: dict[str, Guess] = {}
        for name, one in list(self.surface.classes.items())[:MOST_OWN_CLASSES]:
            draw = None if name.startswith("_") or name in self._building else self.builder(name)
            if draw is not None and one.builtin_base != "BaseException" and not is_too_deep(draw, Random(1)):
                example = draw(Random(1))
                found |= {name: Guess(draw, example), f"list of {name}": Guess(several(draw, list), [example])}
        return found


def _result(method: Function) -> str | None:
    """The sort of what a method gives, by its hint (see `strategies.callbacks`); None where there is no such sort."""
    if not isinstance(method.node, ast.FunctionDef) or method.node.returns is None:
        return None
    name = ast.unparse(method.node.returns)
    return "none" if name == "None" else name if name in CALLBACK_RESULTS else None
