"""Every metric against tables worked out by hand, and where it is not defined; intervals against published values."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from semrep_jax.core.settings import ConfigError, validate
from semrep_jax.evaluate import intervals
from semrep_jax.evaluate.measure import Measured
from semrep_jax.evaluate.metrics import (
    MetricError,
    Wrong,
    avg_at_k,
    best_at_k,
    consistency,
    edit_distance,
    excess_change,
    fast_p,
    hidden_gap,
    log_best_speedups,
    log_speedups,
    majority,
    mean_where_known,
    pass_at_k,
    robust_pass,
    tokens,
)
from semrep_jax.evaluate.settings import EvaluateConfig
from semrep_jax.evaluate.summary import further, mcnemar_table, metrics, of_speedups, paired_tests, robustness


@pytest.mark.parametrize(
    ("n", "c", "k", "value"),
    [
        (5, 0, 3, 0.0),  # none right
        (5, 5, 1, 1.0),  # all right
        (5, 1, 1, 1 / 5),
        (5, 2, 2, 1 - 3 / 10),  # of the 10 pairs, 3 hold none of the 2 right ones
        (10, 3, 5, 1 - 21 / 252),
        (4, 2, 3, 1.0),  # two wrong ones: any three samples hold a right one
        (2, 1, 2, 1.0),
        (1, 0, 1, 0.0),
    ],
)
def test_pass_at_k_is_the_share_of_draws_with_a_right_sample(n, c, k, value):
    assert pass_at_k(np.array([n]), np.array([c]), k)[0] == pytest.approx(value, abs=1e-12)


def test_pass_at_k_and_best_at_k_are_what_counting_all_draws_gives():
    scores = np.array([[0.0, 3.0, 1.0, 1.0, -2.0]])
    for k in range(1, 6):
        draws = list(itertools.combinations(scores[0], k))
        assert best_at_k(scores, k)[0] == pytest.approx(np.mean([max(draw) for draw in draws]))
        for c in range(6):
            draws = list(itertools.combinations([True] * c + [False] * (5 - c), k))
            assert pass_at_k(np.array([5]), np.array([c]), k)[0] == pytest.approx(np.mean([any(d) for d in draws]))


def test_ten_thousand_samples_overflow_nothing():
    want = 1 - Fraction(math.comb(9_990, 5_000), math.comb(10_000, 5_000))
    assert pass_at_k(np.array([10_000]), np.array([10]), 5_000)[0] == pytest.approx(float(want), rel=1e-12)
    assert pass_at_k(np.array([10_000] * 3), np.array([0, 6_000, 10_000]), 5_000).tolist() == [0.0, 1.0, 1.0]
    correct = np.zeros((1, 10_000))
    correct[0, :10] = 1
    assert best_at_k(correct, 5_000)[0] == pytest.approx(float(want), rel=1e-9)


def test_best_at_k_of_right_and_wrong_is_pass_at_k_and_avg_at_k_does_not_depend_on_k():
    correct = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]])
    for k in (1, 2, 3, 4):
        assert best_at_k(correct, k) == pytest.approx(pass_at_k(np.full(4, 4), correct.sum(axis=1), k))
        assert avg_at_k(correct, k).tolist() == [0.5, 0.0, 1.0, 0.25]
    assert best_at_k(correct, 4).tolist() == correct.max(axis=1).tolist()


@pytest.mark.parametrize("k", [0, 3, -1])
def test_a_k_that_the_samples_do_not_allow_is_an_error_with_the_way_out(k):
    table = np.array([[1, 0], [0, 0]])
    for call in (
        lambda: pass_at_k(np.array([2, 2]), np.array([1, 0]), k),
        lambda: best_at_k(table, k),
        lambda: avg_at_k(table, k),
        lambda: robust_pass(table[:, None], k),
    ):
        with pytest.raises(MetricError, match=rf"k = {k} of 2 samples.* raise evaluate\.samples or lower evaluate\.ks"):
            call()


def test_a_k_in_a_config_above_the_samples_is_refused_with_the_key():
    assert validate(EvaluateConfig, {"samples": 4, "ks": [1, 4]}, "c").ks == [1, 4]
    with pytest.raises(ConfigError, match=r"evaluate\.ks: 8, and of each task evaluate\.samples = 2 .* is 1 to 2"):
        validate(EvaluateConfig, {"samples": 2, "ks": [1, 8]}, "c")


def test_nothing_measured_is_an_error_not_a_number():
    for call in (
        lambda: intervals.mean(np.array([]), 100),
        lambda: intervals.wilson(0, 0),
        lambda: intervals.mcnemar(np.array([]), np.array([])),
        lambda: best_at_k(np.zeros((0, 2)), 1),
        lambda: robust_pass(np.zeros((0, 2, 2))),
        lambda: fast_p([], 1.0),
        lambda: fast_p([[]], 1.0),
        lambda: pass_at_k(np.array([2]), np.array([3]), 1),  # more right than drawn
        lambda: log_speedups([[0.0]]),  # no ratio of two times
        lambda: log_speedups([[float("nan")]]),
    ):
        with pytest.raises(MetricError):
            call()


def test_a_majority_is_more_than_half():
    assert majority(np.array([[1, 0], [1, 1], [0, 0]])).tolist() == [False, True, False]
    assert majority(np.array([[1], [0]])).tolist() == [True, False]


ROWS = [[2.0, None], [0.5, 8.0], [None, None]]


def test_fast_p_is_strict_and_keeps_every_task_and_sample_in_the_denominator():
    assert fast_p(ROWS, 0).tolist() == [0.5, 1.0, 0.0] and fast_p(ROWS, 1).tolist() == [0.5, 0.5, 0.0]
    assert fast_p(ROWS, 2.0).tolist() == [0.0, 0.5, 0.0]  # more than p times, not p times
    found = of_speedups(ROWS, 200)
    assert found["fast_1"].value == pytest.approx(1 / 3) and found["fast_1"].n == 3


def test_geometric_means_are_of_ratios_task_by_task_and_say_what_wrong_samples_mean():
    assert np.exp(log_speedups(ROWS)).tolist() == pytest.approx([2.0, 2.0])  # sqrt(0.5 x 8), and no third task
    assert np.exp(log_speedups(ROWS, faster=True)).tolist() == pytest.approx([2.0, 8.0])
    assert np.exp(log_speedups(ROWS, Wrong.SOURCE)).tolist() == pytest.approx([math.sqrt(2), 2.0, 1.0])
    assert np.exp(log_best_speedups(ROWS)).tolist() == pytest.approx([2.0, 8.0])
    found = of_speedups(ROWS, 200)
    assert found["geomean"].value == pytest.approx(2.0) and found["geomean_best"].value == pytest.approx(4.0)
    assert found["geomean_or_source"].value == pytest.approx((math.sqrt(2) * 2) ** (1 / 3))
    assert (found["geomean"].n, found["geomean_or_source"].n) == (2, 3)
    many = [[1e300, 1e300, 1e300]] * 4  # a product would overflow
    assert of_speedups(many, 100)["geomean"].value == pytest.approx(1e300)
    assert set(of_speedups([[None]], 100)) == {"fast_1", "fast_1.5", "fast_2", "geomean_or_source"}


def test_robust_pass_takes_the_worst_of_the_forms_and_consistency_takes_sides_with_neither():
    #         C_src, form 1, form 2: four samples each
    forms = np.array([[[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 1]], [[0, 0, 0, 0]] * 3, [[1, 1, 1, 1]] * 3])
    assert robust_pass(forms).tolist() == [0.25, 0.0, 1.0]
    assert robust_pass(forms, 2).tolist() == [0.5, 0.0, 1.0]  # 3 of the 6 pairs hold the one that is right throughout
    assert consistency(forms).tolist() == [0.5, 1.0, 1.0]


def test_the_hidden_test_gap_counts_what_passes_only_where_it_was_looked_at():
    visible, hidden = np.array([[1, 1, 0, 0], [0, 0, 0, 0]]), np.array([[1, 0, 1, 0], [1, 1, 1, 1]])
    assert hidden_gap(visible, hidden).tolist() == [0.25, 0.0]
    assert hidden_gap(visible, visible).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("abab", "baba", 2), ("aaa", "a", 2)],
)
def test_the_edit_distance_is_levenshteins(a, b, distance):
    assert edit_distance(list(a), list(b)) == edit_distance(list(b), list(a)) == distance


def test_excess_change_is_in_tokens_beyond_the_known_edit():
    source, gold = "for i in range(len(x) - 1):\n    y += x[i]", "for i in range(len(x)):\n    y += x[i]"
    assert tokens("x1 += f(-2)  # so") == ["x1", "+", "=", "f", "(", "-", "2", ")", "#", "so"]
    assert excess_change(source, gold, gold) == 0
    assert excess_change(source, gold.replace("    ", "\t\t"), gold) == 0  # layout is no change
    assert excess_change(source, source, gold) == -2  # it takes two deletions, - and 1
    renamed = gold.replace("i ", "j ").replace("[i]", "[j]")
    assert excess_change(source, renamed, gold) == 2
    assert mean_where_known([[2, None], [None, None], [0, 3]]).tolist() == [2.0, 1.5]


@pytest.mark.parametrize(
    ("right", "tasks", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 10, 0.0179, 0.4042), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_has_the_published_limits(right, tasks, low, high):
    """81 of 263: Newcombe 1998, table I; the others: R's prop.test(correct = FALSE)."""
    e = intervals.wilson(right, tasks)
    assert (e.value, e.n) == (right / tasks, tasks)
    assert (e.low, e.high) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(
    ("ours", "theirs", "exact", "mid"),
    [
        (1, 7, 2 * 9 / 256, 2 * 9 / 256 - 8 / 256),  # airway hyper-responsiveness, Bentur 2009: 0.070, 0.039
        (0, 0, 1.0, 1.0),
        (3, 3, 1.0, 1 - 20 / 64 / 2),
        (0, 5, 2 / 32, 1 / 32),
    ],
)
def test_mcnemar_is_the_binomial_test_of_the_tasks_that_differ(ours, theirs, exact, mid):
    a = np.array([True] * ours + [False] * theirs + [True] * 4 + [False] * 2)
    b = np.array([False] * ours + [True] * theirs + [True] * 4 + [False] * 2)
    found = intervals.mcnemar(a, b)
    assert (found.both, found.ours, found.theirs, found.neither) == (4, ours, theirs, 2)
    assert (found.exact_p, found.mid_p) == pytest.approx((exact, mid))
    swapped = intervals.mcnemar(b, a)
    assert (swapped.exact_p, swapped.mid_p) == (found.exact_p, found.mid_p)


