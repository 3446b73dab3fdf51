"""Checkpoints through Orbax: atomic, asynchronous, the newest N kept, refused where they belong to another run.

A checkpoint holds the arrays (parameters, optimiser state) and a JSON part (step, loader state, budget, counters). Its
*identity* (config, data) is compared before anything is restored; what differs is named. A step directory appears under
its final name only when it is whole, so `kill -9` during a save leaves the previous one. The processes of a run save
together into one directory that all share; another number of processes restores it onto the same mesh.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.workdir import write_atomically

logging.getLogger("absl").setLevel(logging.ERROR)


class CheckpointError(SemRepError):
    """A checkpoint is damaged, or belongs to another run."""


@dataclass(frozen=True)
class Restored:
    """What a checkpoint gave back."""

    step: int
    state: Any
    record: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run in `directory`; `identity` is a flat dict of what a resumed run must share."""

    def __init__(self, directory: Path, identity: dict[str, Any], keep: int):
        self.directory, self.identity = directory, identity
        directory.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        self.manager = ocp.CheckpointManager(directory.resolve(), options=options)

    def save(self, step: int, state: Any, record: dict[str, Any]) -> None:
        """Start saving a checkpoint; it is whole after the next `wait`.

        step: its number. state: a tree of arrays. record: JSON beside it. Raises CheckpointError where the one before
        it could not be written.
        """
        whole = {"identity": self.identity, "record": record}
        self.wait()
        with self._writing():
            self.manager.save(
                step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), run=ocp.args.JsonSave(whole))
            )

    def restore(self, like: Any) -> Restored | None:
        """The newest checkpoint laid out like the tree `like`; None where there is none. Raises CheckpointError."""
        step = self.manager.latest_step()
        if step is None:
            return None
        path = self.directory / str(step)
        self._check_sizes(path)
        try:
            whole = self.manager.restore(step, args=ocp.args.Composite(run=ocp.args.JsonRestore()))["run"]
        except Exception as error:
            raise self._damaged(path, _first_line(error)) from error
        self._same_run(whole["identity"], path)
        try:
            state = self.manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(like)))["state"]
        except Exception as error:
            raise self._damaged(path, _first_line(error)) from error
        return Restored(step, state, whole["record"])

    def wait(self) -> None:
        """Block until every started save is on disk. Raises CheckpointError where it could not be written."""
        with self._writing():
            self.manager.wait_until_finished()
            if jax.process_index() == 0:
                sizes = {str(s): _sizes(self.directory / str(s)) for s in self.manager.all_steps()}
                write_atomically(self.directory / "sizes.json", json.dumps(sizes))

    def _check_sizes(self, path: Path) -> None:
        """Refuse a checkpoint with a file cut short, before Orbax's threads trip over it."""
        try:
            known = json.loads((self.directory / "sizes.json").read_text()).get(path.name, {})
        except FileNotFoundError:
            return  # killed during the first save: what is there under a final name is whole
        now = _sizes(path)
        for name, size in known.items():
            if now.get(name) != size:
                raise self._damaged(path, f"{name} has {now.get(name, 0)} bytes and was written with {size}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise CheckpointError(
                f"could not write a checkpoint under {self.directory}: {_first_line(error)}; free some disk"
            ) from error

    def close(self) -> None:
        """Wait for saves and let go of the directory."""
        self.wait()
        self.manager.close()

    def _same_run(self, theirs: dict[str, Any], path: Path) -> None:
        keys = sorted(set(theirs) | set(self.identity))
        differ = [k for k in keys if theirs.get(k) != self.identity.get(k)]
        if differ:
            shown = ", ".join(f"{k} was {theirs.get(k)!r} and is {self.identity.get(k)!r}" for k in differ[:5])
            more = f" and {len(differ) - 5} more" if len(differ) > 5 else ""
            raise CheckpointError(
                f"checkpoint {path} belongs to another run: {shown}{more}; use another work_dir or restore the setting"
            )

    def _damaged(self, path: Path, why: str) -> CheckpointError:
        return CheckpointError(f"checkpoint {path} is damaged ({why}); delete it to go on from the one before")


def _sizes(directory: Path) -> dict[str, int]:
    return {str(p.relative_to(directory)): p.stat().st_size for p in sorted(directory.rglob("*")) if p.is_file()}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
