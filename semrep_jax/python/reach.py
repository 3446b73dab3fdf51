"""Which statements of two programs ran while they were compared, and which of those that differ did not.

    walk = Walk(a, sandbox, sequences)
    walk.untried(Walk(b, sandbox, sequences).statements)    # statements of A that B does not have, and that never ran

A judge that has run 250 calls knows nothing of a line that none of them reached. A statement counts as run where
control has gone on from it, to the next line or out of the function; one that raises TypeError, AttributeError,
KeyError or IndexError each time has not run. An `if` or `while` that the other program does not have counts as tried
once it has gone both ways, a `for`, an `except` clause and a `case` once it was entered. What stands in both programs,
as it is, under other local names, or as an `if` the other way round, and in the same order, is not asked for: if it
never ran, it never ran in either. That is asked for all the same where it reads what hangs on a statement that differs
(`python.bindings`): a limit that is another one, say. The same is asked of the parts of such statements
(`python.parts`): conditions in expressions, arms, lambdas.
"""

from __future__ import annotations

import ast
import operator
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Protocol

from semrep_jax.core import syntax
from semrep_jax.python import scopes
from semrep_jax.python.bindings import Place, header, readings
from semrep_jax.python.parts import Part, lay_out
from semrep_jax.python.trace import Limits, Step, trace
from semrep_jax.sandbox.pool import Sandbox

Move = tuple[int, int]  # control went on from a line to a line; see `sandbox.moves.Reach`
REFUSED = -2
CHUNK = 12  # sequences in one contained process: most statements run in the first
LIMITS = Limits(cpu_seconds=3.0, wall_seconds=8.0, step_seconds=0.1)

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_ENTERED = (ast.For, ast.AsyncFor, ast.ExceptHandler, ast.match_case)
_BRANCHING = (ast.If, ast.While, *_ENTERED)
_FOLDED = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Pow: operator.pow}
_LARGEST_FOLDED = 10**40
_IMPORTS = (ast.Import, ast.ImportFrom)
_WITHOUT_CODE = (ast.Pass, ast.Global, ast.Nonlocal)


@dataclass(frozen=True)
class Statement:
    """A statement inside a function, or what stands before the body of one; a clause of a `try` or `match` too.

    line: where, in the program as `one_a_line` writes it. last: its last line, of a text over several. then: where its
    body begins, of an `if` or a loop; else None. kind: of the node. text: for people. forms: it as it is, and under
    numbered local names. place: the outermost function that it is in, with its class. inside: whether it is in one.
    reads: where each name and attribute in it stands.
    """

    line: int
    last: int
    then: int | None
    kind: type[ast.AST]
    text: str
    forms: frozenset[str]
    place: str = ""
    inside: bool = True
    reads: frozenset[Place] = frozenset()

    def tried(self, moves: Collection[Move]) -> bool:
        """Whether control has gone on from it; from a condition both ways, and into a loop or clause."""
        onward = {b for a, b in moves if self.line <= a <= self.last and not self.line <= b <= self.last}
        if self.kind is not ast.Raise:
            onward.discard(REFUSED)
        if self.then is None:
            return bool(onward)
        return self.then in onward and (self.kind in _ENTERED or len(onward) > 1)


