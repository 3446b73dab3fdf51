"""The grammar of small Python functions: what a function computes, and how that becomes a text.

A `Spec` says what a function computes (family, condition, expression, constants, what wraps the result); a `Style` says
how it is written: by one of its family's templates (`families`), under these names. Two specs that differ in one field
are a (C_src, C_tgt) pair.

    Style(0, sample_names(family, rng)).render(sample_spec(family, rng))
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

from semrep_jax.core import syntax
from semrep_jax.tasks.generated.families import Family
from semrep_jax.tasks.generated.near_families import ALL_FAMILIES

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


class Condition(NamedTuple):
    """A condition on {x}, its negation, and how an instruction says it; {k} is a constant."""

    code: str
    negation: str
    wording: str


class Expression(NamedTuple):
    """An expression of {x}, and how an instruction says it; {n} is a constant."""

    code: str
    wording: str


CONDITIONS = {
    "gt": Condition("{x} > {k}", "{x} <= {k}", "greater than {k}"),
    "lt": Condition("{x} < {k}", "{x} >= {k}", "less than {k}"),
    "ge": Condition("{x} >= {k}", "{x} < {k}", "at least {k}"),
    "le": Condition("{x} <= {k}", "{x} > {k}", "at most {k}"),
    "eq": Condition("{x} == {k}", "{x} != {k}", "equal to {k}"),
    "ne": Condition("{x} != {k}", "{x} == {k}", "not equal to {k}"),
    "div": Condition("{x} % {k} == 0", "{x} % {k} != 0", "divisible by {k}"),
    "even": Condition("{x} % 2 == 0", "{x} % 2 != 0", "even"),
    "odd": Condition("{x} % 2 == 1", "{x} % 2 != 1", "odd"),
    "vowel": Condition("{x} in 'aeiou'", "{x} not in 'aeiou'", "a vowel"),
    "digit": Condition("{x}.isdigit()", "not {x}.isdigit()", "a digit"),
    "alpha": Condition("{x}.isalpha()", "not {x}.isalpha()", "a letter"),
    "upper": Condition("{x}.isupper()", "not {x}.isupper()", "upper case"),
    "lower": Condition("{x}.islower()", "not {x}.islower()", "lower case"),
    "longer": Condition("len({x}) > {k}", "len({x}) <= {k}", "longer than {k}"),
    "shorter": Condition("len({x}) < {k}", "len({x}) >= {k}", "shorter than {k}"),
}
EXPRESSIONS = {
    "id": Expression("{x}", "the item itself"),
    "add": Expression("{x} + {n}", "the item plus {n}"),
    "sub": Expression("{x} - {n}", "the item minus {n}"),
    "mul": Expression("{x} * {n}", "the item times {n}"),
    "mod": Expression("{x} % {n}", "the item modulo {n}"),
    "floor": Expression("{x} // {n}", "the item divided by {n}"),
    "square": Expression("{x} * {x}", "the square of the item"),
    "neg": Expression("-{x}", "the negated item"),
    "abs": Expression("abs({x})", "the absolute value"),
    "up": Expression("{x}.upper()", "the item in upper case"),
    "down": Expression("{x}.lower()", "the item in lower case"),
    "twice": Expression("{x} * 2", "the item twice"),
    "dash": Expression("{x} + '-'", "the item and a dash"),
    "first": Expression("{x}[0]", "the first letter"),
    "size": Expression("len({x})", "the length of the item"),
}
NUMBER_INPUTS = ("natural", "small", "two_naturals")
EMPTY_INPUTS: dict[str, Any] = {"ints": [], "matrix": [], "text": "", "sentence": ""}
CONSTANTS = ("k", "n", "s", "d")
_ARGUMENT_ROLES = {"s": "xs", "n": "xs"}  # arguments of a family that go by the name of another role
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
        condition = CONDITIONS[self.cond]
        text = condition.code if self.negate == negated else condition.negation
        return text.format(x=x, k=self.constant("k"))

    def expression(self, x: str) -> str:
        """Python text of the expression of `x`."""
        return EXPRESSIONS[self.expr].code.format(x=x, n=self.constant("n"))

    def constant(self, slot: str) -> str:
        """How constant `slot` is spelled: a number, or the parameter that took its place."""
        return "limit" if self.parameter == slot else str(getattr(self, slot))


def sample_spec(family: Family, rng: Random) -> Spec:
    """A random spec of the family, over the fields it uses."""
    spec = Spec(family.name)
    if family.conditions:
        low = 2 if family.name == "words" else 0
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


def sample_names(family: Family, rng: Random) -> dict[str, str]:
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


def sample_empty(rng: Random) -> str:
    """What a function may return for an empty input, as text."""
    return rng.choice(("-1", "None", "0", "[]", "7"))


@dataclass(frozen=True)
class Style:
    """How a function is written: the number of its family's template, and the names in it by their roles."""

    template: int
    names: dict[str, str]

    def render(self, spec: Spec) -> str:
        """The text of `spec`, as `ast.unparse` prints it."""
        family, names = ALL_FAMILIES[spec.family], self.names
        params = [names[_ARGUMENT_ROLES.get(arg, arg)] for arg in family.args]
        lines = family.templates[self.template].format(**self._bindings(spec)).split("\n")
        if spec.reverse or spec.count or spec.limit:
            lines[-1] = _wrap(spec, lines[-1])
        if spec.empty is not None:
            lines = [f"if not {params[0]}:", f"    return {spec.empty}", *lines]
        if spec.parameter:
            params.append(f"limit={getattr(spec, spec.parameter)}")
        body = "\n".join("    " + line for line in lines)
        return ast.unparse(syntax.module(f"def {names['fn']}({', '.join(params)}):\n{body}"))

    def _bindings(self, spec: Spec) -> dict[str, str]:
        """What the placeholders of a template stand for (`families`)."""
        names = self.names
        x, acc, expression = names["x"], names["acc"], spec.expression(names["x"])
        steps = {
            "sum": f"{acc} + {expression}",
            "max": f"max({acc}, {expression})",
            "min": f"min({acc}, {expression})",
        }
        return names | {
            "n": names["xs"],
            "c": spec.condition(x),
            "nc": spec.condition(x, negated=True),
            "e": expression,
            "en": spec.expression(names["xs"]),
            "key_prev": spec.expression(f"{names['out']}[{names['i']} - 1]"),
            "key_y": spec.expression(names["y"]),
            "step": steps[spec.agg],
            "agg": spec.agg,
            "s": spec.constant("s"),
            "d": spec.constant("d"),
            "k0": spec.constant("k"),
            "n0": spec.constant("n"),
        }


def _wrap(spec: Spec, line: str) -> str:
    """The last line, a return, with what the spec asks of the result."""
    value = line.removeprefix("return ")
    if spec.reverse:
        value += "[::-1]"
    if spec.limit:
        value += f"[:{spec.limit}]"
    return f"return len({value})" if spec.count else f"return {value}"


def _sample_case(word: str, rng: Random) -> str:
    """The word in upper case, in lower case or as it is."""
    if rng.random() < 0.25:
        return word.upper()
    return word.lower() if rng.random() < 0.5 else word


def sample_inputs(kind: str, rng: Random) -> tuple:
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
        texts = ["".join(rng.choice("abCdEfGo") for _ in range(rng.randint(1, 9))) for _ in range(size)]
        return (" ".join(_sample_case(text, rng) for text in texts),)
    raise ValueError(f"unknown input kind {kind!r}")
