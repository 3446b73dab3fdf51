"""Rules about loops that collect, and what stands for them: comprehensions, `sum`, `any`, `all` and slices."""

from __future__ import annotations

import ast
from typing import Any

import libcst as cst

from semrep_jax.python.rewrites.conditions import negated
from semrep_jax.python.rewrites.function import Function
from semrep_jax.python.rewrites.patterns import match, statements_like
from semrep_jax.python.rewrites.rule import rewrites_statements
from semrep_jax.python.rewrites.trees import (
    Block,
    Expr,
    NewStatements,
    bound_in,
    cannot_fail,
    code,
    expression_tree,
    header,
    names_in,
    tree,
)
from semrep_jax.python.rewrites.types import INTEGERS, SEQUENCES

_EMPTY_LIST = ("[]", "list()")
_LOOP = "for TARGET in ITERABLE: INNER"
_NESTED_IF = statements_like("if TEST: INNER")
_APPEND = statements_like("_total.append(ELEMENT)")
_ADD = statements_like("_total += ELEMENT")
_COUNTS = ("len(_xs)", "LOWER, len(_xs)", "min(UPPER, len(_xs))", "LOWER, min(UPPER, len(_xs))")


def _loop(each: cst.CompFor, inner: Block) -> Any:
    """The `for` of a comprehension with its `if`s, around statements."""
    for condition in reversed(each.ifs):
        inner = [header(f"if {code(condition.test)}:", inner)]
    return header(f"for {code(each.target)} in {code(each.iter)}:", inner)


def _variables(target: Expr) -> set[str]:
    """The names that the target of a loop or a comprehension binds."""
    return bound_in(header(f"for {code(target)} in ():", ["pass"]))


def _may_leave(values: cst.ListComp | cst.GeneratorExp, function: Function) -> bool:
    """Whether a comprehension has one `for` whose variables may become the function's: they are nowhere else."""
    if values.for_in.inner_for_in is not None or values.for_in.asynchronous is not None:
        return False
    variables = _variables(values.for_in.target)
    if not function.has_plain_scope or variables & names_in(values.for_in.iter):
        return False
    inside = expression_tree(values)
    return all(function.bindings.count(v) == 1 and not function.mentions(v, inside) for v in variables)


def _condition(test: Expr) -> str:
    """A test as the `if` of a comprehension takes it."""
    return f"({code(test)})" if isinstance(test, (cst.IfExp, cst.Lambda, cst.NamedExpr)) else code(test)


def _may_stop(function: Function, *values: Expr) -> bool:
    """Whether StopIteration may come out of what is called here: in a generator it is another error."""
    calls = [n for value in values for n in ast.walk(expression_tree(value)) if isinstance(n, ast.Call)]
    names = [n.func.id if isinstance(n.func, ast.Name) else "" for n in calls]
    methods = all(not isinstance(n.func, ast.Attribute) or n.func.attr != "__next__" for n in calls)
    steady = all(not name or function.is_builtin(name) or function.file.defines(name) for name in names)
    return "next" in names or not methods or not steady


def _as_generator(function: Function, name: str, loop: cst.For, step: list[Any]) -> str | None:
    """`e for x in xs if c` of the loop `for x in xs: if c: STEP`; None where it has another shape.

    step: the pattern of the statement that collects; it saves `total`, which must be `name`, and `element`. None too
    where `name` is anywhere else in the loop, the loop's variables are anywhere outside of it, or what is set before
    an error, or by whom, can be seen: guarded, or without a plain scope.
    """
    if not function.has_plain_scope or function.stands_guarded(loop):
        return None
    inner, tests = loop.body.body, []
    while len(inner) == 1 and (nested := match(inner, _NESTED_IF)):
        tests.append(nested["test"])
        inner = nested["inner"]
    found = match(inner, step) if len(inner) == 1 else None
    if found is None or found["total"] != name:
        return None
    element = found["element"]
    if name in names_in(element).union(names_in(loop.iter), *(names_in(test) for test in tests)):
        return None
    if any(function.mentions(v, tree(loop)) for v in _variables(loop.target)):
        return None
    ifs = "".join(f" if {_condition(test)}" for test in tests)
    return f"{code(element)} for {code(loop.target)} in {code(loop.iter)}{ifs}"


