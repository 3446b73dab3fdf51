"""Data sets as tokens: records become prompt and completion pairs, every data set is tokenised once and kept in a cache.

    tokens = tokenised(Shards(directory), words, cache)     # built by the first run, opened by the others
    tokens.flat[tokens.offsets[i] : tokens.offsets[i + 1]]  # pair i: heads[i] prompt tokens, then the completion's

The cache is a directory named after what it depends on (the data set's hash, the tokenizer, this version); it holds one flat array that
is mapped into memory, and appears whole or not at all. A pair's form says what is asked:

    rewrite   C_src -> C_rep          direct   C_src, I -> C_tgt
    back      C_rep -> C_src          guided   C_src, I, C_rep -> C_tgt

Two to four thousand pairs a second and core, once; nearly all of it is the tokenizer's.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from semrep_jax import prompts
from semrep_jax.core.programs import Program
from semrep_jax.core.progress import bar
from semrep_jax.core.shards import DataError, Record, Shards, wire_of
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.python import PYTHON
from semrep_jax.tasks.generated.generator import Example, Generator

VERSION = 1
PROMPT_FORMATS = ("rewrite", "back", "direct", "guided")
REWRITTEN = ("rewrite", "back", "guided")  # the forms that a C_rep is part of
CHUNK = 512  # records tokenised together


def record_of(example: Example, name: str) -> Record:
    """A generated example as a record of kind fix, without its tests."""
    told = {"instruction": example.instruction, "target": example.target, "rewrite": example.rewrite}
    return {
        "kind": "fix",
        "id": name,
        "source": example.source,
        "origin": f"generated:{example.family}",
        "entry": example.entry,
    } | told


def generated_records(generator: Generator, index: int) -> list[Record]:
    """Example `index` as records for a Writer, a pair and a fix with tests; none where the tests can't tell C_src from C_tgt."""
    task = generator.task(index)
    if task is None:
        return []
    tests = {"preserve": wire_of(task.preserve.cases), "edit": wire_of(task.edit.cases)}
    fix = record_of(generator.example(index), task.id) | {"split": task.split} | tests
    pair = {k: fix[k] for k in ("split", "source", "rewrite", "origin", "entry")} | {
        "kind": "pair",
        "id": f"{task.id}/pair",
        "rules": [],
    }
    return [pair, fix]


def forms_of(record: Record, fly: bool = False) -> tuple[str, ...]:
    """The forms that a record gives; none where it is of the test split. With `fly`, a record needs no rewrite."""
    if record.get("split") == "test":
        return ()
    if record["kind"] == "fix":
        return ("direct", "guided") if fly or record.get("rewrite") is not None else ("direct",)
    return ("rewrite", "back") if fly or record["kind"] == "pair" else ()


def text_of(record: Record, form: str, words: Tokenizer, rewrite: str | None = None) -> tuple[str, str]:
    """Prompt and completion of a record in one of PROMPT_FORMATS, worded as the tokenizer's model knows it; `rewrite` in the place of its own."""
    source, other = record["source"], record["rewrite"] if rewrite is None and form in REWRITTEN else rewrite
    if form == "back":
        source, other = other, source
    program = Program(PYTHON, source)
    if form in ("rewrite", "back"):
        prompt, answer = prompts.rewrite(program), str(other)
    else:
        prompt, answer = (
            prompts.transform(program, record["instruction"], other if form == "guided" else None),
            record["target"],
        )
    if words.compact:
        return prompt.compact, answer + prompts.END
    return words.chat(prompt.messages), f"```python\n{answer.strip()}\n```{words.backend.id_to_token(words.end_id)}"


