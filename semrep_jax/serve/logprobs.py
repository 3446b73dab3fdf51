"""Log-probs of tokens as the two endpoints word them. They are under the distribution that was drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.serve.answers import Delta
from semrep_jax.serve.text import HALF


def worded(
    tokenizer: Tokenizer, deltas: Sequence[Delta], alternatives: int | None, chat: bool, offset: int = 0
) -> dict[str, Any] | None:
    """The log-probs of some deltas of one choice; None where none are asked for.

    alternatives: how many likeliest tokens are told in each one's place. chat: in which endpoint's words. offset:
    characters of the choice's tokens that were told before these.
    """
    if alternatives is None:
        return None
    tokens = [one for delta in deltas for one in delta.token_ids]
    logprobs = [one for delta in deltas for one in delta.logprobs]
    ranked = [one[:alternatives] for delta in deltas for one in delta.ranked] or [()] * len(tokens)
    if chat:
        content = [
            _entry(tokenizer, token, logprob) | {"top_logprobs": [_entry(tokenizer, i, lp) for i, lp in others]}
            for token, logprob, others in zip(tokens, logprobs, ranked, strict=True)
        ]
        return {"content": content, "refusal": None}
    texts = [_text(tokenizer, token) for token in tokens]
    tops = [{_text(tokenizer, i): lp for i, lp in others} for others in ranked]
    return {
        "tokens": texts,
        "token_logprobs": logprobs,
        "top_logprobs": tops if alternatives else None,
        "text_offset": [offset + sum(map(len, texts[:place])) for place in range(len(texts))],
    }


def _entry(tokenizer: Tokenizer, token: int, logprob: float) -> dict[str, Any]:
    return {"token": tokenizer.decode([token]), "logprob": logprob, "bytes": list(tokenizer.bytes_of(token))}


def _text(tokenizer: Tokenizer, token: int) -> str:
    """A token's text; of one that is a part of a character its bytes, as OpenAI writes them."""
    text = tokenizer.decode([token])
    if HALF not in text:
        return text
    return "bytes:" + "".join(f"\\x{byte:02x}" for byte in tokenizer.bytes_of(token))
