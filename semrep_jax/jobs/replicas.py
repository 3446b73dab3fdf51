"""Batches that do not divide over a mesh: each of its devices computes the whole of them, which is said.

warn({"rollout.prompts": 6}, pieces=4)      # warning: rollout.prompts: 6 rows do not divide over ...
"""

from __future__ import annotations

from collections.abc import Mapping

from semrep_jax.core.progress import console


def warn(sizes: Mapping[str, int], pieces: int) -> None:
    """Say which batches do not divide.

    sizes: rows of each, by the key that sets them. pieces: devices that a batch is split over.
    """
    for key, size in sizes.items():
        if size % pieces:
            console.print(
                f"warning: {key}: {size} rows do not divide over mesh.data x mesh.fsdp = {pieces} devices, so each "
                f"computes all of them; choose a multiple of {pieces}",
                highlight=False,
                soft_wrap=True,
            )
