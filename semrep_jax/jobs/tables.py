"""What a study found, as tables of texts: contrasts, the factorial, what each arm cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semrep_jax.core.results import Estimate, Table
from semrep_jax.evaluate.study import Compared
from semrep_jax.report.labels import label

BASE = "base"


@dataclass(frozen=True)
class Contrast:
    """Two arms in one setting on one axis.

    turns: ours and theirs. p_holm: corrected over the axes of this pair and these turns. primary: whether it is the one
    that the study is about.
    """

    setting: str
    ours: str
    theirs: str
    turns: tuple[int, int]
    axis: str
    found: Compared
    p_holm: float
    primary: bool

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "setting": self.setting,
            "ours": self.ours,
            "theirs": self.theirs,
            "turns": list(self.turns),
            "axis": self.axis,
            **self.found.to_json(),
            "p_holm": float(f"{self.p_holm:.3g}"),
            "primary": self.primary,
        }


@dataclass(frozen=True)
class Factorial:
    """{stage 1 off, on} x {C_rep at inference off, on} on one axis.

    off, on: the arms. means: share correct by (stage 1, C_rep), each 0 or 1. stage_1, c_rep: the main effects.
    interaction: how much more C_rep helps after stage 1.
    """

    setting: str
    off: str
    on: str
    axis: str
    means: Mapping[tuple[int, int], float]
    stage_1: Compared
    c_rep: Compared
    interaction: Compared

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "setting": self.setting,
            "off": self.off,
            "on": self.on,
            "axis": self.axis,
            "means": {f"{stage_1}{c_rep}": round(mean, 6) for (stage_1, c_rep), mean in self.means.items()},
            "stage_1": self.stage_1.to_json(),
            "c_rep": self.c_rep.to_json(),
            "interaction": self.interaction.to_json(),
        }


def turns_of(turns: tuple[int, int]) -> str:
    """How results call a pair of turns, ours and theirs."""
    ours, theirs = turns
    return f"T{ours}" if ours == theirs else f"T{ours} against T{theirs}"


def _signed(one: Compared, p: float | None = None) -> str:
    e = one.estimate
    tail = "" if p is None else f" p={p:.2g}"
    return f"{e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]{tail}"


def of_contrasts(contrasts: Sequence[Contrast]) -> list[Table]:
    """A table for each pair of arms in each setting: a row an axis, a column for the turns that are compared."""
    found = []
    groups: dict[tuple[str, str, str], list[Contrast]] = {}
    for one in contrasts:
        groups.setdefault((one.setting, one.ours, one.theirs), []).append(one)
    for (setting, ours, theirs), of_pair in groups.items():
        turns = list(dict.fromkeys(one.turns for one in of_pair))
        rows = []
        for axis in dict.fromkeys(one.axis for one in of_pair):
            of_axis = {one.turns: one for one in of_pair if one.axis == axis}
            marks = [" *" if of_axis[t].primary else "" for t in turns]
            cells = [_signed(of_axis[t].found, of_axis[t].p_holm) + m for t, m in zip(turns, marks, strict=True)]
            rows.append((axis, *cells))
        seeds = of_pair[0].found.seeds
        title = f"{label(ours)} − {label(theirs)}, setting {setting}, {seeds} seed{'s' * (seeds != 1)} (* primary)"
        found.append(Table(title, ("axis", *map(turns_of, turns)), tuple(rows)))
    return found


def of_factorials(factorials: Sequence[Factorial]) -> list[Table]:
    """A table for each pair of arms in each setting: the four means and the three effects of each axis."""
    groups: dict[tuple[str, str, str], list[Factorial]] = {}
    for one in factorials:
        groups.setdefault((one.setting, one.off, one.on), []).append(one)
    columns = ("axis", "neither", "C_rep only", "stage 1 only", "both", "stage 1", "C_rep", "interaction")
    found = []
    for (setting, off, on), of_pair in groups.items():
        rows = tuple(
            (
                one.axis,
                *(f"{one.means[cell]:.3f}" for cell in ((0, 0), (0, 1), (1, 0), (1, 1))),
                *map(_signed, (one.stage_1, one.c_rep, one.interaction)),
            )
            for one in of_pair
        )
        title = f"stage 1 ({label(off)}: off, {label(on)}: on) x C_rep at inference, setting {setting}"
        found.append(Table(title, columns, rows))
    return found


def of_tokens(axis: str, columns: Mapping[str, Mapping[str, Estimate]]) -> Table:
    """What each arm's training took, and what it gained on the base for it; a gain for each million tokens sampled in
    training. axis: on which."""
    bases = {name.partition("/")[2]: values for name, values in columns.items() if name.split("/")[0] == BASE}
    rows = []
    for name, values in columns.items():  # settings that make no difference to the base share the first one's
        base = bases.get(name.partition("/")[2], next(iter(bases.values()), {}))
        tokens = values["train_tokens"].value
        cells = [f"{tokens:,.0f}", f"{values['train_rollouts'].value:,.0f}", f"{values['train_seconds'].value:,.0f}"]
        for turns in (1, 2):
            key = f"{axis}/T{turns}"
            known = tokens and key in base and key in values
            gain = values[key].value - base[key].value if known else 0.0
            cells.append(f"{gain / tokens * 1e6:+.3f}" if known else "")
        rows.append((label(name), *cells))
    heads = ("tokens", "rollouts", "seconds", "gain a million tokens, T1", "T2")
    return Table(
        f"equal steps, not equal tokens: what training took, and gain on the base ({axis})",
        ("arm", *heads),
        tuple(rows),
    )


def of_equal_tokens(equal: Mapping[str, Any]) -> list[Table]:
    """The arms at the largest token count that all reached; none where there are no curves."""
    if not equal:
        return []
    points = equal["points"]
    keys = list(dict.fromkeys(key for of_column in points.values() for key in of_column))
    rows = []
    for name, of_column in points.items():
        cells = []
        for key in keys:
            if key not in of_column:
                cells.append("")
                continue
            values = of_column[key]["per_seed"]
            cells.append(f"{of_column[key]['value']:.3f} ({min(values):.3f} to {max(values):.3f})")
        one = next(iter(of_column.values()))
        rows.append((label(name), f"{one['step']:.0f}", f"{one['tokens']:,.0f}", *cells))
    title = f"equal tokens: held-out points at or before {equal['tokens']:,} tokens, mean over seeds (least to most)"
    return [Table(title, ("arm", "steps", "tokens", *keys), tuple(rows))]


def verdict(primary: Contrast | None, design: Mapping[str, Any]) -> str:
    """One sentence on the primary contrast, from its interval and nothing else."""
    if primary is None:
        return f"Nothing is known of the primary contrast yet. {design['statement']}"
    estimate = primary.found.estimate
    if estimate.low > 0:
        found = f"{label(primary.ours)} is ahead"
    elif estimate.high < 0:
        found = f"{label(primary.theirs)} is ahead"
    else:
        found = "neither is ahead: the 95 % interval includes zero"
    ours, theirs = primary.turns
    return (
        f"Primary contrast, {primary.axis}: {label(primary.ours)} T={ours} − {label(primary.theirs)} T={theirs} = "
        f"{_signed(primary.found)}, p = {primary.found.p:.2g}, {primary.found.seeds} of {len(design['seeds'])} seeds; "
        f"{found} (the design detects {design['detectable']:.3f} with {design['power']:.0%} power)."
    )
