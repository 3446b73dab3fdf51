"""Mined records as tasks: functions to be rewritten, bugs to be fixed.

    fixing("runs/mine", "train")        # C_src is the bug, I says where to look, U_sem still works, U_edit does not
    rewriting("runs/mine", "train")     # C_src is the function, all of its tests are to be preserved

What is in the test split is in no training task, and only its tasks have hidden tests.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from semrep_jax.core.errors import TaskError
from semrep_jax.core.paths import expanded
from semrep_jax.core.programs import Program, Task, Tests
from semrep_jax.core.shards import DataError, Record, Shards, cases_of
from semrep_jax.python import PYTHON
from semrep_jax.tasks.settings import MinedTasksConfig
from semrep_jax.tasks.source import SourceRequest, TaskSource
from semrep_jax.tasks.suite import Metric, Suite, SuiteRequest

# What tasks are made of, beside what every record of the kind has; hidden tests of the test split's.
NEEDED: dict[str, tuple[str, dict[str, type]]] = {
    "functions": ("function", {"package": str}),
    "fixes": ("fix", {"origin": str, "mutation": str}),
}


def rewriting(directory: str, split: str, most: int | None = None) -> list[Task]:
    """Stage-1 tasks, in the order of the shards.

    directory: work directory of a `job: mine`. split: train or test. most: at most so many. Raises TaskError,
    DataError.
    """
    return [_rewriting(record) for record in _records(directory, "functions", split, most)]


def fixing(directory: str, split: str, most: int | None = None) -> list[Task]:
    """Bug-fixing tasks, the bugs of different functions by turns.

    directory: work directory of a `job: mine`. split: train or test. most: at most so many. Raises TaskError,
    DataError.
    """
    by_origin: dict[str, list[Record]] = {}
    for record in _records(directory, "fixes", split):
        by_origin.setdefault(record["origin"], []).append(record)
    turns = max(map(len, by_origin.values()))
    found = [bugs[turn] for turn in range(turns) for bugs in by_origin.values() if turn < len(bugs)]
    return [_fixing(record) for record in found[:most]]


def _records(directory: str, kind: str, split: str, most: int | None = None) -> list[Record]:
    shards = Shards(expanded(directory) / kind)
    checked = (_checked(record, shards.directory) for record in shards)
    found = list(islice((record for record in checked if record["split"] == split), most))
    if not found:
        raise TaskError(f"{directory}/{kind} holds nothing of the {split} split; mine more packages")
    return found


def _checked(record: Record, directory: Path) -> Record:
    """A record with all that its task needs, of the training split unless it says another. Raises DataError."""
    kind, fields = NEEDED[directory.name]
    if record["kind"] == kind and record.get("split") == "test":
        fields = fields | {"hidden": list}
    lacks = [name for name, its in fields.items() if not isinstance(record.get(name), its)]
    if record["kind"] != kind or lacks:
        why = f"lacks {', '.join(lacks)}" if record["kind"] == kind else f"is no {kind}"
        raise DataError(f"{directory}: {record['kind']} {record['id']!r} {why}; write the data set with job: mine")
    return {"split": "train"} | record


def _rewriting(record: Record) -> Task:
    return Task(
        id=f"mined/{record['id']}",
        source=Program(PYTHON, record["source"]),
        preserve=_tests(record, "tests"),
        edit=Tests(record["entry"]),
        split=record["split"],
        tags={"family": record["package"], "kind": "rewrite"},
        hidden=_hidden(record),
    )


def _fixing(record: Record) -> Task:
    return Task(
        id=f"mined/{record['id']}",
        source=Program(PYTHON, record["source"]),
        preserve=_tests(record, "preserve"),
        edit=_tests(record, "edit"),
        instruction=record["instruction"],
        split=record["split"],
        tags={"family": record.get("package") or _module_of(record).split(".")[0], "kind": record["mutation"]},
        solution=Program(PYTHON, record["target"]),
        hidden=_hidden(record),
    )


def _module_of(record: Record) -> str:
    """The module that a bug's function is of; records of older versions do not name their package."""
    return str(record["origin"]).partition(":")[0]


def _tests(record: Record, field: str) -> Tests:
    return Tests(record["entry"], cases_of(record[field]))


def _hidden(record: Record) -> Tests | None:
    """The hidden tests, which only evaluation has."""
    return _tests(record, "hidden") if record["split"] == "test" else None


def _directory(request: SourceRequest | SuiteRequest, key: str) -> str:
    """The work directory that the settings name. Raises TaskError where they name none."""
    directory = request.settings.directory if isinstance(request.settings, MinedTasksConfig) else None
    if not directory:
        raise TaskError(f"{key}.mined.directory: null, and mined tasks are asked for; set it to a job: mine's work_dir")
    return directory


SOURCE = TaskSource(
    transform=lambda request: fixing(_directory(request, "tasks"), "train", request.count),
    rewrite=lambda request: rewriting(_directory(request, "tasks"), "train", request.count),
    settings=MinedTasksConfig,
)
SUITE = Suite(
    "mined functions, seeded bugs",
    lambda request: fixing(_directory(request, "evaluate"), "test", request.count),
    metrics=(
        Metric("_hidden", "mined: right on hidden tests too"),
        Metric("_hidden_gap", "mined: hidden-test gap"),
    ),
    settings=MinedTasksConfig,
)
