"""The work directory of a run: claimed, checked and written so that a later run can trust what it finds.

One process at a time may hold it (a lock that dies with the process), or several that share it; a directory that
belongs to another run is refused with what differs; files that others read (`config.yaml`, `results.json`,
`report.html`) appear whole or not at all. It may be in a bucket (`core/bucket.py`): then `path` is its copy on this
machine.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

from semrep_jax.core.bucket import Bucket, scheme
from semrep_jax.core.errors import SemRepError
from semrep_jax.core.paths import expanded

NEEDED_MB = 200
IDENTITY = "identity.json"
UNKNOWN = "not recorded"  # a setting of another job, or of another version
BEGUN = {IDENTITY, "config.yaml", ".lock", ".turn", "models"}  # what a run has that has made nothing yet
MOST_TOLD = 5  # differences between two runs that are spelt out


class WorkDirError(SemRepError):
    """The work directory can't be used."""


class InUse(WorkDirError):
    """Another process holds the work directory."""


def write_atomically(path: Path, text: str | bytes) -> None:
    """Write `text` so that a reader, or a crash, finds the old file or the new one and nothing between. The new one has
    the old one's mode; one that can't be written whole (a full disk) leaves nothing behind."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # several processes may write one file
    try:
        temporary.write_bytes(text if isinstance(text, bytes) else text.encode())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_kept(path: Path, kind: type = dict) -> Any:
    """The JSON of a file that a run keeps for the next sitting, or None where there is none.

    kind: what it has to hold. Raises WorkDirError with what to do where it holds something else: it was cut short, or
    changed by another hand.
    """
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise WorkDirError(f"{path} is damaged ({error}); delete it, the same command makes it again") from error
    if not isinstance(found, kind):
        raise WorkDirError(f"{path} is damaged (it holds {found!r:.40}); delete it, the same command makes it again")
    return found


def describe_changes(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """What differs between two flat dictionaries, in words; empty where nothing does.

    theirs, ours: what was, and what is. The first few differences are spelt out; the others are counted.
    """
    keys = sorted(set(theirs) | set(ours))
    differ = [
        f"{k} was {_told(theirs, k)} and is {_told(ours, k)}"
        for k in keys
        if theirs.get(k, UNKNOWN) != ours.get(k, UNKNOWN)
    ]
    more = f" and {len(differ) - MOST_TOLD} more" if len(differ) > MOST_TOLD else ""
    return ", ".join(differ[:MOST_TOLD]) + more


def _told(settings: dict[str, Any], key: str) -> str:
    return repr(settings[key]) if key in settings else UNKNOWN


class WorkDir:
    """A directory claimed for a run.

    path: where: a directory, or gs:// or s3://. identity: flat settings that a run which goes on here must share.
    leader: whether this process holds and writes it; a run's other processes only read. may_change: keys of the
    identity that may differ here; whether the run can go on with them is decided by its checkpoints. shared: whether
    other processes that say so too may hold it at the same time. Raises WorkDirError and BucketError, InUse where
    another process holds it.
    """

    def __init__(
        self,
        path: str | Path,
        identity: dict[str, Any],
        leader: bool = True,
        may_change: Collection[str] = (),
        shared: bool = False,
    ):
        self.bucket = Bucket(str(path), leader) if scheme(path) else None
        self.path = self.bucket.path if self.bucket else expanded(path)
        self.leader, self.may_change, self.shared = leader, may_change, shared
        self.held: list[IO[str]] = []
        try:
            self._open(identity)
        except SemRepError:
            self.close()
            raise

    def _open(self, identity: dict[str, Any]) -> None:
        """Claim it, and fetch what a bucket holds of it."""
        if self.leader:
            self._claim()
        if self.bucket:
            self.bucket.clear()
        if self.leader:
            if self.bucket:
                self.bucket.fetch_only(IDENTITY, "config.yaml")
            self._require_same_run(identity)
            if self.bucket:
                self.bucket.take()
        if self.bucket:
            self.bucket.fetch()
        self.write(IDENTITY, identity)

    def address(self, path: Path) -> str:
        """Where a person finds what is at `path` in here."""
        return self.bucket.stored(path) if self.bucket else str(path)

    def copy(self) -> None:
        """Copy what has changed to the bucket, where there is one."""
        if self.bucket:
            self.bucket.copy()

    def _claim(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("a")
        except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
            why = error.strerror if isinstance(error, OSError) else error
            why = "it is a file" if isinstance(error, FileExistsError) else why
            raise WorkDirError(
                f"work_dir {self.path} is not writable ({why}); choose another with --set work_dir=PATH"
            ) from error
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise InUse(f"work_dir {self.path} is in use by another process; wait for it or choose another") from error
        except OSError as error:
            lock.close()
            raise WorkDirError(
                f"work_dir {self.path} is on a file system without locks ({error.strerror}); choose another"
            ) from error
        self.held.append(lock)
        free = shutil.disk_usage(self.path).free >> 20
        if free < NEEDED_MB:
            raise WorkDirError(
                f"work_dir {self.path} has {free} MiB of free disk and a run needs {NEEDED_MB}; "
                "free some or choose another"
            )

    def close(self) -> None:
        """Let go of the directory."""
        for held in self.held:
            held.close()

    def alone(self) -> None:
        """Wait until no other process that shares the directory has said this; it holds until the directory is let go
        of."""
        turn = (self.path / ".turn").open("a")
        self.held.append(turn)
        fcntl.flock(turn, fcntl.LOCK_EX)

    def _require_same_run(self, identity: dict[str, Any]) -> None:
        path, here = self.address(self.path / IDENTITY), self.bucket.url if self.bucket else self.path
        try:
            theirs = read_kept(self.path / IDENTITY)
        except WorkDirError as error:
            raise WorkDirError(
                f"{path} is damaged ({error.__cause__}); use another work_dir or delete {here}"
            ) from error
        if theirs is None:
            if (self.path / "config.yaml").exists():
                raise WorkDirError(
                    f"{here} holds a run of another version (it has no {IDENTITY}); "
                    f"use another work_dir or delete {here}"
                )
            return
        alone = not self.bucket and not self.shared
        if alone and {path.name for path in self.path.iterdir()} <= BEGUN:
            return
        theirs, ours = ({k: v for k, v in i.items() if k not in self.may_change} for i in (theirs, identity))
        changes = describe_changes(theirs, ours)
        if changes:
            raise WorkDirError(
                f"work_dir {here} holds a run of another config: {changes}; use another work_dir or delete that one"
            )

    def write(self, name: str, content: str | dict[str, Any]) -> Path:
        """Write text or JSON under `name`, atomically; what other processes than the leader would write is the same.

        In a bucket it comes after all that was written before it.
        """
        path = self.path / name
        if not self.leader:
            return path
        self.copy()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content if isinstance(content, str) else json.dumps(content, indent=1) + "\n")
        self.copy()
        return path

    def read(self, name: str) -> Any:
        """The dict of JSON under `name`, or None where there is none. Raises WorkDirError where it is damaged."""
        return read_kept(self.path / name)
