"""What a rule is: patterns of code, and a function that builds what may stand there instead.

    @rewrites_expression("list(reversed(INNER))")
    def reverse_by_slice(function: Function, inner: Expr) -> NewText:
        known = function.type_of(inner) in SEQUENCES and function.is_builtin("list")
        return f"list({code(inner)})[::-1]" if known else None

That makes a `Rule` of the function's name. The function asks by its arguments' names for what a pattern saves
(`rewrites.patterns`) and for the `function` that it is found in; None says that a precondition does not hold.
A precondition holds by itself: it is read off the text, and where the text does not tell (a parameter without a hint),
the rule offers nothing, unless the change is right for whatever the code's own operations take.

A rule's docstring shows the code before and after, then "If", its precondition, and "Run it for:", what the text can't
tell and `semrep_jax.perturb` has to run. Either is left out where there is nothing to say. A plain scope is that of
`Function.has_plain_scope`; a builtin is a name that nothing in the file binds; types are those of `rewrites.types`;
what stands guarded stands in a `try` or a `with`. Methods, generators, `async` and decorated functions are left alone,
but by rules of layout.

For all of them run: recursion so deep that it ends in an error, objects whose operators have effects, and errors'
texts.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import libcst as cst

from semrep_jax.python.rewrites.function import Function
from semrep_jax.python.rewrites.patterns import expression_like, match, statements_like
from semrep_jax.python.rewrites.trees import Block, NewStatements, NewText, statements


@dataclass(frozen=True)
class RewriteSite:
    """One change that a rule offers: a node of the program, and what would stand in its place."""

    rule: str
    node: cst.CSTNode
    replacement: cst.CSTNode


@dataclass(frozen=True)
class Rule(ABC):
    """One rewrite.

    inverse: the name of the rule that leads back, if one does. layout: whether it changes no more than layout, so that
    it applies to any function. build: the function under the decorator.
    """

    name: str
    inverse: str | None
    layout: bool
    build: Callable[..., Any]

    def sites(self, function: Function) -> Iterator[RewriteSite]:
        """Every change that it offers in a function, in the order of the text."""
        if function.is_ordinary or self.layout:
            yield from self._sites(function)

    @abstractmethod
    def _sites(self, function: Function) -> Iterator[RewriteSite]: ...

    def built(self, **known: Any) -> Any:
        """What `build` makes of as much of this as it asks for."""
        return self.build(**{name: known[name] for name in self._wanted if name in known})

    @cached_property
    def _wanted(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.build).parameters)


@dataclass(frozen=True)
class ExpressionRule(Rule):
    """Looks at single expressions; builds the text of another. It may ask for `node`, the whole expression."""

    patterns: tuple[Any, ...]

    def _sites(self, function: Function) -> Iterator[RewriteSite]:
        for node in function.expressions:
            found = next((f for p in self.patterns if (f := match([node], [p])) is not None), None)
            text = None if found is None else self.built(function=function, node=node, **found)
            new = None if text is None else _parsed(text)
            if new is not None:
                yield RewriteSite(self.name, node, new)


def _parsed(text: str) -> cst.BaseExpression | None:
    """An expression; None where the text is no Python, such as a call in place of an assignment's target."""
    try:
        return cst.parse_expression(text)
    except cst.ParserSyntaxError:
        return None


@dataclass(frozen=True)
class StatementRule(Rule):
    """Looks at successive statements of a block; builds those to be put there instead.

    It may ask for `nodes`, the statements as they are. A rule that asks for `rest`, all that follows in the block,
    replaces that too.
    """

    patterns: tuple[list[Any], ...]

    def _sites(self, function: Function) -> Iterator[RewriteSite]:
        for block in function.blocks:
            for start in range(len(block.body)):
                try:
                    offer = self._offer(function, block.body[start:])
                except cst.ParserSyntaxError:  # it put together what is no Python: no offer here, but further on
                    continue
                if offer is not None and (start or offer):
                    yield RewriteSite(self.name, block, block.with_changes(body=[*block.body[:start], *offer]))

    def _offer(self, function: Function, block: Block) -> list[Any] | None:
        """The statements of a block, changed at its beginning."""
        for pattern in self.patterns:
            nodes, rest = block[: len(pattern)], block[len(pattern) :]
            found = match(nodes, pattern) if len(nodes) == len(pattern) else None
            if found is not None:
                new = self.built(function=function, nodes=nodes, rest=rest, **found)
                kept = () if "rest" in self._wanted else rest
                return None if new is None else [*statements(new), *kept]
        return None


@dataclass(frozen=True)
class FunctionRule(Rule):
    """Looks at a whole function; builds it anew."""

    def _sites(self, function: Function) -> Iterator[RewriteSite]:
        changed = self.build(function)
        if changed is not None:
            yield RewriteSite(self.name, function.node, changed)


def rewrites_expression(
    *patterns: Any, inverse: str | None = None, layout: bool = False
) -> Callable[[Callable[..., NewText]], Rule]:
    """The function below builds an expression's text from what the first pattern that fits saves, or gives None.

    patterns: Python texts in the form of `rewrites.patterns`, or matchers of libcst's. inverse: the name of the rule
    that leads back, if one does. layout: whether it changes no more than layout, so that it applies to any function.
    """
    compiled = tuple(expression_like(p) if isinstance(p, str) else p for p in patterns)
    return lambda build: ExpressionRule(build.__name__, inverse, layout, build, compiled)


def rewrites_statements(
    *patterns: Any, inverse: str | None = None, layout: bool = False
) -> Callable[[Callable[..., NewStatements]], Rule]:
    """The function below builds statements from what the first pattern that fits saves, or gives None.

    patterns: Python texts in the form of `rewrites.patterns`, or lists of libcst's matchers, one for each of the
    successive statements. inverse: the name of the rule that leads back, if one does. layout: whether it changes no
    more than layout, so that it applies to any function.
    """
    compiled = tuple(statements_like(p) if isinstance(p, str) else p for p in patterns)
    return lambda build: StatementRule(build.__name__, inverse, layout, build, compiled)


def rewrites_function(
    inverse: str | None = None, layout: bool = False
) -> Callable[[Callable[[Function], cst.FunctionDef | None]], Rule]:
    """The function below builds a whole function, or gives None."""
    return lambda build: FunctionRule(build.__name__, inverse, layout, build)
