"""semrep_jax: train and use language models that transform code (SemRep, arXiv 2603.13640, in JAX).

For a notebook: `semrep_jax.load_run("runs/quickstart")` reads a run into tables of pandas. Importing this package
imports nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semrep_jax.report.frames import load_run

__version__ = "0.1.0"
__all__ = ["__version__", "load_run"]


def __getattr__(name: str) -> Any:
    if name == "load_run":
        from semrep_jax.report.frames import load_run

        return load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
