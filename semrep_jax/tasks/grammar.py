"""The grammar of small Python functions: families, their equivalent forms, and how a spec becomes a text.

A `Spec` says what a function computes (family, condition, expression, constants, what wraps the result); a *form* says
how it is written. Every form of one spec computes the same function, so any two are a (C_src, C_rep) pair; two specs
that differ in one field are a (C_src, C_tgt) pair. Placeholders of a form: {x} item, {c} condition on it, {nc} its
negation, {e} expression of it, {k} the condition's constant, {d} default, {s} start, and the names of variables.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

FUNCTIONS = ("f", "g", "run", "solve", "apply", "work", "calc", "process", "find", "make")
NAMES = {
    "xs": ("xs", "nums", "items", "data", "values", "seq"),
    "ys": ("ys", "other", "more", "second"),
    "x": ("x", "n", "v", "item", "a", "e"),
    "y": ("y", "b", "w", "u"),
    "i": ("i", "j", "idx", "p"),
    "j": ("q", "r", "hi", "end"),
    "out": ("out", "res", "result", "ans"),
    "acc": ("acc", "total", "s", "t"),
    "m": ("m", "grid", "rows", "mat"),
    "row": ("row", "line", "vec"),
}

CONDITIONS = {
    "gt": ("{x} > {k}", "{x} <= {k}", "greater than {k}"),
    "lt": ("{x} < {k}", "{x} >= {k}", "less than {k}"),
    "ge": ("{x} >= {k}", "{x} < {k}", "at least {k}"),
    "le": ("{x} <= {k}", "{x} > {k}", "at most {k}"),
    "eq": ("{x} == {k}", "{x} != {k}", "equal to {k}"),
    "ne": ("{x} != {k}", "{x} == {k}", "not equal to {k}"),
    "div": ("{x} % {k} == 0", "{x} % {k} != 0", "divisible by {k}"),
    "even": ("{x} % 2 == 0", "{x} % 2 != 0", "even"),
    "odd": ("{x} % 2 == 1", "{x} % 2 != 1", "odd"),
    "vowel": ("{x} in 'aeiou'", "{x} not in 'aeiou'", "a vowel"),
    "digit": ("{x}.isdigit()", "not {x}.isdigit()", "a digit"),
    "alpha": ("{x}.isalpha()", "not {x}.isalpha()", "a letter"),
    "upper": ("{x}.isupper()", "not {x}.isupper()", "upper case"),
    "lower": ("{x}.islower()", "not {x}.islower()", "lower case"),
    "longer": ("len({x}) > {k}", "len({x}) <= {k}", "longer than {k}"),
    "shorter": ("len({x}) < {k}", "len({x}) >= {k}", "shorter than {k}"),
}
NUMBER_CONDITIONS = ("gt", "lt", "ge", "le", "ne", "div", "even", "odd")
CHAR_CONDITIONS = ("vowel", "digit", "alpha", "upper", "lower")
WORD_CONDITIONS = ("longer", "shorter", "upper", "lower")

EXPRESSIONS = {
    "id": ("{x}", "the item itself"),
    "add": ("{x} + {n}", "the item plus {n}"),
    "sub": ("{x} - {n}", "the item minus {n}"),
    "mul": ("{x} * {n}", "the item times {n}"),
    "mod": ("{x} % {n}", "the item modulo {n}"),
    "floor": ("{x} // {n}", "the item divided by {n}"),
    "square": ("{x} * {x}", "the square of the item"),
    "neg": ("-{x}", "the negated item"),
    "abs": ("abs({x})", "the absolute value"),
    "up": ("{x}.upper()", "the item in upper case"),
    "down": ("{x}.lower()", "the item in lower case"),
    "twice": ("{x} * 2", "the item twice"),
    "dash": ("{x} + '-'", "the item and a dash"),
    "first": ("{x}[0]", "the first letter"),
    "size": ("len({x})", "the length of the item"),
}
NUMBER_EXPRESSIONS = ("id", "add", "sub", "mul", "square", "neg", "abs", "mod", "floor")
KEY_EXPRESSIONS = ("mod", "floor", "abs", "neg", "square")
CHAR_EXPRESSIONS = ("id", "up", "down", "twice", "dash")
WORD_EXPRESSIONS = ("id", "up", "down", "first", "size", "twice")
NUMBER_INPUTS = ("natural", "small", "two_naturals")
AGGREGATES = {"sum": "sum", "max": "largest", "min": "smallest"}


@dataclass(frozen=True)
class Spec:
    """What a function computes. Fields a family does not use keep their defaults and never reach its text."""

    family: str
    cond: str = "gt"
    k: int = 0
    negate: bool = False
    expr: str = "id"
    n: int = 2
    agg: str = "sum"
    d: int = -1
    s: int = 0
    reverse: bool = False
    limit: int = 0
    count: bool = False
    empty: str | None = None
    parameter: str | None = None

    def condition(self, x: str, negated: bool = False) -> str:
        """Python text of the condition on `x`."""
        text = CONDITIONS[self.cond][int(self.negate != negated)]
        return text.format(x=x, k=self.constant("k"))

    def expression(self, x: str) -> str:
        """Python text of the expression of `x`."""
        return EXPRESSIONS[self.expr][0].format(x=x, n=self.constant("n"))

    def constant(self, slot: str) -> str:
        """How constant `slot` is spelled: a number, or the parameter that took its place."""
        return "limit" if self.parameter == slot else str(getattr(self, slot))


@dataclass(frozen=True)
class Family:
    """A kind of function: its argument names and input kind, its forms, and the fields of `Spec` it uses."""

    name: str
    args: tuple[str, ...]
    inputs: str
    forms: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    aggregates: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    result: str = "scalar"
    extra: dict[str, tuple[int, int]] = field(default_factory=dict)


def _f(text: str) -> str:
    return text.strip("\n")


FAMILIES: dict[str, Family] = {}


def _family(name: str, args: str, inputs: str, *forms: str, **options: object) -> None:
    FAMILIES[name] = Family(name, tuple(args.split()), inputs, tuple(_f(form) for form in forms), **options)  # type: ignore[arg-type]


_family(
    "filter_map", "xs", "ints",
    "return [{e} for {x} in {xs} if {c}]",
    """
{out} = []
for {x} in {xs}:
    if {c}:
        {out}.append({e})
