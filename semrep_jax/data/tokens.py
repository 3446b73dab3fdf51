"""Data sets as tokens: every data set is tokenised once and kept in a cache.

    tokens = tokenised(Shards(directory), tokenizer, cache)     # built by the first run, opened by the others
    tokens.flat[tokens.offsets[i] : tokens.offsets[i + 1]]      # pair i, prompt_lengths[i] of them its prompt's

The cache is a directory named after what it depends on (the data set's hash, the tokenizer, this version); it holds
one flat array that is mapped into memory, appears whole or not at all, and is compared with its digests by each run.
Two to four thousand pairs a second and core, once; nearly all of it is the tokenizer's.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semrep_jax.core.progress import bar
from semrep_jax.core.shards import DataError, Shards, sha256_of
from semrep_jax.core.workdir import WorkDirError, read_kept
from semrep_jax.data.records import PROMPT_FORMATS, WITH_REWRITE, formats_of, prompt_and_completion
from semrep_jax.data.settings import Rewrites
from semrep_jax.model.tokenizer import Tokenizer

VERSION = 2
META = "meta.json"
RECORDS_AT_ONCE = 512
# each column of `Tokens` and its file
_FILES = {"prompt_lengths": "heads.npy", "offsets": "offsets.npy", "record": "record.npy", "prompt_format": "form.npy"}


class Encoded(NamedTuple):
    """Pairs as token ids: one flat int32 array, the length of each pair and of its prompt (int64 [N])."""

    flat: np.ndarray
    lengths: np.ndarray
    prompt_lengths: np.ndarray


def encode(tokenizer: Tokenizer, texts: Sequence[tuple[str, str]]) -> Encoded:
    """Pairs of prompt and completion as token ids."""
    ids = tokenizer.encode_all([text for pair in texts for text in pair])
    prompts, completions = (np.fromiter(map(len, ids[i::2]), np.int64, len(texts)) for i in (0, 1))
    total = int(prompts.sum() + completions.sum())
    return Encoded(np.fromiter((i for one in ids for i in one), np.int32, total), prompts + completions, prompts)


def identity(tokenizer: Tokenizer) -> str:
    """A digest of all that a tokenizer makes of texts and prompts."""
    parts = [tokenizer.backend.to_str(), tokenizer.template, list(tokenizer.end_ids), sorted(tokenizer.specials)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass
class Tokens:
    """A tokenised data set of N pairs, mapped into memory. Whether it is whole, `tokenised` has looked at.

    Pair i is record[i] (its number in the shards) in the format PROMPT_FORMATS[prompt_format[i]], has
    prompt_lengths[i] prompt tokens and is flat[offsets[i]:offsets[i + 1]]; a pair that is written anew every time
    (`rewrites: fly`) is empty here.
    """

    directory: Path

    def __post_init__(self) -> None:
        meta = json.loads((self.directory / META).read_text())
        self.prompt_lengths, self.offsets, self.record, self.prompt_format = (
            np.load(self.directory / name) for name in _FILES.values()
        )
        self.flat = _mapped(self.directory / "flat.bin", meta["dtype"]) if meta["tokens"] else np.zeros(0, np.uint16)

    def __len__(self) -> int:
        return len(self.prompt_lengths)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokens, (self.directory,)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of every pair, int64 [N]."""
        return np.diff(self.offsets)


def _mapped(path: Path, dtype: str) -> np.ndarray:
    """A file as a plain array over its mapping: slices of np.memmap are slow."""
    return np.asarray(np.memmap(path, dtype, "r"))


def tokenised(shards: Shards, tokenizer: Tokenizer, cache: Path, rewrites: Rewrites = Rewrites.STORED) -> Tokens:
    """The tokens of a data set, from its cache, or else verified and tokenised now. Raises DataError.

    cache: the directory of all caches. rewrites: STORED, or FLY to leave pairs with a C_rep empty, to be written anew.
    """
    fresh = rewrites is Rewrites.FLY
    key = hashlib.sha256(json.dumps([VERSION, shards.sha256, identity(tokenizer), fresh]).encode()).hexdigest()[:20]
    directory = cache / key
    if not directory.exists():
        _build(Shards(shards.directory, verify=True), tokenizer, fresh, directory)
    _check(directory)
    return Tokens(directory)