def of(suite: str, correct: list[list[int]], ids: list[str] | None = None, turns: int = 1, **more: object) -> Measured:
    ids = ids or [f"t{i}" for i in range(len(correct))]
    table = [[bool(c) for c in row] for row in correct]
    return Measured(suite, turns, "x", ids, table, 4, 100, 1.0, 0.0, 0, [], **more)


def test_an_evaluation_reports_each_k_that_its_samples_allow_and_nothing_is_made_up():
    one = of("correctness", [[1, 0, 0, 0], [0, 0, 0, 0]], excess_change=[[3, None, None, None], [None] * 4])
    found = metrics([one], 100)
    assert {k for k in found if "@" in k} == {
        f"correctness_{m}@{k}/T1" for m in ("pass", "best", "avg") for k in (1, 2, 4)
    }
    assert found["correctness_pass@2/T1"].value == pytest.approx(0.25)
    assert found["correctness_avg@4/T1"] == found["correctness/T1"]
    assert (found["correctness_excess_change/T1"].value, found["correctness_excess_change/T1"].n) == (3.0, 1)
    assert found["correctness_majority/T1"] == intervals.wilson(0, 2)
    assert "correctness_hidden_gap/T1" not in found
    assert {k for k in metrics([one], 100, ks=[3]) if "_pass@" in k} == {"correctness_pass@3/T1"}
    with pytest.raises(MetricError, match="k = 5 of 4 samples"):
        metrics([one], 100, ks=[5])


