"""Supervised pairs, packed: sources -> mixed -> rows with segment ids -> batches, by Grain.

    sources = open_sources(config.supervised, seed, tokenizer, generator, cache)
    batches = Loader(Blocks(sources, seed, row_length=256), rows=8)
    next(batches)                                   # a PackedBatch, each array [8, 256]
    state = batches.get_state()                     # JSON; set_state goes on from there with the same bytes

What the stream holds is a pure function of (seed, position). Position p belongs to a source by the weights
(`mixture`), and to an index in that source's own stream (`sources`). `block` positions are planned together
(`packing`), which is one element of the Grain dataset, computed ahead by a thread or by worker processes; their rows
are filled from the mapped tokens when a batch asks for them. So a state is (block, row) and restoring it recomputes
one block, the number of workers does not matter, and of several processes each fills its own rows of the same batch.

Pairs longer than a row are dropped and counted (`Loader.dropped`). The state carries a fingerprint of data and
settings, and is refused where they changed. Speed: `tools/bench_data.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import grain
import numpy as np
from absl import flags

from semrep_jax.core.shards import DataError
from semrep_jax.core.workdir import describe_changes
from semrep_jax.data import packing
from semrep_jax.data.mixture import mix, permutation, whole_weights
from semrep_jax.data.packing import PackedBatch
from semrep_jax.data.pieces import Pieces
from semrep_jax.data.settings import Rewrites
from semrep_jax.data.sources import NO_REWRITE, Source, Stored
from semrep_jax.data.tokens import identity
from semrep_jax.sandbox import children

VERSION = 1


@dataclass(frozen=True)
class Block:
    """Pairs planned together.

    pieces: those of all rows, as `packing.in_rows` orders them; arrays 2i and 2i + 1 are source i's own tokens and
    those written for the block, the last is of zeros. first: int64 [rows + 1], where each row's pieces begin. written:
    of each source, int32. dropped: pairs left out, by reason.
    """

    pieces: Pieces
    first: np.ndarray
    written: tuple[np.ndarray, ...]
    dropped: dict[str, int]

    def __len__(self) -> int:
        return len(self.first) - 1


@dataclass(frozen=True, eq=False, repr=False)
class Blocks:
    """Blocks of the mixed stream, at random (a Grain RandomAccessDataSource without end).

    sources: mixed by their weights. seed: decides the order of rows. row_length: tokens in a row. block: pairs planned
    together. prompt_weight: loss weight of a prompt's tokens, beside the completion's 1. begin: number of the stream's
    block that is number 0 here. Raises DataError where a row is too short for every pair of a source.
    """

    sources: Sequence[Source]
    seed: int
    row_length: int
    block: int = 1024
    prompt_weight: float = 0.0
    begin: int = 0

    def __post_init__(self) -> None:
        for source in self.sources:
            if not isinstance(source, Stored) or source.rewrites is Rewrites.FLY:
                continue
            shortest = source.tokens.lengths.min()
            if shortest > self.row_length:
                raise DataError(
                    f"{source.identity}: its shortest pair has {shortest} tokens and a row {self.row_length}; "
                    "raise supervised.row_length"
                )

    @cached_property
    def fingerprint(self) -> dict[str, str | int | float]:
        """What the stream depends on; flat, JSON."""
        found: dict[str, str | int | float] = {f"source {i}": s.identity for i, s in enumerate(self.sources)}
        for source in self.sources:
            found["tokenizer"] = identity(source.tokenizer)[:16]
            if isinstance(source, Stored):
                found["rewrites"] = source.rewrites.value
        settings = {
            "seed": self.seed,
            "row_length": self.row_length,
            "block": self.block,
            "prompt_weight": self.prompt_weight,
        }
        return found | settings | {"loader": VERSION}

    def after(self, block: int) -> Blocks:
        """The stream from this block on."""
        return replace(self, begin=block)

    def __len__(self) -> int:
        return 1 << 32

    def __repr__(self) -> str:
        return f"Blocks({self.fingerprint}, {self.begin})"

    def __getitem__(self, number: int) -> Block:
        number = int(number) + self.begin
        pieces, written = self._drawn(number)
        fits = (pieces.lengths > 0) & (pieces.lengths <= self.row_length)
        dropped = {
            "too_long": int((pieces.lengths > self.row_length).sum()),
            "no_rewrite": int((pieces.lengths == NO_REWRITE).sum()),
        }
        if not fits.any():
            raise DataError(
                f"none of {self.block} pairs fits a row of {self.row_length} tokens ({dropped}); "
                "raise supervised.row_length"
            )
        pieces = pieces.take(fits)
        plan = packing.first_fit(pieces.lengths, self.row_length)
        plan = packing.shuffled(plan, permutation(len(plan), f"{self.seed}:rows:{number}"))
        packed = packing.in_rows(plan, pieces, zeros=2 * len(self.sources))
        return Block(packed, plan.first + np.arange(len(plan.first)), written, dropped)

    def _drawn(self, number: int) -> tuple[Pieces, tuple[np.ndarray, ...]]:
        """The pairs of a block, source by source, and the tokens that each source wrote for it."""
        positions = np.arange(number * self.block, (number + 1) * self.block)
        which, indices = mix(positions, whole_weights([s.weight for s in self.sources]))
        drawn = [source.draw(indices[which == i]) for i, source in enumerate(self.sources)]
        return Pieces.concat([d.pieces.renumbered(2 * i) for i, d in enumerate(drawn)]), tuple(d.written for d in drawn)

    def rows(self, block: Block, begin: int, end: int) -> PackedBatch[np.ndarray]:
        """Rows begin to end of a block, filled.

        block: one of this stream's. begin, end: numbers of rows in it, `end` left out. The batch has end - begin rows.
        """
        arrays = [x for source, made in zip(self.sources, block.written, strict=True) for x in (source.flat, made)]
        arrays.append(np.zeros(self.row_length, np.uint16))
        pieces = block.pieces.take(slice(int(block.first[begin]), int(block.first[end])))
        return packing.fill(pieces, arrays, self.row_length, self.prompt_weight)


class _Ahead:
    """Blocks that other processes may plan: a worker of Grain's, which nothing ends when this process is killed, ends
    with it once it has got them."""

    def __init__(self, blocks: Blocks):
        self.blocks = blocks

    def __len__(self) -> int:
        return len(self.blocks)

    def __repr__(self) -> str:
        return repr(self.blocks)

    def __getitem__(self, number: int) -> Block:
        return self.blocks[number]

    def __reduce__(self) -> tuple[Any, ...]:
        return _of, (self.blocks, os.getpid())


def _of(blocks: Blocks, process: int) -> _Ahead:
    """What was packed in `process`."""
    if os.getpid() != process:
        children.end_soon_after(process)
    return _Ahead(blocks)


class Loader(grain.DatasetIterator):
    """Batches without end, `rows` rows each.

    blocks: the stream. rows: of a batch. local_rows: (begin, end) of those that this process fills and gets, all by
    default. workers: processes that plan ahead, 0 for a thread.

    `get_state` gives JSON; `set_state` goes on from there, exactly, also with another number of rows, workers or
    processes, and raises DataError where it is the state of other data.
    """

    def __init__(self, blocks: Blocks, rows: int, local_rows: tuple[int, int] | None = None, workers: int = 0):
        super().__init__()
        self.blocks, self.rows, self.workers = blocks, rows, workers
        self.local_rows = local_rows or (0, rows)
        self._number, self._row = 0, 0
        self._dropped_before = {"too_long": 0, "no_rewrite": 0}  # in the blocks before this one
        self._block: Block | None = None
        self._stream: Any = None

    def __iter__(self) -> Loader:
        return self

    def __next__(self) -> PackedBatch[np.ndarray]:
        parts, done = [], 0
        while done < self.rows:
            block = self._current()
            count = min(self.rows - done, len(block) - self._row)
            begin, end = max(done, self.local_rows[0]), min(done + count, self.local_rows[1])
            if begin < end:
                parts.append(self.blocks.rows(block, self._row + begin - done, self._row + end - done))
            self._row, done = self._row + count, done + count
        return parts[0] if len(parts) == 1 else PackedBatch(*map(np.concatenate, zip(*parts, strict=True)))

    @property
    def dropped(self) -> dict[str, int]:
        """Pairs left out so far: longer than a row, or without a rewrite where one was to be drawn."""
        now = self._block.dropped if self._block is not None else {}
        return {reason: count + now.get(reason, 0) for reason, count in self._dropped_before.items()}

    def get_state(self) -> dict[str, Any]:
        """Where the stream is and what it is, as JSON."""
        return {
            "fingerprint": self.blocks.fingerprint,
            "block": self._number,
            "row": self._row,
            "dropped": dict(self._dropped_before),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises DataError where it belongs to other data or settings."""
        if changes := describe_changes(state["fingerprint"], self.blocks.fingerprint):
            raise DataError(
                f"the loader's saved state is of other data: {changes}; restore that, or begin in another work_dir"
            )
        self.close()
        self._number, self._row, self._dropped_before = state["block"], state["row"], dict(state["dropped"])

    def close(self) -> None:
        """Stop planning ahead."""
        if self._stream is not None and hasattr(self._stream, "close"):
            self._stream.close()
        self._stream = self._block = None

    def _current(self) -> Block:
        """The block with the next row in it."""
        if self._stream is None:
            self._stream = self._planned_ahead()
        if self._block is None:
            self._block = next(self._stream)
        while self._row >= len(self._block):
            self._dropped_before, self._number, self._row = self.dropped, self._number + 1, 0
            self._block = next(self._stream)
        return self._block

    def _planned_ahead(self) -> Any:
        """An iterator of the blocks from the current one on, computed in a thread or in worker processes."""
        source = grain.MapDataset.source(_Ahead(self.blocks.after(self._number)))
        ahead = source.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2))
        if self.workers:
            if not flags.FLAGS.is_parsed():  # Grain's workers read absl flags, which only absl.app parses
                flags.FLAGS.mark_as_parsed()
            options = grain.MultiprocessingOptions(num_workers=self.workers, per_worker_buffer_size=2)
            ahead = ahead.mp_prefetch(options)
        return iter(ahead)
