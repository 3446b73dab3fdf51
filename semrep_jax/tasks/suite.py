"""A suite: named tasks with a content hash, so that two results can be known to be about the same tasks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Task


@dataclass(frozen=True)
class Suite:
    """Tasks under a name. Raises TaskError where there are none."""

    name: str
    tasks: tuple[Task, ...]

    def __post_init__(self) -> None:
        if not self.tasks:
            raise TaskError(f"suite {self.name!r} is empty: raise evaluate.tasks or choose another suite")

    @cached_property
    def sha256(self) -> str:
        """Hex digest over the tasks, in order."""
        return hashlib.sha256("".join(t.sha256 for t in self.tasks).encode()).hexdigest()
