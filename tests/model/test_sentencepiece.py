"""SentencePiece's tokenizer out of a GGUF file's metadata, beside SentencePiece itself."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import sentencepiece

from semrep_jax import model
from semrep_jax.model import gguf_tokenizer
from semrep_jax.model.added_tokens import TokenizerError

FILES = sorted(Path(model.__file__).parent.glob("*.py"))
ODD = ["  two spaces, a tab\t and\r\n\n a line", "Zoé über ∀x ∈ ℝ: 🙂", "x", " ", "a=1234567890", "\u2581 itself"]


@pytest.fixture(scope="module")
def trained():
    """A SentencePiece model of code, trained here."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for path in FILES for line in path.read_text().splitlines()]),
        model_writer=written,
        model_type="bpe",
        vocab_size=1200,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())


def metadata_of(trained):
    """As llama.cpp's converter writes it."""
    ids = range(trained.vocab_size())
    kinds = [(trained.is_unknown, 2), (trained.is_control, 3), (trained.is_byte, 6), (lambda i: True, 1)]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [trained.id_to_piece(i) for i in ids],
        "tokenizer.ggml.scores": [trained.get_score(i) for i in ids],
        "tokenizer.ggml.token_type": [next(kind for holds, kind in kinds if holds(i)) for i in ids],
        "tokenizer.ggml.bos_token_id": trained.bos_id(),
        "tokenizer.ggml.eos_token_id": trained.eos_id(),
    }


def test_code_has_the_ids_that_sentencepiece_gives_it_and_comes_back_as_it_was(trained):
    read = gguf_tokenizer.read_tokenizer(metadata_of(trained), "m.gguf")
    texts = [path.read_text() for path in FILES]
    for text in [*texts, *texts[0].splitlines(), *ODD]:
        if text and "</s>" not in text:
            assert read.encode(text) == trained.encode(text), text[:80]
            assert read.decode(read.encode(text)) == text.replace("\u2581", " ")


def test_a_special_token_is_one_id_and_a_space_stands_before_what_follows_it(trained):
    read = gguf_tokenizer.read_tokenizer(metadata_of(trained), "m.gguf")
    assert read.encode("<s>if x") == [trained.bos_id(), *trained.encode("if x")]
    assert read.end_id == trained.eos_id()


def test_a_model_that_puts_no_space_before_a_text_gets_none(trained):
    none = metadata_of(trained) | {"tokenizer.ggml.add_space_prefix": False}
    read = gguf_tokenizer.read_tokenizer(none, "m.gguf")
    assert read.backend.id_to_token(read.encode("self")[0])[0] == "s"
    assert read.decode(read.encode(" x = 1")) == " x = 1"


@pytest.mark.parametrize("scores", [[0.0], ["0"] * 1200, [float("nan")] * 1200])
def test_scores_that_are_none_are_named(trained, scores):
    with pytest.raises(TokenizerError, match=r"m\.gguf: tokenizer\.ggml\.scores has to be a list of 1200 finite numb"):
        gguf_tokenizer.read_tokenizer(metadata_of(trained) | {"tokenizer.ggml.scores": scores}, "m.gguf")


def test_a_file_without_scores_is_named(trained):
    metadata = {key: value for key, value in metadata_of(trained).items() if not key.endswith("scores")}
    with pytest.raises(TokenizerError, match=r"m\.gguf lacks tokenizer\.ggml\.scores"):
        gguf_tokenizer.read_tokenizer(metadata, "m.gguf")
