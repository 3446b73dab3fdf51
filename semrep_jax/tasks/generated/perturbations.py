"""Perturbations of a generated function: the same behaviour in a form that its author would not have chosen.

    perturbed("def f(x):\n    return x > 3", Random(0), PerturbationConfig(changes=2, offset=2))
    -> "def f(x):\n    return not x <= 5 - 2"

A rule offers another expression in the place of one node. `sums` and `turned` are for training and for tests,
`UNSEEN` for tests alone. A rule is right by its precondition on programs of the grammar (integers, no side effects);
`worlds` runs every result beside its plain twin all the same, and keeps what does the same.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from semrep_jax.core import syntax
from semrep_jax.core.programs import Program
from semrep_jax.python import PYTHON
from semrep_jax.python.rewrites.chain import rewrite
from semrep_jax.tasks.settings import PerturbationConfig

MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.GtE,
    ast.GtE: ast.LtE,
    ast.Eq: ast.Eq,
    ast.NotEq: ast.NotEq,
}
NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
# rules of the room `python` that none of those here is a part of
ROOM_RULES = ("invert_if", "guard_to_else", "else_to_guard", "ternary_to_if", "if_to_ternary", "commute", "to_plain")
REWRITES = "rewrites"

Rule = Callable[[ast.expr, Random, int], ast.expr | None]


def _sums(node: ast.expr, rng: Random, offset: int) -> ast.expr | None:
    """3 -> 1 + 2 or 4 - 1; the parts are natural numbers."""
    value = _number(node)
    if value is None:
        return None
    other = rng.randint(1, offset)
    if rng.random() < 0.5 and value >= other:
        return ast.BinOp(ast.Constant(value - other), ast.Add(), ast.Constant(other))
    return ast.BinOp(ast.Constant(value + other), ast.Sub(), ast.Constant(other))


def _turned(node: ast.expr, rng: Random, offset: int) -> ast.expr | None:
    """x > 3 -> 3 < x or not x <= 3; x in s -> not x not in s."""
    if not isinstance(node, ast.Compare) or len(node.ops) > 1:
        return None
    kind, right = type(node.ops[0]), node.comparators[0]
    if kind in MIRRORED and rng.random() < 0.5:
        return ast.Compare(right, [MIRRORED[kind]()], [node.left])
    if kind not in NEGATED:
        return None
    return ast.UnaryOp(ast.Not(), ast.Compare(node.left, [NEGATED[kind]()], [right]))


def _quotients(node: ast.expr, rng: Random, offset: int) -> ast.expr | None:
    """3 -> 6 // 2"""
    value = _number(node)
    if value is None:
        return None
    by = 1 + rng.randint(1, offset)
    return ast.BinOp(ast.Constant(value * by), ast.FloorDiv(), ast.Constant(by))


def _doubled(node: ast.expr, rng: Random, offset: int) -> ast.expr | None:
    """x > 3 -> not not x > 3"""
    if not isinstance(node, ast.Compare):
        return None
    return ast.UnaryOp(ast.Not(), ast.UnaryOp(ast.Not(), node))


RULES: dict[str, Rule] = {"sums": _sums, "turned": _turned, "quotients": _quotients, "doubled": _doubled}
UNSEEN = ("quotients", "doubled", REWRITES)


def _number(node: ast.expr) -> int | None:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    return None


class _Place(NamedTuple):
    """A node that a rule changes. state: of the generator that it is changed with, the same as it was tried with."""

    node: ast.expr
    rule: Rule
    state: int


class _OfRoom(NamedTuple):
    """A change by a rule of the room `python`, to be drawn with a generator of this state."""

    state: int


class _Replacer(ast.NodeTransformer):
    """Changes nodes in their places, also inside of each other. replacements: by the nodes' ids."""

    def __init__(self, replacements: dict[int, _Place], offset: int):
        self.replacements, self.offset = replacements, offset

    def visit(self, node: ast.AST) -> ast.AST:
        """The node with its parts visited, or what stands for it."""
        place = self.replacements.get(id(node))
        visited: ast.AST = self.generic_visit(node)
        if place is None or not isinstance(visited, ast.expr):
            return visited
        return place.rule(visited, Random(place.state), self.offset) or visited


def perturbed(source: str, rng: Random, dial: PerturbationConfig) -> str | None:
    """The text of a program after the dial's changes; None where no rule applies.

    source: as `ast.unparse` prints it. rng: decides places and changes. dial: which rules, and how much of them.
    """
    tree = syntax.module(source)
    named = [RULES[name] for name in dial.rules if name in RULES]
    places = [
        _Place(node, rule, state)
        for node in ast.walk(tree)
        if isinstance(node, ast.expr)
        for rule in named
        if rule(node, Random(state := rng.getrandbits(32)), dial.offset) is not None and rng.random() < dial.share
    ]
    room = [_OfRoom(rng.getrandbits(32))] if REWRITES in dial.rules and rng.random() < dial.share else []
    every = [*places, *room]
    chosen = rng.sample(every, min(len(every), dial.changes or len(every)))
    replacements = {id(place.node): place for place in chosen if isinstance(place, _Place)}
    changed = ast.unparse(ast.fix_missing_locations(_Replacer(replacements, dial.offset).visit(tree)))
    for one in chosen:
        if isinstance(one, _OfRoom):
            changed = _by_the_room(changed, Random(one.state))
    return None if changed == ast.unparse(syntax.module(source)) else changed


def _by_the_room(source: str, rng: Random) -> str:
    """A program after one rule of the room `python`, as `ast.unparse` prints it; itself where none applies."""
    made = rewrite(Program(PYTHON, source), rng, 1, ROOM_RULES)
    return source if made is None else ast.unparse(syntax.module(made.program.source))
