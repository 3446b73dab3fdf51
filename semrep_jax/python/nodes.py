"""Objects that hold objects like themselves, for programs that walk linked lists, trees and graphs.

    shape = attributes(function, outside, usual)   # {"successors": Role.MANY, "value": Role.PLAIN}
    graph(shape, Random(0))                        # an object with these attributes, and so have those that it leads to

The program's text says what an attribute is: what is gone through is a list of such objects, what is walked along or
asked for being None is one of them or None, and what else is read is a number.
"""

from __future__ import annotations

import ast
from collections.abc import Collection
from enum import Enum, auto
from random import Random
from typing import Any

from semrep_jax.python.strategies import Made

MOST_NODES = 5
MOST_HELD = 2  # in a list
CYCLES = 0.25  # how often objects may lead back to one
NUMBERS = range(-2, 8)


class Role(Enum):
    """What an attribute holds: a number, an object of the same kind or None, or a list of them."""

    PLAIN = auto()
    LINK = auto()
    MANY = auto()


Shape = dict[str, Role]


def attributes(function: ast.AST, outside: Collection[str], usual: Collection[str]) -> Shape:
    """What a function reads of objects; empty where none of it leads to other objects.

    outside: names that are no objects to walk (modules, classes, functions). usual: attributes that values of built-in
    types have, which say nothing.
    """
    found: Shape = {}
    walked = {n.value.id for n in ast.walk(function) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
    walked |= {n.name for n in ast.walk(function) if isinstance(n, ast.FunctionDef)}  # what calls itself
    for parent in ast.walk(function):
        for child in ast.iter_child_nodes(parent):
            if not isinstance(child, ast.Attribute) or child.attr in usual or _root(child) in outside:
                continue
            role = _role(parent, child, walked)
            if role is not None and found.get(child.attr, Role.PLAIN).value <= role.value:
                found[child.attr] = role
    return found if any(role is not Role.PLAIN for role in found.values()) else {}


def graph(shape: Shape, rng: Random, several: bool = False) -> Made:
    """An object with attributes of these roles, or a list of `several`; those it holds are of its kind.

    Most lead nowhere twice; in a quarter of the draws one can come back to an object. shape: the role of each
    attribute, by name. rng: decides how many objects there are and what they hold.
    """
    size, comes_back = rng.randint(1, MOST_NODES), rng.random() < CYCLES
    order = rng.sample(range(size), size)
    held: list[list[Any]] = [[] for _ in order]
    for place, number in enumerate(order):
        onward = order if comes_back else order[place + 1 :]
        for name, role in sorted(shape.items()):
            value: Any = rng.choice(NUMBERS)
            if role is Role.LINK:
                value = ["at", rng.choice(onward)] if onward and rng.random() < 0.8 else None
            elif role is Role.MANY:
                value = ["l", *(["at", n] for n in rng.sample(onward, min(len(onward), rng.randint(0, MOST_HELD))))]
            held[number].append([name, value])
    return Made(["graph", held, None if several else order[0]])


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _role(parent: ast.AST, child: ast.Attribute, walked: Collection[str]) -> Role | None:
    """What an attribute is by where it stands; None where it is a method. walked: names of objects, and of functions
    that take them."""
    match parent:
        case ast.Call(func=called) if called is child:
            return None
        case ast.For(iter=gone) | ast.comprehension(iter=gone) if gone is child:
            return Role.MANY
        case ast.Call(func=ast.Name(id="len" | "list" | "set" | "tuple" | "enumerate" | "reversed" | "sorted")):
            return Role.MANY
        case ast.Call(func=ast.Attribute(attr="extend" | "update" | "issuperset" | "issubset" | "union")):
            return Role.MANY
        case ast.Attribute() | ast.While() | ast.If() | ast.UnaryOp(op=ast.Not()):
            return Role.LINK
        case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)) if name in walked:
            return Role.LINK
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.Call(func=ast.Name(id=name)) if name in walked:
            return Role.LINK
        case ast.Compare(ops=[ast.Is() | ast.IsNot()]):
            return Role.LINK
    return Role.PLAIN
