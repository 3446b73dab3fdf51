"""The tokenizer in a GGUF file's metadata: a byte-level BPE with the pre-tokenizer that the file names, or
SentencePiece's (`gguf_sentencepiece`)."""

from __future__ import annotations

import math
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers

from semrep_jax.model import gguf_sentencepiece
from semrep_jax.model.added_tokens import TokenizerError
from semrep_jax.model.tokenizer import Tokenizer, byte_level, split_by

# The pre-tokenizer of GPT-4's kind; {digits} is how runs of digits are cut.
WORD_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|{digits}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
REQUIRED = ("tokens", "token_type", "eos_token_id")
# What ends a completion beside the end of text: of a turn, of a message that calls a tool.
END_IDS = ("eot_token_id", "eom_token_id")
END_TOKENS = ("<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end_of_text|>")
# What a chat template may name, by the metadata's name.
SPECIALS = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"}
# Values of tokenizer.ggml.token_type.
NORMAL = 1
UNKNOWN = 2
CONTROL = 3
USER_DEFINED = 4


PRE_TOKENIZERS = {
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(use_regex=True)]),
    "gpt-2": byte_level(use_regex=True),
    "qwen2": split_by(WORD_PATTERN.replace("{digits}", r"\p{N}")),
    "llama-bpe": split_by(WORD_PATTERN.replace("{digits}", r"\p{N}{1,3}")),
}
# Other names that llama.cpp's converter has for a pre-tokenizer above.
ALIASES = {
    **dict.fromkeys(("deepseek-r1-qwen", "megrez"), "qwen2"),
    **dict.fromkeys(("llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0"), "llama-bpe"),
    **dict.fromkeys(("mellum", "phi-2", "roberta-bpe", "gigachat"), "gpt-2"),
    **dict.fromkeys(("starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), "smollm"),
}
IGNORES_MERGES = ("llama-bpe",)  # a word in the vocabulary is one token
NORMALISES = ("qwen2",)
BYTE_LEVEL, SENTENCEPIECE = "gpt2", "llama"  # values of tokenizer.ggml.model


def read_tokenizer(metadata: dict[str, Any], origin: str) -> Tokenizer:
    """The tokenizer in `tokenizer.*` of a GGUF file's metadata; `origin` names the file. Raises TokenizerError."""
    _require(metadata, ("model",), origin)
    kind, named = metadata["tokenizer.ggml.model"], str(metadata.get("tokenizer.ggml.pre", "default"))
    pre = ALIASES.get(named, named)
    if kind != SENTENCEPIECE and (kind != BYTE_LEVEL or pre not in PRE_TOKENIZERS):
        known = ", ".join((*PRE_TOKENIZERS, *ALIASES))
        raise TokenizerError(
            f"{origin}: tokenizer {kind}/{named} is not supported; supported are SentencePiece ({SENTENCEPIECE}) and "
            f"byte-level BPE ({BYTE_LEVEL}) with {known}; name the model's Hugging Face directory"
        )
    _require(metadata, (*REQUIRED, "scores") if kind == SENTENCEPIECE else REQUIRED, origin)
    _check(metadata, origin)
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    end = metadata["tokenizer.ggml.eos_token_id"]
    named_ends = [one for key in END_IDS if (one := metadata.get(f"tokenizer.ggml.{key}")) is not None]
    other_ends = named_ends + [vocabulary[token] for token in END_TOKENS if token in vocabulary]
    named_ids = {key: metadata.get(f"tokenizer.ggml.{theirs}_token_id") for key, theirs in SPECIALS.items()}
    return Tokenizer(
        backend=_backend(metadata, pre, tokens),
        end_ids=tuple(dict.fromkeys([end, *other_ends])),
        pad_id=metadata.get("tokenizer.ggml.padding_token_id", end),
        template=metadata.get("tokenizer.chat_template"),
        specials=tuple((name, tokens[i]) for name, i in named_ids.items() if i is not None),
    )


def _require(metadata: dict[str, Any], keys: tuple[str, ...], origin: str) -> None:
    for key in keys:
        if f"tokenizer.ggml.{key}" not in metadata:
            raise TokenizerError(f"{origin} lacks tokenizer.ggml.{key}; convert the model again")


def _check(metadata: dict[str, Any], origin: str) -> None:
    """Refuse tokens, kinds, merges and ids that are none. Raises TokenizerError."""
    tokens, kinds, merges = (metadata.get(f"tokenizer.ggml.{key}", []) for key in ("tokens", "token_type", "merges"))
    held = set(tokens) if _all(str, tokens) else set()
    how_many = len(tokens) if isinstance(tokens, list) else 0
    rule = {
        "tokens": (0 < len(held) == how_many, "a list of different texts"),
        "token_type": (_all(int, kinds) and len(kinds) == how_many, f"a list of {how_many} numbers, one a token"),
        "merges": (_all(str, merges) and all(_is_merge(one, held) for one in merges), "a list of pairs of tokens"),
    }
    if metadata["tokenizer.ggml.model"] == SENTENCEPIECE:
        scores = metadata["tokenizer.ggml.scores"]
        finite = _all(float, scores) and all(map(math.isfinite, scores))
        rule["scores"] = (finite and len(scores) == how_many, f"a list of {how_many} finite numbers, one a token")
    elif rule["token_type"][0] and not merges:  # without them text is cut into single letters
        longer = [token for token, kind in zip(tokens, kinds, strict=True) if kind == NORMAL and len(token) > 1]
        rule["merges"] = (not longer, "there, as there are tokens of several letters")
    for key in (*(f"{name}_token_id" for name in SPECIALS.values()), *END_IDS):
        one = metadata.get(f"tokenizer.ggml.{key}", 0)
        rule[key] = (isinstance(one, int) and 0 <= one < len(held), f"the id of one of {len(held)} tokens")
    rule["template"] = (isinstance(metadata.get("tokenizer.chat_template", ""), str), "text")
    for key, (holds, what) in rule.items():
        if not holds:
            name = "tokenizer.chat_template" if key == "template" else f"tokenizer.ggml.{key}"
            raise TokenizerError(f"{origin}: {name} has to be {what}; convert the model again")


def _all(kind: type, value: Any) -> bool:
    """Whether a value is a list of that kind of value."""
    return isinstance(value, list) and all(isinstance(one, kind) for one in value)


def _is_merge(text: str, tokens: set[str]) -> bool:
    """Whether a merge names two tokens, and the two together are one."""
    left, _, right = text.partition(" ")
    return {left, right, left + right} <= tokens


def _backend(metadata: dict[str, Any], pre: str, tokens: list[str]) -> tokenizers.Tokenizer:
    kinds = metadata["tokenizer.ggml.token_type"]
    by_kind = {kind: [token for token, own in zip(tokens, kinds, strict=True) if own == kind] for kind in set(kinds)}
    if metadata["tokenizer.ggml.model"] == SENTENCEPIECE:
        scored = zip(tokens, metadata["tokenizer.ggml.scores"], kinds, strict=True)
        normal = {token: score for token, score, kind in scored if kind == NORMAL}
        unknown = next(iter(by_kind.get(UNKNOWN, [])), None)
        prefix = metadata.get("tokenizer.ggml.add_space_prefix", True)
        backend = gguf_sentencepiece.backend(tokens, normal, unknown, prefix)
    else:
        backend = _byte_level(tokens, metadata.get("tokenizer.ggml.merges", []), pre)
    control, user_defined = (by_kind.get(kind, []) for kind in (CONTROL, USER_DEFINED))
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    backend.add_tokens([AddedToken(token, normalized=False) for token in user_defined])
    return backend


def _byte_level(tokens: list[str], merges: list[str], pre: str) -> tokenizers.Tokenizer:
    vocabulary = {token: i for i, token in enumerate(tokens)}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, pairs, ignore_merges=pre in IGNORES_MERGES))
    if pre in NORMALISES:
        backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = PRE_TOKENIZERS[pre]
    backend.decoder = decoders.ByteLevel()
    return backend
