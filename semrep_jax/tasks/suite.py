"""Held-out suites: what one has to be, and which there are. A new one is one file.

    SUITES.add("sums", Suite("sums, held out", draw=held_out_sums))     # in a plugin, then: evaluate.suites: [sums]

A suite says how it is called, what the rows of its results mean and which other suite it is paired with; the
evaluation, the report and the check for contamination read that. None of its tasks shares a canonical C_src with a
training task.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

from semrep_jax.core.errors import TaskError
from semrep_jax.core.plugins import Registry
from semrep_jax.core.programs import Task
from semrep_jax.core.settings import Section
from semrep_jax.verify import Verifier


@dataclass(frozen=True)
class SuiteRequest:
    """What is asked of a suite.

    count: tasks wanted; more are not taken. seed: one seed, one set of tasks. verifier: for suites that verify what
    they draw. settings: the suite's own section of the config, where it has one.
    """

    count: int
    seed: int
    verifier: Verifier
    settings: Section | None = None


@dataclass(frozen=True)
class Metric:
    """A row of a suite's results: `suffix` follows the suite's name in the key ("" is the share of samples correct)."""

    suffix: str
    title: str


PERTURBED, REWORDED = "perturbed", "reworded"
_CHANGED = re.compile(rf"/({PERTURBED}(-\d+)?|{REWORDED})$")


def changed(task: Task, how: str = PERTURBED, tags: Mapping[str, str] | None = None, **fields: Any) -> Task:
    """A task of another one: it has the other's id with `how` behind it, and names it in its tag `base`.

    task: the other. how: PERTURBED or REWORDED. tags: further ones. fields: of the task, that are other.
    """
    own = {**task.tags, "base": task.id, **(tags or {})}
    return replace(task, id=f"{task.id}/{how}", tags=own, **fields)


def base_of(task_id: str) -> str:
    """The id of the task that a changed one is of; of any other its own."""
    return _CHANGED.sub("", task_id)


@dataclass(frozen=True)
class Pairing:
    """A suite whose tasks are those of another, changed: `changed` makes them, `base_of` finds their ids again. Where
    it has no settings of its own, it is given the other's.

    suite: the other. both, agree: keys of the share of samples right on both, and of the share with one verdict.
    both_title, agree_title: how a table calls them.
    """

    suite: str
    both: str
    both_title: str
    agree: str
    agree_title: str


@dataclass(frozen=True)
class Suite:
    """A held-out suite.

    title: how a table calls it. draw: its tasks. metrics: further rows beside the share of samples correct.
    paired_with: the suite whose tasks it changes. settings: the type of its own section, `evaluate.NAME` in a config.
    settings_of: the suite whose section it is given in the place of one of its own. note: a sentence for beside the
    table, given the keys of all metrics. programs: programs of its tasks, (text, entry point), that mined functions are
    compared with; for a seed and a count of tasks.
    """

    title: str
    draw: Callable[[SuiteRequest], Iterable[Task]]
    metrics: tuple[Metric, ...] = ()
    paired_with: Pairing | None = None
    settings: type[Section] | None = None
    settings_of: str | None = None
    note: Callable[[set[str]], str | None] = lambda keys: None
    programs: Callable[[int, int], Iterable[tuple[str, str]]] | None = None


SUITES: Registry[Suite] = Registry(
    "suite",
    "evaluate.suites",
    {
        "correctness": "semrep_jax.tasks.generated.suites:CORRECTNESS",
        "new_families": "semrep_jax.tasks.generated.suites:NEW_FAMILIES",
        "new_kinds": "semrep_jax.tasks.generated.suites:NEW_KINDS",
        "near_families": "semrep_jax.tasks.generated.suites:NEAR_FAMILIES",
        "near_kinds": "semrep_jax.tasks.generated.suites:NEAR_KINDS",
        "robustness": "semrep_jax.tasks.generated.suites:ROBUSTNESS",
        "plain": "semrep_jax.tasks.generated.world_suites:PLAIN",
        "perturbed": "semrep_jax.tasks.generated.world_suites:PERTURBED",
        "perturbed_unseen": "semrep_jax.tasks.generated.world_suites:PERTURBED_UNSEEN",
        "reworded": "semrep_jax.tasks.generated.world_suites:REWORDED",
        "humaneval": "semrep_jax.tasks.humaneval:SUITE",
        "humaneval_robustness": "semrep_jax.tasks.perturbed:HUMANEVAL",
        "mined": "semrep_jax.tasks.mined:SUITE",
        "mined_robustness": "semrep_jax.tasks.perturbed:MINED",
        "edits": "semrep_jax.tasks.edits:SUITE",
        "edits_robustness": "semrep_jax.tasks.perturbed:EDITS",
        "kernels": "semrep_jax.tasks.kernels.suites:KERNELS",
        "kernels_robustness": "semrep_jax.tasks.kernels.suites:KERNELS_ROBUSTNESS",
        "kernelbench": "semrep_jax.tasks.kernels.suites:KERNELBENCH",
    },
)


def axes(suites: Sequence[str]) -> list[str]:
    """What two policies are compared by on these suites: a suite's share correct; of one that is paired with another
    the share right on both."""
    found = []
    for name in dict.fromkeys(suites):
        pairing = SUITES[name].paired_with
        found.append(name if pairing is None or pairing.suite not in suites else pairing.both)
    return found


@dataclass(frozen=True)
class DrawnSuite:
    """The tasks that a suite gave, under its name. Raises TaskError where there are none."""

    name: str
    tasks: tuple[Task, ...]

    def __post_init__(self) -> None:
        if not self.tasks:
            raise TaskError(f"suite {self.name!r} is empty: raise evaluate.tasks or choose another suite")

    @cached_property
    def sha256(self) -> str:
        """Hex digest over the tasks, in order: two results of one digest are about the same tasks."""
        return hashlib.sha256("".join(t.sha256 for t in self.tasks).encode()).hexdigest()


def draw(name: str, request: SuiteRequest) -> DrawnSuite:
    """The tasks of the suite called `name`. Raises PluginError for a name that is none, TaskError where it has no
    tasks."""
    return DrawnSuite(name, tuple(islice(SUITES[name].draw(request), request.count)))
