"""Edits of a spec: an instruction, and the spec that it asks for.

    SPEC_EDITS["order"](spec, family, rng)      # ("return the result in reverse order", the new spec), or None

None says that the edit makes no sense of this spec.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from semrep_jax.tasks.generated.families import Family
from semrep_jax.tasks.generated.grammar import (
    AGGREGATES,
    CONDITIONS,
    CONSTANTS,
    EXPRESSIONS,
    NUMBER_INPUTS,
    Spec,
    sample_empty,
)
from semrep_jax.tasks.generated.near_families import ALL_FAMILIES

Edit = tuple[str, Spec]
NEGATIONS = {"gt": "le", "le": "gt", "lt": "ge", "ge": "lt", "eq": "ne", "ne": "eq"}


def uses(spec: Spec, slot: str) -> bool:
    """Whether the constant `slot` is in the text of the spec."""
    family = ALL_FAMILIES[spec.family]
    if slot in family.uses:
        return True
    if slot == "k":
        return bool(family.conditions) and "{k}" in CONDITIONS[spec.cond].code
    return slot == "n" and bool(family.expressions) and "{n}" in EXPRESSIONS[spec.expr].code


def normal(spec: Spec) -> Spec:
    """One spelling for each function: unused constants at their defaults, negation folded into the condition."""
    if spec.negate and spec.cond in NEGATIONS:
        spec = replace(spec, cond=NEGATIONS[spec.cond], negate=False)
    default = Spec(spec.family)
    unused: dict[str, Any] = {slot: getattr(default, slot) for slot in ("k", "n") if not uses(spec, slot)}
    return replace(spec, **unused)


def _condition(spec: Spec, family: Family, rng: Random) -> Edit | None:
    if not family.conditions:
        return None
    cond = rng.choice(family.conditions)
    k = rng.randint(3, 7) if cond == "div" else rng.randint(0, 9)
    new = normal(replace(spec, cond=cond, k=k, negate=False))
    return "change the condition to: " + CONDITIONS[new.cond].wording.format(k=new.k), new


def _slot(spec: Spec, rng: Random) -> tuple[str, int] | None:
    """A constant that the spec uses, and its value; None where there is none, or two of that value."""
    values = {slot: getattr(spec, slot) for slot in CONSTANTS if uses(spec, slot)}
    if not values:
        return None
    slot = rng.choice(list(values))
    return None if list(values.values()).count(values[slot]) > 1 else (slot, values[slot])


def _constant(spec: Spec, family: Family, rng: Random) -> Edit | None:
    found = _slot(spec, rng)
    if found is None:
        return None
    slot, old = found
    least = 3 if slot == "k" and spec.cond == "div" else 0 if slot in "ks" else 2
    new = rng.randint(*family.extra.get(slot, (least, 9)))
    changed: dict[str, Any] = {slot: new}
    return f"use {new} instead of {old}", replace(spec, **changed)


def _operation(spec: Spec, family: Family, rng: Random) -> Edit | None:
    if not family.expressions:
        return None
    new = normal(replace(spec, expr=rng.choice(family.expressions), n=rng.randint(2, 9)))
    return "use " + EXPRESSIONS[new.expr].wording.format(n=new.n), new


def _is_plain_sequence(spec: Spec, family: Family) -> bool:
    return family.result in ("list", "text") and not (spec.count or spec.limit or spec.reverse)


def _order(spec: Spec, family: Family, rng: Random) -> Edit | None:
    if not _is_plain_sequence(spec, family):
        return None
    return "return the result in reverse order", replace(spec, reverse=True)


def _parameter(spec: Spec, family: Family, rng: Random) -> Edit | None:
    found = _slot(spec, rng)
    if found is None:
        return None
    slot, old = found
    return f"add a parameter limit with default {old} in place of {old}", replace(spec, parameter=slot)


def _empty(spec: Spec, family: Family, rng: Random) -> Edit | None:
    if spec.empty is not None or family.inputs in NUMBER_INPUTS:
        return None
    value = sample_empty(rng)
    return f"return {value} for an empty input", replace(spec, empty=value)


def _count(spec: Spec, family: Family, rng: Random) -> Edit | None:
    if family.result != "list" or not _is_plain_sequence(spec, family) or spec.family in ("sort_key", "scan"):
        return None
    return "return how many there are instead of the list", replace(spec, count=True)


def _aggregate(spec: Spec, family: Family, rng: Random) -> Edit | None:
    if not family.aggregates:
        return None
    agg = rng.choice([name for name in family.aggregates if name != spec.agg])
    return f"use the {AGGREGATES[agg]} instead of the {AGGREGATES[spec.agg]}", replace(spec, agg=agg)


def _limit(spec: Spec, family: Family, rng: Random) -> Edit | None:
    if not _is_plain_sequence(spec, family):
        return None
    limit = rng.randint(1, 4)
    return f"return only the first {limit}", replace(spec, limit=limit)


def _negate(spec: Spec, family: Family, rng: Random) -> Edit | None:
    if not family.conditions:
        return None
    return "negate the condition", normal(replace(spec, negate=not spec.negate))


def _two(spec: Spec, family: Family, rng: Random) -> Edit | None:
    """Two edits of different kinds, one after the other."""
    first, second = rng.sample(_TOGETHER, 2)
    one = SPEC_EDITS[first](spec, family, rng)
    two = None if one is None or one[1] == spec else SPEC_EDITS[second](one[1], family, rng)
    if one is None or two is None or two[1] in (spec, one[1]):
        return None
    return f"{one[0]}, then {two[0]}", two[1]


SPEC_EDITS: dict[str, Callable[[Spec, Family, Random], Edit | None]] = {
    "condition": _condition,
    "constant": _constant,
    "operation": _operation,
    "order": _order,
    "parameter": _parameter,
    "empty": _empty,
    "count": _count,
    "aggregate": _aggregate,
    "limit": _limit,
    "negate": _negate,
    "two": _two,
}
_TOGETHER = ("condition", "constant", "operation", "order", "empty", "count", "aggregate")
