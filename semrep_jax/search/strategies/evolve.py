"""`evolve`: a (mu + lambda) evolution. The population is the best mu = b of everything judged so far; each of the k
children of a round has a parent drawn from it, the n-th best with weight 1/n, and is asked for as a rewrite of the
parent one time in four, else as a transformation of it. The first round transforms C_src."""

from __future__ import annotations

from semrep_jax.search.node import Kind, Node
from semrep_jax.search.strategies.strategy import Ask, Strategy, View

REWRITES = 0.25  # share of children that are asked for as rewrites


def _evolve(view: View) -> list[Ask]:
    population = view.tree.beam(view.plan.beam)
    weights = [1 / place for place in range(1, len(population) + 1)]
    return [_child(view, view.rng.choices(population, weights)[0]) for _ in range(view.plan.samples)]


def _child(view: View, parent: Node) -> Ask:
    if view.tree.rounds and view.rng.random() < REWRITES:
        return Ask(Kind.REWRITE, parent.id, 1, "vary")
    return Ask(Kind.TRANSFORM, parent.id, 1, "mutate")


EVOLVE = Strategy("(mu + lambda) evolution", _evolve)
