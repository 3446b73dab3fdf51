"""matplotlib figures as inline SVG that takes its colours from the page: one picture for the light and the dark theme.

    figure, (axis,) = new_figure(THEMED)
    axis.plot(xs, ys, color=THEMED["semrep"])
    to_svg(figure, "reward of SemRep")           # ... stroke: var(--semrep) ..., no width, no height, text as text

A `Paint` gives a colour for every name of PALETTE. THEMED's stand for the names: in the SVG each becomes a CSS
variable, whose two values `css_variables` gives to the page. ON_PAPER's are those of the light theme, for a PNG.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Name: (light theme, dark theme). Arms, further arms, why samples were rejected, and the page's own.
PALETTE = {
    "base": ("#68727f", "#a3adba"),
    "semrep": ("#1f6fb2", "#6cb6ff"),
    "finetune": ("#c2571a", "#f69d50"),
    "other0": ("#2a7d4f", "#57c58a"),
    "other1": ("#8b46b5", "#c99bf0"),
    "other2": ("#b23a6f", "#f284b3"),
    "other3": ("#6b6d00", "#c8c94a"),
    "other4": ("#00798c", "#4fd0e0"),
    "other5": ("#7a4f2b", "#d3a47a"),
    "accepted": ("#4c9f70", "#4f9d72"),
    "failing": ("#d9534f", "#c9504c"),
    "duplicate": ("#e3b341", "#c79a2e"),
    "compile": ("#8b6bb8", "#9375c2"),
    "format": ("#7b8fa6", "#6d8199"),
    "timeout": ("#c77c3c", "#b9702f"),
    "hack": ("#c2378c", "#cf4a9b"),
    "unknown": ("#b9c0c8", "#4b5563"),
    "ink": ("#1c2430", "#e3e9f0"),
    "dim": ("#5b6675", "#9aa7b5"),
    "line": ("#d8dee6", "#353f4b"),
    "paper": ("#ffffff", "#12171d"),
}
Paint = Mapping[str, str]  # what to draw with for a name of PALETTE
# Stand for the names until the SVG is written; nothing else is drawn in such a colour.
THEMED: Paint = {name: f"#fe{number:02x}01" for number, name in enumerate(PALETTE)}
ON_PAPER: Paint = {name: light for name, (light, _) in PALETTE.items()}
MARGINS = {"left": 0.13, "right": 0.98, "bottom": 0.18, "top": 0.95}
WIDTH, HEIGHT = 4.2, 2.6  # inches: at 400 pixels wide 9-point text is 12 pixels high


def css_variables() -> str:
    """The page's definition of every colour."""
    return "".join(f"--{name}: light-dark({light}, {dark}); " for name, (light, dark) in PALETTE.items())


def new_figure(paint: Paint, height: float = HEIGHT, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of axes in columns and rows, each row `height` inches high; the axes row by row.

    paint: the colours, as variables of the page's style.
    """
    figure = Figure(figsize=(WIDTH * columns, height * rows))
    if columns == rows == 1:
        figure.subplots_adjust(**MARGINS)  # all plots of a page alike, in half the time that a layout takes
    else:
        figure.set_layout_engine("constrained")
    return figure, [_styled(axis, paint) for axis in figure.subplots(rows, columns, squeeze=False).flat]


def _styled(axis: Axes, paint: Paint) -> Axes:
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(paint["line"])
    axis.tick_params(labelsize=9, color=paint["line"], labelcolor=paint["dim"])
    axis.grid(color=paint["line"], linewidth=0.6)
    axis.set_axisbelow(True)
    for text in (axis.xaxis.label, axis.yaxis.label):
        text.set_color(paint["dim"])
        text.set_fontsize(9)
    return axis


def to_svg(figure: Figure, alt: str) -> str:
    """The figure as text to put into a page.

    alt: what it shows, for who can't see it; no two of a page are the same, for ids are made of it.
    """
    buffer = io.StringIO()
    figure.patch.set_visible(False)
    for axis in figure.axes:
        axis.patch.set_visible(False)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": alt, "path.simplify": True}):
        FigureCanvasSVG(figure).print_svg(
            buffer, metadata={"Date": None, "Creator": None, "Type": None, "Format": None}
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", text, flags=re.S)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    view = re.search(r'viewBox="([^"]+)"', text)
    assert view is not None
    text = re.sub(r"<svg\b[^>]*>", f'<svg viewBox="{view[1]}" role="img" aria-label="{_quoted(alt)}">', text, count=1)
    text = re.sub(r"font(-family)?: ([^;\"]*?)'?DejaVu Sans'?[^;\"]*", _sans, text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'="[^"]*"', _rounded, text)
    text = re.sub(r"\n\s+", "\n", text)
    for name, stand_in in THEMED.items():
        text = text.replace(stand_in, f"var(--{name})")
    return text


def _rounded(attribute: re.Match[str]) -> str:
    """Coordinates need no more than two digits; what is written on an axis stays as it is."""
    return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", attribute[0])


def _sans(match: re.Match[str]) -> str:
    return f"font{match[1] or ''}: {match[2]}system-ui, sans-serif"


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def to_png(figure: Figure) -> bytes:
    """The figure as a picture; drawn ON_PAPER."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, dpi=110, format="png")
    return buffer.getvalue()
