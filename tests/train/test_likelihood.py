"""The base's own log-probability of what was written."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from semrep_jax import prompts
from semrep_jax.core.programs import Program, Task, Tests
from semrep_jax.inference.rewrite import likelihood
from semrep_jax.python import PYTHON
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.train.batch import Group
from semrep_jax.train.likelihood import BaseLikelihoods
from semrep_jax.train.settings import Layout


def test_what_the_base_wrote_itself_is_as_likely_under_the_base_as_it_said(tiny, rollout):
    tasks = [Task(str(i), Program(PYTHON, f"def f(x):\n    return x + {i}"), Tests("f"), Tests("f")) for i in range(2)]
    asked = [prompts.rewrite(task.source) for task in tasks]
    policy = LocalPolicy(tiny.model, tiny.params, tiny.tokenizer, rollout)
    groups = [
        Group(task, prompt_ids=prompts.encode(prompt, tiny.tokenizer), completions=said)
        for task, prompt, said in zip(
            tasks, asked, policy.sample(asked, 3, rollout.temperature, jax.random.key(0)), strict=True
        )
    ]
    found = BaseLikelihoods(tiny, rollout, Layout.SHARED).of(groups)
    said = np.array([[likelihood(completion) for completion in group.completions] for group in groups])
    assert found == pytest.approx(said, abs=1e-3) and np.ptp(said) > 0.01