return {out}""",
    """
{out} = []
for {x} in {xs}:
    if {nc}:
        continue
    {out}.append({e})
return {out}""",
    """
{out} = []
{i} = 0
while {i} < len({xs}):
    {x} = {xs}[{i}]
    if {c}:
        {out}.append({e})
    {i} += 1
return {out}""",
    "return list(map(lambda {x}: {e}, filter(lambda {x}: {c}, {xs})))",
    conditions=NUMBER_CONDITIONS, expressions=NUMBER_EXPRESSIONS, result="list",
)  # fmt: skip
_family(
    "reduce", "xs", "ints",
    "return {s} + sum(({e} for {x} in {xs} if {c}))",
    """
{acc} = {s}
for {x} in {xs}:
    if {c}:
        {acc} += {e}
return {acc}""",
    """
{acc} = {s}
for {x} in {xs}:
    {acc} += {e} if {c} else 0
return {acc}""",
    """
{acc} = {s}
{i} = 0
while {i} < len({xs}):
    {x} = {xs}[{i}]
    if {c}:
        {acc} += {e}
    {i} += 1
return {acc}""",
    "return sum([{e} for {x} in {xs} if {c}], {s})",
    conditions=NUMBER_CONDITIONS, expressions=NUMBER_EXPRESSIONS, uses=("s",),
)  # fmt: skip
_family(
    "scan", "xs", "ints",
    """
{out} = []
{acc} = {s}
for {x} in {xs}:
    {acc} = {step}
    {out}.append({acc})
return {out}""",
    """
{out} = []
{acc} = {s}
{i} = 0
while {i} < len({xs}):
    {x} = {xs}[{i}]
    {acc} = {step}
    {out}.append({acc})
    {i} += 1
return {out}""",
    "return [{agg}([{s}] + [{e} for {x} in {xs}[:{i} + 1]]) for {i} in range(len({xs}))]",
    """
{out} = [{s}]
for {x} in {xs}:
    {acc} = {out}[-1]
    {out}.append({step})
return {out}[1:]""",
    expressions=NUMBER_EXPRESSIONS, aggregates=("sum", "max", "min"), uses=("s",), result="list",
)  # fmt: skip
_family(
    "search", "xs", "ints",
    """
