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
    """One completion's text. stops: texts that end it. `tokens`: ids taken so far, the end token left out."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()):
        self.tokenizer, self.stops = tokenizer, stops
        self.ids: list[int] = []
        self.stopped = False
        self._out = 0  # characters let out

    def add(self, ids: Sequence[int]) -> str:
        """Take tokens; what can be let out now."""
        if self.stopped:
            return ""
        self.ids += [one for one in ids if one not in self.tokenizer.end_ids]
        whole = self._text()
        places = [place for stop in self.stops if (place := whole.find(stop)) >= 0]
        if places:
            self.stopped = True
            return self._let_out(whole, min(places))
        safe = len(whole.rstrip(HALF)) if whole.endswith(HALF) else len(whole)
        return self._let_out(whole, safe - self._pending(whole[:safe]))

    def end(self) -> str:
        """What was held back, now that no more will come."""
        whole = self._text()
        return "" if self.stopped else self._let_out(whole, len(whole))

    def _text(self) -> str:
        return self.tokenizer.decode(self.ids)

    def _pending(self, text: str) -> int:
        """Characters at the end that may be the beginning of a stop."""
        for size in range(min(len(text), max(map(len, self.stops), default=1) - 1), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self.stops if len(stop) > size):
                return size
        return 0

    def _let_out(self, text: str, place: int) -> str:
        new, self._out = text[self._out : place], max(self._out, place)
        return new
