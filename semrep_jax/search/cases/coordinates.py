"""Circle packing with no program at all: basin hopping over the coordinates, each step a local optimum of the
sum of radii by SLSQP (scipy). What any search of programs is to be held against: from random starts it comes near to
what is known best, in seconds.

Its text is a program that returns its best packing, judged like any other; its processor time counts as judging.
"""

from __future__ import annotations

import json
import time
from itertools import combinations
from random import Random
from typing import Any

import numpy as np
from scipy.optimize import minimize

from semrep_jax.search.cases.packing import CIRCLES, Circle, Refused, read

MOVED = 3  # most circles that a hop puts elsewhere
JITTER = 0.02  # of the others' centres
STEPS = 60  # of SLSQP, most
SHRUNK = 1 - 1e-9  # so that rounding makes no two circles overlap
PAIRS = np.array(list(combinations(range(CIRCLES), 2)))


def hop(text: str, rng: Random) -> tuple[str, float]:
    """A program that returns a packing near another's, or from a random start where the text is no such program, and
    the processor seconds that it took."""
    began = time.process_time()
    numbers = np.random.default_rng(rng.getrandbits(63))
    centres = _centres(text)
    if centres is None:
        centres = numbers.random((CIRCLES, 2))
    else:
        centres = centres + numbers.normal(0, JITTER, centres.shape)
        moved = numbers.choice(CIRCLES, numbers.integers(1, MOVED + 1), replace=False)
        centres[moved] = numbers.random((len(moved), 2))
    rows = packing(np.clip(centres, 0.02, 0.98))
    return f"def pack():\n    return '{json.dumps(rows)}'\n", time.process_time() - began


def packing(centres: np.ndarray) -> list[list[float]]:
    """A packing that is a local optimum near centres [26, 2]: rows [x, y, radius], valid in exact arithmetic."""
    start = np.concatenate([centres.ravel(), np.full(CIRCLES, 0.03)])
    constraints = {"type": "ineq", "fun": _slack, "jac": _slack_gradient}
    gradient = np.concatenate([np.zeros(2 * CIRCLES), -np.ones(CIRCLES)])
    bounds = [(0.0, 1.0)] * (2 * CIRCLES) + [(1e-6, 0.5)] * CIRCLES
    found: Any = minimize(
        lambda z: -z[2 * CIRCLES :].sum(),
        start,
        jac=lambda z: gradient,
        bounds=bounds,
        constraints=constraints,
        method="SLSQP",
        options={"maxiter": STEPS},
    )
    return _valid(found.x)


def _slack(z: np.ndarray) -> np.ndarray:
    """What must not be below 0: distances to the four walls, and between circles."""
    (x, y), r = z[: 2 * CIRCLES].reshape(CIRCLES, 2).T, z[2 * CIRCLES :]
    i, j = PAIRS.T
    apart = np.hypot(x[i] - x[j], y[i] - y[j]) - r[i] - r[j]
    return np.concatenate([x - r, 1 - x - r, y - r, 1 - y - r, apart])


def _slack_gradient(z: np.ndarray) -> np.ndarray:
    (x, y) = z[: 2 * CIRCLES].reshape(CIRCLES, 2).T
    i, j = PAIRS.T
    n, k = CIRCLES, np.arange(CIRCLES)
    walls = np.zeros((4, n, 3 * n))
    for wall, (axis, sign) in enumerate(((0, 1), (0, -1), (1, 1), (1, -1))):
        walls[wall, k, 2 * k + axis] = sign
        walls[wall, k, 2 * n + k] = -1
    dx, dy = x[i] - x[j], y[i] - y[j]
    distance = np.hypot(dx, dy) + 1e-12
    apart, row = np.zeros((len(i), 3 * n)), np.arange(len(i))
    apart[row, 2 * i], apart[row, 2 * j] = dx / distance, -dx / distance
    apart[row, 2 * i + 1], apart[row, 2 * j + 1] = dy / distance, -dy / distance
    apart[row, 2 * n + i] = apart[row, 2 * n + j] = -1
    return np.concatenate([walls.reshape(4 * n, 3 * n), apart])


def _valid(z: np.ndarray) -> list[list[float]]:
    """The optimum with its radii shrunk until nothing overlaps."""
    (x, y), r = z[: 2 * CIRCLES].reshape(CIRCLES, 2).T, np.maximum(z[2 * CIRCLES :], 1e-9)
    x, y = np.clip(x, 1e-6, 1 - 1e-6), np.clip(y, 1e-6, 1 - 1e-6)
    r = np.minimum.reduce([r, x, 1 - x, y, 1 - y])
    i, j = PAIRS.T
    scale = min(1.0, float((np.hypot(x[i] - x[j], y[i] - y[j]) / (r[i] + r[j])).min()))
    return np.column_stack([x, y, r * scale * SHRUNK]).tolist()


def _centres(text: str) -> np.ndarray | None:
    """The centres of a program that `hop` made [26, 2]; None of any other."""
    head, _, tail = text.partition("'")
    if head != "def pack():\n    return ":
        return None
    try:
        circles: list[Circle] = read(tail.partition("'")[0])
    except Refused:
        return None
    return np.array([[float(x), float(y)] for x, y, _ in circles])
