"""What a rewrite does for edits, by a policy that edits right only with one form at hand."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np

from semrep_jax.core.programs import Case, Completion, Duplicate, Finish, Outcome, Program, Score, Status, Task, Verdict
from semrep_jax.core.programs import Tests as CallTests
from semrep_jax.python import PYTHON
from semrep_jax.rewards import RewardConfig
from semrep_jax.rollout.policy import Usage
from semrep_jax.sandbox.wire import encode
from semrep_jax.tasks.generated.source import SOURCE
from semrep_jax.tasks.source import SourceRequest
from semrep_jax.train import stages
from semrep_jax.train.arms import ARMS
from semrep_jax.train.batch import Group
from semrep_jax.train.budget import REWRITE
from semrep_jax.train.draws import hardest
from semrep_jax.train.utility import Utility

GOOD = Verdict(Status.OK, True, Duplicate.NONE, Score(1, 1), Score(0, 0))
HELPS, IDLE = "def f(x):\n    return 2 * x", "def f(x):\n    y = x\n    return x + y"


class Editor:
    """Right at every second sample with HELPS at hand, else wrong; counts its prompts."""

    def __init__(self) -> None:
        self.usage, self.prompts = Usage(), 0

    def sample(self, prompts, n, temperature, key, rows=None, prompt_ids=None):
        self.prompts += len(prompts)
        right, wrong = ("def f(x):\n    return 2 * x + 1", "def f(x):\n    return x")
        return [
            [Completion(right if p.equivalent == HELPS and i % 2 else wrong, (), (), Finish.STOP) for i in range(n)]
            for p in prompts
        ]


def case(x: int, value: int) -> Case:
    return Case(encode((x,)), Outcome(value=encode(value)))


def test_utility_is_success_with_the_rewrite_minus_success_with_c_src_and_copies_are_asked_once(verifier):
    source = Program(PYTHON, "def f(x):\n    return x + x")
    task = Task("t", source, CallTests("f"), CallTests("f", (case(1, 3), case(2, 5))), "add one")
    texts = [HELPS, IDLE, HELPS, "def f(x):\n    return 0"]
    wrong = Verdict(Status.WRONG, True, Duplicate.NONE, Score(0, 1), Score(0, 0))
    group = Group(task, programs=[Program(PYTHON, text) for text in texts], verdicts=[GOOD, GOOD, GOOD, wrong])
    nothing = Group(task, programs=["no program"] * 4, verdicts=[wrong] * 4)
    policy = Editor()
    found = Utility(policy, verifier, RewardConfig(utility_samples=2), 4, 1.0).of([nothing, group], jax.random.key(0))
    assert np.array_equal(found, [[0, 0, 0, 0], [0.5, 0, 0.5, 0]])
    assert policy.prompts == 3  # C_src, and two different rewrites


def test_an_edit_that_could_not_be_judged_says_nothing_of_a_rewrite(verifier):
    source = Program(PYTHON, "def f(x):\n    return x + x")
    task = Task("t", source, CallTests("f"), CallTests("f", (case(1, 3),)), "add one")
    group = Group(task, programs=[Program(PYTHON, HELPS)], verdicts=[GOOD])

    class Lossy:
        def verify_all(self, pairs):
            (_, _, wrong, right), lost = verifier.verify_all(pairs), replace(GOOD, status=Status.UNJUDGED)
            return [wrong, wrong, *{"one": (lost, right), "all": (lost, lost)}[self.lost]]

    found = {}
    for Lossy.lost in ("one", "all"):
        useful = Utility(Editor(), Lossy(), RewardConfig(utility_samples=2), 4, 1.0)
        found[Lossy.lost] = useful.of([group], jax.random.key(0)).tolist()
    assert found == {"one": [[1.0]], "all": [[0.0]]}


def test_stage_one_is_on_tasks_of_edits_where_its_reward_needs_them():
    for reward, instructed in (("useful", True), ("r_sem", False)):
        found = stages.build(SOURCE, SourceRequest(2, 1), RewardConfig(rewrite=reward), ARMS["stage1"], 0.5)
        assert [bool(task.instruction) for task in found[REWRITE].tasks] == [instructed] * 2


def test_the_tasks_that_come_back_are_solved_by_some_but_fewer_than_half_and_the_hardest_first():
    assert hardest([7, 8, 9, 4, 5], [0.25, 0.0, 0.125, 0.5, 1.0]) == [9, 7]
