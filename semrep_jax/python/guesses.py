"""What a parameter without a hint may be: guessed from how the function's text uses it, to be tried in the sandbox.

    kinds(usages(node).get("x"), shape)["int"].draw(rng)

The kinds come in the order in which they are preferred: types of values, objects with the attributes that are used,
functions where the parameter is called, objects that lead to one another where the function walks them.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from semrep_jax.python import records
from semrep_jax.python.draws import Draw, chosen
from semrep_jax.python.nodes import Role, Shape, graph
from semrep_jax.python.strategies import GUESSES, Made, form, values
from semrep_jax.python.surface import Function

MOST_COMBINATIONS = 150  # of types, tried
MOST_ENUMERATED = 3  # parameters without a hint up to which every combination may be tried

BUILTIN_ATTRIBUTES = {n for t in (str, list, dict, set, tuple, bytes, int, float) for n in dir(t)} | {"close", "throw"}
_DATE_ATTRIBUTES = {"year", "month", "day", "weekday", "isoformat", "strftime", "toordinal", "isoweekday", "timetuple"}


@dataclass(frozen=True)
class Guess:
    """What a parameter without a hint may be: what draws it, and what it is tried with."""

    draw: Draw
    example: Any


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


def recorded(function: Function, outside: Collection[str], constants: Sequence[Any]) -> dict[str, Guess]:
    """The parameters of a function that its text shows to be records, by name: those without a hint, and those whose
    hint leaves it to the text. outside: names that are no objects of the callers'. constants: the program's own."""
    if not isinstance(function.node, ast.FunctionDef | ast.AsyncFunctionDef):
        return {}
    names = [p.name for p in function.parameters if p.name not in outside]
    found = records.read(function.node, names, BUILTIN_ATTRIBUTES)
    hints = {p.name: ast.unparse(p.annotation) for p in function.parameters if p.annotation is not None}
    return {
        name: Guess(partial(records.draw, one, constants=constants), records.draw(one, Random(1), constants))
        for name, one in found.items()
        if name not in hints or records.hinted(one, hints[name])
    }


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


def without_truth_values(combinations: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Combinations of kinds without those that differ from another one in truth values alone, where that one has
    integers: to a function that takes numbers, True is only a strange 1."""
    known = set(combinations)
    counted = {c: tuple("int" if kind == "bool" else kind for kind in c) for c in combinations}
    return [c for c in combinations if counted[c] == c or counted[c] not in known]


def kind_of_default(default: ast.expr) -> str | None:
    """The kind of values that a parameter with such a default takes."""
    match default:
        case ast.Constant(value=bool()):
            return "bool"
        case ast.Constant(value=int() | float() | str() | bytes() as value):
            return type(value).__name__
        case ast.UnaryOp(operand=inner):
            return kind_of_default(inner)
        case ast.List(elts=[ast.Constant(value=str()), *_]):
            return "list[str]"
        case ast.Dict():
            return "dict[str, int]"
        case ast.Tuple() | ast.List():
            return "list[int]"
    return None
