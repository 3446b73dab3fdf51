"""Intervals, suites, measurements, the verdict and the report."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from semrep_jax.core.workdir import WorkDir
from semrep_jax.evaluate import intervals, suites
from semrep_jax.evaluate.measure import Measured, metrics, robustness
from semrep_jax.jobs import compare as jobs
from semrep_jax.jobs import config as configuration
from semrep_jax.report import report
from semrep_jax.tasks.generated.families import HELD_OUT_FAMILIES
from semrep_jax.tasks.generated.generator import HELD_OUT_KINDS


def measured(suite: str, turns: int, correct: list[list[bool]], ids: list[str] | None = None) -> Measured:
    ids = ids or [f"t{i}" for i in range(len(correct))]
    example = {
        "task": "t", "family": "f", "kind": "k", "instruction": "do <b>it</b>", "source": "a < b", "rewrite": None, "edit": "c",
        "status": "ok", "feedback": "",
    }  # fmt: skip
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


def result(ours, theirs):
    by = {
        name: [measured("correctness", t, rows) for t in (1, 2)]
        for name, rows in (("base", theirs), ("semrep", ours), ("finetune", theirs))
    }
    arms = {name: metrics(m, 200) | jobs.costs(None) for name, m in by.items()}
    return jobs.Result(arms, jobs.differences(by, 200), by, 1.0)


def test_the_verdict_names_the_winner_whichever_it_is_and_a_null_result_as_one():
    good, bad = [[True, True]] * 12, [[False, False]] * 12
    assert jobs.verdict(result(good, bad)).startswith("SemRep is ahead")
    assert jobs.verdict(result(bad, good)).startswith("fine-tuning is ahead")
    assert jobs.verdict(result(good, good)).startswith("Neither arm is ahead")


def test_suites_hold_what_their_names_say_and_perturbations_are_verified(verifier):
    setting = configuration.EvaluateConfig(tasks=10)
    built = {
        name: suites.build(name, setting, verifier)
        for name in ("correctness", "new_families", "new_kinds", "robustness")
    }
    assert {t.tags["family"] for t in built["new_families"].tasks} <= set(HELD_OUT_FAMILIES)
    assert {t.tags["kind"] for t in built["new_kinds"].tasks} <= set(HELD_OUT_KINDS)
    base = {t.id: t for t in built["correctness"].tasks}
    for task in built["robustness"].tasks:
        assert task.source.source != base[task.tags["base"]].source.source
        verdict = verifier.verify(task, [task.source])[0]
        assert verdict.equivalent and verdict.edit.passed == 0
    assert suites.build("correctness", setting, verifier).sha256 == built["correctness"].sha256


def test_a_perturbation_that_behaves_otherwise_is_left_out(verifier):
    task = suites.build("correctness", configuration.EvaluateConfig(tasks=2), verifier).tasks[0]
    broken = dataclasses.replace(task, tags=task.tags | {"perturbed": f"def {task.preserve.entry}(*a): return 'other'"})
    assert list(suites.perturbed([broken], verifier)) == []


def test_the_report_is_one_file_that_shows_tables_curves_and_escaped_programs(tmp_path):
    setting = configuration.build({"job": "compare", "work_dir": str(tmp_path / "run")})
    work = WorkDir(setting)
    found = result([[True, False]] * 6, [[False, False]] * 6)
    work.write("results.json", jobs.to_json(setting, found, []))
    for arm, rows in found.measured.items():
        work.write(f"evaluation/{arm}-correctness-T2.json", rows[1].to_json())
    for arm in ("semrep", "finetune"):
        lines = [
            {
                "step": s,
                "stage": "rewrite" if arm == "semrep" and s < 2 else "transform",
                "reward": 0.1 * s,
                "correct": 0.2,
                "total_tokens": s,
            }
            for s in range(4)
        ]
        work.write(f"arms/{arm}/metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    page = report.write(work).read_text()
    assert "src='data:image/png;base64," in page and "http" not in page.split("base64")[0]
    assert "SemRep" in page and "do &lt;b&gt;it&lt;/b&gt;" in page and "a &lt; b" in page
    assert len(report.terminal_tables(work.read("results.json"))) == 2
