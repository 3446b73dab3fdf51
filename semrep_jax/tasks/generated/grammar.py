"""The grammar of small Python functions: what a function computes, and how that becomes a text.

A `Spec` says what a function computes (family, condition, expression, constants, what wraps the result); a form of its family
(`families`) says how it is written. Two specs that differ in one field are a (C_src, C_tgt) pair.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.tasks.generated.families import FAMILIES, Family

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
    lines = family.templates[form].format(**bindings).split("\n")
    if spec.reverse or spec.count or spec.limit:
        lines[-1] = _wrap(spec, lines[-1])
    if spec.empty is not None:
        lines = [f"if not {params[0]}:", f"    return {spec.empty}", *lines]
    if spec.parameter:
        params.append(f"limit={getattr(spec, spec.parameter)}")
    body = "\n".join("    " + line for line in lines)
    return ast.unparse(syntax.module(f"def {names['fn']}({', '.join(params)}):\n{body}"))


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
