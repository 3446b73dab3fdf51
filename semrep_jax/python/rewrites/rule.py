"""What a rule is: patterns of code, and a function that builds what may stand there instead.

    @rewrites_expression("list(reversed(INNER))")
    def reverse_by_slice(function: Function, inner: Expr) -> NewText:
        return f"list({code(inner)})[::-1]" if "list" not in function.bound else None

That makes a `Rule` of the function's name. The function asks by its arguments' names for what a pattern saves
(`rewrites.patterns`) and for the `function` that it is found in; None says that a precondition does not hold.
Preconditions are syntactic; what types, aliases and operators of an object's own do is decided by running the result,
which nothing here does (`semrep_jax.perturb` does).

A rule's docstring shows the code before and after, then "If", its precondition, and "Running decides:", what only
running can decide, besides what is said above. Either is left out where there is nothing to say. A plain scope is
that of `Function.has_plain_scope`.
"""

from __future__ import annotations

import ast
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import libcst as cst

from semrep_jax.core import syntax
from semrep_jax.python.rewrites.patterns import expression_like, match, statements_like
from semrep_jax.python.rewrites.trees import (
    Block,
    NewStatements,
    NewText,
    body,
    code,
    is_docstring,
    occurrences,
    statements,
)

_DYNAMIC = {"locals", "globals", "vars", "eval", "exec", "dir", "super"}
_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal),
)


class Function:
    """A function definition with what rules ask about it."""

    def __init__(self, node: cst.FunctionDef):
        self.node = node

    @cached_property
    def tree(self) -> ast.FunctionDef:
        """The same function as Python's own tree."""
        (found,) = syntax.module(code(self.node.with_changes(leading_lines=[], lines_after_decorators=[]))).body
        assert isinstance(found, ast.FunctionDef)
        return found

    @property
    def body(self) -> Block:
        """The statements of its own block, nested ones not counted; none where it is written on one line."""
        return body(self.node) or ()

    @cached_property
    def names(self) -> set[str]:
        """Every name that occurs in it."""
        found = {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name)}
        found |= {n.arg for n in ast.walk(self.tree) if isinstance(n, ast.arg)}
        return found | {n.name for n in ast.walk(self.tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}

    @cached_property
    def parameters(self) -> list[str]:
        """Its parameters in order, without those after a star."""
        return [a.arg for a in (*self.tree.args.posonlyargs, *self.tree.args.args)]

    @cached_property
    def bindings(self) -> list[str]:
        """The names that it binds, parameters and locals, one for each time."""
        names = [n for n in ast.walk(self.tree) if isinstance(n, ast.Name)]
        arguments = [n.arg for n in ast.walk(self.tree) if isinstance(n, ast.arg)]
        return arguments + [n.id for n in names if isinstance(n.ctx, ast.Store)]

    @cached_property
    def bound(self) -> set[str]:
        """The names that it binds."""
        return set(self.bindings)

    def mentions(self, name: str, *excluded: ast.AST) -> int:
        """How often a name occurs in it, less how often it occurs in these trees of its parts."""
        return occurrences(self.tree, name) - sum(occurrences(part, name) for part in excluded)

    @cached_property
    def has_plain_scope(self) -> bool:
        """Whether names mean what they seem to.

        That is: it holds no function, class, generator or `global`, and calls nothing that looks at scopes.
        """
        inner = [n for n in ast.walk(self.tree) if n is not self.tree]
        dynamic = any(isinstance(n, ast.Name) and n.id in _DYNAMIC for n in inner)
        return not dynamic and not any(isinstance(n, _SCOPES) for n in inner)

    @cached_property
    def blocks(self) -> list[cst.IndentedBlock]:
        """Its indented blocks, outermost first."""
        return self._parts.blocks

    @cached_property
    def expressions(self) -> list[cst.BaseExpression]:
        """Its expressions in the order of the text; annotations and what stands in f-strings left out."""
        return self._parts.expressions

    @cached_property
    def _parts(self) -> _Parts:
        parts = _Parts()
        self.node.visit(parts)
        return parts

    def fresh(self, *wanted: str, taken: frozenset[str] | set[str] = frozenset()) -> str:
        """The first of `wanted`, or it with a number, that is neither in the function nor in `taken`."""
        numbered = (name + (str(i) if i else "") for i in range(10_000) for name in wanted)
        return next(name for name in numbered if name not in self.names and name not in taken)


class _Parts(cst.CSTVisitor):
    """Blocks and expressions of a function, not of the functions inside it."""

    def __init__(self) -> None:
        self.blocks: list[cst.IndentedBlock] = []
        self.expressions: list[cst.BaseExpression] = []
        self.depth = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef):
            self.depth += 1
            return self.depth == 1
        if isinstance(node, (cst.Annotation, cst.Parameters, cst.Decorator)):
            return False
        if is_docstring(node):
            return False
        if isinstance(node, cst.IndentedBlock):
            self.blocks.append(node)
        if isinstance(node, cst.BaseExpression):
            self.expressions.append(node)
        return not isinstance(node, (cst.FormattedString, cst.ConcatenatedString))

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.FunctionDef):
            self.depth -= 1


