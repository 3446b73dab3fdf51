"""Training curves as a PNG: the arms of a comparison on one budget axis, or a warm start's loss."""

from __future__ import annotations

import io
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from semrep_jax.report.labels import COLOURS, label

Curves = dict[str, list[dict[str, Any]]]  # rows of metrics.jsonl by arm
REWRITE = "rewrite"  # the stage drawn dashed
PANELS = (
    ("reward", "mean reward (of the stage)"),
    ("correct", "share of rollouts correct"),
    ("total_tokens", "tokens sampled so far"),
    ("loss", "loss"),
    ("tokens_per_s", "tokens a second"),
)
MOST_PANELS = 3
KEPT = 0.7  # of the running mean, at every step


def curves_png(curves: Curves) -> bytes | None:
    """A row of panels of what the rows hold; None where they hold nothing that has a panel."""
    held = {key for rows in curves.values() for key in rows[0]}
    panels = [panel for panel in PANELS if panel[0] in held][:MOST_PANELS]
    if not panels:
        return None
    figure, axes = plt.subplots(1, len(panels), figsize=(4.3 * len(panels), 3.6), layout="constrained", squeeze=False)
    for axis, (key, title) in zip(axes[0], panels, strict=True):
        for arm, rows in curves.items():
            _draw(axis, arm, rows, key)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("optimiser steps")
        axis.grid(alpha=0.2)
        axis.legend(fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return buffer.getvalue()


def _draw(axis: Any, arm: str, rows: list[dict[str, Any]], key: str) -> None:
    """One arm in one panel: a dot a step, a running mean for each stage, a line where stage 1 ends."""
    steps, values = [row["step"] + 1 for row in rows], [row[key] for row in rows]
    colour, stages = COLOURS.get(arm, "black"), [row.get("stage", "") for row in rows]
    if key == "total_tokens":
        axis.plot(steps, values, color=colour, label=label(arm))
    else:
        axis.plot(steps, values, ".", color=colour, alpha=0.3)
        for stage in dict.fromkeys(stages):
            picked = [i for i, s in enumerate(stages) if s == stage]
            named = f"{label(arm)}: {stage}" if stage else label(arm)
            style = "--" if stage == REWRITE else "-"
            axis.plot(
                [steps[i] for i in picked], _smooth([values[i] for i in picked]), style, color=colour, label=named
            )
    last = [step for step, stage in zip(steps, stages, strict=True) if stage == REWRITE]
    if last and last[-1] < len(rows):
        axis.axvline(last[-1] + 0.5, color=colour, lw=0.8, ls=":")


def _smooth(values: list[float]) -> list[float]:
    out: list[float] = []
    for value in values:
        out.append(value if not out else KEPT * out[-1] + (1 - KEPT) * value)
    return out
