"""`repair`: turn 1 transforms C_src; later turns show the model its best wrong programs, each with the one line that
the verdict on it says."""

from __future__ import annotations

from semrep_jax.search.node import Kind
from semrep_jax.search.strategies.strategy import Ask, Strategy, View, shared


def _repair(view: View) -> list[Ask]:
    wrong = [node for node in view.tree.candidates if node.id and not node.correct and node.feedback]
    if view.turn == 0 or not wrong:
        return [Ask(Kind.TRANSFORM, 0, view.plan.samples, "sample")]
    wrong.sort(key=lambda node: node.rank, reverse=True)
    held = shared(wrong[: view.plan.beam], view.plan.samples)
    return [Ask(Kind.REPAIR, node.id, samples, "repair") for node, samples in held]


REPAIR = Strategy("tell the model what its programs fail", _repair)
