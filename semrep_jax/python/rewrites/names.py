"""Rules about names and constants."""

from __future__ import annotations

import ast
from typing import Any

import libcst as cst

from semrep_jax.core import syntax
from semrep_jax.python.rewrites.function import Function
from semrep_jax.python.rewrites.rule import rewrites_function, rewrites_statements
from semrep_jax.python.rewrites.trees import (
    Block,
    Expr,
    NewStatements,
    bound_in,
    code,
    is_docstring,
    is_pure,
    occurrences,
    small,
    statement,
    tree,
)

_NEW_NAMES = ("value", "item", "current", "result", "data", "entry", "total", "index", "left", "right")


class _Rename(cst.CSTTransformer):
    """Other names for variables; attributes and keywords of calls keep theirs."""

    def __init__(self, names: dict[str, str]):
        super().__init__()
        self.names = names

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
        return updated_node.with_changes(attr=original_node.attr)

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        return updated_node.with_changes(keyword=original_node.keyword)

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        return updated_node.with_changes(value=self.names.get(original_node.value, original_node.value))


def _renamed(function: Function, old_names: list[str]) -> cst.FunctionDef | None:
    if not function.has_plain_scope or function.shows_names or not old_names:
        return None
    if function.node.name.value in old_names or any(map(function.is_hidden_outside, old_names)):
        return None
    names: dict[str, str] = {}
    for i, old in enumerate(old_names):
        base = _NEW_NAMES[(len(old) + i) % len(_NEW_NAMES)]
        names[old] = function.fresh(base, taken=set(names.values()))
    changed: Any = function.node.visit(_Rename(names))
    return changed.with_changes(name=function.node.name)


@rewrites_function()
def rename_locals(function: Function) -> cst.FunctionDef | None:
    """y = x; return y  ->  data = x; return data, and so for every local variable

    If the scope is plain, it spells no name where no variable is meant (`f"{y=}"`, an import, a `match`), and no
    variable of a comprehension is the name of something else outside of it.
    """
    given = {n.arg for n in ast.walk(function.tree.args) if isinstance(n, ast.arg)}
    return _renamed(function, sorted(function.bound - given))


@rewrites_function()
def rename_parameters(function: Function) -> cst.FunctionDef | None:
    """def f(x, /): return x  ->  def f(item, /): return item, and so for every parameter that no call can name

    Those are: parameters by position only; all, where the function is nested or starts with an underscore, and the
    file only ever calls it, with arguments by position. If the scope is plain and it spells no name where no variable
    is meant.
    """
    by_position = [a.arg for a in function.tree.args.posonlyargs]
    name = function.node.name.value
    private = function.is_nested or (name.startswith("_") and not name.endswith("__"))
    unnamed = private and function.file.binds_once(name) and function.file.only_called_by_position(name)
    return _renamed(function, function.parameters if unnamed else by_position)


@rewrites_statements("return VALUE", inverse="inline_temporary")
def extract_temporary(function: Function, value: Expr | None) -> NewStatements:
    """return f(x)  ->  result = f(x); return result

    If the value is there, and no name, integer or string, and the function calls nothing that looks at its names.
    """
    if value is None or isinstance(value, (cst.Name, cst.Integer, cst.SimpleString)) or function.sees_names:
        return None
    name = function.fresh("result", "answer", "found")
    return [f"{name} = {code(value)}", f"return {name}"]


@rewrites_statements("_name = VALUE\nreturn _name", inverse="extract_temporary")
def inline_temporary(function: Function, name: str, value: Expr) -> NewStatements:
    """result = f(x); return result  ->  return f(x)

    If the scope is plain, no `finally` reads `result`, and it is bound elsewhere or nowhere else read.
    """
    if not function.has_plain_scope or function.reads_at_last(name):
        return None
    return [f"return {code(value)}"] if _may_lose(function, name, 2) else None


