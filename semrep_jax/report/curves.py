"""Training curves and held-out curves as panels: arms of one run, seeds of one config with bands, configs beside each
other.

    panels(sources, TRAINING, STEPS)         # a panel for every metric that the rows hold
    held_out(sources, titles, TOKENS)        # a panel for every suite of curve.jsonl
    rejections("SemRep", counts)             # a panel of areas: why rollouts were rejected
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semrep_jax.report.bands import Band, around, over_seeds, window
from semrep_jax.report.panels import Panel, Series
from semrep_jax.report.reading import Row
from semrep_jax.report.reasons import REASONS

REWRITE = "rewrite"  # the stage that is drawn dashed
STEPS, TOKENS = "optimiser steps of B", "tokens sampled"
TRAINING = (
    ("reward", "mean reward (of the stage)"),
    ("correct", "share of rollouts correct"),
    ("total_tokens", "tokens sampled so far"),
)
AGAINST_TOKENS = (("reward", "mean reward, by tokens"), ("correct", "share correct, by tokens"))
SUPERVISED = (("loss", "loss"), ("tokens_per_s", "tokens a second"))
DIAGNOSTICS = (
    *SUPERVISED,
    ("solved", "share of tasks with a correct rollout"),
    ("kept_groups", "share of groups that teach"),
    ("entropy", "entropy (nats a token)"),
    ("grad_norm", "norm of the gradient"),
    ("mismatch_mean", "|log-prob of trainer − of sampler|, mean"),
    ("clipped_high", "share of tokens clipped from above"),
    ("kl", "KL to the base (nats a token)"),
    ("length", "tokens of a completion"),
    ("truncated", "share of completions cut short"),
    ("rewrites_accepted", "share of prompts with an accepted rewrite"),
    ("times/step", "seconds a step"),
    ("mfu", "model FLOPs utilisation"),
)
_CUMULATIVE = ("total_tokens",)
MOST_DOTS = 300


@dataclass(frozen=True)
class Source:
    """What makes one line.

    name: in the legend. colour: of `svg.PALETTE`. seeds: rows of each seed; one for a single run.
    """

    name: str
    colour: str
    seeds: Sequence[Sequence[Row]]


def panels(sources: Sequence[Source], metrics: Sequence[tuple[str, str]], against: str = STEPS) -> list[Panel]:
    """A panel for each metric that any row holds.

    sources: a line each, of rows of metrics.jsonl. metrics: key and title. against: STEPS or TOKENS.
    """
    found = []
    for key, title in metrics:
        series = [line for source in sources for line in _lines(source, key, against)]
        if series:
            marks = tuple(mark for source in sources for mark in _boundary(source, against))
            found.append(Panel(title, against, tuple(series), marks))
    return found


def _lines(source: Source, key: str, against: str) -> list[Series]:
    """A line for each stage."""
    seeds = [_numbers(rows, key) for rows in _common(source.seeds)]
    if not seeds or not np.isfinite(seeds).any():
        return []
    rows = source.seeds[0][: len(seeds[0])]
    xs = _x(source, against, len(rows))
    if key in _CUMULATIVE:
        return [_series(source.name, source, xs, over_seeds(np.array(seeds)))]
    stages = np.array([row.get("stage", "") for row in rows])
    return [_of_stage(source, stage, xs, seeds, stages == stage) for stage in dict.fromkeys(stages)]


def _of_stage(source: Source, stage: str, xs: np.ndarray, seeds: list[np.ndarray], picked: np.ndarray) -> Series:
    width = window(len(xs))
    each = [around(values[picked], width) for values in seeds]
    band = each[0] if len(each) == 1 else over_seeds(np.array([one.middle for one in each]))
    if np.nanmin(seeds) >= 0 and np.nanmax(seeds) <= 1 and band.low is not None and band.high is not None:  # shares
        band = Band(band.middle, band.low.clip(0, 1), band.high.clip(0, 1))
    name = f"{source.name}, stage 1" if stage == REWRITE else source.name
    dots = (xs[picked], seeds[0][picked]) if len(seeds) == 1 and len(xs) <= MOST_DOTS else None
    return _series(name, source, xs[picked], band, dots, stage == REWRITE)


def _series(
    name: str,
    source: Source,
    xs: np.ndarray,
    band: Band,
    dots: tuple[np.ndarray, np.ndarray] | None = None,
    dashed: bool = False,
) -> Series:
    return Series(name, source.colour, xs, band.middle, band.low, band.high, dots, dashed)


def _common(seeds: Sequence[Sequence[Row]]) -> list[Sequence[Row]]:
    """The steps that all seeds have taken."""
    shortest = min((len(rows) for rows in seeds), default=0)
    return [rows[:shortest] for rows in seeds] if shortest else []


def _numbers(rows: Sequence[Row], key: str) -> np.ndarray:
    """[rows], NaN where there is no number."""
    values = [row.get(key) for row in rows]
    return np.array([float(value) if isinstance(value, (int, float)) else np.nan for value in values])


def _x(source: Source, against: str, points: int) -> np.ndarray:
    """Where the rows stand, [points]: the mean over seeds, for seeds differ in tokens."""
    if against == STEPS:
        return np.array([row["step"] + 1 for row in source.seeds[0][:points]], float)
    return np.mean([_numbers(rows[:points], "total_tokens") for rows in source.seeds], axis=0)


def _boundary(source: Source, against: str) -> list[tuple[float, str]]:
    """Where stage 1 ends, if it does."""
    rows = source.seeds[0] if source.seeds else ()
    last = max((i for i, row in enumerate(rows) if row.get("stage") == REWRITE), default=None)
    if last is None or last + 1 == len(rows):
        return []
    shift = 0.5 if against == STEPS else 0.0
    return [(float(_x(source, against, last + 1)[last]) + shift, source.colour)]


def held_out(sources: Sequence[Source], titles: Mapping[str, str], against: str = STEPS) -> list[Panel]:
    """A panel for each suite that was measured while training: a line for each arm at T=1, a dashed one at T=2.

    sources: of rows of curve.jsonl. titles: of suites, by name. against: STEPS or TOKENS. A single run's band is the
    interval over tasks that its rows hold, several seeds' the interval over seeds.
    """
    rows = [row for source in sources for seed in source.seeds for row in seed]
    found = []
    for suite in dict.fromkeys(row["suite"] for row in rows):
        turns = sorted({row["turns"] for row in rows if row["suite"] == suite})
        lines = [line for source in sources for t in turns if (line := _measured(source, suite, t, against))]
        how = "" if against == STEPS else ", by tokens"
        found.append(Panel(f"{titles.get(suite, suite)}{how}", against, tuple(lines)))
    return found


def _measured(source: Source, suite: str, turns: int, against: str) -> Series | None:
    seeds = [
        sorted((row for row in seed if row["suite"] == suite and row["turns"] == turns), key=lambda row: row["step"])
        for seed in source.seeds
    ]
    picked = _common(seeds)
    if not picked:
        return None
    key = "step" if against == STEPS else "tokens"
    xs = np.mean([_numbers(rows, key) for rows in picked], axis=0)
    if len(picked) == 1:
        band = Band(*(_numbers(picked[0], edge) for edge in ("value", "low", "high")))
    else:
        band = over_seeds(np.array([_numbers(rows, "value") for rows in picked]))
    dots = (xs, band.middle)
    return _series(f"{source.name}, T={turns}", source, xs, band, dots, turns > 1)


def rejections(title: str, counts: Mapping[int, Mapping[str, float]]) -> Panel:
    """Shares of rollouts by reason, as areas: a running mean over steps, of the reasons that occur.

    counts: of each step, by reason (`reasons.for_steps`).
    """
    steps = sorted(counts)
    totals = np.array([sum(counts[step].values()) for step in steps], float)
    series = []
    for name, words in REASONS.items():
        values = np.array([counts[step].get(name, 0.0) for step in steps]) / totals
        if values.any():
            smooth = around(values, window(len(steps))).middle
            series.append(Series(words, name, np.array(steps, float) + 1, smooth))
    return Panel(title, STEPS, tuple(series), stacked=True)
