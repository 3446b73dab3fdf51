"""Generated tasks: small Python functions of 23 families in 3 to 5 equivalent templates, under 16 kinds of instruction.

Ten kinds of edit change the spec (a condition, a constant, an order ...), another makes two such changes, five mend a
seeded bug (`python.mutations`).
Every example is a pure function of (seed, index). Splits: a spec belongs to `train` or `test` by its hash, an edit's
source and target spec must agree, and no text of a training example has the `canonical.split_form` of a test C_src;
families in `HELD_OUT_FAMILIES` and kinds in `HELD_OUT_KINDS` are never trained on. About 2 ms an example, 6 ms a task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Case, Program, Task, Tests
from semrep_jax.python import PYTHON
from semrep_jax.python.canonical import split_form
from semrep_jax.python.mutations import mutate, site_count
from semrep_jax.sandbox.wire import encode
from semrep_jax.tasks.generated import grammar, reference
from semrep_jax.tasks.generated.edits import SPEC_EDITS, normal
from semrep_jax.tasks.generated.families import TRAIN_FAMILIES
from semrep_jax.tasks.generated.grammar import Spec, Style
from semrep_jax.tasks.generated.near_families import ALL_FAMILIES

VERSION = 1
BUG_KINDS = ("off_by_one", "wrong_operator", "wrong_initial", "missing_return", "wrong_variable")
EDIT_KINDS = (*SPEC_EDITS, *BUG_KINDS)
HELD_OUT_KINDS = ("limit", "negate", "wrong_initial")
NEAR_KINDS = ("two",)  # held out too, and made of kinds of training
TRAIN_KINDS = tuple(k for k in EDIT_KINDS if k not in HELD_OUT_KINDS + NEAR_KINDS)
MAX_CASES = 6  # of U_sem and of U_edit each
DRAWN_CALLS = 24
MAX_ATTEMPTS = 20_000
ATTEMPTS_A_KIND = 400  # before another kind of edit is tried
# how often a spec has a special answer to an empty input, and for the kinds that hardly change anything without one
EMPTY_CHANCE = 0.15
EMPTY_CHANCES = {"count": 0.9, "missing_return": 0.9}


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


def stable_hash(text: str) -> int:
    """64 bits of a text, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _spec_split(spec: Spec) -> str:
    return "test" if stable_hash(f"{VERSION}{spec!r}") % 8 == 0 else "train"


def text_split(source: str) -> str:
    """The split that a text belongs to by its canonical form."""
    return "test" if stable_hash(split_form(source) or "") % 4 == 0 else "train"