class Walk:
    """Where control goes in a program, as far as anybody has asked.

    source: the program. sandbox: where it runs. sequences: of steps, those of the comparison. Raises what
    `syntax.module` does.
    """

    def __init__(self, source: str, sandbox: Sandbox, sequences: Sequence[Sequence[Step]]):
        self.source, self.sandbox, self.sequences = one_a_line(source), sandbox, sequences
        idle = {f".{name}" for name in idle_functions(self.source, {s[1] for steps in sequences for s in steps})}
        every = [s for s in statements(self.source) if s.place not in idle]
        self.statements, self.outside = [s for s in every if s.inside], [s for s in every if not s.inside]
        self.moves = frozenset[Move]()
        self._left = self._chunks()

    def alone(self, others: list[Statement]) -> list[Statement]:
        """Those of its statements that are not among `others`, or stand among them in another order."""
        known = frozenset[str]().union(*(other.forms for other in others))
        moved = _moved(self.statements, others)
        return [s for s in self.statements if not s.forms & known or s.line in moved]

    def hanging(self, other: Walk, same: Collection[str] = ()) -> frozenset[Place]:
        """Where it reads what hangs on statements that another program does not have. same: variables of the module
        whose value is the same in both."""
        known = frozenset[str]().union(*(one.forms for one in other.outside))
        apart = [*self.alone(other.statements), *(s for s in self.outside if not s.forms & known)]
        lines = {s.line for s in apart if s.kind not in _IMPORTS}
        return readings(self.source, lines, same) if lines else frozenset()

    def untried(self, others: list[Statement], hanging: Collection[Place] = ()) -> list[Statement]:
        """Those of its statements that are not among `others`, or read at a place that hangs on such, and did not run
        or went one way only."""
        open_ones = self._asked(others, hanging)
        while True:
            open_ones = [s for s in open_ones if not s.tried(self.moves)]
            if not open_ones or not self._left:
                return open_ones
            self.moves |= self._next_moves(self.source, self._left, True)

    def untried_parts(self, other: Walk, hanging: Collection[Place] = ()) -> list[Part]:
        """The parts of its statements that are not among those of another program, and were not tried in all their
        ways. Parts that the other one has too are asked for only where they read at a place that hangs on what
        differs."""
        outside = _outside(self.source) - _lines(self.statements)
        laid = lay_out(self.source, outside | _lines(self._asked(other.statements, hanging)))
        open_ones = laid.parts
        if open_ones:
            theirs = lay_out(other.source, range(len(other.source)))
            known = frozenset[str]().union(*(part.forms for part in theirs.parts))
            own = outside | _lines(self.alone(other.statements))
            open_ones = [
                part
                for part in open_ones
                if not part.reads.isdisjoint(hanging) or (part.line in own and not part.forms & known)
            ]
        left, visited = self._chunks(), set[int]()
        while open_ones and left:
            moves = self._next_moves(laid.source, left, "parts")
            visited |= {a for a, b in moves if b != REFUSED}
            open_ones = [part for part in open_ones if not part.tried(visited)]
        return open_ones

    def _asked(self, others: list[Statement], hanging: Collection[Place]) -> list[Statement]:
        alone = {s.line for s in self.alone(others)}
        return [s for s in self.statements if s.line in alone or not s.reads.isdisjoint(hanging)]

    def _chunks(self) -> deque[Sequence[Sequence[Step]]]:
        return deque(self.sequences[i : i + CHUNK] for i in range(0, len(self.sequences), CHUNK))

    def _next_moves(self, source: str, left: deque[Sequence[Sequence[Step]]], reach: bool | str) -> frozenset[Move]:
        """Where control goes in the next chunk of sequences; one that gives no report is divided."""
        chunk = left.popleft()
        seen = trace(self.sandbox, source, chunk, LIMITS, reach=reach)
        if seen is not None:
            return seen.moves
        if len(chunk) > 1:  # the longest calls come last
            left.extendleft([chunk[len(chunk) // 4 or 1 :], chunk[: len(chunk) // 4 or 1]])
        return frozenset()


class Compared(Protocol):
    """A program that was compared, or a part of one: its text, where it ran, and where control went in it."""

    source: str
    sandbox: Sandbox

    @property
    def walk(self) -> Walk:
        """Where control goes in the program."""


def followed(
    compared: Compared,
    other: str,
    more: Sequence[Sequence[Step]] = (),
    same: tuple[Collection[str], Collection[str]] = ((), ()),
) -> tuple[str, dict[str, int]]:
    """What stands in one of two programs alone, or hangs on such, and never ran while they were compared, as a reason;
    empty where all of it did. Beside it how many statements stand in each program alone. more: sequences beside those
    of the comparison. same: variables of the first and of the second program whose values the other has too."""
    try:
        mine = compared.walk
        if more:
            mine = Walk(compared.source, compared.sandbox, [*more, *mine.sequences])
        theirs = Walk(other, compared.sandbox, mine.sequences)
        pairs = [
            ("first", mine, theirs, mine.hanging(theirs, same[0])),
            ("second", theirs, mine, theirs.hanging(mine, same[1])),
        ]
    except RecursionError:
        return "a program nests too deeply for its statements to be followed", {}
    counts = {"first": len(mine.alone(theirs.statements)), "second": len(theirs.alone(mine.statements))}
    for name, one, others, hanging in pairs:
        untried = one.untried(others.statements, hanging)
        if untried:
            what = "never runs to its end" if untried[0].then is None else "is never tried in all its ways"
            others_too = f" (nor do {len(untried) - 1} others)" if len(untried) > 1 else ""
            return f"what differs was not tried: in the {name} program, {untried[0].text!r} {what}{others_too}", counts
    for name, one, others, hanging in pairs:
        parts = one.untried_parts(others, hanging)
        if parts:
            what = "was never both true and false" if parts[0].ways > 1 else "never ran"
            return f"what differs was not tried: in the {name} program, {parts[0].text!r} {what}", counts
    return "", counts


def _moved(statements: list[Statement], others: list[Statement]) -> set[int]:
    """The lines of statements that both have in the same function, and in another order: what an `if` holds in one
    stands in another `if` in the other."""
    same: dict[str, str] = {}  # forms of one statement have one name

    def name(form: str) -> str:
        while same.get(form, form) != form:
            form = same[form]
        return form

    for s in (*statements, *others):
        first, *more = sorted(s.forms)
        same.update((name(form), name(first)) for form in more)
    moved = set[int]()
    for place in {s.place for s in statements} & {s.place for s in others}:
        mine = [(name(min(s.forms)), s.line) for s in statements if s.place == place]
        theirs = [name(min(s.forms)) for s in others if s.place == place]
        both = {n for n, _ in mine} & set(theirs)
        mine, theirs = [x for x in mine if x[0] in both], [n for n in theirs if n in both]
        if [n for n, _ in mine] != theirs:
            blocks = SequenceMatcher(None, [n for n, _ in mine], theirs, autojunk=False).get_matching_blocks()
            kept = {i for block in blocks for i in range(block.a, block.a + block.size)}
            moved |= {line for i, (_, line) in enumerate(mine) if i not in kept}
    return moved


def _lines(found: list[Statement]) -> set[int]:
    return {n for s in found for n in range(s.line, s.last + 1)}


def _outside(source: str) -> set[int]:
    """The lines of statements outside functions, in a text as `one_a_line` writes it."""
    every = [n for n in ast.walk(syntax.module(source)) if isinstance(n, ast.stmt)]
    within = {id(n) for f in every if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for n in ast.walk(f)}
    return {line for n in every if id(n) not in within for line in range(n.lineno, (n.end_lineno or n.lineno) + 1)}


def one_a_line(source: str) -> str:
    """The program with each statement on a line of its own. Raises what `syntax.module` does."""
    return ast.unparse(syntax.module(source))


def idle_functions(source: str, asked: Collection[str]) -> set[str]:
    """The functions at a program's top that nothing but itself and what runs as a script names, such as `main`.

    source: the program. asked: names that are used from outside, which are none of them. A function with a decorator is
    none: it may have been noted somewhere.
    """
    found, used = set[str](), set[str]()
    for node in syntax.module(source).body:
        name = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list and name not in asked:
            found.add(name)
        if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test):
            continue
        for part in ast.walk(node):
            match part:
                case ast.Name(id=named) | ast.Attribute(attr=named) | ast.Constant(value=str(named)) if named != name:
                    used.add(named)
    return found - used


def statements(source: str) -> list[Statement]:
    """Every statement that can run, in order. source: as `one_a_line` writes it."""
    tree, renamed = syntax.module(source), syntax.module(source)
    scopes.rename(renamed)
    tree, renamed = (_Plainer().visit(one) for one in (tree, renamed))
    both = list(zip(ast.walk(tree), ast.walk(renamed), strict=True))
    plain = {id(node): _form(other) for node, other in both}
    turned = {id(node): _as_asked(other) for node, other in both if isinstance(other, ast.If)}
    found, lines = [], source.split("\n")
    for node, line, place, inside in _runnable(tree.body, ""):
        body = getattr(node, "body", None)
        then = body[0].lineno if body and isinstance(node, _BRANCHING) and not _is_constant(node) else None
        last = body[0].lineno - 1 if body else getattr(node, "end_lineno", line)
        forms = frozenset({_form(node), plain[id(node)]})
        if isinstance(node, ast.If):
            forms |= {_as_asked(node), turned[id(node)]}
        last = max(line, last or 0)
        found.append(
            Statement(line, last, then, type(node), _shown(lines[line - 1]), forms, place, inside, _reads(node))
        )
    return found


def _runnable(block: list[ast.stmt], within: str, inside: bool = False) -> Iterator[tuple[ast.AST, int, str, bool]]:
    """The statements of a block and of those in it, without what has no code and what control can't come to; with each
    its line, the outermost function that it is in, and whether it is in one. within: the names of the classes or of the
    function that the block is in."""
    for node in block:
        constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        declared = isinstance(node, ast.AnnAssign) and node.value is None
        if not constant and not declared and not isinstance(node, _WITHOUT_CODE) and not _is_constant(node):
            yield node, node.lineno, within, inside
        a_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        place = within
        if not inside and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            place = f"{within}.{node.name}"
        for name, inner in _blocks(node):
            if not _is_dead(node, name):
                yield from _runnable(inner, place, inside or a_function)
        for clause, line, inner in _clauses(node):
            if not _takes_all(clause):
                yield clause, line, within, inside
            yield from _runnable(inner, place, inside)
        if isinstance(node, _LEAVING):
            return


def _blocks(node: ast.AST) -> Iterator[tuple[str, list[ast.stmt]]]:
    for name in ("body", "orelse", "finalbody"):
        inner = getattr(node, name, None)
        if isinstance(inner, list):
            yield name, inner


def _clauses(node: ast.AST) -> Iterator[tuple[ast.AST, int, list[ast.stmt]]]:
    """The `except` clauses and cases of a statement, with their lines and blocks."""
    match node:
        case ast.Try(handlers=handlers) | ast.TryStar(handlers=handlers):
            yield from ((handler, handler.lineno, handler.body) for handler in handlers)
        case ast.Match(cases=cases):
            yield from ((case, case.pattern.lineno, case.body) for case in cases)


def _takes_all(clause: ast.AST) -> bool:
    """Whether it is a case that takes whatever is left: nothing is asked on its line."""
    return isinstance(clause, ast.match_case) and isinstance(clause.pattern, ast.MatchAs) and not clause.pattern.pattern


def _is_constant(node: ast.AST) -> bool:
    """Whether it is a condition that no input decides."""
    return isinstance(node, ast.If | ast.While) and isinstance(node.test, ast.Constant)


def _is_dead(node: ast.AST, block: str) -> bool:
    """Whether a constant condition keeps control out of a block."""
    if not isinstance(node, ast.If | ast.While) or not isinstance(node.test, ast.Constant):
        return False
    return bool(node.test.value) == (block == "orelse")


class _Plainer(ast.NodeTransformer):
    """Writes `not (a and b)` as `not a or not b`, `not a in b` as `a not in b`, `if not not a` as `if a`, `2 * 3` as
    `6`: they are the same for all values."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """The number that it is, of numbers."""
        self.generic_visit(node)
        match node:
            case ast.BinOp(ast.Constant(int() | float() as a), op, ast.Constant(int() | float() as b)):
                fold = _FOLDED.get(type(op))
                power = isinstance(op, ast.Pow) and not (type(a) is type(b) is int and 0 <= b <= 64)
                if fold and not power and bool not in (type(a), type(b)) and max(abs(a), abs(b)) <= _LARGEST_FOLDED:
                    return ast.copy_location(ast.Constant(fold(a, b)), node)
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """One with `not` before it, written plainer."""
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=ast.BoolOp(op=op, values=parts)):
                dual = ast.Or() if isinstance(op, ast.And) else ast.And()
                negated: list[ast.expr] = [ast.UnaryOp(ast.Not(), part) for part in parts]
                return self.generic_visit(ast.copy_location(ast.BoolOp(dual, negated), node))
            case ast.UnaryOp(op=ast.Not(), operand=ast.Compare(ops=[ast.In() | ast.Is() as op]) as inner):
                other = ast.NotIn() if isinstance(op, ast.In) else ast.IsNot()
                return self.generic_visit(ast.copy_location(ast.Compare(inner.left, [other], inner.comparators), node))
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        """One whose test is only asked for its truth."""
        self.generic_visit(node)
        node.test = _truth(node.test)
        return node


def _truth(test: ast.expr) -> ast.expr:
    """An expression of which only the truth is asked, without `not not`."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=ast.UnaryOp(op=ast.Not(), operand=inner)):
            return _truth(inner)
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            test.operand = _truth(inner)
        case ast.BoolOp(values=parts):
            test.values = [_truth(part) for part in parts]
    return test


def _as_asked(node: ast.If) -> str:
    """An `if` with its blocks, the same whichever of them comes first."""
    test, then, other = node.test, node.body, node.orelse
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, then, other = test.operand, other, then
    written = [ast.dump(ast.Module([s for s in block if not isinstance(s, ast.Pass)], [])) for block in (then, other)]
    return " ".join(["asked", ast.dump(test), *written])


def _form(node: ast.AST) -> str:
    """A statement without the blocks in it, as one text."""
    fields = [ast.dump(x) if isinstance(x, ast.AST) else _listed(x) for name, x in ast.iter_fields(node)
              if name not in _BLOCKS or not isinstance(x, list)]  # fmt: skip
    if isinstance(node, ast.Match):
        fields += [_listed([case.pattern, case.guard]) for case in node.cases]
    return " ".join([type(node).__name__, *fields])


def _listed(value: object) -> str:
    return repr([ast.dump(x) if isinstance(x, ast.AST) else x for x in value] if isinstance(value, list) else value)


def _reads(node: ast.AST) -> frozenset[Place]:
    """Where each name and attribute in a statement stands, but for those in its blocks."""
    return frozenset((n.lineno, n.col_offset) for n in header(node) if isinstance(n, ast.Name | ast.Attribute))


def _shown(line: str) -> str:
    """The first line of a statement or clause, for people."""
    return line.strip().removeprefix("el" if line.lstrip().startswith("elif ") else "")[:100]