def encode(words: Tokenizer, texts: Sequence[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs as one flat int32 array, the length of each pair and of its prompt (int64 [N])."""
    flat = words.backend.encode_batch([t for pair in texts for t in pair], add_special_tokens=False)
    ids = [e.ids for e in flat]
    heads, tails = (np.fromiter(map(len, ids[i::2]), np.int64, len(texts)) for i in (0, 1))
    return np.fromiter((i for one in ids for i in one), np.int32, int(heads.sum() + tails.sum())), heads + tails, heads


def identity(words: Tokenizer) -> str:
    """A digest of all that a tokenizer makes of texts and prompts."""
    said = [words.backend.to_str(), words.template, list(words.end_ids), sorted(words.specials)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@dataclass
class Tokens:
    """A tokenised data set, mapped into memory. Pair i is form PROMPT_FORMATS[form[i]] of record[i], has heads[i] prompt tokens and is
    flat[offsets[i]:offsets[i + 1]]; a pair that is written anew every time (`rewrites: fly`) is empty here. Raises DataError."""

    directory: Path

    def __post_init__(self) -> None:
        path = self.directory / "meta.json"
        meta = json.loads(path.read_text())
        for name, size in meta["bytes"].items():
            found = (self.directory / name).stat().st_size if (self.directory / name).is_file() else 0
            if found != size:
                raise DataError(
                    f"{self.directory / name} has {found} bytes of {size}; delete {self.directory}, it is made again"
                )
        self.heads, self.offsets, self.record, self.form = (np.load(self.directory / f"{n}.npy") for n in _COLUMNS)
        # a plain array over the mapping: slices of np.memmap are slow
        self.flat = (
            np.asarray(np.memmap(self.directory / "flat.bin", meta["dtype"], "r"))
            if meta["tokens"]
            else np.zeros(0, np.uint16)
        )

    def __len__(self) -> int:
        return len(self.heads)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokens, (self.directory,)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of every pair, int64 [N]."""
        return np.diff(self.offsets)


_COLUMNS = ("heads", "offsets", "record", "form")


def tokenised(shards: Shards, words: Tokenizer, cache: Path, fly: bool = False) -> Tokens:
    """The tokens of a data set, from `cache` where they are there already. What is tokenised is verified. Raises DataError."""
    key = hashlib.sha256(json.dumps([VERSION, shards.sha256, identity(words), fly]).encode()).hexdigest()[:20]
    place = cache / key
    if not (place / "meta.json").is_file():
        _build(Shards(shards.directory, verify=True), words, fly, place)
    return Tokens(place)


def _build(shards: Shards, words: Tokenizer, fly: bool, place: Path) -> None:
    temporary = place.with_name(f"{place.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    dtype = np.uint16 if words.vocab_size <= 1 << 16 else np.int32
    columns: dict[str, list[np.ndarray]] = {"lengths": [], "heads": [], "record": [], "form": []}
    records = enumerate(shards)
    with (temporary / "flat.bin").open("wb") as file, bar(f"tokenise {shards.name}", len(shards)) as progress:
        while chunk := list(islice(records, CHUNK)):
            items = [(number, form, r) for number, r in chunk for form in forms_of(r, fly)]
            told = [i for i, (_, form, _) in enumerate(items) if not (fly and form in REWRITTEN)]
            flat, lengths, heads = encode(words, [text_of(items[i][2], items[i][1], words) for i in told])
            file.write(flat.astype(dtype).tobytes())
            for name, values in (("lengths", lengths), ("heads", heads)):
                columns[name].append(np.zeros(len(items), np.int64))
                columns[name][-1][told] = values
            columns["record"].append(np.array([number for number, _, _ in items], np.int32))
            columns["form"].append(np.array([PROMPT_FORMATS.index(form) for _, form, _ in items], np.uint8))
            progress.advance(by=len(chunk))
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    if not len(whole["form"]):
        raise DataError(
            f"{shards.directory} gives no pair: it is of the test split, or of functions, which need supervised.rewrites: fly"
        )
    whole["offsets"] = np.concatenate([[0], np.cumsum(whole.pop("lengths"))])
    for name in _COLUMNS:
        np.save(temporary / f"{name}.npy", whole[name])
    sizes = {p.name: p.stat().st_size for p in sorted(temporary.iterdir())}
    meta = {"data": shards.sha256, "tokens": int(whole["offsets"][-1]), "dtype": np.dtype(dtype).name, "bytes": sizes}
    (temporary / "meta.json").write_text(json.dumps(meta))
    try:
        temporary.rename(place)
    except OSError:  # another process was faster; what it made is the same
        shutil.rmtree(temporary)
