"""Which parts of statements ran: arms of `a if b else c`, operands of `and`, comparisons, lambdas, what comprehensions
hold.

    laid = lay_out(source, lines)         # source as `reach.one_a_line` writes it; lines whose parts are wanted
    laid.source                           # the same program with each part on lines of its own, for `trace(reach=True)`
    [part for part in laid.parts if not part.tried(visited)]

A condition counts as tried once it was true and once false (one that gives no truth value, once it ran); everything
else once it ran. Only texts are made here; the sandbox runs them. An f-string with such parts is laid out as a call of
`format`: its own lines can't be broken in every version of Python.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.python import scopes
from semrep_jax.python.bindings import Place

_NAME = "_part_of_a_statement_"
_PARTED = (ast.IfExp, ast.BoolOp, ast.Compare, ast.Lambda, ast.comprehension, ast.Not)  # what has parts
_PLACE = re.compile(_NAME + r"(\d+)_")


@dataclass
class Part:
    """A part of a statement.

    line: of its statement, in the text that was laid out. text: for people. reads: where each name and
    attribute in it stands. forms: it as it is, and under numbered local names, with what it stands in; none where it is
    another part in any other statement. ways: of a condition, true and false, and a third that counts alone: neither;
    else one. lines: of each way, first and last, where it is laid out.
    """

    line: int
    text: str
    reads: frozenset[Place]
    forms: frozenset[str]
    ways: int
    lines: dict[int, tuple[int, int]] = field(default_factory=dict)

    def tried(self, visited: Collection[int]) -> bool:
        """Whether it went all its ways. visited: lines that control has gone on from."""
        went = [any(first <= line <= last for line in visited) for first, last in self.lines.values()]
        return all(went[:2]) or any(went[2:])


@dataclass(frozen=True)
class LaidOut:
    """A program whose parts stand on lines of their own, and those parts."""

    source: str
    parts: list[Part]


def lay_out(source: str, lines: Container[int]) -> LaidOut:
    """The program with the parts of some of its statements on lines of their own. Raises what `syntax.module` does.

    source: as `reach.one_a_line` writes it. lines: those whose parts are wanted.
    """
    tree, renamed = syntax.module(source), syntax.module(source)
    scopes.rename(renamed)
    others = {id(node): other for node, other in zip(ast.walk(tree), ast.walk(renamed), strict=True)}
    found = _Finder(others, lines)
    text = ast.unparse(ast.fix_missing_locations(found.visit(tree)))
    mark = f"#{hashlib.sha256(source.encode()).hexdigest()[:16]} "  # no text of the program's ends in it by chance
    text = found.expanded(text, mark)
    open_ones: dict[tuple[int, int], int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        _, marked, words = line.rpartition(mark)
        if marked:
            kind, part, way = words.split()
            if kind == "begin":
                open_ones[int(part), int(way)] = number + 1
            else:
                found.parts[int(part)].lines[int(way)] = (open_ones[int(part), int(way)], number)
    return LaidOut(text, found.parts)


class _Finder(ast.NodeTransformer):
    """Puts names in the place of parts, and keeps what they stand for."""

    def __init__(self, others: dict[int, ast.AST], lines: Container[int]):
        self.others, self.lines = others, lines
        self.parts: list[Part] = []
        self.held: list[ast.expr] = []
        self.inside = 0  # functions and lambdas that it is in; what stands outside is done once, as a program is loaded

    def expanded(self, text: str, mark: str) -> str:
        """A text with the parts in the place of their names."""

        def part(found: re.Match[str]) -> str:
            number = int(found[1])
            inner = self.expanded(ast.unparse(self.held[number]), mark)
            ways = self.parts[number].ways

            def way(n: int, shown: str) -> str:
                return f"({mark}begin {number} {n}\n{shown}{mark}end {number} {n}\n)"

            if ways == 1:
                return way(0, inner)
            arms = [way(n, "_c") for n in range(ways)]
            tests = "{} if _c else {}" if ways == 2 else "{} if _c is True else {} if _c is False else {}"
            return f"(lambda _c: {tests.format(*arms)})(\n{inner}\n)"

        return _PLACE.sub(part, text)

    def _part(self, node: ast.expr, within: str, ways: int = 1, beside: Sequence[ast.expr] = ()) -> ast.expr:
        if node.lineno not in self.lines or not self.inside or isinstance(node, ast.Constant | ast.Starred):
            return node
        if ways == 1 and isinstance(node, ast.Name):
            return node
        seen = [node, *beside], [self.others[id(one)] for one in (node, *beside)]
        forms = frozenset(" ".join([within, *map(ast.dump, one)]) for one in seen) if within else frozenset[str]()
        number = len(self.parts)
        self.parts.append(Part(node.lineno, ast.unparse(node)[:100], _places(node), forms, ways))
        self.held.append(node)
        inner: Any = self.generic_visit(node) if ways > 1 and _is_comparison(node) else self.visit(node)
        self.held[number] = inner
        return ast.copy_location(ast.Name(f"{_NAME}{number}_", ast.Load()), node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """Its condition both ways, and both arms."""
        node.test = self._part(node.test, "if", 2, (node.body, node.orelse))
        node.body, node.orelse = self._part(node.body, "arm"), self._part(node.orelse, "arm")
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """Each operand both ways; the last one gives the value, which need not be true or false."""
        kind = type(node.op).__name__
        *before, last = node.values
        node.values = [*(self._part(v, kind, 2) for v in before), self._part(last, kind, 3)]
        return self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        """A comparison that it gives, both ways."""
        if node.value is not None and _is_comparison(node.value):
            node.value = self._part(node.value, "return", 3)
        return self.generic_visit(node)

    def _compared(self, node: ast.Compare | ast.UnaryOp) -> ast.AST:
        """A comparison anywhere else, both ways. What its value is for hangs on the whole statement."""
        if not _is_comparison(node) or (part := self._part(node, "", 3)) is node:
            return self.generic_visit(node)
        return part

    visit_Compare = visit_UnaryOp = _compared

    def _conditional(self, node: ast.If | ast.While) -> ast.AST:
        """Its condition as it is: the statement itself is to go both ways."""
        if _is_comparison(node.test):
            test: Any = self.generic_visit(node.test)
            node.test = ast.Constant(True)
            self.generic_visit(node)
            node.test = test
            return node
        return self.generic_visit(node)

    visit_If = visit_While = _conditional

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """What it gives."""
        self.inside += 1
        node.body = self._part(node.body, "lambda")
        return self._left(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self.inside += 1
        return self._left(node)

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def _left(self, node: ast.AST) -> ast.AST:
        visited = self.generic_visit(node)
        self.inside -= 1
        return visited

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        """Its conditions both ways."""
        node.ifs = [self._part(test, "filter", 2) for test in node.ifs]
        return self.generic_visit(node)

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        """The condition beside its pattern, both ways."""
        if node.guard is not None:
            node.guard = self._part(node.guard, "case", 2)
        return self.generic_visit(node)

    def _holding(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> ast.AST:
        node.elt = self._part(node.elt, "held")
        return self.generic_visit(node)

    visit_ListComp = visit_SetComp = visit_GeneratorExp = _holding

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        """The values that it holds."""
        node.value = self._part(node.value, "held")
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """One that has parts, as a call."""
        wanted = node.lineno in self.lines and self.inside
        if not wanted or not any(isinstance(part, _PARTED) for part in ast.walk(node)):
            return node
        for part in ast.walk(node):
            if hasattr(part, "lineno"):
                part.lineno = node.lineno  # those of a text over several lines are no lines of the program
        return self.generic_visit(ast.copy_location(_as_call(node), node))


def _as_call(node: ast.JoinedStr) -> ast.Call:
    """An f-string as a call of `format`, which gives the same."""
    template, arguments = "", list[ast.expr]()
    for value in node.values:
        match value:
            case ast.Constant(value=str(text)):
                template += text.replace("{", "{{").replace("}", "}}")
            case ast.FormattedValue(value=inner, conversion=conversion, format_spec=form):
                shown = f"!{chr(conversion)}" if conversion != -1 else ""
                template += f"{{{shown}:{{}}}}" if form is not None else f"{{{shown}}}"
                arguments += [inner] if form is None else [inner, form]
    return ast.Call(ast.Attribute(ast.Constant(template), "format", ast.Load()), arguments, [])


def _places(node: ast.AST) -> frozenset[Place]:
    return frozenset((n.lineno, n.col_offset) for n in ast.walk(node) if isinstance(n, ast.Name | ast.Attribute))


def _is_comparison(node: ast.AST) -> bool:
    """Whether it is a comparison, or turns a truth value round."""
    return isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))
