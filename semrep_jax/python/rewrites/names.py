"""Rules about names and constants."""

from __future__ import annotations

from typing import Any

import libcst as cst

from semrep_jax.python.rewrites.rule import (
    Block,
    Function,
    Rule,
    assigned,
    body,
    calm,
    code,
    loaded,
    small,
    statement,
    stored,
)

_SCHEMES = ("value", "item", "current", "result", "data", "entry", "total", "index", "left", "right")


def _renamed(function: Function, wanted: dict[str, str]) -> cst.FunctionDef:
    class Rename(cst.CSTTransformer):
        def visit_Attribute_attr(self, node: cst.Attribute) -> None:
            self.skip = node.attr

        def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
            return updated_node.with_changes(attr=original_node.attr)

        def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
            return updated_node.with_changes(keyword=original_node.keyword)

        def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
            return updated_node.with_changes(value=wanted.get(original_node.value, original_node.value))

    found: Any = function.node.visit(Rename())
    return found.with_changes(name=function.node.name)


def _rename(function: Function, mine: list[str]) -> cst.FunctionDef | None:
    if not function.plain or not mine or function.node.name.value in mine:
        return None
    names, taken = {}, set(function.names)
    for i, old in enumerate(mine):
        base = _SCHEMES[(len(old) + i) % len(_SCHEMES)]
        new = next(n for k in range(1000) for n in (f"{base}{k or ''}",) if n not in taken)
        names[old] = new
        taken.add(new)
    return _renamed(function, names)


def rename_locals(function: Function) -> cst.FunctionDef | None:
    """Every local variable gets another name."""
    return _rename(
        function, sorted(function.stored - set(function.parameters) - {a.arg for a in function.tree.args.kwonlyargs})
    )


def rename_parameters(function: Function) -> cst.FunctionDef | None:
    """Every positional parameter gets another name; who calls by keyword is broken, which running tells."""
    return _rename(function, [p for p in function.parameters if p not in ("self", "cls")])


def extract_temporary(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """return f(x)  ->  result = f(x); return result"""
    one = small(block[i])
    if (
        not isinstance(one, cst.Return)
        or one.value is None
        or isinstance(one.value, (cst.Name, cst.Integer, cst.SimpleString))
    ):
        return None
    name = function.fresh("result", "answer", "found")
    return 1, [statement(f"{name} = {code(one.value)}"), statement(f"return {name}")]


def inline_temporary(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """result = f(x); return result  ->  return f(x)"""
    pair = assigned(block[i])
    if pair is None or i + 1 >= len(block):
        return None
    after = small(block[i + 1])
    if (
        isinstance(after, cst.Return)
        and isinstance(after.value, cst.Name)
        and after.value.value == pair[0]
        and function.plain
    ):
        return 2, [statement(f"return {code(pair[1])}")]
    return None


def extract_constant(function: Function) -> cst.FunctionDef | None:
    """The first number above 1 of the body gets a name at the top of it."""
    statements = body(function.node)
    if statements is None or not function.plain:
        return None
    found: list[cst.Integer] = []

    class Find(cst.CSTVisitor):
        def visit_Integer(self, node: cst.Integer) -> None:
            if node.evaluated_value > 1 and not found:
                found.append(node)

        def visit_FormattedString(self, node: cst.FormattedString) -> bool:
            return False

    start = 1 if _docstring(statements[0]) else 0
    for one in statements[start:]:
        one.visit(Find())
    if not found:
        return None
    name = function.fresh("constant", "limit", "fixed")
    changed: Any = function.node.deep_replace(found[0], cst.Name(name))
    inner = list(changed.body.body)
    inner.insert(start, statement(f"{name} = {found[0].value}"))
    return changed.with_changes(body=changed.body.with_changes(body=inner))


def inline_constant(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """n = 3 at the top of a block, never bound again  ->  3 where n stood in what follows in the block"""
    pair = assigned(block[i])
    if pair is None or not isinstance(pair[1], cst.Integer) or not function.plain:
        return None
    name, after = pair[0], block[i + 1 :]
    elsewhere = [s for s in (body(function.node) or []) if s not in block and name in loaded(s)]
    if not after or elsewhere or any(name in stored(s) for s in after) or not any(name in loaded(s) for s in after):
        return None
    value = pair[1]

    class Put(cst.CSTTransformer):
        def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
            return value if original_node.value == name else updated_node

    return len(block) - i, [s.visit(Put()) for s in after]


def dead_code_in(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """x = e  ->  x = e; unused = x"""
    pair = assigned(block[i])
    if pair is None or not calm(pair[1]):
        return None
    return 1, [block[i], statement(f"{function.fresh('unused', 'spare')} = {pair[0]}")]


def dead_code_out(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """A variable that nobody reads goes, if computing it has no effect."""
    pair = assigned(block[i])
    if (
        pair is None
        or len(block) < 2
        or not function.plain
        or not isinstance(pair[1], (cst.Name, cst.Integer, cst.SimpleString))
    ):
        return None
    text = code(function.node)
    reads = [s for s in (body(function.node) or []) if s is not block[i] and pair[0] in loaded(s)]
    return (1, []) if not reads and text.count(pair[0]) == 1 else None


def _docstring(node: Any) -> bool:
    one = small(node)
    return isinstance(one, cst.Expr) and isinstance(one.value, (cst.SimpleString, cst.ConcatenatedString))


RULES = (
    Rule("rename_locals", function=rename_locals),
    Rule("rename_parameters", function=rename_parameters),
    Rule("extract_temporary", "inline_temporary", block=extract_temporary),
    Rule("inline_temporary", "extract_temporary", block=inline_temporary),
    Rule("extract_constant", "inline_constant", function=extract_constant),
    Rule("inline_constant", "extract_constant", block=inline_constant),
    Rule("dead_code_in", "dead_code_out", block=dead_code_in),
    Rule("dead_code_out", "dead_code_in", block=dead_code_out),
)
