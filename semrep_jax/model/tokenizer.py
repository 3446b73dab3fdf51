"""Text to ids and back: a Hugging Face `tokenizer.json`, the byte-level BPE in a GGUF file, or the nano model's own.

The nano pre-tokenizer cuts code so that a name is one token wherever it stands (a tiny model can then copy it): a
newline with its indentation, keywords and operators with their spaces, identifiers, single digits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers

from semrep_jax.core.errors import SemRepError

PAD, END = "<|pad|>", "<|end|>"
REWRITE, EDIT, SOURCE = "<|rewrite|>", "<|edit|>", "<|source|>"
EQUIVALENT, PROGRAM = "<|equivalent|>", "<|program|>"
MARKERS = (
    PAD,
    END,
    REWRITE,
    EDIT,
    SOURCE,
    EQUIVALENT,
    PROGRAM,
)  # what `prompts` words with, one token each in our own tokenizers

Message = dict[str, str]

_CUT = (
    r"\n *| (?:in|if|else|for|and|or|is) |(?:def|for|if|while|return|not|elif|lambda|import|from|in|to|the) "
    r"|[A-Za-z_]+|\d| ?[^\sA-Za-z_\d(){}\[\]]+ ?|[(){}\[\]]|\s"
)
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CONTROL, _USER_DEFINED = 3, 4


class TokenizerError(SemRepError):
    """A tokenizer is missing, malformed or lacks what we need."""


@dataclass(frozen=True)
class Tokenizer:
    """`end_ids` end a completion, the first is the one we write; `pad_id` fills; `template` words chats (Jinja2) or is None.

    `specials` holds what templates may name: bos_token, eos_token and the like.
    """

    backend: tokenizers.Tokenizer
    end_ids: tuple[int, ...]
    pad_id: int
    template: str | None = None
    specials: tuple[tuple[str, str], ...] = ()

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

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; special tokens written in the text become their single ids."""
        return self.backend.encode(text, add_special_tokens=False).ids

    def chat(self, messages: list[Message]) -> str:
        """`messages` through the model's chat template, ready for the answer. Raises TokenizerError."""
        if self.template is None:
            raise TokenizerError(
                "the model has no chat template and lacks our markers; use an instruct model, or add a chat_template.jinja to its directory"
            )
        try:
            return _template(self.template).render(messages=messages, add_generation_prompt=True, **dict(self.specials))
        except jinja2.TemplateError as error:
            raise TokenizerError(f"the model's chat template fails ({error}); mend its chat_template") from error

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`, markers included."""
        return self.backend.decode(list(ids), skip_special_tokens=False)


@cache
def _template(text: str) -> jinja2.Template:
    # A template comes with a stranger's model: it renders without access to Python.
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment.globals["raise_exception"] = refuse
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    return environment.from_string(text)


def load(directory: Path) -> Tokenizer:
    """The tokenizer of a model directory: `tokenizer.json`, with ends and template from the files beside it."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise TokenizerError(f"{path} does not exist: model.source must be a directory with a tokenizer.json")
    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:
        raise TokenizerError(f"{path} is not a tokenizer file ({error}): export the model again") from error
    backend.no_padding()
    backend.no_truncation()
    if backend.token_to_id(END) is not None and backend.token_to_id(PAD) is not None:
        return _marked(backend, str(path))
    settings, generation, model = (
        _json(directory / f"{n}.json") for n in ("tokenizer_config", "generation_config", "config")
    )
    ends = _ids(generation.get("eos_token_id")) or _ids(model.get("eos_token_id"))
    named = backend.token_to_id(_text(settings.get("eos_token")) or "")
    ends = ends or ([] if named is None else [named])
    if not ends:
        raise TokenizerError(f"{directory} names no end-of-text token; add eos_token_id to config.json")
    pad = backend.token_to_id(_text(settings.get("pad_token")) or "")
    pad = pad if pad is not None else _ids(model.get("pad_token_id"), default=ends)[0]
    specials = {k: text for k, v in settings.items() if k.endswith("_token") and (text := _text(v))}
    return Tokenizer(backend, tuple(ends), pad, _chat_template(directory, settings), tuple(sorted(specials.items())))


def _marked(backend: tokenizers.Tokenizer, origin: str) -> Tokenizer:
    """A tokenizer of this project: it has our markers."""
    found = {name: token for name in MARKERS if (token := backend.token_to_id(name)) is not None}
    missing = [name for name in MARKERS if name not in found]
    if missing:
        raise TokenizerError(
            f"{origin} lacks the tokens {missing}: use the tokenizer of a model trained by this project"
        )
    return Tokenizer(backend, (found[END],), found[PAD])


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise TokenizerError(f"{path} is not JSON ({error}): download the model again") from error


def _ids(value: Any, default: Iterable[int] = ()) -> list[int]:
    return list(default) if value is None else list(value) if isinstance(value, list) else [value]


def _text(token: Any) -> str | None:
    return token.get("content") if isinstance(token, dict) else token if isinstance(token, str) else None


def _chat_template(directory: Path, settings: dict[str, Any]) -> str | None:
    path = directory / "chat_template.jinja"
    if path.is_file():
        return path.read_text()
    found = settings.get("chat_template")
    if isinstance(found, list):  # several, by name
        found = next((t["template"] for t in found if t.get("name") == "default"), None)
    return found


def from_gguf(metadata: dict[str, Any], origin: str) -> Tokenizer:
    """The byte-level BPE in a GGUF file's `tokenizer.*` metadata, with its pre-tokenizer. Raises TokenizerError."""
    kind, pre = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre", "default")
    cuts: dict[str, tuple[Any, bool]] = {
        "smollm": (
            pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _bytes(use_regex=True)]),
            False,
        ),
        "gpt-2": (_bytes(use_regex=True), False),
        "qwen2": (_split(_WORDS % r"\p{N}"), False),
        "llama-bpe": (_split(_WORDS % r"\p{N}{1,3}"), True),
    }
    if kind != "gpt2" or pre not in cuts:
        known = ", ".join(cuts)
        raise TokenizerError(
            f"{origin}: tokenizer {kind}/{pre} is not supported; supported are byte-level BPE with {known}"
        )
    cut, ignore_merges = cuts[pre]
    lacks = [k for k in ("tokens", "token_type", "eos_token_id") if f"tokenizer.ggml.{k}" not in metadata]
    if lacks:
        raise TokenizerError(f"{origin} lacks tokenizer.ggml.{lacks[0]}; convert the model again")
    tokens, kinds = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    special = {i for i, k in enumerate(kinds) if k in (_CONTROL, _USER_DEFINED)}
    merges = [tuple(m.split(" ")) for m in metadata.get("tokenizer.ggml.merges", [])]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, merges, ignore_merges=ignore_merges))
    if pre == "qwen2":
        backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer, backend.decoder = cut, decoders.ByteLevel()
    backend.add_special_tokens(
        [AddedToken(tokens[i], special=True, normalized=False) for i in sorted(special) if kinds[i] == _CONTROL]
    )
    backend.add_tokens([AddedToken(tokens[i], normalized=False) for i in sorted(special) if kinds[i] == _USER_DEFINED])
    end = metadata["tokenizer.ggml.eos_token_id"]
    named = [
        vocabulary[name]
        for name in ("<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end_of_text|>")
        if name in vocabulary
    ]
    ends = tuple(dict.fromkeys([end, *named]))
    pad = metadata.get("tokenizer.ggml.padding_token_id", end)
    ids = {"bos_token": metadata.get("tokenizer.ggml.bos_token_id"), "eos_token": end}
    specials = tuple((name, tokens[i]) for name, i in ids.items() if i is not None)
    return Tokenizer(backend, ends, pad, metadata.get("tokenizer.chat_template"), specials)


def _bytes(use_regex: bool) -> Any:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def _split(pattern: str) -> Any:
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behavior="isolated"), _bytes(use_regex=False)])


def save(words: Tokenizer, directory: Path) -> None:
    """Write the tokenizer as the files of a model directory that `load` and `transformers` read."""
    words.backend.save(str(directory / "tokenizer.json"))
    name = words.backend.id_to_token
    settings: dict[str, Any] = dict(words.specials) | {"eos_token": name(words.end_id), "pad_token": name(words.pad_id)}
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    if words.template is not None:
        settings["chat_template"] = words.template
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    generation = {"eos_token_id": list(words.end_ids), "pad_token_id": words.pad_id}
    (directory / "generation_config.json").write_text(json.dumps(generation) + "\n")


def train(corpus: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE over `corpus` with at most `vocab_size` ids (7 markers and 256 bytes included)."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = _split(_CUT)
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
    return _marked(backend, "the trained tokenizer")
