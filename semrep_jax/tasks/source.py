"""Sources of training tasks: what one has to be, and which there are. A new one is one file.

    SOURCES.add("sums", TaskSource(transform=edits_of_sums, rewrite=sums_to_rewrite))     # in a plugin

and then `tasks.source: sums` in a config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from semrep_jax.core.plugins import Registry
from semrep_jax.core.programs import Task
from semrep_jax.core.settings import Section


@dataclass(frozen=True)
class SourceRequest:
    """What is asked of a source.

    count: tasks wanted of each stage; a source may give more (they are not taken) or fewer. seed: decides what is
    drawn. settings: the source's own section of the config, where it has one.
    """

    count: int
    seed: int
    settings: Section | None = None


@dataclass(frozen=True)
class TaskSource:
    """Where training tasks come from.

    transform: the tasks of stage 2 and of the direct transformation, with instructions and U_edit. rewrite: those of
    stage 1; by default the same ones. settings: the type of its own section, `tasks.NAME` in a config. Both raise
    TaskError or DataError where there are none.
    """

    transform: Callable[[SourceRequest], Iterable[Task]]
    rewrite: Callable[[SourceRequest], Iterable[Task]] | None = None
    settings: type[Section] | None = None

    def rewriting(self, request: SourceRequest) -> Iterable[Task]:
        """The tasks of stage 1."""
        return (self.rewrite or self.transform)(request)


SOURCES: Registry[TaskSource] = Registry(
    "source of tasks",
    "tasks.source",
    {
        "generated": "semrep_jax.tasks.generated.source:SOURCE",
        "mined": "semrep_jax.tasks.mined:SOURCE",
        "kernels": "semrep_jax.tasks.kernels.catalogue:SOURCE",
    },
)
