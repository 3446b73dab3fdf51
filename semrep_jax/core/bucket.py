"""A work directory in a bucket: `--set work_dir=gs://BUCKET/RUN` (or s3://), for machines that are taken away.

    pip install -e ".[gs]"      # or ".[s3]"; credentials: gcloud auth application-default login, or AWS_PROFILE

The run writes its small files (metrics.jsonl, samples.jsonl, results.json, report.html, exported models) to a scratch
directory of its machine, which is emptied and filled from the bucket at the start and copied to it before each
checkpoint: what a checkpoint stands on is there before it. Checkpoints themselves:

* `gs://`: Orbax writes and reads them in the bucket, each process its part; nothing but the bucket is shared.
* `s3://`: Orbax 0.12 writes no arrays there, so one process saves to the scratch directory and copies the whole
  checkpoint, its list of sizes last. Several processes are refused.

The newest process that opens a bucket holds it. One that finds another's name there ends at its next copy, so that a
machine which was thought lost and comes back does not go on beside the one that took its place.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from semrep_jax.core.errors import SemRepError

# By scheme: the package that brings it, and what gives it the right to write.
_PACKAGES = {"gs": "gcsfs", "s3": "s3fs"}
_CREDENTIALS = {
    "gs": "gcloud auth application-default login, or a service account that may write there (roles/storage.objectUser)",
    "s3": "aws configure, or AWS_PROFILE, or a role that may list, read, write and delete there",
}
HOLDER = "holder.json"
SIZES = "sizes.json"
_CHECKPOINTS = "checkpoints"
_NEVER_READ_BACK = ".safetensors"  # an exported model: for people, not for the run that goes on
_OF_THE_MACHINE = (".lock", HOLDER)


class BucketError(SemRepError):
    """A bucket can't be used."""


def scheme(work_dir: str | Path) -> str | None:
    """ "gs" or "s3" where a work directory is in a bucket, None where it is a path. Raises BucketError for another."""
    name, separator, rest = str(work_dir).partition("://")
    if not separator:
        return None
    if name not in _PACKAGES:
        raise BucketError(
            f"work_dir {work_dir}: {name}:// is not known; use a path, gs://BUCKET/RUN or s3://BUCKET/RUN"
        )
    bucket, _, path = rest.partition("/")
    if not bucket or not path.strip("/"):
        raise BucketError(f"work_dir {work_dir}: name a directory in the bucket too, as {name}://BUCKET/RUN")
    return name


def require_usable(work_dir: str | Path, several: bool) -> None:
    """What can be said of a work directory before anything is reached. several: whether the run has several processes.

    Raises BucketError.
    """
    name = scheme(work_dir)
    if name is None:
        return
    if importlib.util.find_spec(_PACKAGES[name]) is None:
        raise BucketError(f'work_dir {work_dir}: {_PACKAGES[name]} is not installed; pip install -e ".[{name}]"')
    if name == "s3" and several:
        raise BucketError(
            f"work_dir {work_dir}: several processes can't save into s3://; use a directory that all share "
            "(FSx, EFS, NFS) or gs://"
        )


