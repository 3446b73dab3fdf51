"""The paper's equations and ours."""

import math
from dataclasses import replace

import pytest

from semrep_jax import rewards
from semrep_jax.core.programs import Duplicate, Program, Score, Status, Task, Tests, Verdict
from semrep_jax.python import PYTHON
from semrep_jax.rewards import DuplicateRule, RewardConfig

GOOD = Verdict(Status.OK, True, Duplicate.NONE, Score(3, 3), Score(2, 2))
WEIGHTS = RewardConfig(a1=0.1, b1=0.9, a2=0.1, b2=0.3, c2=0.6)


def r_sem(verdict: Verdict, weights: RewardConfig = WEIGHTS) -> float:
    return rewards.total(rewards.r_sem(verdict, weights))


def r_inst(verdict: Verdict) -> float:
    return rewards.total(rewards.r_inst(verdict, WEIGHTS))


def program(source: str) -> Program:
    return Program(PYTHON, source)


def test_r_sem_pays_for_compiling_and_for_equivalence():
    assert r_sem(GOOD) == pytest.approx(1.0)
    assert r_sem(replace(GOOD, preserve=Score(2, 3))) == pytest.approx(0.1)
    assert r_sem(replace(GOOD, compiled=False)) == 0.0


@pytest.mark.parametrize(
    ("duplicate", "rule", "paid"),
    [
        (Duplicate.EXACT, DuplicateRule.EXACT, False),
        (Duplicate.EXACT, DuplicateRule.CANONICAL, False),
        (Duplicate.CANONICAL, DuplicateRule.EXACT, True),
        (Duplicate.CANONICAL, DuplicateRule.CANONICAL, False),
    ],
)
def test_a_copy_of_the_source_earns_nothing_under_its_rule(duplicate, rule, paid):
    verdict = replace(GOOD, duplicate=duplicate)
    weights = WEIGHTS.model_copy(update={"duplicate": rule})
    assert (r_sem(verdict, weights) > 0) is paid
    assert rewards.accepted(verdict, rule) is paid


def test_r_inst_is_the_weighted_sum_of_its_three_indicators():
    assert r_inst(GOOD) == pytest.approx(1.0)
    assert r_inst(replace(GOOD, edit=Score(1, 2))) == pytest.approx(0.4)
    assert r_inst(replace(GOOD, preserve=Score(0, 3))) == pytest.approx(0.7)


def test_a_program_that_does_not_compile_passes_nothing_even_with_empty_tests():
    broken = replace(GOOD, compiled=False, preserve=Score(0, 0), edit=Score(0, 0))
    assert r_inst(broken) == 0.0


def test_novelty_is_zero_for_wrong_members_and_larger_for_the_odd_one_out():
    source = program("def f(xs):\n    return [x for x in xs if x > 1]")
    loop = program(
        "def f(xs):\n    out = []\n    for x in xs:\n        if x > 1:\n            out.append(x)\n    return out"
    )
    near = program("def f(xs):\n    return [x for x in xs if x >= 2]")
    values = rewards.novelty(source, [near, near, loop, "no program"], [True, True, True, False])
    assert values[3] == 0.0
    assert 0 < values[0] == values[1] < values[2] <= 1.0
    assert rewards.novelty(source, [loop], [False]) == [0.0]


def test_the_likeliest_equivalent_of_a_group_earns_most_and_a_wrong_one_nothing_for_it():
    # between -1.5 and -0.5 nats a token, -0.75 lies three quarters of the way
    assert rewards.typicality([-0.5, -1.5, -0.75, -0.1], [True, True, True, False]) == [1.0, 0.0, 0.75, 0.0]


@pytest.mark.parametrize("likelihoods", [[-0.5, -2.0], [-0.5, -0.505]])
def test_where_one_is_right_or_all_are_alike_typicality_says_nothing(likelihoods):
    correct = [True, likelihoods[1] > -1]
    assert rewards.typicality(likelihoods, correct) == [0.0, 0.0]


def test_the_reward_typical_is_r_sem_with_a_bounded_term_that_shapes_and_asks_the_base_only_where_it_matters():
    source, asked = program("def f(x):\n    return x + x"), []

    def likelihoods():
        asked.append(1)
        return [-1.0, -0.2, -0.6]

    task = Task("t", source, Tests("f"), Tests("f"))
    wrong = replace(GOOD, preserve=Score(2, 3))
    group = rewards.Judged(task, [source] * 3, [GOOD, GOOD, wrong], likelihoods)
    weights = WEIGHTS.model_copy(update={"typicality": 0.4})
    found = rewards.typical(group, weights)
    assert [rewards.total(terms) for terms in found] == pytest.approx([1.0, 1.4, 0.1])
    assert [[term.name for term in terms if term.shaping] for terms in found] == [["typicality"]] * 3
    assert asked == [1]
    assert rewards.typical(replace(group, verdicts=[GOOD, wrong, wrong]), weights) == rewards.rewriting(
        replace(group, verdicts=[GOOD, wrong, wrong]), weights
    )
    assert asked == [1]  # one equivalent: nothing to compare, and no pass of the base is paid for


def test_a_useful_rewrite_earns_by_what_it_does_for_edits_and_a_harmful_one_less_than_half():
    source = program("def f(x):\n    return x + x")
    wrong = replace(GOOD, preserve=Score(2, 3))
    task = Task("t", source, Tests("f"), Tests("f"))
    group = rewards.Judged(task, [source] * 3, [GOOD, GOOD, wrong], utilities=lambda: [0.5, -1.0, 0.0])
    found = rewards.useful(group, WEIGHTS.model_copy(update={"utility": 0.4}))
    assert [rewards.total(terms) for terms in found] == pytest.approx([1.0 + 0.4 * 0.75, 1.0, 0.1])


@pytest.mark.parametrize(
    ("speedup", "paid"), [(0.0, 0.0), (math.nan, 0.0), (0.5, 0.0), (4.0, 0.5), (16.0, 1.0), (math.inf, 1.0)]
)
def test_speed_earns_between_nothing_and_its_weight_whatever_a_clock_gave(speedup, paid):
    *_, speed = rewards.r_inst(replace(GOOD, speedup=speedup), WEIGHTS)
    assert (speed.name, speed.value) == ("speed", paid)
