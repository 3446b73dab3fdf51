"""A node of a search tree: one program that was written, from which other one, and what is known of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from semrep_jax.core.programs import Status

Rank = tuple[float, float, float, int]


class Kind(StrEnum):
    """What was asked for. DRAWN: written by the strategy itself, with no model."""

    SOURCE = "source"
    REWRITE = "rewrite"
    TRANSFORM = "transform"
    REPAIR = "repair"
    DRAWN = "drawn"


@dataclass
class Node:
    """One program of a search tree, or the reason why a completion held none.

    id: its place in the tree; 0 is C_src. parent: the node whose program the prompt asked to change. guide: the node
    that stood in the prompt as C_rep. round: of the tree, from 1. turn: of the strategy's T, from 0. step: what the
    strategy called it. instruction: what was asked for, where something was. program, reason: the text, or why there
    is none. copy_of: the node that was judged already and has the same canonical form; its facts are repeated here and
    nothing was run. beyond: written or judged beyond the budget; nothing is known of it.
    tokens, seconds: what it cost, in tokens and seconds of judging. learning: tokens that an update behind it cost.
    status, compiled, preserve, edit (passed, total), feedback, facts: of its verdict. value: what is measured of it,
    more is better: the speed-up, or a case study's figure. score: w1 [equivalent on U_sem] + w2 [passes U_edit].
    novelty: distance to the nearest of C_src and the beam that its turn began with, in [0, 1].
    """

    id: int
    parent: int | None
    kind: Kind
    round: int = 0
    turn: int = 0
    step: str = ""
    guide: int | None = None
    instruction: str = ""
    program: str | None = None
    reason: str = ""
    copy_of: int | None = None
    beyond: bool = False
    tokens: int = 0
    learning: int = 0
    seconds: float = 0.0
    status: str = ""
    compiled: bool = False
    preserve: tuple[int, int] = (0, 0)
    edit: tuple[int, int] = (0, 0)
    feedback: str = ""
    facts: dict[str, bool] = field(default_factory=dict)
    value: float | None = None
    score: float = 0.0
    novelty: float = 0.0

    @property
    def judged(self) -> bool:
        """Whether something is known of its program, and it is no copy of another."""
        known = self.program is not None and self.status != Status.UNJUDGED
        return known and self.copy_of is None and not self.beyond

    @property
    def equivalent(self) -> bool:
        """The indicator [equivalent on U_sem]."""
        return self.compiled and self.preserve[0] == self.preserve[1]

    @property
    def correct(self) -> bool:
        """Whether it passes all of U_sem and of U_edit."""
        return self.equivalent and self.edit[0] == self.edit[1]

    @property
    def rank(self) -> Rank:
        """Orders candidates: the score, then what was measured, then novelty, then who came first."""
        return self.score, -math.inf if self.value is None else self.value, self.novelty, -self.id

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; what is empty is left out."""
        plain = {key: value for key, value in asdict(self).items() if not _is_empty(value)}
        return plain | {"kind": str(self.kind)}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Node:
        """The node of `to_json`. Raises TypeError or ValueError for what is none."""
        pairs = {key: tuple(plain[key]) for key in ("preserve", "edit") if key in plain}
        return cls(**plain | pairs | {"kind": Kind(plain["kind"]), "parent": plain.get("parent")})


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value == "" or value == {}
