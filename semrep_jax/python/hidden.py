"""What a program keeps to itself once it is loaded: its private variables, and what its private functions give where
they need no argument.

    mine, theirs = read(a, sandbox), read(b, sandbox)      # {"_LIMIT": 604800}, {"_LIMIT": 691200}
    differing(mine, theirs)                                # [604800, 691200]: inputs that may tell the two apart

A limit that is computed stands nowhere in the text. Values are in wire form, and never made into objects here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from random import Random
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.python.trace import Step, Watch, trace
from semrep_jax.sandbox.pool import Sandbox

MOST_NAMES = 24
MOST_VALUES = 12
_ITEMS = ("l", "t", "s", "z")
_PAIRS = ("d", "D")
_LEAVES = ("f", "i", "u")
_CONTAINERS = ("collections.", "builtins.")


def read(source: str, sandbox: Sandbox) -> dict[str, Any]:
    """Values by name, those of functions by `name()`; without those that can't be read, or are others when the program
    is loaded again. sandbox: where it runs."""
    variables, functions = set[str](), list[str]()
    for node in syntax.module(source).body:
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            by_place = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
            needed = by_place + sum(default is None for default in arguments.kw_defaults)
            functions += [node.name] if _is_hidden(node.name) and not needed else []
        elif not isinstance(node, ast.ClassDef | ast.AsyncFunctionDef):
            stored = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
            variables |= {name for name in stored if _is_hidden(name)}
    found: dict[str, Any] = {}
    names = sorted(variables)[:MOST_NAMES]
    groups = [names] if names else []
    while groups:
        group = groups.pop()
        state = _state(source, group, sandbox)
        if state is not None:
            found |= state
        elif len(group) > 1:  # one that can't be read hides the others
            groups += [[name] for name in group]
    steps: list[list[Step]] = [[["call", name, ["t"]]] for name in functions[:MOST_NAMES]]
    seen = trace(sandbox, source, [*steps, *steps]) if steps else None
    outcomes = [run.steps[0] for run in seen.sequences] if seen is not None else []
    for name, one, again in zip(functions, outcomes, outcomes[len(steps) :], strict=False):
        if one.how == "returned" and one == again:
            found[f"{name}()"] = one.value
    return found


def same(mine: dict[str, Any], theirs: dict[str, Any]) -> set[str]:
    """The names of the first program's values that the second has under that name; or under any, where it has none of
    that name."""
    every = [repr(value) for value in theirs.values()]
    return {n for n, x in mine.items() if (repr(theirs[n]) == repr(x) if n in theirs else repr(x) in every)}


def differing(mine: dict[str, Any], theirs: dict[str, Any]) -> list[Any]:
    """Texts, numbers and days that stand in a value of the one program alone: some, where there are many."""
    found: dict[str, Any] = {}
    for one, other in ((mine, theirs), (theirs, mine)):
        for name in sorted(set(one) - same(one, other)):
            known = {repr(x) for x in _leaves(other.get(name))}
            found |= {repr(x): x for x in _leaves(one[name]) if repr(x) not in known}
    values = list(found.values())
    return values[: MOST_VALUES // 2] + values[max(MOST_VALUES // 2, len(values) - MOST_VALUES // 2) :]


def put(wire: Any, value: Any, rng: Random) -> Any:
    """A call with a value in the place of one of its kind; as it is where it has none.

    wire: the call. value: in wire form too. rng: decides the place.
    """
    places = [place for place, x in _places(wire, ()) if _sort(x) == _sort(value)]
    return _with(wire, rng.choice(places), value) if places else wire


def _state(source: str, names: list[str], sandbox: Sandbox) -> dict[str, Any] | None:
    seen = trace(sandbox, source, [[], []], watch=Watch(tuple(names)))
    if seen is None or not seen.sequences:
        return None
    match [run.state.value for run in seen.sequences]:
        case [["l", ["D", *pairs], *_], ["l", ["D", *again], *_]]:
            return {name: value for name, value in pairs if name in names and [name, value] in again}
    return None


def _leaves(wire: Any) -> Iterator[Any]:
    """The texts, numbers and days in a value."""
    yield from (x for _, x in _places(wire, ()))


def _places(wire: Any, before: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Where they stand, by the numbers that lead there, and they."""
    inner: list[tuple[tuple[int, ...], Any]] = []
    match wire:
        case str() | int() if type(wire) is not bool:
            yield before, wire
        case [str() as kind, _] if kind in _LEAVES:
            yield before, wire
        case ["x", str() as kind, content]:
            if kind.startswith(_CONTAINERS):
                inner = [((2,), content)]
            else:
                yield before, wire
        case [str() as kind, *items] if kind in _ITEMS:
            inner = [((n,), x) for n, x in enumerate(items, 1)]
        case [str() as kind, *pairs] if kind in _PAIRS:
            inner = [((n, k), pair[k]) for n, pair in enumerate(pairs, 1) for k in (0, 1)]
        case ["call*", args, kwargs]:
            inner = [((1, n), x) for n, x in enumerate(args)] + [((2, n, 1), x) for n, (_, x) in enumerate(kwargs)]
    for place, x in inner:
        yield from _places(x, (*before, *place))


def _with(wire: Any, place: tuple[int, ...], value: Any) -> Any:
    if not place:
        return value
    return [_with(x, place[1:], value) if n == place[0] else x for n, x in enumerate(wire)]


def _sort(leaf: Any) -> Any:
    """Of what kind a text, number or day is."""
    if type(leaf) is list:
        return "int" if leaf[0] == "i" else "str" if leaf[0] == "u" else tuple(leaf[:-1])
    return type(leaf).__name__


def _is_hidden(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
