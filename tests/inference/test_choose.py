"""Which accepted rewrite stands in a prompt, in stage 2 and at evaluation."""

from __future__ import annotations

import jax
import pytest

from semrep_jax.core.programs import Completion, Finish, Program, Task, Tests
from semrep_jax.inference.rewrite import Rewrite, Sampling, chosen_of, likelihood
from semrep_jax.inference.settings import Choose
from semrep_jax.inference.turns import infer
from semrep_jax.python import PYTHON
from semrep_jax.rollout.policy import Usage

TASK = Task("t", Program(PYTHON, "def f(x):\n    return x"), Tests("f"), Tests("f"), instruction="add one")


def rewrite(name: str, value: float) -> Rewrite:
    return Rewrite(Program(PYTHON, name), value)


def test_the_likelihood_of_a_completion_is_the_mean_over_its_tokens_not_their_sum():
    assert likelihood(Completion("ab", (1, 2), (-0.5, -1.5), Finish.STOP)) == -1.0
    assert likelihood(Completion("", (), (), Finish.PROMPT_TOO_LONG)) == 0.0


def test_first_takes_the_first_accepted_and_likeliest_the_likeliest_of_them():
    written = [None, rewrite("a", -0.9), rewrite("b", -0.2), rewrite("c", -0.2)]
    assert chosen_of(written, Choose.FIRST) == Program(PYTHON, "a")
    assert chosen_of(written, Choose.LIKELIEST) == Program(PYTHON, "b")
    assert chosen_of([None, None], Choose.LIKELIEST) is None


class Writer:
    """A policy that writes three rewrites of one C_src, with log-probs that rise, and remembers what it was asked."""

    def __init__(self) -> None:
        self.usage, self.asked = Usage(), []

    def sample(self, prompts, n, temperature, key, rows=None, prompt_ids=None):
        self.asked.append(prompts)
        if prompts[0].instruction is None:
            texts = [f"def f(x):\n    return x + {i}" for i in range(n)]
            return [[Completion(t, (1,), (i - 5.0,), Finish.STOP) for i, t in enumerate(texts)] for _ in prompts]
        return [[Completion("def f(x):\n    return x + 1", (1,), (-1.0,), Finish.STOP)] * n for _ in prompts]


@pytest.mark.parametrize(
    ("choose", "shown"),
    [(Choose.FIRST, ["return x + 0", None, "return x + 2"]), (Choose.LIKELIEST, ["return x + 2"] * 3)],
)
def test_at_two_turns_each_sample_has_its_own_rewrite_or_all_have_the_likeliest(choose, shown):
    policy = Writer()
    refused = "def f(x):\n    return x + 1"

    def accept(pairs):
        return [program.source != refused for _, program in pairs]

    (attempts,) = infer(policy, accept, [TASK], 2, Sampling(3, 0.6), jax.random.key(0), choose)
    assert [a.rewrite and a.rewrite.source.split("\n    ")[1] for a in attempts] == shown
    seen = [prompt.equivalent for prompt in policy.asked[1]]
    assert [text.split("\n    ")[1] for text in seen] == [s or "return x" for s in shown]
