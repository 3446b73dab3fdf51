"""Settings of what the policy does at inference, and in the prompts of stage 2."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from semrep_jax.core.settings import Section


class Choose(StrEnum):
    """Which of a task's accepted rewrites stands in a prompt as C_rep.

    FIRST is the paper's: the first of the prompt's own; at evaluation every sample has a rewrite of its own. LIKELIEST
    is the one that the policy gave the highest log-probability a token when it wrote it: of a stage-2 prompt's
    candidates (`rollout.rewrites`), and at evaluation of all samples of the task, each of which then has the same. It
    costs no rollout more.
    """

    FIRST = "first"
    LIKELIEST = "likeliest"


class InferenceConfig(Section):
    """What is done with rewrites, in evaluation and in stage 2 alike."""

    choose: Choose = Field(
        Choose.FIRST,
        description="Which accepted rewrite is C_rep: the first, or the likeliest a token under the policy.",
    )