@dataclass(frozen=True)
class Generator:
    """Draws examples; example `index` is the same on every machine.

    split: train or test. families, kinds: to draw from. seed: of everything drawn. TaskError if one is unknown.
    """

    split: str = "train"
    families: tuple[str, ...] = TRAIN_FAMILIES
    kinds: tuple[str, ...] = TRAIN_KINDS
    seed: int = 0

    def __post_init__(self) -> None:
        for name, given, known in (("family", self.families, tuple(ALL_FAMILIES)), ("kind", self.kinds, EDIT_KINDS)):
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
        rng = Random(stable_hash(f"{self.identity}:{index}"))
        kinds = list(self.kinds)
        rng.shuffle(kinds)
        for attempt in range(MAX_ATTEMPTS):
            found = self._try(kinds[attempt // ATTEMPTS_A_KIND % len(kinds)], rng)
            if found is not None:
                return found
        raise TaskError(f"{self.identity} admits no example: widen the families or the kinds")

    def _try(self, kind: str, rng: Random) -> Example | None:
        """One attempt to draw an example of a kind; None where what was drawn is none, or is of the other split."""
        family = ALL_FAMILIES[rng.choice(self.families)]
        spec = normal(grammar.sample_spec(family, rng))
        if family.inputs not in grammar.NUMBER_INPUTS and rng.random() < EMPTY_CHANCES.get(kind, EMPTY_CHANCE):
            spec = replace(spec, empty=grammar.sample_empty(rng))
        if _spec_split(spec) != self.split:
            return None
        names, other_names = grammar.sample_names(family, rng), grammar.sample_names(family, rng)
        other_names["fn"] = names["fn"]
        template, other_template = rng.sample(range(len(family.templates)), 2)
        text, renamed = Style(template, names), Style(template, other_names)
        if kind in SPEC_EDITS:
            example = self._edited(kind, spec, text, renamed, Style(other_template, names), rng)
        else:
            example = self._broken(kind, spec, text, renamed, rng)
        return example if example is not None and self._allowed(example) else None

    def _edited(
        self, kind: str, spec: Spec, text: Style, renamed: Style, rewritten: Style, rng: Random
    ) -> Example | None:
        """C_src and C_tgt are two specs in one form, C_rep is C_src in another form."""
        family = ALL_FAMILIES[spec.family]
        edit = SPEC_EDITS[kind](spec, family, rng)
        if edit is None or edit[1] == spec or _spec_split(edit[1]) != self.split:
            return None
        instruction, new = edit
        if new.parameter and "{fn}(" in family.templates[text.template]:
            return None
        source = text.render(spec)
        if text_split(source) != self.split:
            return None
        return Example(
            family=family.name,
            kind=kind,
            entry=text.names["fn"],
            source=source,
            rewrite=rewritten.render(spec),
            perturbed=(rewritten if rng.random() < 0.5 else renamed).render(spec),
            instruction=instruction,
            target=text.render(new),
            buggy=False,
        )

    def _broken(self, kind: str, spec: Spec, text: Style, renamed: Style, rng: Random) -> Example | None:
        """C_src is C_tgt with a bug in it, C_rep is that under other names."""
        target, entry = text.render(spec), text.names["fn"]
        sites = site_count(target, entry, kind)
        if not sites:
            return None
        site = rng.randrange(sites)
        bug = mutate(target, entry, kind, site)
        rewrite = mutate(renamed.render(spec), entry, kind, site).source
        return Example(
            family=spec.family,
            kind=kind,
            entry=entry,
            source=bug.source,
            rewrite=rewrite,
            perturbed=rewrite,
            instruction=bug.hint,
            target=target,
            buggy=True,
        )

    def _allowed(self, example: Example) -> bool:
        """Whether its texts differ and are of this split."""
        if example.source == example.target:
            return False
        if self.split == "test":
            return text_split(example.source) == "test"
        return all(text_split(text) == "train" for text in (example.source, example.rewrite, example.target))

    def task(self, index: int, rewriting: bool = False) -> Task | None:
        """Example `index` with its tests; None where the tests can't tell C_src from C_tgt or leave nothing to keep.

        With `rewriting` the task is stage 1's: no instruction, and U_sem is everything C_src does.
        """
        example = self.example(index)
        calls = self.calls(index, example, rewriting)
        before = reference.outcomes(example.source, example.entry, calls)
        after = before if rewriting else reference.outcomes(example.target, example.entry, calls)
        ended = [(Case(c, a), a == b) for c, b, a in zip(calls, before, after, strict=True) if a and not a.error]
        preserve, edit = ([case for case, same in ended if same is wanted] for wanted in (True, False))
        if not preserve or (not rewriting and not edit):
            return None
        most = 2 * MAX_CASES if rewriting else MAX_CASES
        return Task(
            id=f"{'rewrite' if rewriting else 'edit'}/{self.split}/{self.seed}/{index}",
            source=Program(PYTHON, example.source),
            preserve=Tests(example.entry, tuple(_spread(preserve, most))),
            edit=Tests(example.entry, tuple(_spread(edit, MAX_CASES))),
            instruction="" if rewriting else example.instruction,
            split=self.split,
            tags={
                "family": example.family,
                "kind": example.kind,
                "rewrite": example.rewrite,
                "perturbed": example.perturbed,
            },
            solution=Program(PYTHON, example.rewrite if rewriting else example.target),
        )

    def calls(self, index: int, example: Example, rewriting: bool) -> list[Any]:
        """Calls of an example's function, in wire form: different ones, then one of an empty input, where there is one,
        which may stand among the others already.

        index, example: as `example(index)`. rewriting: whether they are for stage 1.
        """
        kind = ALL_FAMILIES[example.family].inputs
        rng = Random(stable_hash(f"{self.identity}:{index}:tests"))
        calls: list[Any] = []
        for _ in range(DRAWN_CALLS):
            args = grammar.sample_inputs(kind, rng)
            if example.kind == "parameter" and rng.random() < 0.5 and not rewriting:
                args = (*args, rng.randint(0, 9))
            wire = encode(args)
            if wire not in calls:
                calls.append(wire)
        if kind in grammar.EMPTY_INPUTS:
            calls.append(encode((grammar.EMPTY_INPUTS[kind],)))
        return calls

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
