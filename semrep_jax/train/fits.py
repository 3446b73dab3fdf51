"""Whether prompts fit `rollout.max_prompt` at all: asked before the first step, not told by a table of zeros."""

from __future__ import annotations

from collections.abc import Iterable

from semrep_jax import prompts
from semrep_jax.core.errors import SemRepError
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.prompts import Prompt
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.policy import Policy


class NothingFits(SemRepError):
    """Every prompt of a stage, a suite or a file is too long."""


def require_one_fits(asked: Iterable[Prompt], tokenizer: Tokenizer, most: int, what: str) -> None:
    """Raise NothingFits where no prompt does. Looks at them only up to the first that fits.

    asked: the prompts. most: `rollout.max_prompt`. what: whose prompts they are, for the error.
    """
    lengths = []
    for prompt in asked:
        lengths.append(len(prompts.encode(prompt, tokenizer)))
        if lengths[-1] <= most:
            return
    if len(lengths) == 1:
        raise NothingFits(
            f"rollout.max_prompt: the prompt of {what} is longer than {most} tokens; raise it to {lengths[0]}"
        )
    if lengths:
        raise NothingFits(
            f"rollout.max_prompt: all {len(lengths)} prompts of {what} are longer than {most} tokens "
            f"({min(lengths)} to {max(lengths)}); raise it, to {max(lengths)} for all of them"
        )


def require_one_fits_policy(asked: Iterable[Prompt], policy: Policy, what: str) -> None:
    """`require_one_fits` of what is to sample: the local model; of any other one the longest prompt is not known.

    asked: prompts. policy: that gets them. what: they are, in words. Raises NothingFits.
    """
    if isinstance(policy, LocalPolicy):
        require_one_fits(asked, policy.tokenizer, policy.setting.max_prompt, what)
