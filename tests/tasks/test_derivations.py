"""How faster kernels follow from C_src: rules apply where they are said to, and what is kept is what they give."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from semrep_jax.core.errors import TaskError
from semrep_jax.cuda.gpu.nvrtc import CompilerError
from semrep_jax.cuda.judge import Judge
from semrep_jax.cuda.rewrites import RULES
from semrep_jax.tasks.kernels import builtin, catalogue, derivations
from semrep_jax.tasks.kernels.derivations import DERIVATIONS, ByRule, How, derive

ROOT = Path(__file__).parents[2]
KEPT = json.loads((ROOT / "notebooks/results/derivations.json").read_text())["operators"]
CLASSES = re.findall(r"^\| (.+) \| (\d[\d, -]*) \| (.+) \|$", (catalogue.FASTER.parent / "README.md").read_text(), re.M)


@pytest.mark.parametrize("name", DERIVATIONS)
def test_a_derivation_leads_from_c_src_to_our_faster_kernel_or_by_rules_alone(name):
    steps = derive(name)
    assert steps[0].how is How.SOURCE and steps[0].text == catalogue.find(name).source
    assert len({step.text for step in steps}) == len(steps) >= 3
    by_rules_alone = all(step.how is How.RULE for step in steps[1:])
    assert by_rules_alone or steps[-1].text == catalogue.faster(name)
    assert all(step.what in RULES for step in steps if step.how is How.RULE)


def test_ten_operators_are_kept_with_the_programs_of_today_each_right_in_emulation():
    assert list(KEPT) == list(DERIVATIONS) and len(KEPT) == 10
    for name, rows in KEPT.items():
        assert [(row["how"], row["what"], row["program"]) for row in rows] == [
            (step.how, step.what, step.text) for step in derive(name)
        ]
        assert all(row["status"] == "ok" and row["passed"] == row["total"] > 0 and row["resources"] for row in rows)


def test_the_verdicts_that_are_kept_are_those_of_the_judge():
    try:
        judge = Judge()
    except CompilerError as error:
        pytest.skip(str(error))
    with judge:
        pairs = [(catalogue.find(name), derive(name)[1].text) for name in ("transpose", "gelu")]
        wrong = derive("transpose")[2].text.replace("__syncthreads();", "")
        verdicts = judge.judge_all([*pairs, (catalogue.find("transpose"), wrong)])
    assert [verdict.feedback for verdict in verdicts[:2]] == [""] * 2
    assert verdicts[2].status not in ("ok", "unjudged")


def test_a_rule_that_does_not_apply_and_an_operator_without_derivation_are_named(monkeypatch):
    with pytest.raises(TaskError, match="no derivation of 'softmx'; there are mse_loss"):
        derive("softmx")
    monkeypatch.setitem(derivations.DERIVATIONS, "relu", (ByRule("tile_product"),))
    with pytest.raises(TaskError, match="derivation of relu: tile_product offers 0 programs"):
        derive("relu")


def test_every_class_of_kernelbench_level_1_has_a_faster_kernel_and_each_problem_a_class():
    numbers = []
    for name, problems, operators in CLASSES:
        for part in problems.split(", "):
            first, _, last = part.partition("-")
            numbers += range(int(first), int(last or first) + 1)
        named = re.findall(r"`(\w+)`", operators)
        assert named and all(operator in builtin.TASKS and catalogue.faster(operator) for operator in named), name
    assert sorted(numbers) == list(range(1, 101))
