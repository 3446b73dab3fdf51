"""In the child: what a program changes of its process, beside its variables, streams, files and environment.

    process = Process(source)
    process.afresh()         # as it was, before the program is loaded
    process.changed()        # {"the decimal context": [...]} of what is no longer as it was

Looked at where the program's text names it. Loaded by path, so it imports only the standard library.
"""

import builtins
import os
import signal
import sys

_SIGNALS = [s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM")]


def _context():
    c = sys.modules["decimal"].getcontext()
    traps = sorted(signal.__name__ for signal, on in c.traps.items() if on)
    return [c.prec, c.rounding, c.Emin, c.Emax, c.capitals, c.clamp, traps]


def _mask():
    mask = os.umask(0o77)
    os.umask(mask)
    return mask


def _handlers():
    return {s: signal.getsignal(s) for s in _SIGNALS}


def _new_handlers(start, now):
    """Who handles a signal now; a function has any name."""
    changed = {s.name: now[s] for s in _SIGNALS if now[s] is not start[s]}
    return {name: str(h.name) if isinstance(h, signal.Handlers) else "a function" for name, h in changed.items()}


def _new_builtins(start, now):
    """The names that are others now, but for the last result, which the interpreter keeps there."""
    return sorted(n for n in {*start, *now} if start.get(n) is not now.get(n) and n != "_")


def _whole(start, now):
    return now


def _set_builtins(start):
    vars(builtins).clear()
    vars(builtins).update(start)


# What it is called: the text that names it; what reads it, puts it back, and says how it is now.
FACETS = {
    "the decimal context": (
        "decimal",
        _context,
        lambda start: sys.modules["decimal"].setcontext(sys.modules["decimal"].DefaultContext.copy()),
        _whole,
    ),
    "sys.path": (
        "sys.path",
        lambda: list(sys.path),
        lambda start: sys.path.__setitem__(slice(None), start),
        lambda start, now: [[path for path in now if path not in start], [path for path in start if path not in now]],
    ),
    "the mask of new files": ("umask", _mask, os.umask, _whole),
    "who handles signals": (
        "signal",
        _handlers,
        lambda start: [signal.signal(s, handler) for s, handler in start.items()],
        _new_handlers,
    ),
    "builtins": ("builtins", lambda: dict(vars(builtins)), _set_builtins, _new_builtins),
}


class Process:
    """What of the process is looked at for one program. source: its text."""

    def __init__(self, source):
        named = {name: facet for name, (text, *facet) in FACETS.items() if text in source}
        named = {n: f for n, f in named.items() if n != "the decimal context" or "decimal" in sys.modules}
        self.facets = {name: (read, put, tell, read()) for name, (read, put, tell) in named.items()}

    def afresh(self):
        """Put back what has changed."""
        for read, put, _, start in self.facets.values():
            if read() != start:
                put(start)

    def changed(self):
        """What has changed, by name."""
        now = {name: read() for name, (read, *_) in self.facets.items()}
        return {n: tell(start, now[n]) for n, (_, _, tell, start) in self.facets.items() if now[n] != start}
