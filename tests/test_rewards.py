"""The paper's equations and ours."""

from dataclasses import replace

import pytest

from semrep_jax import rewards
from semrep_jax.core.programs import Duplicate, Program, Score, Status, Verdict
from semrep_jax.python import PYTHON
from semrep_jax.rewards import DuplicateRule, RewardConfig

GOOD = Verdict(Status.OK, True, Duplicate.NONE, Score(3, 3), Score(2, 2))
WEIGHTS = RewardConfig(a1=0.1, b1=0.9, a2=0.1, b2=0.3, c2=0.6)


def program(source: str) -> Program:
    return Program(PYTHON, source)


def test_r_sem_pays_for_compiling_and_for_equivalence():
    assert rewards.r_sem(GOOD, WEIGHTS) == pytest.approx(1.0)
    assert rewards.r_sem(replace(GOOD, preserve=Score(2, 3)), WEIGHTS) == pytest.approx(0.1)
    assert rewards.r_sem(replace(GOOD, compiled=False), WEIGHTS) == 0.0


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
    assert (rewards.r_sem(verdict, weights) > 0) is paid
    assert rewards.accepted(verdict, rule) is paid


def test_r_inst_is_the_weighted_sum_of_its_three_indicators():
    assert rewards.r_inst(GOOD, WEIGHTS) == pytest.approx(1.0)
    assert rewards.r_inst(replace(GOOD, edit=Score(1, 2)), WEIGHTS) == pytest.approx(0.4)
    assert rewards.r_inst(replace(GOOD, preserve=Score(0, 3)), WEIGHTS) == pytest.approx(0.7)


def test_a_program_that_does_not_compile_passes_nothing_even_with_empty_tests():
    broken = replace(GOOD, compiled=False, preserve=Score(0, 0), edit=Score(0, 0))
    assert rewards.r_inst(broken, WEIGHTS) == 0.0


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
