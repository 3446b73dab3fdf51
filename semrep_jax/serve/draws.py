"""Which random numbers an answer is drawn with, and how to draw the same answer again.

Many tools send one constant `seed` with every request. Taken by the letter, all their equal prompts would get one
answer. So a seed is mixed with a count: the j-th time that one and the same request arrives it gets repeat j, which is
told in the answer (`semrep.repeat`). **To have an answer again, send the request with its `seed` and its `repeat`**:
the bits are the same, whatever else the server does meanwhile, after a restart too (`system_fingerprint` says whether
model, shapes and versions are). Without a seed one is drawn, and told (`semrep.seed`), so that any answer can be had
again.

    client.chat.completions.create(..., seed=42, extra_body={"repeat": 0})
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from threading import Lock

from cachetools import LRUCache

KEPT_COUNTS = 100_000


@dataclass(frozen=True)
class Draw:
    """What an answer's random numbers come from."""

    seed: int
    repeat: int

    def key(self, *place: int) -> tuple[int, int]:
        """The key of one completion of the answer (two 32-bit words); `place` says which, such as the choice."""
        digest = hashlib.sha256(repr((self.seed, self.repeat, *place)).encode()).digest()
        return int.from_bytes(digest[:4]), int.from_bytes(digest[4:8])


class Draws:
    """Counts requests that are the same, over the life of the server (the last KEPT_COUNTS different ones)."""

    def __init__(self) -> None:
        self._counts: LRUCache[bytes, int] = LRUCache(KEPT_COUNTS)
        self._lock = Lock()

    def of(self, request: str, seed: int | None, repeat: int | None) -> Draw:
        """The draw of a request.

        request: its text without `repeat`. seed, repeat: what it names, or None.
        """
        if seed is None:
            return Draw(secrets.randbits(48), repeat or 0)
        if repeat is not None:
            return Draw(seed, repeat)
        name = hashlib.sha256(request.encode()).digest()
        with self._lock:
            count = self._counts.get(name, 0)
            self._counts[name] = count + 1
        return Draw(seed, count)
