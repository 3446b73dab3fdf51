"""What a parameter without a hint may be: guessed from how the function's text uses it, to be tried in the sandbox.

    kinds(usages(node).get("x"), shape)["int"].draw(rng)

The kinds come in the order in which they are preferred: types of values, objects with the attributes that are used,
functions where the parameter is called, objects that lead to one another where the function walks them.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from semrep_jax.python.nodes import Role, Shape, graph
from semrep_jax.python.strategies import GUESSES, Made, form, values

MOST_COMBINATIONS = 150  # of types, tried
MOST_ENUMERATED = 3  # parameters without a hint up to which every combination may be tried

Draw = Callable[[Random], Any]
BUILTIN_ATTRIBUTES = {n for t in (str, list, dict, set, tuple, bytes, int, float) for n in dir(t)} | {"close", "throw"}
_DATE_ATTRIBUTES = {"year", "month", "day", "weekday", "isoformat", "strftime", "toordinal", "isoweekday", "timetuple"}


@dataclass(frozen=True)
class Guess:
    """What a parameter without a hint may be: what draws it, and what it is tried with."""

    draw: Draw
    example: Any


def chosen(kind: str) -> Draw:
    """What draws values of a kind; see `strategies.values`."""
    return lambda rng: rng.choice(values(kind))


@dataclass
class Usage:
    """How a function's text uses a parameter: attributes that it reads, methods that it calls, whether it calls it."""

    attributes: set[str] = field(default_factory=set)
    methods: set[str] = field(default_factory=set)
    called: bool = False


def usages(node: ast.AST) -> dict[str, Usage]:
    """How each name is used in a function."""
    found: dict[str, Usage] = {}
    methods = set()
    for n in ast.walk(node):
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name):
            found.setdefault(n.func.id, Usage()).called = True
        elif isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and isinstance(n.func.value, ast.Name):
            found.setdefault(n.func.value.id, Usage()).methods.add(n.func.attr)
            methods.add(id(n.func))
    for n in ast.walk(node):
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and id(n) not in methods:
            found.setdefault(n.value.id, Usage()).attributes.add(n.attr)
    return found


def calls_what_is_kept(tree: ast.AST) -> bool:
    """Whether a program calls functions that it has stored: `for f in self.hooks: f(x)`, `self.table[name](x)`."""
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    called = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
    return any(isinstance(f, ast.Subscript) or (isinstance(f, ast.Name) and f.id in stored) for f in called)


def kinds(used: Usage | None, shape: Shape, keeps_functions: bool = False) -> dict[str, Guess]:
    """What a parameter may be, by name, in the order in which it is preferred. shape: of the objects that the function
    walks, where it walks any. keeps_functions: whether it may be a function that is called later, by another one."""
    every = {name: Guess(chosen(name), guess.example) for name, guess in GUESSES.items()}
    if keeps_functions:
        kept = Guess(chosen("Callable"), Made(["call", "int"]))
        every = {"int": every["int"], "callback int": kept} | every
    every = (_walked(shape) if shape else {}) | every
    if used is None:
        return every
    asked = {name for name in used.attributes | used.methods if not name.startswith("__")}
    if asked & _DATE_ATTRIBUTES and asked <= _DATE_ATTRIBUTES:
        return {hint: Guess(chosen(hint), values(hint)[0]) for hint in ("datetime", "date")}
    if asked - BUILTIN_ATTRIBUTES:
        nodes = _walked(shape | dict.fromkeys(used.attributes - set(shape), Role.PLAIN)) if shape else {}
        return nodes | {f"thing of {kind}": _thing(used, kind) for kind in ("int", "str", "float", "list[int]")}
    if used.called and not asked:
        results = ("int", "same", "str", "bool")
        return {f"callback {r}": Guess(chosen("Callable"), Made(["call", r])) for r in results}
    return every


def _walked(shape: Shape) -> dict[str, Guess]:
    """An object that leads to others of its kind, and a list of such."""
    one, several = partial(graph, shape), partial(graph, shape, several=True)
    return {"node": Guess(one, one(Random(1))), "list of nodes": Guess(several, several(Random(1)))}


def _thing(used: Usage, kind: str) -> Guess:
    """An object with the attributes and methods that are used."""

    def draw(rng: Random) -> Made:
        attributes = [[name, form(rng.choice(values(kind)))] for name in sorted(used.attributes)]
        return Made(["thing", attributes + methods])

    methods = [[name, ["call", kind if kind in ("int", "str", "float") else "int"]] for name in sorted(used.methods)]
    example = [[name, form(GUESSES[kind].example)] for name in sorted(used.attributes)]
    return Guess(draw, Made(["thing", example + methods]))


def combinations(kinds: list[list[str]], rng: Random) -> list[tuple[str, ...]]:
    """At most MOST_COMBINATIONS of kinds; up to MOST_ENUMERATED parameters, those of one kind first."""
    found = list(itertools.product(*kinds)) if len(kinds) <= MOST_ENUMERATED else []
    for _ in range(MOST_COMBINATIONS - len(found)):
        if len(kinds) <= MOST_ENUMERATED:
            break
        found.append(tuple(rng.choice(k) for k in kinds))
    if len(found) <= MOST_COMBINATIONS:
        return found
    uniform = [c for c in found if len(set(c)) == 1]
    mixed = [c for c in found if len(set(c)) > 1]
    return uniform + rng.sample(mixed, MOST_COMBINATIONS - len(uniform))
