"""The families of generated functions: their arguments, their inputs and their equivalent templates.

Every template of a family computes the same function of a `grammar.Spec`, so any two are a (C_src, C_rep) pair.
Placeholders: {x} item, {c} condition on it, {nc} its negation, {e} expression of it, {d} default, {s} start, {k0} and
{n0} constants, {step} and {agg} of an aggregate, {fn} the function itself, and the names of variables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NUMBER_CONDITIONS = ("gt", "lt", "ge", "le", "ne", "div", "even", "odd")
CHAR_CONDITIONS = ("vowel", "digit", "alpha", "upper", "lower")
WORD_CONDITIONS = ("longer", "shorter", "upper", "lower")
NUMBER_EXPRESSIONS = ("id", "add", "sub", "mul", "square", "neg", "abs", "mod", "floor")
KEY_EXPRESSIONS = ("mod", "floor", "abs", "neg", "square")
CHAR_EXPRESSIONS = ("id", "up", "down", "twice", "dash")
WORD_EXPRESSIONS = ("id", "up", "down", "first", "size", "twice")


@dataclass(frozen=True)
class Family:
    """A kind of function.

    args: names of its arguments. inputs: kind of its inputs (`grammar.sample_inputs`). templates: its equivalent
    texts. conditions, expressions, aggregates: those it can have (`grammar`). uses: other constants in it. result:
    scalar, list or text. extra: the range (least, most) of a constant that has one of its own.
    """

    name: str
    args: tuple[str, ...]
    inputs: str
    templates: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    aggregates: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    result: str = "scalar"
    extra: dict[str, tuple[int, int]] = field(default_factory=dict)


FAMILIES: dict[str, Family] = {}


def _family(name: str, args: str, inputs: str, *templates: str, **options: Any) -> None:
    FAMILIES[name] = Family(name, tuple(args.split()), inputs, tuple(text.strip("\n") for text in templates), **options)


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
    conditions=NUMBER_CONDITIONS, expressions=("id", "add", "sub", "mul", "square", "neg", "mod"), uses=("s",),
    result="list",
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
