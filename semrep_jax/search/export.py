"""Improving steps of search trees as records for training: of each task's best right program, a `fix`.

records_of(tree, "semrep/t1")    # [{"kind": "fix", "source": C_src, "instruction": I, "target": C_tgt, ...}]
"""

from __future__ import annotations

from collections.abc import Iterator

from semrep_jax.core.shards import Record, wire_of
from semrep_jax.search.node import Node
from semrep_jax.search.tree import Tree


def improving(tree: Tree) -> Iterator[tuple[Node, Node]]:
    """(before, after) of each step that led to a right program which is better than its parent."""
    for node in tree.candidates:
        if node.parent is not None and tree.is_solution(node) and node.rank[:2] > tree.nodes[node.parent].rank[:2]:
            yield tree.nodes[node.parent], node


def records_of(tree: Tree, name: str) -> list[Record]:
    """The improving steps of a tree as records of kind fix; a step that starts from C_src brings its C_rep, where it
    has one.

    name: the first part of the records' ids. Tests are the task's: what C_src passes and fails. A step that starts from
    another program brings none that it fails, as nobody has looked for those; nor does one of a task whose tests are no
    calls.
    """
    task = tree.task
    records = []
    for before, after in improving(tree):
        of_source = before.id == 0 and task.details is None  # else the cases are no calls
        guide = None if after.guide is None else tree.nodes[after.guide].program
        records.append(
            {
                "kind": "fix",
                "id": f"{name}/{after.id}",
                "source": before.program,
                "language": task.source.language,
                "origin": f"search:{task.id}",
                "entry": task.preserve.entry or task.edit.entry,
                "instruction": after.instruction or task.instruction,
                "target": after.program,
                "rewrite": guide,
                "split": "test" if task.split == "test" else "train",
                "preserve": wire_of(task.preserve.cases) if of_source else [],
                "edit": wire_of(task.edit.cases) if of_source else [],
            }
        )
    return records
