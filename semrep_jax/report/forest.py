"""Differences with their intervals, as a study found them: a row for each arm or setting, a whisker for each way of
editing.

    of_arms(results)          # a plot for each axis: every arm minus the one that the study compares with
    of_settings(results)      # a plot for each arm and axis: every setting minus the main one
    png(of_arms(results))     # side by side, as a picture
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from semrep_jax.report.labels import label
from semrep_jax.report.svg import ON_PAPER, THEMED, Paint, new_figure, to_png, to_svg

WAYS = {1: ("directly (T=1)", "finetune", "o"), 2: ("a rewrite first (T=2)", "semrep", "D")}  # words, colour, marker
ROW, AROUND = 0.34, 0.75  # inches: a row, and what is above and below all of them
APART = 0.13  # of a row: from its middle to a whisker
NAMES = 0.34  # of a figure's width
Results = Mapping[str, Any]


@dataclass(frozen=True)
class Forest:
    """One plot.

    title: what is compared, on what. x_label: what the numbers are. rows: by name, the difference for each number of
    turns: {"value", "low", "high"}.
    """

    title: str
    x_label: str
    rows: Mapping[str, Mapping[int, Results]]

    def svg(self) -> str:
        """The plot for a page; its title and its legend are the page's matter."""
        figure, (axis,) = new_figure(THEMED, self.height)
        figure.subplots_adjust(left=NAMES, bottom=0.5 / self.height, top=1 - 0.1 / self.height)
        _draw(axis, self, THEMED)
        return to_svg(figure, f"{self.title}, {self.x_label}: {', '.join(self.rows)}")

    @property
    def height(self) -> float:
        """In inches."""
        return AROUND + ROW * len(self.rows)

    @property
    def legend(self) -> list[tuple[str, str, str]]:
        """(name, colour, kind) of what is drawn."""
        shown = {turns for row in self.rows.values() for turns in row}
        return [(words, colour, "line") for turns, (words, colour, _) in WAYS.items() if turns in shown]


def of_arms(results: Results) -> list[Forest]:
    """A plot for each axis: what every arm gains on the arm that the study compares with, which edits directly."""
    theirs = dict(enumerate(results.get("compared", ()))).get(1)
    several = len({one["setting"] for one in results.get("contrasts", ())}) > 1
    rows: dict[str, dict[str, dict[int, Results]]] = {}
    for one in results.get("contrasts", ()):
        ours, against = one["turns"]
        if one["theirs"] == theirs and against == 1:
            name = label(f"{one['ours']}/{one['setting']}" if several else one["ours"])
            rows.setdefault(one["axis"], {}).setdefault(name, {})[ours] = one
    words = f"share right, minus {label(theirs or '')} directly"
    return [Forest(_title(results, axis), words, of_axis) for axis, of_axis in rows.items()]


def of_settings(results: Results) -> list[Forest]:
    """A plot for each arm and axis: what the arm gains by every setting on itself in the main one."""
    rows: dict[tuple[str, str], dict[str, dict[int, Results]]] = {}
    for one in results.get("changes", ()):
        rows.setdefault((one["arm"], one["axis"]), {}).setdefault(one["setting"], {})[one["turns"]] = one
    main = next((one["main"] for one in results.get("changes", ())), "")
    return [
        Forest(f"{label(arm)}: {_title(results, axis)}", f"share right, minus setting {main}", of_arm)
        for (arm, axis), of_arm in rows.items()
    ]


def _title(results: Results, axis: str) -> str:
    """How a person calls an axis."""
    titles = {row["metric"]: row["title"].rsplit(",", 1)[0] for row in results.get("rows", ())}
    return str(titles.get(f"{axis}/T1", axis))


def png(forests: Sequence[Forest]) -> bytes:
    """Plots of the same rows, two beside each other on one scale, as a picture of the light theme."""
    columns = min(len(forests), 2)
    figure, axes = new_figure(ON_PAPER, max(one.height for one in forests) + 0.2, columns, -(-len(forests) // columns))
    for axis in axes[1:]:
        axis.sharex(axes[0])
    for axis, forest in zip(axes, forests, strict=False):
        _draw(axis, forest, ON_PAPER)
        axis.set_title(forest.title, fontsize=10, color=ON_PAPER["ink"])
        axis.tick_params(axis="y", labelleft=axis in axes[::columns])
    for axis in axes[len(forests) :]:
        axis.set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=9, loc="outside lower center", ncols=len(WAYS))
    return to_png(figure)


def _draw(axis: Axes, forest: Forest, paint: Paint) -> None:
    axis.axvline(0, color=paint["ink"], lw=0.9)
    for turns, (words, colour, marker) in WAYS.items():
        shown = [(at, row[turns]) for at, row in enumerate(forest.rows.values()) if turns in row]
        if shown:
            ends = [[abs(one["value"] - one[end]) for _, one in shown] for end in ("low", "high")]
            axis.errorbar(
                [one["value"] for _, one in shown],
                [at + (APART if turns > 1 else -APART) for at, _ in shown],
                xerr=ends,
                fmt=marker,
                color=paint[colour],
                markersize=4.5,
                lw=1.6,
                label=words,
            )
    axis.set_yticks(range(len(forest.rows)), list(forest.rows))
    axis.set_ylim(len(forest.rows) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")
    axis.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axis.xaxis.set_major_formatter(FuncFormatter(_signed))
    axis.set_xlabel(forest.x_label)


def _signed(value: float, _: int) -> str:
    return f"{value:+.3g}".replace("-", "−") if abs(value) > 1e-9 else "0"
