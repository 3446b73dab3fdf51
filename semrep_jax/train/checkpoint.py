"""Checkpoints through Orbax: atomic, asynchronous, the newest N kept, refused where they belong to another run.

A checkpoint holds the arrays (parameters, optimiser state) and a JSON part (step, loader state, budget, counters). Its
*identity* (config, data) is compared before anything is restored; what differs is named. A step directory appears under
its final name only when it is whole, so `kill -9` during a save leaves the previous one. One that is damaged all the
same (a file cut short, or an array whose bits are not those that were saved) is put aside, and the one before is gone
on from. The processes of a run save together into one directory that all share; another number of processes, or of
devices, restores it. With a bucket they are written there (`gs://`), or here and copied there once whole (`s3://`).
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental.multihost_utils import sync_global_devices

from semrep_jax.core.bucket import SIZES, Bucket, BucketError
from semrep_jax.core.errors import SemRepError, first_line
from semrep_jax.core.workdir import describe_changes, write_atomically

logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax logs with a traceback what it raises beside

# By a key of the identity: what its change from one value to another means, or None where it is not allowed.
MayChange = Mapping[str, Callable[[Any, Any], str | None]]
OTHER_MESH: MayChange = dict.fromkeys(
    ("mesh.data", "mesh.fsdp", "mesh.tensor"), lambda was, now: "sums are rounded in another order from here on"
)


# The unsigned type of so many bytes, and what makes neighbouring places differ in all bits.
UNSIGNED = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}
SPREAD = 2_654_435_761


class CheckpointError(SemRepError):
    """A checkpoint is damaged, or belongs to another run."""


class Damaged(CheckpointError):
    """One checkpoint can't be read."""


@dataclass(frozen=True)
class Restored:
    """What a checkpoint gave back. notes: what a person should know of it, a line each."""

    step: int
    state: Any
    record: dict[str, Any]
    notes: tuple[str, ...] = ()


