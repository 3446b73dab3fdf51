"""The arms: which stages they have, which forms of C_src, and advantages pooled over forms by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Program
from semrep_jax.python import PYTHON
from semrep_jax.rewards import Judged, RewardConfig, Term
from semrep_jax.tasks.generated.generator import Generator
from semrep_jax.tasks.generated.source import SOURCE
from semrep_jax.tasks.source import SourceRequest
from semrep_jax.train import stages
from semrep_jax.train.advantages import Scored, advantages, pooled
from semrep_jax.train.arms import ARMS
from semrep_jax.train.budget import REWRITE, TRANSFORM
from semrep_jax.train.variants import Variants
from semrep_jax.verify import unreadable


def twice(tasks):
    return [task for task in tasks for _ in range(2)]


@pytest.mark.parametrize(
    ("arm", "names", "guided", "count", "pooled"),
    [
        ("semrep", {REWRITE, TRANSFORM}, True, 3, 1),
        ("finetune", {TRANSFORM}, False, 3, 1),
        ("guided", {TRANSFORM}, True, 3, 1),
        ("joint", {REWRITE, TRANSFORM}, True, 3, 1),
        ("stage1", {REWRITE}, None, None, None),
        ("variants", {TRANSFORM}, False, 6, 1),
        ("variants_pooled", {TRANSFORM}, False, 6, 2),
    ],
)
def test_an_arm_has_the_stages_prompts_and_forms_that_its_entry_says(arm, names, guided, count, pooled):
    found = stages.build(SOURCE, SourceRequest(3, 1), RewardConfig(), ARMS[arm], 0.5, twice, forms=2)
    assert found.keys() == names
    if TRANSFORM in names:
        stage = found[TRANSFORM]
        assert (stage.uses_rewrite, len(stage.tasks), stage.pooled) == (guided, count, pooled)
        assert len(stage.draws) * pooled == count and stage.joint == (arm == "joint")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_reward_that_is_no_number_is_refused_with_the_key_that_names_it(value):
    task = next(iter(Generator(seed=2).tasks()))
    stage = replace(stages.transform_stage([task], RewardConfig(), False), reward=lambda group: [0.5, value])
    verdicts = [unreadable(task, "no program")] * 2
    with pytest.raises(TaskError, match=rf"reward\.transform: it gave {value} for a program of task"):
        stage.score(Judged(task, ["no program"] * 2, verdicts))


def test_fine_tuning_heeds_no_alpha_and_no_reward_of_stage_one_but_its_own():
    arm = ARMS["finetune"]
    assert not any(arm.heeds(key) for key in ("train.alpha", "reward.rewrite", "reward.a1", "rollout.rewrites"))
    assert arm.heeds("reward.a2") and arm.heeds("train.budget") and arm.heeds("reward.accept")
    of_either = ("tasks.generated.rewrites", "tasks.generated.edits")
    assert [arm.heeds(key) for key in of_either] == [False, True]
    assert all(ARMS["stage1"].heeds(key) for key in of_either)  # reward.rewrite: useful rewrites programs of edits
    assert ARMS["semrep"].heeds("train.alpha") and not ARMS["semrep"].heeds("tasks.variants")


def scored(*rights: int) -> list[Scored]:
    return [Scored((Term("r", 1.0, float(right)),), bool(right)) for right in rights]


def test_pooled_advantages_have_the_baseline_and_the_scale_of_the_union():
    groups = [scored(1, 1), scored(0, 1), scored(0, 0), scored(0, 0)]
    found = pooled(groups, "group_std", 2)
    # the union (1, 1, 0, 1): mean 3/4, standard deviation sqrt(3)/4
    right, wrong = 0.25 / (3**0.5 / 4), -0.75 / (3**0.5 / 4)
    assert found.values[:2] == pytest.approx(np.array([[right, right], [wrong, right]]), abs=1e-4)
    assert found.keep.tolist() == [True, True, False, False] and not found.values[2:].any()
    alone = advantages(groups, "group_std")
    assert alone.keep.tolist() == [False, True, False, False]  # what pooling is for: the first taught nothing
    assert np.array_equal(pooled(groups, "group_std", 1).values, alone.values)


def test_variants_behave_as_c_src_and_are_kept_for_the_next_time(sandbox, tmp_path):
    tasks = list(islice(Generator(seed=5).tasks(), 2))
    forms = Variants(sandbox, 3, 0, tmp_path)
    wide = forms.widen(tasks)
    assert [task.source == of.source for task, of in zip(wide[::3], tasks, strict=True)] == [True, True]
    assert len(wide) == 6 and len({task.source.source for task in wide[:3]}) > 1
    assert all(
        task.preserve == tasks[i // 3].preserve and task.edit == tasks[i // 3].edit for i, task in enumerate(wide)
    )
    assert Variants(None, 3, 0, tmp_path).widen(tasks) == wide  # nothing is run again


def test_a_form_that_does_something_else_is_no_variant(sandbox, tmp_path):
    (task,) = islice(Generator(seed=5).tasks(), 1)
    task.tags["perturbed"] = f"def {task.preserve.entry}(*a):\n    return 'other'"
    wide = Variants(sandbox, 2, 0, tmp_path).widen([task])
    assert Program(PYTHON, task.tags["perturbed"]) not in [one.source for one in wide]
