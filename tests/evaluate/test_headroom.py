"""Headroom: what a C_rep could do for a policy, measured and told, and the mark of suites that can tell nothing."""

from __future__ import annotations

import pytest

from semrep_jax.core.programs import Completion, Finish
from semrep_jax.core.results import exact
from semrep_jax.core.stop import Stop, Stopped
from semrep_jax.core.workdir import WorkDir
from semrep_jax.evaluate import headroom
from semrep_jax.evaluate.headroom import Help
from semrep_jax.evaluate.summary import MARK, out_of_range_note, rows
from semrep_jax.inference.settings import Choose, InferenceConfig
from semrep_jax.jobs import headroom as job
from semrep_jax.jobs.config import build
from semrep_jax.jobs.job import Context
from semrep_jax.report.reading import read
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.policy import Usage
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.tasks.suite import DrawnSuite, SuiteRequest, draw
from semrep_jax.train.fits import NothingFits


class Reader:
    """A policy that writes no rewrites, and can edit what it is shown in its plain form: in C_rep's place or at all."""

    def __init__(self, suite: DrawnSuite):
        self.known = {task.source.source: (task.tags["rewrite"], task.solution.source) for task in suite.tasks}
        self.usage, self.asked = Usage(), []

    def sample(self, prompts, n, temperature, key, rows=None, prompt_ids=None):
        self.asked += prompts
        return [[Completion(self.answer(p), (), (), Finish.STOP)] * n for p in prompts]

    def answer(self, prompt):
        plain, solution = self.known[prompt.source]
        return solution if prompt.equivalent == plain else prompt.source


@pytest.fixture(scope="module")
def suite(verifier):
    return draw("perturbed", SuiteRequest(6, 5, verifier))


@pytest.fixture
def config(tmp_path):
    evaluation = {"suites": ["perturbed"], "samples": 2, "resamples": 100}
    return build({"job": "headroom", "work_dir": str(tmp_path / "run"), "evaluate": evaluation})


@pytest.fixture
def context(config, verifier):
    return Context(WorkDir(config.work_dir, {"job": "headroom"}), Stop(), verifier)


def test_suites_whose_prompts_are_all_too_long_are_refused_before_anything_is_measured(config, context, suite, tiny):
    policy = LocalPolicy(tiny.model, tiny.params, tiny.tokenizer, RolloutConfig(max_prompt=16, bucket=16, max_new=8))
    with pytest.raises(NothingFits, match=r"rollout\.max_prompt: all 6 prompts of suite perturbed are longer than 16"):
        job.measured(config, context, policy, [suite])


def test_the_right_rewrite_shows_what_a_policy_could_do_with_one(config, context, suite):
    found = job.measured(config, context, Reader(suite), [suite])["perturbed"]
    shares = {help: one.per_task.mean() for help, one in found.items()}
    assert shares == {Help.NOTHING: 0, Help.OWN: 0, Help.COPY: 0, Help.RIGHT: 1}
    assert headroom.gain(found, Help.RIGHT, 100).value == 1 and headroom.has_headroom(found, 100)
    assert job.without_headroom(config, context, Reader(suite), [suite]) == []


def test_what_was_measured_is_not_measured_again(config, context, suite):
    job.measured(config, context, Reader(suite), [suite])
    again = Reader(suite)
    job.measured(config, context, again, [suite])
    assert again.asked == []
    context.work.write("config.yaml", config.to_yaml())
    assert read(context.work.path).measurements == ()  # no arm of a comparison


def test_headroom_is_measured_with_the_rewrites_that_an_evaluation_chooses(config, context, suite):
    chosen = config.model_copy(update={"inference": InferenceConfig(choose=Choose.LIKELIEST)})
    found = job.measured(chosen, context, Reader(suite), [suite])["perturbed"]
    assert {one.identity["choose"] for one in found.values()} == {Choose.LIKELIEST}


def test_a_stopped_measurement_says_how_to_go_on(config, context, suite):
    context.stop.asked = True
    with pytest.raises(Stopped, match="the same command goes on"):
        job.measured(config, context, Reader(suite), [suite])


def test_a_policy_that_a_rewrite_does_not_help_has_no_headroom(config, context, suite):
    deaf = Reader(suite)
    deaf.known = {source: ("", solution) for source, (_, solution) in deaf.known.items()}
    assert job.without_headroom(config, context, deaf, [suite]) == ["perturbed"]


def test_tasks_that_know_no_right_rewrite_are_not_given_one(config, context, verifier):
    suite = draw("humaneval", SuiteRequest(2, 5, verifier))
    assert headroom.helps_of(suite) == [Help.NOTHING, Help.OWN, Help.COPY]


@pytest.mark.parametrize(("value", "marked"), [(0.0, True), (0.04, True), (0.05, False), (0.85, False), (0.9, True)])
def test_a_suite_that_the_base_hardly_or_nearly_always_solves_is_marked(value, marked):
    base = {"plain/T1": exact(value), "plain/T2": exact(0.5)}
    titles = [row.title for row in rows(["plain"], base)]
    assert [MARK in title for title in titles] == [marked, marked]
    assert any("plain" in note for note in out_of_range_note(["plain"], base)) is marked
