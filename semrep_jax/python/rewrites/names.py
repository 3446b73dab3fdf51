"""Rules about names and constants."""

from __future__ import annotations

from typing import Any

import libcst as cst
import libcst.matchers as m

from semrep_jax.python.rewrites.rule import Function, rewrites_function, rewrites_statements
from semrep_jax.python.rewrites.trees import (
    Block,
    Expr,
    NewStatements,
    bound_in,
    code,
    is_docstring,
    is_pure,
    names_in,
    statement,
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
    if not function.has_plain_scope or not old_names or function.node.name.value in old_names:
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

    If the scope is plain. Running decides: an import in the function, `f"{y=}"`.
    """
    keyword_only = {a.arg for a in function.tree.args.kwonlyargs}
    return _renamed(function, sorted(function.bound - set(function.parameters) - keyword_only))


@rewrites_function()
def rename_parameters(function: Function) -> cst.FunctionDef | None:
    """def f(x): return x  ->  def f(item): return item, and so for every positional parameter but `self` and `cls`

    If the scope is plain. Running decides: calls by keyword, `f"{x=}"`.
    """
    return _renamed(function, [p for p in function.parameters if p not in ("self", "cls")])


@rewrites_statements("return VALUE", inverse="inline_temporary")
def extract_temporary(function: Function, value: Expr | None) -> NewStatements:
    """return f(x)  ->  result = f(x); return result

    If the value is there, and no name, integer or string. Running decides: `locals()` in a later call.
    """
    if value is None or isinstance(value, (cst.Name, cst.Integer, cst.SimpleString)):
        return None
    name = function.fresh("result", "answer", "found")
    return [f"{name} = {code(value)}", f"return {name}"]


@rewrites_statements("_name = VALUE\nreturn _name", inverse="extract_temporary")
def inline_temporary(function: Function, value: Expr) -> NewStatements:
    """result = f(x); return result  ->  return f(x)

    If the scope is plain.
    """
    return [f"return {code(value)}"] if function.has_plain_scope else None


@rewrites_function(inverse="inline_constant")
def extract_constant(function: Function) -> cst.FunctionDef | None:
    """return x + 7  ->  constant = 7; return x + constant, for the first integer above 1 of the body

    If the scope is plain. Running decides: a number in the pattern of a `case`.
    """
    integers = (n for n in function.expressions if isinstance(n, cst.Integer))
    number = next((n for n in integers if n.evaluated_value > 1), None)
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

    If `n` is set to an integer in the function's own block, what follows reads and never binds it, and the scope is
    plain. Running decides: `f"{n=}"`.
    """
    if not isinstance(value, cst.Integer) or not function.has_plain_scope or nodes[0] not in function.body:
        return None
    if name in bound_in(*rest) or not any(name in names_in(s) for s in rest):
        return None
    return [m.replace(s, m.Name(name), value) for s in rest]


@rewrites_statements("_name = VALUE", inverse="dead_code_out")
def dead_code_in(function: Function, nodes: Block, name: str, value: Expr) -> NewStatements:
    """x = e  ->  x = e; unused = x

    If `e` is pure. Running decides: `locals()`.
    """
    return [*nodes, f"{function.fresh('unused', 'spare')} = {name}"] if is_pure(value) else None


@rewrites_statements("_name = VALUE", inverse="dead_code_in")
def dead_code_out(function: Function, nodes: Block, name: str, value: Expr) -> NewStatements:
    """unused = x; return y  ->  return y

    If it stands in the function's own block, `x` is a name, an integer or a string, the text `unused` is nowhere
    else, and the scope is plain. Running decides: whether `x` is bound.
    """
    if not isinstance(value, (cst.Name, cst.Integer, cst.SimpleString)) or nodes[0] not in function.body:
        return None
    return [] if function.has_plain_scope and code(function.node).count(name) == 1 else None
