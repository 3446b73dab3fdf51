"""What a rule is: a name, its inverse's name where there is one, and a function that offers changes of one kind of place.

A rule looks at an expression, at a statement in its block, or at a whole function, and offers what may stand there instead or None. Its
preconditions are syntactic and err on the safe side; what types and aliases do is decided by running the result (`rewrites.chain`).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import libcst as cst

from semrep_jax.core import syntax

Statement = cst.BaseStatement | cst.BaseSmallStatement
Block = Sequence[Any]
OfExpression = Callable[[cst.BaseExpression, "Function"], cst.BaseExpression | None]
OfBlock = Callable[[Block, int, "Function"], tuple[int, list[Any]] | None]
OfFunction = Callable[["Function"], cst.FunctionDef | None]
_DYNAMIC = {"locals", "globals", "vars", "eval", "exec", "dir", "super"}


@dataclass(frozen=True)
class Rule:
    """One rewrite; exactly one of the three functions is set. `inverse` names the rule that leads back, if one does."""

    name: str
    inverse: str | None = None
    expression: OfExpression | None = None
    block: OfBlock | None = None
    function: OfFunction | None = None


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

    @cached_property
    def names(self) -> set[str]:
        """Every name that occurs in it."""
        found = {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name)} | {
            n.arg for n in ast.walk(self.tree) if isinstance(n, ast.arg)
        }
        return found | {n.name for n in ast.walk(self.tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}

    @cached_property
    def parameters(self) -> list[str]:
        """Its parameters in order, without those after a star."""
        return [a.arg for a in (*self.tree.args.posonlyargs, *self.tree.args.args)]

    @cached_property
    def stored(self) -> set[str]:
        """Names that it binds: parameters and locals."""
        found = {
            n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Store, ast.Del))
        }
        return found | {n.arg for n in ast.walk(self.tree) if isinstance(n, ast.arg)}

    @cached_property
    def plain(self) -> bool:
        """Whether names mean what they seem to: no nested functions or classes, no generators, no dynamic scopes, no global."""
        odd = (
            ast.FunctionDef,
            ast.AsyncFunctionDef,
            ast.ClassDef,
            ast.Lambda,
            ast.Yield,
            ast.YieldFrom,
            ast.Global,
            ast.Nonlocal,
            ast.Await,
        )
        inner = [n for n in ast.walk(self.tree) if n is not self.tree]
        return not any(isinstance(n, odd) for n in inner) and not any(
            isinstance(n, ast.Name) and n.id in _DYNAMIC for n in inner
        )

    def fresh(self, *wanted: str) -> str:
        """The first of `wanted`, or it with a number, that the function does not use."""
        return next(
            n for i in range(10_000) for n in (w + (str(i) if i else "") for w in wanted) if n not in self.names
        )


def code(node: cst.CSTNode) -> str:
    """A node's text; in parentheses if it is an expression over several lines that had the brackets around it to thank for that."""
    text = cst.Module([]).code_for_node(node)
    if "\n" not in text or not isinstance(node, cst.BaseExpression) or isinstance(node, _CLOSED) or node.lpar:
        return text
    return f"({text})"


def statement(text: str) -> Any:
    """The one statement of a text."""
    return cst.parse_statement(text)


def expression(text: str) -> cst.BaseExpression:
    """The expression of a text."""
    return cst.parse_expression(text)


def header(text: str, body: Block) -> Any:
    """A compound statement: its first line, and the statements under it."""
    head: Any = cst.parse_statement(f"{text}\n    pass")
    return head.with_changes(body=cst.IndentedBlock(body=list(body)))


_CLOSED = (cst.List, cst.Dict, cst.Set, cst.SimpleString, cst.FormattedString, cst.StarredElement)
_ATOMS = (
    cst.Name,
    cst.Integer,
    cst.Float,
    cst.Call,
    cst.Subscript,
    cst.Attribute,
    cst.List,
    cst.Dict,
    cst.Set,
    cst.SimpleString,
)


def inside(node: cst.BaseExpression) -> str:
    """An expression's text, in parentheses where it is not an atom."""
    text = code(node)
    return text if isinstance(node, _ATOMS) or node.lpar else f"({text})"


def small(node: Any) -> Any:
    """The only small statement of a simple statement line, else None."""
    return node.body[0] if isinstance(node, cst.SimpleStatementLine) and len(node.body) == 1 else None


def assigned(node: Any) -> tuple[str, cst.BaseExpression] | None:
    """(name, value) of `name = value`, else None."""
    one = small(node)
    if isinstance(one, cst.Assign) and len(one.targets) == 1 and isinstance(one.targets[0].target, cst.Name):
        return one.targets[0].target.value, one.value
    return None


def body(node: Any) -> Block | None:
    """The statements of a compound statement's indented block, else None."""
    return node.body.body if isinstance(getattr(node, "body", None), cst.IndentedBlock) else None


def loaded(node: cst.CSTNode) -> set[str]:
    """Names that occur in a node."""
    tree = syntax.module(_dedented(node))
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}


def stored(node: cst.CSTNode) -> set[str]:
    """Names that a node binds."""
    tree = syntax.module(_dedented(node))
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Store, ast.Del))}


def holds(node: cst.CSTNode, *kinds: type[ast.AST]) -> bool:
    """Whether one of these kinds of Python's nodes lies in a node."""
    return any(isinstance(n, kinds) for n in ast.walk(syntax.module(_dedented(node))))


def _dedented(node: cst.CSTNode) -> str:
    """A node's text that parses on its own: `break`, `continue` and `return` stand in a loop in a function."""
    if isinstance(node, cst.BaseExpression):
        return f"({code(node)})"
    wrapped = cst.Module([header("def f():", [header("while f:", [node])])])
    return wrapped.code


_CALM = (
    ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Subscript, ast.Tuple, ast.List, ast.IfExp, ast.Load,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.Slice, ast.Expression, ast.Attribute, ast.JoinedStr, ast.FormattedValue,
)  # fmt: skip
_KNOWN = {
    "len",
    "abs",
    "min",
    "max",
    "sum",
    "str",
    "int",
    "float",
    "bool",
    "range",
    "sorted",
    "tuple",
    "ord",
    "chr",
    "round",
    "isinstance",
}


def calm(node: cst.BaseExpression) -> bool:
    """Whether evaluating it changes nothing, and it may as well be evaluated twice or elsewhere (if no name in it changes)."""
    try:
        tree = syntax.expression(f"({code(node)})")
    except SyntaxError:
        return False
    for n in ast.walk(tree):
        if isinstance(n, ast.Call):
            if not (isinstance(n.func, ast.Name) and n.func.id in _KNOWN and not n.keywords):
                return False
        elif not isinstance(n, _CALM):
            return False
    return True


def safe(node: cst.BaseExpression) -> bool:
    """Whether it is calm and can't raise for a bound name: names, constants, and comparisons of them."""
    return isinstance(node, (cst.Name, cst.Integer, cst.Float, cst.SimpleString)) or (
        isinstance(node, cst.UnaryOperation) and isinstance(node.expression, (cst.Integer, cst.Float))
    )


def functions(module: cst.Module) -> Iterator[Function]:
    """Every function of a module that is no generator's or coroutine's kin, outermost first."""
    found: list[cst.FunctionDef] = []

    class Collect(cst.CSTVisitor):
        def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
            if node.asynchronous is None:
                found.append(node)

    module.visit(Collect())
    for node in found:
        yield Function(node)
