"""HumanEval's bugs in other forms: verified, and paired with the tasks that they are forms of."""

from __future__ import annotations

from semrep_jax.evaluate.measure import Measured
from semrep_jax.evaluate.summary import metrics
from semrep_jax.tasks.suite import SuiteRequest, draw


def test_a_bug_in_another_form_is_the_same_task_passes_u_sem_and_still_fails_u_edit(verifier):
    request = SuiteRequest(2, 1234, verifier)
    plain = {task.id: task for task in draw("humaneval", request).tasks}
    forms = draw("humaneval_robustness", request).tasks
    assert forms
    for form in forms:
        base = plain[form.tags["base"]]
        assert form.source != base.source and form.instruction == base.instruction and form.edit == base.edit
        (verdict,) = verifier.verify(form, [form.source])
        assert verdict.equivalent and verdict.edit.passed == 0
    measured = [
        Measured(name, 1, "x", [task.id for task in tasks], [[True]] * len(tasks), 1, 1, 1.0, 0.0, 0, [])
        for name, tasks in (("humaneval", plain.values()), ("humaneval_robustness", forms))
    ]
    assert metrics(measured, 100)["humaneval_robust_pass/T1"].value == 1.0
