"""What a policy is to everybody above: prompts in, completions out, and a count of what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import jax

from semrep_jax.core.programs import Completion
from semrep_jax.prompts import Prompt


@dataclass
class Usage:
    """What sampling has cost: rollouts, prompt tokens (once a group) and completion tokens."""

    rollouts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens


class Policy(Protocol):
    """`sample` gives n completions of each prompt; `usage` counts."""

    usage: Usage

    def sample(
        self,
        prompts: list[Prompt],
        n: int,
        temperature: float,
        key: jax.Array,
        rows: int | None = None,
        prompt_ids: list[list[int]] | None = None,
    ) -> list[list[Completion]]:
        """n completions of each prompt, in the prompts' order.

        temperature: of the draws. key: decides them, together with a prompt's place and a completion's number. rows:
        prompts at a time; None for all. prompt_ids: token ids of the prompts, for a policy that takes them and a caller
        that has them already.
        """