@rewrites_statements("return VALUE", "_name = VALUE", inverse="loop_to_comprehension")
def comprehension_to_loop(function: Function, nodes: Block, value: Any, name: str = "") -> NewStatements:
    """xs = [e for x in ys if c]  ->  xs = []; for x in ys: if c: xs.append(e); and of return [...]

    If there is one `for`, nothing in the brackets names `xs`, `x` is nowhere else, and the scope is plain; where it
    stands guarded, if it is returned.
    """
    if not isinstance(value, cst.ListComp) or not _may_leave(value, function) or name in names_in(value):
        return None
    if name and function.stands_guarded(nodes[0]):
        return None
    result = name or function.fresh("result", "collected", "out")
    loop = _loop(value.for_in, [f"{result}.append({code(value.elt)})"])
    return [f"{result} = []", loop, *([] if name else [f"return {result}"])]


@rewrites_statements(*(f"_name = {empty}\n{_LOOP}" for empty in _EMPTY_LIST), inverse="comprehension_to_loop")
def loop_to_comprehension(function: Function, nodes: Block, name: str) -> NewStatements:
    """xs = []; for x in ys: if c: xs.append(e)  ->  xs = [e for x in ys if c]

    If nothing else in the loop names `xs`, `x` is nowhere outside of it, it does not stand guarded, `list` is the
    builtin, and the scope is plain.
    """
    generator = _as_generator(function, name, nodes[1], _APPEND)
    if generator is None or not function.is_builtin("list"):
        return None
    return [f"{name} = [{generator}]"]


@rewrites_statements("return sum(VALUES)", "return any(VALUES)", "return all(VALUES)", inverse="loop_to_sum")
def sum_to_loop(function: Function, nodes: Any, values: Any) -> NewStatements:
    """return sum(e for x in xs)  ->  total = 0; for x in xs: total += e; return total; and of any and all

    If there is one `for`, `x` is nowhere else, `sum` is the builtin, the scope is plain, and: for a sum, if `e` is an
    integer (floats are added with care by `sum`); for a list in the brackets, if `e` can't raise an error; for a
    generator, if no call in it may end it.
    """
    builtin = nodes[0].body[0].value.func.value
    if not isinstance(values, (cst.GeneratorExp, cst.ListComp)) or not _may_leave(values, function):
        return None
    if not function.is_builtin(builtin):
        return None
    is_list = isinstance(values, cst.ListComp)
    if builtin == "sum" and function.type_of(values.elt) not in INTEGERS:
        return None
    if is_list and not cannot_fail(values.elt):
        return None
    if not is_list and _may_stop(function, values.elt, *(each.test for each in values.for_in.ifs)):
        return None
    if builtin == "sum":
        total = function.fresh("total", "amount", "acc")
        return [f"{total} = 0", _loop(values.for_in, [f"{total} += {code(values.elt)}"]), f"return {total}"]
    test = code(values.elt) if builtin == "any" else negated(function, values.elt)
    found = header(f"if {test}:", [f"return {builtin == 'any'}"])
    return [_loop(values.for_in, [found]), f"return {builtin != 'any'}"]


@rewrites_statements(f"_name = 0\n{_LOOP}", inverse="sum_to_loop")
def loop_to_sum(function: Function, nodes: Block, name: str) -> NewStatements:
    """total = 0; for x in xs: if c: total += e  ->  total = sum(e for x in xs if c)

    If nothing else in the loop names `total`, `x` is nowhere outside of it, `e` is an integer (floats are added with
    care by `sum`), no call in it may end a generator, it does not stand guarded, `sum` is the builtin, and the scope is
    plain.
    """
    loop = nodes[1]
    generator = _as_generator(function, name, loop, _ADD)
    if generator is None or not function.is_builtin("sum"):
        return None
    element = cst.ensure_type(cst.parse_expression(f"({generator})"), cst.GeneratorExp)
    if function.type_of(element.elt) not in INTEGERS:
        return None
    if _may_stop(function, element.elt, *(each.test for each in element.for_in.ifs)):
        return None
    return [f"{name} = sum({generator})"]


