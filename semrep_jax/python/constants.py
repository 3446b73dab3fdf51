"""What a program's text says of the inputs that tell it apart from another: constants, types, names. Read, never run.

program_constants(source)        # [" ", 7, "key"]: what it compares with and looks for
told_apart(tree)                 # {"bool"}: the types by which it tells values apart
"""

from __future__ import annotations

import ast
import builtins
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semrep_jax.core import syntax

_BELOW = {
    "int": ["bool"],
    "date": ["datetime"],
    "dict": ["OrderedDict"],
}  # types that are no longer told by `type(x) is`
MOST_OF_A_PIECE = 6  # characters
MOST_EDGES = 12  # numbers at and beside those that a program compares with
_PIECES = ("0", "07", "12", "-3", "a", "bc", " ", "0.5")
_DISPLAYS = ast.Tuple | ast.List | ast.Set
LONGEST_CONSTANT = 20  # characters
LARGEST_CONSTANT = 10**6
MOST_BITS = 512  # of a number that is computed
DEEPEST_SUM = 40  # operators in operators
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
}
_GROWING = (ast.Pow, ast.LShift)
_FIRST_LETTER, _LAST_LETTER = 0x20, 0xD7FF  # before it, what controls a terminal; behind it, halves of letters


def program_constants(source: str) -> list[Any]:
    """The texts and numbers that a program compares with and looks for: short ones, in order, then computed ones."""
    return list(dict.fromkeys(v for v in _constants(source) if _is_telling(v)))


def large_constants(source: str) -> list[int]:
    """The whole numbers of a program, written or computed, with which a call may take too long, in order."""
    return list(dict.fromkeys(v for v in _constants(source) if type(v) is int and abs(v) >= LARGEST_CONSTANT))


def _constants(source: str) -> list[Any]:
    """All constants of a program that are not documentation, then what is computed of them (`7 * 24 * 3600`)."""
    tree = syntax.module(source)
    documentation = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    written = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in documentation]
    found = [v for v in [*written, *_computed(tree)] if type(v) is not int or v.bit_length() <= MOST_BITS]
    return [*found, *_letters(tree, found)]


def _letters(tree: ast.Module, constants: list[Any]) -> list[str]:
    """The letters at and beside the numbers of a program that asks letters for theirs: `97 <= ord(x)`."""
    if not any(isinstance(n, ast.Name) and n.id == "ord" for n in ast.walk(tree)):
        return []
    numbers = [c + n for c in constants if type(c) is int for n in (0, 1, -1)]
    return [chr(number) for number in numbers if _FIRST_LETTER <= number <= _LAST_LETTER]


def _computed(tree: ast.Module) -> Iterator[int | float]:
    """The numbers that a program's text computes of constants, and of names at its top that stand for such."""
    known: dict[str, int | float] = {}
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                number = folded(value, known)
                known |= {name: number} if number is not None else {}
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        number = folded(node, known) if isinstance(node, ast.BinOp | ast.UnaryOp) else None
        if number is not None:
            yield number
        else:
            left += reversed(list(ast.iter_child_nodes(node)))


def folded(node: ast.AST, known: Mapping[str, int | float], depth: int = 0) -> int | float | None:
    """The number that an expression of constants gives; None where it is another one, or too large.

    known: the numbers that names stand for. depth: of operators around it.
    """
    match node:
        case ast.Constant(value=int() | float() as number) if type(number) is not bool:
            return number
        case ast.Name(id=name):
            return known.get(name)
        case ast.UnaryOp(op=ast.USub(), operand=inner) if depth < DEEPEST_SUM:
            positive = folded(inner, known, depth + 1)
            return None if positive is None else -positive
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS and depth < DEEPEST_SUM:
            one, other = folded(left, known, depth + 1), folded(right, known, depth + 1)
            if one is None or other is None or (isinstance(op, _GROWING) and not _stays_small(one, other)):
                return None
            try:
                result = _OPERATORS[type(op)](one, other)
            except (ArithmeticError, TypeError, ValueError):
                return None
            too_large = isinstance(result, int) and result.bit_length() > MOST_BITS
            return result if isinstance(result, int | float) and not too_large else None
    return None


def _stays_small(one: float, other: float) -> bool:
    """Whether a power or a shift is no number of thousands of digits."""
    bits = one.bit_length() if isinstance(one, int) else 1
    return 0 <= other <= MOST_BITS and max(1, bits) * other <= 2 * MOST_BITS


@dataclass(frozen=True)
class Pieces:
    """Of what a program's texts are put together. own: see `_pieces`; nothing is put together where there are none.
    fields: at what it splits texts, and into how many (0: any number). asked: what it compares with or looks up."""

    own: Sequence[str]
    fields: Sequence[tuple[str, int]]
    asked: Sequence[str]

    @classmethod
    def of(cls, source: str) -> Pieces:
        """Those of a program."""
        return cls(_pieces(source), _fields(source), _asked_for(source))

    def known_words(self, separator: str) -> list[str]:
        """What may stand between two separators and means something to the program."""
        return [word for word in self.asked if separator not in word]