class Checkpoints:
    """The checkpoints of one run in `directory`.

    identity: a flat dict of what a resumed run must share. keep: how many stay. may_change: keys of the identity that
    may differ all the same. bucket: where `directory` belongs to a bucket's scratch directory.
    """

    def __init__(
        self,
        directory: Path,
        identity: dict[str, Any],
        keep: int,
        may_change: MayChange | None = None,
        bucket: Bucket | None = None,
    ):
        self.identity, self.may_change, self.bucket, self.here = identity, may_change or {}, bucket, directory
        stored = bucket.stored(directory) if bucket and bucket.direct else directory.resolve()
        self.directory = epath.Path(stored)
        with self._writing():
            self.directory.mkdir(parents=True, exist_ok=True)
        _let_no_abandoned_work_speak()
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        self.manager = ocp.CheckpointManager(self.directory, options=options)

    @property
    def newest(self) -> str:
        """The newest checkpoint in words."""
        step = self.manager.latest_step()
        return "there is no checkpoint yet" if step is None else f"the last good checkpoint is {self._path(step)}"

    def save(self, step: int, state: Any, record: dict[str, Any]) -> None:
        """Start saving a checkpoint; it is whole after the next `wait`.

        step: its number. state: a tree of arrays. record: JSON beside it. Raises CheckpointError where the one before
        it could not be written. What the run has written so far goes to the bucket first.
        """
        whole = {"identity": self.identity, "record": record, "sums": checksums(state)}
        whole = json.loads(json.dumps(whole))  # Orbax writes it while the run goes on, and changes what it was made of
        self.wait()
        with self._writing():
            if self.bucket:
                self.bucket.copy()
            self.manager.save(
                step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), run=ocp.args.JsonSave(whole))
            )
        if self._copies:
            self.wait()

    @property
    def _copies(self) -> bool:
        """Whether a checkpoint counts once it has been copied to a bucket."""
        return self.bucket is not None and not self.bucket.direct

    def restore(self, like: Any) -> Restored | None:
        """The newest intact checkpoint laid out like the tree `like`; None where there is none at all.

        Newer ones that are damaged are put aside, with a note. Raises CheckpointError where every one is damaged, or
        the newest intact one belongs to another run.
        """
        steps = sorted(self.manager.all_steps(), reverse=True)
        damaged: dict[int, Damaged] = {}
        for step in steps:
            try:
                restored = self._read(step, like)
            except Damaged as error:
                damaged[step] = error
                continue
            notes = [self._put_aside(bad, step, error) for bad, error in damaged.items()]
            return Restored(step, restored.state, restored.record, (*notes, *restored.notes))
        if damaged:
            first = next(iter(damaged.values()))
            raise CheckpointError(f"{first}; no other one is intact: delete {self.directory} to begin again")
        return None

    def _read(self, step: int, like: Any) -> Restored:
        path = self._path(step)
        self._check_sizes(path)
        with _reading(path):
            whole = self.manager.restore(step, args=ocp.args.Composite(run=ocp.args.JsonRestore()))["run"]
            theirs, record = whole["identity"], whole["record"]
        notes = self._same_run(theirs, path)
        with _reading(path):
            state = self.manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(like)))["state"]
        _check_sums(whole.get("sums", {}), state, path)
        return Restored(step, state, record, notes)

    def _put_aside(self, step: int, instead: int, error: Damaged) -> str:
        """Move a damaged checkpoint out of the way of those to come; what is lost by it, in words."""
        aside = self.directory.parent / f"{self.directory.name}-damaged" / str(step)
        if jax.process_index() == 0:
            aside.parent.mkdir(exist_ok=True)
            aside.rmtree(missing_ok=True)
            self._path(step).rename(aside)
        if jax.process_count() > 1:
            sync_global_devices("a damaged checkpoint is put aside")
        self.manager.reload()
        lost = step - instead
        return (
            f"{error}; it is now {aside}, and steps {instead + 1} to {step} ({lost}) are taken again from "
            f"{self._path(instead)}"
        )

    def wait(self) -> None:
        """Block until every started save is on disk. Raises CheckpointError where it could not be written."""
        with self._writing():
            self.manager.wait_until_finished()
            if jax.process_index() == 0:
                sizes = json.dumps({str(s): self._sizes(self._path(s)) for s in self.manager.all_steps()})
                if self.bucket and self.bucket.direct:
                    (self.directory / SIZES).write_text(sizes)  # an object of a bucket appears whole
                else:
                    write_atomically(Path(self.directory / SIZES), sizes)
                if self._copies and self.bucket:
                    self.bucket.copy_checkpoints(self.here)

    def _check_sizes(self, path: epath.Path) -> None:
        """Refuse a checkpoint with a file cut short, before Orbax's threads trip over it."""
        try:
            known = json.loads((self.directory / SIZES).read_text()).get(path.name, {})
        except (FileNotFoundError, ValueError, AttributeError):
            return  # killed during the first save: what is there under a final name is whole
        now = self._sizes(path)
        for name, size in known.items():
            if now.get(name) != size:
                raise _damaged(path, f"{name} has {now.get(name, 0)} bytes and was written with {size}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except BucketError:
            raise
        except Exception as error:
            mend = "see that the bucket can be written to" if self.bucket and self.bucket.direct else "free some disk"
            raise CheckpointError(
                f"could not write a checkpoint under {self.directory}: {first_line(error)}; {mend}"
            ) from error

    def close(self) -> None:
        """Wait for saves and let go of the directory."""
        self.wait()
        self.manager.close()

    def _path(self, step: int) -> epath.Path:
        return self.directory / str(step)

    def _sizes(self, directory: epath.Path) -> dict[str, int]:
        """Bytes of each file below a directory."""
        if self.bucket and self.bucket.direct:
            return self.bucket.sizes(str(directory))
        files = (p for p in sorted(Path(directory).rglob("*")) if p.is_file())
        return {str(p.relative_to(directory)): p.stat().st_size for p in files}

    def _same_run(self, theirs: dict[str, Any], path: epath.Path) -> tuple[str, ...]:
        """What has changed and may, in words. Raises CheckpointError for what may not."""
        notes, ours = [], dict(self.identity)
        for key, meaning in self.may_change.items():
            was, now = theirs.get(key), ours.get(key)
            if was != now and (note := meaning(was, now)) is not None:
                notes.append(f"{key} was {was!r} and is {now!r}: {note}")
                ours[key] = was
        changes = describe_changes(theirs, ours)
        if changes:
            raise CheckpointError(
                f"checkpoint {path} belongs to another run: {changes}; use another work_dir or restore the setting"
            )
        return tuple(notes)


def checksums(tree: Any) -> dict[str, int]:
    """A number for each array of a tree by its path, the same on every mesh, that any changed bit changes."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    arrays = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    return {path: int(found) for path, found in jax.device_get(_sums(arrays)).items()}


@jax.jit
def _sums(arrays: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Of each array the sum of its bits by elements, each times an odd number of its place, modulo 2**32."""
    return {path: _sum(array) for path, array in arrays.items()}


def _sum(array: jax.Array) -> jax.Array:
    bytes_each = array.dtype.itemsize
    if jnp.issubdtype(array.dtype, jnp.floating) and bytes_each in UNSIGNED:
        array = jax.lax.bitcast_convert_type(array, UNSIGNED[bytes_each])
    bits, place, stride = array.astype(jnp.uint32), jnp.zeros(array.shape, jnp.uint32), 1
    for axis in reversed(range(array.ndim)):
        place += jax.lax.broadcasted_iota(jnp.uint32, array.shape, axis) * jnp.uint32(stride % 2**32)
        stride *= array.shape[axis]
    return jnp.sum(bits * (place * jnp.uint32(SPREAD) * 2 + 1), dtype=jnp.uint32)


def _check_sums(known: Mapping[str, int], state: Any, path: epath.Path) -> None:
    """Refuse arrays that are not what was written; a checkpoint of an older version knows none."""
    now = checksums(state) if known else {}
    changed = [name for name, value in now.items() if known.get(name) != value]
    if changed:
        raise _damaged(path, f"{len(changed)} of its arrays are not what was written, {changed[0]} first")


@contextmanager
def _reading(path: epath.Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _damaged(path, first_line(error)) from error


def _let_no_abandoned_work_speak() -> None:
    """Keep what Orbax's other reads and writes come to, once one has failed, off the screen: the error that is raised
    says it. On a full disk they speak before it does or after, as coroutines that were not awaited and as futures that
    nobody asked."""
    others = sys.unraisablehook
    if getattr(others, "leaves_abandoned_work_out", False):
        return

    def hook(raised: Any) -> None:
        code = getattr(raised.object, "cr_code", None)
        ours = code is not None and "orbax" in code.co_filename
        if not ours and str(raised.exc_value) != "Event loop is closed":
            others(raised)

    hook.leaves_abandoned_work_out = True  # type: ignore[attr-defined]
    sys.unraisablehook = hook
    logging.getLogger("asyncio").addFilter(lambda record: not _is_of_abandoned_work(record))


def _is_of_abandoned_work(record: logging.LogRecord) -> bool:
    """Whether asyncio tells of an exception in Orbax's code that nobody has asked for."""
    trace = record.exc_info[2] if record.exc_info else None
    files = [frame.filename for frame in traceback.extract_tb(trace)]
    return "never retrieved" in record.getMessage() and any("orbax" in name for name in files)


def _damaged(path: epath.Path, why: str) -> Damaged:
    return Damaged(f"checkpoint {path} is damaged ({why})")
