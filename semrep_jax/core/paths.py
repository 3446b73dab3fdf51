"""Paths as people write them: `~` is somebody's home.

expanded("~/models/smollm2")          # /home/me/models/smollm2
"""

from __future__ import annotations

from pathlib import Path

from semrep_jax.core.errors import SemRepError


class PathError(SemRepError):
    """A path with a `~` that stands for nobody's home."""


def expanded(path: str | Path) -> Path:
    """The path with its `~` replaced. Raises PathError."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # no such user, or one without a home
        raise PathError(f"{path}: the ~ can't be expanded ({error}); write the whole path") from error