def _may_lose(function: Function, name: str, mentions: int) -> bool:
    """Whether a name is still a local, or gone, without a binding and so many mentions of it in all."""
    return function.bindings.count(name) > 1 + function.bound_in_comprehensions.count(name) or (
        function.mentions(name) == mentions
    )


@rewrites_function(inverse="inline_constant")
def extract_constant(function: Function) -> cst.FunctionDef | None:
    """return x + 7  ->  constant = 7; return x + constant, for the first integer above 1 of the body

    If the scope is plain. The patterns of a `match` keep their numbers.
    """
    integers = (n for n in function.expressions if isinstance(n, cst.Integer))
    number = next((n for n in integers if syntax.value(n.value) > 1), None)
    if number is None or not function.body or not function.has_plain_scope:
        return None
    name = function.fresh("constant", "limit", "fixed")
    changed: Any = function.node.deep_replace(number, cst.Name(name))
    new_body = list(changed.body.body)
    new_body.insert(1 if is_docstring(new_body[0]) else 0, statement(f"{name} = {number.value}"))
    return changed.with_changes(body=changed.body.with_changes(body=new_body))


@rewrites_statements("_name = VALUE", inverse="extract_constant")
def inline_constant(function: Function, nodes: Block, name: str, value: Expr, rest: Block) -> NewStatements:
    """n = 3; return x + n  ->  return x + 3

    If `n` is set to an integer in the function's own block, what follows reads and never binds it, it is bound before
    or nowhere else read, nothing spells it where no variable is meant, and the scope is plain.
    """
    if not isinstance(value, cst.Integer) or not function.has_plain_scope or nodes[0] not in function.body:
        return None
    reads = sum(occurrences(tree(statement), name) for statement in rest)
    if name in bound_in(*rest) or not reads or function.shows_names or not _may_lose(function, name, reads + 1):
        return None
    return [statement.visit(_Replace(name, value)) for statement in rest]


class _Replace(cst.CSTTransformer):
    """A number in place of a variable; attributes and keywords of calls keep their names."""

    def __init__(self, name: str, number: cst.Integer):
        super().__init__()
        self.name, self.number = name, number

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
        value = updated_node.value
        if value is self.number:
            value = self.number.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        return updated_node.with_changes(attr=original_node.attr, value=value)

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        return updated_node.with_changes(keyword=original_node.keyword)

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        return self.number if original_node.value == self.name else updated_node


@rewrites_statements("_name = VALUE", inverse="dead_code_out")
def dead_code_in(function: Function, nodes: Block, name: str, value: Expr) -> NewStatements:
    """x = e  ->  x = e; unused = x

    If `e` is pure, and the function calls nothing that looks at its names.
    """
    if not is_pure(value) or function.sees_names:
        return None
    return [*nodes, f"{function.fresh('unused', 'spare')} = {name}"]


@rewrites_statements("_name = VALUE", inverse="dead_code_in")
def dead_code_out(function: Function, nodes: Block, name: str, value: Expr) -> NewStatements:
    """unused = x; return y  ->  return y

    If it stands in the function's own block, `x` is an integer, a string, a parameter or a name that a line before it
    in that block sets, which nothing deletes; the text `unused` is nowhere else; and the scope is plain.
    """
    if not isinstance(value, (cst.Name, cst.Integer, cst.SimpleString)) or nodes[0] not in function.body:
        return None
    if isinstance(value, cst.Name) and not _is_surely_bound(function, value.value, nodes[0]):
        return None
    return [] if function.has_plain_scope and code(function.node).count(name) == 1 else None


def _is_surely_bound(function: Function, name: str, before: cst.CSTNode) -> bool:
    """Whether a local has a value at a statement of the function's own block."""
    lost = any(isinstance(n, (ast.Delete, ast.ExceptHandler)) for n in ast.walk(function.tree))
    earlier = function.body[: list(function.body).index(before)]
    set_before = {
        target.target.value
        for line in earlier
        if isinstance(assignment := small(line), cst.Assign)
        for target in assignment.targets
        if isinstance(target.target, cst.Name)
    }
    return not lost and name in set_before | set(function.parameters)
