"""What mining leaves of one module: records, and what became of everything else. A JSON file under `parts/`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from semrep_jax.core.shards import Record


class RewriteOutcome(StrEnum):
    """What running a rewrite beside its function, or looking at it, found."""

    VERIFIED = "verified"
    DIFFERENT = "different"
    NO_END = "no end"
    UNKNOWN = "unknown"  # a result that can't be compared, or a statement of the rewrite that no call ran
    COPY = "copy"
    REPEATED = "repeated"


@dataclass
class RuleCounts:
    """What became of each rule's applications, counted by outcome."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, rules: tuple[str, ...], outcome: RewriteOutcome) -> None:
        """Count a rewrite for each of its rules."""
        self.update({name: {outcome.value: 1} for name in dict.fromkeys(rules)})

    def update(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Add others' counts."""
        for name, outcomes in counts.items():
            self.counts.setdefault(name, Counter()).update(outcomes)


@dataclass(frozen=True)
class Unit:
    """One module of a package."""

    package: str
    module: str

    @property
    def file(self) -> str:
        """Where its part lies under `parts/`."""
        return f"{self.package}/{self.module}.json"


@dataclass
class Part:
    """Everything made of a module's functions.

    sha256: of the module's text, None in a part of an older version. candidates: functions that could be cut out.
    dropped: functions that gave nothing, by reason. errors: of ours, {"function", "error"}. rules: see RuleCounts.
    seconds: that it took.
    """

    unit: Unit
    sha256: str | None = None
    candidates: int = 0
    functions: list[Record] = field(default_factory=list)
    pairs: list[Record] = field(default_factory=list)
    fixes: list[Record] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    rules: RuleCounts = field(default_factory=RuleCounts)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return vars(self) | {"unit": asdict(self.unit), "rules": self.rules.counts}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Part:
        """The part that `to_json` gave this."""
        rules = RuleCounts()
        rules.update(content["rules"])
        own = {"unit": Unit(**content["unit"]), "dropped": Counter(content["dropped"]), "rules": rules}
        return cls(**(content | own))

    def records(self, kind: str) -> list[Record]:
        """Its records of one of RECORD_KINDS."""
        found: list[Record] = getattr(self, kind)
        return found
