"""Byte-level BPE through the `tokenizers` library: load a `tokenizer.json`, or train the nano model's own.

The nano pre-tokenizer cuts code so that a name is one token wherever it stands (a tiny model can then copy it): a
newline with its indentation, keywords and operators with their spaces, identifiers, single digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from semrep_jax.programs import SemRepError
from semrep_jax.prompts import END, MARKERS, PAD

_CUT = (
    r"\n *| (?:in|if|else|for|and|or|is) |(?:def|for|if|while|return|not|elif|lambda|import|from|in|to|the) "
    r"|[A-Za-z_]+|\d| ?[^\sA-Za-z_\d(){}\[\]]+ ?|[(){}\[\]]|\s"
)


class TokenizerError(SemRepError):
    """A tokenizer file is missing, malformed or lacks a token we need."""


@dataclass(frozen=True)
class Tokenizer:
    """Text to ids and back, with the two ids that rollouts and batches need."""

    backend: tokenizers.Tokenizer
    end_id: int
    pad_id: int

    @property
    def vocab_size(self) -> int:
        """Number of ids, markers included."""
        return self.backend.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; markers in the text become their single ids."""
        return self.backend.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`, markers included."""
        return self.backend.decode(list(ids), skip_special_tokens=False)


def wrap(backend: tokenizers.Tokenizer, origin: str) -> Tokenizer:
    """Find the end and pad ids in `backend`; `origin` names it in errors."""
    found = {name: token for name in MARKERS if (token := backend.token_to_id(name)) is not None}
    missing = [name for name in MARKERS if name not in found]
    if missing:
        raise TokenizerError(f"{origin} lacks the tokens {missing}: use the tokenizer of a model trained by this project")
    return Tokenizer(backend, end_id=found[END], pad_id=found[PAD])


def load(directory: Path) -> Tokenizer:
    """The tokenizer of a model directory (`tokenizer.json`)."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise TokenizerError(f"{path} does not exist: model.source must be a directory with a tokenizer.json")
    try:
        return wrap(tokenizers.Tokenizer.from_file(str(path)), str(path))
    except TokenizerError:
        raise
    except Exception as error:
        raise TokenizerError(f"{path} is not a tokenizer file ({error}): export the model again") from error


def train(corpus: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE over `corpus` with at most `vocab_size` ids (7 markers and 256 bytes included)."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CUT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(MARKERS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return wrap(backend, "the trained tokenizer")
