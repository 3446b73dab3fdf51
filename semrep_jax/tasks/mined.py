"""Mined records as tasks: functions to be rewritten, bugs to be fixed. What is in the test split is in no training task.

fixing("runs/mine", "train")        # C_src is the bug, I says where to look, U_sem still works, U_edit does not
rewriting("runs/mine", "train")     # C_src is the function, all of its tests are to be preserved
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Program, Task, Tests
from semrep_jax.core.shards import Shards, cases_of
from semrep_jax.python import PYTHON
from semrep_jax.tasks.settings import MinedTasksConfig
from semrep_jax.tasks.source import SourceRequest, TaskSource
from semrep_jax.tasks.suite import Metric, Suite, SuiteRequest


def rewriting(directory: str, split: str, most: int | None = None) -> list[Task]:
    """Stage-1 tasks of a split, in the order of the shards, at most so many. Raises TaskError, DataError."""
    return [_rewriting(r) for r in _records(directory, "functions", split, most)]


def fixing(directory: str, split: str, most: int | None = None) -> list[Task]:
    """Bug-fixing tasks of a split, the bugs of different functions by turns. Raises TaskError, DataError."""
    by_origin: dict[str, list[dict[str, Any]]] = {}
    for record in _records(directory, "fixes", split, None):
        by_origin.setdefault(record["origin"], []).append(record)
    turns = max((len(v) for v in by_origin.values()), default=0)
    found = [group[i] for i in range(turns) for group in by_origin.values() if i < len(group)]
    return [_fixing(r) for r in found[:most]]


def _records(directory: str, kind: str, split: str, most: int | None) -> list[dict[str, Any]]:
    data = Shards(Path(directory).expanduser() / kind)
    found = []
    for record in (data[i] for i in range(len(data))):
        if record["split"] == split:
            found.append(record)
            if len(found) == most:
                break
    if not found:
        raise TaskError(f"{directory}/{kind} holds nothing of the {split} split; mine more packages")
    return found


def _rewriting(record: dict[str, Any]) -> Task:
    source = Program(PYTHON, record["source"])
    tests, hidden = (Tests(record["entry"], cases_of(record[k])) for k in ("tests", "hidden"))
    return Task(
        f"mined/{record['id']}", source, tests, Tests(record["entry"]), split=record["split"], hidden=_only_in_evaluation(record, hidden),
        tags={"family": record["package"], "kind": "rewrite"},
    )  # fmt: skip


def _fixing(record: dict[str, Any]) -> Task:
    preserve, edit, hidden = (Tests(record["entry"], cases_of(record[k])) for k in ("preserve", "edit", "hidden"))
    return Task(
        f"mined/{record['id']}", Program(PYTHON, record["source"]), preserve, edit, record["instruction"],
        split=record["split"], hidden=_only_in_evaluation(record, hidden), solution=Program(PYTHON, record["target"]),
        tags={"family": record["origin"].split(".")[0], "kind": record["mutation"]},
    )  # fmt: skip


def _only_in_evaluation(record: dict[str, Any], hidden: Tests) -> Tests | None:
    return hidden if record["split"] == "test" else None


def _directory(request: SourceRequest | SuiteRequest, key: str) -> str:
    """The work directory that the settings name. Raises TaskError where they name none."""
    directory = request.settings.directory if isinstance(request.settings, MinedTasksConfig) else None
    if not directory:
        raise TaskError(f"{key}.mined.directory: null, and mined tasks are asked for; set it to a job: mine's work_dir")
    return directory


SOURCE = TaskSource(
    transform=lambda request: fixing(_directory(request, "tasks"), request.split, request.count),
    rewrite=lambda request: rewriting(_directory(request, "tasks"), request.split, request.count),
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
