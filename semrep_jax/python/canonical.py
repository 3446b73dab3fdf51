"""Canonical form of a Python program, and the tree-edit distance between two of them.

The *triviality trap* of SemRep: a renamed variable is no exact copy of C_src, so it would earn the full equivalence
reward. The canonical form strips comments, docstrings and layout, renames parameters and local variables in the order
of their first appearance, and spells constants one way. Two programs with one canonical form are the same program to
us. `distance` is the Zhang-Shasha tree-edit distance (SIAM J. Comput. 18(6), 1989) over canonical trees, for the
novelty term of the reward; about 5 ms for two ten-line functions.
"""

from __future__ import annotations

import ast
import warnings
from functools import lru_cache

from semrep_jax.core import syntax


class _Renamer(ast.NodeTransformer):
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


def _locals(tree: ast.AST) -> set[str]:
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    bound |= {n.name for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.name}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            bound -= set(node.names)
    return bound


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)):
            body = [n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
            node.body = body if body or isinstance(node, ast.Module) else [ast.Pass()]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.returns = None
    return tree


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
        bare = _without_docstrings(tree)
        return ast.unparse(ast.fix_missing_locations(_Renamer(_locals(bare)).visit(bare)))
    except (RecursionError, ValueError):
        return None


def _label(node: ast.AST) -> str:
    parts = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        if not isinstance(value, (ast.AST, list)) and value is not None and name not in ("type_comment", "kind"):
            parts.append(repr(value))
    return ":".join(parts)


@lru_cache(maxsize=4096)
def _postorder(text: str) -> tuple[list[str], list[int], list[int]]:
    """Labels in post-order, leftmost-leaf index of each node, and the key roots."""
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

    walk(syntax.module(text))
    last = {leaf: i for i, leaf in enumerate(leftmost)}
    return labels, leftmost, sorted(last.values())


@lru_cache(maxsize=65536)
def distance(a: str, b: str) -> float:
    """Tree-edit distance between two canonical texts, divided by the larger tree's size: 0 is equal, 1 is unrelated."""
    if a == b:
        return 0.0
    la, ma, ka = _postorder(a)
    lb, mb, kb = _postorder(b)
    tree = [[0] * len(lb) for _ in la]
    for i in ka:
        for j in kb:
            _forest(la, ma, lb, mb, i, j, tree)
    return min(1.0, tree[-1][-1] / max(len(la), len(lb)))


def _forest(la: list[str], ma: list[int], lb: list[str], mb: list[int], i: int, j: int, tree: list[list[int]]) -> None:
    """One forest-distance table of Zhang-Shasha; fills `tree` for every pair of subtrees rooted on its spine."""
    i0, j0 = ma[i], mb[j]
    width = j - j0 + 2
    table = [list(range(width))]
    for x in range(i0, i + 1):
        above, row = table[-1], [table[-1][0] + 1]
        for y in range(j0, j + 1):
            best = min(above[y - j0 + 1], row[-1]) + 1
            if ma[x] == i0 and mb[y] == j0:
                best = min(best, above[y - j0] + (la[x] != lb[y]))
                tree[x][y] = best
            else:
                best = min(best, table[ma[x] - i0][mb[y] - j0] + tree[x][y])
            row.append(best)
        table.append(row)
