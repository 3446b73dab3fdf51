"""Data sets on disk: ArrayRecord shards of JSON records under a manifest, checked when they are opened.

    with Writer(directory, "mined pairs", per_shard=4096) as writer:
        for record in records[writer.done :]:      # started again: what is in finished shards is not written twice
            writer.write(record)
        writer.finish({"made from": "..."})
    Shards(directory)[17]                          # a dict; random access, what Grain reads

A data set is a directory of part-00000.array_record, part-00001.array_record, ... and manifest.json, which is written
last: {"schema", "name", "records", "shards": [{"file", "records", "bytes", "sha256"}], "sha256", "about"}. The same
records make the same bytes, so `sha256` (over the shards' digests) says what the data is. A record is compact JSON in
UTF-8 and one of three kinds, with at least

    pair      id, source, rewrite, rules, entry                        C_src, a C_rep and the rules that made it
    fix       id, source, instruction, target, entry, preserve, edit   C_src, I, C_tgt and the tests; perhaps a rewrite
    function  id, source, entry, tests                                 C_src and its tests

and `origin` (what it was made of), `split` ("train" unless "test": never trained on), `language` (of its programs;
Python where there is none) or whatever else its writer knows. Tests are cases in wire form (`wire_of`). A directory
whose shards were cut short, changed, left unfinished or written under another schema is refused with a DataError that
names the file and the way out.
"""

from __future__ import annotations

import hashlib
import json
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Case, Outcome
from semrep_jax.core.workdir import write_atomically

SCHEMA = 1
MANIFEST = "manifest.json"
# Sixteen records compressed together: smaller than one by one, and still read at random. zstd's level is fixed: the
# same bytes again.
OPTIONS = "group_size:16,zstd:3"
TEXT = (str,)
OPTIONAL_TEXT = (str, type(None))
LIST = (list,)
_OF_ALL = {"id": TEXT, "source": TEXT, "entry": TEXT, "language": OPTIONAL_TEXT}
FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "pair": _OF_ALL | {"rewrite": TEXT, "rules": LIST},
    "fix": _OF_ALL | {"instruction": TEXT, "target": TEXT, "preserve": LIST, "edit": LIST, "rewrite": OPTIONAL_TEXT},
    "function": _OF_ALL | {"tests": LIST},
}
SPLITS = ("train", "test")

Record = dict[str, Any]


@dataclass(frozen=True)
class Shard:
    """A shard as the manifest lists it; `bytes` and `sha256` are of the file."""

    file: str
    records: int
    bytes: int
    sha256: str

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Shard:
        """The shard of a manifest's entry. Raises KeyError, and TypeError where a field is of another type."""
        shard = cls(entry["file"], entry["records"], entry["bytes"], entry["sha256"])
        for name, kind in {"file": str, "records": int, "bytes": int, "sha256": str}.items():
            value = getattr(shard, name)
            if type(value) is not kind or (isinstance(value, int) and value < 1):
                raise TypeError(f"a shard whose {name} is {value!r:.40}")
        return shard


class DataError(SemRepError):
    """A data set is unfinished, damaged, of another version, or another one than before."""


def wire_of(cases: Sequence[Case]) -> list[list[Any]]:
    """Cases as JSON: [arguments, value, error, mutated, output], values in wire form."""
    return [[c.args, c.expected.value, c.expected.error, c.expected.mutated, c.expected.output] for c in cases]


def cases_of(wire: list[list[Any]]) -> tuple[Case, ...]:
    """Cases from their JSON. Raises DataError."""
    try:
        return tuple(Case(args, Outcome(value, error, mutated, output)) for args, value, error, mutated, output in wire)
    except (TypeError, ValueError) as error:
        raise DataError(f"tests {str(wire)[:80]!r} are not in wire form ({error}); write them with wire_of") from error


def check(record: Record) -> None:
    """Raise DataError unless `record` has the fields of its kind, of texts that UTF-8 can hold."""
    if not isinstance(record, dict):
        raise DataError(f"a record is {record!r:.60} and has to be an object")
    kind = record.get("kind")
    if not isinstance(kind, str) or kind not in FIELDS:
        raise DataError(f"record {record.get('id')!r} is of kind {kind!r}; the kinds are {', '.join(FIELDS)}")
    for name, types in FIELDS[kind].items():
        if not isinstance(record.get(name), types):
            wanted = " or ".join(t.__name__ for t in types)
            raise DataError(f"{kind} {record.get('id')!r}: {name} is {record.get(name)!r:.60} and has to be {wanted}")
        if isinstance(record.get(name), str):
            _require_utf8(record[name], f"{kind} {record.get('id')!r}: {name}")
    if record.get("split", "train") not in SPLITS:
        raise DataError(
            f"{kind} {record.get('id')!r}: split is {record['split']!r}; the splits are {' and '.join(SPLITS)}"
        )


