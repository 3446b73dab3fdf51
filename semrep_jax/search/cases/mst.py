"""Minimum spanning trees, and how fast: the paper's second case study.

    CASE.evaluate("def mst(n, weights): ...", sandbox)

The judge takes any program with a function `mst(n, weights)`: a complete graph, its weights row by row, to n - 1 edges.
Every answer of every timed call is judged, and a program with one wrong tree has no speed. The value is how many times
as fast as the seed program it is, in processor time as the kernel counts it. A run of the candidate, one of the seed
and one of a program that does nothing follow each other, again and again; each time the third, which is the cost of the
sandbox and of handing over the graphs, is taken from the other two, and the value is the ratio of the medians. What a
program does faster than REST of the seed's time can't be told from that cost, and its speed-up ends there.

A search times each candidate on a few graphs, and chooses by that; so its best is timed anew, on other graphs and more
often, with a bootstrap interval (`held_out`), and that is the figure to report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np

from semrep_jax.core.programs import Status
from semrep_jax.sandbox.pool import Limits, Sandbox, Unseen
from semrep_jax.search.cases import moves
from semrep_jax.search.cases.case import Case, Evaluation, failed
from semrep_jax.search.cases.spanning import Graph, problem_of

FRAME = Path(__file__).with_name("spanning_frame.py")
LIMITS = Limits(cpu_seconds=5.0, wall_seconds=15.0)
SEED = "def make(xs):\n    return [x * 4 for x in xs if x > 11]"
MARKS = 16  # the candidate's function is given 0..15
VERTICES = 110
SEARCHED, HELD_OUT = "graphs of the search", "graphs held out"
GRAPHS = 2  # in a run
TIMES, TIMES_HELD_OUT = 3, 15  # runs of each program
REST = 0.02  # of the seed's time
RESAMPLES = 2000
NOTHING = "def mst(n, weights):\n    return []\n"


def whole(text: str) -> str:
    """A candidate's text with the frame below it."""
    tail = f"def mst(n, weights):\n    return spanned(n, weights, make(list(range({MARKS}))))\n"
    return f"{text}\n\n\n{FRAME.read_text()}\n\n{tail}"


@lru_cache(maxsize=64)
def graphs(stream: str, number: int) -> tuple[Graph, ...]:
    """The graphs of one run: GRAPHS of them, another set for each stream and number."""
    return tuple(Graph.drawn(VERTICES, Random(f"{stream}:{number}:{i}")) for i in range(GRAPHS))


def evaluate(source: str, sandbox: Sandbox) -> Evaluation:
    """What the judge says of a whole program, on the graphs that a search sees."""
    return _timed(source, sandbox, SEARCHED, TIMES)


def held_out(source: str, sandbox: Sandbox) -> Evaluation:
    """The same on graphs that no search sees, timed more often, with a 95 % interval."""
    return _timed(source, sandbox, HELD_OUT, TIMES_HELD_OUT)


def _timed(source: str, sandbox: Sandbox, stream: str, times: int) -> Evaluation:
    spent = 0.0
    runs: list[tuple[float, float, float]] = []
    for number in range(times):
        some = graphs(stream, number)
        calls = [graph.wire for graph in some]
        observation = sandbox.run(source, "mst", calls, LIMITS)
        spent += observation.cpu_seconds
        none = failed(observation)
        if none is not None:
            return replace(none, seconds=spent)
        for graph, outcome in zip(some, observation.outcomes, strict=True):
            problem = problem_of(graph, outcome.value)
            if problem:
                return Evaluation(False, None, problem, Status.WRONG, spent)
        try:
            seed, nothing = (sandbox.observe(text, "mst", calls, LIMITS).cpu_seconds for text in (whole(SEED), NOTHING))
        except Unseen as fault:
            return Evaluation(False, None, str(fault), Status.UNJUDGED, spent, judged=False)
        spent += seed + nothing
        runs.append((seed, observation.cpu_seconds, nothing))
    value = speedup(runs)
    low, high = interval(runs)
    feedback = f"every tree is least, {value:.2f} times as fast as the program it started from"
    return Evaluation(True, value, feedback, Status.OK, spent, low=low, high=high)


def speedup(runs: Sequence[tuple[float, float, float]]) -> float:
    """How many times as fast a candidate is; runs: seconds of the seed, of the candidate, and of nothing, each time one
    after the other."""
    return float(_ratios(np.asarray(runs)[None])[0])


def _ratios(runs_NR3: np.ndarray) -> np.ndarray:
    """The speed-up in each of N sets of R runs: [N]."""
    seed, candidate, nothing = np.median(runs_NR3, axis=1).T
    base = np.maximum(seed - nothing, 1e-9)
    return np.asarray(base / np.maximum(candidate - nothing, REST * base))


def interval(runs: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the speed-up, over runs (percentile method)."""
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(runs), (RESAMPLES, len(runs)))
    low, high = np.percentile(_ratios(np.asarray(runs)[draws]), [2.5, 97.5])
    return float(low), float(high)


CASE = Case(
    title="minimum spanning tree, 110 vertices",
    figure="speed-up",
    entry="mst",
    signature="mst(n, weights) -> list of n - 1 edges [i, j]; weights: of a complete graph, row by row",
    seed=SEED,
    instruction="The function returns marks, 0 to 64: up to which weight, in 64ths, each stage of Kruskal's algorithm "
    "takes edges. Change it so that little is sorted; the last mark has to reach far enough to span the graph.",
    whole=whole,
    evaluate=evaluate,
    draw=moves.draw(4, 64),
    perturb=moves.perturb(4, 64),
    move=moves.move,
    held_out=held_out,
)
