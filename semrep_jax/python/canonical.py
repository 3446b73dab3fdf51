"""Canonical form of a Python program, and the tree-edit distance between two of them.

    canonical("_size = 0x10  # bytes")         # "v0 = 16"
    distance(canonical(a), canonical(b))       # from 0.0 to 1.0; both must parse

The *triviality trap* of SemRep: a renamed variable is no exact copy of C_src, so it would earn the full equivalence
reward. The canonical form strips comments, docstrings, hints of variables and layout, and statements that do nothing;
renames what nobody outside can name (`python.scopes`) in the order of first appearance; and spells constants one way.
Two programs with one canonical form are the same program to us, for callers by keyword too: names of a public
function's parameters stay. `repeats`, for the duplicate rule, and `distance` look through those as well. `distance` is
the Zhang-Shasha tree-edit distance (SIAM J. Comput. 18(6), 1989) over canonical trees, for the novelty term of the
reward; about 5 ms for two ten-line functions.
"""

from __future__ import annotations

import ast
import warnings
from functools import lru_cache
from typing import Any, NamedTuple

from semrep_jax.core import syntax
from semrep_jax.python import scopes


class _Simplifier(ast.NodeTransformer):
    """Drops hints that do nothing, and a `return` at the end of a function; writes `return None` as `return`."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: Any) -> ast.AST:
        node.returns = None
        self.generic_visit(node)
        while len(node.body) > 1 and isinstance(node.body[-1], ast.Return) and node.body[-1].value is None:
            node.body.pop()
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        # hints in a class stay: they make the fields of a dataclass
        node.body = [n if isinstance(n, ast.AnnAssign) else self.visit(n) for n in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return node
        return self.generic_visit(ast.copy_location(ast.Assign([node.target], node.value), node))

    def visit_Return(self, node: ast.Return) -> ast.AST:
        if isinstance(node.value, ast.Constant) and node.value.value is None:
            node.value = None
        return self.generic_visit(node)


def _drop_idle_statements(tree: ast.AST) -> None:
    """Drops, in place, docstrings, `pass` and other constants where they are not all there is."""
    for node in ast.walk(tree):
        for block in ("body", "orelse", "finalbody"):
            statements = getattr(node, block, None)
            if not isinstance(statements, list) or not statements:
                continue
            useful = [n for n in statements if not _is_idle(n)]
            ends_try = block == "finalbody" and bool(getattr(node, "handlers", None))
            optional = isinstance(node, ast.Module) or block == "orelse" or ends_try
            setattr(node, block, useful if useful or optional else [ast.Pass()])


def _is_idle(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def parse(source: str) -> ast.Module | None:
    """The syntax tree of `source`, or None where it does not parse (or nests too deeply to)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return syntax.module(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@lru_cache(maxsize=65536)
def canonical(source: str) -> str | None:
    """Canonical text of a Python source; None where it does not parse."""
    tree = parse(source)
    if tree is None:
        return None
    try:
        _drop_idle_statements(tree)
        simple: Any = _Simplifier().visit(tree)
        scopes.rename(simple)
        return ast.unparse(ast.fix_missing_locations(simple))
    except (RecursionError, ValueError):
        return None


def repeats(a: str, b: str) -> bool:
    """Whether two canonical texts are equal, or differ merely in new names for the parameters of public functions.

    Callers by keyword need the old names, so that the forms differ; but to rename is no work, and must not be paid as
    if it were. It is no mere renaming where a name means one parameter in A and another in B (`f(a, b)` and `f(b, a)`):
    calls by keyword are taken by both then, and mean something else.
    """
    if a == b:
        return True
    if len(a.split()) != len(b.split()):
        return False
    (first, first_parameters), (second, second_parameters) = _without_parameters(a), _without_parameters(b)
    if first != second:
        return False
    for old, new in zip(first_parameters, second_parameters, strict=True):
        if any(name in new and old.index(name) != new.index(name) for name in old):
            return False
    return True


@lru_cache(maxsize=4096)
def _without_parameters(text: str) -> tuple[str, list[list[str]]]:
    """A canonical text with the parameters of public functions renamed as well, and their names before that."""
    tree = syntax.module(text)
    functions = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    names = [[a.arg for a in (*n.args.posonlyargs, *n.args.args)] for n in functions]
    scopes.rename(tree, parameters_too=True)
    return ast.unparse(tree), names


@lru_cache(maxsize=65536)
def split_form(source: str) -> str | None:
    """The form whose hash decides which split of the generated tasks a text belongs to; for that alone.

    It must stay as it is: with another form, the tasks that the models here were trained and are measured on would
    change. Names of one spelling are one variable to it, wherever they stand, and every parameter is renamed.
    """
    tree = parse(source)
    if tree is None:
        return None
    try:
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)):
                body = [n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
                node.body = body if body or isinstance(node, ast.Module) else [ast.Pass()]
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                node.returns = None
        return ast.unparse(ast.fix_missing_locations(_SplitRenamer(_bound_anywhere(tree)).visit(tree)))
    except (RecursionError, ValueError):
        return None


class _SplitRenamer(ast.NodeTransformer):
    """Rename every name in `names` (parameters and locals) to v0, v1, ... in the order of first appearance."""

    def __init__(self, names: set[str]):
        self.names = names
        self.fresh: dict[str, str] = {}

    def _name(self, name: str) -> str:
        if name not in self.names:
            return name
        return self.fresh.setdefault(name, f"v{len(self.fresh)}")

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self._name(node.id), node.ctx), node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.copy_location(ast.arg(self._name(node.arg), None), node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = self._name(node.name) if node.name else None
        return self.generic_visit(node)


def _bound_anywhere(tree: ast.AST) -> set[str]:
    """Names that are bound anywhere in a program, but for those declared global or nonlocal."""
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    bound |= {n.name for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.name}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            bound -= set(node.names)
    return bound


def _label(node: ast.AST) -> str:
    parts = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        if not isinstance(value, (ast.AST, list)) and value is not None and name not in ("type_comment", "kind"):
            parts.append(repr(value))
    return ":".join(parts)


class _Postorder(NamedTuple):
    """A tree as Zhang and Shasha number it: the nodes in post-order.

    labels: each node's. leftmost: for each node, the number of the leftmost leaf under it. key_roots: for each such
    leaf, the last node to have it.
    """

    labels: list[str]
    leftmost: list[int]
    key_roots: list[int]


@lru_cache(maxsize=4096)
def _postorder(text: str) -> _Postorder:
    labels: list[str] = []
    leftmost: list[int] = []

    def walk(node: ast.AST) -> int:
        first = -1
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.Load, ast.Store, ast.Del)):
                continue
            leaf = walk(child)
            first = leaf if first < 0 else first
        labels.append(_label(node))
        leftmost.append(len(labels) - 1 if first < 0 else first)
        return leftmost[-1]

    tree = syntax.module(text)
    scopes.rename(tree, parameters_too=True)
    walk(tree)
    last = {leaf: i for i, leaf in enumerate(leftmost)}
    return _Postorder(labels, leftmost, sorted(last.values()))


