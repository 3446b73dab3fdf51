"""Nodes and texts: how rules write new code, and what they ask about code that is there.

Code is written as text and parsed (`statement`, `header`); questions about names are answered by Python's own tree,
in which an attribute or a keyword is no name.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import libcst as cst

from semrep_jax.core import syntax

Expr = cst.BaseExpression
Block = Sequence[Any]  # of statements
NewText = str | None  # of an expression
NewStatements = Sequence[Any] | None  # statements, or texts of statements

_BRACKETED = (cst.List, cst.Dict, cst.Set, cst.SimpleString, cst.FormattedString, cst.StarredElement)
_ATOMS = (
    *(cst.Name, cst.Integer, cst.Float, cst.SimpleString),
    *(cst.List, cst.Dict, cst.Set),
    *(cst.Call, cst.Subscript, cst.Attribute),
)
_PURE_NODES = (
    *(ast.Expression, ast.Name, ast.Constant, ast.Tuple, ast.List, ast.JoinedStr, ast.FormattedValue),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Subscript, ast.Slice, ast.Attribute),
    *(ast.Load, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)
_REPEATABLE_BUILTINS = {"abs", "bool", "chr", "float", "int", "isinstance", "len", "ord", "range", "round", "str"}
_PURE_BUILTINS = _REPEATABLE_BUILTINS | {"max", "min", "sorted", "sum", "tuple"}  # which may use up an iterator


def code(node: cst.CSTNode) -> str:
    """A node's text; in parentheses where it is an expression over several lines that brackets around it allowed."""
    text = cst.Module([]).code_for_node(node)
    if "\n" not in text or not isinstance(node, cst.BaseExpression) or isinstance(node, _BRACKETED) or node.lpar:
        return text
    return f"({text})"


def operand(node: Expr) -> str:
    """An expression's text, in parentheses where it is not an atom."""
    text = code(node)
    return text if isinstance(node, _ATOMS) or node.lpar else f"({text})"


def symbol(operator: cst.CSTNode) -> str:
    """An operator without the white space around it: `<`, `not in`, `+=`."""
    return " ".join(code(operator).split())


def statement(text: str) -> Any:
    """The one statement of a text."""
    return cst.parse_statement(text)


def statements(new: Sequence[Any]) -> list[Any]:
    """Nodes as they are, texts parsed."""
    return [statement(one) if isinstance(one, str) else one for one in new]


def header(text: str, body: Sequence[Any], orelse: Any = None) -> Any:
    """A compound statement: its first line, the statements under it, and its `else` if it has one.

    text: the line with its colon, such as `while True:`. body: the statements as libcst's nodes or as texts. orelse:
    libcst's node of the `else` (or `elif`), None for none.
    """
    head = statement(f"{text}\n    pass").with_changes(body=cst.IndentedBlock(body=statements(body)))
    return head if orelse is None else head.with_changes(orelse=orelse)


def small(node: Any) -> Any:
    """The only small statement of a simple statement line, else None."""
    return node.body[0] if isinstance(node, cst.SimpleStatementLine) and len(node.body) == 1 else None


def body(node: Any) -> Block | None:
    """The statements of a compound statement's indented block, else None."""
    return node.body.body if isinstance(getattr(node, "body", None), cst.IndentedBlock) else None


def is_docstring(node: Any) -> bool:
    """Whether a statement is a string and nothing else."""
    one = small(node)
    return isinstance(one, cst.Expr) and isinstance(one.value, (cst.SimpleString, cst.ConcatenatedString))


def tree(node: cst.CSTNode) -> ast.Module:
    """The node as Python's own tree; a statement stands in a loop in a function, as `return` and `break` need one."""
    if isinstance(node, cst.BaseExpression):
        return syntax.module(f"({code(node)})")
    around: Any = syntax.module(cst.Module([header("def f():", [header("while True:", [node])])]).code)
    return ast.Module(around.body[0].body[0].body, [])


def expression_tree(node: Expr) -> ast.expr:
    """An expression as Python's own tree."""
    return syntax.expression(f"({code(node)})").body


def names_in(node: cst.CSTNode) -> set[str]:
    """Names that occur in a node."""
    return {n.id for n in ast.walk(tree(node)) if isinstance(n, ast.Name)}


def bound_names(whole: ast.AST) -> list[str]:
    """The names that a tree binds or deletes, those of the functions in it too, one for each time."""
    found = []
    for node in ast.walk(whole):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                found.append(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.append(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                found.append(name)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                found.append(name)
            case ast.alias(name=name):
                found.append(node.asname or name.split(".")[0])
    return found


def bound_in(*nodes: cst.CSTNode) -> set[str]:
    """Names that nodes bind or delete."""
    return {name for node in nodes for name in bound_names(tree(node))}


def binds(*nodes: Expr) -> bool:
    """Whether an expression binds a name outside of itself, with `:=`."""
    return any(isinstance(n, ast.NamedExpr) for node in nodes for n in ast.walk(expression_tree(node)))


def nodes_in(block: Block, *kinds: type[ast.AST]) -> list[Any]:
    """The nodes of these kinds of Python's own tree in some statements."""
    return [n for one in block for n in ast.walk(tree(one)) if isinstance(n, kinds)]


def occurrences(whole: ast.AST, name: str) -> int:
    """How often a name occurs in a tree."""
    return sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(whole))


def is_name_or_constant(node: Expr) -> bool:
    """Whether it is a name, a number or a string: evaluating it again, or elsewhere, costs and changes nothing."""
    if isinstance(node, cst.UnaryOperation):
        return isinstance(node.expression, (cst.Integer, cst.Float))
    return isinstance(node, (cst.Name, cst.Integer, cst.Float, cst.SimpleString))


def cannot_fail(node: Expr) -> bool:
    """Whether it is a name or a constant, or a list, a tuple or an empty dict of such: to evaluate it raises nothing.

    Names are taken to be bound.
    """
    if isinstance(node, (cst.List, cst.Tuple)):
        return all(isinstance(e, cst.Element) and cannot_fail(e.value) for e in node.elements)
    return is_name_or_constant(node) or (isinstance(node, cst.Dict) and not node.elements)


def is_pure(node: Expr) -> bool:
    """Whether it is made of names, constants, operators, subscripts, attributes and calls of known builtins alone.

    It may then be evaluated elsewhere, if no name in it changes and nothing else uses an iterator in it up; see
    `is_repeatable`. It may raise an error still, or run an object's own operators.
    """
    return _is_pure(node, _PURE_BUILTINS)


def is_repeatable(node: Expr) -> bool:
    """Whether it is pure and gives the same again when it is evaluated twice: no call in it can use up an iterator."""
    return _is_pure(node, _REPEATABLE_BUILTINS)


def _is_pure(node: Expr, builtins: set[str]) -> bool:
    try:
        whole = expression_tree(node)
    except SyntaxError:
        return False
    calls = [n for n in ast.walk(whole) if isinstance(n, ast.Call)]
    known = all(isinstance(n.func, ast.Name) and n.func.id in builtins and not n.keywords for n in calls)
    tests = [n for n in ast.walk(whole) if isinstance(n, (ast.In, ast.NotIn))]  # they too use up an iterator
    steady = builtins is _PURE_BUILTINS or not tests
    return known and steady and all(isinstance(n, (ast.Call, *_PURE_NODES)) for n in ast.walk(whole))
