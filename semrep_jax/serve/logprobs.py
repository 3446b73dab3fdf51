"""Log-probs of tokens as the two endpoints word them. They are under the distribution that was drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.serve.answers import Delta


def worded(
    tokenizer: Tokenizer, deltas: Sequence[Delta], alternatives: int | None, chat: bool
) -> dict[str, Any] | None:
    """The log-probs of some deltas of one choice; None where none are asked for.

    alternatives: how many likeliest tokens are told in each one's place. chat: in which endpoint's words.
    """
    if alternatives is None:
        return None
    tokens = [one for delta in deltas for one in delta.token_ids]
    logprobs = [one for delta in deltas for one in delta.logprobs]
    ranked = [one[:alternatives] for delta in deltas for one in delta.ranked] or [()] * len(tokens)
    texts = [tokenizer.decode([token]) for token in tokens]
    if chat:
        content = [
            _entry(text, logprob) | {"top_logprobs": [_entry(tokenizer.decode([i]), lp) for i, lp in others]}
            for text, logprob, others in zip(texts, logprobs, ranked, strict=True)
        ]
        return {"content": content, "refusal": None}
    tops = [{tokenizer.decode([i]): lp for i, lp in others} for others in ranked]
    offsets = [sum(map(len, texts[:place])) for place in range(len(texts))]
    return {
        "tokens": texts,
        "token_logprobs": logprobs,
        "top_logprobs": tops if alternatives else None,
        "text_offset": offsets,
    }


def _entry(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