@dataclass(frozen=True)
class RewriteSite:
    """One change that a rule offers: a node of the program, and what would stand in its place."""

    rule: str
    node: cst.CSTNode
    replacement: cst.CSTNode


@dataclass(frozen=True)
class Rule(ABC):
    """One rewrite.

    inverse: the name of the rule that leads back, if one does. build: the function under the decorator.
    """

    name: str
    inverse: str | None
    build: Callable[..., Any]

    @abstractmethod
    def sites(self, function: Function) -> Iterator[RewriteSite]:
        """Every change that it offers in a function, in the order of the text.

        Raises cst.ParserSyntaxError where it builds what is no Python.
        """

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

    def sites(self, function: Function) -> Iterator[RewriteSite]:
        for node in function.expressions:
            found = next((f for p in self.patterns if (f := match([node], [p])) is not None), None)
            text = None if found is None else self.built(function=function, node=node, **found)
            if text is not None:
                yield RewriteSite(self.name, node, cst.parse_expression(text))


@dataclass(frozen=True)
class StatementRule(Rule):
    """Looks at successive statements of a block; builds those to be put there instead.

    It may ask for `nodes`, the statements as they are. A rule that asks for `rest`, all that follows in the block,
    replaces that too.
    """

    patterns: tuple[list[Any], ...]

    def sites(self, function: Function) -> Iterator[RewriteSite]:
        for block in function.blocks:
            for start in range(len(block.body)):
                offer = self._offer(function, block.body[start:])
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

    def sites(self, function: Function) -> Iterator[RewriteSite]:
        changed = self.build(function)
        if changed is not None:
            yield RewriteSite(self.name, function.node, changed)


def rewrites_expression(*patterns: Any, inverse: str | None = None) -> Callable[[Callable[..., NewText]], Rule]:
    """The function below builds an expression's text from what the first pattern that fits saves, or gives None."""
    compiled = tuple(expression_like(p) if isinstance(p, str) else p for p in patterns)
    return lambda build: ExpressionRule(build.__name__, inverse, build, compiled)


def rewrites_statements(*patterns: Any, inverse: str | None = None) -> Callable[[Callable[..., NewStatements]], Rule]:
    """The function below builds statements from what the first pattern that fits saves, or gives None."""
    compiled = tuple(statements_like(p) if isinstance(p, str) else p for p in patterns)
    return lambda build: StatementRule(build.__name__, inverse, build, compiled)


def rewrites_function(inverse: str | None = None) -> Callable[[Callable[[Function], cst.FunctionDef | None]], Rule]:
    """The function below builds a whole function, or gives None."""
    return lambda build: FunctionRule(build.__name__, inverse, build)


class _Functions(cst.CSTVisitor):
    """Collects functions, outermost first."""

    def __init__(self) -> None:
        self.found: list[Function] = []

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        if node.asynchronous is None:
            self.found.append(Function(node))


def functions_of(module: cst.Module) -> list[Function]:
    """Every function of a module that is not `async`, outermost first."""
    functions = _Functions()
    module.visit(functions)
    return functions.found
