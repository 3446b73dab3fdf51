"""Rules about loops, comprehensions, the builtins that hide loops, and tail calls."""

from __future__ import annotations

import ast
from typing import Any

import libcst as cst

from semrep_jax.core import syntax
from semrep_jax.python.rewrites.conditions import negated
from semrep_jax.python.rewrites.rule import (
    Block,
    Function,
    Rule,
    assigned,
    body,
    calm,
    code,
    header,
    holds,
    loaded,
    safe,
    small,
    statement,
    stored,
)


def _range(node: Any) -> tuple[str, list[cst.BaseExpression]] | None:
    """(i, arguments) of `for i in range(...)` without else, else None."""
    if (
        not isinstance(node, cst.For)
        or node.orelse
        or node.asynchronous
        or not isinstance(node.target, cst.Name)
        or body(node) is None
    ):
        return None
    call = node.iter
    if (
        not isinstance(call, cst.Call)
        or not isinstance(call.func, cst.Name)
        or call.func.value != "range"
        or not 1 <= len(call.args) <= 2
    ):
        return None
    return None if any(a.keyword or a.star for a in call.args) else (node.target.value, [a.value for a in call.args])


def _later(function: Function, node: Any, name: str) -> bool:
    """Whether a name is read anywhere in the function but in this statement."""
    inner, outer = code(node), code(function.node)

    def count(text: str) -> int:
        tree = syntax.module(text)
        return sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(tree))

    whole = count(cst.Module([function.node.with_changes(leading_lines=[], lines_after_decorators=[])]).code)
    return not outer or not inner or whole != count(cst.Module([header("def f():", [header("while f:", [node])])]).code)


