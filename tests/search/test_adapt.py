"""`adapt`: the model moves towards what was paid, what that costs is in the budget, and the next task begins with the
base."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from semrep_jax.core.programs import Duplicate, Objective, Score, Verdict
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.search.adapt import COST, GrpoLearner
from semrep_jax.search.budget import Limits
from semrep_jax.search.journal import Journal
from semrep_jax.search.problem import Assessed, Problem
from semrep_jax.search.run import Search
from semrep_jax.search.strategies.strategy import Plan
from semrep_jax.tasks.generated.families import TRAIN_FAMILIES
from semrep_jax.tasks.generated.generator import TRAIN_KINDS, Generator
from semrep_jax.train.settings import TrainConfig

TASK = replace(next(Generator("test", TRAIN_FAMILIES, TRAIN_KINDS, 11).tasks()), objective=Objective.SPEED)


class Short:
    """Pays short programs, and finds none right."""

    def assess(self, task, programs, rewrites):
        return [self.one(len(program.source)) for program in programs]

    def one(self, size):
        verdict = Verdict("wrong", True, Duplicate.NONE, Score(1, 1), Score(0, 1))
        return Assessed(verdict, -float(size), 0.1)


@pytest.fixture(scope="module")
def learner(nano):
    rollout = RolloutConfig(max_prompt=96, bucket=96, max_new=64)
    return GrpoLearner(TASK, nano, rollout, TrainConfig(learning_rate=3e-3, warmup=0), 1.0, steps=1, most=2)


def search(learner, limits=None, journal=None, stopped=lambda: False):
    problem, key = Problem(TASK, Short()), jax.random.key(1)
    one = Search(problem, "adapt", Plan(1, 8, 2, 3), learner.policy, key, limits=limits or Limits(), learner=learner)
    return one.run(journal, stopped)


@pytest.fixture(scope="module")
def opening(learner):
    """A search without a limit: its tree and what it spent."""
    return search(learner)


def test_steps_on_the_task_are_paid_for_change_what_is_written_and_are_forgotten(learner, opening, tmp_path):
    tree, budget = opening
    updates = [node.learning for node in tree.nodes if node.learning]
    assert len(updates) == 2 and all(cost % COST == 0 and cost > 100 for cost in updates)
    assert budget.spent.tokens == sum(node.tokens + node.learning for node in tree.nodes)
    sizes = [[n.tokens for n in tree.nodes if n.round == r and n.program] for r in (1, 3)]
    assert np.mean(sizes[1]) < np.mean(sizes[0])  # shorter ones were paid
    texts = [node.program for node in tree.nodes]
    journal = Journal(tmp_path / "t.jsonl", {})
    search(learner, journal=journal, stopped=iter([False, True]).__next__)
    again, _ = search(learner, journal=journal)  # began anew, from the base
    assert [node.program for node in again.nodes] == texts
    assert [node.program for node in search(learner, journal=journal)[0].nodes] == texts  # had ended: nothing was run


def test_an_update_that_does_not_fit_the_budget_is_not_made(learner, opening):
    tree, _ = opening
    first = sum(node.tokens for node in tree.nodes if node.round == 1)
    short, budget = search(learner, Limits(tokens=first + 5))
    assert short.rounds == 1 and budget.spent.tokens == first and not any(node.learning for node in short.nodes)
