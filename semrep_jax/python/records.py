"""Records that a function reads and no hint describes: `order["items"]`, `user.age`, `for row in rows: row["id"]`.

    record = read(function, {"users"})["users"]      # a list of objects with `name` and `age`
    draw(record, Random(0), constants)               # one such list

The text of the function says which keys and attributes there are, what lies in what, and of a value that is computed
with or compared whether it is a number or a text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from semrep_jax.python.strategies import Made, form, values

MOST_ITEMS = 4
LEFT_OUT = 0.3  # how often a key is that need not be there
OWN = 0.3  # how often a value is one of the program's constants, or next to it
AT_AN_EDGE = 0.3  # how often all numbers are constants or 1
EMPTY = 0.1  # how often a value is empty
_PASSED_ON = {"sorted", "list", "tuple", "set", "reversed", "iter", "enumerate", "filter", "max", "min"}
_TEXT_NAMES = ("name", "title", "mail", "city", "text", "word", "label", "color", "type", "status", "kind", "category")
_NUMERIC = (ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Pow)
_OF_MAPPINGS = {"get", "pop", "setdefault"}
_TEXT_METHODS = {name for name in dir(str) if name not in dir(list)}
_OPEN = re.compile(r"\b(Any|object)\b|\b(dict|Dict|Mapping)\b(?!\[)|^(list|List|Sequence|Iterable)$")
_OF_ONE_SORT = re.compile(r"\b(?:dict|Dict|Mapping)\[str, (int|str|float|bool)\]")


@dataclass
class Record:
    """What is read of a value: keys, some of which may be missing, attributes, what it holds when it is gone through.

    sort: of a plain value, a hint where the text says one. name: the key or attribute under which it lies. asked:
    methods are called that no built-in type has.
    """

    name: str = ""
    keys: dict[str, Record] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    attributes: dict[str, Record] = field(default_factory=dict)
    items: Record | None = None
    sort: str = ""
    asked: bool = False

    @property
    def structured(self) -> bool:
        """Whether keys or attributes are read, of it or of what it holds."""
        inner = self.items is not None and self.items.structured
        return not self.asked and (bool(self.keys or self.attributes) or inner)


def read(function: ast.AST, parameters: Collection[str], usual: Collection[str] = ()) -> dict[str, Record]:
    """The parameters that are records, by name.

    function: its tree. parameters: names. usual: attributes that say nothing.
    """
    reader = _Reader({name: Record() for name in parameters}, usual)
    for _ in range(2):  # what a name stands for may be said below its use
        for node in ast.walk(function):
            reader.visit_one(node)
    return {name: reader.known[name] for name in parameters if reader.known[name].structured}


def hinted(record: Record, hint: str) -> bool:
    """Whether a hint leaves it to the text what lies in a record; where it says of which sort the values are, they are
    of that. hint: as it is written."""
    found = _OF_ONE_SORT.search(hint)
    if found:
        inner = record.items if record.items is not None and not record.keys else record
        for one in inner.keys.values():
            one.sort = found[1]
    return bool(found or _OPEN.search(hint))


def draw(record: Record, rng: Random, constants: Sequence[Any]) -> Any:
    """A value with what is read of it. constants: the program's own, which some values are; now and then all numbers
    are one of them or 1, so that what is computed of them is at an edge too."""
    own = [c for c in constants if type(c) in (int, float)]
    plain = [*own, *[1] * len(own)] if rng.random() < AT_AN_EDGE else []
    return _drawn(record, rng, constants, plain)


def _drawn(record: Record, rng: Random, constants: Sequence[Any], plain: Sequence[Any]) -> Any:
    """See `draw`. plain: the numbers; where there are none, any."""
    if record.attributes:
        held = [[name, form(_drawn(one, rng, constants, plain))] for name, one in sorted(record.attributes.items())]
        return Made(["thing", held])
    if record.keys:
        there = [k for k in record.keys if k not in record.missing or rng.random() > LEFT_OUT]
        return {key: _drawn(record.keys[key], rng, constants, plain) for key in there}
    if record.items is not None:
        count = rng.choice([0, 1, 1, *range(2, MOST_ITEMS + 1)])
        return [_drawn(record.items, rng, constants, plain) for _ in range(count)]
    sort = record.sort or ("str" if any(name in record.name.lower() for name in _TEXT_NAMES) else "int")
    if plain and sort in ("int", "float"):
        return rng.choice(plain)
    if rng.random() < EMPTY and sort in ("int", "str"):
        return "" if sort == "str" else 0
    own = [c for c in constants if type(c).__name__ == sort]
    if own and rng.random() < OWN:
        one = rng.choice(own)
        return one + rng.choice([0, 0, -1, 1]) if type(one) is int else one
    return rng.choice(values(sort))


class _Reader:
    """Notes what is read of some names. known: what each stands for."""

    def __init__(self, known: dict[str, Record], usual: Collection[str]):
        self.known, self.usual = known, usual
        self.methods: set[int] = set()  # attributes that are called

    def visit_one(self, node: ast.AST) -> None:
        """Note what one node says of the names; those in it come by themselves."""
        match node:
            case ast.Subscript() | ast.Attribute():
                self.of(node)
            case ast.For(target=target, iter=gone) | ast.comprehension(target=target, iter=gone):
                self._gone_through(target, gone)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found = self.of(value)
                if found is not None and name not in self.known:
                    self.known[name] = found
            case ast.Call(func=func, args=args, keywords=keywords):
                self._called(node, func, args, keywords)
            case ast.BinOp(left=left, op=op, right=right):
                self._computed(left, op, right)
            case ast.Compare(left=left, comparators=[right]):
                self._like(left, right)
                self._like(right, left)
                held = self.of(right) if isinstance(node.ops[0], ast.In | ast.NotIn) else None
                if held is not None and isinstance(left, ast.Constant) and held.keys.get(str(left.value)):
                    held.missing.add(str(left.value))

    def of(self, node: ast.AST | None) -> Record | None:
        """What an expression stands for; None where nothing is known of it."""
        match node:
            case ast.Name(id=name):
                return self.known.get(name)
            case ast.Subscript(value=inner, slice=ast.Constant(value=str(key))):
                return self._under(self.of(inner), key)
            case ast.Subscript(value=inner, slice=ast.Slice()):
                return self.of(inner)
            case ast.Subscript(value=inner):
                return self._held(self.of(inner))
            case ast.Call(func=ast.Attribute(value=inner, attr=name), args=[ast.Constant(value=str(key)), *_]) if (
                name in _OF_MAPPINGS
            ):
                outer = self.of(inner)
                found = self._under(outer, key)
                if outer is not None:
                    outer.missing.add(key)
                return found
            case ast.Call(func=ast.Name(id=name), args=[*_, inner]) if name in _PASSED_ON:
                return self.of(inner)
            case ast.Attribute(value=inner, attr=name) if name not in self.usual and id(node) not in self.methods:
                outer = self.of(inner)
                return None if outer is None else outer.attributes.setdefault(name, Record(name))
        return None

    def _under(self, outer: Record | None, key: str) -> Record | None:
        return None if outer is None else outer.keys.setdefault(key, Record(key))

    def _held(self, outer: Record | None) -> Record | None:
        if outer is None or outer.keys or outer.attributes:
            return None
        outer.items = outer.items or Record(outer.name)
        return outer.items

    def _gone_through(self, target: ast.expr, gone: ast.expr) -> None:
        counted = isinstance(gone, ast.Call) and isinstance(gone.func, ast.Name) and gone.func.id == "enumerate"
        if counted and isinstance(target, ast.Tuple):
            target = target.elts[-1]
        held = self._held(self.of(gone))
        if held is not None and isinstance(target, ast.Name):
            self.known.setdefault(target.id, held)

    def _called(
        self, node: ast.Call, func: ast.expr, args: Sequence[ast.expr], keywords: Sequence[ast.keyword]
    ) -> None:
        self.of(node)
        gone = args[0] if args else None
        if isinstance(func, ast.Attribute):
            self.methods.add(id(func))
            inner = self.of(func.value)
            if inner is not None and func.attr in _TEXT_METHODS:
                inner.sort = "str"
            elif inner is not None and func.attr not in self.usual:
                inner.asked = True
            gone = func.value if func.attr == "sort" else None
        for given in (k.value for k in keywords if k.arg == "key"):
            if isinstance(given, ast.Lambda) and given.args.args and gone is not None:
                self._gone_through(ast.Name(given.args.args[0].arg), gone)

    def _computed(self, left: ast.expr, op: ast.operator, right: ast.expr) -> None:
        self._like(left, right)
        self._like(right, left)
        for side in (left, right) if isinstance(op, _NUMERIC) else ():
            found = self.of(side)
            if found is not None:
                found.sort = found.sort or "int"

    def _like(self, one: ast.expr, other: ast.expr) -> None:
        """Note that a value is of the sort of a constant that it stands beside."""
        found = self.of(one)
        if found is None:
            return
        if isinstance(other, ast.JoinedStr):
            found.sort = "str"
        elif isinstance(other, ast.Constant) and type(other.value) in (str, int, float):
            found.sort = found.sort or ("str" if type(other.value) is str else "int")
