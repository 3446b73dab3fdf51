"""From token ids to a `Completion`."""

from __future__ import annotations

from collections.abc import Sequence

from semrep_jax.core.programs import Completion, Finish
from semrep_jax.model.tokenizer import Tokenizer


def completion_of(
    token_ids: Sequence[int], logprobs: Sequence[float], tokenizer: Tokenizer, prompt_tokens: int
) -> Completion:
    """The completion of these tokens up to the first that ends one, whose text it leaves out.

    logprobs: of each token (nats). prompt_tokens: those that it is charged for beside its own.
    """
    ends = next((place for place, token in enumerate(token_ids) if token in tokenizer.end_ids), None)
    size = len(token_ids) if ends is None else ends + 1
    text = tokenizer.decode(int(i) for i in token_ids[: size if ends is None else ends])
    finish = Finish.LENGTH if ends is None else Finish.STOP
    own = tuple(map(int, token_ids[:size]))
    return Completion(text, own, tuple(map(float, logprobs[:size])), finish, prompt_tokens + size)
