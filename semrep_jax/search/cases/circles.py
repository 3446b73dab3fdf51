"""Circle packing, n = 26: the paper's first case study.

    CASE.evaluate("def pack(): return '[[0.1, 0.1, 0.1], ...]'", sandbox)

The judge takes any program with a function `pack()` that returns JSON. A search by a small policy moves in a space of
its own: functions `make(xs)` from 0..25 to marks, which `packing_frame` makes a packing of (2.49 to 2.60, and 0.05 s a
program). Best known is 2.635983 (arXiv 2506.13131 published 2.635863); that this space, and this frame's short
climb, do not reach it is a property of the space and not of a policy.
"""

from __future__ import annotations

import time
from pathlib import Path

from semrep_jax.core.programs import Status
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.search.cases import moves
from semrep_jax.search.cases.case import Case, Evaluation, failed
from semrep_jax.search.cases.coordinates import hop
from semrep_jax.search.cases.packing import CIRCLES, rule

FRAME = Path(__file__).with_name("packing_frame.py")
LIMITS = Limits(cpu_seconds=10.0, wall_seconds=30.0)
SEED = "def make(xs):\n    return [x + 2 for x in xs if x > 3]"


def whole(text: str) -> str:
    """A candidate's text with the frame below it."""
    return f"{text}\n\n\n{FRAME.read_text()}\n\ndef pack():\n    return packed(make(list(range({CIRCLES}))))\n"


def evaluate(source: str, sandbox: Sandbox) -> Evaluation:
    """What the judge says of a whole program.

    source: a program with a function `pack()`. sandbox: where it runs.
    """
    observation = sandbox.run(source, "pack", [["t"]], LIMITS)
    none = failed(observation)
    if none is not None:
        return none
    began = time.thread_time()  # others rule beside it
    ruling = rule(observation.outcomes[0].value)
    seconds = observation.cpu_seconds + time.thread_time() - began
    if not ruling.valid:
        return Evaluation(False, None, ruling.reason, Status.WRONG, seconds)
    total = float(ruling.total)
    return Evaluation(True, total, f"the radii add up to {total:.10f}", Status.OK, seconds)


CASE = Case(
    title="circle packing, n = 26",
    figure="sum of radii",
    entry="pack",
    signature="pack() -> str: JSON, 26 times [x, y, radius], disjoint circles in the unit square",
    seed=SEED,
    instruction="The function gives 26 circles the sizes that they start with, 0 to 9, row by row in a unit square. "
    "They are then pushed apart and grown. Change it so that the sum of their radii gets larger.",
    whole=whole,
    evaluate=evaluate,
    draw=moves.draw(CIRCLES, 9),
    perturb=moves.perturb(CIRCLES, 9),
    move=moves.move,
    optimise=hop,
)
