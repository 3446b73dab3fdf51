"""Joint trajectories: whose tokens an edit's reward teaches, and what a step of them is."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle, islice

import jax
import numpy as np
import pytest

from semrep_jax.core.programs import Completion, Finish, Program
from semrep_jax.core.stop import Stop
from semrep_jax.inference.rewrite import Sampling
from semrep_jax.rewards import RewardConfig
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.tasks.generated.generator import Generator
from semrep_jax.train import joint
from semrep_jax.train.advantages import Advantages
from semrep_jax.train.batch import Group
from semrep_jax.train.budget import TRANSFORM, Budget
from semrep_jax.train.settings import TrainConfig
from semrep_jax.train.stages import transform_stage
from semrep_jax.train.trainer import Recipe, Trainer

TASKS = list(islice(Generator(seed=2).tasks(), 4))


def said(text: str) -> Completion:
    ids = list(text.encode())
    return Completion(text, ids, [-1.0] * len(ids), Finish.STOP)


class Writer:
    """Writes as many rewrites of each prompt as it is asked for, each with its number."""

    def sample(self, prompts, n, temperature, key, rows=None, prompt_ids=None):
        return [[said(f"def f(x):\n    return {10 * p + g}") for g in range(n)] for p in range(len(prompts))]


@pytest.fixture
def groups(nano):
    made = [Group(task) for task in TASKS[:2]]
    refused = "return 11"  # the second one of the second task
    joint.write(
        Writer(),
        lambda pairs: [isinstance(program, Program) and refused not in program.source for _, program in pairs],
        made,
        Sampling(2, 1.0),
        jax.random.key(0),
        nano.tokenizer,
    )
    return made


def test_each_member_has_a_rewrite_of_its_own_and_c_src_stands_in_for_a_refused_one(groups):
    shown = [[program.source.rpartition(" ")[2] for program in group.c_reps] for group in groups]
    assert shown[0] == ["0", "1"] and shown[1][0] == "10" and groups[1].c_reps[1] == groups[1].task.source
    members = joint.trajectories(groups)
    assert [(m.task.id, m.c_rep) for m in members] == [(g.task.id, c) for g in groups for c in g.c_reps]


def test_the_edits_reward_is_that_of_both_turns_whatever_the_first_was(groups):
    members = joint.trajectories(groups)
    for number, member in enumerate(members):
        member.completions, member.programs, member.verdicts = [said(f"edit {number}")], [f"p{number}"], [number]
    joint.gather(groups, members)
    assert [c.text for c in groups[1].completions] == ["edit 2", "edit 3"] and groups[1].verdicts == [2, 3]
    values = np.array([[1.0, -1.0], [0.5, 0.0]], np.float32)
    counts = np.array([[True, True], [True, False]])
    rows, found = joint.both_turns(groups, members, Advantages(values, np.array([True, True]), counts))
    assert [row.completions[0].text.rpartition(" ")[2] for row in rows] == ["0", "1", "10", "11", "0", "1", "2", "3"]
    assert rows[2].prompt_ids == groups[1].rewrite_ids != rows[0].prompt_ids
    assert found.values.ravel().tolist() == [1.0, -1.0, 0.5, 0.0] * 2
    assert found.counts.ravel().tolist() == found.keep.tolist() == [True, True, True, False] * 2


@pytest.mark.parametrize("micro_batch", [0, 1])
def test_a_step_of_joint_trajectories_learns_from_both_turns_and_is_the_same_twice(
    tiny, verifier, tmp_path, micro_batch
):
    def made() -> Trainer:
        stage = transform_stage(TASKS, RewardConfig(), uses_rewrite=True, joint=True)
        right = cycle([True, False])
        stage = replace(stage, reward=lambda group: [1.0, 0.0], correct=lambda verdict: next(right))
        rollout = RolloutConfig(prompts=2, group=2, max_prompt=192, bucket=192, max_new=8)
        setting = TrainConfig(budget=2, alpha=0, learning_rate=0.1, warmup=0, micro_batch=micro_batch)
        recipe = Recipe(0, rollout, RewardConfig(), setting, {"seed": 0})
        return Trainer(recipe, {TRANSFORM: stage}, Budget(2, 0.0), tiny, verifier, tmp_path, Stop())

    batches, arrays = [], made()._arrays
    one, other = made(), made()
    one._arrays = lambda *given: batches.append(arrays(*given)) or batches[-1]
    first = one.step()
    (host,) = batches
    assert host.mask.shape == (8, 1, 8) and host.mask.any(axis=(1, 2)).all()  # two turns of two members of two tasks
    assert first.metrics["rollouts"] == 8 and first.metrics["kept_groups"] == 1
    assert sorted(host.advantage.ravel().round().tolist()) == [-1.0] * 4 + [1.0] * 4
    sources = {task.id: task.source.source for task in TASKS}
    assert all(row["c_rep"] == sources[row["task"]] for row in first.samples) and len(first.samples) == 4
    again = other.step()
    kept = {k: v for k, v in first.metrics.items() if not k.startswith(("times/", "perf/", "process/"))}
    assert kept == {k: again.metrics[k] for k in kept} and first.samples == again.samples