class Bucket:
    """A run's directory in a bucket, and its copy in the scratch directory `path`.

    url: gs:// or s3://. leader: whether this process writes what others read. scratch: the directory of all scratch
    directories; $SEMREP_SCRATCH or ~/.cache/semrep_jax by default. Raises BucketError.
    """

    def __init__(self, url: str, leader: bool = True, scratch: Path | None = None):
        self.url, self.leader, self.scheme = url.rstrip("/"), leader, str(scheme(url))
        require_usable(url, several=False)
        import fsspec

        self.files: Any = fsspec.filesystem(self.scheme, use_listings_cache=False)
        above = scratch or Path(os.environ.get("SEMREP_SCRATCH", Path.home() / ".cache" / "semrep_jax"))
        if leader:
            self.path = above / self.url.replace("://", "-").replace("/", "-")
        else:
            self.path = Path(tempfile.mkdtemp(prefix="semrep-"))
            atexit.register(shutil.rmtree, self.path, ignore_errors=True)
        self._copied: dict[str, tuple[int, int]] = {}
        self._me = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}"

    @property
    def direct(self) -> bool:
        """Whether checkpoints are written in the bucket itself."""
        return self.scheme == "gs"

    def stored(self, path: Path) -> str:
        """The address of what is at `path` in the scratch directory."""
        inside = path.relative_to(self.path).as_posix()
        return self.url if inside == "." else f"{self.url}/{inside}"

    def clear(self) -> None:
        """Empty the scratch directory: what counts is in the bucket."""
        for old in self.path.iterdir():
            if old.name not in _OF_THE_MACHINE:
                shutil.rmtree(old) if old.is_dir() else old.unlink()

    def fetch_only(self, *names: str) -> None:
        """Fill in these files, where they are in the bucket. Raises BucketError."""
        with self._reached("read"):
            for name in names:
                if self.files.exists(f"{self.url}/{name}"):
                    self._get(name)

    def take(self) -> None:
        """Become the holder. Raises BucketError where this process may not write there."""
        with self._reached("write"):
            self.files.pipe_file(f"{self.url}/{HOLDER}", json.dumps({"holder": self._me}).encode())
            self._require_held()

    def fetch(self) -> None:
        """Fill the scratch directory from the bucket. Raises BucketError."""
        with self._reached("read"):
            for name in self._names():
                if not name.endswith(_NEVER_READ_BACK):
                    self._get(name)

    @contextmanager
    def _reached(self, doing: str) -> Iterator[None]:
        try:
            yield
        except BucketError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise BucketError(
                f"work_dir {self.url}: can't {doing} ({type(error).__name__}: {said}); does the bucket exist, and may "
                f"you {doing} there? {_CREDENTIALS[self.scheme]}"
            ) from error

    def _require_held(self) -> None:
        """Raises BucketError where another process has opened the bucket since."""
        holder = json.loads(self.files.cat_file(f"{self.url}/{HOLDER}"))["holder"]
        if holder != self._me:
            raise BucketError(f"work_dir {self.url} was taken over by another process ({holder}); this one ends")

    def _names(self) -> list[str]:
        """What is in the bucket, without checkpoints that Orbax reads for itself or that are not whole."""
        known = {name: int(info["size"]) for name, info in self._listing(self.url).items()}
        names = [name for name in known if _is_small(name)]
        if self.direct:
            return names
        for name in known:
            *above, last = name.split("/")
            if last == SIZES and above and above[-1] == _CHECKPOINTS:
                whole = json.loads(self.files.cat_file(f"{self.url}/{name}"))
                inside = [f"{'/'.join(above)}/{step}/{n}" for step, sizes in whole.items() for n in sizes]
                names += [name, *(n for n in inside if n in known)]
        return names

    def _listing(self, url: str) -> dict[str, dict[str, Any]]:
        """By name below `url`: what the bucket says of each object."""
        found = self.files.find(url, detail=True)
        root = url.split("://", 1)[1] + "/"
        return {n.removeprefix(root): info for n, info in sorted(found.items()) if n.startswith(root) and n != root}

    def _get(self, name: str) -> None:
        to = self.path / name
        to.parent.mkdir(parents=True, exist_ok=True)
        self.files.get_file(f"{self.url}/{name}", str(to))
        self._copied[name] = _mark(to)

    def copy(self) -> None:
        """Copy to the bucket what has changed since the last copy, checkpoints aside. Raises BucketError."""
        if not self.leader:
            return
        with self._reached("write"):
            self._require_held()
            for path in sorted(self.path.rglob("*")):
                name = path.relative_to(self.path).as_posix()
                if _is_small(name) and path.is_file() and path.suffix != ".tmp":
                    self._put(path, name)

    def copy_checkpoints(self, directory: Path) -> None:
        """Copy the whole checkpoints of a directory that names them in `sizes.json`, that file last; what is no longer
        there goes from the bucket too. Raises BucketError."""
        with self._reached("write"):
            self._require_held()
            here, there = directory.relative_to(self.path).as_posix(), self.stored(directory)
            steps = json.loads((directory / SIZES).read_text())
            for step, sizes in steps.items():
                for inside in sizes:
                    self._put(directory / step / inside, f"{here}/{step}/{inside}")
            self._put(directory / SIZES, f"{here}/{SIZES}")
            for name in self._listing(there):
                step, _, inside = name.partition("/")
                if inside and step not in steps:
                    self.files.rm_file(f"{there}/{name}")
                    self._copied.pop(f"{here}/{name}", None)

    def sizes(self, url: str) -> dict[str, int]:
        """Bytes of each file below an address of the bucket."""
        return {name: int(info["size"]) for name, info in self._listing(url).items()}

    def _put(self, path: Path, name: str) -> None:
        mark = _mark(path)
        if self._copied.get(name) != mark:
            self.files.put_file(str(path), f"{self.url}/{name}")
            self._copied[name] = mark


def _is_small(name: str) -> bool:
    """Whether a file is copied with the small ones: none of a checkpoint, whole, damaged or half written."""
    return name not in _OF_THE_MACHINE and not any(part.startswith(_CHECKPOINTS) for part in name.split("/")[:-1])


def _mark(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
