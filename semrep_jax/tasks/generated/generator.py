"""Generated tasks: small Python functions of 18 families in 3 to 5 equivalent forms, under 15 kinds of instruction.

Ten kinds of edit change the spec (a condition, a constant, an order ...), five mend a seeded bug (`tasks.mutations`).
Every example is a pure function of (seed, index). Splits: a spec belongs to `train` or `test` by its hash, an edit's
source and target spec must agree, and no text of a training example shares its canonical form with a test C_src;
families in `HELD_OUT_FAMILIES` and kinds in `HELD_OUT_KINDS` are never trained on. About 2 ms an example, 6 ms a task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Case, Program, Task, Tests
from semrep_jax.python import PYTHON
from semrep_jax.python import canonical as forms
from semrep_jax.python.mutations import mutate, site_count
from semrep_jax.sandbox.wire import encode
from semrep_jax.tasks.generated import grammar, reference
from semrep_jax.tasks.generated.families import FAMILIES, TRAIN_FAMILIES, Family
from semrep_jax.tasks.generated.grammar import CONDITIONS, EXPRESSIONS, Spec

VERSION = 1
BUG_KINDS = ("off_by_one", "wrong_operator", "wrong_initial", "missing_return", "wrong_variable")
MAX_CASES = 6


@dataclass(frozen=True)
class Example:
    """One drawn transformation: texts of C_src, an equivalent C_rep, I and C_tgt, and C_src under other names.

    `buggy` says that C_src is a mutant (then C_rep is C_src under other names). `perturbed` is C_src in an equivalent
    form, or under other names, for robustness.
    """

    family: str
    kind: str
    entry: str
    source: str
    rewrite: str
    perturbed: str
    instruction: str
    target: str
    buggy: bool


def _uses(spec: Spec, slot: str) -> bool:
    family = FAMILIES[spec.family]
    if slot in family.uses:
        return True
    if slot == "k":
        return bool(family.conditions) and "{k}" in CONDITIONS[spec.cond][0]
    return slot == "n" and bool(family.expressions) and "{n}" in EXPRESSIONS[spec.expr][0]


def _normal(spec: Spec) -> Spec:
    """One spelling for each function: unused constants at their defaults, negation folded into the condition."""
    flip = {"gt": "le", "le": "gt", "lt": "ge", "ge": "lt", "eq": "ne", "ne": "eq", "longer": "", "shorter": ""}
    if spec.negate and flip.get(spec.cond):
        spec = replace(spec, cond=flip[spec.cond], negate=False)
    default = Spec(spec.family)
    for slot in ("k", "n"):
        if not _uses(spec, slot):
            unused: dict[str, Any] = {slot: getattr(default, slot)}
            spec = replace(spec, **unused)
    return spec


Edit = Callable[[Spec, Family, Random], "tuple[str, Spec] | None"]


def _condition(spec: Spec, family: Family, rng: Random) -> tuple[str, Spec] | None:
    if not family.conditions:
        return None
    cond = rng.choice(family.conditions)
    k = rng.randint(3, 7) if cond == "div" else rng.randint(0, 9)
    new = _normal(replace(spec, cond=cond, k=k, negate=False))
    return "change the condition to: " + CONDITIONS[new.cond][2].format(k=new.k), new


def _constant(spec: Spec, family: Family, rng: Random) -> tuple[str, Spec] | None:
    slots = [s for s in ("k", "n", "s", "d") if _uses(spec, s)]
    if not slots:
        return None
    slot = rng.choice(slots)
    old = getattr(spec, slot)
    if [getattr(spec, s) for s in slots].count(old) > 1:
        return None
    low, high = family.extra.get(slot, (3 if slot == "k" and spec.cond == "div" else 0 if slot in "ks" else 2, 9))
    new = rng.randint(low, high)
    changed: dict[str, Any] = {slot: new}
    return f"use {new} instead of {old}", replace(spec, **changed)


def _operation(spec: Spec, family: Family, rng: Random) -> tuple[str, Spec] | None:
    if not family.expressions:
        return None
    new = _normal(replace(spec, expr=rng.choice(family.expressions), n=rng.randint(2, 9)))
    return "use " + EXPRESSIONS[new.expr][1].format(n=new.n), new


def _order(spec: Spec, family: Family, rng: Random) -> tuple[str, Spec] | None:
    if family.result not in ("list", "text") or spec.count or spec.limit or spec.reverse:
        return None
    return "return the result in reverse order", replace(spec, reverse=True)


def _parameter(spec: Spec, family: Family, rng: Random) -> tuple[str, Spec] | None:
    slots = [s for s in ("k", "n", "s", "d") if _uses(spec, s)]
    if not slots:
        return None
    slot = rng.choice(slots)
    old = getattr(spec, slot)
    if [getattr(spec, s) for s in slots].count(old) > 1:
        return None
    return f"add a parameter limit with default {old} in place of {old}", replace(spec, parameter=slot)


def _empty(spec: Spec, family: Family, rng: Random) -> tuple[str, Spec] | None:
    if spec.empty is not None or family.inputs in grammar.NUMBER_INPUTS:
        return None
    value = rng.choice(("-1", "None", "0", "[]", "7"))
    return f"return {value} for an empty input", replace(spec, empty=value)


def _count(spec: Spec, family: Family, rng: Random) -> tuple[str, Spec] | None:
    if family.result != "list" or spec.count or spec.reverse or spec.limit or spec.family in ("sort_key", "scan"):
        return None
    return "return how many there are instead of the list", replace(spec, count=True)


def _aggregate(spec: Spec, family: Family, rng: Random) -> tuple[str, Spec] | None:
    if not family.aggregates:
        return None
    agg = rng.choice([a for a in family.aggregates if a != spec.agg])
    return f"use the {grammar.AGGREGATES[agg]} instead of the {grammar.AGGREGATES[spec.agg]}", replace(spec, agg=agg)


def _limit(spec: Spec, family: Family, rng: Random) -> tuple[str, Spec] | None:
    if family.result not in ("list", "text") or spec.count or spec.limit or spec.reverse:
        return None
    limit = rng.randint(1, 4)
    return f"return only the first {limit}", replace(spec, limit=limit)


def _negate(spec: Spec, family: Family, rng: Random) -> tuple[str, Spec] | None:
    if not family.conditions:
        return None
    return "negate the condition", _normal(replace(spec, negate=not spec.negate))


SPEC_EDITS: dict[str, Edit] = {
    "condition": _condition, "constant": _constant, "operation": _operation, "order": _order, "parameter": _parameter,
    "empty": _empty, "count": _count, "aggregate": _aggregate, "limit": _limit, "negate": _negate,
}  # fmt: skip
EDIT_KINDS = (*SPEC_EDITS, *BUG_KINDS)
HELD_OUT_KINDS = ("limit", "negate", "wrong_initial")
TRAIN_KINDS = tuple(k for k in EDIT_KINDS if k not in HELD_OUT_KINDS)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _spec_split(spec: Spec) -> str:
    return "test" if _hash(f"{VERSION}{spec!r}") % 8 == 0 else "train"


def _text_split(source: str) -> str:
    return "test" if _hash(forms.split_form(source) or "") % 4 == 0 else "train"


@dataclass(frozen=True)
class Generator:
    """Draws examples of one split from the given families and kinds; example `index` is the same on every machine."""

    split: str = "train"
    families: tuple[str, ...] = TRAIN_FAMILIES
    kinds: tuple[str, ...] = TRAIN_KINDS
    seed: int = 0

    def __post_init__(self) -> None:
        for name, given, known in (("family", self.families, tuple(FAMILIES)), ("kind", self.kinds, EDIT_KINDS)):
            unknown = [g for g in given if g not in known]
            if unknown or not given:
                raise TaskError(f"unknown {name} {unknown or given!r}: choose from {', '.join(known)}")
        if self.split not in ("train", "test"):
            raise TaskError(f"unknown split {self.split!r}: choose train or test")

    @property
    def identity(self) -> str:
        """What the drawn examples depend on; two generators of one identity draw the same examples."""
        return f"generated-v{VERSION}:{self.split}:{','.join(self.families)}:{','.join(self.kinds)}:{self.seed}"

    def example(self, index: int) -> Example:
        """Example number `index`."""
        rng = Random(_hash(f"{self.identity}:{index}"))
        kinds = list(self.kinds)
        rng.shuffle(kinds)
        for attempt in range(20_000):
            found = self._try(kinds[attempt // 400 % len(kinds)], rng)
            if found is not None:
                return found
        raise TaskError(f"{self.identity} admits no example: widen the families or the kinds")

    def _try(self, kind: str, rng: Random) -> Example | None:
        family = FAMILIES[rng.choice(self.families)]
        spec = _normal(grammar.draw_spec(family, rng))
        if family.inputs not in grammar.NUMBER_INPUTS and rng.random() < (
            0.9 if kind in ("count", "missing_return") else 0.15
        ):
            spec = replace(spec, empty=rng.choice(("-1", "None", "0", "[]", "7")))
        if _spec_split(spec) != self.split:
            return None
        names, others = grammar.draw_names(family, rng), grammar.draw_names(family, rng)
        others["fn"] = names["fn"]
        form, other_form = rng.sample(range(len(family.templates)), 2)
        if kind in SPEC_EDITS:
            edit = SPEC_EDITS[kind](spec, family, rng)
            if edit is None or edit[1] == spec or _spec_split(edit[1]) != self.split:
                return None
            instruction, new = edit
            if new.parameter and "{fn}(" in family.templates[form]:
                return None
            source = grammar.render(spec, form, names)
            if _text_split(source) != self.split:
                return None
            target = grammar.render(new, form, names)
            rewrite = grammar.render(spec, other_form, names)
            perturbed = grammar.render(spec, *((other_form, names) if rng.random() < 0.5 else (form, others)))
            buggy = False
        else:
            target = grammar.render(spec, form, names)
            sites = site_count(target, names["fn"], kind)
            if not sites:
                return None
            site = rng.randrange(sites)
            bug = mutate(target, names["fn"], kind, site)
            instruction, source = bug.hint, bug.source
            rewrite = perturbed = mutate(grammar.render(spec, form, others), names["fn"], kind, site).source
            buggy = True
        if source == target or not self._allowed(source, rewrite, target):
            return None
        return Example(family.name, kind, names["fn"], source, rewrite, perturbed, instruction, target, buggy)

    def _allowed(self, source: str, rewrite: str, target: str) -> bool:
        if self.split == "test":
            return _text_split(source) == "test"
        return all(_text_split(text) == "train" for text in (source, rewrite, target))

    def task(self, index: int, rewriting: bool = False) -> Task | None:
        """Example `index` with its tests; None where the tests can't tell C_src from C_tgt or leave nothing to keep.

        With `rewriting` the task is stage 1's: no instruction, and U_sem is everything C_src does.
        """
        example = self.example(index)
        kind_of_input = FAMILIES[example.family].inputs
        rng = Random(_hash(f"{self.identity}:{index}:tests"))
        calls = []
        for _ in range(24):
            args = grammar.draw_inputs(kind_of_input, rng)
            extra = (rng.randint(0, 9),) if example.kind == "parameter" and rng.random() < 0.5 and not rewriting else ()
            wire = encode((*args, *extra))
            if wire not in calls:
                calls.append(wire)
        if kind_of_input in ("ints", "text", "sentence", "matrix"):
            calls.append(encode(([],) if kind_of_input in ("ints", "matrix") else ("",)))
        before = reference.outcomes(example.source, example.entry, calls)
        if rewriting:
            cases = [Case(c, b) for c, b in zip(calls, before, strict=True) if b is not None and b.error is None]
            keep, edit = cases, []
        else:
            after = reference.outcomes(example.target, example.entry, calls)
            kept = [
                (c, b, a) for c, b, a in zip(calls, before, after, strict=True) if a is not None and a.error is None
            ]
            keep = [Case(c, a) for c, b, a in kept if b == a]
            edit = [Case(c, a) for c, b, a in kept if b != a]
        if not keep or (not rewriting and not edit):
            return None
        cap = 2 * MAX_CASES if rewriting else MAX_CASES
        return Task(
            id=f"{'rewrite' if rewriting else 'edit'}/{self.split}/{self.seed}/{index}",
            source=Program(PYTHON, example.source),
            preserve=Tests(example.entry, tuple(_spread(keep, cap))),
            edit=Tests(example.entry, tuple(_spread(edit, MAX_CASES))),
            instruction="" if rewriting else example.instruction,
            split=self.split,
            tags={"family": example.family, "kind": example.kind, "perturbed": example.perturbed},
            solution=Program(PYTHON, example.rewrite if rewriting else example.target),
        )

    def tasks(self, rewriting: bool = False, bug_preserving: bool = True) -> Iterator[Task]:
        """Tasks in order of index, without end. Rewriting keeps a bug of C_src only with `bug_preserving`."""
        index = 0
        while True:
            skip = rewriting and not bug_preserving and self.example(index).buggy
            task = None if skip else self.task(index, rewriting)
            if task is not None:
                yield task
            index += 1


def _spread(cases: list[Case], limit: int) -> list[Case]:
    """At most `limit` cases: the last (the edge input), then those with distinct outcomes first."""
    picked: list[Case] = []
    seen: set[str] = set()
    for case in [*cases[-1:], *cases[:-1]]:
        key = repr(case.expected)
        if key not in seen and len(picked) < limit:
            seen.add(key)
            picked.append(case)
    rest = [c for c in cases if not any(c is p for p in picked)]
    return picked + rest[: limit - len(picked)]
