"""The tree of a search on disk: JSON lines that grow with it, from which a killed search goes on.

    {"search": {...}}                                       what was searched, how, under which budget
    {"id": 1, "parent": 0, "kind": "rewrite", ...}          a node
    {"closed": 1, "budget": {"spent": {...}, ...}}           the round of the nodes above is whole, and on the disk

Lines are appended a round at a time and synced once a round. Nodes with no closing line behind them are of a round that
was cut off: they are dropped and the round is searched again, with the same keys and so with the same programs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.workdir import describe_changes
from semrep_jax.search.budget import Budget
from semrep_jax.search.node import Node
from semrep_jax.search.tree import Tree


class JournalError(SemRepError):
    """A tree on disk is damaged, or of another search."""


class Journal:
    """The file of one tree. path: where it is, or is begun. about: flat; what a tree that is gone on with must share.
    Raises JournalError."""

    def __init__(self, path: Path, about: dict[str, Any]):
        self.path, self.about = path, json.loads(json.dumps(about))

    def restore(self, tree: Tree, budget: Budget) -> None:
        """Fill a new tree and its budget with the whole rounds of the file, cut off what is behind them; begin the file
        where there is none."""
        if not self.path.exists():
            self.restart()
            return
        rounds, kept = self._whole_rounds(self.path.read_bytes())
        if kept == 0:
            self.restart()
            return
        with self.path.open("r+b") as file:
            file.truncate(kept)
        for nodes, state in rounds:
            tree.add(nodes)
            budget.restore(state)

    def restart(self) -> None:
        """Begin the file anew."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("")
        self._append([{"search": self.about}])

    def close_round(self, number: int, nodes: Sequence[Node], budget: Budget) -> None:
        """Append a round, and have it on the disk before this returns.

        number: of the round. nodes: that it added. budget: after it.
        """
        closing = {"closed": number, "budget": budget.to_json()}
        self._append([*(node.to_json() for node in nodes), closing])

    def _append(self, lines: Sequence[dict[str, Any]]) -> None:
        with self.path.open("a") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())

    def _whole_rounds(self, data: bytes) -> tuple[list[tuple[list[Node], dict[str, Any]]], int]:
        """The rounds that were closed, and how many bytes of the file they are."""
        rounds: list[tuple[list[Node], dict[str, Any]]] = []
        nodes: list[Node] = []
        position, kept = 0, 0
        for number, line in enumerate(data.splitlines(keepends=True)):
            position += len(line)
            if not line.endswith(b"\n"):
                break
            try:
                plain = json.loads(line)
                if number == 0:
                    self._require_same(plain["search"])
                    kept = position
                elif "closed" in plain:
                    Budget().restore(plain["budget"])  # or it is no budget's
                    rounds.append((nodes, plain["budget"]))
                    nodes, kept = [], position
                else:
                    nodes.append(Node.from_json(plain))
            except (ValueError, KeyError, TypeError) as error:
                raise JournalError(
                    f"{self.path}:{number + 1} is no line of a search tree ({error}); delete the file to search again"
                ) from error
        return rounds, kept

    def _require_same(self, theirs: dict[str, Any]) -> None:
        changes = describe_changes(theirs, self.about)
        if changes:
            raise JournalError(f"{self.path} is of another search: {changes}; delete it or use another work_dir")


def read(path: Path) -> tuple[dict[str, Any], list[Node], dict[str, Any]]:
    """What was searched, the nodes of whole rounds and the budget's last state, from a tree's file. Raises
    JournalError."""
    try:
        header = json.loads(path.read_text().splitlines()[0])["search"]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise JournalError(f"{path} is no search tree ({error}); run the search again") from error
    rounds, _ = Journal(path, header)._whole_rounds(path.read_bytes())
    state = rounds[-1][1] if rounds else Budget().to_json()
    return header, [node for nodes, _ in rounds for node in nodes], state