def _pieces(source: str) -> list[str]:
    """Texts of which a program's inputs may be put together: its own short ones, and where there are any, words and
    numbers, those that it compares with among them; [] where there are none."""
    own = [c for c in program_constants(source) if type(c) is str]
    short = [c for c in own if len(c) <= MOST_OF_A_PIECE]
    letters = [letter for c in own if not c.isalnum() and len(c) <= 8 for letter in c if not letter.isalnum()]
    found = list(dict.fromkeys([*short, *letters]))
    edges = [c + n for c in program_constants(source) if type(c) is int for n in (0, 1, -1)][:MOST_EDGES]
    return [*found * 2, *_PIECES, *map(str, edges)] if found else []


def _fields(source: str) -> list[tuple[str, int]]:
    """The texts at which a program splits others, each with the number of names that take the parts (0: unknown)."""
    found, counts = [], dict[int, int]()
    for node in ast.walk(syntax.module(source)):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=value):
                counts |= {id(part): len(names) for part in ast.walk(value) if isinstance(part, ast.Call)}
            case ast.Call(func=ast.Attribute(attr=name), args=[ast.Constant(value=str(text)), *_]) if text:
                if name in ("split", "rsplit", "partition", "rpartition"):
                    found.append((text, 0 if "partition" in name else counts.get(id(node), 0)))
            case ast.Call(func=ast.Attribute(attr="split" | "rsplit"), args=[], keywords=[]):
                found.append((" ", counts.get(id(node), 0)))
    return list(dict.fromkeys(found))


def _asked_for(source: str) -> list[str]:
    """The short texts that a program compares with, looks for or has as keys: those that decide what it does."""
    found: list[ast.AST] = []
    for node in ast.walk(syntax.module(source)):
        match node:
            case ast.Compare(left=left, comparators=others):
                found += [left, *others]
            case ast.MatchValue(value=value):
                found.append(value)
            case ast.Dict(keys=keys):
                found += [key for key in keys if key is not None]
    inside = [part for node in found if isinstance(node, ast.Constant | _DISPLAYS) for part in ast.walk(node)]
    texts = [part.value for part in inside if isinstance(part, ast.Constant) and type(part.value) is str]
    return list(dict.fromkeys(text for text in texts if _is_telling(text)))


def told_apart(tree: ast.Module) -> set[str]:
    """The types by which a program tells values apart: by isinstance, by `type(x) is`, by `is True`, by match."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, kinds]):
                found |= {n.id for n in ast.walk(kinds) if isinstance(n, ast.Name)}
                found |= {n.attr for n in ast.walk(kinds) if isinstance(n, ast.Attribute)}
            case ast.Compare(left=ast.Call(func=ast.Name(id="type")), comparators=[ast.Name(id=name)]):
                found |= {name, *_BELOW.get(name, ())}
            case ast.Compare(ops=[ast.Is() | ast.IsNot()], comparators=[ast.Constant(value=bool())]):
                found.add("bool")
            case ast.MatchClass(cls=ast.Name(id=name)):
                found.add(name)
    return found


def compared_with_none(node: ast.AST) -> set[str]:
    """The names that a function asks whether they are None."""
    found = set()
    for n in ast.walk(node):
        match n:
            case ast.Compare(left=ast.Name(id=name), comparators=[ast.Constant(value=None)]):
                found.add(name)
    return found


def literals(source: str) -> list[Any]:
    """The values that hints of a program name: `Literal["a", "b"]`."""
    named = [n for n in ast.walk(syntax.module(source)) if isinstance(n, ast.Subscript)]
    hints = [n for n in named if ast.unparse(n.value).rpartition(".")[2] == "Literal"]
    return [c.value for n in hints for c in ast.walk(n.slice) if isinstance(c, ast.Constant)]


def keys_read(source: str) -> list[str]:
    """The texts that a program looks up by name: `row["id"]`, `row.get("id")`."""
    found = []
    for node in ast.walk(syntax.module(source)):
        match node:
            case ast.Subscript(slice=ast.Constant(value=str(key))):
                found.append(key)
            case ast.Call(func=ast.Attribute(attr="get" | "pop"), args=[ast.Constant(value=str(key)), *_]):
                found.append(key)
    return list(dict.fromkeys(found))


def caught(source: str) -> list[str]:
    """The built-in exceptions that a program names, in order: those that it may treat in a way of their own."""
    names = [n.id for n in ast.walk(syntax.module(source)) if isinstance(n, ast.Name)]
    kinds = {n: getattr(builtins, n, None) for n in dict.fromkeys(names)}
    return [n for n, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Exception)]


def reads_files(source: str) -> bool:
    """Whether a program may read files, as far as its text says."""
    return any(text in source for text in ("open(", "read_text", "read_bytes", "os.", "shutil", "pathlib", "csv"))


def imported(source: str) -> set[str]:
    """The names that imports give."""
    found = [a for n in ast.walk(syntax.module(source)) if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names]
    return {a.asname or a.name.partition(".")[0] for a in found}


def _is_telling(value: object) -> bool:
    if type(value) is str:
        return 0 < len(value) <= LONGEST_CONSTANT
    if type(value) is float:
        return True
    return type(value) is int and 1 < abs(value) < LARGEST_CONSTANT


def words(docstring: str) -> list[str]:
    """Short texts in quotes in a docstring."""
    found = re.findall(r"'([^'\n]{1,20})'|\"([^\"\n]{1,20})\"", docstring)
    return list(dict.fromkeys(a or b for a, b in found))