for {x} in {xs}:
    if {c}:
        return {e}
return {d}""",
    "return next(({e} for {x} in {xs} if {c}), {d})",
    """
{out} = [{e} for {x} in {xs} if {c}]
if {out}:
    return {out}[0]
return {d}""",
    """
{i} = 0
while {i} < len({xs}):
    {x} = {xs}[{i}]
    if {c}:
        return {e}
    {i} += 1
return {d}""",
    conditions=NUMBER_CONDITIONS, expressions=NUMBER_EXPRESSIONS, uses=("d",),
)  # fmt: skip
_family(
    "string", "s", "text",
    "return ''.join([{e} for {x} in {xs} if {c}])",
    """
{out} = ''
for {x} in {xs}:
    if {c}:
        {out} += {e}
return {out}""",
    """
{out} = []
for {x} in {xs}:
    if {nc}:
        continue
    {out}.append({e})
return ''.join({out})""",
    """
{out} = ''
{i} = 0
while {i} < len({xs}):
    {x} = {xs}[{i}]
    if {c}:
        {out} += {e}
    {i} += 1
return {out}""",
    conditions=CHAR_CONDITIONS, expressions=CHAR_EXPRESSIONS, result="text",
)  # fmt: skip
_family(
    "counting", "xs", "ints",
    """
{out} = {{}}
for {x} in {xs}:
    {y} = {e}
    {out}[{y}] = {out}.get({y}, {s}) + 1
return {out}""",
    """
{out} = {{}}
for {x} in {xs}:
    {y} = {e}
    if {y} not in {out}:
        {out}[{y}] = {s}
    {out}[{y}] += 1
return {out}""",
    """
{acc} = [{e} for {x} in {xs}]
return {{{y}: {acc}.count({y}) + {s} for {y} in {acc}}}""",
    """
{out} = {{}}
for {x} in {xs}:
    {y} = {e}
    if {y} in {out}:
        {out}[{y}] += 1
    else:
        {out}[{y}] = {s} + 1
return {out}""",
    expressions=("mod", "floor", "abs", "square", "add", "mul"), uses=("s",),
)  # fmt: skip
_family(
    "pairs", "xs", "ints",
    """
{acc} = {s}
for {i} in range(len({xs})):
    for {j} in range({i} + 1, len({xs})):
        {x} = {xs}[{i}] + {xs}[{j}]
        if {c}:
            {acc} += 1
return {acc}""",
    """
{acc} = {s}
for {i}, {y} in enumerate({xs}):
    for {j} in {xs}[{i} + 1:]:
        {x} = {y} + {j}
        if {c}:
            {acc} += 1
return {acc}""",
    """
{out} = []
for {i} in range(len({xs})):
    for {j} in range({i}):
        {out}.append({xs}[{i}] + {xs}[{j}])
return {s} + len([{x} for {x} in {out} if {c}])""",
    """
{acc} = {s}
{i} = 0
while {i} < len({xs}):
    for {j} in {xs}[:{i}]:
        {x} = {xs}[{i}] + {j}
        if {c}:
            {acc} += 1
    {i} += 1
return {acc}""",
    conditions=("gt", "lt", "ge", "le", "eq", "ne", "div", "even", "odd"), uses=("s",),
)  # fmt: skip
_family(
    "digits", "n", "natural",
    """
{acc} = {s}
while {n} > 0:
    {x} = {n} % 10
    if {c}:
        {acc} += {e}
    {n} //= 10
return {acc}""",
    """
{acc} = {s}
while {n} > 0:
    {n}, {x} = divmod({n}, 10)
    if {c}:
        {acc} += {e}
return {acc}""",
    """
{acc} = {s}
for {y} in str({n}):
    {x} = int({y})
    if {c}:
        {acc} += {e}
return {acc}""",
    "return {s} + sum([{e} for {x} in map(int, str({n})) if {c}])",
    conditions=("gt", "lt", "ge", "le", "even", "odd"), expressions=("id", "add", "mul", "square", "mod"), uses=("s",),
)  # fmt: skip
_family(
    "gcd", "a b", "two_naturals",
    """
while {b} > {k0}:
    {a}, {b} = ({b}, {a} % {b})
return {a} * {n0} + {s}""",
    """
while {b} > {k0}:
    {x} = {a} % {b}
    {a} = {b}
    {b} = {x}