@rewrites_statements(
    "for TARGET in ITERABLE:\n    if TEST: return True\nreturn False",
    "for TARGET in ITERABLE:\n    if TEST: return False\nreturn True",
    inverse="sum_to_loop",
)
def loop_to_any(function: Function, nodes: Any, target: Expr, iterable: Expr, test: Expr, rest: Block) -> NewStatements:
    """for x in xs: if c: return True; return False  ->  return any(c for x in xs); and all, with False and True

    If nothing follows in the block, `x` is nowhere outside of the loop, no call in `c` may end a generator, it does not
    stand guarded, `any` is the builtin, and the scope is plain.
    """
    is_any = code(nodes[1].body[0].value) == "False"
    builtin, condition = ("any", code(test)) if is_any else ("all", negated(function, test))
    if rest or not function.is_builtin(builtin) or _may_stop(function, test):
        return None
    if not function.has_plain_scope or function.stands_guarded(nodes[0]):
        return None
    if any(function.mentions(v, tree(nodes[0])) for v in _variables(target)):
        return None
    return [f"return {builtin}({condition} for {code(target)} in {code(iterable)})"]


@rewrites_statements("_ys = _xs[LOWER:UPPER]", inverse="loop_to_slice")
def slice_to_loop(function: Function, ys: str, xs: str, lower: Expr | None, upper: Expr | None) -> NewStatements:
    """ys = xs[a:b]  ->  ys = []; for index in range(a, min(b, len(xs))): ys.append(xs[index])

    If `xs` is a list, `a` and `b` are integers that are not negative or left out, and `len`, `range` and `min` are the
    builtins.
    """
    if not all(map(function.is_builtin, ("len", "range", "min"))) or ys == xs:
        return None
    if function.known_type(xs) != "list" or not function.has_plain_scope:
        return None
    if not all(bound is None or isinstance(bound, cst.Integer) for bound in (lower, upper)):
        return None
    start = "" if lower is None else f"{code(lower)}, "
    stop = f"len({xs})" if upper is None else f"min({code(upper)}, len({xs}))"
    index = function.fresh("index", "k", "at")
    return [f"{ys} = []", header(f"for {index} in range({start}{stop}):", [f"{ys}.append({xs}[{index}])"])]


@rewrites_statements(
    *(f"_ys = {e}\nfor _i in range({c}): _ys.append(_xs[_i])" for e in _EMPTY_LIST for c in _COUNTS),
    inverse="slice_to_loop",
)
def loop_to_slice(
    function: Function, nodes: Block, ys: str, xs: str, i: str, lower: Expr | None = None, upper: Expr | None = None
) -> NewStatements:
    """ys = []; for i in range(a, min(b, len(xs))): ys.append(xs[i])  ->  ys = list(xs[a:b])

    If `xs` is a list, a tuple or a string, `a` and `b` are integers or left out, `i` is nowhere else, and `list`,
    `len`, `range` and `min` are the builtins.
    """
    if function.known_type(xs) not in SEQUENCES or ys == xs or not function.has_plain_scope:
        return None
    bounds = ["" if bound is None else code(bound) for bound in (lower, upper)]
    if not all(map(function.is_builtin, ("list", "len", "range", "min"))) or not all(
        bound == "" or bound.isdigit() for bound in bounds
    ):
        return None
    return None if function.mentions(i, tree(nodes[1])) else [f"{ys} = list({xs}[{bounds[0]}:{bounds[1]}])"]
