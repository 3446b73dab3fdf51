"""The work directory of a run: claimed, checked and written so that a later run can trust what it finds.

One process at a time may hold it (a lock that dies with the process); a directory that belongs to another config is refused
with what differs; files that others read (`config.yaml`, `results.json`, `report.html`) appear whole or not at all.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.settings import ConfigError
from semrep_jax.jobs.config import Config, build

NEEDED_MB = 200


class WorkDirError(SemRepError):
    """The work directory can't be used."""


def write_atomically(path: Path, text: str) -> None:
    """Write `text` so that a reader, or a crash, finds the old file or the new one and nothing between."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


class WorkDir:
    """`config.work_dir`, claimed for the run. Only its leader holds and writes it; its other processes read. Raises WorkDirError."""

    def __init__(self, config: Config, leader: bool = True):
        self.path, self.leader = Path(config.work_dir), leader
        if leader:
            self._claim(config)

    def _claim(self, config: Config) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock = (self.path / ".lock").open("a")
        except OSError as error:
            raise WorkDirError(
                f"work_dir {self.path} is not writable ({error.strerror}); choose another with --set work_dir=PATH"
            ) from error
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WorkDirError(
                f"work_dir {self.path} is in use by another process; wait for it or choose another"
            ) from error
        free = shutil.disk_usage(self.path).free >> 20
        if free < NEEDED_MB:
            raise WorkDirError(
                f"work_dir {self.path} has {free} MiB of free disk and a run needs {NEEDED_MB}; free some or choose another"
            )
        self._same_config(config)
        self.write("config.yaml", config.to_yaml())

    def _same_config(self, config: Config) -> None:
        path = self.path / "config.yaml"
        if not path.exists():
            return
        try:
            theirs = build(yaml.safe_load(path.read_text()), str(path)).comparable()
        except (yaml.YAMLError, ConfigError) as error:
            raise WorkDirError(
                f"{path} is not a config of this version ({error}); use another work_dir or delete {self.path}"
            ) from error
        ours = config.comparable()
        differ = [f"{k} was {theirs.get(k)!r} and is {v!r}" for k, v in ours.items() if theirs.get(k) != v]
        if differ:
            raise WorkDirError(
                f"work_dir {self.path} holds a run of another config: {', '.join(differ[:5])}"
                f"{f' and {len(differ) - 5} more' if len(differ) > 5 else ''}; use another work_dir or delete that one"
            )

    def write(self, name: str, content: str | dict[str, Any]) -> Path:
        """Write text or JSON under `name`, atomically; what other processes than the leader would write is the same."""
        path = self.path / name
        if not self.leader:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content if isinstance(content, str) else json.dumps(content, indent=1) + "\n")
        return path

    def read(self, name: str) -> Any:
        """The JSON under `name`, or None where there is none."""
        path = self.path / name
        return json.loads(path.read_text()) if path.exists() else None
