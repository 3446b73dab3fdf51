"""A plot as data, and how it is drawn: lines with bands, or areas that add up; as themed SVG, or several as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

from semrep_jax.report.svg import ON_PAPER, THEMED, Paint, new_figure, to_png, to_svg

MOST_POINTS = 400  # of a line; more are thinned out
THOUSANDS = 10_000  # from here on an axis says 20k for 20000


@dataclass(frozen=True)
class Series:
    """A line of a panel.

    name: in the legend. colour: of `svg.PALETTE`. xs, ys: [points]. low, high: [points], the band around it. dots: (xs,
    ys) behind it. dashed: how it is drawn.
    """

    name: str
    colour: str
    xs: np.ndarray
    ys: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    dots: tuple[np.ndarray, np.ndarray] | None = None
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """One plot.

    title: what is drawn. x_label: against what. series: the lines; of a `stacked` panel the areas, shares of 1 from
    below. marks: (x, colour) of upright lines.
    """

    title: str
    x_label: str
    series: tuple[Series, ...]
    marks: tuple[tuple[float, str], ...] = ()
    stacked: bool = False

    def svg(self) -> str:
        """The panel for a page; its title and its legend are the page's matter."""
        figure, (axis,) = new_figure(THEMED)
        _draw(axis, self, THEMED)
        return to_svg(figure, f"{self.title}, against {self.x_label}: {', '.join(self.names)}")

    @property
    def names(self) -> list[str]:
        """What a legend names, without repetition."""
        return list(dict.fromkeys(one.name for one in self.series))

    @property
    def legend(self) -> list[tuple[str, str, str]]:
        """(name, colour, "line", "dashed" or "area") of what is drawn."""
        return [
            (one.name, one.colour, "area" if self.stacked else "dashed" if one.dashed else "line")
            for one in self.series
        ]


def png(panels: Sequence[Panel]) -> bytes:
    """Panels in a row, with titles and legends, as a picture of the light theme."""
    figure, axes = new_figure(ON_PAPER, 3.4, len(panels))
    for axis, panel in zip(axes, panels, strict=True):
        _draw(axis, panel, ON_PAPER)
        axis.set_title(panel.title, fontsize=10, color=ON_PAPER["ink"])
        axis.legend(fontsize=7)
    return to_png(figure)


def _draw(axis: Axes, panel: Panel, paint: Paint) -> None:
    if panel.stacked:
        _areas(axis, panel, paint)
    else:
        for series in panel.series:
            _line(axis, _thinned(series), paint)
    for x, colour in panel.marks:
        axis.axvline(x, color=paint[colour], lw=0.9, ls=":")
    points = np.concatenate([series.xs for series in panel.series])
    if not panel.stacked and points.min() == points.max():  # one step: from the beginning to the next one
        axis.set_xlim(min(0.0, points[0]), points[0] + 1)
    axis.set_xlabel(panel.x_label)
    whole = all(np.array_equal(series.xs, np.round(series.xs)) for series in panel.series)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=whole))
    axis.yaxis.set_major_locator(MaxNLocator(5))
    for side in (axis.xaxis, axis.yaxis):
        if max(map(abs, side.get_view_interval())) >= THOUSANDS:
            side.set_major_formatter(EngFormatter(sep=""))


def _line(axis: Axes, series: Series, paint: Paint) -> None:
    colour = paint[series.colour]
    if series.dots is not None:
        axis.plot(*series.dots, ".", color=colour, alpha=0.35, markersize=4)
    if series.low is not None and series.high is not None:
        axis.fill_between(series.xs, series.low, series.high, color=colour, alpha=0.16, lw=0)
    style, marker = "--" if series.dashed else "-", "o" if len(series.xs) == 1 else None
    axis.plot(series.xs, series.ys, style, color=colour, lw=1.6, marker=marker, label=series.name)


def _areas(axis: Axes, panel: Panel, paint: Paint) -> None:
    thinned = [_thinned(one) for one in panel.series]
    xs = thinned[0].xs
    if len(xs) == 1:  # one step is drawn as wide as a step is
        xs = np.array([xs[0] - 0.5, xs[0] + 0.5])
        thinned = [replace(one, ys=np.repeat(one.ys, 2)) for one in thinned]
    colours = [paint[one.colour] for one in thinned]
    axis.stackplot(xs, [one.ys for one in thinned], colors=colours, labels=[one.name for one in thinned], lw=0)
    axis.set_xlim(xs[0], xs[-1])
    axis.set_ylim(0, 1)


def _thinned(series: Series) -> Series:
    step = -(-len(series.xs) // MOST_POINTS)
    if step <= 1:
        return series
    kept = np.unique([*range(0, len(series.xs), step), len(series.xs) - 1])
    low, high = (None if edge is None else edge[kept] for edge in (series.low, series.high))
    return replace(series, xs=series.xs[kept], ys=series.ys[kept], low=low, high=high, dots=None)
