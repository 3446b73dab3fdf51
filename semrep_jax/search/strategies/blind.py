"""Baselines without any model: in the space of programs that a case study says, random restarts and basin hopping
(programs near the best so far); and basin hopping over the numbers of the answer, with no program at all. They cost no
tokens, and are compared at equal seconds of judging."""

from __future__ import annotations

from semrep_jax.core.settings import ConfigError
from semrep_jax.search.node import Kind
from semrep_jax.search.strategies.strategy import Ask, Strategy, View


def _restarts(view: View) -> list[Ask]:
    draw = view.problem.draw
    assert draw is not None  # `job: search` takes it for case studies only, and each of these draws
    texts = [draw(view.rng) for _ in range(view.plan.samples)]
    return [Ask(Kind.DRAWN, 0, 1, "draw", program=text) for text in texts]


def _hopping(view: View) -> list[Ask]:
    perturb = view.problem.perturb
    assert perturb is not None  # as above
    best = view.tree.best
    if not view.tree.rounds:
        return _restarts(view)
    texts = [perturb(best.program or "", view.rng) for _ in range(view.plan.samples)]
    return [Ask(Kind.DRAWN, best.id, 1, "hop", program=text) for text in texts]


def _coordinates(view: View) -> list[Ask]:
    optimise = view.problem.optimise
    if optimise is None:
        raise ConfigError("search.strategies: coordinates is for the case study circles; leave it out")
    best = view.tree.best
    found = [optimise(best.program or "", view.rng) for _ in range(view.plan.samples)]
    return [Ask(Kind.DRAWN, best.id, 1, "optimise", program=text, seconds=seconds) for text, seconds in found]


RESTARTS = Strategy("no model: random programs", _restarts, model=False)
HOPPING = Strategy("no model: programs near the best", _hopping, model=False)
COORDINATES = Strategy("no model, no program: basin hopping by SLSQP", _coordinates, model=False)
