"""Compiled programs are kept from run to run, so that the second one starts in seconds.

JAX keys them by program, versions and flags, not by processor: each kind of processor has a directory of its own here.
The environment variable JAX_COMPILATION_CACHE_DIR names another place, or none where it is empty.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

from semrep_jax.core.paths import PathError, expanded

VARIABLE = "JAX_COMPILATION_CACHE_DIR"
DIRECTORY = Path("~/.cache/semrep_jax/compiled")
CPUINFO = Path("/proc/cpuinfo")


def keep_compiled() -> None:
    """Set where JAX keeps compiled programs, unless the user has. Called before JAX is imported; where nothing can be
    written there, nothing is kept."""
    if VARIABLE in os.environ:
        return
    try:
        directory = expanded(DIRECTORY) / processor()
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, PathError):
        return
    if os.access(directory, os.W_OK):
        os.environ[VARIABLE] = str(directory)


def processor() -> str:
    """A word for what this processor can run."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    told = {line for line in lines if line.startswith(("flags", "Features", "model name"))}
    return hashlib.sha256("\n".join([platform.machine(), *sorted(told)]).encode()).hexdigest()[:12]
