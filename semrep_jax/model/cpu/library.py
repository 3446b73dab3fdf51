"""`kernels.cpp` as functions that jitted programs call: built by g++ at the first use, kept in ~/.cache/semrep_jax.

    if library.usable():
        y = jax.ffi.ffi_call("semrep_by_panels", jax.ShapeDtypeStruct((rows, outputs), jnp.float32))(x, parts, scale)

Where it can't be built the reason is said once, and XLA's own products and attention serve.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

import jax

from semrep_jax.core.compiled import processor
from semrep_jax.core.paths import PathError, expanded

SOURCE = Path(__file__).with_name("kernels.cpp")
DIRECTORY = Path("~/.cache/semrep_jax/kernels")
FLAGS = ("-O3", "-march=native", "-std=c++20", "-fPIC", "-shared")
SECONDS_TO_BUILD = 120
TARGETS = ("semrep_by_panels", "semrep_into_panels", "semrep_to_cached")
LOG = logging.getLogger(__name__)


@functools.cache
def usable() -> bool:
    """Whether the kernels are there; the first call builds them."""
    try:
        library = _library()
    except (OSError, subprocess.SubprocessError) as error:
        LOG.warning("decoding by XLA's matrix products and attention, which are slower here: %s", _reason(error))
        return False
    for target in TARGETS:
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(getattr(library, target)), platform="cpu")
    return True


@functools.cache
def columns() -> int:
    """Of a panel, on this processor."""
    count = _library().semrep_panel
    count.restype = ctypes.c_int64
    return int(count())


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        complaints = [line for line in error.stderr.splitlines() if "error" in line] or ["no reason given"]
        return f"g++ can't build {SOURCE.name} ({complaints[0]}); it needs C++20 (g++ 11 or newer)"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"g++ did not build {SOURCE.name} in {SECONDS_TO_BUILD} s"
    return str(error)


@functools.cache
def _library() -> ctypes.CDLL:
    """The kernels, built if they aren't there yet. Raises OSError and SubprocessError."""
    compiler = shutil.which("g++")
    if compiler is None:
        raise OSError("g++ is not here; install it (e.g. apt install g++)")
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    told = "|".join([SOURCE.read_text(), version, metadata.version("jaxlib"), processor(), *FLAGS])
    name = f"{hashlib.sha256(told.encode()).hexdigest()[:20]}.so"
    try:
        return ctypes.CDLL(str(expanded(DIRECTORY) / name))
    except (OSError, PathError):  # not there, or no library
        pass
    directory = _writable()
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="semrep-kernels-") as scratch:
            return _built(compiler, Path(scratch) / name)
    return _built(compiler, directory / name)


def _writable() -> Path | None:
    """Where libraries are kept; None where nothing can be written there."""
    try:
        directory = expanded(DIRECTORY)
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, PathError):
        return None
    return directory if os.access(directory, os.W_OK) else None


def _built(compiler: str, path: Path) -> ctypes.CDLL:
    """The kernels, built under a name of their own first: several processes may do it at once."""
    handle, scratch = tempfile.mkstemp(suffix=".so", dir=path.parent)
    os.close(handle)
    try:
        command = [compiler, *FLAGS, "-isystem", jax.ffi.include_dir(), str(SOURCE), "-o", scratch]
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS_TO_BUILD)
        with open(scratch, "rb") as built:
            os.fsync(built.fileno())  # a file cut short by a crash would crash whoever loads it
        os.replace(scratch, path)
    finally:
        Path(scratch).unlink(missing_ok=True)
    return ctypes.CDLL(str(path))
