"""Ranges of tokens in flat arrays, as columns: what sources give, packing orders, and a batch's rows are copied from.

    pieces = Pieces.consecutive(0, lengths, prompt_lengths)     # one after the other in array 0
    pieces.take(pieces.lengths <= 256)                          # some of them

Nothing here copies a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Pieces:
    """N ranges of tokens; every column is int64 [N].

    arrays: number of the flat array it lies in. starts: its first token there. lengths, prompt_lengths: its tokens,
    and how many of them, from its start, are the prompt. segments: its number in its row from 1; 0 for padding and
    before it is packed.
    """

    arrays: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    prompt_lengths: np.ndarray
    segments: np.ndarray

    @classmethod
    def of(cls, array: int, starts: np.ndarray, lengths: np.ndarray, prompt_lengths: np.ndarray) -> Pieces:
        """Unpacked pieces of one flat array (its number); the columns are int64 [N].

        starts: the first token of each. lengths, prompt_lengths: tokens of each, and of its prompt.
        """
        return cls(np.full(len(starts), array), starts, lengths, prompt_lengths, np.zeros(len(starts), np.int64))

    @classmethod
    def consecutive(cls, array: int, lengths: np.ndarray, prompt_lengths: np.ndarray) -> Pieces:
        """Pieces that lie one after the other in a flat array (its number), from its start.

        lengths, prompt_lengths: tokens of each, and of its prompt, int64 [N].
        """
        return cls.of(array, np.cumsum(lengths) - lengths, lengths, prompt_lengths)

    @classmethod
    def empty(cls, array: int, lengths: np.ndarray) -> Pieces:
        """Padding of these lengths (int64 [N]), from the start of a flat array (its number) of zeros."""
        zeros = np.zeros(len(lengths), np.int64)
        return cls.of(array, zeros, lengths, zeros)

    @classmethod
    def concat(cls, parts: Sequence[Pieces]) -> Pieces:
        """All pieces of the parts, in order."""
        return cls(*(np.concatenate(columns) for columns in zip(*(part.columns for part in parts), strict=True)))

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """The five columns, in the order of the fields."""
        return self.arrays, self.starts, self.lengths, self.prompt_lengths, self.segments

    def take(self, which: np.ndarray | slice) -> Pieces:
        """The pieces with these indices (or a mask, or a slice), in that order."""
        return Pieces(*(column[which] for column in self.columns))

    def renumbered(self, first: int) -> Pieces:
        """The same pieces where array 0 has the number `first`, array 1 the next one ..."""
        return replace(self, arrays=self.arrays + first)

    def __len__(self) -> int:
        return len(self.starts)
