"""The tokens that a Hugging Face directory adds to its tokenizer.json, and what it calls its special ones.

    settings = read_settings(directory)
    add_tokens(backend, settings, directory)

Each becomes one id wherever it stands in a text, as in `transformers`: the `added_tokens_decoder` of
tokenizer_config.json, or the older added_tokens.json and special_tokens_map.json, and special tokens by name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken

from semrep_jax.core.errors import SemRepError

SETTINGS = "tokenizer_config.json"
DECODER = "added_tokens_decoder"
FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")
LFS = b"version https://git-lfs.github.com/spec/"
LISTS = ("extra_special_tokens", "additional_special_tokens")


class TokenizerError(SemRepError):
    """A tokenizer is missing, malformed or lacks what we need."""


def lfs_hint(path: Path) -> str:
    """What to do about a file of which Git has left a pointer only, as the end of a message; else nothing."""
    with path.open("rb") as file:
        return " (it is a Git LFS pointer: run `git lfs pull`)" if file.read(len(LFS)) == LFS else ""


def read_text(path: Path) -> str:
    """A file's text. Raises TokenizerError where it isn't UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except ValueError as error:
        raise TokenizerError(f"{path} is not UTF-8 ({error}): download the model again") from error


def read_json(path: Path) -> dict[str, Any]:
    """A dict of settings; empty where there is no such file. Raises TokenizerError."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{path} is not JSON ({error}): download the model again{lfs_hint(path)}") from error
    if not isinstance(found, dict):
        raise TokenizerError(f"{path} holds no dict of settings: download the model again")
    return found


def read_settings(directory: Path) -> dict[str, Any]:
    """tokenizer_config.json, with what the older special_tokens_map.json says where it lists no added tokens."""
    settings = read_json(directory / SETTINGS)
    return settings if DECODER in settings else settings | read_json(directory / "special_tokens_map.json")


def text_of(token: Any) -> str | None:
    """A special token's text; files describe it in a string or in a dict."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _named(settings: dict[str, Any]) -> dict[str, Any]:
    """What a chat template may name, as files describe it; a dict of extra special tokens gives names of its own."""
    extra = settings.get("extra_special_tokens")
    given = settings | (extra if isinstance(extra, dict) else {})
    return {key: token for key, token in given.items() if key.endswith("_token") and text_of(token)}


def named_tokens(settings: dict[str, Any]) -> dict[str, str]:
    """What a chat template may name, such as eos_token, with its text."""
    return {key: text for key, token in _named(settings).items() if (text := text_of(token))}


def add_tokens(backend: tokenizers.Tokenizer, settings: dict[str, Any], directory: Path) -> None:
    """Add to a tokenizer what its directory adds.

    backend: of tokenizer.json; changed. settings: as `read_settings` gave them. directory: for older files and
    messages. Raises TokenizerError where a token gets another id than the directory states.
    """
    if settings.get("split_special_tokens"):
        raise TokenizerError(
            f"{directory / SETTINGS}: split_special_tokens = {settings['split_special_tokens']!r:.40} cuts the marks "
            "of a chat into letters, which is not supported; set it to false"
        )
    special = {text: token for token in [*_named(settings).values(), *_listed(settings)] if (text := text_of(token))}
    if DECODER in settings:
        file = SETTINGS
        listed = settings[DECODER] or {}
        pairs = listed.items() if isinstance(listed, dict) else [(DECODER, listed)]
        stated = {_id(index, directory / file): _described(token, directory / file) for index, token in pairs}
    else:
        file = "added_tokens.json"
        stated = {
            _id(index, directory / file): AddedToken(text, special=text in special, normalized=text not in special)
            for text, index in read_json(directory / file).items()
        }
    known = {repr(token) for token in backend.get_added_tokens_decoder().values()}
    backend.add_tokens([token for _, token in sorted(stated.items()) if repr(token) not in known])
    for index, token in sorted(stated.items()):
        got = backend.token_to_id(token.content)
        if got != index:
            raise TokenizerError(
                f"{directory}: {file} states the id {index} for {token.content!r}, which tokenizer.json makes {got}: "
                "they are not of one model, download both again"
            )
    added = {token.content for token in backend.get_added_tokens_decoder().values()}
    backend.add_tokens([_special(token, directory / SETTINGS) for text, token in special.items() if text not in added])


def _listed(settings: dict[str, Any]) -> list[Any]:
    """The special tokens that have no name of their own."""
    return [token for key in LISTS for token in _items(settings.get(key))]


def _special(token: Any, file: Path) -> AddedToken:
    """A special token as a text or a dict describes it. Raises TokenizerError; file: as it is called then."""
    return _described(token | {"special": True} if isinstance(token, dict) else token, file)


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _id(stated: Any, file: Path) -> int:
    """A token's id as `file` states it: a number, or one in quotes. Raises TokenizerError."""
    text = str(stated)
    if isinstance(stated, bool) or not text.isdecimal():
        raise TokenizerError(f"{file}: an added token has the id {text!r:.60}, which is no number; mend it")
    return int(text)


def _described(token: Any, file: Path) -> AddedToken:
    """A token as `added_tokens_decoder` describes it. Raises TokenizerError; file: as it is called then."""
    text = text_of(token)
    flags = {flag: token[flag] for flag in FLAGS if flag in token} if isinstance(token, dict) else {"special": True}
    if not text or not all(isinstance(value, bool) for value in flags.values()):
        raise TokenizerError(f"{file}: an added token is described by {token!r:.80}, which is none; mend it")
    return AddedToken(text, **({"normalized": False} if isinstance(token, str) else {}), **flags)
