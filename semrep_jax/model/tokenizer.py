"""Text to ids and back: a Hugging Face `tokenizer.json`, or a tokenizer of our own, trained on code.

    tokenizer = load(directory)
    tokenizer.decode(tokenizer.encode("def f(x):"))

(`gguf_tokenizer` reads the one in a GGUF file.) Our own pre-tokenizer cuts code so that a name is one token wherever
it stands (a tiny model can then copy it): a newline with its indentation, keywords and operators with their spaces,
identifiers, single digits. Its markers, one token each, are what `prompts` words with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from semrep_jax.model import chat_template
from semrep_jax.model.added_tokens import (
    SETTINGS,
    TokenizerError,
    add_tokens,
    lfs_hint,
    named_tokens,
    read_json,
    read_settings,
    read_text,
)
from semrep_jax.model.chat_template import Message

CONFIG, GENERATION = "config.json", "generation_config.json"
# Other layouts of a tokenizer, and what makes ours of them.
OTHER_TOKENIZERS = ("tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "tekken.json")
CONVERTS = "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"
PAD = "<|pad|>"
END = "<|end|>"
REWRITE = "<|rewrite|>"
EDIT = "<|edit|>"
SOURCE = "<|source|>"
EQUIVALENT = "<|equivalent|>"
PROGRAM = "<|program|>"
MARKERS = (PAD, END, REWRITE, EDIT, SOURCE, EQUIVALENT, PROGRAM)

CODE_PATTERN = (
    r"\n *| (?:in|if|else|for|and|or|is) |(?:def|for|if|while|return|not|elif|lambda|import|from|in|to|the) "
    r"|[A-Za-z_]+|\d| ?[^\sA-Za-z_\d(){}\[\]]+ ?|[(){}\[\]]|\s"
)


@dataclass(frozen=True)
class Tokenizer:
    """A model's tokenizer.

    end_ids: ids that end a completion; the first is the one we write. pad_id: fills what is empty. template: words
    chats (Jinja2), or None. specials: what the template may name, such as ("eos_token", "</s>"). rows: of the
    embedding, where some ids have none; None where all do.
    """

    backend: tokenizers.Tokenizer
    end_ids: tuple[int, ...]
    pad_id: int
    template: str | None = None
    specials: tuple[tuple[str, str], ...] = ()
    rows: int | None = None

    @property
    def end_id(self) -> int:
        """The id that our own texts end with."""
        return self.end_ids[0]

    @property
    def vocab_size(self) -> int:
        """Number of ids, markers included."""
        return self.backend.get_vocab_size()

    @cached_property
    def compact(self) -> bool:
        """Whether prompts are worded with our markers (else as chats)."""
        return all(self.backend.token_to_id(name) is not None for name in MARKERS)

    def within(self, rows: int, origin: str) -> Tokenizer:
        """This tokenizer for an embedding of so many rows, which ids past it may not use.

        origin: where the model lies, for messages. Raises TokenizerError where no end token has a row.
        """
        highest = max(self.backend.get_vocab().values(), default=0)
        if max(highest, self.pad_id, *self.end_ids) < rows:
            return self
        end_ids = tuple(one for one in self.end_ids if one < rows)
        if not end_ids:
            raise TokenizerError(
                f"{origin}: the end tokens {list(self.end_ids)} have no row in the embedding, which has {rows}: the "
                "tokenizer and the weights are not of one model"
            )
        pad_id = self.pad_id if self.pad_id < rows else end_ids[0]
        return replace(self, end_ids=end_ids, pad_id=pad_id, rows=rows)

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; special tokens written in the text become their single ids. Raises TokenizerError."""
        _require_letters(text)
        return self._checked(self.backend.encode(text, add_special_tokens=False).ids)

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, as `encode` gives them, made side by side."""
        for text in texts:
            _require_letters(text)
        return [self._checked(one.ids) for one in self.backend.encode_batch(texts, add_special_tokens=False)]

    def _checked(self, ids: list[int]) -> list[int]:
        if self.rows is not None and max(ids, default=0) >= self.rows:
            worst = max(ids)
            raise TokenizerError(
                f"the token {self.backend.id_to_token(worst)!r} has the id {worst} and the model's embedding "
                f"{self.rows} rows: resize the embedding and train it, or use the tokenizer that the model came with"
            )
        return ids

    def chat(self, messages: list[Message]) -> str:
        """`messages` through the model's chat template, ready for the answer. Raises TokenizerError."""
        if self.template is None:
            raise TokenizerError(
                "the model has no chat template and lacks our markers; use an instruct model, or add a "
                "chat_template.jinja to its directory"
            )
        try:
            return chat_template.render(self.template, messages, dict(self.specials))
        except chat_template.TemplateError as error:
            raise TokenizerError(
                f"the model's chat template fails on {[m['role'] for m in messages]} messages ({error}); put one that "
                "renders them into a chat_template.jinja in its directory"
            ) from error

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`, markers included."""
        return self.backend.decode(list(ids), skip_special_tokens=False)

    def bytes_of(self, token: int) -> bytes:
        """The bytes that a token stands for, also where they are a part of a character."""
        text = self.decode([token])
        if "\ufffd" not in text:
            return text.encode()
        piece = self.backend.id_to_token(token) or ""
        if re.fullmatch(r"<0x[0-9A-F]{2}>", piece):  # SentencePiece's
            return bytes([int(piece[3:5], 16)])
        letters = _byte_of_letter()
        return bytes(letters[letter] for letter in piece) if all(one in letters for one in piece) else text.encode()


@cache
def _byte_of_letter() -> dict[str, int]:
    """The byte that each letter of a byte-level token stands for: printable ones themselves, the others moved up."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(moved)}


def _require_letters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TokenizerError(
            f"{text!r:.80} holds half of a surrogate pair, which is no letter ({error.reason}); write it in UTF-8"
        ) from error


def load(directory: Path) -> Tokenizer:
    """The tokenizer of a model directory: `tokenizer.json`, with ends and template from the files beside it."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        held = next((name for name in OTHER_TOKENIZERS if (directory / name).is_file()), None)
        raise TokenizerError(
            f"{path} does not exist: model.source must be a directory with a tokenizer.json"
            + (f"; have transformers make one of {held}: {CONVERTS}" if held else "; download the model again")
        )
    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:
        raise TokenizerError(
            f"{path} is not a tokenizer file ({error}): export the model again{lfs_hint(path)}"
        ) from error
    backend.no_padding()
    backend.no_truncation()
    if backend.token_to_id(END) is not None and backend.token_to_id(PAD) is not None:
        return _marked(backend, str(path))
    settings = read_settings(directory)
    generation, model = read_json(directory / GENERATION), read_json(directory / CONFIG)
    add_tokens(backend, settings, directory)
    specials = named_tokens(settings)
    own = {key: backend.token_to_id(text) for key, text in specials.items()}
    # All that any file names end a completion; the tokenizer's own is the one we write.
    said = {GENERATION: generation, CONFIG: model}

    def ids(key: str, *files: str) -> list[int]:
        return [one for file in files for one in _ids(said[file].get(key), f"{directory / file}: {key}")]

    named = [own.get("eos_token"), *ids("eos_token_id", GENERATION, CONFIG)]
    end_ids = tuple(dict.fromkeys(one for one in named if one is not None))
    if not end_ids:
        raise TokenizerError(f"{directory} names no end-of-text token; add eos_token_id to config.json")
    pads = [own.get("pad_token"), *ids("pad_token_id", CONFIG, GENERATION), *end_ids]
    pad_id = next(one for one in pads if one is not None)
    return Tokenizer(backend, end_ids, pad_id, _chat_template(directory, settings), tuple(sorted(specials.items())))


def _marked(backend: tokenizers.Tokenizer, origin: str) -> Tokenizer:
    """A tokenizer of this project: it has our markers."""
    found = {name: token for name in MARKERS if (token := backend.token_to_id(name)) is not None}
    missing = [name for name in MARKERS if name not in found]
    if missing:
        raise TokenizerError(
            f"{origin} lacks the tokens {missing}: use the tokenizer of a model trained by this project"
        )
    return Tokenizer(backend, (found[END],), found[PAD])


def _ids(value: Any, setting: str) -> list[int]:
    """The ids that a setting names: none, one or a list; -1 is none. Raises TokenizerError with what it is called."""
    found = [one for one in (value if isinstance(value, list) else [value]) if one is not None]
    for one in found:
        if isinstance(one, bool) or not isinstance(one, int):
            raise TokenizerError(f"{setting} = {value!r:.80} has to be a token's id or a list of ids; mend it")
    return [one for one in found if one >= 0]


def _chat_template(directory: Path, settings: dict[str, Any]) -> str | None:
    path = directory / "chat_template.jinja"
    if path.is_file():
        return read_text(path)
    found = settings.get("chat_template")
    if isinstance(found, dict):  # several, by name
        found = found.get("default")
    elif isinstance(found, list) and all(isinstance(one, dict) for one in found):
        found = next((one.get("template") for one in found if one.get("name") == "default"), None)
    if found is not None and not isinstance(found, str):
        raise TokenizerError(f"{directory / SETTINGS}: chat_template = {found!r:.80} is no template; mend it")
    return found


def byte_level(use_regex: bool) -> Any:
    """The pre-tokenizer that writes bytes as characters; `use_regex` has it cut words as GPT-2 does."""
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split_by(pattern: str) -> Any:
    """A pre-tokenizer whose pieces are the matches of a regular expression."""
    cut = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    return pre_tokenizers.Sequence([cut, byte_level(use_regex=False)])


def save(tokenizer: Tokenizer, directory: Path) -> None:
    """Write the tokenizer as the files of a model directory that `load` and `transformers` read."""
    name_of = tokenizer.backend.id_to_token
    tokenizer.backend.save(str(directory / "tokenizer.json"))
    settings: dict[str, Any] = dict(tokenizer.specials)
    settings |= {"eos_token": name_of(tokenizer.end_id), "pad_token": name_of(tokenizer.pad_id)}
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    if tokenizer.template is not None:
        settings["chat_template"] = tokenizer.template
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    generation = {"eos_token_id": list(tokenizer.end_ids), "pad_token_id": tokenizer.pad_id}
    (directory / "generation_config.json").write_text(json.dumps(generation) + "\n")


def train(corpus: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE over `corpus` with at most `vocab_size` ids (7 markers and 256 bytes included)."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = split_by(CODE_PATTERN)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(MARKERS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(corpus, trainer)
    return _marked(backend, "the trained tokenizer")
