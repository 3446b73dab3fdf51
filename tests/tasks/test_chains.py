"""Chains of operators: even coverage at every index, levels of difficulty, both forms of C_src, one split for both."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from semrep_jax.core.errors import TaskError
from semrep_jax.core.settings import ConfigError
from semrep_jax.cuda import CUDA
from semrep_jax.cuda.gpu.nvrtc import CompilerError
from semrep_jax.cuda.judge import Judge
from semrep_jax.cuda.rewrites.chain import rewrite
from semrep_jax.jobs.config import build
from semrep_jax.tasks.kernels import catalogue, draws
from semrep_jax.tasks.kernels.chains import APART, ENDS, STEPS, TOGETHER, chain, split_of
from semrep_jax.tasks.kernels.draws import Deck, difficulty, even
from semrep_jax.tasks.source import SourceRequest

LEVELS = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module")
def drawn():
    """Thirty chains, of all levels in turn."""
    return list(islice(even("train", 7, LEVELS), 30))


def parts(name: str) -> tuple[list[str], str]:
    steps, _, end = name.removeprefix(TOGETHER).removeprefix(APART).partition("_row_")
    return steps.split("_"), end


def test_up_to_any_index_no_operator_comes_more_than_once_oftener_than_another(drawn):
    steps, ends = Counter(dict.fromkeys(STEPS, 0)), Counter(dict.fromkeys(ENDS, 0))
    for task in drawn:
        of_chain, end = parts(task.name)
        assert len(set(of_chain)) == len(of_chain)
        steps.update(of_chain)
        ends.update([end] if end else [])
        assert max(steps.values()) - min(steps.values()) <= 1 and max(ends.values()) - min(ends.values()) <= 1
    assert min(steps.values()) >= 5 and min(ends.values()) >= 4


def test_a_chain_at_an_index_depends_on_seed_levels_and_index_alone(drawn):
    again = [task.sha256 for task in islice(even("train", 7, LEVELS), 6)]
    assert again == [task.sha256 for task in drawn[:6]]
    assert again != [task.sha256 for task in islice(even("train", 8, LEVELS), 6)]
    assert len({task.name for task in drawn}) == len(drawn)


def test_levels_come_in_turn_and_say_how_many_operators_kernels_and_reductions_there_are(drawn):
    assert [difficulty(task.name) for task in drawn] == [LEVELS[i % 5] for i in range(30)]
    for task in drawn:
        (of_chain, end), level = parts(task.name), difficulty(task.name)
        assert (len(of_chain) > 3) == (level in (3, 5)) and (level != 1 or not end) and (level != 2 or end)
        kernels = len(of_chain) + bool(end) if level > 3 else 1
        assert task.source.count("__global__") == kernels


def test_both_forms_of_a_chain_are_in_one_split(drawn):
    for task in drawn:
        tail = task.name.removeprefix(TOGETHER).removeprefix(APART)
        assert split_of(TOGETHER + tail) == split_of(APART + tail) == "train"


def test_a_kernel_for_each_step_is_right_in_emulation_and_the_rules_can_fuse_it(drawn):
    from random import Random

    apart = [task for task in drawn if task.name.startswith(APART)][:4]
    fused = rewrite(catalogue.task(apart[0], "train").source, Random(0), 1, ["fuse_kernels"])
    assert fused is not None and fused.program.source.count("__global__") < apart[0].source.count("__global__")
    try:
        judge = Judge()
    except CompilerError as error:
        pytest.skip(str(error))
    with judge:
        pairs = [*((task, task.source) for task in apart), (apart[0], fused.program.source)]
        assert [verdict.feedback for verdict in judge.judge_all(pairs)] == [""] * 5


def test_a_level_that_has_no_more_chains_says_so_and_what_to_do(monkeypatch):
    monkeypatch.setattr(draws, "STEPS", ["relu", "scale"])
    monkeypatch.setattr(draws, "TRIES", 60)
    monkeypatch.setitem(draws.LEVELS, 1, draws.Level(2, 2, reduced=False))
    with pytest.raises(TaskError, match=r"difficulty: level 1 .* lower tasks.train_size"):
        list(even("train", 0, [1]))


def test_a_deck_deals_each_round_wholly_before_the_next():
    import numpy as np

    deck, rng, dealt = Deck("abcde"), np.random.default_rng(0), Counter(dict.fromkeys("abcde", 0))
    for size in (3, 4, 1, 5, 2, 2, 5):
        hand = deck.hand(size, rng)
        assert len(set(hand)) == size
        deck.deal(hand)
        dealt.update(hand)
        assert max(dealt.values()) - min(dealt.values()) <= 1


def test_the_setting_chooses_the_levels_of_training_and_a_level_that_is_none_is_refused():
    config = build({"job": "train", "tasks": {"source": "kernels", "kernels": {"difficulty": [4]}}})
    tasks = list(catalogue.SOURCE.transform(SourceRequest(2, 0, settings=config.of_source())))
    assert {task.tags["difficulty"] for task in tasks} == {"4"} and all(APART in task.id for task in tasks)
    assert all(task.source.language == CUDA and task.source.source.count("__global__") > 1 for task in tasks)
    for wrong in ([], [6], 3):
        with pytest.raises(ConfigError, match=r"tasks.kernels.difficulty"):
            build({"job": "train", "tasks": {"kernels": {"difficulty": wrong}}})


def test_a_chain_is_found_again_by_its_name_in_either_form():
    for name in ("chain_relu_bias_row_sum", "apart_relu_bias_row_sum"):
        assert catalogue.find(name).name == name == chain(name).name
    with pytest.raises(TaskError, match="frobnicate"):
        chain("apart_frobnicate_relu")