return {s} + {a} * {n0}""",
    """
if {b} <= {k0}:
    return {a} * {n0} + {s}
return {fn}({b}, {a} % {b})""",
    """
while True:
    if {b} <= {k0}:
        return {a} * {n0} + {s}
    {a}, {b} = ({b}, {a} % {b})""",
    uses=("k", "n", "s"), extra={"k": (0, 4), "n": (2, 9)},
)  # fmt: skip
_family(
    "recursion", "n", "small",
    """
if {n} <= {k0}:
    return {s}
return {fn}({n} - 1) + {en}""",
    """
{acc} = {s}
for {x} in range({k0} + 1, {n} + 1):
    {acc} += {e}
return {acc}""",
    """
{acc} = {s}
while {n} > {k0}:
    {acc} += {en}
    {n} -= 1
return {acc}""",
    "return {s} + sum(({e} for {x} in range({k0} + 1, {n} + 1)))",
    expressions=("id", "add", "mul", "square", "mod", "floor"), uses=("k", "s"), extra={"k": (0, 4)},
)  # fmt: skip
_family(
    "sort_key", "xs", "ints",
    "return sorted({xs}, key=lambda {x}: {e})",
    """
{out} = list({xs})
{out}.sort(key=lambda {x}: {e})
return {out}""",
    """
{out} = []
for {y} in {xs}:
    {i} = len({out})
    while {i} > 0 and {key_prev} > {key_y}:
        {i} -= 1
    {out}.insert({i}, {y})
return {out}""",
    """
{acc} = [({e}, {i}) for {i}, {x} in enumerate({xs})]
return [{xs}[{i}] for {y}, {i} in sorted({acc})]""",
    expressions=KEY_EXPRESSIONS, result="list",
)  # fmt: skip
_family(
    "two_pointers", "xs", "ints",
    """
{acc} = {s}
{i} = 0
{j} = len({xs}) - 1
while {i} < {j}:
    {x} = {xs}[{i}] + {xs}[{j}]
    if {c}:
        {acc} += 1
    {i} += 1
    {j} -= 1
