"""Every tool's first import: it runs the package that it lies beside, and ends in one true line where it can't.

    import checkout  # before semrep_jax

Puts the checkout before whatever is installed. What a person can mend (a package that is missing, a file, a disk, a
model) ends the tool with `error: ...` and exit code 2; a fault of ours keeps its traceback.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
# What a package that is not installed comes with.
EXTRAS = {
    "torch": "bench",
    "transformers": "bench",
    "trl": "bench",
    "datasets": "bench",
    "accelerate": "bench",
    "cupy": "cuda13",
    "cuda": "nvrtc",
    "openai": "dev",
    "starlette": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
}

sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))  # of its children


def reason(error: BaseException) -> str | None:
    """One line for a person about what they can mend; None for a fault of ours."""
    from semrep_jax.core.errors import SemRepError

    if isinstance(error, ImportError) and (error.name or "").startswith("semrep_jax"):
        return None  # a name that the package no longer has
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        extra = f"[{EXTRAS[package]}]" if package in EXTRAS else ""
        return f'{package} is not installed; in {ROOT}: pip install -e ".{extra}"'
    if isinstance(error, (ImportError, OSError, SemRepError)):
        return " ".join(str(error).split()) or type(error).__name__
    return "stopped" if isinstance(error, KeyboardInterrupt) else None


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    line = reason(error)
    if line is None:
        sys.__excepthook__(kind, error, trace)
    else:
        print(f"error: {line}", file=sys.stderr)
        raise SystemExit(2)


sys.excepthook = _end
