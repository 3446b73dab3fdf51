"""One progress bar, on standard error, for everything that takes longer than two seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True)
LONGEST_SILENCE = 60.0  # s, off a terminal, while something moves


class Bar:
    """A running bar; off a terminal it prints a line at the start, at every tenth and at least once a minute
    instead."""

    def __init__(self, progress: Progress, name: str, total: int, done: int):
        self.progress, self.name, self.total, self.done = progress, name, total, done
        self.task = progress.add_task(name, total=total, completed=done, note="")
        self._say("")

    def advance(self, note: str = "", by: int = 1) -> None:
        """Move on by `by` units and show `note` beside the bar."""
        before, self.done = self.done, self.done + by
        self.progress.update(self.task, completed=self.done, note=note)
        if before * 10 // self.total != self.done * 10 // self.total or time.monotonic() > self.quiet_until:
            self._say(note)

    def _say(self, note: str) -> None:
        if not console.is_terminal:
            console.print(f"{self.name}: {self.done}/{self.total}  {note}".rstrip(), highlight=False)
        self.quiet_until = time.monotonic() + LONGEST_SILENCE


@contextmanager
def bar(name: str, total: int, done: int = 0) -> Iterator[Bar]:
    """A progress bar on standard error.

    name: what stands before it. total: units there are. done: units behind us already.
    """
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=False, disable=not console.is_terminal) as progress:
        yield Bar(progress, name, max(total, 1), done)