def _require_utf8(text: str, what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{what} can't be written as JSON in UTF-8: {error}") from error


def encode(record: Record) -> bytes:
    """A record's bytes. Raises DataError."""
    check(record)
    try:
        return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:  # bytes, NaN, half of a surrogate pair
        raise DataError(f"{record['kind']} {record['id']!r} can't be written as JSON in UTF-8: {error}") from error


def _file_name(index: int) -> str:
    return f"part-{index:05d}.array_record"


def sha256_of(path: Path) -> str:
    """The digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(path: Path) -> Shard:
    """A finished shard."""
    try:
        reader = ArrayRecordReader(str(path))
    except (RuntimeError, ValueError) as error:
        raise DataError(f"{path} is no shard ({error}); remove it, and it is written again") from error
    try:
        return Shard(path.name, reader.num_records(), path.stat().st_size, sha256_of(path))
    finally:
        reader.close()


def _content(shards: list[Shard]) -> str:
    """The digest of the whole: over what every shard holds."""
    return hashlib.sha256("".join(shard.sha256 for shard in shards).encode()).hexdigest()


class Writer:
    """Writes a data set shard by shard. A shard has its final name only when it is whole, so a killed writer goes on:
    `done` records are in finished shards, and writing the rest gives the bytes that an undisturbed writer would have
    left. A finished data set can be grown: it is none until it is finished again.

    directory: made where it is not there. name: of the data set, for people. per_shard: records in a shard. Raises
    DataError.
    """

    def __init__(self, directory: str | Path, name: str, per_shard: int = 4096):
        self.directory, self.name, self.per_shard = Path(directory), name, per_shard
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / MANIFEST).unlink(missing_ok=True)
        self.shards: list[Shard] = []
        self._writer: ArrayRecordWriter | None = None
        self._count = 0
        self._continue()

    @property
    def done(self) -> int:
        """Records that are safely in finished shards."""
        return sum(shard.records for shard in self.shards)

    def _continue(self) -> None:
        for rest in self.directory.glob("*.array_record.tmp"):
            rest.unlink()
        found = sorted(self.directory.glob("part-*.array_record"))
        for index, path in enumerate(found):
            shard = _described(path)
            if path.name != _file_name(index) or shard.records > self.per_shard:
                raise DataError(
                    f"{path} ({shard.records} records) is not shard {index} of a data set with {self.per_shard} "
                    f"records a shard; go on with the same per_shard, or delete {self.directory}"
                )
            # the last of its time is written again, so that the bytes do not depend on the kill
            if shard.records < self.per_shard:
                for later in found[index:]:
                    later.unlink()
                break
            self.shards.append(shard)

    def write(self, record: Record) -> None:
        """Add a record."""
        content = encode(record)
        if self._writer is None:
            self._writer = ArrayRecordWriter(str(self._temporary), OPTIONS)
        self._writer.write(content)
        self._count += 1
        if self._count == self.per_shard:
            self._finish_shard()

    @property
    def _temporary(self) -> Path:
        return self.directory / (_file_name(len(self.shards)) + ".tmp")

    def _finish_shard(self) -> None:
        assert self._writer is not None
        self._writer.close()
        self._writer, self._count = None, 0
        path = self.directory / _file_name(len(self.shards))
        with self._temporary.open("rb") as file:
            os.fsync(file.fileno())
        self._temporary.rename(path)
        self.shards.append(_described(path))

    def finish(self, about: dict[str, Any] | None = None) -> str:
        """Close the last shard and write the manifest, with `about` in it. Returns the content hash."""
        if self._writer is not None:
            self._finish_shard()
        whole = {
            "schema": SCHEMA,
            "name": self.name,
            "records": self.done,
            "shards": [asdict(shard) for shard in self.shards],
            "sha256": _content(self.shards),
        }
        write_atomically(self.directory / MANIFEST, json.dumps(whole | {"about": about or {}}, indent=1) + "\n")
        return str(whole["sha256"])

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:  # not finished: the open shard is begun again by the next writer
            self._writer.close()
            self._writer = None
            self._temporary.unlink(missing_ok=True)


class Shards:
    """The records of a data set, at random (a Grain RandomAccessDataSource). `verify` reads everything and compares
    the digests; sizes are always compared. Raises DataError."""

    def __init__(self, directory: str | Path, verify: bool = False):
        self.directory = Path(directory)
        manifest = self._manifest()
        self.name, self.sha256, self.about = manifest["name"], manifest["sha256"], manifest.get("about", {})
        self.shards = [Shard.from_json(entry) for entry in manifest["shards"]]
        self._ends = list(accumulate(shard.records for shard in self.shards))
        self._readers: dict[int, ArrayRecordReader] = {}
        for shard in self.shards:
            self._check(shard, verify)

    def _manifest(self) -> dict[str, Any]:
        path = self.directory / MANIFEST
        try:
            manifest = json.loads(path.read_text())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            if any(self.directory.glob("part-*")):
                raise DataError(
                    f"{path} is missing: the data set was never finished; run what writes it again, it goes on"
                ) from error
            raise DataError(
                f"{path} does not exist: {self.directory} is no data set; write one (job: mine) or name another"
            ) from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is not JSON ({error}); copy the data set again") from error
        schema = manifest.get("schema") if isinstance(manifest, dict) else None
        if schema != SCHEMA:
            newer = isinstance(schema, int) and schema > SCHEMA
            fix = "update semrep_jax" if newer else "write the data set again with this version"
            raise DataError(f"{path} has schema {schema!r} and this version reads {SCHEMA}; {fix}")
        try:
            records, shards = manifest["records"], [Shard.from_json(entry) for entry in manifest["shards"]]
            content = _content(shards)
            whole = sum(shard.records for shard in shards) == records and content == manifest["sha256"]
            name, twice = manifest["name"], len(shards) != len({shard.file for shard in shards})
            if not isinstance(name, str):
                raise TypeError(f"the name {name!r:.40}")
        except KeyError as error:
            raise DataError(f"{path} lacks {error}; copy the data set again") from error
        except (TypeError, ValueError) as error:
            raise DataError(f"{path} is no manifest of shards ({error}); copy the data set again") from error
        if twice:
            raise DataError(f"{path} lists a shard twice; copy the data set again")
        if not whole:
            raise DataError(
                f"{path} contradicts itself: {manifest['sha256']!r:.20}, but {content[:12]} by its shards; "
                "copy it again"
            )
        if not records:
            raise DataError(f"{path} has no records; write it again with more to write")
        return manifest

    def _check(self, shard: Shard, verify: bool) -> None:
        path = self.directory / shard.file
        if not path.is_file():
            raise DataError(f"{path} is missing and {MANIFEST} lists it; copy the data set again")
        size = path.stat().st_size
        if size != shard.bytes:
            how = "cut short" if size < shard.bytes else "not what was written"
            raise DataError(
                f"{path} is {how}: {size} bytes of {shard.bytes}; copy it again, or write the data set again"
            )
        if verify and (found := sha256_of(path)) != shard.sha256:
            raise DataError(
                f"{path} was changed: its sha256 is {found[:12]} and was {shard.sha256[:12]}; copy it again"
            )

    def __len__(self) -> int:
        return self._ends[-1]

    def __repr__(self) -> str:
        return f"Shards({self.name}@{self.sha256})"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_readers": {}}

    def __getitem__(self, index: int) -> Record:
        index = range(len(self))[index]
        number = bisect_right(self._ends, index)
        return self._read(number, [index - (self._ends[number - 1] if number else 0)])[0]

    def __iter__(self) -> Iterator[Record]:
        """All records in order, a thousand read at a time."""
        for number, shard in enumerate(self.shards):
            for first in range(0, shard.records, 1000):
                yield from self._read(number, list(range(first, min(first + 1000, shard.records))))

    def _opened(self, number: int, path: Path) -> ArrayRecordReader:
        reader, listed = ArrayRecordReader(str(path)), self.shards[number].records
        if reader.num_records() != listed:
            raise DataError(
                f"{path} holds {reader.num_records()} records and {MANIFEST} lists {listed}; copy the data set again"
            )
        return reader

    def _read(self, number: int, indices: list[int]) -> list[Record]:
        path = self.directory / self.shards[number].file
        try:
            if number not in self._readers:
                self._readers[number] = self._opened(number, path)
            found = [json.loads(content) for content in self._readers[number].read(indices)]
        except (RuntimeError, ValueError, IndexError) as error:
            raise DataError(f"{path} can't be read ({str(error)[:120]}); copy it again") from error
        for record in found:
            try:
                check(record)
            except DataError as error:
                raise DataError(f"{path}: {error}; write the data set again") from error
        return found