def test_several_forms_of_one_task_count_as_one_task_and_the_worst_of_them_decides():
    base = of("correctness", [[1, 1], [1, 1]], ["a", "b"])
    forms = of("robustness", [[1, 0], [0, 1], [1, 1]], ["b/perturbed", "b/perturbed-2", "a/perturbed"])
    both, agree = robustness(base, forms)
    assert both.tolist() == [0.0, 1.0] and agree.tolist() == [0.0, 1.0]
    assert metrics([base, forms], 100)["robust_pass@2/T1"].value == 0.5


def test_two_arms_are_tested_task_by_task_beside_their_difference():
    def arm(wins: int) -> list[Measured]:
        correct = [[1, 1]] * wins + [[1, 0]] * (8 - wins)
        ids = [f"t{i}/perturbed" for i in range(8)]
        both = [of("correctness", correct, turns=t) for t in (1, 2)]
        return both + [of("robustness", [[1, 1]] * 8, ids, turns=t) for t in (1, 2)]

    tests = paired_tests(arm(7), arm(1))
    assert list(tests) == [f"{m}/{t}" for m in ("correctness", "robust_pass") for t in ("T1", "T2", "T2 against T1")]
    assert tests["correctness/T1"] == intervals.McNemar(1, 6, 0, 1, 2 / 64, 1 / 64)
    assert tests["robust_pass/T2"].ours == 6
    (table,) = mcnemar_table(tests, "A", "B")
    assert table.rows[0] == ("correctness/T1", "8", "1", "6", "0", "1", "0.031", "0.016")
    assert mcnemar_table({}, "A", "B") == []


def test_what_else_the_samples_say_is_a_table_of_what_the_suites_rows_do_not_show():
    base = of("correctness", [[1, 0], [1, 1]], ["a", "b"], excess_change=[[2, None], [0, 1]])
    other = of("robustness", [[1, 0], [1, 1]], ["a/perturbed", "b/perturbed"])
    mined = of("mined", [[1, 1]], generalises=[[True, False]])
    (table,) = further(["correctness", "robustness", "mined"], {"base": metrics([base, other, mined], 100)})
    titles = [row[0].removesuffix(", direct (T=1)") for row in table.rows]
    assert titles[:3] == [
        "correctness: pass@2",
        "correctness: most samples right [Wilson]",
        "correctness: tokens changed beyond the known edit",
    ]
    assert "robustness: right on both, pass@2" in titles
    assert not [t for t in titles if "hidden" in t]  # rows of that suite's own
    assert table.rows[2][1] == "1.250 [0.500, 2.000]"
    assert further([], {"base": {}}) == []
