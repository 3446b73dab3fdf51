"""A search: one budget, a tree that a killed search goes on with, copies that are never run again, strategies that are
functions of the tree."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import jax
import pytest
from keyed import Keyed

from semrep_jax.core.programs import Case, Outcome, Program, Task, Tests
from semrep_jax.inference.acceptance import RewriteJudge
from semrep_jax.rewards import AcceptBy
from semrep_jax.rollout.remote import RemotePolicy
from semrep_jax.rollout.settings import RemoteConfig, RolloutConfig
from semrep_jax.search.budget import Budget, BudgetError, Limits
from semrep_jax.search.export import records_of
from semrep_jax.search.journal import Journal, JournalError, read
from semrep_jax.search.node import Kind
from semrep_jax.search.problem import Problem, VerifierAssessor
from semrep_jax.search.run import Search
from semrep_jax.search.strategies.strategy import STRATEGIES, Ask, Plan, Strategy
from semrep_jax.verify import Verifier

SOURCE = "def f(xs):\n    return sum(xs) + 1"
REWRITES = (
    "def f(xs):\n    t = 1\n    for x in xs:\n        t += x\n    return t",
    "def f(ys):\n    return sum(ys) + 1",
    "def f(xs):\n    return 1 + sum(list(xs))",
    "def f(xs):\n    return sum(xs)",
    "no program (",
)
WRONG = (
    "def f(xs):\n    return sum(xs) + 2",
    "def f(xs):\n    return 0",
    "def f(xs):\n    return max(xs) + 1",
    "def f(xs):\n    return len(xs)",
    "def f(xs:",
    "def f(xs):\n    raise ValueError",
)
RIGHT = "def f(xs):\n    return sum(xs) + 1 if xs else 0"


def cases(*pairs):
    return tuple(Case(["t", ["l", *xs]], Outcome(value)) for xs, value in pairs)


TASK = Task(
    "empty",
    Program("python", SOURCE),
    Tests("f", cases(([1, 2], 4), ([5], 6))),
    Tests("f", cases(([], 0))),
    "return 0 for an empty list",
)


class Counting(VerifierAssessor):
    """Judges, and notes what it was asked."""

    def __init__(self, judge):
        super().__init__(judge)
        object.__setattr__(self, "texts", [])

    def assess(self, task, programs, rewrites):
        self.texts.extend(program.source for program in programs)
        found = super().assess(task, programs, rewrites)
        return [replace(one, seconds=0.25) for one in found]  # a machine's own seconds would make trees differ


@pytest.fixture
def judge(sandbox):
    return Counting(RewriteJudge(Verifier(sandbox), AcceptBy.U_SEM))


def search(judge, strategy="semrep", edits=WRONG, limits=None, plan=None, policy=None):
    policy = policy or Keyed(REWRITES, edits)
    plan = plan or Plan(2, 8, 2, 2)
    return Search(Problem(TASK, judge), strategy, plan, policy, jax.random.key(3), limits=limits or Limits())


def test_what_does_not_fit_is_paid_by_nobody_and_ends_the_budget():
    budget = Budget(Limits(tokens=100, verifier_seconds=2.0))
    assert budget.spend("tokens", 60) and not budget.exhausted and not budget.spend("tokens", 41)
    assert not budget.spend("tokens", 1) and budget.exhausted
    assert budget.spend("verifier_seconds", 2.0)  # what was paid for is still judged
    assert (budget.spent.tokens, budget.beyond.tokens) == (60, 42)
    again = Budget(budget.limits)
    again.restore(json.loads(json.dumps(budget.to_json())))
    assert again == budget and Budget().spend("tokens", 10**12)


@pytest.mark.parametrize("strategy", ["semrep", "direct", "iid", "repair", "greedy", "evolve"])
def test_every_strategy_stops_at_the_same_budget_and_uses_nothing_beyond_it(judge, strategy):
    tree, budget = search(judge, strategy, limits=Limits(tokens=125), plan=Plan(2, 8, 2, 9)).run()
    assert budget.spent.tokens == 120 and budget.beyond.tokens >= 10 and budget.exhausted
    beyond = [node for node in tree.nodes if node.beyond]
    assert beyond and all(node.program is None and node.score == 0 and node.id > 12 for node in beyond)
    assert len(tree.nodes) == 17  # two rounds of eight


def test_seconds_of_judging_end_a_search_too(judge):
    tree, budget = search(judge, "iid", limits=Limits(verifier_seconds=0.6)).run()
    judged = [node for node in tree.nodes[1:] if node.judged]
    assert len(judged) == 2 and budget.spent.verifier_seconds == 0.5
    assert all(node.score == 0 and not node.status for node in tree.nodes if node.beyond)


def test_what_a_strategy_computes_itself_is_paid_with_its_judging_program_by_program(judge, monkeypatch):
    asks = [Ask(Kind.DRAWN, 0, 1, "drawn", program=text, seconds=1.0) for text in (*WRONG[:2], RIGHT, WRONG[3])]
    monkeypatch.setitem(STRATEGIES._found, "own", Strategy("by hand", lambda view: asks, model=False))
    tree, budget = search(judge, "own", limits=Limits(verifier_seconds=2.6)).run()
    assert [node.beyond for node in tree.nodes] == [False, False, False, True, True]
    assert budget.spent.verifier_seconds == 2.5 and budget.spent.tokens == 0 and not tree.solved
    assert [node.seconds for node in tree.nodes[1:3]] == [1.25, 1.25]


def test_a_round_that_ends_beyond_the_clock_counts_for_nothing(judge):
    tree, budget = search(judge, "iid", limits=Limits(wall_seconds=1e-9)).run()
    assert tree.rounds == 1 and all(node.beyond for node in tree.nodes[1:]) and tree.best.id == 0
    assert budget.spent.wall_seconds == 0


def test_a_copy_of_what_was_judged_is_never_run_again(judge):
    tree, _ = search(judge).run()
    assert len(judge.texts) == len(set(judge.texts)) == sum(node.judged for node in tree.nodes[1:])
    assert tree.copies == sum(node.copy_of is not None for node in tree.nodes) > 5
    renamed = [node for node in tree.nodes if node.program == REWRITES[1]]
    assert renamed and all(node.copy_of == 0 and node.seconds == 0 for node in renamed)
    assert all(node.score == tree.nodes[node.copy_of].score for node in tree.nodes if node.copy_of is not None)


def test_semrep_writes_equivalents_and_then_transforms_what_the_beam_holds(judge):
    policy = Keyed(REWRITES, WRONG)
    tree, _ = search(judge, policy=policy, plan=Plan(2, 8, 2, 1)).run()
    (first, samples), *later = policy.asked
    assert first.instruction is None and samples == 8
    held = {REWRITES[0], REWRITES[2]}  # those that pass U_sem and are no copies
    assert {prompt.equivalent for prompt, _ in later} == held and [n for _, n in later] == [4, 4]
    assert {node.kind for node in tree.nodes[9:]} == {Kind.TRANSFORM} and all(n.guide for n in tree.nodes[9:])


def test_direct_writes_no_rewrite_and_best_of_n_asks_the_same_again(judge):
    direct, iid = Keyed(REWRITES, WRONG), Keyed(REWRITES, WRONG)
    search(judge, "direct", policy=direct).run()
    search(judge, "iid", policy=iid).run()
    assert all(prompt.instruction for prompt, _ in direct.asked + iid.asked)
    assert len({prompt for prompt, _ in iid.asked}) == 1 < len({prompt for prompt, _ in direct.asked})


def test_repair_shows_a_wrong_program_and_what_its_verdict_says(judge):
    policy = Keyed(REWRITES, WRONG)
    tree, _ = search(judge, "repair", policy=policy, plan=Plan(2, 8, 2, 1)).run()
    repairs = [prompt for prompt, _ in policy.asked if prompt.attempt is not None]
    assert {prompt.attempt for prompt in repairs} <= set(WRONG) and len(repairs) == 2
    for prompt in repairs:
        parent = next(node for node in tree.nodes if node.program == prompt.attempt)
        assert parent.feedback and prompt.feedback == parent.feedback and parent.feedback in prompt.compact
        assert prompt.attempt in prompt.messages[1]["content"] and SOURCE in prompt.messages[1]["content"]


def test_a_search_ends_when_a_right_program_is_found_and_knows_it(judge):
    tree, budget = search(judge, edits=(*WRONG, RIGHT), plan=Plan(2, 8, 2, 9)).run()
    assert tree.solved and tree.best.program == RIGHT and tree.best.score == 1.0
    assert tree.rounds < 18 and budget.spent.tokens == 10 * (len(tree.nodes) - 1)


def test_candidates_rank_by_score_then_what_was_measured_then_novelty(judge):
    tree, _ = search(judge, edits=(RIGHT,), plan=Plan(1, 1)).run()
    one = tree.nodes[1]
    faster = replace(one, id=2, value=2.0, novelty=0.0)
    newer = replace(one, id=3, value=None, novelty=0.99)
    wrong = replace(one, id=4, value=9.0, score=0.5)
    assert sorted([wrong, newer, one, faster], key=lambda node: node.rank, reverse=True) == [faster, newer, one, wrong]


def without_seconds(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if "budget" in line:
            line["budget"]["spent"].pop("wall_seconds")
    return lines


@pytest.mark.parametrize("strategy", ["semrep", "evolve", "repair"])
def test_a_search_killed_anywhere_ends_in_the_same_tree(judge, tmp_path, strategy):
    whole = Journal(tmp_path / "whole.jsonl", {"of": "test"})
    search(judge, strategy).run(whole)
    data = whole.path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == 10]
    for cut in (0, 7, ends[0], ends[0] + 3, ends[5], ends[9] - 2, ends[12] + 1, len(data) - 1, len(data)):
        path = tmp_path / "cut.jsonl"
        path.write_bytes(data[:cut])
        search(judge, strategy).run(Journal(path, {"of": "test"}))
        assert without_seconds(path) == without_seconds(whole.path), cut
    header, nodes, state = read(whole.path)
    assert header == {"of": "test"} and len(nodes) == 32 and state["spent"]["tokens"] == 320


def test_a_stopped_search_goes_on_and_a_foreign_or_damaged_tree_is_refused(judge, tmp_path):
    journal = Journal(tmp_path / "tree.jsonl", {"of": "test"})
    tree, _ = search(judge).run(journal, stopped=iter([False, False, True]).__next__)
    assert tree.rounds == 2
    tree, _ = search(judge).run(journal)
    assert tree.rounds == 4
    with pytest.raises(JournalError, match="of was 'test' and is 'other'"):
        search(judge).run(Journal(journal.path, {"of": "other"}))
    journal.path.write_text(journal.path.read_text().replace('"parent": 0', '"parents": 0', 1))
    with pytest.raises(JournalError, match=r"tree.jsonl:2 .*delete"):
        search(judge).run(journal)


def test_what_could_not_be_judged_scores_nothing_and_may_be_judged_again(judge):
    class Faulty(Counting):
        def assess(self, task, programs, rewrites):
            found = super().assess(task, programs, rewrites)
            return [replace(one, verdict=replace(one.verdict, status="unjudged", compiled=False)) for one in found]

    faulty = Faulty(judge.judge)
    tree, _ = search(faulty, "iid", edits=(RIGHT,)).run()
    assert not tree.solved and all(node.score == 0 for node in tree.nodes[1:])
    assert len(faulty.texts) == 4  # once a round


def test_improving_steps_become_records_that_keep_the_rewrite_and_the_split(judge):
    tree, _ = search(judge, edits=(RIGHT,), plan=Plan(2, 4, 2)).run()
    (record,) = records_of(tree, "t")
    assert (record["source"], record["target"]) == (SOURCE, RIGHT) and record["rewrite"] in REWRITES
    assert record["split"] == "train" and len(record["preserve"]) == 2 and len(record["edit"]) == 1
    tree.task = replace(tree.task, split="test")
    assert records_of(tree, "t")[0]["split"] == "test"


def test_a_model_behind_an_endpoint_is_searched_with_and_pays_for_every_prompt(judge, monkeypatch):
    seen = []

    def answer(request):
        seen.append(json.loads(request.content)["messages"][-1]["content"])
        text = REWRITES[0] if "Rewrite this program" in seen[-1] else RIGHT
        choice = {"message": {"content": f"```python\n{text}\n```"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 30, "completion_tokens": 12}
        return httpx.Response(200, json={"choices": [choice], "usage": usage})

    policy = RemotePolicy(RemoteConfig(url="http://model.invalid/v1"), RolloutConfig())
    policy.client = httpx.Client(base_url="http://model.invalid/v1", transport=httpx.MockTransport(answer))
    tree, budget = search(judge, policy=policy, plan=Plan(2, 4, 2)).run()
    assert tree.solved and budget.spent.tokens == 8 * 42 == policy.usage.tokens
    assert "Rewrite this program" in seen[0] and "return 0 for an empty list" in seen[-1]
    assert any(REWRITES[0] in text for text in seen)


def test_tokens_that_nobody_counts_are_not_free_where_they_are_limited(judge):
    limited = search(judge, edits=WRONG, limits=Limits(tokens=100))
    limited.policy.cost = None
    with pytest.raises(BudgetError, match=r"search\.budget\.tokens: .* set it to null"):
        limited.run()
    free = search(judge, edits=WRONG)
    free.policy.cost = None
    assert free.run()[1].spent.tokens == 0


def test_where_a_problem_has_moves_every_sample_follows_an_instruction_of_its_own(judge):
    policy = Keyed(REWRITES, WRONG)
    one = search(judge, policy=policy, plan=Plan(2, 8, 2, 1))
    one.problem = replace(one.problem, move=lambda text, rng: f"use {rng.randint(0, 10**9)}")
    tree, _ = one.run()
    (rewrite, samples), *later = policy.asked
    assert rewrite.instruction is None and samples == 8
    assert len({prompt.instruction for prompt, _ in later}) == 8 and [n for _, n in later] == [1] * 8
    assert [node.instruction for node in tree.nodes[9:]] == [prompt.instruction for prompt, _ in later]


def test_every_strategy_says_what_it_does():
    assert all(STRATEGIES[name].title for name in STRATEGIES)
