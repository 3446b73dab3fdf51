"""Edits of real code with tests of any shape: EditEval, CanItEdit, or records of your own.

    evaluate.suites: [edits]
    evaluate.edits.path: InstructCoder/edit_eval/edit_eval.jsonl      # a checkout of qishenghu/InstructCoder (MIT)

A file of JSON lines, each with the fields of one of SCHEMAS. Tests are run on C_src and on the known edit: what both
pass is U_sem, what C_src alone fails is U_edit. A record whose edit passes nothing that C_src fails is left out, and
named. Of asserts each is a test (`python.usertests.asserts`). Fields of EditEval: `context` is text around the program,
in which {{Code}} stands for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semrep_jax.core import progress
from semrep_jax.core.errors import TaskError
from semrep_jax.core.paths import expanded
from semrep_jax.core.programs import Program, Task
from semrep_jax.python import PYTHON
from semrep_jax.python.usertests import Bench
from semrep_jax.python.usertests.asserts import a_test_each
from semrep_jax.python.usertests.file import MODULE, TestFile, named
from semrep_jax.tasks.settings import EditsConfig
from semrep_jax.tasks.suite import Suite, SuiteRequest

# Names of the fields of a record, in this order: id, instruction, C_src, the known edit, tests.
SCHEMAS = {
    "EditEval": ("task_id", "instruction", "input", "output", "test"),
    "CanItEdit": ("id", "instruction_descriptive", "before", "after", "tests"),
    "your own": ("id", "instruction", "source", "target", "tests"),
}
LAZY = "instruction_lazy"  # CanItEdit's other wording
TEST_SECONDS = 5.0


@dataclass(frozen=True)
class Edit:
    """One record.

    name: as the file has it. source, target: C_src and the known edit. file: the tests.
    """

    name: str
    instruction: str
    source: str
    target: str
    file: TestFile


def read(path: Path, lazy: bool = False) -> list[Edit]:
    """The records of a file. lazy: whether CanItEdit's short instructions are taken. Raises TaskError."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # no other line end is one in JSON lines
    except (OSError, ValueError) as error:
        raise TaskError(f"evaluate.edits.path: {path} can't be read: {error}") from error
    found = [_edit(line, f"{path}, line {n}", lazy) for n, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise TaskError(f"evaluate.edits.path: {path} is empty")
    return found


def _edit(line: str, place: str, lazy: bool) -> Edit:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise TaskError(f"{place} is no JSON ({error})") from error
    fields = next((fields for fields in SCHEMAS.values() if _holds(record, fields)), None)
    if fields is None:
        known = "; ".join(f"{name}: {', '.join(fields)}" for name, fields in SCHEMAS.items())
        raise TaskError(f"{place} has the texts of none of these schemas: {known}")
    name, instruction, source, target, tests = (str(record[field]) for field in fields)
    if lazy and isinstance(record.get(LAZY), str):
        instruction = record[LAZY]
    try:
        text = a_test_each(tests, MODULE)
    except SyntaxError as error:
        raise TaskError(f"{place}: its tests are no Python (line {error.lineno}: {error.msg})") from error
    return Edit(name, instruction.strip(), source, target, TestFile(text, MODULE, record.get("context") or ""))


def _holds(record: Any, fields: tuple[str, ...]) -> bool:
    """Whether a record has these fields: a name or number, and texts."""
    if not isinstance(record, Mapping):
        return False
    return isinstance(record.get(fields[0]), str | int) and all(isinstance(record.get(f), str) for f in fields[1:])


def task_of(edit: Edit, bench: Bench) -> Task | str:
    """The task of a record, or why there is none."""
    before, after = (edit.file.run(program, bench) for program in (edit.source, edit.target))
    was = {result.name for result in before.results if result.passed}
    becomes = [result.name for result in after.results if result.passed]
    if not becomes:
        first = next((f"{one.name}: {one.message}" for one in after.results if not one.passed), after.problem)
        return f"its own edit passes no test ({first})"
    gained = [name for name in becomes if name not in was]
    if not gained:
        return "its edit passes no test that C_src fails"
    return Task(
        id=f"edits/{edit.name}",
        source=Program(PYTHON, edit.source),
        preserve=named(name for name in becomes if name in was),
        edit=named(gained),
        instruction=edit.instruction,
        split="test",
        tags={"family": "edits", "kind": "edit"},
        solution=Program(PYTHON, edit.target),
        details=edit.file,
    )


def _draw(request: SuiteRequest) -> Iterator[Task]:
    setting = request.settings if isinstance(request.settings, EditsConfig) else EditsConfig()
    if not setting.path:
        raise TaskError("evaluate.edits.path: null; set it to a file of edits, such as EditEval's edit_eval.jsonl")
    edits = read(expanded(setting.path), setting.lazy)
    with Bench(seconds=TEST_SECONDS) as bench, progress.bar("edits and their tests", len(edits)) as bar:
        for edit in edits:
            found = task_of(edit, bench)
            bar.advance()
            if isinstance(found, Task):
                yield found
            else:
                progress.console.print(f"edits: {edit.name} is left out: {found}", highlight=False)


SUITE = Suite("edits of real code", _draw, settings=EditsConfig)
