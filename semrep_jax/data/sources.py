"""Where supervised pairs come from: tokenised data sets in shuffled epochs, and generated examples drawn afresh.

    sources = open_sources(config.supervised, config.seed, tokenizer, generator, cache)
    sources[0].draw(np.arange(64))     # its first 64 pairs as `Drawn`: ranges of tokens

A source's stream is a pure function of its seed and the index. A data set is passed over in epochs, each in an order
of its own over all of it; generated examples are never drawn twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np

from semrep_jax.core.paths import expanded
from semrep_jax.core.shards import DataError, Record, Shards
from semrep_jax.data.mixture import permutation
from semrep_jax.data.pieces import Pieces
from semrep_jax.data.records import PROMPT_FORMATS, WITH_REWRITE, fresh_rewrite, prompt_and_completion, record_of
from semrep_jax.data.settings import Rewrites, SupervisedConfig
from semrep_jax.data.tokens import Tokens, encode, tokenised
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.tasks.generated.generator import Example, Generator

GENERATED_FORMATS = ("rewrite", "direct", "guided")
NO_REWRITE = -1  # the length of a pair for which no rewrite was found
KEPT, WRITTEN = 0, 1  # arrays of `Drawn.pieces`: the source's own tokens, and those written for this draw


@dataclass(frozen=True)
class Drawn:
    """Pairs of a source: ranges of tokens in its `flat` array (number KEPT) or in `written`, int32 (number WRITTEN)."""

    pieces: Pieces
    written: np.ndarray


@lru_cache(maxsize=4)
def _example(generator: Generator, index: int) -> Example:
    return generator.example(index)


@dataclass(frozen=True)
class Generated:
    """Examples drawn afresh: pair i is example i div 3 in prompt format i mod 3. It keeps no tokens."""

    generator: Generator
    tokenizer: Tokenizer
    weight: float = 1.0
    flat: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32), repr=False, compare=False)

    @property
    def identity(self) -> str:
        """What the stream depends on."""
        return f"{self.generator.identity} x {self.weight:g}"

    def pair(self, index: int) -> tuple[Record, str]:
        """Record and prompt format of pair `index`."""
        number, which = divmod(index, len(GENERATED_FORMATS))
        return record_of(_example(self.generator, number), str(number)), GENERATED_FORMATS[which]

    def draw(self, indices: np.ndarray) -> Drawn:
        """The pairs with these indices (int64 [n])."""
        texts = [prompt_and_completion(*self.pair(i), self.tokenizer) for i in indices.tolist()]
        encoded = encode(self.tokenizer, texts)
        return Drawn(Pieces.consecutive(WRITTEN, encoded.lengths, encoded.prompt_lengths), encoded.flat)


@dataclass(frozen=True)
class Stored:
    """A tokenised data set in shuffled epochs.

    With `rewrites` on the fly every rewrite is drawn anew from the rules, in every epoch another, at tens of
    milliseconds each (use workers). **Nothing has run such a rewrite**: it is as right as the rules are, where a
    stored one may have been verified. A pair that no rule applies to keeps its stored rewrite, or is dropped and
    counted.
    """

    shards: Shards
    tokens: Tokens
    tokenizer: Tokenizer
    seed: int
    weight: float = 1.0
    rewrites: Rewrites = Rewrites.STORED
    _orders: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def identity(self) -> str:
        """What the stream depends on, beside the tokenizer and `rewrites`."""
        return f"{self.shards.name}@{self.shards.sha256[:16]} x {self.weight:g}"

    @property
    def flat(self) -> np.ndarray:
        """All of its tokens."""
        return self.tokens.flat

    def draw(self, indices: np.ndarray) -> Drawn:
        """The pairs with these indices (int64 [n])."""
        items, tokens = self._items(indices), self.tokens
        starts = tokens.offsets[items]
        kept = Pieces.of(KEPT, starts, tokens.offsets[items + 1] - starts, tokens.prompt_lengths[items])
        if self.rewrites is Rewrites.FLY:
            return self._with_fresh_rewrites(kept, items, indices)
        return Drawn(kept, np.zeros(0, np.int32))

    def _items(self, indices: np.ndarray) -> np.ndarray:
        """Which pairs of the data set these are, by the orders of their epochs."""
        epochs, places = np.divmod(indices, len(self.tokens))
        items = np.empty(len(indices), np.int64)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            items[here] = self._order(epoch)[places[here]]
        return items

    def _order(self, epoch: int) -> np.ndarray:
        """The order of an epoch; those of two are kept, 4 bytes a pair each."""
        if epoch not in self._orders:
            while len(self._orders) > 1:
                self._orders.pop(min(self._orders))
            key = f"{self.seed}:{self.shards.sha256}:{epoch}"
            self._orders[epoch] = permutation(len(self.tokens), key).astype(np.uint32)
        return self._orders[epoch]

    def _with_fresh_rewrites(self, kept: Pieces, items: np.ndarray, indices: np.ndarray) -> Drawn:
        """The pairs, where every one with a C_rep in it is written anew, or marked NO_REWRITE where there is none."""
        asks = np.isin(self.tokens.prompt_format[items], [PROMPT_FORMATS.index(name) for name in WITH_REWRITE])
        texts = {i: self._rewritten(int(items[i]), int(indices[i])) for i in np.flatnonzero(asks).tolist()}
        found = {i: text for i, text in texts.items() if text is not None}
        missing = [i for i in texts if i not in found]
        encoded = encode(self.tokenizer, list(found.values()))
        written = Pieces.consecutive(WRITTEN, encoded.lengths, encoded.prompt_lengths)
        none = Pieces.empty(WRITTEN, np.full(len(missing), NO_REWRITE))
        order = [*np.flatnonzero(~asks).tolist(), *found, *missing]
        pieces = Pieces.concat([kept.take(~asks), written, none]).take(np.argsort(order))
        return Drawn(pieces, encoded.flat)

    def _rewritten(self, item: int, index: int) -> tuple[str, str] | None:
        """Prompt and completion of a pair with a rewrite of its own for this index; None where there is no rewrite."""
        record = self.shards[int(self.tokens.record[item])]
        rewrite = fresh_rewrite(record, Random(f"{self.seed}:{self.shards.sha256}:{index}"))
        if rewrite is None:
            return None
        return prompt_and_completion(record, PROMPT_FORMATS[self.tokens.prompt_format[item]], self.tokenizer, rewrite)


Source = Stored | Generated


def shards_of(setting: SupervisedConfig) -> list[Shards]:
    """The data sets that a config names, opened. Raises DataError."""
    try:
        return [Shards(expanded(source.path)) for source in setting.sources]
    except DataError as error:
        raise DataError(f"supervised.sources: {error}") from error


def open_sources(
    setting: SupervisedConfig, seed: int, tokenizer: Tokenizer, generator: Generator, cache: Path
) -> list[Source]:
    """The sources that a config names. Raises DataError.

    seed: decides orders and fresh rewrites. tokenizer: of the model to be trained. generator: what draws the generated
    examples. cache: the directory where data sets are tokenised that were not yet.
    """
    found: list[Source] = []
    for source, shards in zip(setting.sources, shards_of(setting), strict=True):
        tokens = tokenised(shards, tokenizer, cache, setting.rewrites)
        found.append(Stored(shards, tokens, tokenizer, seed, source.weight, setting.rewrites))
    if setting.generated and setting.form_gap is not None:
        from semrep_jax.data.form_gap import FormGap

        edits = replace(generator, kinds=setting.form_gap.kinds)
        found.append(FormGap(edits, tokenizer, setting.generated, setting=setting.form_gap))
    elif setting.generated:
        found.append(Generated(generator, tokenizer, setting.generated))
    return found
