"""The tokenizer in a GGUF file's metadata: a byte-level BPE with the pre-tokenizer that the file names."""

from __future__ import annotations

from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers

from semrep_jax.model.added_tokens import TokenizerError
from semrep_jax.model.tokenizer import Tokenizer, byte_level, split_by

# The pre-tokenizer of GPT-4's kind; {digits} is how runs of digits are cut.
WORD_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|{digits}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
REQUIRED = ("tokens", "token_type", "eos_token_id")
END_TOKENS = ("<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end_of_text|>")
# What a chat template may name, by the metadata's name.
SPECIALS = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"}
# Values of tokenizer.ggml.token_type.
CONTROL = 3
USER_DEFINED = 4


PRE_TOKENIZERS = {
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(use_regex=True)]),
    "gpt-2": byte_level(use_regex=True),
    "qwen2": split_by(WORD_PATTERN.replace("{digits}", r"\p{N}")),
    "llama-bpe": split_by(WORD_PATTERN.replace("{digits}", r"\p{N}{1,3}")),
}
# Other names that llama.cpp's converter has for a pre-tokenizer above.
ALIASES = {"deepseek-r1-qwen": "qwen2", "megrez": "qwen2", "llama3": "llama-bpe", "llama-v3": "llama-bpe"}
IGNORES_MERGES = ("llama-bpe",)  # a word in the vocabulary is one token
NORMALISES = ("qwen2",)


def read_tokenizer(metadata: dict[str, Any], origin: str) -> Tokenizer:
    """The tokenizer in `tokenizer.*` of a GGUF file's metadata; `origin` names the file. Raises TokenizerError."""
    kind, named = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre", "default")
    pre = ALIASES.get(named, named)
    if kind != "gpt2" or pre not in PRE_TOKENIZERS:
        known = ", ".join((*PRE_TOKENIZERS, *ALIASES))
        raise TokenizerError(
            f"{origin}: tokenizer {kind}/{pre} is not supported; supported are byte-level BPE with {known}"
        )
    for key in REQUIRED:
        if f"tokenizer.ggml.{key}" not in metadata:
            raise TokenizerError(f"{origin} lacks tokenizer.ggml.{key}; convert the model again")
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    end = metadata["tokenizer.ggml.eos_token_id"]
    other_ends = [vocabulary[token] for token in END_TOKENS if token in vocabulary]
    named_ids = {key: metadata.get(f"tokenizer.ggml.{theirs}_token_id") for key, theirs in SPECIALS.items()}
    return Tokenizer(
        backend=_backend(metadata, pre, tokens, vocabulary),
        end_ids=tuple(dict.fromkeys([end, *other_ends])),
        pad_id=metadata.get("tokenizer.ggml.padding_token_id", end),
        template=metadata.get("tokenizer.chat_template"),
        specials=tuple((name, tokens[i]) for name, i in named_ids.items() if i is not None),
    )


def _backend(metadata: dict[str, Any], pre: str, tokens: list[str], vocabulary: dict[str, int]) -> tokenizers.Tokenizer:
    merges = [tuple(m.split(" ")) for m in metadata.get("tokenizer.ggml.merges", [])]
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, merges, ignore_merges=pre in IGNORES_MERGES))
    if pre in NORMALISES:
        backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = PRE_TOKENIZERS[pre]
    backend.decoder = decoders.ByteLevel()
    kinds = metadata["tokenizer.ggml.token_type"]
    control = [token for token, kind in zip(tokens, kinds, strict=False) if kind == CONTROL]
    user_defined = [token for token, kind in zip(tokens, kinds, strict=False) if kind == USER_DEFINED]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    backend.add_tokens([AddedToken(token, normalized=False) for token in user_defined])
    return backend
