"""Intervals, suites, measurements and the verdict."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from semrep_jax.core.errors import TaskError
from semrep_jax.core.results import Results
from semrep_jax.evaluate import intervals
from semrep_jax.evaluate.measure import Measured
from semrep_jax.evaluate.summary import differences, metrics, ordered, robustness, rows
from semrep_jax.jobs import arms as jobs
from semrep_jax.tasks.generated.families import HELD_OUT_FAMILIES
from semrep_jax.tasks.generated.generator import HELD_OUT_KINDS
from semrep_jax.tasks.generated.suites import perturbed
from semrep_jax.tasks.suite import SuiteRequest, draw


def measured(suite: str, turns: int, correct: list[list[bool]], ids: list[str] | None = None) -> Measured:
    ids = ids or [f"t{i}" for i in range(len(correct))]
    named = {"task": "t", "family": "f", "kind": "k", "status": "ok", "feedback": ""}
    example = named | {"instruction": "do <b>it</b>", "source": "a < b", "rewrite": None, "edit": "c"}
    return Measured(suite, turns, "x", ids, correct, 4, 100, 1.0, 0.5, 0, [example])


def test_an_interval_holds_its_mean_narrows_with_tasks_and_repeats():
    few, many = intervals.mean(np.array([0, 1, 0, 1]), 1000), intervals.mean(np.array([0, 1] * 100), 1000)
    assert few.low < few.value < few.high and many.high - many.low < few.high - few.low
    assert few == intervals.mean(np.array([0, 1, 0, 1]), 1000)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = [(lambda e: e.low <= 0.4 <= e.high)(intervals.mean(rng.random(60) < 0.4, 400, seed=i)) for i in range(200)]
    assert 0.88 <= np.mean(hits) <= 0.99


def test_paired_differences_see_what_unpaired_intervals_do_not():
    base = np.array([0, 1] * 40)
    better = base.copy()
    better[[0, 2, 4, 6, 8, 10]] = 1
    gap = intervals.difference(better, base, 1000)
    assert gap.low > 0
    assert intervals.mean(better, 1000).low < intervals.mean(base, 1000).high


def test_robustness_pairs_a_task_with_its_perturbation_by_name():
    base = measured("correctness", 1, [[True, True], [False, False], [True, False]], ["a", "b", "c"])
    other = measured("robustness", 1, [[True, False], [True, False]], ["c/perturbed", "a/perturbed"])
    both, agree = robustness(base, other)
    assert both.tolist() == [0.5, 0.5] and agree.tolist() == [1.0, 0.5]
    found = metrics([base, other], 100)
    assert found["robust_pass/T1"].value == 0.5 and found["correctness_best@2/T1"].value == pytest.approx(2 / 3)


def compared(ours, theirs):
    """A base, two arms, and their differences, on one suite."""
    by = {
        name: [measured("correctness", turns, correct) for turns in (1, 2)]
        for name, correct in (("base", theirs), ("semrep", ours), ("finetune", theirs))
    }
    found = {name: metrics(ms, 200) | jobs.costs(None) for name, ms in by.items()}
    gaps = differences(by["semrep"], by["finetune"], 200)
    shown = rows(["correctness"], found["base"])
    return by, Results(found, 1.0, jobs.verdict(gaps), rows=shown, differences=gaps, costs=jobs.COSTS)


def test_the_verdict_names_the_winner_whichever_it_is_and_a_null_result_as_one():
    good, bad = [[True, True]] * 12, [[False, False]] * 12
    assert compared(good, bad)[1].verdict.startswith("SemRep is ahead")
    assert compared(bad, good)[1].verdict.startswith("fine-tuning is ahead")
    assert compared(good, good)[1].verdict.startswith("Neither arm is ahead")


def test_suites_hold_what_their_names_say_and_perturbations_are_verified(verifier):
    request = SuiteRequest(10, 1234, verifier)
    drawn = {name: draw(name, request) for name in ("correctness", "new_families", "new_kinds", "robustness")}
    assert {t.tags["family"] for t in drawn["new_families"].tasks} <= set(HELD_OUT_FAMILIES)
    assert {t.tags["kind"] for t in drawn["new_kinds"].tasks} <= set(HELD_OUT_KINDS)
    base = {t.id: t for t in drawn["correctness"].tasks}
    for task in drawn["robustness"].tasks:
        assert task.source.source != base[task.tags["base"]].source.source
        verdict = verifier.verify(task, [task.source])[0]
        assert verdict.equivalent and verdict.edit.passed == 0
    assert draw("correctness", request).sha256 == drawn["correctness"].sha256


def test_a_perturbation_that_behaves_otherwise_is_left_out(verifier):
    task = draw("correctness", SuiteRequest(2, 1234, verifier)).tasks[0]
    broken = dataclasses.replace(task, tags=task.tags | {"perturbed": f"def {task.preserve.entry}(*a): return 'other'"})
    assert list(perturbed([broken], verifier)) == []


@pytest.mark.parametrize(
    ("name", "key"), [("mined", "evaluate.mined.directory"), ("kernelbench", "evaluate.kernelbench.checkout")]
)
def test_a_suite_whose_setting_is_missing_names_it(name, key, verifier):
    with pytest.raises(TaskError, match=key):
        draw(name, SuiteRequest(2, 1234, verifier))


def test_a_suite_comes_behind_the_one_that_it_is_paired_with_and_once():
    assert ordered(["robustness", "correctness", "robustness"]) == ["correctness", "robustness"]


def test_the_rows_of_a_table_are_what_suites_say_of_themselves():
    base = measured("correctness", 1, [[True, True]], ["a"])
    other = measured("robustness", 1, [[True, False]], ["a/perturbed"])
    shown = {row.metric: row for row in rows(["correctness", "robustness"], metrics([base, other], 100))}
    assert list(shown) == ["correctness/T1", "robustness/T1", "robust_pass/T1", "consistency/T1"]
    assert shown["robust_pass/T1"].title == "robustness: right on both, direct (T=1)"
    assert [row.difference for row in shown.values()] == ["correctness/T1", None, "robust_pass/T1", None]