return {acc}""",
    """
{acc} = {s}
for {i} in range(len({xs}) // 2):
    {x} = {xs}[{i}] + {xs}[-1 - {i}]
    if {c}:
        {acc} += 1
return {acc}""",
    """
{j} = len({xs}) // 2
{out} = [{i} + {y} for {i}, {y} in zip({xs}[:{j}], {xs}[::-1])]
return {s} + len([{x} for {x} in {out} if {c}])""",
    """
{acc} = {s}
while len({xs}) > 1:
    {x} = {xs}[0] + {xs}[-1]
    if {c}:
        {acc} += 1
    {xs} = {xs}[1:-1]
return {acc}""",
    conditions=("gt", "lt", "ge", "le", "eq", "ne", "div", "even", "odd"), uses=("s",),
)  # fmt: skip
_family(
    "ranges", "n", "small",
    "return [{e} for {x} in range({s}, {n}) if {c}]",
    """
{out} = []
for {x} in range({s}, {n}):
    if {c}:
        {out}.append({e})
return {out}""",
    """
{out} = []
{x} = {s}
while {x} < {n}:
    if {c}:
        {out}.append({e})
    {x} += 1
return {out}""",
    "return list(map(lambda {x}: {e}, filter(lambda {x}: {c}, range({s}, {n}))))",
    conditions=NUMBER_CONDITIONS, expressions=("id", "add", "sub", "mul", "square", "neg", "mod"), uses=("s",), result="list",
)  # fmt: skip
_family(
    "dedupe", "xs", "ints",
    """
{out} = []
for {x} in {xs}:
    {y} = {e}
    if {y} not in {out}:
        {out}.append({y})
return {out}""",
    "return list(dict.fromkeys([{e} for {x} in {xs}]))",
    """
{out} = []
{i} = 0
while {i} < len({xs}):
    {x} = {xs}[{i}]
    if {e} not in {out}:
        {out}.append({e})
    {i} += 1
return {out}""",
    """
{acc} = set()
{out} = []
for {x} in {xs}:
    {y} = {e}
    if {y} in {acc}:
        continue
    {acc}.add({y})
    {out}.append({y})
return {out}""",
    expressions=("id", "add", "sub", "mul", "abs", "mod", "floor", "square", "neg"), result="list",
)  # fmt: skip
_family(
    "windows", "xs", "ints",
    """
{out} = []
for {i} in range(len({xs}) - 1):
    {x} = {xs}[{i} + 1] - {xs}[{i}]
    if {c}:
        {out}.append({e})
return {out}""",
    """
{out} = []
for {i}, {y} in zip({xs}, {xs}[1:]):
    {x} = {y} - {i}
    if {c}:
        {out}.append({e})
return {out}""",
    """
{out} = [{y} - {i} for {i}, {y} in zip({xs}, {xs}[1:])]
return [{e} for {x} in {out} if {c}]""",
    """
{out} = []
{i} = 1
while {i} < len({xs}):
    {x} = {xs}[{i}] - {xs}[{i} - 1]
    if {c}:
        {out}.append({e})
    {i} += 1
return {out}""",
    conditions=NUMBER_CONDITIONS, expressions=("id", "add", "mul", "square", "neg", "abs"), result="list",
)  # fmt: skip
_family(
    "matrix", "m", "matrix",
    "return [{agg}([{e} for {x} in {row}]) for {row} in {m}]",
    """
{out} = []
for {row} in {m}:
    {out}.append({agg}([{e} for {x} in {row}]))
return {out}""",
    """
{out} = []
{i} = 0
while {i} < len({m}):
    {row} = {m}[{i}]
    {out}.append({agg}([{e} for {x} in {row}]))
    {i} += 1
return {out}""",
    "return list(map(lambda {row}: {agg}([{e} for {x} in {row}]), {m}))",
    expressions=NUMBER_EXPRESSIONS, aggregates=("sum", "max", "min"), result="list",
)  # fmt: skip
_family(
    "zip", "xs ys", "two_lists",
    "return [{e} + {y} for {x}, {y} in zip({xs}, {ys}) if {c}]",
    """
{out} = []
for {x}, {y} in zip({xs}, {ys}):
    if {c}:
        {out}.append({e} + {y})
return {out}""",
    """
{out} = []
for {i} in range(min(len({xs}), len({ys}))):
    {x} = {xs}[{i}]
    if {c}:
        {out}.append({e} + {ys}[{i}])
return {out}""",
    """
{out} = []
{i} = 0
while {i} < len({xs}) and {i} < len({ys}):
    {x} = {xs}[{i}]
    if {c}:
        {out}.append({e} + {ys}[{i}])
    {i} += 1
return {out}""",
    conditions=NUMBER_CONDITIONS, expressions=NUMBER_EXPRESSIONS, result="list",
)  # fmt: skip
_family(
    "words", "s", "sentence",
    "return [{e} for {x} in {xs}.split() if {c}]",
    """
{out} = []
for {x} in {xs}.split():
    if {c}:
        {out}.append({e})
return {out}""",
    """
{out} = []
for {x} in {xs}.split():
    if {nc}:
        continue
    {out}.append({e})
return {out}""",
    """
{acc} = {xs}.split()
{out} = []
{i} = 0
while {i} < len({acc}):
    {x} = {acc}[{i}]
    if {c}:
        {out}.append({e})
    {i} += 1
return {out}""",
    conditions=WORD_CONDITIONS, expressions=WORD_EXPRESSIONS, result="list",
)  # fmt: skip

HELD_OUT_FAMILIES = ("matrix", "zip", "words")
TRAIN_FAMILIES = tuple(name for name in FAMILIES if name not in HELD_OUT_FAMILIES)


def draw_spec(family: Family, rng: Random) -> Spec:
    """A random spec of the family, over the fields it uses."""
    spec = Spec(family.name)
    if family.conditions:
        low = 2 if family.name in ("words",) else 0
        spec = replace(spec, cond=rng.choice(family.conditions), k=rng.randint(low, 9))
        if spec.cond == "div":
            spec = replace(spec, k=rng.randint(3, 7))
    if family.expressions:
        spec = replace(spec, expr=rng.choice(family.expressions), n=rng.randint(2, 9))
    if family.aggregates:
        spec = replace(spec, agg=rng.choice(family.aggregates))
    if "s" in family.uses:
        spec = replace(spec, s=rng.randint(0, 9) if rng.random() < 0.6 else 0)
    if "d" in family.uses:
        spec = replace(spec, d=rng.choice((-1, 0, 1, 2, 5, 7)))
    for name, (low, high) in family.extra.items():
        drawn: dict[str, Any] = {name: rng.randint(low, high)}
        spec = replace(spec, **drawn)
    return spec


def draw_names(family: Family, rng: Random) -> dict[str, str]:
    """Random distinct names for the function, its parameters and its variables."""
    names = {"fn": rng.choice(FUNCTIONS)}
    pool = dict(NAMES)
    if family.args[0] in ("s", "n", "a"):
        pool["xs"] = ("s", "text", "word", "line") if family.args[0] == "s" else ("n", "num", "k", "value")
    if family.name == "gcd":
        pool["a"], pool["b"] = ("a", "m", "u", "left"), ("b", "n", "v", "right")
    for role, choices in pool.items():
        free = [c for c in choices if c not in names.values()]
        names[role] = rng.choice(free)
    return names


def render(spec: Spec, form: int, names: dict[str, str]) -> str:
    """The text of `spec` in its family's form number `form`, as `ast.unparse` prints it."""
    family = FAMILIES[spec.family]
    bindings = dict(names)
    bindings["n"] = names["xs"]
    x, acc = names["x"], names["acc"]
    expression = spec.expression(x)
    steps = {"sum": f"{acc} + {expression}", "max": f"max({acc}, {expression})", "min": f"min({acc}, {expression})"}
    bindings.update(
        c=spec.condition(x), nc=spec.condition(x, negated=True), e=expression, en=spec.expression(names["xs"]),
        key_prev=spec.expression(f"{names['out']}[{names['i']} - 1]"), key_y=spec.expression(names["y"]),
        step=steps[spec.agg], agg=spec.agg, s=spec.constant("s"), d=spec.constant("d"), k0=spec.constant("k"),
        n0=spec.constant("n"),
    )  # fmt: skip
    roles = {"s": "xs", "n": "xs"}
    params = [names[roles.get(a, a)] for a in family.args]
    lines = family.forms[form].format(**bindings).split("\n")
    if spec.reverse or spec.count or spec.limit:
        lines[-1] = _wrap(spec, lines[-1])
    if spec.empty is not None:
        lines = [f"if not {params[0]}:", f"    return {spec.empty}", *lines]
    if spec.parameter:
        params.append(f"limit={getattr(spec, spec.parameter)}")
    body = "\n".join("    " + line for line in lines)
    return ast.unparse(ast.parse(f"def {names['fn']}({', '.join(params)}):\n{body}"))


def _wrap(spec: Spec, line: str) -> str:
    value = line.removeprefix("return ")
    if spec.reverse:
        value += "[::-1]"
    if spec.limit:
        value += f"[:{spec.limit}]"
    return f"return len({value})" if spec.count else f"return {value}"


def draw_inputs(kind: str, rng: Random) -> tuple:
    """One random argument tuple for an input kind."""
    size = rng.choice((0, 1, 2, 3, 4, 5, 6, 7))
    if kind == "ints":
        return ([rng.randint(-9, 12) for _ in range(size)],)
    if kind == "two_lists":
        return (
            [rng.randint(-9, 12) for _ in range(size)],
            [rng.randint(-9, 12) for _ in range(max(0, size - rng.randint(0, 1)))],
        )
    if kind == "matrix":
        return ([[rng.randint(-9, 12) for _ in range(rng.randint(1, 4))] for _ in range(min(size, 4))],)
    if kind == "natural":
        return (rng.choice((rng.randint(1, 9), rng.randint(10, 999), rng.randint(1000, 99999))),)
    if kind == "two_naturals":
        return (rng.randint(0, 60), rng.randint(0, 60))
    if kind == "small":
        return (rng.randint(0, 16),)
    alphabet = "aAbeEiIozZxT19 37uQ-"
    if kind == "text":
        return ("".join(rng.choice(alphabet) for _ in range(size + rng.randint(0, 3))),)
    if kind == "sentence":
        words = ["".join(rng.choice("abCdEfGo") for _ in range(rng.randint(1, 9))) for _ in range(size)]
        return (" ".join(w.upper() if rng.random() < 0.25 else w.lower() if rng.random() < 0.5 else w for w in words),)
    raise ValueError(f"unknown input kind {kind!r}")
