"""Calls at edges that draws hardly reach, made of calls that were drawn: numbers as large as a program's constants, as
many different items as they say, one object in two places, a number that is the sum of the others, numbers in another
order, texts with other fields.

    found = edges(function, calls, [10, 5_000_000], pieces, seed=0)
    found.near, found.long, found.apart              # calls in wire form

An object that stands a second time beside the first is ["same", number of the first] (see `sandbox.makers`).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from random import Random
from typing import Any

from semrep_jax.python import fields
from semrep_jax.python.constants import LARGEST_CONSTANT, Pieces
from semrep_jax.python.recurring import LONG, changed, texts_and_numbers
from semrep_jax.python.steps import called, parts, places, put
from semrep_jax.python.surface import Function, Kind

MOST_LARGE = 4  # large numbers that calls are made for
MOST_PLACES = 2  # for each of them
MOST_SIZES = 8
FEWEST = 4  # items: fewer are drawn anyhow
MANY = 41  # items, over which a result may be too large to be read
LONGEST_TEXT = 20_001  # characters
LONGEST = 5_001  # items
LIGHT = 40  # characters of an item in wire form, on average, over which there are fewer of them
TWICE = 2  # calls with one object in two places
FLOATS = 24  # calls in which one number alone is a float
PERMUTED = 2  # calls whose numbers are put in each other order: examples, where there are any
MOST_PERMUTED = 4  # numbers of such a call
SUMS = 12  # calls with a number that is the sum of the others
LOOKED_AT = 100  # of the calls that were drawn
FEW = 20
STAR, STARS = "*", "**"  # places of arguments that a function takes any number of
_BY_PLACE = (Kind.POSITION, Kind.EITHER)
_MUTABLE = ("l", "s", "D", "d", "new", "thing", "x")
_UNCHANGING = ("date", "decimal", "fractions", "uuid", "pathlib", "re.", "builtins.", "types.")  # of the library
_TABLES = ("collections.Counter", "collections.OrderedDict", "types.MappingProxyType")


@dataclass
class Edges:
    """Calls in wire form. near: like all others. long: with some hundred items. apart: with which a program may take
    too long or need too much, which says nothing of it."""

    near: list[Any] = field(default_factory=list)
    long: list[Any] = field(default_factory=list)
    apart: list[Any] = field(default_factory=list)


def edges(
    function: Function,
    calls: Sequence[Any],
    numbers: Sequence[int],
    pieces: Pieces,
    seed: int = 0,
    *,
    fixed: Collection[Any] = (),
    in_texts: bool = False,
    mixed: bool = False,
    only_numbers: bool = False,
) -> Edges:
    """Calls of a function that were hardly drawn.

    calls: of it, in wire form. numbers: the program's whole ones. pieces: of its texts. seed: decides which calls are
    changed. fixed: values that stay as they are. in_texts: whether texts may be numbers. mixed: whether the program
    tells sorts of numbers apart. only_numbers: nothing but what `numbers` ask for.
    """
    found, rng = Edges(), Random(seed)
    some = rng.sample(calls, min(len(calls), LOOKED_AT))
    containers = _containers(function, some)
    sizes = list(dict.fromkeys(n for c in numbers if c >= FEWEST for n in (c + 1, c) if n <= LONGEST_TEXT))
    for n, size in enumerate(sorted(sizes[:MOST_SIZES])):
        made = [one.of(size, n % 2 == 0) for one in containers if size <= one.most()]
        (found.near if size <= MANY else found.long if size <= LONG + 1 else found.apart).extend(made)
    large = [c for c in numbers if abs(c) >= LARGEST_CONSTANT]
    found.apart += _large(some, large[:MOST_LARGE], rng, fixed, in_texts)
    if not only_numbers:
        for one in containers[:MOST_PLACES]:
            found.long.append(one.of(min(LONG, one.most() // 4), True))
        sums = _sums(some)
        found.near += [*_twice(function, some, rng), *sums, *_permuted(calls[:PERMUTED])]
        found.near += _one_float(function, [*sums, *some]) if mixed else []
        found.near += [*fields.exchanged(calls, pieces, rng), *fields.in_every_order(calls, pieces, rng)]
    return found


def _large(
    calls: Sequence[Any], numbers: Sequence[int], rng: Random, fixed: Collection[Any], in_texts: bool
) -> Iterator[Any]:
    """Calls with a number, or one next to it, in the place of one that was drawn."""
    for number in numbers:
        for near in (number, number + 1, number - 1):
            changed_calls: dict[int | str, Any] = {}
            for call in rng.sample(calls, min(len(calls), FEW)):
                for place, argument in places(call).items():
                    new = None if place in changed_calls else _with_number(argument, near, rng, fixed, in_texts)
                    if new is not None:
                        changed_calls[place] = put(call, place, new)
            yield from list(changed_calls.values())[:MOST_PLACES]


def _with_number(argument: Any, number: int, rng: Random, fixed: Collection[Any], in_texts: bool) -> Any:
    """An argument with a number in the place of one in it; None where there is none."""
    leaves = [leaf for leaf in texts_and_numbers(argument) if leaf not in fixed]
    sorts = [type(leaf) for leaf in leaves]
    sort = next((s for s in (int, list, str) if s in sorts and (s is not str or in_texts)), None)
    if sort is None:
        return None
    left = rng.randrange(sorts.count(sort))

    def other(leaf: Any) -> Any:
        nonlocal left
        if type(leaf) is not sort or leaf in fixed:
            return leaf
        left -= 1
        if left != -1:
            return leaf
        return number if sort is int else str(number) if sort is str else ["f", repr(float(number))]

    return changed(argument, other)


@dataclass
class _Container:
    """An argument that holds items, in the calls that were drawn: where it stands, a call with it, what it is in that
    one, and the items of all."""

    place: int | str
    call: Any
    wire: Any
    pool: list[Any]

    def most(self) -> int:
        """How many items it is given at most: fewer where much lies in each."""
        if type(self.wire) is str:
            return LONGEST_TEXT
        return LONGEST if len(repr(self.pool)) <= LIGHT * len(self.pool) else MANY

    def of(self, size: int, mixed: bool) -> Any:
        """The call with so many items in it. mixed: those of several calls; else each a little other than the first."""
        pool = self.pool if mixed else self.pool[:1]
        by_place, by_name = parts(self.call)
        if self.place == STAR:
            return called([*by_place, *_many(pool, size)], by_name)
        if self.place == STARS:
            return called(by_place, by_name + [[f"k{n}", x] for n, x in enumerate(_many(pool, size))])
        if type(self.wire) is str:
            return put(self.call, self.place, ("".join(self.pool) * size)[:size])
        return put(self.call, self.place, _refilled(self.wire, size, pool))


def _containers(function: Function, calls: Sequence[Any]) -> list[_Container]:
    """The arguments of a function that may hold any number of items, `*args` and `**kwargs` among them."""
    found: dict[int | str, _Container] = {}
    growing = {p.name for p in function.parameters if _takes_any_number(p.annotation)}
    names = [p.name for p in function.parameters if p.kind in _BY_PLACE]
    kinds, own = {p.kind for p in function.parameters}, {p.name for p in function.parameters}
    for call in calls:
        by_place, by_name = parts(call)
        for place, argument in places(call).items():
            name = names[place] if isinstance(place, int) and place < len(names) else place
            if isinstance(name, int) and Kind.STAR in kinds:
                bare = called(by_place[: len(names)], by_name)
                found.setdefault(STAR, _Container(STAR, bare, None, [])).pool.append(argument)
            elif isinstance(name, str) and name not in own and Kind.STARS in kinds:
                bare = called(by_place, [pair for pair in by_name if pair[0] in own])
                found.setdefault(STARS, _Container(STARS, bare, None, [])).pool.append(argument)
            elif items := _items(argument, name in growing):
                one = found.setdefault(place, _Container(place, call, argument, []))
                one.pool += items if _sort(one.wire) == _sort(argument) else []
    return list(found.values())


def _sort(wire: Any) -> Any:
    """What sort of container a wire form is."""
    return type(wire) if type(wire) is str else wire[:2] if wire[0] == "x" else wire[0]


def _takes_any_number(annotation: ast.expr | None) -> bool:
    """Whether a hint is of tuples of any length."""
    return annotation is not None and ast.unparse(annotation).lower().endswith(("tuple", "...]"))


def _items(wire: Any, growing: bool) -> list[Any]:
    """The items of a container in wire form, of a dict its pairs as tuples; none where it has none or is no container.

    growing: whether a tuple may be longer.
    """
    match wire:
        case str():
            return list(wire)
        case ["D" | "d", *pairs]:
            return [["t", key, value] for key, value in pairs]
        case ["l" | "s" | "z", *items]:
            return items
        case ["t", *items] if growing:
            return items
        case ["iter", str(), list(items)]:
            return items
        case ["x", "collections.deque", [_, *items]]:
            return list(items)
        case ["x", str(name), content] if name in _TABLES:
            return _items(content, False)
    return []


def _refilled(wire: Any, size: int, pool: list[Any]) -> Any:
    """A container in wire form with so many items, made of a pool of such."""
    match wire:
        case ["iter", kind, _]:
            return ["iter", kind, _many(pool, size)]
        case ["x", "collections.deque" as name, [most, *_]]:
            return ["x", name, [most, *_many(pool, size)]]
        case ["x", name, content]:
            return ["x", name, _refilled(content, size, pool)]
        case ["D" | "d" as tag, *_]:
            return [tag, *([key, value] for _, key, value in _different(pool, size, lambda pair: repr(pair[1])))]
        case ["s" | "z" as tag, *_]:
            return [tag, *_different(pool, size)]
    return [wire[0], *_many(pool, size)]


def _different(pool: list[Any], size: int, key: Callable[[Any], str] = repr) -> list[Any]:
    """So many different items: those of a pool, then others a little beside them; fewer where there are no more.

    key: by what they differ.
    """
    originals = list({key(x): x for x in pool if not _is_huge(x)}.values())
    found = {key(x): x for x in originals[:size]}
    for n in range(2 * size if originals else 0):
        if len(found) < size:
            near = _varied(originals[n % len(originals)], n + 1)
            found.setdefault(key(near), near)
    return list(found.values())


def _many(pool: list[Any], size: int) -> list[Any]:
    """So many items, different ones as far as there are."""
    items = _different(pool, size) or pool[:1]
    return (items * (size // len(items) + 1))[:size]


def _is_huge(item: Any) -> bool:
    """Whether a number in an item may take long."""
    return any(type(leaf) is int and abs(leaf) > LARGEST_CONSTANT for leaf in texts_and_numbers(item))


def _varied(item: Any, n: int) -> Any:
    """An item with other numbers and longer texts."""

    def other(leaf: Any) -> Any:
        if type(leaf) is str:
            return f"{leaf}{n}"
        return leaf + n if type(leaf) is int else ["f", repr(float(leaf[1]) + n)]

    return changed(item, other)


def _twice(function: Function, calls: Sequence[Any], rng: Random) -> list[Any]:
    """Calls with one object as two arguments of one hint, and as two items of a list."""
    hints = [ast.unparse(p.annotation) if p.annotation else "" for p in function.parameters if p.kind in _BY_PLACE]
    arguments, items = list[Any](), list[Any]()
    for call in calls:
        by_place, by_name = parts(call)
        mutable = [i for i, x in enumerate(by_place[: len(hints)]) if _can_change(x)]
        pairs = [(i, j) for i in mutable for j in mutable if i < j and hints[i] == hints[j]]
        pairs = [(i, j) for i, j in pairs if by_place[i][0] == by_place[j][0]]
        if pairs:
            i, j = rng.choice(pairs)
            arguments.append(called([["same", i] if k == j else x for k, x in enumerate(by_place)], by_name))
        rows = [i for i, x in enumerate(by_place) if type(x) is list and x[0] == "l" and x[1:] and _can_change(x[1])]
        if rows:
            i = rng.choice(rows)
            items.append(put(call, i, ["l", by_place[i][1], ["same", 0], *by_place[i][2:]]))
    return [call for found in (arguments, items) for call in sorted(found, key=_emptiness)[:TWICE]]


def _sums(calls: Sequence[Any]) -> list[Any]:
    """Calls with a whole number that is the sum of the others, as a limit may be; of small numbers first."""
    found: dict[str, Any] = {}
    numbers = [(call, {k: x for k, x in places(call).items() if type(x) is int}) for call in calls]
    several = [(call, of) for call, of in numbers if len(of) > 1]
    for call, of in sorted(several, key=lambda one: max(map(abs, one[1].values()))):
        if len(found) >= SUMS:
            break
        for place, number in of.items():
            made = put(call, place, sum(of.values()) - number)
            found.setdefault(repr(made), made)
    return list(found.values())[:SUMS]


def _permuted(calls: Sequence[Any]) -> Iterator[Any]:
    """Calls with their numbers in each other order: what holds for 3, 4, 5 another branch may ask of 5, 3, 4."""
    for call in calls:
        numbers = {k: x for k, x in places(call).items() if type(x) is int}
        orders = permutations(numbers.values()) if 1 < len(numbers) <= MOST_PERMUTED else ()
        for order in list(orders)[1:]:
            made = call
            for place, number in zip(numbers, order, strict=True):
                made = put(made, place, number)
            yield made


def _one_float(function: Function, calls: Sequence[Any]) -> list[Any]:
    """Calls in which one of several whole numbers is the float of the same value, where no hint forbids it."""
    free = {k for n, p in enumerate(function.parameters) if p.annotation is None for k in (n, p.name)}
    found = []
    for call in calls:
        whole = {place: x for place, x in places(call).items() if place in free and type(x) is int}
        if len(whole) > 1 and max(map(abs, whole.values())) < LARGEST_CONSTANT:
            found += [put(call, place, ["f", repr(float(x))]) for place, x in whole.items()]
    return found[:FLOATS]


def _emptiness(call: Any) -> bool:
    """Whether what stands twice in a call may hold nothing: it tells less."""
    return '["l"]' in repr(call).replace("'", '"')


def _can_change(wire: Any) -> bool:
    """Whether a value in wire form can change, so that it matters where it stands twice."""
    if type(wire) is not list or wire[0] not in _MUTABLE:
        return False
    return wire[0] != "x" or not wire[1].startswith(_UNCHANGING)