def _check(directory: Path) -> None:
    """Refuse a cache that isn't what was written: training would go on from tokens that no tokenizer made."""
    try:
        stated = read_kept(directory / META)["sha256"].items()
        damaged = [name for name, digest in stated if not _is_file(directory / name, digest)]
    except (WorkDirError, OSError, LookupError, TypeError, AttributeError):
        damaged = [META]
    if damaged:
        raise DataError(
            f"{directory / damaged[0]} is not what was written; delete {directory}, the same command makes it again"
        )


def _is_file(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_of(path) == digest


def _build(shards: Shards, tokenizer: Tokenizer, fresh: bool, directory: Path) -> None:
    """Tokenise a data set into its cache's `directory`, which appears when it is whole; else nothing is left."""
    temporary = directory.with_name(f"{directory.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _write(shards, tokenizer, fresh, temporary)
        temporary.rename(directory)
    except OSError:
        if not directory.exists():  # else another process was faster; what it made is the same
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(shards: Shards, tokenizer: Tokenizer, fresh: bool, directory: Path) -> None:
    """The files of a cache into a directory."""
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.int32
    chunks: list[_Columns] = []
    with (directory / "flat.bin").open("wb") as file:
        for flat, columns in _chunks(shards, tokenizer, fresh):
            file.write(flat.astype(dtype).tobytes())
            chunks.append(columns)
    whole = _Columns(*map(np.concatenate, zip(*chunks, strict=True)))
    if not len(whole.record):
        raise DataError(
            f"{shards.directory} gives no pair: it is of the test split, or of functions, which need "
            "supervised.rewrites: fly"
        )
    offsets = np.concatenate([[0], np.cumsum(whole.lengths)])
    for name, path in _FILES.items():
        np.save(directory / path, offsets if name == "offsets" else getattr(whole, name))
    digests = {p.name: sha256_of(p) for p in sorted(directory.iterdir())}
    meta = {"data": shards.sha256, "tokens": int(offsets[-1]), "dtype": np.dtype(dtype).name, "sha256": digests}
    (directory / META).write_text(json.dumps(meta))


class _Columns(NamedTuple):
    """Some pairs of a data set, [N] each; see `Tokens`."""

    lengths: np.ndarray
    prompt_lengths: np.ndarray
    record: np.ndarray
    prompt_format: np.ndarray


def _chunks(shards: Shards, tokenizer: Tokenizer, fresh: bool) -> Iterator[tuple[np.ndarray, _Columns]]:
    """Tokens and columns of the data set's pairs, so many records at a time, under a progress bar."""
    numbered = enumerate(shards)
    with bar(f"tokenise {shards.name}", len(shards)) as progress:
        while some := list(islice(numbered, RECORDS_AT_ONCE)):
            pairs = [(number, asked, record) for number, record in some for asked in formats_of(record, fresh)]
            stored = np.array([not (fresh and asked in WITH_REWRITE) for _, asked, _ in pairs], bool)
            kept = (pair for pair, is_stored in zip(pairs, stored, strict=True) if is_stored)
            encoded = encode(tokenizer, [prompt_and_completion(record, asked, tokenizer) for _, asked, record in kept])
            lengths, prompt_lengths = np.zeros((2, len(pairs)), np.int64)
            lengths[stored], prompt_lengths[stored] = encoded.lengths, encoded.prompt_lengths
            records = np.array([number for number, _, _ in pairs], np.int32)
            formats = np.array([PROMPT_FORMATS.index(asked) for _, asked, _ in pairs], np.uint8)
            yield encoded.flat, _Columns(lengths, prompt_lengths, records, formats)
            progress.advance(by=len(some))
