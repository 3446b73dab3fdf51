"""The SentencePiece tokenizer in a GGUF file's metadata (Llama 2, Mistral, TinyLlama, CodeLlama), as a BPE with byte
fallback.

SentencePiece joins the two neighbours whose joint token has the highest score, over and over, and cuts no text
beforehand. As a BPE: each way of cutting a token into two tokens is a merge, those of a token with a higher score
before those of one with a lower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tokenizers
from tokenizers import decoders, models, normalizers

SPACE = "\u2581"  # how a space is written in a token


def backend(
    tokens: Sequence[str], scores: Mapping[str, float], unknown: str | None, prefix: bool
) -> tokenizers.Tokenizer:
    """A tokenizer that does not know its special tokens yet.

    tokens: by id. scores: of those that text is joined to. unknown: the token for what has no other, if there is one.
    prefix: whether a space is put before a text, and before what follows a special token.
    """
    vocabulary = {token: i for i, token in enumerate(tokens)}
    bpe = models.BPE(vocabulary, merges(scores), unk_token=unknown, fuse_unk=True, byte_fallback=True)
    found = tokenizers.Tokenizer(bpe)
    first = [normalizers.Prepend(SPACE)] if prefix else []
    found.normalizer = normalizers.Sequence([*first, normalizers.Replace(" ", SPACE)])
    last = [decoders.Strip(" ", 1, 0)] if prefix else []
    found.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *last])
    return found


def merges(scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """Every two tokens that make a third, by the third's score, the highest first. scores: of tokens, in order."""
    place = {token: i for i, token in enumerate(scores)}
    found = []
    for token, score in scores.items():
        for left, right in ((token[:cut], token[cut:]) for cut in range(1, len(token))):
            if left in place and right in place:
                found.append((-score, place[left], place[right], left, right))
    return [(left, right) for *_, left, right in sorted(found)]
