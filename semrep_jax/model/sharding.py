"""One table from logical axes to mesh axes, and what follows from it: parameters born sharded, batches split.

    sharding = build(data=-1, fsdp=2)              # a mesh over the devices at hand
    sharding.named("layers", "embed", "ffn")       # -> NamedSharding

The mesh always has the three named axes (data, fsdp, tensor), also on one device. A batch is split over data and fsdp
together; a weight over fsdp along its model dimension and over tensor along heads, ffn or vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from semrep_jax.core.errors import SemRepError

AXES = ("data", "fsdp", "tensor")
RULES: dict[str, str | tuple[str, ...] | None] = {
    "batch": ("data", "fsdp"),
    "layers": None,
    "vocab": "tensor",
    "embed": "fsdp",
    "heads": "tensor",
    "kv_heads": "tensor",
    "head_dim": None,
    "ffn": "tensor",
}


class ShardingError(SemRepError):
    """A mesh does not fit the devices, or an axis does not divide."""


@dataclass(frozen=True)
class Sharding:
    """A mesh with the rules applied to it."""

    mesh: Mesh

    def size(self, logical: str) -> int:
        """How many pieces the logical axis is cut into."""
        axes = RULES[logical]
        names = () if axes is None else (axes,) if isinstance(axes, str) else axes
        return int(np.prod([self.mesh.shape[a] for a in names], initial=1))

    def named(self, *logical: str | None, shape: tuple[int, ...] | None = None, name: str = "array") -> NamedSharding:
        """NamedSharding for an array whose dimensions carry these logical axes; None replicates one.

        Raises ShardingError where two dimensions claim one mesh axis or, given `shape`, where one does not divide.
        """
        spec = [None if axis is None else RULES[axis] for axis in logical]
        used = [m for s in spec if s is not None for m in ((s,) if isinstance(s, str) else s)]
        if len(used) != len(set(used)):
            raise ShardingError(f"{name}: axes {logical} claim one mesh axis twice ({used}); change sharding.RULES")
        for axis, length in zip(logical, shape or (), strict=False):
            if axis is not None and length % self.size(axis):
                raise ShardingError(
                    f"{name}: axis {axis!r} of length {length} does not divide over {self.size(axis)} devices "
                    f"({RULES[axis]}); choose mesh sizes that divide it"
                )
        return NamedSharding(self.mesh, PartitionSpec(*spec))

    def batch(self, tree: Any) -> Any:
        """Put a tree of host arrays, whole on every process, on the devices.

        Each is split along its first axis, or replicated where that does not divide.
        """

        def put(x: Any) -> Any:
            divides = np.ndim(x) > 0 and np.shape(x)[0] % self.size("batch") == 0
            sharding = self.named("batch") if divides else self.named()
            if sharding.is_fully_addressable:
                return jax.device_put(x, sharding)
            return jax.make_array_from_callback(np.shape(x), sharding, lambda index: np.asarray(x)[index])

        return jax.tree.map(put, tree)

    def local_rows(self, rows: int) -> tuple[int, int]:
        """The rows (begin, end) of a batch of `rows` that this process's devices hold; all where it does not divide."""
        if rows % self.size("batch"):
            return 0, rows
        held = self.named("batch").addressable_devices_indices_map((rows,)).values()
        spans = [(index or (slice(None),))[0].indices(rows)[:2] for index in held]
        return min(begin for begin, _ in spans), max(end for _, end in spans)

    def rows(self, tree: Any, begin: int, total: int) -> Any:
        """Put a tree of host arrays on the devices as `batch` does, where each process has only its own rows.

        begin: the number of the first row at hand, as `local_rows` gives it. total: rows of the whole batch.
        """
        sharding = self.named("batch") if total % self.size("batch") == 0 else self.named()

        def put(x: Any) -> Any:
            def part(index: tuple[slice, ...] | None) -> Any:
                first, last, _ = (index or (slice(None),))[0].indices(total)
                return x[first - begin : last - begin]

            return jax.make_array_from_callback((total, *x.shape[1:]), sharding, part)

        return jax.tree.map(put, tree)

    def fetch(self, tree: Any) -> Any:
        """A tree of device arrays as host arrays, whole on every process. All must call it."""
        return jax.tree.map(
            lambda x: jax.device_get(x) if x.is_fully_addressable else process_allgather(x, tiled=True), tree
        )

    def tree(self, axes: Any, shapes: Any) -> Any:
        """Shardings for a tree of logical-axis tuples, checked against the tree of shapes beside it."""
        return jax.tree.map(
            lambda names, leaf: self.named(*names, shape=leaf.shape, name="/".join(names)),
            axes,
            shapes,
            is_leaf=lambda a: isinstance(a, tuple),
        )


def build(data: int = 1, fsdp: int = 1, tensor: int = 1) -> Sharding:
    """A mesh of data x fsdp x tensor devices; -1 for data takes all that are left. Raises ShardingError.

    It is raised where an axis is below 1, where there are fewer devices than that, or where a process would be left
    without one.
    """
    devices = jax.devices()
    if data == -1:
        data = max(1, len(devices) // (fsdp * tensor))
    wanted = data * fsdp * tensor
    if wanted > len(devices) or min(data, fsdp, tensor) < 1:
        raise ShardingError(
            f"mesh data={data} x fsdp={fsdp} x tensor={tensor} needs {wanted} devices and {len(devices)} are here; "
            "lower mesh.data, mesh.fsdp or mesh.tensor"
        )
    without = jax.process_count() - len({d.process_index for d in devices[:wanted]})
    if without:
        raise ShardingError(
            f"mesh data={data} x fsdp={fsdp} x tensor={tensor} takes {wanted} of {len(devices)} devices and leaves "
            f"{without} of {jax.process_count()} processes without one; raise mesh.data, or -1 for all"
        )
    return Sharding(Mesh(np.array(devices[:wanted]).reshape(data, fsdp, tensor), AXES))
