"""The searches of a run as a part of its page: curves of what they found, and each tree as a picture one can walk.

    read(run)      # what tree.html.j2 shows; None where the run searched nothing

It reads trees/STRATEGY/TASK-sSEED.jsonl (a header, nodes, a closing line a round) and `search` in results.json. Every
node of a picture leads to its card: the prompt's kind, what it was written from, its verdict, what it cost, its text
and the lines that differ from its parent's.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semrep_jax.report.labels import colours, label
from semrep_jax.report.panels import Panel, Series
from semrep_jax.report.reading import Row, Run

MOST_TREES = 24  # on a page; the others are named
COLUMN, ROW = 150, 17  # of a tree's picture


@dataclass(frozen=True)
class Dot:
    """A node in a tree's picture."""

    id: int
    x: float
    y: float
    state: str
    tip: str


@dataclass(frozen=True)
class Edge:
    """A line from a node to the one that was written from it; a rewrite that stood beside C_src is dashed."""

    x1: float
    y1: float
    x2: float
    y2: float
    dashed: bool


@dataclass(frozen=True)
class Card:
    """What is shown of a node."""

    node: dict[str, Any]
    state: str
    best: bool
    diff: str


@dataclass(frozen=True)
class Walk:
    """A tree of a page. anchor: begins the ids of its nodes. outcome: in a few words."""

    anchor: str
    title: str
    outcome: str
    about: dict[str, Any]
    width: float
    height: float
    dots: tuple[Dot, ...]
    edges: tuple[Edge, ...]
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Searches:
    """All searches of a run. curves: of what they found; none before the run has ended. walks: the first trees.
    left_out: further ones."""

    curves: list[Panel]
    walks: list[Walk]
    left_out: int


def read(run: Run) -> Searches | None:
    """The searches in a work directory; None where there are none."""
    paths = sorted(run.path.glob("trees/*/*.jsonl"), key=lambda path: (path.name, path.parent.name))
    if not paths:
        return None
    walks = [walk for number, path in enumerate(paths[:MOST_TREES]) if (walk := _walk(path, f"t{number}"))]
    return Searches(panels(run.results or {}), walks, len(paths) - len(walks))


def panels(results: Row) -> list[Panel]:
    """The curves in results.json: (x, value, low, high) at every point."""
    found = []
    for picture in results.get("search", {}).get("curves", []):
        colour = colours(picture["lines"])
        lines = {name: np.array(points, float).T for name, points in picture["lines"].items()}
        series = tuple(Series(label(name), colour[name], *line) for name, line in lines.items())
        found.append(Panel(picture["y"], picture["x"], series))
    return found


def _walk(path: Path, anchor: str) -> Walk | None:
    """A tree's file as a picture and cards; None where it holds no header yet."""
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:  # the line that a killed search was writing
            break
    if not lines:
        return None
    about = lines[0]["search"]
    root = {"id": 0, "kind": "source", "program": about["source"], "step": "C_src", "round": 0}
    known_of_it = {"score": about.get("source_score", 0.0), "value": about.get("start")}
    nodes = [root | known_of_it, *(line for line in lines[1:] if "id" in line)]
    known = [node for node in nodes if _state(node) not in ("none", "beyond", "copy")]
    best = max(known, key=lambda node: (node.get("score", 0.0), _value(node), node.get("novelty", 0.0), -node["id"]))
    dots = {node["id"]: dot for node, dot in zip(nodes, _dots(nodes), strict=True)}
    outcome = f"{len(nodes) - 1} programs, best is #{best['id']} with a score of {best.get('score', 0.0):g}"
    if best.get("value") is not None:
        outcome += f" and {best['value']:.6g}"
    return Walk(
        anchor,
        f"{about['strategy']} on {about['place']}, seed {about['seed']}",
        outcome,
        about,
        max(dot.x for dot in dots.values()) + 40,
        max(dot.y for dot in dots.values()) + 20,
        tuple(dots.values()),
        tuple(edge for node in nodes[1:] for edge in _edges(node, dots)),
        tuple(Card(node, _state(node), node is best, _diff(node, nodes)) for node in nodes),
    )


def _value(node: dict[str, Any]) -> float:
    value = node.get("value")
    return float("-inf") if value is None else float(value)


def _state(node: dict[str, Any]) -> str:
    """What colours a node: source, right, equivalent, wrong, copy, none (no program), beyond (the budget)."""
    if node["kind"] == "source":
        return "source"
    if node.get("beyond"):
        return "beyond"
    if node.get("program") is None:
        return "none"
    if node.get("copy_of") is not None:
        return "copy"
    keeps = node.get("compiled", False) and node["preserve"][0] == node["preserve"][1]
    edited = node["edit"][0] == node["edit"][1]
    return "right" if keeps and edited else "equivalent" if keeps else "wrong"


def _dots(nodes: Sequence[dict[str, Any]]) -> list[Dot]:
    """A column for each round, its nodes below each other."""
    places: dict[int, int] = {}
    found = []
    for node in nodes:
        column = node.get("round", 0)
        row = places.setdefault(column, 0)
        places[column] += 1
        state = _state(node)
        tip = f"#{node['id']} {node.get('step', '')}: {state}, score {node.get('score', 0.0):g}"
        found.append(Dot(node["id"], 20.0 + COLUMN * column, 14.0 + ROW * row, state, tip))
    return found


def _edges(node: dict[str, Any], dots: dict[int, Dot]) -> list[Edge]:
    here = dots[node["id"]]
    ends = [(node.get("parent"), False), (node.get("guide"), True)]
    return [
        Edge(dots[end].x, dots[end].y, here.x, here.y, dashed)
        for end, dashed in ends
        if end is not None and end in dots
    ]


def _diff(node: dict[str, Any], nodes: Sequence[dict[str, Any]]) -> str:
    """The lines by which a program differs from its parent's."""
    parent = node.get("parent")
    if parent is None or node.get("program") is None:
        return ""
    old, new = (nodes[parent].get("program") or "").splitlines(), node["program"].splitlines()
    lines = list(difflib.unified_diff(old, new, lineterm="", n=1))[2:]
    return "\n".join(line for line in lines if not line.startswith("@@"))
