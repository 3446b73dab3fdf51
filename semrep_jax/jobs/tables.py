"""What a study found, as tables of texts: contrasts, the factorial, what each arm cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semrep_jax.core.results import Estimate, Table
from semrep_jax.evaluate.study import Compared, told
from semrep_jax.jobs.contrasts import Change, Contrast, Factorial
from semrep_jax.report.labels import label
from semrep_jax.train.arms import BASE

ACCEPTED = "share of rewrites accepted at inference (T=2)"


def turns_of(turns: tuple[int, int]) -> str:
    """How results call a pair of turns, ours and theirs."""
    ours, theirs = turns
    return f"T{ours}" if ours == theirs else f"T{ours} against T{theirs}"


def _signed(one: Compared, p: float | None = None) -> str:
    return one.estimate.signed + ("" if p is None else f" p{told(p)}")


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


def of_changes(changes: Sequence[Change]) -> list[Table]:
    """A table for each arm: a row a setting, a column for each axis and turns."""
    found = []
    for arm in dict.fromkeys(one.arm for one in changes):
        of_arm = [one for one in changes if one.arm == arm]
        columns = list(dict.fromkeys((one.axis, one.turns) for one in of_arm))
        cells = {(one.setting, one.axis, one.turns): _signed(one.found, one.p_holm) for one in of_arm}
        rows = [
            (setting, *(cells.get((setting, *column), "") for column in columns))
            for setting in dict.fromkeys(one.setting for one in of_arm)
        ]
        seeds = of_arm[0].found.seeds
        over = "" if arm == BASE else f", {seeds} seed{'s' * (seeds != 1)}"
        title = f"{label(arm)}: each setting − {of_arm[0].main}{over}"
        found.append(Table(title, ("setting", *(f"{axis} T{turns}" for axis, turns in columns)), tuple(rows)))
    return found


def of_acceptance(suites: Mapping[str, str], columns: Mapping[str, Mapping[str, Estimate]]) -> Table:
    """The share of samples at T=2 whose rewrite was accepted: a row a suite, a column an arm.

    suites: by name, how a person calls them. columns: metrics of each arm.
    """
    keys = {f"{suite}_rewrites_accepted/T2": title for suite, title in suites.items()}
    known = {key: title for key, title in keys.items() if any(key in values for values in columns.values())}
    rows = [
        (title, *(f"{values[key].value:.3f}" if key in values else "" for values in columns.values()))
        for key, title in known.items()
    ]
    return Table(ACCEPTED, ("on", *map(label, columns)), tuple(rows))


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
        f"{_signed(primary.found)}, p{told(primary.found.p)}, {primary.found.seeds} of {len(design['seeds'])} seeds; "
        f"{found} (the design detects {design['detectable']:.3f} with {design['power']:.0%} power)."
    )
