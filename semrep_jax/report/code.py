"""Programs for a page: highlighted line by line, and versions of one aligned with it, line against line.

    lines("x = 1", "python")                             # [Markup('<span class="n">x</span> ...')]
    aligned(c_src, [edit_of_a, edit_of_b], "python")     # rows of cells: C_src, a, b
    unified(c_src, edit_of_a, "python")                  # the same as one column, for a phone

The classes of `lines` are Pygments'; `css` gives each its colour in the light and the dark theme.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

LIGHT, DARK = "xcode", "github-dark"
CONTEXT = 3  # lines around a change, in a unified view
SAME, CHANGED, ADDED, GONE, EMPTY = "same", "changed", "added", "gone", "empty"


@dataclass(frozen=True)
class Cell:
    """A line of one version. change: SAME, CHANGED, ADDED (in this version only), GONE (from it) or EMPTY (a line that
    another version has)."""

    code: Markup
    change: str


@lru_cache
def _lexer(language: str) -> Lexer:
    try:
        return get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return get_lexer_by_name("text", stripnl=False)


def lines(text: str, language: str) -> list[Markup]:
    """The highlighted lines of a program; `language` by its name, plain text where nobody knows it."""
    marked = highlight(text.replace("\r", ""), _lexer(language), HtmlFormatter(nowrap=True))
    return [Markup(line) for line in marked.removesuffix("\n").split("\n")]


def css() -> str:
    """Colours of the classes in both themes, below .code."""
    light, dark = get_style_by_name(LIGHT), get_style_by_name(DARK)
    rules = []
    for token, name in STANDARD_TYPES.items():
        a, b = light.style_for_token(token), dark.style_for_token(token)
        if name and (a["color"] or b["color"]):
            rules.append(f".code .{name}{{color:light-dark({_hex(a['color'])},{_hex(b['color'])})}}")
    return "\n".join(rules)


def _hex(colour: str | None) -> str:
    return f"#{colour}" if colour else "currentColor"


def aligned(source: str, versions: Sequence[str], language: str) -> Iterator[list[Cell]]:
    """Rows of cells, the source's first: a line stands beside the line of each version that it became, and what a
    version adds stands in rows of its own.

    source: a program's text. versions: texts that were made of it, a column each. language: what colours them.
    """
    marked, empty = lines(source, language), Cell(Markup(""), EMPTY)
    columns = [_Column(source, version, language) for version in versions]
    for index in range(len(marked) + 1):
        for extra in range(max((len(column.added[index]) for column in columns), default=0)):
            cells = [column.added[index][extra : extra + 1] for column in columns]
            yield [empty, *(cell[0] if cell else empty for cell in cells)]
        if index < len(marked):
            yield [Cell(marked[index], SAME), *(column.beside[index] for column in columns)]


class _Column:
    """A version against the source. beside: a cell for each of the source's lines. added: cells that stand before each
    of them, and behind the last."""

    def __init__(self, source: str, version: str, language: str):
        marked = lines(version, language)  # without an empty line behind the last newline
        old, new = source.split("\n")[: len(lines(source, language))], version.split("\n")[: len(marked)]
        self.beside = [Cell(Markup(""), GONE)] * len(old)
        self.added: list[list[Cell]] = [[] for _ in range(len(old) + 1)]
        for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            paired = min(b - a, d - c)
            for i in range(paired):
                self.beside[a + i] = Cell(marked[c + i], SAME if tag == "equal" else CHANGED)
            self.added[b] += [Cell(marked[j], ADDED) for j in range(c + paired, d)]


def unified(source: str, version: str, language: str) -> list[Cell]:
    """One column: lines that are gone, lines that came, and some around them; "…" where lines are left out.

    source, version: before and after. language: decides the colours.
    """
    old, new = source.split("\n"), version.split("\n")
    before, after = lines(source, language), lines(version, language)
    found: list[Cell] = []
    if source == version:
        return [Cell(line, SAME) for line in after]
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT):
        if found or group[0][1] > 0:
            found.append(Cell(Markup("…"), EMPTY))
        for tag, a, b, c, d in group:
            if tag == "equal":
                found += [Cell(line, SAME) for line in before[a:b]]
            else:
                found += [Cell(line, GONE) for line in before[a:b]] + [Cell(line, ADDED) for line in after[c:d]]
    return found
