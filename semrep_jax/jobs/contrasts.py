"""Everything in a study that is compared: arms with each other, stage 1 and C_rep on and off, settings with the main
one. Paired by seed and by task, with an interval over both (`evaluate.study`).

Of cells that are missing nothing is supposed: a comparison takes the seeds that both of its sides have, and says how
many those are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from semrep_jax.evaluate.study import Compared, compared, holm
from semrep_jax.inference.turns import TURNS
from semrep_jax.jobs.finished import Study
from semrep_jax.train.arms import ARMS, BASE, GUIDED

OF_CONTRASTS = ((1, 1), (2, 2), (2, 1))  # turns, ours and theirs


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


@dataclass(frozen=True)
class Change:
    """What an arm gains on one axis by another setting than the main one, at 1 or 2 turns.

    p_holm: corrected over the settings and axes of this arm and these turns.
    """

    setting: str
    main: str
    arm: str
    turns: int
    axis: str
    found: Compared
    p_holm: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "setting": self.setting,
            "main": self.main,
            "arm": self.arm,
            "turns": self.turns,
            "axis": self.axis,
            **self.found.to_json(),
            "p_holm": float(f"{self.p_holm:.3g}"),
        }


def contrasts(study: Study) -> Iterator[Contrast]:
    """Every pair of arms in every setting, on every axis, with Holm's correction over the axes."""
    primary = study.config.sweep.primary
    for setting in study.config.sweep.settings:
        for ours, theirs in _pairs(study):
            if not study.first(ours, theirs, setting=setting.name):
                continue
            seeds = [s for s in study.seeds(ours, setting.name) if s in study.seeds(theirs, setting.name)]
            for turns in _turns(study, ours, theirs) if seeds else ():
                found = {
                    axis: _difference(study, setting.name, (ours, theirs), turns, axis, seeds) for axis in study.axes
                }
                corrected = holm({axis: one.p for axis, one in found.items()})
                for axis, one in found.items():
                    yield Contrast(
                        setting.name,
                        ours,
                        theirs,
                        turns,
                        axis,
                        one,
                        corrected[axis],
                        primary=setting is study.config.sweep.settings[0]
                        and (axis, ours, theirs) == (primary.metric, primary.ours, primary.theirs)
                        and turns == (primary.our_turns, primary.their_turns),
                    )


def _turns(study: Study, ours: str, theirs: str) -> tuple[tuple[int, int], ...]:
    """The turns, ours and theirs, that two arms are compared at; the primary contrast's among them."""
    primary = study.config.sweep.primary
    asked = (primary.our_turns, primary.their_turns)
    found = OF_CONTRASTS[: 2 if theirs == BASE else 3]
    return found if (ours, theirs) != (primary.ours, primary.theirs) or asked in found else (*found, asked)


def _pairs(study: Study) -> list[tuple[str, str]]:
    """Every arm against the one that the primary contrast names, and against the base; its own arm against guided."""
    sweep = study.config.sweep
    ours, theirs = sweep.primary.ours, sweep.primary.theirs
    pairs = [(ours, theirs), *((arm, theirs) for arm in sweep.arms if arm not in (ours, theirs))]
    pairs += [(ours, GUIDED)] if GUIDED in sweep.arms and GUIDED not in (ours, theirs) else []
    return pairs + [(arm, BASE) for arm in sweep.arms]


def _difference(
    study: Study, setting: str, arms: tuple[str, str], turns: tuple[int, int], axis: str, seeds: Sequence[int]
) -> Compared:
    ours, theirs = (study.values(arm, setting, f"{axis}/T{t}", seeds) for arm, t in zip(arms, turns, strict=True))
    return compared(ours - theirs, within=(-1, 1))


def factorials(study: Study) -> Iterator[Factorial]:
    """{stage 1 off, on} x {C_rep at inference off, on}, the paper's ablation: off is fine-tuning, and guided too. Of an
    arm without stage 1 there is none."""
    sweep = study.config.sweep
    on = sweep.primary.ours
    for setting, off in product(sweep.settings, (sweep.primary.theirs, GUIDED)):
        apart = ARMS[on].has_stage_1 and off in sweep.arms and not ARMS[off].has_stage_1
        if not apart or not study.first(on, off, setting=setting.name):
            continue
        seeds = [s for s in study.seeds(on, setting.name) if s in study.seeds(off, setting.name)]
        for axis in study.axes if seeds else ():
            cells = {
                (arm, turns): study.values(arm, setting.name, f"{axis}/T{turns}", seeds)
                for arm in (off, on)
                for turns in TURNS
            }
            yield Factorial(
                setting.name,
                off,
                on,
                axis,
                {(int(arm == on), turns - 1): float(values.mean()) for (arm, turns), values in cells.items()},
                stage_1=compared((cells[on, 1] + cells[on, 2] - cells[off, 1] - cells[off, 2]) / 2),
                c_rep=compared((cells[on, 2] + cells[off, 2] - cells[on, 1] - cells[off, 1]) / 2),
                interaction=compared(cells[on, 2] - cells[on, 1] - cells[off, 2] + cells[off, 1]),
            )


def changes(study: Study) -> Iterator[Change]:
    """Every arm in each further setting against itself in the main one, where both were measured on the same tasks."""
    main, *further = [setting.name for setting in study.config.sweep.settings]
    for arm, turns in product((BASE, *study.config.sweep.arms), TURNS):
        found = {}
        for setting in further:
            if not study.first(arm, setting=setting) or not study.same_tasks(arm, main, setting):
                continue
            seeds = [s for s in study.seeds(arm, setting) if s in study.seeds(arm, main)]
            seeds = seeds[:1] if arm == BASE else seeds
            for axis in study.axes if seeds else ():
                there, here = (study.values(arm, name, f"{axis}/T{turns}", seeds) for name in (setting, main))
                found[setting, axis] = compared(there - here, within=(-1, 1))
        corrected = holm({key: one.p for key, one in found.items()})
        for (setting, axis), one in found.items():
            yield Change(setting, main, arm, turns, axis, one, corrected[setting, axis])
