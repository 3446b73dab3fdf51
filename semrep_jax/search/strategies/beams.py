"""Strategies with a beam: the paper's, its control without rewrites, best of N, and hill climbing.

semrep   turn 1 writes equivalents of C_src, later turns transform what the beam holds (the paper: T=2, k=16)
direct   every turn transforms: C_src at first, then what the beam holds
iid      best of N: the same prompt in every turn
greedy   every turn transforms the best so far, whatever else was found
adapt    as iid, with a GRPO step on this one task after each turn
"""

from __future__ import annotations

from dataclasses import replace

from semrep_jax.search.node import Kind
from semrep_jax.search.strategies.strategy import Ask, Strategy, View, shared, transform_of


def _semrep(view: View) -> list[Ask]:
    if view.turn == 0 and view.plan.turns > 1:
        return [Ask(Kind.REWRITE, 0, view.plan.samples, "rewrite")]
    # C_src, where the beam holds it, stands in for a C_rep, as in training
    return [replace(ask, guide=0) if ask.parent == 0 and ask.guide is None else ask for ask in _of_beam(view)]


def _direct(view: View) -> list[Ask]:
    if view.turn == 0:
        return _iid(view)
    return _of_beam(view)


def _of_beam(view: View) -> list[Ask]:
    held = shared(view.tree.beam(view.plan.beam), view.plan.samples)
    return [transform_of(node, samples, "transform") for node, samples in held]


def _iid(view: View) -> list[Ask]:
    return [Ask(Kind.TRANSFORM, 0, view.plan.samples, "sample")]


def _greedy(view: View) -> list[Ask]:
    return [transform_of(view.tree.best, view.plan.samples, "climb")]


SEMREP = Strategy("rewrite first, then transform the beam", _semrep)
DIRECT = Strategy("transform the beam, no rewrites", _direct)
IID = Strategy("best of N", _iid)
GREEDY = Strategy("transform the best so far", _greedy)
ADAPT = Strategy("best of N, with GRPO steps on the task", _iid, learns=True)
