"""Families near to those of training: each puts together pieces that training has apart, and is never trained on.

    range_sum     ranges + reduce            pair_list      pairs + filter_map
    digit_list    digits + filter_map        text_search    string + search
    unique        dedupe + filter_map

The held-out families of `families` are far: they have inputs and pieces that training has not.
"""

from __future__ import annotations

from typing import Any

from semrep_jax.tasks.generated.families import (
    CHAR_CONDITIONS,
    CHAR_EXPRESSIONS,
    FAMILIES,
    NUMBER_CONDITIONS,
    NUMBER_EXPRESSIONS,
    Family,
)


def _family(name: str, args: str, inputs: str, *templates: str, **options: Any) -> Family:
    return Family(name, tuple(args.split()), inputs, tuple(text.strip("\n") for text in templates), **options)


_NEAR = (
    _family(
        "range_sum", "n", "small",
        "return sum([{e} for {x} in range({s}, {n}) if {c}])",
        """
{acc} = 0
for {x} in range({s}, {n}):
    if {c}:
        {acc} += {e}
return {acc}""",
        """
{acc} = 0
{x} = {s}
while {x} < {n}:
    if {c}:
        {acc} += {e}
    {x} += 1
return {acc}""",
        conditions=NUMBER_CONDITIONS, expressions=("id", "add", "sub", "mul", "square", "mod"), uses=("s",),
    ),
    _family(
        "digit_list", "n", "natural",
        "return [{e} for {x} in map(int, str({n})) if {c}]",
        """
{out} = []
for {y} in str({n}):
    {x} = int({y})
    if {c}:
        {out}.append({e})
return {out}""",
        """
{out} = []
while {n} > 0:
    {n}, {x} = divmod({n}, 10)
    if {c}:
        {out}.insert(0, {e})
return {out}""",
        conditions=("gt", "lt", "ge", "le", "even", "odd"), expressions=("id", "add", "mul", "square", "mod"),
        result="list",
    ),
    _family(
        "pair_list", "xs", "ints",
        """
{out} = []
for {i} in range(len({xs})):
    for {j} in range({i} + 1, len({xs})):
        {x} = {xs}[{i}] + {xs}[{j}]
        if {c}:
            {out}.append({e})
return {out}""",
        """
{out} = []
for {i}, {y} in enumerate({xs}):
    for {j} in {xs}[{i} + 1:]:
        {x} = {y} + {j}
        if {c}:
            {out}.append({e})
return {out}""",
        """
{out} = []
{i} = 0
while {i} < len({xs}):
    for {j} in {xs}[{i} + 1:]:
        {x} = {xs}[{i}] + {j}
        if {c}:
            {out}.append({e})
    {i} += 1
return {out}""",
        conditions=("gt", "lt", "ge", "le", "eq", "ne", "div", "even", "odd"), expressions=("id", "add", "mul", "abs"),
        result="list",
    ),
    _family(
        "text_search", "s", "text",
        """
for {x} in {xs}:
    if {c}:
        return {e}
return ''""",
        "return next(({e} for {x} in {xs} if {c}), '')",
        """
{i} = 0
while {i} < len({xs}):
    {x} = {xs}[{i}]
    if {c}:
        return {e}
    {i} += 1
return ''""",
        conditions=CHAR_CONDITIONS, expressions=CHAR_EXPRESSIONS,
    ),
    _family(
        "unique", "xs", "ints",
        """
{out} = []
for {x} in {xs}:
    {y} = {e}
    if {c} and {y} not in {out}:
        {out}.append({y})
return {out}""",
        "return list(dict.fromkeys([{e} for {x} in {xs} if {c}]))",
        """
{out} = []
for {x} in {xs}:
    if {nc}:
        continue
    {y} = {e}
    if {y} not in {out}:
        {out}.append({y})
return {out}""",
        conditions=NUMBER_CONDITIONS, expressions=NUMBER_EXPRESSIONS, result="list",
    ),
)  # fmt: skip
NEAR_FAMILIES = tuple(family.name for family in _NEAR)
ALL_FAMILIES: dict[str, Family] = FAMILIES | {family.name: family for family in _NEAR}
