"""The one budget B that both stages consume: stage 1 takes the first round(alpha B) optimiser steps, stage 2 the
rest."""

from __future__ import annotations

from dataclasses import dataclass

REWRITE, TRANSFORM = "rewrite", "transform"


@dataclass
class Budget:
    """`used` of `total` optimiser steps are spent. The only counter of training progress; saved with every
    checkpoint.

    kept_boundary: the first step of stage 2 as it was before the budget was raised; None where stage 2 had not begun.
    """

    total: int
    alpha: float
    used: int = 0
    kept_boundary: int | None = None

    @property
    def boundary(self) -> int:
        """The first step of stage 2."""
        return round(self.alpha * self.total) if self.kept_boundary is None else self.kept_boundary

    @property
    def stage(self) -> str:
        """The stage that the next step belongs to."""
        return REWRITE if self.used < self.boundary else TRANSFORM

    @property
    def left(self) -> int:
        """Steps not yet spent."""
        return self.total - self.used

    @property
    def stage_left(self) -> int:
        """Steps left to the stage that the next step belongs to."""
        return (self.boundary if self.used < self.boundary else self.total) - self.used

    def resume(self, used: int, total: int, boundary: int) -> None:
        """Go on from a checkpoint, perhaps with more to spend: what is new goes to stage 2 once that has begun; before,
        the boundary is where alpha puts it among all steps.

        used, total, boundary: as they were.
        """
        self.used = used
        self.kept_boundary = boundary if boundary <= used and boundary < total else None

    def spend(self) -> None:
        """Consume one optimiser step."""
        self.used += 1
