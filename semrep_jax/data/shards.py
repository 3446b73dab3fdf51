"""Records in ArrayRecord shards, with a manifest that says what is in them: written once, resumably; read at random.

    with Writer(path, "mined pairs", per_shard=4096) as writer:      # after a kill: writer.done records are safe already
        for record in records[writer.done:]: writer.write(record)
        writer.finish({"packages": [...]})
    data = Shards(path)                                              # a Grain random-access source of dicts; len(data), data[7]

A record is a JSON object, kept as compact UTF-8. The same records give the same bytes. Nothing is a data set until its manifest is there.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import os
from pathlib import Path
from typing import Any, Self

from array_record.python import array_record_module

from semrep_jax.programs import SemRepError

SCHEMA = 1
MANIFEST = "manifest.json"
# One record a group: any record is read alone. zstd's level is fixed, so that the same records give the same bytes.
OPTIONS = "group_size:1,zstd:3"


class DataError(SemRepError):
    """A data set is missing, unfinished, damaged, of another schema, or not the one that a run began with."""


class Writer:
    """Writes a data set shard by shard; a shard appears whole, under its name, or not at all."""

    def __init__(self, directory: Path, name: str, per_shard: int = 4096):
        self.directory, self.name, self.per_shard = directory, name, per_shard
        directory.mkdir(parents=True, exist_ok=True)
        (directory / MANIFEST).unlink(missing_ok=True)
        for left in directory.glob("*.tmp"):
            left.unlink()
        self.shards: list[dict[str, Any]] = []
        while (path := self._path(len(self.shards))).exists():
            self.shards.append(_described(path))
        if self.shards and self.shards[-1]["records"] != per_shard:  # the last one of a data set that was finished: it may grow now
            self._path(len(self.shards) - 1).unlink()
            self.shards.pop()
        self.pending: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.pending.clear()

    @property
    def done(self) -> int:
        """Records written so far, those of the unfinished shard too; right after a kill those that are safe."""
        return sum(s["records"] for s in self.shards) + len(self.pending)

    def write(self, record: dict[str, Any]) -> None:
        """Add a record."""
        self.pending.append(json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode())
        if len(self.pending) == self.per_shard:
            self._flush()

    def finish(self, about: dict[str, Any]) -> None:
        """Write the last shard and the manifest: the data set is there."""
        if self.pending:
            self._flush()
        whole = hashlib.sha256("".join(s["sha256"] for s in self.shards).encode()).hexdigest()
        records = sum(s["records"] for s in self.shards)
        manifest = {"schema": SCHEMA, "name": self.name, "records": records, "sha256": whole, "shards": self.shards, "about": about}
        _atomically(self.directory / MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")

    def _path(self, index: int) -> Path:
        return self.directory / f"part-{index:05d}.array_record"

    def _flush(self) -> None:
        path = self._path(len(self.shards))
        temporary = path.with_name(path.name + ".tmp")
        writer = array_record_module.ArrayRecordWriter(str(temporary), OPTIONS)
        for record in self.pending:
            writer.write(record)
        writer.close()
        os.replace(temporary, path)
        self.shards.append(_described(path))
        self.pending.clear()


class Shards:
    """A finished data set. Raises DataError where it is none, is damaged (sizes; with `verify` every byte), or is of another schema."""

    def __init__(self, directory: Path, verify: bool = False):
        self.directory = directory
        try:
            self.manifest = json.loads((directory / MANIFEST).read_text())
        except FileNotFoundError as error:
            unfinished = any(directory.glob("part-*"))
            hint = "it was not finished: run what writes it again" if unfinished else "name the directory of a data set"
            raise DataError(f"{directory} has no {MANIFEST}; {hint}") from error
        except (OSError, ValueError) as error:
            raise DataError(f"{directory / MANIFEST} can't be read ({error}); write the data set again") from error
        if self.manifest.get("schema") != SCHEMA:
            raise DataError(f"{directory} has schema {self.manifest.get('schema')!r} and this version reads {SCHEMA}; write it again")
        if not self.manifest["records"]:
            raise DataError(f"{directory} holds no record; write it again with more to write")
        for shard in self.manifest["shards"]:
            self._check(directory / shard["file"], shard, verify)
        self.starts = [0, *itertools.accumulate(s["records"] for s in self.manifest["shards"])]
        self.readers: dict[int, Any] = {}

    def _check(self, path: Path, shard: dict[str, Any], verify: bool) -> None:
        if not path.exists():
            raise DataError(f"{path} is missing; copy it again or write the data set again")
        if path.stat().st_size != shard["bytes"]:
            raise DataError(
                f"{path} has {path.stat().st_size} bytes and should have {shard['bytes']}: it was cut short or replaced; copy it again"
            )
        if verify and _sha256(path) != shard["sha256"]:
            raise DataError(f"{path} has other bytes than its manifest says; copy it again or write the data set again")

    @property
    def sha256(self) -> str:
        """Hex digest of all shards."""
        return str(self.manifest["sha256"])

    def __len__(self) -> int:
        return int(self.manifest["records"])

    def __repr__(self) -> str:
        return f"Shards({self.sha256})"

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)} in {self.directory}")
        which = bisect.bisect_right(self.starts, index) - 1
        if which not in self.readers:
            path = self.directory / self.manifest["shards"][which]["file"]
            self.readers[which] = array_record_module.ArrayRecordReader(str(path))
        try:
            (data,) = self.readers[which].read([index - self.starts[which]])
            record: dict[str, Any] = json.loads(data)
        except (RuntimeError, ValueError, IndexError) as error:
            shard = self.manifest["shards"][which]["file"]
            raise DataError(f"record {index} in {self.directory / shard} is damaged ({error}); copy the shard again") from error
        return record

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"readers": {}}  # readers stay with their process


def _described(path: Path) -> dict[str, Any]:
    reader = array_record_module.ArrayRecordReader(str(path))
    return {"file": path.name, "records": reader.num_records(), "bytes": path.stat().st_size, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _atomically(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)
