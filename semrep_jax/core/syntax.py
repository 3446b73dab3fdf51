"""Python's syntax trees, built by one thread at a time.

    syntax.module("x = 1").body        # [<ast.Assign>]

Before Python 3.13 the interpreter counts the depth of a tree in one place for all threads: two that parse at once can
end in `SystemError: AST constructor recursion depth mismatch` on good programs
(github.com/python/cpython/issues/106905). Parsing holds the GIL anyway, so the lock costs nothing.
"""

from __future__ import annotations

import ast
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.RLock()


def _new_lock() -> None:
    """A forked child's own lock: another thread of the parent may have held this one, and is not in the child."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_new_lock)


@contextmanager
def alone() -> Iterator[None]:
    """Nobody parses here meanwhile: around a library that does so by itself."""
    with _lock:
        yield


def module(text: str) -> ast.Module:
    """The tree of a program. Raises what `ast.parse` does: SyntaxError, ValueError, RecursionError, MemoryError."""
    with _lock:
        return ast.parse(text)


def value(text: str) -> Any:
    """The value of a number or text as it is written. Raises as `module` does."""
    with _lock:
        return ast.literal_eval(text)


def expression(text: str) -> ast.Expression:
    """The tree of one expression. Raises as `module` does."""
    with _lock:
        return ast.parse(text, mode="eval")
