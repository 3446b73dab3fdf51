"""The calls that a docstring shows.

doctests("f", ">>> f(1, [2])")      # [(1, [2])]
"""

from __future__ import annotations

import ast
import re
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.python.strategies import form

Call = tuple[Any, ...]
LONGEST = 2000  # characters of a call


def doctests(name: str, text: str) -> list[Call]:
    """Arguments of the calls of a function, with plain values, that a docstring shows."""
    found = []
    for start in re.finditer(rf"\b{re.escape(name)}\(", text):
        example = _to_closing_bracket(text[start.start() :])
        try:
            node = syntax.expression(example).body
            if not isinstance(node, ast.Call) or node.keywords:
                continue
            call = tuple(map(ast.literal_eval, node.args))
            form(call)
            found.append(call)
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            continue
    return found


def _to_closing_bracket(text: str) -> str:
    """A call's text up to the bracket that ends it."""
    depth, quote = 0, ""
    for i, c in enumerate(text[:LONGEST]):
        if quote:
            quote = "" if c == quote and text[i - 1] != "\\" else quote
        elif c in "'\"":
            quote = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth == 0:
                return " ".join(text[: i + 1].replace(">>>", "").split("\n"))
    return ""
