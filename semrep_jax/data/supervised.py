"""Supervised pairs, packed: data sets and generated examples -> mixed, shuffled -> rows with segment ids -> batches, by Grain.

    sources = open_sources(config.supervised, seed, words, generator, cache)
    batches = Loader(Blocks(sources, seed, row_length=256), rows=8)
    next(batches)     # {"tokens", "weight", "segments", "positions"}, each [8, 256]

What the stream holds is a pure function of (seed, position). Position p belongs to a source by the weights (in proportion over every
stretch), and to a place in that source's own stream: a data set is passed over in epochs, each in an order of its own over all of it;
generated examples are drawn afresh and never twice. `block` positions are planned together (first-fit decreasing, `packing`), which is
one element of the Grain dataset, computed ahead by a thread or by worker processes; their rows are filled from the mapped tokens when a
batch asks for them. So a state is (block, row) and restoring it recomputes one block, the number of workers does not matter, and of
several processes each fills its own rows of the same batch. The indices are not drawn by Grain's own shuffle and mix, which take 20 to
35 microseconds a pair.

Pairs longer than a row are dropped and counted (`Loader.dropped`). The state carries a fingerprint of data and settings, and is refused
where they changed. Speed: `tools/bench_data.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from random import Random
from typing import Any

import grain
import numpy as np
from absl import flags

from semrep_jax.core.programs import Program
from semrep_jax.core.shards import DataError, Shards
from semrep_jax.data import packing
from semrep_jax.data.packing import Batch
from semrep_jax.data.settings import SupervisedConfig
from semrep_jax.data.tokens import PROMPT_FORMATS, REWRITTEN, Tokens, encode, identity, record_of, text_of, tokenised
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.python import PYTHON
from semrep_jax.python.rewrites import chain
from semrep_jax.tasks.generated.generator import Generator

VERSION = 1
SCALE = 1 << 20  # weights are whole numbers of this in all
NO_REWRITE = -1  # the length of a pair for which no rewrite was found
GENERATED = ("rewrite", "direct", "guided")


@dataclass(frozen=True)
class Drawn:
    """Pairs of a source: where each begins (in the source's flat tokens, or in `made` where `new`), its length and its prompt's."""

    start: np.ndarray
    length: np.ndarray
    head: np.ndarray
    new: np.ndarray
    made: np.ndarray


@dataclass(frozen=True)
class Generated:
    """Examples drawn afresh: pair i is form i mod 3 of example i div 3."""

    generator: Generator
    words: Tokenizer
    weight: float = 1.0
    flat: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32), repr=False, compare=False)

    @property
    def identity(self) -> str:
        return f"{self.generator.identity} x {self.weight:g}"

    def draw(self, index: np.ndarray) -> Drawn:
        example = lru_cache(maxsize=4)(self.generator.example)
        texts = []
        for i in index.tolist():
            number, form = divmod(i, len(GENERATED))
            texts.append(text_of(record_of(example(number), str(number)), GENERATED[form], self.words))
        made, length, head = encode(self.words, texts)
        return Drawn(np.cumsum(length) - length, length, head, np.ones(len(index), bool), made)


@dataclass(frozen=True)
class Stored:
    """A tokenised data set in shuffled epochs. With `fly` every rewrite is drawn anew from the rules, in every epoch another, at tens of
    milliseconds each (use workers). **Nothing has run such a rewrite**: it is as right as the rules are, where a stored one may have been
    verified. A pair that no rule applies to keeps its stored rewrite, or is dropped and counted."""

    shards: Shards
    tokens: Tokens
    words: Tokenizer
    seed: int
    weight: float = 1.0
    fly: bool = False
    _orders: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def identity(self) -> str:
        return f"{self.shards.name}@{self.shards.sha256[:16]} x {self.weight:g}"

    @property
    def flat(self) -> np.ndarray:
        return self.tokens.flat

    def draw(self, index: np.ndarray) -> Drawn:
        size = len(self.tokens)
        epoch, place = np.divmod(index, size)
        item = np.empty(len(index), np.int64)
        for e in np.unique(epoch).tolist():
            item[epoch == e] = self._order(e)[place[epoch == e]]
        start, head = self.tokens.offsets[item], self.tokens.heads[item].copy()
        length, new = self.tokens.offsets[item + 1] - start, np.zeros(len(index), bool)
        made = np.zeros(0, np.int32)
        if self.fly:
            new = np.isin(self.tokens.form[item], [PROMPT_FORMATS.index(f) for f in REWRITTEN])
            at = np.flatnonzero(new)
            texts = [self._rewritten(int(item[i]), int(index[i])) for i in at]
            found = np.array([t is not None for t in texts], bool)
            made, lengths, heads = encode(self.words, [t for t in texts if t is not None])
            start[at[found]], length[at[found]], head[at[found]] = np.cumsum(lengths) - lengths, lengths, heads
            length[at[~found]] = NO_REWRITE
        return Drawn(start, length, head, new, made)

    def _order(self, epoch: int) -> np.ndarray:
        """The order of an epoch; those of two are kept, 4 bytes a pair each."""
        if epoch not in self._orders:
            while len(self._orders) > 1:
                self._orders.pop(min(self._orders))
            self._orders[epoch] = _order(len(self.tokens), f"{self.seed}:{self.shards.sha256}:{epoch}").astype(
                np.uint32
            )
        return self._orders[epoch]

    def _rewritten(self, item: int, index: int) -> tuple[str, str] | None:
        record, rng = self.shards[int(self.tokens.record[item])], Random(f"{self.seed}:{self.shards.sha256}:{index}")
        drawn = chain.rewrite(Program(PYTHON, record["source"]), rng, steps=rng.randint(1, 3))
        rewrite = record.get("rewrite") if drawn is None else drawn.program.source
        return None if rewrite is None else text_of(record, PROMPT_FORMATS[self.tokens.form[item]], self.words, rewrite)


Source = Stored | Generated


def shards_of(setting: SupervisedConfig) -> list[Shards]:
    """The data sets that a config names, opened. Raises DataError."""
    try:
        return [Shards(source.path) for source in setting.sources]
    except DataError as error:
        raise DataError(f"supervised.sources: {error}") from error


def open_sources(
    setting: SupervisedConfig, seed: int, words: Tokenizer, generator: Generator, cache: Path
) -> list[Source]:
    """The sources that a config names, data sets tokenised in `cache` where they were not yet. Raises DataError."""
    fly = setting.rewrites == "fly"
    found: list[Source] = []
    for source, shards in zip(setting.sources, shards_of(setting), strict=True):
        found.append(Stored(shards, tokenised(shards, words, cache, fly), words, seed, source.weight, fly))
    if setting.generated:
        found.append(Generated(generator, words, setting.generated))
    return found


@dataclass(frozen=True)
class Block:
    """Pairs planned together: the pieces of every row (`packing.padded`), each `length` tokens from `start` of the flat array number
    `place` (sources in order, then `made`, then nothing). `first` [R + 1] are the rows' pieces; `dropped` says what was left out."""

    first: np.ndarray
    place: np.ndarray
    start: np.ndarray
    length: np.ndarray
    head: np.ndarray
    segment: np.ndarray
    made: np.ndarray
    dropped: dict[str, int]

    def __len__(self) -> int:
        return len(self.first) - 1


class Blocks:
    """Blocks of the mixed stream, at random (a Grain RandomAccessDataSource without end). `block` pairs in each. Raises DataError."""

    def __init__(
        self,
        sources: list[Source],
        seed: int,
        row_length: int,
        block: int = 1024,
        prompt_weight: float = 0.0,
        begin: int = 0,
    ):
        self.sources, self.seed, self.row_length, self.block, self.prompt_weight = (
            sources,
            seed,
            row_length,
            block,
            prompt_weight,
        )
        self.begin = begin
        total = sum(s.weight for s in sources)
        self.weights = [max(1, round(s.weight / total * SCALE)) for s in sources]
        for source in sources:
            lengths = source.tokens.lengths if isinstance(source, Stored) and not source.fly else np.zeros(1)
            if lengths.min() > row_length:
                raise DataError(
                    f"{source.identity}: its shortest pair has {lengths.min()} tokens and a row {row_length}; raise supervised.row_length"
                )

    @cached_property
    def fingerprint(self) -> dict[str, str | int | float]:
        """What the stream depends on; flat, JSON."""
        found: dict[str, str | int | float] = {f"source {i}": s.identity for i, s in enumerate(self.sources)}
        for source in self.sources:
            found["tokenizer"] = identity(source.words)[:16]
            if isinstance(source, Stored):
                found["rewrites"] = "fly" if source.fly else "stored"
        settings = {
            "seed": self.seed,
            "row_length": self.row_length,
            "block": self.block,
            "prompt_weight": self.prompt_weight,
        }
        return found | settings | {"loader": VERSION}

    def after(self, block: int) -> Blocks:
        """The stream from this block on."""
        return Blocks(self.sources, self.seed, self.row_length, self.block, self.prompt_weight, block)

    def __len__(self) -> int:
        return 1 << 32

    def __repr__(self) -> str:
        return f"Blocks({self.fingerprint}, {self.begin})"

    def __getitem__(self, number: int) -> Block:
        number = int(number) + self.begin
        who, index = mix(np.arange(number * self.block, (number + 1) * self.block), self.weights)
        columns: list[np.ndarray] = []
        made: list[np.ndarray] = []
        for i, source in enumerate(self.sources):
            mine = index[who == i]
            drawn = source.draw(mine)
            start = np.where(drawn.new, drawn.start + sum(map(len, made)), drawn.start)
            place = np.where(drawn.new, len(self.sources), i)
            columns.append(np.stack([place, start, drawn.length, drawn.head]))
            made.append(drawn.made)
        place, start, length, head = np.concatenate(columns, axis=1)
        fits = (length > 0) & (length <= self.row_length)
        dropped = {"too_long": int((length > self.row_length).sum()), "no_rewrite": int((length == NO_REWRITE).sum())}
        if not fits.any():
            raise DataError(
                f"none of {self.block} pairs fits a row of {self.row_length} tokens ({dropped}); raise supervised.row_length"
            )
        place, start, length, head = (x[fits] for x in (place, start, length, head))
        plan = packing.first_fit(length, self.row_length)
        plan = packing.shuffled(plan, _order(len(plan), f"{self.seed}:rows:{number}"))
        pair, length, segment = packing.padded(plan, length)
        empty = pair < 0
        place, start, head = (
            np.where(empty, other, x[pair]) for x, other in ((place, len(self.sources) + 1), (start, 0), (head, 0))
        )
        first = plan.first + np.arange(len(plan.first))
        return Block(first, place, start, length, head, segment, np.concatenate(made), dropped)

    def rows(self, block: Block, begin: int, end: int) -> Batch:
        """Rows begin to end of a block, filled."""
        flats = [*(s.flat for s in self.sources), block.made, np.zeros(self.row_length, np.uint16)]
        here = slice(int(block.first[begin]), int(block.first[end]))
        length = block.length[here]
        ranges = zip(block.place[here].tolist(), block.start[here].tolist(), length.tolist(), strict=True)
        pieces = [flats[place][start : start + size] for place, start, size in ranges]
        return packing.fill(pieces, length, block.head[here], block.segment[here], self.row_length, self.prompt_weight)


class Loader(grain.DatasetIterator):
    """Batches without end: {"tokens" int32, "weight" float32, "segments" int32, "positions" int32}, each [rows, row_length].

    With `share` (begin, end) a batch holds only these of its rows. `workers` processes plan ahead, or a thread where 0. `get_state` gives
    JSON; `set_state` goes on from there, exactly, also with another number of rows, workers or processes, and raises DataError where it is
    the state of other data.
    """

    def __init__(self, blocks: Blocks, rows: int, share: tuple[int, int] | None = None, workers: int = 0):
        super().__init__()
        self.blocks, self.rows, self.workers = blocks, rows, workers
        self.share = share or (0, rows)
        self._number, self._row, self._before = 0, 0, {"too_long": 0, "no_rewrite": 0}
        self._block: Block | None = None
        self._stream: Any = None

    def __iter__(self) -> Loader:
        return self

    def __next__(self) -> Batch:
        parts, done = [], 0
        while done < self.rows:
            block = self._current()
            take = min(self.rows - done, len(block) - self._row)
            begin, end = max(done, self.share[0]), min(done + take, self.share[1])
            if begin < end:
                parts.append(self.blocks.rows(block, self._row + begin - done, self._row + end - done))
            self._row, done = self._row + take, done + take
        return parts[0] if len(parts) == 1 else {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    @property
    def dropped(self) -> dict[str, int]:
        """Pairs left out so far: longer than a row, or without a rewrite where one was to be drawn."""
        now = self._block.dropped if self._block is not None else {}
        return {name: count + now.get(name, 0) for name, count in self._before.items()}

    def get_state(self) -> dict[str, Any]:
        """Where the stream is and what it is, as JSON."""
        return {
            "fingerprint": self.blocks.fingerprint,
            "block": self._number,
            "row": self._row,
            "dropped": dict(self._before),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises DataError where it belongs to other data or settings."""
        theirs, ours = state["fingerprint"], self.blocks.fingerprint
        differ = [k for k in sorted(set(theirs) | set(ours)) if theirs.get(k) != ours.get(k)]
        if differ:
            shown = ", ".join(f"{k} was {theirs.get(k)!r} and is {ours.get(k)!r}" for k in differ)
            raise DataError(
                f"the loader's saved state is of other data: {shown}; restore that, or begin in another work_dir"
            )
        self.close()
        self._number, self._row, self._before = state["block"], state["row"], dict(state["dropped"])

    def close(self) -> None:
        """Stop planning ahead."""
        if self._stream is not None and hasattr(self._stream, "close"):
            self._stream.close()
        self._stream = self._block = None

    def _current(self) -> Block:
        """The block with the next row in it."""
        if self._stream is None:
            ahead = grain.MapDataset.source(self.blocks.after(self._number)).to_iter_dataset(
                grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
            )
            if self.workers:
                if (
                    not flags.FLAGS.is_parsed()
                ):  # Grain's worker processes read absl flags, which a program without absl.app never parses
                    flags.FLAGS.mark_as_parsed()
                ahead = ahead.mp_prefetch(
                    grain.MultiprocessingOptions(num_workers=self.workers, per_worker_buffer_size=2)
                )
            self._stream = iter(ahead)
        if self._block is None:
            self._block = next(self._stream)
        while self._row >= len(self._block):
            self._before, self._number, self._row = self.dropped, self._number + 1, 0
            self._block = next(self._stream)
        return self._block


def mix(positions: np.ndarray, weights: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Of each position (int64 [n]) in a mixed stream: its source, and the place in that source's stream (int64 [n] both).

    Among the first p positions source i has its share of p, give or take one for each source before it.
    """
    who, index = np.full(len(positions), len(weights) - 1), np.empty(len(positions), np.int64)
    left, here, total = positions.astype(np.int64), np.arange(len(positions)), sum(weights)
    for i, weight in enumerate(weights[:-1]):
        before = left * weight // total
        takes = (left + 1) * weight // total > before
        who[here[takes]], index[here[takes]] = i, before[takes]
        left, here, total = (left - before)[~takes], here[~takes], total - weight
    index[here] = left
    return who, index


def _order(size: int, key: str) -> np.ndarray:
    """A permutation of range(size) that depends on `key` alone: raw Philox output, which NumPy keeps the same for ever, sorted."""
    bits = np.random.Philox(key=int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big"))
    return np.argsort(bits.random_raw(size), kind="stable")