def for_to_while(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """for i in range(a, n): B  ->  i = a; while i < n: B; i += 1, where B leaves i and n alone, never continues, and i is not read later"""
    found, node = _range(block[i]), block[i]
    if found is None:
        return None
    name, bounds = found
    inner = body(node) or []
    start, stop = ("0", bounds[0]) if len(bounds) == 1 else (code(bounds[0]), bounds[1])
    changed = stored(node.with_changes(target=cst.Name("_"))) | {name}
    if name in stored_in(inner) or any(holds(s, ast.Continue) for s in inner) or _later(function, node, name):
        return None
    before, limit = [], code(stop)
    if not (safe(stop) and not loaded(stop) & changed):
        limit = function.fresh("stop", "end", "last")
        before = [statement(f"{limit} = {code(stop)}")]
    step = statement(f"{name} += 1")
    return 1, [*before, statement(f"{name} = {start}"), header(f"while {name} < {limit}:", [*inner, step])]


def stored_in(statements: Block) -> set[str]:
    """Names that statements bind."""
    return set().union(*(stored(s) for s in statements)) if statements else set()


def while_to_for(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """i = a; while i < n: B; i += 1  ->  for i in range(a, n): B, under the same conditions"""
    pair = assigned(block[i])
    node = block[i + 1] if i + 1 < len(block) else None
    if pair is None or not isinstance(node, cst.While) or node.orelse or not isinstance(node.test, cst.Comparison):
        return None
    name, start = pair
    inner, test = body(node), node.test
    if (
        not inner
        or code(test.left) != name
        or len(test.comparisons) != 1
        or not isinstance(test.comparisons[0].operator, cst.LessThan)
    ):
        return None
    stop = test.comparisons[0].comparator
    last = small(inner[-1])
    if (
        not isinstance(last, cst.AugAssign)
        or code(last.target) != name
        or not isinstance(last.operator, cst.AddAssign)
        or code(last.value) != "1"
    ):
        return None
    kept = inner[:-1]
    bound = safe(stop) or (isinstance(stop, cst.Call) and calm(stop) and not holds_calls(kept, loaded(stop)))
    if (
        not kept
        or name in stored_in(kept)
        or not bound
        or loaded(stop) & (stored_in(kept) | {name})
        or any(holds(s, ast.Continue) for s in kept)
    ):
        return None
    whole = cst.Module([header("def f():", [block[i], node])]).code
    outside = cst.Module([function.node.with_changes(leading_lines=[], lines_after_decorators=[])]).code
    if _count(whole, name) != _count(outside, name):
        return None
    arguments = code(stop) if code(start) == "0" else f"{code(start)}, {code(stop)}"
    return 2, [header(f"for {name} in range({arguments}):", kept)]


def holds_calls(statements: Block, names: set[str]) -> bool:
    """Whether a method of one of these names is called, or an item of it is set: it may have another length then."""
    for one in statements:
        for n in ast.walk(syntax.module(cst.Module([header("def f():", [header("while f:", [one])])]).code)):
            if isinstance(n, (ast.Attribute, ast.Subscript)) and isinstance(n.value, ast.Name) and n.value.id in names:
                return True
    return False


def _count(text: str, name: str) -> int:
    return sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(syntax.module(text)))


def enumerate_to_range(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """for i, x in enumerate(xs): B  ->  for i in range(len(xs)): x = xs[i]; B, xs a name that B leaves alone"""
    node = block[i]
    if (
        not isinstance(node, cst.For)
        or node.asynchronous
        or body(node) is None
        or not isinstance(node.target, cst.Tuple)
    ):
        return None
    names = [e.value.value for e in node.target.elements if isinstance(e.value, cst.Name)]
    call = node.iter
    if (
        len(names) != 2
        or not isinstance(call, cst.Call)
        or code(call.func) != "enumerate"
        or len(call.args) != 1
        or call.args[0].keyword
    ):
        return None
    xs, inner = call.args[0].value, body(node) or []
    if not isinstance(xs, cst.Name) or xs.value in stored_in(inner) | set(names) or {"len", "range"} & function.stored:
        return None
    made = header(
        f"for {names[0]} in range(len({xs.value})):", [statement(f"{names[1]} = {xs.value}[{names[0]}]"), *inner]
    )
    return 1, [made.with_changes(orelse=node.orelse)]


def range_to_enumerate(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """for i in range(len(xs)): x = xs[i]; B  ->  for i, x in enumerate(xs): B"""
    found, node = _range(block[i]), block[i]
    inner = body(node)
    if found is None or not inner or len(inner) < 2 or len(found[1]) != 1:
        return None
    pair, name, length = assigned(inner[0]), found[0], found[1][0]
    if pair is None or not isinstance(length, cst.Call) or code(length.func) != "len" or len(length.args) != 1:
        return None
    xs = code(length.args[0].value)
    if (
        not xs.isidentifier()
        or code(pair[1]) != f"{xs}[{name}]"
        or {xs, name} & stored_in(inner)
        or "enumerate" in function.stored
    ):
        return None
    return 1, [header(f"for {name}, {pair[0]} in enumerate({xs}):", inner[1:])]


def direct_to_index(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """for x in xs: B  ->  for k in range(len(xs)): x = xs[k]; B, xs a name that B leaves alone (of a sequence, or running tells)"""
    node = block[i]
    if not isinstance(node, cst.For) or node.asynchronous or body(node) is None:
        return None
    inner = body(node) or []
    if (
        not isinstance(node.target, cst.Name)
        or not isinstance(node.iter, cst.Name)
        or {"len", "range"} & function.stored
    ):
        return None
    xs, x = node.iter.value, node.target.value
    if xs in stored_in(inner) | {x} or holds_methods(inner, xs):
        return None
    k = function.fresh("index", "k", "at")
    made = header(f"for {k} in range(len({xs})):", [statement(f"{x} = {xs}[{k}]"), *inner])
    return 1, [made.with_changes(orelse=node.orelse)]


def holds_methods(statements: Block, name: str) -> bool:
    """Whether a method of a name is used or an item of it deleted: its length may change."""
    for one in statements:
        for n in ast.walk(syntax.module(cst.Module([header("def f():", [header("while f:", [one])])]).code)):
            if isinstance(n, (ast.Attribute, ast.Delete)) and name in ast.dump(n):
                return True
    return False


def _generator(node: Any) -> tuple[cst.BaseExpression, cst.CompFor] | None:
    """(element, for) of a comprehension with one `for`, else None."""
    if not isinstance(node, (cst.GeneratorExp, cst.ListComp)) or node.for_in.inner_for_in or node.for_in.asynchronous:
        return None
    return node.elt, node.for_in


def _loop(each: cst.CompFor, inner: list[Any]) -> Any:
    """The for statement of a comprehension's `for` and `if`s around statements."""
    for test in reversed(each.ifs):
        inner = [header(f"if {code(test.test)}:", inner)]
    return header(f"for {code(each.target)} in {code(each.iter)}:", inner)


def _clear(each: cst.CompFor, function: Function) -> bool:
    """Whether the comprehension's variables may become the function's: nobody else has them."""
    mine = stored(header(f"for {code(each.target)} in ():", [statement("pass")]))
    return function.plain and all(_bindings(function, n) == 1 for n in mine)


def _bindings(function: Function, name: str) -> int:
    return sum(
        isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and n.id == name for n in ast.walk(function.tree)
    ) + sum(isinstance(n, ast.arg) and n.arg == name for n in ast.walk(function.tree))


def comprehension_to_loop(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """xs = [e for x in ys if c]  ->  xs = []; for x in ys: if c: xs.append(e); and of return [...]"""
    one, pair = small(block[i]), assigned(block[i])
    value = one.value if isinstance(one, cst.Return) else pair[1] if pair else None
    found = _generator(value)
    if not isinstance(value, cst.ListComp) or found is None or not _clear(found[1], function):
        return None
    if pair is not None and pair[0] in loaded(value):
        return None
    name = pair[0] if pair else function.fresh("result", "collected", "out")
    loop = _loop(found[1], [statement(f"{name}.append({code(found[0])})")])
    return 1, [statement(f"{name} = []"), loop, *([] if pair else [statement(f"return {name}")])]


def loop_to_comprehension(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """xs = []; for x in ys: if c: xs.append(e)  ->  xs = [e for x in ys if c]"""
    pair = assigned(block[i])
    node = block[i + 1] if i + 1 < len(block) else None
    if (
        pair is None
        or code(pair[1]) not in ("[]", "list()")
        or not isinstance(node, cst.For)
        or node.orelse
        or node.asynchronous
    ):
        return None
    inner, tests = body(node), []
    while inner is not None and len(inner) == 1 and isinstance(inner[0], cst.If) and inner[0].orelse is None:
        tests.append(code(inner[0].test))
        inner = body(inner[0])
    one = small(inner[0]) if inner is not None and len(inner) == 1 else None
    call = one.value if isinstance(one, cst.Expr) else None
    if (
        not isinstance(call, cst.Call)
        or code(call.func) != f"{pair[0]}.append"
        or len(call.args) != 1
        or call.args[0].keyword
    ):
        return None
    element = call.args[0].value
    if (
        pair[0] in loaded(element) | loaded(node.iter)
        or any(pair[0] in t for t in tests)
        or _later_read(function, node)
    ):
        return None
    ifs = "".join(f" if {t}" for t in tests)
    return 2, [statement(f"{pair[0]} = [{code(element)} for {code(node.target)} in {code(node.iter)}{ifs}]")]


def _later_read(function: Function, node: cst.For) -> bool:
    """Whether a loop's variables are read outside of it."""
    mine = stored(header(f"for {code(node.target)} in ():", [statement("pass")]))
    return any(_later(function, node, n) for n in mine)


def sum_to_loop(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """return sum(e for x in xs)  ->  total = 0; for x in xs: total += e; return total; and of any and all"""
    one = small(block[i])
    call = one.value if isinstance(one, cst.Return) else None
    if (
        not isinstance(call, cst.Call)
        or not isinstance(call.func, cst.Name)
        or len(call.args) != 1
        or call.args[0].star
    ):
        return None
    kind, found = call.func.value, _generator(call.args[0].value)
    if kind not in ("sum", "any", "all") or kind in function.stored or found is None or not _clear(found[1], function):
        return None
    element, each = found
    if kind == "sum":
        name = function.fresh("total", "amount", "acc")
        loop = _loop(each, [statement(f"{name} += {code(element)}")])
        return 1, [statement(f"{name} = 0"), loop, statement(f"return {name}")]
    test = code(element) if kind == "any" else negated(element)
    loop = _loop(each, [header(f"if {test}:", [statement(f"return {kind == 'any'}")])])
    return 1, [loop, statement(f"return {kind != 'any'}")]


def loop_to_sum(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """total = 0; for x in xs: total += e  ->  total = sum(e for x in xs)"""
    pair = assigned(block[i])
    node = block[i + 1] if i + 1 < len(block) else None
    if (
        pair is None
        or code(pair[1]) != "0"
        or not isinstance(node, cst.For)
        or node.orelse
        or node.asynchronous
        or "sum" in function.stored
    ):
        return None
    inner, tests = body(node), []
    while inner is not None and len(inner) == 1 and isinstance(inner[0], cst.If) and inner[0].orelse is None:
        tests.append(code(inner[0].test))
        inner = body(inner[0])
    one = small(inner[0]) if inner is not None and len(inner) == 1 else None
    if not isinstance(one, cst.AugAssign) or not isinstance(one.operator, cst.AddAssign) or code(one.target) != pair[0]:
        return None
    if (
        pair[0] in loaded(one.value) | loaded(node.iter)
        or any(pair[0] in t for t in tests)
        or _later_read(function, node)
    ):
        return None
    ifs = "".join(f" if {t}" for t in tests)
    return 2, [statement(f"{pair[0]} = sum({code(one.value)} for {code(node.target)} in {code(node.iter)}{ifs})")]


def loop_to_any(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """for x in xs: if c: return True; return False  ->  return any(c for x in xs); and all, with False and True. c is a truth value"""
    node = block[i]
    last = small(block[i + 1]) if i + 2 == len(block) else None
    inner = body(node)
    if (
        not isinstance(node, cst.For)
        or node.orelse
        or node.asynchronous
        or inner is None
        or len(inner) != 1
        or not isinstance(last, cst.Return)
    ):
        return None
    test = inner[0]
    then = body(test)
    if (
        not isinstance(test, cst.If)
        or test.orelse
        or then is None
        or len(then) != 1
        or not isinstance(small(then[0]), cst.Return)
    ):
        return None
    first = code(small(then[0]).value) if small(then[0]).value else ""
    ends = first, code(last.value) if last.value else ""
    if ends == ("True", "False") and "any" not in function.names:
        return 2, [statement(f"return any({code(test.test)} for {code(node.target)} in {code(node.iter)})")]
    if ends == ("False", "True") and "all" not in function.names:
        return 2, [statement(f"return all({negated(test.test)} for {code(node.target)} in {code(node.iter)})")]
    return None


def while_true(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """while c: B  ->  while True: if not c: break; B"""
    node = block[i]
    inner = body(node)
    if not isinstance(node, cst.While) or node.orelse or inner is None or code(node.test) in ("True", "1"):
        return None
    return 1, [header("while True:", [header(f"if {negated(node.test)}:", [statement("break")]), *inner])]


def while_test(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """while True: if c: break; B  ->  while not c: B"""
    node = block[i]
    inner = body(node)
    if not isinstance(node, cst.While) or node.orelse or not inner or len(inner) < 2 or code(node.test) != "True":
        return None
    first = inner[0]
    then = body(first)
    if (
        not isinstance(first, cst.If)
        or first.orelse
        or then is None
        or len(then) != 1
        or not isinstance(small(then[0]), cst.Break)
    ):
        return None
    return 1, [header(f"while {negated(first.test)}:", inner[1:])]


def tail_call_to_loop(function: Function) -> cst.FunctionDef | None:
    """def f(a): ... return f(e)  ->  def f(a): while True: ... a = e; continue, where every call of f is a return's, positional and full"""
    name, statements = function.node.name.value, body(function.node)
    arguments = function.tree.args
    if (
        statements is None
        or not function.plain
        or arguments.vararg
        or arguments.kwarg
        or arguments.kwonlyargs
        or arguments.defaults
    ):
        return None
    calls = [n for n in ast.walk(function.tree) if isinstance(n, ast.Name) and n.id == name]
    tails: list[cst.Return] = []
    loops = [n for n in ast.walk(function.tree) if isinstance(n, (ast.For, ast.While, ast.Try, ast.With))]

    class Find(cst.CSTVisitor):
        def visit_Return(self, node: cst.Return) -> None:
            call = node.value
            full = isinstance(call, cst.Call) and code(call.func) == name and len(call.args) == len(function.parameters)
            if full and isinstance(call, cst.Call) and not any(a.keyword or a.star for a in call.args):
                tails.append(node)

    function.node.visit(Find())
    if not tails or len(tails) != len(calls) or loops or not _returns(statements):
        return None

    class Jump(cst.CSTTransformer):
        def leave_SimpleStatementLine(self, original_node: Any, updated_node: Any) -> Any:
            one = small(original_node)
            if one not in tails:
                return updated_node
            left, right = ", ".join(function.parameters), ", ".join(code(a.value) for a in one.value.args)
            return cst.FlattenSentinel([statement(f"{left} = {right}"), statement("continue")])

    start = 1 if isinstance(small(statements[0]), cst.Expr) else 0
    changed: Any = function.node.visit(Jump())
    inner = list(changed.body.body)
    return changed.with_changes(
        body=changed.body.with_changes(body=[*inner[:start], header("while True:", inner[start:])])
    )


def _returns(statements: Block) -> bool:
    """Whether control never falls off the end."""
    last = statements[-1]
    if isinstance(small(last), (cst.Return, cst.Raise)):
        return True
    if not isinstance(last, cst.If) or last.orelse is None:
        return False
    then = body(last)
    other = [last.orelse] if isinstance(last.orelse, cst.If) else body(last.orelse)
    return bool(then and other and _returns(then) and _returns(other))


def slice_to_loop(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """ys = xs[a:b]  ->  ys = []; for k in range(a, min(b, len(xs))): ys.append(xs[k]), a and b literals, xs a name (of a list, or running
    tells)"""
    pair = assigned(block[i])
    value = pair[1] if pair else None
    if (
        pair is None
        or not isinstance(value, cst.Subscript)
        or not isinstance(value.value, cst.Name)
        or len(value.slice) != 1
    ):
        return None
    cut, xs = value.slice[0].slice, value.value.value
    if (
        not isinstance(cut, cst.Slice)
        or cut.step is not None
        or {"len", "range", "min"} & function.stored
        or pair[0] == xs
    ):
        return None
    if any(b is not None and not isinstance(b, cst.Integer) for b in (cut.lower, cut.upper)):
        return None
    start = f"{code(cut.lower)}, " if cut.lower is not None else ""
    stop = f"min({code(cut.upper)}, len({xs}))" if cut.upper is not None else f"len({xs})"
    k = function.fresh("index", "k", "at")
    return 1, [
        statement(f"{pair[0]} = []"),
        header(f"for {k} in range({start}{stop}):", [statement(f"{pair[0]}.append({xs}[{k}])")]),
    ]


def loop_to_slice(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """ys = []; for k in range(a, len(xs)): ys.append(xs[k])  ->  ys = list(xs[a:]), a a literal"""
    pair = assigned(block[i])
    node = block[i + 1] if i + 1 < len(block) else None
    found, inner = _range(node), body(node)
    if (
        pair is None
        or code(pair[1]) not in ("[]", "list()")
        or found is None
        or not inner
        or len(inner) != 1
        or "list" in function.stored
    ):
        return None
    k, bounds = found
    stop, start = bounds[-1], "" if len(bounds) == 1 else code(bounds[0])
    xs = (
        code(stop.args[0].value)
        if isinstance(stop, cst.Call) and code(stop.func) in ("len", "min") and stop.args
        else ""
    )
    upper = ""
    if isinstance(stop, cst.Call) and code(stop.func) == "min" and len(stop.args) == 2:
        length = stop.args[1].value
        upper = xs
        xs = (
            code(length.args[0].value)
            if isinstance(length, cst.Call) and code(length.func) == "len" and length.args
            else ""
        )
    numbers = all(not b or b.isdigit() for b in (start, upper))
    if (
        not xs.isidentifier()
        or not numbers
        or _later(function, node, k)
        or code(inner[0]).strip() != f"{pair[0]}.append({xs}[{k}])"
    ):
        return None
    return 2, [statement(f"{pair[0]} = list({xs}[{start}:{upper}])")]


RULES = (
    Rule("for_to_while", "while_to_for", block=for_to_while),
    Rule("while_to_for", "for_to_while", block=while_to_for),
    Rule("enumerate_to_range", "range_to_enumerate", block=enumerate_to_range),
    Rule("range_to_enumerate", "enumerate_to_range", block=range_to_enumerate),
    Rule("direct_to_index", block=direct_to_index),
    Rule("comprehension_to_loop", "loop_to_comprehension", block=comprehension_to_loop),
    Rule("loop_to_comprehension", "comprehension_to_loop", block=loop_to_comprehension),
    Rule("sum_to_loop", "loop_to_sum", block=sum_to_loop),
    Rule("loop_to_sum", "sum_to_loop", block=loop_to_sum),
    Rule("loop_to_any", "sum_to_loop", block=loop_to_any),
    Rule("slice_to_loop", "loop_to_slice", block=slice_to_loop),
    Rule("loop_to_slice", "slice_to_loop", block=loop_to_slice),
    Rule("while_true", "while_test", block=while_true),
    Rule("while_test", "while_true", block=while_test),
    Rule("tail_call_to_loop", function=tail_call_to_loop),
)
