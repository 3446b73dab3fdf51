"""Tokens that become text while they arrive: nothing is let out that a later token could still change.

growing = Growing(tokenizer, stops=["\n\n"])
for piece in pieces:
    new = growing.add(piece.token_ids)
    if growing.stopped: ...                 # one of the stops was written; the text ends before it
new += growing.end()
"""

from __future__ import annotations

from collections.abc import Sequence

from semrep_jax.model.tokenizer import Tokenizer

HALF = "�"  # what a character reads as whose last bytes have not arrived


class Growing:
    """One completion's text. stops: texts that end it. `ids`: taken so far, the end token left out. `stopped`: whether
    a stop was written, and so no token behind it counts. `out`: characters let out."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()):
        self.tokenizer, self.stops = tokenizer, stops
        self.ids: list[int] = []
        self.stopped = False
        self.out = 0

    def add(self, ids: Sequence[int]) -> str:
        """Take tokens; what can be let out now."""
        if self.stopped:
            return ""
        before = len(self.ids)
        self.ids += [one for one in ids if one not in self.tokenizer.end_ids]
        whole = self._text()
        if self._stops(whole):
            self.stopped = True
            counts = range(before, len(self.ids) + 1)
            count = next(k for k in counts if self._stops(self.tokenizer.decode(self.ids[:k])))
            self.ids = self.ids[:count]  # whatever was decoded beyond, in this piece
            whole = self._text()
            return self._let_out(whole, min(self._stops(whole)))
        safe = len(whole.rstrip(HALF)) if whole.endswith(HALF) else len(whole)
        return self._let_out(whole, safe - self._pending(whole[:safe]))

    def end(self) -> str:
        """What was held back, now that no more will come."""
        whole = self._text()
        return "" if self.stopped else self._let_out(whole, len(whole))

    def covered(self, tokens: int) -> int:
        """Characters of the text that so many tokens make, without one that is half there."""
        return len(self.tokenizer.decode(self.ids[:tokens]).rstrip(HALF))

    def _stops(self, text: str) -> list[int]:
        """Where stops begin in a text."""
        return [place for stop in self.stops if (place := text.find(stop)) >= 0]

    def _text(self) -> str:
        return self.tokenizer.decode(self.ids)

    def _pending(self, text: str) -> int:
        """Characters at the end that may be the beginning of a stop."""
        for size in range(min(len(text), max(map(len, self.stops), default=1) - 1), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self.stops if len(stop) > size):
                return size
        return 0

    def _let_out(self, text: str, place: int) -> str:
        new, self.out = text[self.out : place], max(self.out, place)
        return new
