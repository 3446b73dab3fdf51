"""Chains of rules over a program: every place that a rule could change, one chosen at random, up to four rules in a row.

    rewritten = rewrite(program, Random(0), steps=2)       # Rewritten(program, rules), or None where nothing applies

Nothing here runs the result: `perturb` keeps what running finds equivalent to C_src. The same generator state gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import libcst as cst

from semrep_jax.core.programs import Program
from semrep_jax.languages import Rewritten
from semrep_jax.python.rewrites import RULES
from semrep_jax.python.rewrites.rule import Function, Rule, code, functions


@dataclass(frozen=True)
class Place:
    """Where a rule can be applied: the node that changes and what it becomes (one node, or a block's new statements)."""

    rule: str
    node: Any
    becomes: Any


class Sites:
    """The functions of a module with their blocks and expressions, looked at once for all rules."""

    def __init__(self, module: cst.Module):
        self.module = module
        self.found = []
        for function in functions(module):
            nodes = _Nodes()
            function.node.visit(nodes)
            self.found.append((function, nodes))

    def places(self, rule: Rule) -> Iterator[Place]:
        """Every change that a rule offers, in the order of the text."""
        for function, nodes in self.found:
            try:
                yield from _of_rule(rule, function, nodes)
            except cst.ParserSyntaxError:  # it put together what is no Python: no offer, as in `_replaced`
                continue


def _of_rule(rule: Rule, function: Function, found: _Nodes) -> Iterator[Place]:
    if rule.function is not None:
        made = rule.function(function)
        if made is not None:
            yield Place(rule.name, function.node, made)
    if rule.expression is not None:
        for node in found.expressions:
            new = rule.expression(node, function)
            if new is not None:
                yield Place(rule.name, node, new)
    if rule.block is not None:
        for block in found.blocks:
            for i in range(len(block.body)):
                offer = rule.block(block.body, i, function)
                if offer is not None:
                    count, new_statements = offer
                    statements = [*block.body[:i], *new_statements, *block.body[i + count :]]
                    if statements:
                        yield Place(rule.name, block, block.with_changes(body=statements))


class _Nodes(cst.CSTVisitor):
    """Blocks and expressions of a function, not of those inside it, annotations and f-strings left out."""

    def __init__(self) -> None:
        self.blocks: list[cst.IndentedBlock] = []
        self.expressions: list[cst.BaseExpression] = []
        self.depth = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef):
            self.depth += 1
            if self.depth > 1:
                return False
        if isinstance(node, (cst.Annotation, cst.Parameters, cst.Decorator)):
            return False
        if isinstance(node, cst.Expr) and isinstance(node.value, (cst.SimpleString, cst.ConcatenatedString)):
            return False  # a docstring
        if isinstance(node, cst.IndentedBlock):
            self.blocks.append(node)
        if isinstance(node, cst.BaseExpression):
            self.expressions.append(node)
            return not isinstance(node, (cst.FormattedString, cst.ConcatenatedString))
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.FunctionDef):
            self.depth -= 1


def rewrite(program: Program, rng: Random, steps: int = 1, rules: Sequence[str] | None = None) -> Rewritten | None:
    """The program after up to `steps` rules, each drawn first and then its place; None where no rule applies or the text does not parse."""
    try:
        module = cst.parse_module(program.source)
    except (cst.ParserSyntaxError, RecursionError, ValueError):
        return None
    applied: list[str] = []
    names = list(rules or RULES)
    for _ in range(steps):
        made = _one(Sites(module), [RULES[n] for n in rng.sample(names, len(names))], rng)
        if made is None:
            break
        module = made[0]
        applied.append(made[1])
    return Rewritten(Program(program.language, module.code), tuple(applied)) if applied else None


def _one(sites: Sites, rules: list[Rule], rng: Random) -> tuple[cst.Module, str] | None:
    """The module after one change by the first rule that offers one, and the rule's name."""
    for rule in rules:
        offers = list(sites.places(rule))
        for place in rng.sample(offers, len(offers)):
            changed = _replaced(sites.module, place)
            if changed is not None:
                return changed, rule.name
    return None


def _replaced(module: cst.Module, place: Place) -> cst.Module | None:
    """The module after a change; None where that is no Python, or the text it was."""
    found: Any = module.deep_replace(place.node, place.becomes)
    changed = found.code if isinstance(found, cst.Module) else code(found)
    if changed == module.code:
        return None
    try:
        compile(changed, "rewritten", "exec")
        # parsed again: nodes of a tree are to be different objects, and a rule may have used one twice
        return cst.parse_module(changed)
    except (SyntaxError, ValueError, RecursionError, cst.ParserSyntaxError):
        return None
