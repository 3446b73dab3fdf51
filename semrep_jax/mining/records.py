"""What is made of a mined function, as records for shards (`core.shards`): the function, its rewrites, its bugs."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence

from semrep_jax.core import syntax
from semrep_jax.core.programs import Case
from semrep_jax.core.shards import Record, wire_of
from semrep_jax.languages import Rewritten
from semrep_jax.mining.splits import split_of
from semrep_jax.python.extract import Candidate
from semrep_jax.python.mutations import Mutant
from semrep_jax.tasks import bugs

RECORD_KINDS = ("functions", "pairs", "fixes")


def number_of(candidate: Candidate) -> int:
    """A number that depends on the function's text: it seeds all that is drawn for it."""
    return int(hashlib.sha256(candidate.source.encode()).hexdigest()[:8], 16)


def function_record(candidate: Candidate, cases: Sequence[Case], mutants: int, killed: int) -> Record:
    """The function with its tests, every second of them hidden; its split is decided when all functions are known.

    mutants: how many its tests were tried on. killed: how many of these they tell from the function.
    """
    number = number_of(candidate)
    return {
        "kind": "function",
        "id": f"{candidate.id}@{number:08x}",
        "package": candidate.package,
        "module": candidate.module,
        "sha256": candidate.sha256,
        "entry": candidate.entry,
        "source": candidate.source,
        "split": split_of(number),
        "tests": wire_of(cases[::2]),
        "hidden": wire_of(cases[1::2]),
        "mutants": mutants,
        "killed": killed,
    }


def pair_record(function: Record, rewritten: Rewritten) -> Record:
    """A verified rewrite of a function."""
    own_id = f"{function['id']}/{_short_hash(rewritten.program.source)}"
    made = {"rewrite": rewritten.program.source, "rules": list(rewritten.rules)}
    return _derived("pair", own_id, function) | {"source": function["source"]} | made


def fix_record(function: Record, bug: Mutant, visible: Sequence[Case], flags: Sequence[bool]) -> Record:
    """A bug to be fixed: what still works of the `visible` cases (by `flags`) is U_sem, what is broken U_edit.

    Source and target are both as `ast.unparse` prints them.
    """
    preserve, edit = bugs.divided(visible, flags)
    return _derived("fix", f"{function['id']}/{bug.kind}/{_short_hash(bug.source)}", function) | {
        "source": bug.source,
        "instruction": bug.hint,
        "mutation": bug.kind,
        "target": ast.unparse(syntax.module(function["source"])),
        "preserve": wire_of(preserve),
        "edit": wire_of(edit),
        "hidden": function["hidden"],
    }


def _derived(kind: str, own_id: str, function: Record) -> Record:
    """What every record has that is made of a function."""
    shared = {name: function[name] for name in ("package", "split", "entry")}
    return {"kind": kind, "id": own_id, "origin": function["id"]} | shared


def _short_hash(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:8]
