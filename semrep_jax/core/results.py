"""What a job found, as one envelope: numbers with their intervals, tables, a sentence; what `results.json` holds and
reports show.

{"job", "config_sha256", "seed", "seconds", "arms": {arm: {metric: {"value", "low", "high", "n"}}}, ...}; whoever makes
the numbers says beside them how they are called (`rows`), so that a report needs to know no suite and no metric by
name.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` tasks with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, float]:
        """{"value", "low", "high", "n"}, rounded to 6 digits."""
        return {k: round(v, 6) for k, v in asdict(self).items()}

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out zero (of a difference)."""
        return self.low > 0 or self.high < 0

    @property
    def signed(self) -> str:
        """As text, of a difference."""
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def exact(value: float) -> Estimate:
    """A number that was counted, not estimated."""
    return Estimate(float(value), float(value), float(value), 1)


@dataclass(frozen=True)
class Row:
    """A line of the table of metrics: the key in every arm, how a person calls it, and the key of its paired difference
    or None."""

    metric: str
    title: str
    difference: str | None = None


@dataclass(frozen=True)
class Table:
    """A table of texts; `left` are the columns (from 0) that are words, the others are set to the right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Results:
    """What a job found.

    arms: metrics of each arm (or program, or package list) by name. seconds: wall time of the work, over all sittings
    (s). verdict: one sentence. rows: the metrics to show, in order. differences: paired differences of two arms. costs:
    metrics of every arm that are costs, key and title. notes: what a reader has to know beside the table. tables:
    further ones. about: what else goes into results.json at its top.
    """

    arms: dict[str, dict[str, Estimate]]
    seconds: float
    verdict: str
    rows: tuple[Row, ...] = ()
    differences: dict[str, Estimate] = field(default_factory=dict)
    costs: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)

    def to_json(self, job: str, config_sha256: str, seed: int) -> dict[str, Any]:
        """What results.json holds, as plain JSON.

        job, config_sha256, seed: of the run that found this.
        """
        return {
            "job": job,
            "config_sha256": config_sha256,
            "seed": seed,
            "seconds": round(self.seconds, 2),
            **self.about,
            "arms": {arm: {k: e.to_json() for k, e in values.items()} for arm, values in self.arms.items()},
            "differences": {k: e.to_json() for k, e in self.differences.items()},
            "verdict": self.verdict,
            "rows": [asdict(row) for row in self.rows],
            "costs": [list(cost) for cost in self.costs],
            "notes": list(self.notes),
            "tables": [asdict(table) for table in self.tables],
        }
