"""Tables as Markdown.

table([["arm", "right"], ["SemRep", "0.61"]])
# | arm | right |
# | --- | --- |
# | SemRep | 0.61 |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(rows: Sequence[Iterable[Any]]) -> str:
    """Rows, the first of them the titles."""
    titles, *rest = [[str(cell) for cell in row] for row in rows]
    lines = [titles, ["---"] * len(titles), *rest]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
