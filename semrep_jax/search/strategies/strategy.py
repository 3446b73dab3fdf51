"""What a strategy is, and which there are. A new one is one function.

    STRATEGIES.add("mine", Strategy("what it does", lambda view: [Ask(Kind.TRANSFORM, 0, view.plan.samples, "edit")]))

A strategy is asked before each round what is to be written next, and answers from the tree alone: it keeps nothing in
mind, so a search that was killed goes on where it was. No asks end the search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from semrep_jax.core.plugins import Registry
from semrep_jax.search.node import Kind, Node
from semrep_jax.search.problem import Problem
from semrep_jax.search.tree import Tree


@dataclass(frozen=True)
class Plan:
    """T turns, k samples a turn, beam b, and how often the turns are gone through."""

    turns: int = 2
    samples: int = 16
    beam: int = 4
    passes: int = 1

    @property
    def rounds(self) -> int:
        """Rounds of a search that no budget ends."""
        return self.turns * self.passes


@dataclass(frozen=True)
class Ask:
    """What is to be written: `samples` programs from one prompt.

    kind: of the prompt. parent: the node that it asks to change. step: what the strategy calls it. guide: the node in
    the prompt as C_rep. program: the text itself, of kind DRAWN, which asks no model. seconds: of processor time that
    the strategy took for it, which count as judging.
    """

    kind: Kind
    parent: int
    samples: int
    step: str
    guide: int | None = None
    program: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class View:
    """What a strategy sees. rng: its own for this round, and the same one whenever this round is planned."""

    tree: Tree
    plan: Plan
    problem: Problem
    rng: Random

    @property
    def turn(self) -> int:
        """The turn that comes next, from 0."""
        return self.tree.rounds % self.plan.turns


@dataclass(frozen=True)
class Strategy:
    """A way to spend a budget on a task.

    title: what it does, in a few words. asks: what is to be written next. learns: whether the model is updated between
    rounds. model: whether it needs one.
    """

    title: str
    asks: Callable[[View], list[Ask]]
    learns: bool = False
    model: bool = True


STRATEGIES: Registry[Strategy] = Registry(
    "search strategy",
    "search.strategies",
    {
        "semrep": "semrep_jax.search.strategies.beams:SEMREP",
        "direct": "semrep_jax.search.strategies.beams:DIRECT",
        "iid": "semrep_jax.search.strategies.beams:IID",
        "greedy": "semrep_jax.search.strategies.beams:GREEDY",
        "repair": "semrep_jax.search.strategies.repair:REPAIR",
        "evolve": "semrep_jax.search.strategies.evolve:EVOLVE",
        "adapt": "semrep_jax.search.strategies.beams:ADAPT",
        "restarts": "semrep_jax.search.strategies.blind:RESTARTS",
        "hopping": "semrep_jax.search.strategies.blind:HOPPING",
        "coordinates": "semrep_jax.search.strategies.blind:COORDINATES",
    },
)


def shared(held: list[Node], samples: int) -> list[tuple[Node, int]]:
    """`samples` divided alike among the best of `held`: as many of them as divide it, so that every prompt is asked
    the same number of times."""
    count = next(n for n in range(min(len(held), samples), 0, -1) if samples % n == 0)
    return [(node, samples // count) for node in held[:count]]


def transform_of(node: Node, samples: int, step: str) -> Ask:
    """Ask to transform what a beam holds: an equivalent of C_src stands beside C_src as C_rep, anything else is
    changed itself.

    node: of the beam. samples: completions of this prompt. step: the strategy's name for it, which the tree shows.
    """
    if node.kind is Kind.SOURCE:
        return Ask(Kind.TRANSFORM, 0, samples, step)
    if node.equivalent and not node.correct:
        return Ask(Kind.TRANSFORM, 0, samples, step, guide=node.id)
    return Ask(Kind.TRANSFORM, node.id, samples, step)