@lru_cache(maxsize=65536)
def distance(a: str, b: str) -> float:
    """Tree-edit distance of two canonical texts, over the larger tree's size: 0 is equal, 1 is unrelated."""
    if a == b:
        return 0.0
    first, second = _postorder(a), _postorder(b)
    tree = [[0] * len(second.labels) for _ in first.labels]
    for i in first.key_roots:
        for j in second.key_roots:
            _forest(first, second, i, j, tree)
    return min(1.0, tree[-1][-1] / max(len(first.labels), len(second.labels)))


def _forest(a: _Postorder, b: _Postorder, i: int, j: int, tree: list[list[int]]) -> None:
    """One forest-distance table of Zhang-Shasha, for the subtrees at the key roots `i` and `j`.

    Fills `tree[x][y]`, the distance of the subtrees at x and y, for every pair on the spines of the two.
    """
    labels_a, leftmost_a, _ = a
    labels_b, leftmost_b, _ = b
    i0, j0 = leftmost_a[i], leftmost_b[j]
    table = [list(range(j - j0 + 2))]
    for x in range(i0, i + 1):
        above, row = table[-1], [table[-1][0] + 1]
        for y in range(j0, j + 1):
            best = min(above[y - j0 + 1], row[-1]) + 1
            if leftmost_a[x] == i0 and leftmost_b[y] == j0:
                best = min(best, above[y - j0] + (labels_a[x] != labels_b[y]))
                tree[x][y] = best
            else:
                best = min(best, table[leftmost_a[x] - i0][leftmost_b[y] - j0] + tree[x][y])
            row.append(best)
        table.append(row)
