"""Patterns of code, written as code and matched by `libcst.matchers`.

    (loop,) = statements_like("for _i in range(STOP): INNER")
    match([node], [loop])                  # {"i": "k", "stop": <n>, "inner": [...]} for `for k in range(n): ...`

In a pattern a name in capitals stands for any expression, and a name with an underscore for any identifier; each is
saved under its name in small letters. A line that is a name in capitals stands for one or more statements. What has
one name twice must be spelled alike. Layout does not count, nor do parentheses; what is left out (an `else`) must be
absent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import libcst as cst
import libcst.matchers as m

from semrep_jax.python.rewrites.trees import code

ANYTHING: Any = m.DoNotCare()
_AGAIN = "#"  # what is named a second time in a pattern is saved as `name#2`
_LAYOUT = (
    *("lpar", "rpar", "lbracket", "rbracket", "lbrace", "rbrace", "comma", "semicolon", "first_colon", "second_colon"),
    *("leading_lines", "lines_after", "trailing_whitespace", "whitespace", "header", "footer", "indent"),
)


def save(name: str, pattern: Any = ANYTHING) -> Any:
    """What `pattern` matches, saved under a name."""
    return m.SaveMatchedNode(pattern, name)


def expression_like(text: str) -> Any:
    """The pattern of an expression."""
    return _Reader().pattern(cst.parse_expression(text))


def statements_like(text: str) -> list[Any]:
    """The patterns of successive statements."""
    return _Reader().pattern(cst.parse_module(text).body)


def match(nodes: Sequence[cst.CSTNode], patterns: Sequence[Any]) -> dict[str, Any] | None:
    """What the patterns save of as many nodes, one for each; None where one does not match."""
    saved: dict[str, Any] = {}
    for node, pattern in zip(nodes, patterns, strict=True):
        found = m.extract(node, pattern) if _may_match(node, pattern) else None
        if found is None:
            return None
        saved |= found
    for name in [name for name in saved if _AGAIN in name]:
        first = name.split(_AGAIN)[0]
        if _text(saved.pop(name)) != _text(saved[first]):
            return None
    return saved


def _may_match(node: Any, pattern: Any) -> bool:
    """Whether the two are of one kind, as far as a look tells. Most pairs are not, and `m.extract` takes its time."""
    if not hasattr(cst, type(pattern).__name__):
        return True  # a choice, or a condition
    if type(node).__name__ != type(pattern).__name__:
        return False
    if not isinstance(node, cst.SimpleStatementLine):
        return True
    return len(node.body) == len(pattern.body) and all(map(_may_match, node.body, pattern.body))


def _text(saved: str | cst.CSTNode) -> str:
    return saved if isinstance(saved, str) else code(saved)


class _Reader:
    """Makes matchers of the nodes of one pattern."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def pattern(self, node: Any) -> Any:
        """The matcher of a node, of several, or of a plain value."""
        if isinstance(node, (list, tuple)):
            return [self.pattern(one) for one in node]
        if isinstance(node, cst.Name) and node.value.isupper():
            return self._save(node.value.lower(), ANYTHING)
        if isinstance(node, cst.Name) and node.value.startswith("_"):
            return m.Name(value=self._save(node.value[1:], ANYTHING))
        if isinstance(node, cst.SimpleStatementSuite):
            return m.IndentedBlock(body=[self._line(one) for one in node.body])
        if isinstance(node, cst.SimpleStatementLine):
            return self._line(*node.body)
        if not isinstance(node, cst.CSTNode):
            return node
        parts = {f.name: getattr(node, f.name) for f in fields(node) if not f.name.startswith(_LAYOUT)}
        meant = {name: self.pattern(v) for name, v in parts.items() if not isinstance(v, cst.MaybeSentinel)}
        return getattr(m, type(node).__name__)(**meant)

    def _line(self, small: cst.BaseSmallStatement) -> Any:
        if isinstance(small, cst.Expr) and isinstance(small.value, cst.Name) and small.value.value.isupper():
            return self._save(small.value.value.lower(), m.AtLeastN(n=1))
        return m.SimpleStatementLine(body=[self.pattern(small)])

    def _save(self, name: str, pattern: Any) -> Any:
        self.seen[name] += 1
        return save(name if self.seen[name] == 1 else f"{name}{_AGAIN}{self.seen[name]}", pattern)
