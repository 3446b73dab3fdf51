"""One search: a strategy on a task, from a tree on disk or none, until its budget is spent or it asks for nothing more.

    tree = Search(problem, "semrep", Plan(), policy, key, seed=0).run(journal)

A round, top to bottom in `Search._round`: ask -> write -> pay -> judge what is new -> pay -> keep. The programs of a
round are a function of fold_in(fold_in(key, round), prompt) and of a sample's number, so a search that was killed ends
in the same tree, measured seconds aside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from random import Random
from typing import Protocol

import jax

from semrep_jax import prompts
from semrep_jax.core.programs import Completion, Finish, Program
from semrep_jax.inference.rewrite import program_of
from semrep_jax.prompts import Prompt
from semrep_jax.rollout.policy import Policy
from semrep_jax.search.budget import Budget, BudgetError, Limits
from semrep_jax.search.journal import Journal
from semrep_jax.search.node import Kind, Node
from semrep_jax.search.problem import Assessed, Problem
from semrep_jax.search.strategies.strategy import STRATEGIES, Ask, Plan, View
from semrep_jax.search.tree import Tree


@dataclass(frozen=True)
class Written:
    """One sample of a round: what was asked for, how, what was said (None of a program that no model wrote), its
    node."""

    ask: Ask
    prompt: Prompt | None
    completion: Completion | None
    node: Node


class Learner(Protocol):
    """Updates the model on a task between rounds (`adapt`)."""

    def begin(self) -> None:
        """Forget everything: the next search begins with the model as it was."""

    def price(self, written: Sequence[Written]) -> int:
        """Tokens that learning from a round costs."""

    def learn(self, written: Sequence[Written]) -> None:
        """Learn from a round that was judged."""


@dataclass
class Search:
    """A strategy on a problem.

    strategy: its name in STRATEGIES. plan: T, k, b. policy: writes. key: of all the sampling on this task. seed: of
    what the strategy draws itself. w1, w2: of Score(c). limits: the budget. temperature: of sampling. learner: for a
    strategy that learns. source: what is known of C_src.
    """

    problem: Problem
    strategy: str
    plan: Plan
    policy: Policy | None
    key: jax.Array
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    temperature: float = 1.0
    w1: float = 0.5
    w2: float = 0.5
    learner: Learner | None = None
    source: Assessed | None = None

    def run(self, journal: Journal | None = None, stopped: Callable[[], bool] = lambda: False) -> tuple[Tree, Budget]:
        """Search to the end, or until `stopped` says so after a round; what there is then.

        journal: where the tree is kept, and gone on from. Raises BudgetError where tokens are limited and the policy
        does not count them.
        """
        tree, budget = self._begun(journal)
        if self.learner is not None and not tree.rounds:
            self.learner.begin()
        while not (self.is_over(tree, budget) or stopped()):
            asks = self._asks(tree)
            if not asks:
                break
            nodes = self._round(tree, budget, asks)
            tree.add(nodes)
            if journal is not None:
                journal.close_round(tree.rounds, nodes, budget)
        return tree, budget

    def is_over(self, tree: Tree, budget: Budget) -> bool:
        """Whether there is nothing to be done any more."""
        return budget.exhausted or tree.solved or tree.rounds >= self.plan.rounds

    def _begun(self, journal: Journal | None) -> tuple[Tree, Budget]:
        """The tree and the budget to go on with. A strategy that learns goes on with none that has not ended, as what
        the model had learnt is in no journal: it begins anew, and comes to the same tree."""
        tree, budget = self._new()
        if journal is None:
            return tree, budget
        journal.restore(tree, budget)
        if STRATEGIES[self.strategy].learns and tree.rounds and not self.is_over(tree, budget):
            journal.restart()
            return self._new()
        return tree, budget

    def _new(self) -> tuple[Tree, Budget]:
        return Tree(self.problem.task, self.w1, self.w2, self.source), Budget(self.limits)

    def _asks(self, tree: Tree) -> list[Ask]:
        rng = Random(f"{self.seed}:{self.problem.task.sha256}:{self.strategy}:{tree.rounds}")
        asks = STRATEGIES[self.strategy].asks(View(tree, self.plan, self.problem, rng))
        if self.problem.move is None:
            return asks
        # each sample that follows an instruction has one of its own, and so a prompt of its own
        told = (Kind.TRANSFORM, Kind.REPAIR)
        split = [[replace(ask, samples=1)] * ask.samples if ask.kind in told else [ask] for ask in asks]
        return [ask for some in split for ask in some]

    def _round(self, tree: Tree, budget: Budget, asks: Sequence[Ask]) -> list[Node]:
        """One round: what was written, paid for and judged."""
        began = time.perf_counter()
        beam = tree.beam(self.plan.beam)
        written = self._written(tree, asks)
        for one in written:
            if not budget.spend("tokens", one.node.tokens):
                _void(None, one.node)
        nodes = [one.node for one in written]
        self._judge(tree, budget, nodes, beam)
        if self.learner is not None and tree.rounds + 1 < self.plan.rounds and not budget.exhausted:
            self._learn(self.learner, budget, written)
        if not budget.spend("wall_seconds", time.perf_counter() - began):
            for node in nodes:
                _void(tree, node)
        return nodes

    def _learn(self, learner: Learner, budget: Budget, written: Sequence[Written]) -> None:
        """Learn from a round, where that can be paid for; its last node bears the cost in the curves."""
        price = learner.price(written)
        if price and budget.spend("tokens", price):
            written[-1].node.learning = price
            learner.learn(written)

    def _written(self, tree: Tree, asks: Sequence[Ask]) -> list[Written]:
        """Everything that was asked for, in order, nothing judged yet."""
        rng = Random(f"{self.seed}:{self.problem.task.sha256}:moves:{tree.rounds}")
        asked = [(ask, self._prompt(tree, ask, rng)) for ask in asks]
        key = jax.random.fold_in(self.key, tree.rounds)
        written: list[Written] = []
        for (samples, drawn), group in groupby(asked, key=lambda pair: (pair[0].samples, pair[1] is None)):
            some = list(group)
            if drawn:
                said: list[list[Completion | None]] = [[None] * samples] * len(some)
            else:
                said = self._said([prompt for _, prompt in some if prompt is not None], samples, key, len(written))
            for (ask, prompt), completions in zip(some, said, strict=True):
                for completion in completions:
                    node = self._node(tree, ask, prompt, completion, len(tree.nodes) + len(written))
                    written.append(Written(ask, prompt, completion, node))
        return written

    def _said(self, asked: list[Prompt], samples: int, key: jax.Array, place: int) -> list[list[Completion | None]]:
        assert self.policy is not None, f"the strategy {self.strategy} needs a model"
        rows = 1 << (len(asked) - 1).bit_length()  # few shapes are compiled
        found = self.policy.sample(asked, samples, self.temperature, jax.random.fold_in(key, place), rows)
        return [list(group) for group in found]

    def _prompt(self, tree: Tree, ask: Ask, rng: Random) -> Prompt | None:
        """What a model is asked; None where the strategy wrote the program itself."""
        if ask.kind is Kind.DRAWN:
            return None
        parent = tree.program(ask.parent)
        if ask.kind is Kind.REWRITE:
            return prompts.rewrite(parent)
        move = self.problem.move
        instruction = self.problem.task.instruction if move is None else move(parent.source, rng)
        if ask.kind is Kind.REPAIR:
            feedback = tree.nodes[ask.parent].feedback
            return prompts.repair(self.problem.task.source, instruction, parent.source, feedback)
        guide = None if ask.guide is None else tree.program(ask.guide).source
        return prompts.transform(parent, instruction, guide)

    def _node(self, tree: Tree, ask: Ask, prompt: Prompt | None, completion: Completion | None, number: int) -> Node:
        node = Node(number, ask.parent, ask.kind, tree.rounds + 1, tree.rounds % self.plan.turns, ask.step, ask.guide)
        node.instruction = (prompt and prompt.instruction) or ""
        if completion is None:
            node.program, node.seconds = ask.program, ask.seconds
            return node
        if self.limits.tokens is not None and completion.cost is None and not completion.token_ids:
            raise BudgetError(
                "search.budget.tokens: the endpoint does not say how many tokens an answer took (usage), so they can't "
                "be paid for; set it to null, and a limit of seconds"
            )
        node.tokens = completion.tokens
        program = program_of(completion, self.problem.task.source.language)
        if isinstance(program, Program):
            node.program = program.source
        else:
            cut = completion.finish is not Finish.STOP and not completion.text
            node.reason = completion.finish.value if cut else program
        return node

    def _judge(self, tree: Tree, budget: Budget, nodes: Sequence[Node], beam: Sequence[Node]) -> None:
        """Judge what is new among the nodes, in their order, and repeat what is known of copies."""
        own = {node.id: node for node in nodes}
        paid = [node for node in nodes if node.program is not None and not node.beyond]
        new: list[Node] = []
        for node in paid:
            original = tree.known(node.program or "")
            if original is None:
                tree.remember(node)
                new.append(node)
            else:
                node.copy_of = original
        programs = [replace(self.problem.task.source, source=node.program or "") for node in new]
        rewrites = [node.kind is Kind.REWRITE for node in new]
        assessed = self.problem.assessor.assess(self.problem.task, programs, rewrites) if new else []
        facts = {node.id: found for node, found in zip(new, assessed, strict=True)}
        for node in paid:  # in order: the seconds that the strategy itself took for it, and those of judging it
            seconds = node.seconds + (facts[node.id].seconds if node.id in facts else 0.0)
            if not budget.spend("verifier_seconds", seconds):
                _void(tree, node)
            elif node.copy_of is None:
                tree.judge(node, facts[node.id], beam)
                if not node.judged:  # a fault of ours: it may be judged another time
                    tree.forget(node)
            else:
                tree.repeat(node, own.get(node.copy_of) or tree.nodes[node.copy_of])


def _void(tree: Tree | None, node: Node) -> None:
    """Take from a node everything that lies beyond the budget; it is neither counted nor known."""
    if tree is not None and node.program is not None and node.copy_of is None and not node.beyond:
        tree.forget(node)
    blank = Node(node.id, node.parent, node.kind)
    for name in ("status", "compiled", "preserve", "edit", "feedback", "facts", "value", "score", "novelty", "copy_of"):
        setattr(node, name, getattr(blank, name))
    node.program, node.reason, node.beyond = None, "beyond the budget", True
