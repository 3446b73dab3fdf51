"""The judge of minimum spanning trees: n - 1 edges that span the graph without a cycle, of the least total weight,
exactly; which of several least trees it is does not matter.

    graph = Graph.drawn(90, Random(0))
    problem_of(graph, answer)          # "" for a minimum spanning tree, else what is wrong with it

Weights are integers, so the total is exact and there is no tolerance. What a program returns comes out of the sandbox
in wire form, plain values of exact types; an index that is a bool, a float, negative or too large is refused before it
is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

HEAVIEST = 999


@dataclass(frozen=True)
class Graph:
    """A complete graph: `weights` of the edges (0, 1), (0, 2), ..., (n-2, n-1), integers from 0 to HEAVIEST."""

    n: int
    weights: tuple[int, ...]

    @classmethod
    def drawn(cls, n: int, rng: Random) -> Graph:
        """A graph of n vertices with weights drawn alike; many of them are equal."""
        return cls(n, tuple(rng.randint(0, HEAVIEST) for _ in range(n * (n - 1) // 2)))

    @property
    def wire(self) -> Any:
        """The arguments (n, weights) of a call, in wire form."""
        return ["t", self.n, ["l", *self.weights]]

    def weight(self, a: int, b: int) -> int:
        """The weight of the edge between two different vertices."""
        a, b = min(a, b), max(a, b)
        return self.weights[a * self.n - a * (a + 1) // 2 + b - a - 1]

    @cached_property
    def least(self) -> int:
        """The total weight of a minimum spanning tree, by Prim's algorithm."""
        near = [self.weight(0, v) if v else -1 for v in range(self.n)]
        left, total = set(range(1, self.n)), 0
        while left:
            v = min(left, key=near.__getitem__)
            left.remove(v)
            total += near[v]
            for u in left:
                near[u] = min(near[u], self.weight(u, v))
        return total


def problem_of(graph: Graph, answer: Any) -> str:
    """What is wrong with an answer, in wire form; "" for a minimum spanning tree of the graph."""
    edges = _edges(graph.n, answer)
    if isinstance(edges, str):
        return edges
    if len(edges) != graph.n - 1:
        return f"{len(edges)} edges are no tree of {graph.n} vertices"
    root = list(range(graph.n))
    for a, b in edges:
        a, b = _top(root, a), _top(root, b)
        if a == b:
            return "the edges hold a cycle"
        root[a] = b
    total = sum(graph.weight(a, b) for a, b in edges)
    return "" if total == graph.least else f"the tree weighs {total}, {total - graph.least} more than the least"


def _edges(n: int, answer: Any) -> list[tuple[int, int]] | str:
    """The edges of an answer, or what is wrong with it."""
    if type(answer) is not list or not answer or answer[0] not in ("l", "t"):
        return "a list of edges [i, j] is wanted"
    edges = []
    for edge in answer[1:]:
        if type(edge) is not list or len(edge) != 3 or edge[0] not in ("l", "t"):
            return f"{str(edge)[:40]} is no edge [i, j]"
        a, b = edge[1:]
        if type(a) is not int or type(b) is not int or not (0 <= a < n and 0 <= b < n) or a == b:
            return f"({str(a)[:20]}, {str(b)[:20]}) is no edge between two vertices of 0 to {n - 1}"
        edges.append((a, b))
    return edges


def _top(root: list[int], v: int) -> int:
    while root[v] != v:
        root[v] = root[root[v]]
        v = root[v]
    return v
